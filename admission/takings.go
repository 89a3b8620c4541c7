package admission

import (
	"sync"

	"boxoffice/domain"
)

// takings are the orders that took something of a sale, and how much their buyers took
// with them. They only grow, until they are closed for good.
type takings struct {
	mu     sync.RWMutex
	closed bool
	orders map[domain.OrderID]struct{} // nil: not followed
	buyers map[domain.BuyerID]int64
}

// open starts to keep what is added. False: closed.
func (t *takings) open() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orders == nil && !t.closed {
		t.orders, t.buyers = make(map[domain.OrderID]struct{}), make(map[domain.BuyerID]int64)
	}
	return !t.closed
}

// close forgets all, and returns how many orders that were.
func (t *takings) close() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := int64(len(t.orders))
	t.closed, t.orders, t.buyers = true, nil, nil
	return n
}

// add reports whether the order is new here. One that was sold after its hold was gone
// comes twice and counts once: it never has both.
func (t *takings) add(taking domain.Taking) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orders == nil {
		return false
	}
	if _, ok := t.orders[taking.Order]; ok {
		return false
	}
	t.orders[taking.Order] = struct{}{}
	t.buyers[taking.Buyer] += taking.Quantity
	return true
}

// of says whether an order took something, and what its buyer took in total. kept is
// false if nothing is remembered.
func (t *takings) of(order domain.OrderID, buyer domain.BuyerID) (known bool, taken int64, kept bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, known = t.orders[order]
	return known, t.buyers[buyer], t.orders != nil
}

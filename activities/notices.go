package activities

import (
	"sync"

	"boxoffice/domain"
)

// HoldNotices wakes the request that waits for a hold when the activity that
// placed it runs in the same process: the answer then needs no second round
// trip to Temporal. It is a shortcut, never the truth: a notice that comes too
// early or is lost only means that the workflow is asked instead.
type HoldNotices struct {
	mu      sync.Mutex
	waiting map[domain.OrderID]chan domain.Hold
}

// NewHoldNotices returns an empty board.
func NewHoldNotices() *HoldNotices {
	return &HoldNotices{waiting: make(map[domain.OrderID]chan domain.Hold)}
}

// Subscribe waits for the hold of one order; cancel must be called. A second
// subscriber of the same order gets a channel that never delivers: the first
// one is served, the other asks the workflow.
func (n *HoldNotices) Subscribe(order domain.OrderID) (notice <-chan domain.Hold, cancel func()) {
	if n == nil {
		return nil, func() {}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, taken := n.waiting[order]; taken {
		return nil, func() {}
	}
	c := make(chan domain.Hold, 1) // buffered: publish never waits for a reader
	n.waiting[order] = c
	return c, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.waiting, order)
	}
}

func (n *HoldNotices) publish(order domain.OrderID, hold domain.Hold) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if c, ok := n.waiting[order]; ok {
		select {
		case c <- hold:
		default: // a retried activity: the first notice said the same
		}
	}
}

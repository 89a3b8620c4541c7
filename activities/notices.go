package activities

import (
	"sync"

	"boxoffice/domain"
)

// HoldNotices wakes the request that waits for a hold, if the activity that placed it
// runs in the same process. That saves a second round trip to Temporal. It is only a
// shortcut: if a notice comes too early or gets lost, the request asks the workflow
// instead.
type HoldNotices struct {
	mu      sync.Mutex
	waiting map[domain.OrderID]chan domain.Hold
}

// NewHoldNotices returns an empty board.
func NewHoldNotices() *HoldNotices {
	return &HoldNotices{waiting: make(map[domain.OrderID]chan domain.Hold)}
}

// Subscribe waits for the hold of one order; call cancel when done. A second subscriber
// to the same order gets a channel that never delivers, and has to ask the workflow.
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

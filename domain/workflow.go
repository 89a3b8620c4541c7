package domain

import "time"

// A Workflow is a checkout, a late payment, a refund or a cancellation that has not
// completed, as Temporal lists it.
type Workflow struct {
	ID        string // such as checkout/<order>
	Cell      string // where it runs, see Sale.Cell
	Order     OrderID
	SaleID    string // empty if we do not know the order
	StartedAt time.Time
	Failed    bool   // closed because it failed, was terminated or timed out
	Checkout  bool   // a checkout, which may be waiting for its payment
	WaitsFor  string // set if somebody asked: see WorkflowLook
}

// A WorkflowLook is the state of a workflow at this moment.
type WorkflowLook struct {
	Open     bool
	ClosedAt time.Time // zero while it is open
	// WaitsFor says what the workflow waits for and will go on with by itself: an
	// activity that it retries, with the reason why the last attempt failed, or a worker
	// for the first try of a step. Empty: neither.
	WaitsFor string
}

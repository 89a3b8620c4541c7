package domain

import "time"

// A Workflow is a checkout, a late payment, a refund or the cancellation of a sale that
// has not completed, as Temporal lists it.
type Workflow struct {
	ID        string // such as checkout/<order>
	Order     OrderID
	SaleID    string // empty where the order is unknown here
	StartedAt time.Time
	Failed    bool   // closed, but failed, terminated or timed out
	Checkout  bool   // a checkout, which may wait for its payment
	WaitsFor  string // of one that was asked about: see WorkflowLook
}

// A WorkflowLook is how a workflow stands at this moment.
type WorkflowLook struct {
	Open     bool
	ClosedAt time.Time // zero while it is open
	// WaitsFor is what it waits for and will go on with by itself: an activity that it
	// retries, and why the last attempt failed, or the worker that the first try of a
	// step waits for. Empty: neither.
	WaitsFor string
}

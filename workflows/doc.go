// Package workflows decides what a checkout does next, and survives crashes while it
// waits: hold → await the payment or the deadline → post or void → record (Checkout).
// Late handles money that comes after the end, Refund an organiser's refund, CancelSale
// the cancellation of a whole sale, and Audit the scheduled audit.
//
// Workflow code only decides. Everything that touches the world is an activity. To start,
// pay or ask a checkout, use package checkouts. The code is deterministic (checked by
// workflowcheck) and must keep replaying the histories in testdata/histories.
package workflows

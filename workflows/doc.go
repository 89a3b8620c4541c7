// Package workflows is the conversation of a checkout, crash-safe: hold → await
// the payment or the deadline → post or void → record (Checkout); what happens
// to money that comes after the end (Late); and an organiser's refund (Refund).
//
// Workflow code only decides. Whatever touches the world is an activity, and
// whoever starts, pays or asks a checkout goes through package checkouts. The
// code is deterministic (linted by workflowcheck) and must keep replaying the
// histories under testdata/histories.
package workflows

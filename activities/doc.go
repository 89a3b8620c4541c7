// Package activities is what a checkout does to the world: it holds seats,
// settles or releases them, asks the payment provider, records what was sold,
// and gives money back.
//
// Every activity may run again after any crash and has the same effect once:
// the ledger's ids, the provider's payment ids and the database's keys are all
// derived from the order. What to do next is not decided here: that is package
// workflows.
package activities

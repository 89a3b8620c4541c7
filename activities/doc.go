// Package activities does what a checkout needs done outside its workflow: it holds
// seats, settles or releases them, asks the payment provider, records what was sold, and
// gives money back.
//
// Every activity may run again after any crash and still takes effect once, because the
// ledger's ids, the provider's payment ids and the database's keys all derive from the
// order. Package workflows decides what to do next.
package activities

// Package restore puts back what the orders database lost: orders and refunds
// that the ledger, the payment provider and Temporal still know, after it was
// restored to an earlier moment.
//
// An order is restored from what is sold in the ledger (which seats, for which
// pseudonym, when), from what was captured for it, and, where Temporal still has
// its checkout, from that: the buyer's address is known to nobody else. What cannot
// be known is left empty, and said. Money is never moved, and nothing is recorded
// that contradicts what is there.
//
// The audit finds these orders (invariant I7). A restore can be stopped at any
// point and repeated.
package restore

// Package restore puts back what the orders database lost when it was itself restored to
// an earlier moment: orders and refunds that the ledger, the payment provider and
// Temporal still know (Restorer). And it puts back what a ledger lost that has no other
// copy, from the orders (Rebooker).
//
// A Restorer restores an order from what is sold in the ledger (which seats, for which pseudonym,
// when), from what was captured for it, and from its checkout, if Temporal still has it:
// nobody else knows the buyer's address. What cannot be known stays empty, and the report
// says so. It never moves money, and records nothing that contradicts what is there.
//
// The audit finds these orders (invariant I7). A restore can be stopped at any point and
// repeated.
package restore

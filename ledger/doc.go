// Package ledger keeps the box office's books in TigerBeetle: what a sale has to sell,
// what is held and what is sold.
//
// A stock (a ticket class, a perk) is one TigerBeetle ledger with three accounts:
//
//	operator ── fund ──▶ budget ── hold, perk, rebook ──▶ spent
//	                       ▲                                │
//	                       └──────────── return ────────────┘
//
// The budget carries debits_must_not_exceed_credits, and pending transfers count. So the
// ledger itself refuses to oversell, however many processes sell. The quota of a sale is
// a stock of the same shape with a budget account for each buyer, so the limit per buyer
// needs no lock either. A sale that allows a buyer only one open checkout has one more
// such stock: a hold takes 1, and whatever ends the hold gives it back.
//
// Canceling a sale drains it: what is available goes back from budget to operator, so
// nothing can be held any more.
//
// A hold is one linked chain of pending transfers, one for each line and then the buyer's
// quota: all or nothing. Posting sells it, voiding frees it, and its timeout frees it if
// no worker is left to do so.
//
// Every operation of a Book may be repeated: transfer ids are the order id plus a slot,
// so the ledger recognises what it did before. To resolve an unknown outcome, ask again.
//
// Anything that implements tigerbeetle_go.Client can be the ledger. The package knows
// nothing about workflows, money or the database.
package ledger

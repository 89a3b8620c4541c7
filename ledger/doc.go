// Package ledger keeps the box office's books in TigerBeetle: what a sale has
// to sell, what is held, what is sold.
//
// A stock (a ticket class, a perk) is one TigerBeetle ledger with three
// accounts:
//
//	operator ── fund ──▶ budget ── hold, perk, rebook ──▶ spent
//	                       ▲                                │
//	                       └──────────── return ────────────┘
//
// The budget carries debits_must_not_exceed_credits, and pending transfers
// count: overselling is refused by the ledger itself, however many processes
// sell. The quota of a sale is a stock of the same shape with a budget account
// for each buyer, so that the limit per buyer needs no lock either. A sale that allows
// a buyer only one open checkout has one more such stock: a hold takes 1, and
// whatever ends the hold gives it back.
//
// A sale that is canceled is drained: what is available goes back from budget to
// operator, so that nothing can be held any more.
//
// A hold is one linked chain of pending transfers, a line each and then the
// buyer's quota: all or nothing. Posting sells it, voiding frees it, and its
// timeout frees it if no worker is left to do so.
//
// Every operation of a Book may be repeated: transfer ids are the order id and
// a slot, so the ledger recognises what it did before. So an unknown outcome
// is resolved by asking again.
//
// The package does not choose a ledger: anything that implements
// tigerbeetle_go.Client will do. It knows nothing of workflows, money or the
// database.
package ledger

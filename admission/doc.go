// Package admission decides which checkouts reach the engine: Temporal, a worker and
// the ledger. It answers most requests of a rush from memory, so that the engine is
// asked only for what it can sell, and for no more at a time than it keeps up with.
//
// [Admission.Hold] is the way from a key to a hold. In this order:
//
//  1. the sale, by the catalog. CodeNotFound.
//  2. the key: the client's own, or in a sale with a waiting room the one that an
//     admitted token stands for. CodeQueueRequired.
//  3. the order: what is wanted must be something that the sale has. CodeInvalid.
//  4. the gate: a key that has an answer passes, whatever has happened to the sale since.
//     Any other is refused where the sale is closed ([domain.Sale.WhyClosed]: not open yet, canceled), or where the
//     ledger has too few seats. No request of its own is made for that.
//  5. the clocks: while they differ too much, nothing is sold. CodeClocksDiffer.
//  6. the buyer's rate, the breaker of the checkouts, the time that the request has left.
//  7. the bound: so many checkouts at a time as the engine answers in time. Above it a
//     checkout waits in the line for a permit, and asks the gate again when it gets one.
//  8. the Desk, through the breaker: it finds the checkout of the key or starts it, and waits for the ledger's verdict.
//
// Refusals 1 to 7 bind no key: nothing was started, and the same key may be sent again.
// [Admission.RefuseAtOnce] is the short way to the refusals that need no more than memory.
//
// Payments are admitted too ([Admission.Pay]): always, except while their part is known to be
// away. How long they take is half of what the bound goes by, because they share the engine with
// checkouts and go first.
package admission

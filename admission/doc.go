// Package admission decides which checkouts reach the engine: Temporal, a worker and
// the ledger. It answers most requests of a rush from memory, so that the engine is
// asked only for what it can sell, and for no more at a time than it keeps up with.
//
// [Admission.Hold] is the way from a key to a hold. In this order:
//
//  1. the sale, from the catalog. CodeNotFound.
//  2. the key: the client's own, or, in a sale with a waiting room, the one that an
//     admitted token stands for. CodeQueueRequired.
//  3. the order: the sale must have what the buyer asks for. CodeInvalid.
//  4. the gate: a key that has an answer passes, whatever has happened to the sale since.
//     Any other is refused if the sale is closed ([domain.Sale.WhyClosed]: not open yet,
//     canceled), or if the ledger has too few seats. This takes no request of its own.
//  5. the clocks: while they differ too much, nothing is sold. CodeClocksDiffer.
//  6. the buyer's rate, the breaker of the checkouts, the time that the request has left.
//  7. the bound: as many checkouts at a time as the engine answers in time. Above it, a
//     checkout waits in the line for a permit, and asks the gate again when it gets one.
//  8. the Desk, through the breaker: it finds the key's checkout or starts it, and waits
//     for the ledger's verdict.
//
// Refusals 1 to 7 bind no key: nothing was started, and the same key may be sent again.
// [Admission.RefuseAtOnce] is the short way to the refusals that only need memory.
//
// Payments are admitted too ([Admission.Pay]): always, except while their part is known
// to be away. They share the engine with checkouts and go first, so the time that they
// take decides the bound together with the holds'.
package admission

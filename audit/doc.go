// Package audit checks that the ledger, the orders database, Temporal and the payment
// provider agree about a sale: the invariants that `boxoffice verify` prints and that
// every fault test ends with.
//
// It only reads, and knows the four sources only through the small interfaces that it
// defines. It acts on one kind of finding, through another package: if the report of a
// payment was lost, the Inspector has the payment delivered to its checkout.
//
// # Reading a system in motion
//
// The four cannot be read at the same moment, so a checkout that settles meanwhile could
// look broken. Four rules tell that from a real fault:
//
//  1. Effects are read before their causes: the tickets, then the ledger's
//     transfers, then the provider's captures. A ticket that was seen had its
//     capture before, so it is found.
//  2. The open workflows are read first and once more at the end. What concerns
//     an order with an open workflow is in flight: listed, not an error. A
//     workflow that never ends is its own invariant, and seats that were sold
//     must have their tickets within 50 s even while it is open.
//  3. A stock's balances are read before and after its transfers, and are only
//     compared with them where they did not move.
//  4. What still looks broken is checked again after a pause, with
//     everything read anew. Only what is seen twice is broken, and only once
//     Temporal was asked about that very order: its list of open workflows lags
//     behind, its answer about one does not.
//
// A source that does not answer breaks nothing: the report says "not looked at" for what
// needs it, which is a verdict of its own.
//
// # Whose money it is
//
// The provider does not know sales. A payment belongs to the sale that recorded it, else
// to the sale in whose ledger its order was ever placed. What belongs to no sale is in a
// report of its own (see RunLone) and in no other.
package audit

// Package audit checks that the ledger, the orders database, Temporal and the
// payment provider tell the same story about a sale: the invariants that
// `boxoffice verify` prints and that every fault test ends with.
//
// It only reads. It repairs nothing, and it knows none of the four sources
// beyond the small interfaces that it defines.
//
// # Reading a system that does not stand still
//
// The four are not read at one moment, so a checkout that settles meanwhile
// could look broken. Three rules keep that apart from the real thing:
//
//  1. Effects are read before their causes: the tickets, then the ledger's
//     transfers, then the provider's captures. A ticket that was seen had its
//     capture before, so it is found.
//  2. The open workflows are read first and once more at the end. What concerns
//     an order with an open workflow is in flight: listed, not an error. A
//     workflow that never ends is its own invariant, and seats that were sold
//     must have their tickets within 30 s even while it is open.
//  3. What then still looks broken is looked at again after a pause, with
//     everything read anew. Only what is seen twice is broken. The pause also
//     covers the lag of Temporal's visibility store.
package audit

// Package waitingroom lets people wait for their turn to check out, and lets in as many
// as the checkouts sustain.
//
// A token carries the place: its global join index, signed. So nothing is stored for a
// buyer, any node answers any token, and a node that dies loses nobody's place. Those who
// joined before the opening are drawn (a keyed permutation whose seed was committed to,
// see Draw); later arrivals are served in order. The door is a watermark in places. The
// nodes share it, and the count of joins, through one row per sale, in one small
// transaction per node every ExchangeInterval.
//
// It keeps no stock: an admitted buyer may still find the sale sold out. It does not
// check who is a person: one person may hold several places, of which the ledger's quota
// lets them use one buyer's worth.
//
// Errors are *domain.Error. A failure is definite, because without a token nobody holds a
// place.
package waitingroom

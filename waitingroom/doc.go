// Package waitingroom lets people wait for their turn to check out, and lets in
// as many as the checkouts sustain.
//
// A token carries the place: its global join index, signed. So nothing is
// stored for a buyer, any node answers any token, and a node that dies loses
// nobody's place. Whoever joined before the opening is drawn (a keyed permutation
// whose seed was committed to, see Draw); later arrivals are served in order.
// The door is a watermark in places; the nodes share it and the count of joins
// through one row a sale, in one small transaction a node every ExchangeInterval.
//
// It does not keep stock: an admitted buyer may still find the sale sold out. And it
// does not check for people: one person may hold several places, of which the ledger's
// quota lets them use one buyer's worth.
//
// Errors are *domain.Error: a failure is definite, because without a token nobody
// holds a place.
package waitingroom

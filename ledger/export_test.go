package ledger

import "boxoffice/domain"

// What the tests of this package, which use it from outside, need to see.
var (
	WithTakingsPageMax = withTakingsPageMax
	RefusedSession     = refusedSession
)

const BatchEventsMax = batchEventsMax

// TransferID gives the id of a transfer of an order.
func TransferID(order domain.OrderID, slotOfIt byte) [16]byte {
	return transferID(order, slot(slotOfIt)).Bytes()
}

package domain

import "slices"

// OrderStatus is what a buyer, an organiser and the database are told of an
// order.
type OrderStatus string

// The states of an order. Held is the only one that waits for somebody;
// Refunding waits for the provider; the others are endings.
const (
	OrderHeld      OrderStatus = "held"
	OrderPaid      OrderStatus = "paid"
	OrderFailed    OrderStatus = "failed"
	OrderCanceled  OrderStatus = "canceled"
	OrderExpired   OrderStatus = "expired"
	OrderRefunding OrderStatus = "refunding"
	OrderRefunded  OrderStatus = "refunded"

	// Pending, SoldOut and LimitReached never reach a buyer as an order's
	// status: before the ledger answered there is no order, and a refusal is
	// the answer to the request.
	OrderPending      OrderStatus = "pending"
	OrderSoldOut      OrderStatus = "sold_out"
	OrderLimitReached OrderStatus = "limit_reached"
)

// OrderStatuses lists every state, in the order of a checkout's life.
var OrderStatuses = []OrderStatus{
	OrderPending, OrderSoldOut, OrderLimitReached, OrderHeld, OrderPaid, OrderFailed,
	OrderCanceled, OrderExpired, OrderRefunding, OrderRefunded,
}

// Settled reports whether the checkout has its ending: no payment is awaited
// any more.
func (s OrderStatus) Settled() bool {
	return s != OrderPending && s != OrderHeld
}

// Sold reports whether the order's tickets were recorded, refunded since or
// not.
func (s OrderStatus) Sold() bool {
	return slices.Contains([]OrderStatus{OrderPaid, OrderRefunding, OrderRefunded}, s)
}

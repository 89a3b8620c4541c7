package domain

import (
	"fmt"
	"maps"
	"slices"
)

// OrderStatus is the status of an order as buyers, organisers and the database see it.
// The table statuses below, and nothing else, says what a status means.
type OrderStatus string

// The states of an order, in the order of a checkout's life.
const (
	OrderPending      OrderStatus = "pending"       // the ledger has not answered yet
	OrderSoldOut      OrderStatus = "sold_out"      // the ledger refused: not enough tickets left
	OrderLimitReached OrderStatus = "limit_reached" // the ledger refused: the buyer's tickets or open checkouts are at the limit
	OrderHeld         OrderStatus = "held"
	OrderPaid         OrderStatus = "paid"
	OrderFailed       OrderStatus = "failed"
	OrderCanceled     OrderStatus = "canceled"
	OrderExpired      OrderStatus = "expired"
	OrderRefunding    OrderStatus = "refunding"
	OrderRefunded     OrderStatus = "refunded"
)

// OrderStatuses lists every state, in the order of a checkout's life.
var OrderStatuses = []OrderStatus{
	OrderPending, OrderSoldOut, OrderLimitReached, OrderHeld, OrderPaid, OrderFailed,
	OrderCanceled, OrderExpired, OrderRefunding, OrderRefunded,
}

// StatusTerms say what a status means to everything that acts on it.
type StatusTerms struct {
	// Settled: the checkout has ended and awaits no more payment.
	Settled bool
	// Waiting: the ledger, the buyer or the provider has to move it on. An order at rest
	// waits for none of them.
	Waiting bool
	// Final: nothing moves it any more. Late money can move an order from the other
	// endings.
	Final bool
	// Shown: an order can be shown with this status. Otherwise there is no order: the
	// request for the seats is answered with Problem.
	Shown   bool
	Problem Code
	// Tickets is the state of the order's tickets.
	Tickets TicketState
	// Seats is what the ledger has for the order. An order whose money goes back may also
	// never have had tickets: its seats went back before.
	Seats SeatFate
	// LateMoney says what happens to a payment that the checkout did not settle with.
	// LateReason says why it goes back, if it does.
	LateMoney  LateMoney
	LateReason RefundReason
	// Event is the event that tells other systems; empty: there is none.
	Event EventType
}

// TicketState says whether an order's tickets are good.
type TicketState string

// The states of tickets.
const (
	TicketsNone  TicketState = "none"
	TicketsValid TicketState = "valid"
	TicketsVoid  TicketState = "void" // they let nobody in any more
)

// LateMoney says what happens to a payment that comes after its checkout's end.
type LateMoney string

// What late money can do.
const (
	LateAwaited  LateMoney = "awaited"  // it is not late: the checkout takes it
	LateRebooks  LateMoney = "rebooks"  // it buys seats again if some are left, else it goes back
	LateRefunded LateMoney = "refunded" // it goes back
)

// statuses is the only table of what a status means. Code that needs more than it says
// has a switch without a guessing default, and a test that compares it with this table;
// see "Another ending" in docs/checkout.md.
var statuses = map[OrderStatus]StatusTerms{
	OrderPending: {
		Waiting: true, Problem: CodeInFlight,
		Tickets: TicketsNone, Seats: SeatsNeverHeld, LateMoney: LateAwaited,
	},
	OrderSoldOut: {
		Settled: true, Problem: CodeSoldOut,
		Tickets: TicketsNone, Seats: SeatsNeverHeld, LateMoney: LateRebooks, LateReason: RefundNoneLeft,
	},
	OrderLimitReached: {
		Settled: true, Problem: CodeLimitReached,
		Tickets: TicketsNone, Seats: SeatsNeverHeld, LateMoney: LateRebooks, LateReason: RefundNoneLeft,
	},
	OrderHeld: {
		Waiting: true, Shown: true,
		Tickets: TicketsNone, Seats: SeatsHeld, LateMoney: LateAwaited,
	},
	OrderPaid: {
		Settled: true, Shown: true,
		Tickets: TicketsValid, Seats: SeatsSold, LateMoney: LateRefunded, LateReason: RefundSecondCapture,
		Event: EventOrderPaid,
	},
	OrderFailed: {
		Settled: true, Shown: true,
		Tickets: TicketsNone, Seats: SeatsReleased, LateMoney: LateRebooks, LateReason: RefundNoneLeft,
	},
	OrderCanceled: {
		Settled: true, Shown: true,
		Tickets: TicketsNone, Seats: SeatsReleased, LateMoney: LateRefunded, LateReason: RefundCanceled,
	},
	OrderExpired: {
		Settled: true, Shown: true,
		Tickets: TicketsNone, Seats: SeatsReleased, LateMoney: LateRebooks, LateReason: RefundNoneLeft,
	},
	OrderRefunding: {
		Settled: true, Waiting: true, Shown: true,
		Tickets: TicketsVoid, Seats: SeatsSold, LateMoney: LateRefunded, LateReason: RefundSecondCapture,
		Event: EventOrderRefundBegun,
	},
	OrderRefunded: {
		Settled: true, Final: true, Shown: true,
		Tickets: TicketsVoid, Seats: SeatsReturned, LateMoney: LateRefunded, LateReason: RefundSecondCapture,
		Event: EventOrderRefunded,
	},
}

// Known reports whether s is one of the states above. A status from another process or
// from a store may come from a newer release: see Check.
func (s OrderStatus) Known() bool {
	_, known := statuses[s]
	return known
}

// Check is for a status that comes from outside. It returns an UnknownError for one that
// this release does not know: that is never a no.
func (s OrderStatus) Check() error {
	if s.Known() {
		return nil
	}
	return unknownValue("order status", string(s))
}

// Terms says what the status means. It panics if the status is not Known, so that no
// caller goes on with a guess.
func (s OrderStatus) Terms() StatusTerms {
	terms, known := statuses[s]
	if !known {
		panic(fmt.Sprintf("domain: no terms for order status %q", string(s)))
	}
	return terms
}

// Settled reports whether the checkout has ended: no payment is awaited any more.
func (s OrderStatus) Settled() bool { return s.Terms().Settled }

// Sold reports whether the order's tickets were recorded, even if they were refunded
// since.
func (s OrderStatus) Sold() bool { return s.Terms().Tickets != TicketsNone }

// ShownStatuses are the statuses that an order can be shown with.
func ShownStatuses() []OrderStatus {
	return slices.DeleteFunc(slices.Clone(OrderStatuses), func(s OrderStatus) bool { return !s.Terms().Shown })
}

// OrderEvents are the events about orders and money.
func OrderEvents() []EventType {
	events := map[EventType]bool{EventPaymentRefunded: true} // about money without an order
	for _, terms := range statuses {
		if terms.Event != "" {
			events[terms.Event] = true
		}
	}
	return slices.Sorted(maps.Keys(events))
}

// unknownValue is the error for a value that another release wrote.
func unknownValue(kind, value string) error {
	return &UnknownError{Op: "read", ID: kind, Err: fmt.Errorf("this release does not know %q: was it written by a newer one?", value)}
}

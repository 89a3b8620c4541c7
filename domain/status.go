package domain

import (
	"fmt"
	"maps"
	"slices"
)

// OrderStatus is what a buyer, an organiser and the database are told of an
// order. What a status means is in statuses, below, and nowhere else.
type OrderStatus string

// The states of an order, in the order of a checkout's life.
const (
	OrderPending      OrderStatus = "pending"       // the ledger has not answered yet
	OrderSoldOut      OrderStatus = "sold_out"      // it refused: not enough tickets left
	OrderLimitReached OrderStatus = "limit_reached" // it refused: the buyer's tickets, or their open checkouts
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

// StatusTerms say what a status means for everybody who acts on it.
type StatusTerms struct {
	// Settled: the checkout has its ending, and awaits no payment any more.
	Settled bool
	// Waiting: somebody else moves it on, the ledger, the buyer or the provider.
	// An order at rest is in none of these.
	Waiting bool
	// Final: nothing that happens moves it any more. From the other endings money
	// that comes late does.
	Final bool
	// Shown: it is a status that an order is shown with. Else there is no order:
	// the request for the seats is answered with Problem.
	Shown   bool
	Problem Code
	// Tickets are those of the order.
	Tickets TicketState
	// Seats are what the ledger has of the order. An order whose money goes back,
	// or went, may also be one that never had tickets: its seats went back before.
	Seats SeatFate
	// LateMoney is what becomes of a payment that its checkout did not settle with,
	// and LateReason why it goes back, if it does.
	LateMoney  LateMoney
	LateReason RefundReason
	// Event is what other systems read in the event log; empty: they hear nothing.
	Event EventType
}

// TicketState says what an order's tickets are worth.
type TicketState string

// The states of tickets.
const (
	TicketsNone  TicketState = "none"
	TicketsValid TicketState = "valid"
	TicketsVoid  TicketState = "void" // they let nobody in any more
)

// LateMoney is what becomes of a payment that comes after the end of its checkout.
type LateMoney string

// What late money can do.
const (
	LateAwaited  LateMoney = "awaited"  // it is not late: the checkout takes it
	LateRebooks  LateMoney = "rebooks"  // it buys seats again if some are left, else it goes back
	LateRefunded LateMoney = "refunded" // it goes back
)

// statuses is the one table of what a status means. Whoever needs more of a status
// than stands here has a switch without a default that guesses, and a test that
// holds it against this table; see "Another ending" in docs/checkout.md.
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

// Known reports whether s is one of the states above. What comes from another
// process or from a store may be of a newer release: see Check.
func (s OrderStatus) Known() bool {
	_, known := statuses[s]
	return known
}

// Check is for a status from outside: the error says that this release does not
// know it, and is unknown to us, never a no.
func (s OrderStatus) Check() error {
	if s.Known() {
		return nil
	}
	return unknownValue("order status", string(s))
}

// Terms say what the status means. They panic for one that is not Known: no
// caller goes on with a guess.
func (s OrderStatus) Terms() StatusTerms {
	terms, known := statuses[s]
	if !known {
		panic(fmt.Sprintf("domain: no terms for order status %q", string(s)))
	}
	return terms
}

// Settled reports whether the checkout has its ending: no payment is awaited
// any more.
func (s OrderStatus) Settled() bool { return s.Terms().Settled }

// Sold reports whether the order's tickets were recorded, refunded since or
// not.
func (s OrderStatus) Sold() bool { return s.Terms().Tickets != TicketsNone }

// ShownStatuses are those that an order is shown with.
func ShownStatuses() []OrderStatus {
	return slices.DeleteFunc(slices.Clone(OrderStatuses), func(s OrderStatus) bool { return !s.Terms().Shown })
}

// OrderEvents are the events that tell of orders and of money.
func OrderEvents() []EventType {
	events := map[EventType]bool{EventPaymentRefunded: true} // of money without an order
	for _, terms := range statuses {
		if terms.Event != "" {
			events[terms.Event] = true
		}
	}
	return slices.Sorted(maps.Keys(events))
}

// unknownValue is the error of a value that another release wrote.
func unknownValue(kind, value string) error {
	return &UnknownError{Op: "read", ID: kind, Err: fmt.Errorf("this release does not know %q: was it written by a newer one?", value)}
}

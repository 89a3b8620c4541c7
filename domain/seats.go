package domain

import "time"

// SeatFate is what happened to an order's seats, as the ledger has it.
type SeatFate string

// The fates of seats.
const (
	SeatsNeverHeld SeatFate = "never_held" // no hold was placed, or the ledger refused it
	SeatsHeld      SeatFate = "held"       // set aside: they may still be sold
	SeatsReleased  SeatFate = "released"   // the hold was voided or expired, and nothing was sold since
	SeatsSold      SeatFate = "sold"       // posted or rebooked
	SeatsReturned  SeatFate = "returned"   // sold and given back: never sold to it again
)

// BookedOrder is what the ledger still knows about an order that it sold: everything but
// the buyer and the price paid.
type BookedOrder struct {
	Fate        SeatFate // SeatsSold or SeatsReturned; otherwise everything below is empty
	Booking     Booking
	Lines       []BookedLine // in the order's own sequence
	Buyer       BuyerID
	QuotaLedger uint32
	PerkLedger  uint32        // 0: it did not get the sale's perk
	Code        *ClassCodeRef // that it used; nil: none
	SoldAt      time.Time
}

// A BookedLine is one line of a BookedOrder.
type BookedLine struct {
	Ledger   uint32
	Quantity int64
}

// RememberedOrder is what Temporal still knows about an order. After its retention that
// is nothing.
type RememberedOrder struct {
	Open    bool   // its checkout has not ended
	Order   *Order // what was asked for, and by whom; nil: not known any more
	Payment string // the payment that bought it; empty: not known
	Session string // the session in which it was paid
	PaidAt  time.Time
}

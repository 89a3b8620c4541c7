package domain

import "time"

// SeatFate is what became of an order's seats, by the ledger.
type SeatFate string

// The fates of seats.
const (
	SeatsNeverHeld SeatFate = "never_held" // not placed, or refused
	SeatsHeld      SeatFate = "held"       // set aside: they may still be sold
	SeatsReleased  SeatFate = "released"   // the hold was voided or has expired, and nothing was sold since
	SeatsSold      SeatFate = "sold"       // posted or rebooked
	SeatsReturned  SeatFate = "returned"   // sold and given back: never sold again
)

// BookedOrder is what the ledger still knows of an order that it sold: all but
// who the buyer is and what was paid.
type BookedOrder struct {
	Fate        SeatFate // SeatsSold or SeatsReturned, else all below is empty
	Booking     Booking
	Lines       []BookedLine // in the order's own sequence
	Buyer       BuyerID
	QuotaLedger uint32
	PerkLedger  uint32 // 0: it did not get the sale's perk
	SoldAt      time.Time
}

// A BookedLine is one line of a BookedOrder.
type BookedLine struct {
	Ledger   uint32
	Quantity int64
}

// RememberedOrder is what Temporal still knows of an order, which is nothing after
// its retention.
type RememberedOrder struct {
	Open    bool   // its checkout has not ended
	Order   *Order // what was asked for, and by whom; nil: not known any more
	Payment string // that bought it; empty: not known
	Session string // in which it was paid
	PaidAt  time.Time
}

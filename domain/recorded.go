package domain

import "time"

// A RecordedOrder is what an audit needs to know about a sold order, as the database has
// it.
type RecordedOrder struct {
	ID        OrderID
	Status    OrderStatus // paid, refunding or refunded
	Payment   string
	Session   string
	PerkTaken bool
	Tickets   map[string]int64 // how many are stored, by class

	AmountMinor int64  // what was paid, as recorded
	Currency    string // of the payment
	LinesMinor  int64  // what the lines cost together
}

// An EventCount compares the number of events of one kind with the number of rows that they are about.
type EventCount struct {
	Event  EventType
	Events int64
	Rows   int64
	// Lone lists some of the payments that have only one of the two.
	Lone []string
}

// The readers whose effects are rows of the orders database. Cursors and effects are
// stored under these names, so they never change.
const (
	ReaderMail     = "mail"
	ReaderWebhooks = "webhooks"
)

// A ReaderCount compares the events that a reader has read with what it made of them.
type ReaderCount struct {
	// Reader is ReaderMail or ReaderWebhooks. Empty: the count is of the positions of all
	// readers in the log.
	Reader string
	// Owed counts the effects that the events call for; Done counts those of them that
	// are there, once and as they should be.
	Owed, Done int64
	// Faults lists some of the others.
	Faults []ReaderFault
}

// A ReaderFault is an event, or a position in the log, that a reader got wrong.
type ReaderFault struct {
	ID    string  `json:"id"`
	Order OrderID `json:"order,omitzero"`
	What  string  `json:"what"`
}

// A StockUse is what one order has of one stock, by the ledger's own transfers.
type StockUse struct {
	Order  OrderID
	Held   int64     // pending: neither posted, voided nor expired
	Sold   int64     // posted, rebooked or taken, less what was returned
	SoldAt time.Time // the ledger's time of the last sale; zero: never sold
}

// A Quota is what all buyers together have used of a limit: the tickets of a sale, or
// open checkouts.
type Quota struct {
	Held, Sold int64 // by the ledger's balance
	Uses       []QuotaUse
	Moved      bool // the balance changed while the uses were read
}

// A ClassCodeQuota is the uses of a sale's codes for hidden classes. In a QuotaUse of it, Buyer has the
// bytes of the code's id.
type ClassCodeQuota struct {
	Quota
	Budgets map[ClassCodeID]int64 // how often each code may be used
}

// A QuotaUse is what one order has used of its buyer's quota.
type QuotaUse struct {
	StockUse
	Buyer BuyerID
}

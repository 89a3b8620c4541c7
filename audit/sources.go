package audit

import (
	"context"
	"iter"
	"time"

	"boxoffice/domain"
)

// Sources are the four that must agree.
type Sources struct {
	Ledger    Ledger
	Orders    Orders
	Provider  Provider
	Workflows Workflows
}

// Ledger is where the seats are counted.
type Ledger interface {
	// Stock returns the level of every class of the sale, and of its perk.
	Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
	// Bookings adds up the transfers of a class or a perk by order. Each order
	// comes at most once; those that have nothing of it any more may be left out.
	Bookings(ctx context.Context, ledger uint32) ([]Booking, error)
	// Quota is what all buyers together have of the sale's quota, and what each
	// order takes of it, by order as with Bookings.
	Quota(ctx context.Context, sale *domain.Sale) (Quota, error)
}

// A Booking is what one order has in one stock.
type Booking struct {
	Order    domain.OrderID
	Pending  int64     // held: neither posted, voided nor expired
	Posted   int64     // sold: posted or rebooked, less what was returned
	PostedAt time.Time // the ledger's time of the last sale
}

// A Quota limits how many tickets of a sale a buyer may have.
type Quota struct {
	Held, Sold int64 // by the ledger's balance, over all buyers
	Uses       []QuotaUse
}

// A QuotaUse is what one order has of its buyer's quota.
type QuotaUse struct {
	Booking
	Buyer domain.BuyerID
}

// Orders is the database of what was sold.
type Orders interface {
	// RecordedOrders streams the orders of a sale.
	RecordedOrders(ctx context.Context, saleID string) iter.Seq2[Order, error]
	// RecordedRefunds streams the refunds of a sale, and those of no sale (the
	// order is unknown).
	RecordedRefunds(ctx context.Context, saleID string) iter.Seq2[domain.Refund, error]
	// RecordedPayments returns those of the payments that bought tickets or are
	// refunded, in whatever sale.
	RecordedPayments(ctx context.Context, payments []string) (map[string]bool, error)
	// EventCounts counts the outbox's events and what they tell of, in one
	// snapshot.
	EventCounts(ctx context.Context, saleID string) ([]EventCount, error)
}

// An Order is a sold order as the database has it.
type Order struct {
	ID        domain.OrderID
	Status    domain.OrderStatus // paid, refunding or refunded
	Payment   string
	Session   string
	PerkTaken bool
	Tickets   map[string]int64 // how many are stored, by class

	AmountMinor int64  // what was paid, as recorded
	Currency    string // of the payment
	LinesMinor  int64  // what the lines cost together
}

// An EventCount sets the events of one kind against the rows that they tell of.
type EventCount struct {
	Event  string
	Events int64
	Rows   int64
}

// Provider is the payment provider's own log: the oracle for money.
type Provider interface {
	// Captures streams every payment that was taken, of all sales.
	Captures(ctx context.Context) iter.Seq2[domain.Capture, error]
	// Refunds streams every payment that was given back, of all sales.
	Refunds(ctx context.Context) iter.Seq2[Returned, error]
	// Deliveries streams the webhooks that we acknowledged with 2xx.
	Deliveries(ctx context.Context) iter.Seq2[domain.PaymentEvent, error]
	// KnowsSession reports whether a buyer ever opened a session at the provider.
	KnowsSession(ctx context.Context, session string) (bool, error)
}

// Returned is a payment that the provider has given back.
type Returned struct {
	Payment     string
	AmountMinor int64
	Currency    string
}

// Workflows is Temporal's view.
type Workflows interface {
	// Unfinished streams the workflows of all sales that are open, and those
	// that closed otherwise than by completing (failed, terminated, timed out).
	Unfinished(ctx context.Context) iter.Seq2[Workflow, error]
}

// A Workflow is a checkout, a late payment or a refund that has not completed.
type Workflow struct {
	ID        string // such as checkout/<order>
	Order     domain.OrderID
	SaleID    string // empty where it is not known
	StartedAt time.Time
	Deadline  time.Time // when it should end by itself; zero: as soon as it can
	Failed    bool      // closed without completing
}

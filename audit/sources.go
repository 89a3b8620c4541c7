package audit

import (
	"context"
	"iter"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
)

// Sources are the four sources that must agree.
type Sources struct {
	Ledger    Ledger
	Orders    Orders
	Provider  Provider
	Workflows Workflows
	// Since returns the Provider with lists that may begin at a moment. Nil: they are whole.
	Since func(time.Time) Provider
}

// A Source is one of the four, as reports name it.
type Source string

// The sources.
const (
	SourceLedger   Source = "the ledger"
	SourceOrders   Source = "the orders database"
	SourceProvider Source = "the payment provider"
	SourceTemporal Source = "Temporal"
)

// AllSources are all four.
var AllSources = []Source{SourceLedger, SourceOrders, SourceProvider, SourceTemporal}

// Invariants are the ids of all results.
var Invariants = []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "L"}

// Ledger counts the seats.
type Ledger interface {
	// Stock returns the level of every class of the sale, and of its perk.
	Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
	// BookedCapacity adds up what was funded, raised and lowered of a class.
	BookedCapacity(ctx context.Context, ledger uint32) (domain.BookedCapacity, error)
	// Bookings adds up the transfers of a class or a perk by order. Each order comes at
	// most once; orders that have nothing of it any more may be left out.
	Bookings(ctx context.Context, ledger uint32) ([]domain.StockUse, error)
	// Quota is what limits each buyer in one of the sale's ledgers: the quota of tickets,
	// or open checkouts.
	Quota(ctx context.Context, sale *domain.Sale, ledger uint32) (domain.Quota, error)
	// ClassCodeQuota is the same for the codes of a sale with hidden classes.
	ClassCodeQuota(ctx context.Context, sale *domain.Sale) (domain.ClassCodeQuota, error)
	// Placed says in which ledger each order ever held or bought something, whatever
	// happened to it since. A missing order never did.
	Placed(ctx context.Context, orders []domain.OrderID) (map[domain.OrderID]uint32, error)
	// SeatFates says what happened to the seats of each order.
	SeatFates(ctx context.Context, orders []domain.OrderID) (map[domain.OrderID]domain.SeatFate, error)
}

// Orders is the database of what was sold.
type Orders interface {
	// RecordedCapacities are the capacities of a sale's classes, now.
	RecordedCapacities(ctx context.Context, saleID string) ([]domain.RecordedCapacity, error)
	// RecordedOrders streams the orders of a sale.
	RecordedOrders(ctx context.Context, saleID string) iter.Seq2[domain.RecordedOrder, error]
	// RecordedRefunds streams the refunds of a sale; with an empty id, those of no sale
	// (the order is unknown).
	RecordedRefunds(ctx context.Context, saleID string) iter.Seq2[domain.Refund, error]
	// RecordedReversals streams the disputes of a sale's payments and the refunds of them
	// that were made elsewhere; with an empty id, of payments of no sale.
	RecordedReversals(ctx context.Context, saleID string) iter.Seq2[domain.Reversal, error]
	// RecordedPayments returns those of the payments that bought tickets or are
	// refunded, in whatever sale.
	RecordedPayments(ctx context.Context, payments []string) (map[string]bool, error)
	// EventCounts counts the events of a sale and what they tell of, in one snapshot;
	// with an empty id, those of no sale.
	EventCounts(ctx context.Context, saleID string) ([]domain.EventCount, error)
	// ReaderCounts compares what readers have read of a sale's events with what they made
	// of them, in one snapshot; with an empty id, events of no sale and the readers'
	// positions in the log.
	ReaderCounts(ctx context.Context, saleID string) ([]domain.ReaderCount, error)
	// CheckFigures compares the view of a sale with what is on record, in one snapshot;
	// with an empty id, of what belongs to no sale.
	CheckFigures(ctx context.Context, saleID string) (domain.FigureCheck, error)
}

// Provider is the payment providers' own record, a payments.Set: it decides about money.
type Provider interface {
	// Captures streams every payment that was taken, of all sales.
	Captures(ctx context.Context) iter.Seq2[domain.Capture, error]
	// Authorizations streams every payment that is authorised and was neither captured nor
	// released, of all sales.
	Authorizations(ctx context.Context) iter.Seq2[domain.Capture, error]
	// Refunds streams every payment that was given back, of all sales.
	Refunds(ctx context.Context) iter.Seq2[Returned, error]
	// Disputes streams every dispute as it is now, of all sales.
	Disputes(ctx context.Context) iter.Seq2[domain.Reversal, error]
	// Deliveries streams the webhooks that we acknowledged with 2xx.
	Deliveries(ctx context.Context) iter.Seq2[domain.PaymentEvent, error]
	// KnowsSession reports whether a buyer ever opened a session at the provider.
	KnowsSession(ctx context.Context, session string) (bool, error)
}

// Returned is a payment that the provider has given back.
type Returned = payments.Refunded

// Workflows is Temporal's view.
type Workflows interface {
	// Unfinished streams the workflows of a sale that are open, and those that closed
	// without completing (failed, terminated, timed out), and may stream those of other sales;
	// of nil, the workflows of all.
	Unfinished(ctx context.Context, sale *domain.Sale) iter.Seq2[domain.Workflow, error]
	// Look asks about one workflow by its id. Its answer is true now, while Unfinished
	// lags.
	Look(ctx context.Context, id string) (domain.WorkflowLook, error)
	// Working returns the id of a workflow that works on an order, or on a payment for it
	// (empty: none is known), or did since then: its checkout before others. Empty: none
	// does. It does not lag either.
	Working(ctx context.Context, order domain.OrderID, payment string, since time.Time) (workflowID string, err error)
}

package admission

import (
	"context"

	"boxoffice/domain"
)

// A Desk runs checkouts. Every method may also fail with *domain.UnknownError:
// the outcome is not known and the same call may be repeated.
type Desk interface {
	// Start starts the checkout of an order, or finds the one that the same
	// Idempotency-Key started before, and waits for the ledger's verdict on the hold. It
	// fails with a *domain.Error: CodeInFlight while the first request has no verdict
	// yet, CodeKeyReused if the order's fingerprint differs from the first one's,
	// CodeOverloaded if nothing was started.
	Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error)
	// State is what the checkout knows about itself, open or closed. CodeNotFound: there
	// is no checkout with that id, or its history was dropped after retention.
	State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error)
	// Pay delivers a verified event of the payment provider. CodeNotFound if neither we
	// nor the provider know the order.
	Pay(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error)
}

// Sales is the database of sales on offer.
type Sales interface {
	// Sale finds a sale that is on offer. CodeNotFound.
	Sale(ctx context.Context, id string) (*domain.Sale, error)
	// Sales lists the sales on offer, newest first.
	Sales(ctx context.Context) ([]*domain.Sale, error)
}

// Books is what is read from the ledger before anything is held.
type Books interface {
	// Stock reads the level of every class and of the perk.
	Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
	// Known reports whether the order was ever held, whatever happened to it, or refused
	// because of its buyer's limit. Then the Desk has its answer.
	Known(ctx context.Context, order *domain.Order) (bool, error)
	// ClassCode reads a code for the hidden classes of a sale. CodeClassCodeRefused: the sale
	// has none like it.
	ClassCode(ctx context.Context, sale *domain.Sale, id domain.ClassCodeID) (domain.ClassCode, error)
	// Takings reads, page by page, which orders have ever held seats of a sale. It
	// includes what an earlier answer of Stock counted as held or sold.
	Takings(ctx context.Context, sale *domain.Sale, from domain.TakingsCursor) (domain.TakingsPage, error)
}

// Rooms are the waiting rooms of the sales that have one.
type Rooms interface {
	// Enter returns the idempotency key that an admitted token stands for, always the
	// same. CodeQueueRequired: no token, not one for this sale, or not its turn yet.
	Enter(ctx context.Context, sale *domain.Sale, token string) (key string, err error)
}

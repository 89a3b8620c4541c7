// Package capacity raises and lowers the capacity of classes while their sale runs.
//
// A change is three steps: it is noted in the database, booked in the ledger, and settled in
// the database. Each may be repeated, and a change that broke off is finished by whoever comes
// next: the organiser who repeats the request, the next change of that class, the sale's
// cancellation, or the upkeep. Only one change of a class is under way at a time. The ledger
// decides: it never gives up what is held or sold, whatever happens at the same time.
package capacity

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"boxoffice/domain"
	"boxoffice/pace"
)

// A Store notes changes.
type Store interface {
	// BeginCapacityChange notes a change, or returns the one that was noted under its id, or
	// another one that is under way and must be settled first.
	BeginCapacityChange(
		ctx context.Context,
		wanted domain.CapacityChange,
		booked func(ctx context.Context, ledger uint32) (domain.BookedCapacity, error),
	) (domain.CapacityChange, error)
	// SettleCapacityChange notes what became of it, once.
	SettleCapacityChange(ctx context.Context, id domain.CapacityChangeID, outcome domain.CapacityOutcome, at time.Time) (domain.CapacityChange, error)
	// OpenCapacityChanges lists those of a sale, or of all, that are not settled.
	OpenCapacityChanges(ctx context.Context, saleID string, before time.Time, limit int) ([]domain.CapacityChange, error)
}

// A Ledger books changes.
type Ledger interface {
	// ChangeCapacity books a change once. False: fewer are available than it takes away.
	ChangeCapacity(ctx context.Context, c *domain.CapacityChange) (bool, error)
	// BookedCapacity is the capacity of a class by the books.
	BookedCapacity(ctx context.Context, ledger uint32) (domain.BookedCapacity, error)
}

const (
	// othersMax is how many changes of others one request settles before it gives up.
	othersMax = 8
	// Upkeep settles what is open for longer than brokenOffAfter, every upkeepInterval. Who
	// asked has had their answer by then.
	upkeepInterval = 15 * time.Second
	brokenOffAfter = 30 * time.Second
	upkeepMax      = 100
)

// Changes makes them.
type Changes struct {
	Store  Store
	Ledger Ledger
	Now    func() time.Time // nil: time.Now
}

// Change gives a class of a sale another capacity. The same sale and key are the same change
// and get the same answer, also when it was refused.
//
// Errors: a *domain.Error with CodeCapacityInUse if more is held and sold than the new
// capacity; CodeInvalid, CodeNotFound, CodeSaleCanceled, CodeKeyReused, CodeInFlight while
// others change the class. After any other it is not known whether it was done: repeat it.
func (c *Changes) Change(ctx context.Context, saleID, class, key string, capacity int64) (domain.CapacityChange, error) {
	if capacity < 1 || capacity > domain.CapacityMax {
		return domain.CapacityChange{}, domain.Invalid("capacity", fmt.Sprintf("must be 1–%d", domain.CapacityMax))
	}
	wanted := domain.CapacityChange{ID: domain.NewCapacityChangeID(saleID, key), SaleID: saleID, Class: class, After: capacity, AskedAt: c.now()}
	for range othersMax {
		begun, err := c.Store.BeginCapacityChange(ctx, wanted, c.Ledger.BookedCapacity)
		if err != nil {
			return domain.CapacityChange{}, err
		}
		if begun, err = c.settle(ctx, begun); err != nil {
			return domain.CapacityChange{}, err
		}
		switch {
		case begun.ID != wanted.ID: // it was another's: now it is ours
		case begun.Outcome == domain.CapacityReused:
			return begun, &domain.Error{Code: domain.CodeKeyReused, Detail: "The capacity was changed before under this key, by another number."}
		case begun.Outcome == domain.CapacityRefused:
			return begun, &domain.Error{
				Code:   domain.CodeCapacityInUse,
				Detail: fmt.Sprintf("Class %s had more than %d tickets held and sold. A new try takes a new Idempotency-Key.", class, capacity),
			}
		default:
			return begun, nil
		}
	}
	return domain.CapacityChange{}, &domain.Error{
		Code: domain.CodeInFlight, Detail: "Others change the capacity of this class. Repeat the request with the same key.",
	}
}

// settle finishes a change that is open.
func (c *Changes) settle(ctx context.Context, change domain.CapacityChange) (domain.CapacityChange, error) {
	if change.Outcome != domain.CapacityOpen {
		return change, nil
	}
	outcome := domain.CapacityRefused
	switch done, err := c.Ledger.ChangeCapacity(ctx, &change); {
	case domain.CodeOf(err) == domain.CodeKeyReused && err != nil:
		outcome = domain.CapacityReused
	case err != nil:
		return change, err
	case done:
		outcome = domain.CapacityChanged
	}
	return c.Store.SettleCapacityChange(ctx, change.ID, outcome, c.now())
}

// SettleOpen finishes every change of a sale that is under way; with an empty id, those of
// all sales that broke off.
func (c *Changes) SettleOpen(ctx context.Context, saleID string) error {
	before := c.now().Add(time.Hour) // those that another node's clock asked for, too
	if saleID == "" {
		before = c.now().Add(-brokenOffAfter)
	}
	open, err := c.Store.OpenCapacityChanges(ctx, saleID, before, upkeepMax)
	if err != nil {
		return err
	}
	for _, change := range open {
		if _, settleErr := c.settle(ctx, change); settleErr != nil && err == nil {
			err = fmt.Errorf("sale %s, class %s: %w", change.SaleID, change.Class, settleErr)
		}
	}
	return err
}

// Start finishes what broke off, from time to time, until stop.
func (c *Changes) Start(log *slog.Logger) (stop func()) {
	return pace.Every(upkeepInterval, func(ctx context.Context) {
		if err := c.SettleOpen(ctx, ""); err != nil && ctx.Err() == nil {
			log.Warn("capacity: a change that broke off cannot be finished yet", "error", err)
		}
	})
}

func (c *Changes) now() time.Time {
	if c.Now != nil {
		return c.Now().UTC()
	}
	return time.Now().UTC()
}

// A Drainer ends a sale in the ledger.
type Drainer interface {
	Drain(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
}

// Drain is a Drainer that first finishes the changes of the sale's capacity: one that is
// booked after the last drain would leave tickets on sale.
type Drain struct {
	Changes *Changes
	Drainer Drainer
}

// Drain implements the Drainer.
func (d Drain) Drain(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	if err := d.Changes.SettleOpen(ctx, sale.ID); err != nil {
		return nil, err
	}
	return d.Drainer.Drain(ctx, sale)
}

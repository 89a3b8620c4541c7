package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// BeginCapacityChange notes that a class is to have another capacity, before the ledger is
// asked, and returns the change: the one of that id if it was noted before. Only one change of
// a class is under way at a time: if another one is, that is returned, and the caller must
// settle it and call again. Booked reads the class's capacity from the ledger; it is called
// while no other change of the class can begin. The ledger leads: if the record differs,
// because the database was put back, it is mended first.
//
// Errors: *domain.Error with CodeNotFound for a class that is not on offer, CodeSaleCanceled,
// CodeKeyReused if the id was used for another class or number; what booked returns.
func (s *Store) BeginCapacityChange(
	ctx context.Context,
	wanted domain.CapacityChange,
	booked func(ctx context.Context, ledger uint32) (domain.BookedCapacity, error),
) (domain.CapacityChange, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var begun domain.CapacityChange
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		capacity, err := lockClass(ctx, tx, &wanted)
		if err != nil {
			return err
		}
		changes, err := queryCapacityChanges(ctx, tx, `WHERE id = $1 OR ledger = $2 AND settled_at IS NULL`, wanted.ID[:], wanted.Ledger)
		if err != nil {
			return err
		}
		if len(changes) > 0 {
			itself := slices.IndexFunc(changes, func(c domain.CapacityChange) bool { return c.ID == wanted.ID })
			begun = changes[max(itself, 0)] // beside it there is at most the one that is under way
			return sameChange(&begun, &wanted)
		}
		if err := refuseCanceled(ctx, tx, wanted.SaleID); err != nil {
			return err
		}
		now, err := booked(ctx, wanted.Ledger)
		if err != nil {
			return err
		}
		begun = wanted
		begun.Before, begun.Outcome = now.Now(), domain.CapacityOpen
		if begun.Before != capacity {
			mended := domain.CapacityChange{SaleID: begun.SaleID, Class: begun.Class, Ledger: begun.Ledger, Before: capacity, After: begun.Before}
			if err := setCapacity(ctx, tx, &mended); err != nil {
				return err
			}
		}
		if begun.By() == 0 { // nothing to ask the ledger for
			begun.Outcome, begun.SettledAt = domain.CapacityChanged, begun.AskedAt
		}
		return insertCapacityChange(ctx, tx, &begun)
	})
	return begun, writeFailed("begin to change the capacity in sale", wanted.SaleID, err)
}

// lockSale locks the sale before its classes, as every change of it does. Orders that are recorded meanwhile do not wait.
func lockSale(ctx context.Context, tx pgx.Tx, saleID string) error {
	_, err := tx.Exec(ctx, `SELECT FROM sales WHERE id = $1 FOR NO KEY UPDATE`, saleID)
	return err
}

// lockClass locks the class, fills in its ledger and returns its capacity.
func lockClass(ctx context.Context, tx pgx.Tx, c *domain.CapacityChange) (capacity int64, err error) {
	if err := lockSale(ctx, tx, c.SaleID); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `
		SELECT t.ledger, t.capacity FROM sale_stocks t JOIN sales s ON s.id = t.sale_id AND s.funded_at IS NOT NULL
		WHERE t.sale_id = $1 AND t.kind = 'class' AND t.name = $2 FOR NO KEY UPDATE OF t`, c.SaleID, c.Class).Scan(&c.Ledger, &capacity)
	if errors.Is(err, pgx.ErrNoRows) {
		err = domain.NotFound("class of this sale")
	}
	return capacity, err
}

func refuseCanceled(ctx context.Context, tx pgx.Tx, saleID string) error {
	var canceled bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM sale_cancellations WHERE sale_id = $1)`, saleID).Scan(&canceled)
	if err == nil && canceled {
		return &domain.Error{Code: domain.CodeSaleCanceled, Detail: "The sale is canceled: nothing of it can be sold any more."}
	}
	return err
}

// sameChange refuses a key that comes again with another wish. A change with another id is
// one that is under way.
func sameChange(there, wanted *domain.CapacityChange) error {
	if there.ID != wanted.ID || there.SaleID == wanted.SaleID && there.Ledger == wanted.Ledger && there.After == wanted.After {
		return nil
	}
	return &domain.Error{Code: domain.CodeKeyReused, Detail: fmt.Sprintf("This key was used to give class %s a capacity of %d.", there.Class, there.After)}
}

func insertCapacityChange(ctx context.Context, tx pgx.Tx, c *domain.CapacityChange) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO capacity_changes (id, sale_id, ledger, capacity_before, capacity_after, outcome, asked_at, settled_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		c.ID[:], c.SaleID, c.Ledger, c.Before, c.After, c.Outcome, stored(c.AskedAt), nullTime(c.SettledAt))
	return err
}

// setCapacity stores a class's capacity, with another version of its sale, and adds the event. The sale is locked.
func setCapacity(ctx context.Context, tx pgx.Tx, c *domain.CapacityChange) error {
	if _, err := tx.Exec(ctx, `
		UPDATE sale_stocks SET capacity = $2, opened_with = coalesce(opened_with, capacity) WHERE ledger = $1`, c.Ledger, c.After); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE sales SET version = version + 1 WHERE id = $1`, c.SaleID); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO outbox (event, sale_id, payload) VALUES ($1, $2, $3)`, string(domain.EventSaleCapacityChanged), c.SaleID,
		domain.SaleCapacityChangedData{Sale: c.SaleID, Class: c.Class, Before: c.Before, Capacity: c.After})
	return err
}

// SettleCapacityChange notes the ledger's answer to a change: with it the class has its new
// capacity, or keeps the old one. Only the first time counts. It returns what is stored.
func (s *Store) SettleCapacityChange(
	ctx context.Context,
	id domain.CapacityChangeID,
	outcome domain.CapacityOutcome,
	at time.Time,
) (domain.CapacityChange, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var settled domain.CapacityChange
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT FROM sales WHERE id = (SELECT sale_id FROM capacity_changes WHERE id = $1) FOR NO KEY UPDATE`, id[:])
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE capacity_changes SET outcome = $2, settled_at = $3 WHERE id = $1 AND settled_at IS NULL`, id[:], outcome, stored(at))
		if err != nil {
			return err
		}
		changes, err := queryCapacityChanges(ctx, tx, `WHERE id = $1`, id[:])
		switch {
		case err != nil:
			return err
		case len(changes) == 0:
			return domain.NotFound("change of a capacity")
		}
		settled = changes[0]
		if tag.RowsAffected() == 0 || settled.Outcome != domain.CapacityChanged {
			return nil
		}
		return setCapacity(ctx, tx, &settled)
	})
	return settled, writeFailed("settle the change of capacity", id.String(), err)
}

// OpenCapacityChanges returns the changes of a sale that nobody has settled; with an empty id,
// those of all sales that were asked for before a time, at most limit.
func (s *Store) OpenCapacityChanges(ctx context.Context, saleID string, before time.Time, limit int) ([]domain.CapacityChange, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	changes, err := queryCapacityChanges(ctx, s.pool, `
		WHERE settled_at IS NULL AND ($1 = '' OR sale_id = $1) AND asked_at <= $2
		ORDER BY capacity_changes.asked_at, capacity_changes.id LIMIT $3`, saleID, before, limit)
	return changes, readFailed("list the open changes of capacity of", saleID, err)
}

// ChangedCapacities returns the changes of a sale's capacities that were made, in the order in
// which they were.
func (s *Store) ChangedCapacities(ctx context.Context, saleID string) ([]domain.CapacityChange, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	changes, err := queryCapacityChanges(ctx, s.pool, `
		WHERE sale_id = $1 AND outcome = 'changed' AND capacity_before <> capacity_after
		ORDER BY capacity_changes.settled_at, capacity_changes.id`, saleID)
	return changes, readFailed("list the changes of capacity of", saleID, err)
}

// RecordedCapacities returns the capacity of each class of a sale as it is stored, with the
// change that is under way, in one snapshot.
func (s *Store) RecordedCapacities(ctx context.Context, saleID string) (recorded []domain.RecordedCapacity, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT name, ledger, capacity FROM sale_stocks WHERE sale_id = $1 AND kind = 'class' ORDER BY position`, saleID)
		if err != nil {
			return err
		}
		recorded, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c domain.RecordedCapacity, err error) {
			return c, row.Scan(&c.Class, &c.Ledger, &c.Capacity)
		})
		if err != nil {
			return err
		}
		open, err := queryCapacityChanges(ctx, tx, `WHERE sale_id = $1 AND settled_at IS NULL`, saleID)
		for i := range recorded {
			for j := range open {
				if open[j].Ledger == recorded[i].Ledger {
					recorded[i].Open = &open[j]
				}
			}
		}
		return err
	})
	return recorded, readFailed("read the capacities of", saleID, err)
}

// RestoreCapacity gives a class the capacity that the ledger's books say, after the database
// was put back. It does nothing while a change is under way. It may be repeated.
func (s *Store) RestoreCapacity(
	ctx context.Context,
	saleID, class string,
	booked func(ctx context.Context, ledger uint32) (domain.BookedCapacity, error),
) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		c := domain.CapacityChange{SaleID: saleID, Class: class}
		var err error
		if c.Before, err = lockClass(ctx, tx, &c); err != nil {
			return err
		}
		open, err := queryCapacityChanges(ctx, tx, `WHERE ledger = $1 AND settled_at IS NULL`, c.Ledger)
		if err != nil || len(open) > 0 {
			return err
		}
		now, err := booked(ctx, c.Ledger)
		if c.After = now.Now(); err != nil || c.By() == 0 {
			return err
		}
		return setCapacity(ctx, tx, &c)
	})
	return writeFailed("restore the capacity in sale", saleID, err)
}

func queryCapacityChanges(ctx context.Context, q querier, where string, args ...any) ([]domain.CapacityChange, error) {
	rows, err := q.Query(ctx, `
		SELECT id, sale_id, (SELECT name FROM sale_stocks t WHERE t.ledger = capacity_changes.ledger), ledger,
		       capacity_before, capacity_after, outcome, asked_at, settled_at
		FROM capacity_changes `+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c domain.CapacityChange, err error) {
		var id []byte
		var settledAt *time.Time
		if err := row.Scan(&id, &c.SaleID, &c.Class, &c.Ledger, &c.Before, &c.After, &c.Outcome, &c.AskedAt, &settledAt); err != nil {
			return c, err
		}
		copy(c.ID[:], id)
		c.AskedAt, c.SettledAt = c.AskedAt.UTC(), fromNull(settledAt)
		return c, nil
	})
}

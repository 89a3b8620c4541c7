package orders

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// The kinds of stock, as in sale_stocks.
const (
	kindClass     = "class"
	kindPerk      = "perk"
	kindQuota     = "quota"
	kindCheckouts = "checkouts" // only if a buyer may have one open at a time
	kindCodes     = "codes"     // only if a class is hidden
)

// CreateSale stores a sale and gives each of its stocks a ledger number, ignoring those
// of the argument. A sale with the same id and definition is returned as it is stored:
// its ledger numbers, its cell and its creation time never change. The sale is not sold until
// MarkSaleOpen.
//
// Errors: *domain.Error with CodeInvalid for a sale that breaks a rule, with CodeExists
// if the stored sale with that id differs.
func (s *Store) CreateSale(ctx context.Context, sale *domain.Sale) (*domain.Sale, error) {
	if err := sale.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var stored *domain.Sale
	var created *domain.Editable
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := insertSale(ctx, tx, sale); err != nil {
			return err
		}
		sales, err := querySales(ctx, tx, `WHERE s.id = $1`, sale.ID)
		if err != nil {
			return err
		}
		stored = sales[0]
		return tx.QueryRow(ctx, `SELECT created_as FROM sales WHERE id = $1`, sale.ID).Scan(&created)
	})
	if err != nil {
		return nil, writeFailed("create sale", sale.ID, err)
	}
	asCreated := *stored
	if created != nil { // changed since: what creates it again is what created it
		asCreated.Edit(*created)
	}
	asIs := *stored
	asIs.Image, asCreated.Image = sale.Image, sale.Image // a sale is created without one
	if !sameDefinition(sale, &asCreated) && !sameDefinition(sale, &asIs) {
		return nil, &domain.Error{Code: domain.CodeExists, Detail: fmt.Sprintf("A sale %q exists and differs: change it with PATCH where that is possible, or take another id.", sale.ID)}
	}
	return stored, nil
}

// insertSale does nothing if the sale exists: it uses up no ledger number.
func insertSale(ctx context.Context, tx pgx.Tx, sale *domain.Sale) error {
	created := sale.CreatedAt
	if created.IsZero() {
		created = time.Now()
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, opens_at, created_at, alias_rule,
			presale_codes, invitation_key, provider, facts, closes_at, buyers_kept_days, capture, processing_seconds, cell)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, nullif($15, 0), $16, nullif($17, 0), $18)
		ON CONFLICT (id) DO NOTHING`,
		sale.ID, sale.Name, sale.Currency, sale.BuyerLimit, int64(sale.HoldTimeout/time.Second),
		sale.WaitingRoom, nullTime(sale.OpensAt), created, sale.AliasRule,
		sale.Entitlement.PresaleCodes, []byte(sale.Entitlement.InvitationKey), cmp.Or(sale.Provider, domain.DefaultProvider), sale.Facts,
		nullTime(sale.ClosesAt), sale.BuyersKeptDays, cmp.Or(sale.Capture, domain.CaptureAutomatic),
		int64(sale.ProcessingExtension/time.Second), sale.Cell)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	const insert = `
		INSERT INTO sale_stocks (sale_id, kind, position, name, price_minor, capacity, label, opens_at, closes_at, max_per_order, hidden)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, 0), $11)`
	var batch pgx.Batch
	for i, c := range sale.Classes {
		batch.Queue(insert, sale.ID, kindClass, i, c.Name, c.PriceMinor, c.Capacity, c.Label, nullTime(c.OpensAt), nullTime(c.ClosesAt), c.MaxPerOrder, c.Hidden)
	}
	if sale.Perk != nil {
		batch.Queue(insert, sale.ID, kindPerk, 0, sale.Perk.Name, nil, sale.Perk.Capacity, "", nil, nil, 0, false)
	}
	batch.Queue(insert, sale.ID, kindQuota, 0, "quota", nil, nil, "", nil, nil, 0, false)
	if sale.OneCheckoutPerBuyer {
		batch.Queue(insert, sale.ID, kindCheckouts, 0, "open checkouts", nil, nil, "", nil, nil, 0, false)
	}
	if sale.HasHidden() {
		batch.Queue(insert, sale.ID, kindCodes, 0, "codes", nil, nil, "", nil, nil, 0, false)
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// sameDefinition compares what an organiser defines: everything but ledger numbers and
// the creation time.
func sameDefinition(a, b *domain.Sale) bool {
	sameClass := func(x, y domain.Class) bool {
		return x.Name == y.Name && x.PriceMinor == y.PriceMinor && cmp.Or(x.OpenedWith, x.Capacity) == cmp.Or(y.OpenedWith, y.Capacity) && x.Hidden == y.Hidden
	}
	samePerk := (a.Perk == nil) == (b.Perk == nil) &&
		(a.Perk == nil || a.Perk.Name == b.Perk.Name && a.Perk.Capacity == b.Perk.Capacity)
	return a.Editable().Equal(b.Editable()) && a.Currency == b.Currency && samePerk &&
		slices.EqualFunc(a.Classes, b.Classes, sameClass) &&
		a.BuyerLimit == b.BuyerLimit && a.OneCheckoutPerBuyer == b.OneCheckoutPerBuyer && a.HoldTimeout == b.HoldTimeout &&
		a.ProcessingExtension == b.ProcessingExtension && a.WaitingRoom == b.WaitingRoom &&
		a.AliasRule == b.AliasRule && a.Entitlement.PresaleCodes == b.Entitlement.PresaleCodes &&
		bytes.Equal(a.Entitlement.InvitationKey, b.Entitlement.InvitationKey) &&
		cmp.Or(a.Provider, domain.DefaultProvider) == cmp.Or(b.Provider, domain.DefaultProvider) &&
		cmp.Or(a.Capture, domain.CaptureAutomatic) == cmp.Or(b.Capture, domain.CaptureAutomatic)
}

// MarkSaleOpen lets a sale be sold, for good, and adds its event. Call it once the ledger
// has the sale's accounts. It may be repeated. It fails with a *domain.Error with
// CodeNotFound for a sale that was not created.
func (s *Store) MarkSaleOpen(ctx context.Context, id string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE sales SET funded_at = now() WHERE id = $1 AND funded_at IS NULL`, id)
		if err != nil {
			return err
		}
		sales, err := querySales(ctx, tx, `WHERE s.id = $1`, id)
		switch {
		case err != nil:
			return err
		case len(sales) == 0:
			return domain.NotFound("sale")
		case tag.RowsAffected() == 0: // it was before
			return nil
		}
		_, err = tx.Exec(ctx, `INSERT INTO outbox (event, sale_id, payload) VALUES ($1, $2, $3)`,
			string(domain.EventSaleCreated), id, domain.NewSaleCreatedData(sales[0]))
		return err
	})
	return writeFailed("open sale", id, err)
}

// Sale returns a sale that was marked open, whether or not it has opened to buyers yet;
// otherwise a *domain.Error with CodeNotFound.
func (s *Store) Sale(ctx context.Context, id string) (*domain.Sale, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	sales, err := querySales(ctx, s.pool, `WHERE s.id = $1 AND s.funded_at IS NOT NULL`, id)
	switch {
	case err != nil:
		return nil, readFailed("read sale", id, err)
	case len(sales) == 0:
		return nil, domain.NotFound("sale")
	}
	return sales[0], nil
}

// Sales returns the sales that were marked open, newest first.
func (s *Store) Sales(ctx context.Context) ([]*domain.Sale, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	sales, err := querySales(ctx, s.pool, `WHERE s.funded_at IS NOT NULL ORDER BY s.created_at DESC, s.id COLLATE "C"`)
	return sales, readFailed("list", "sales", err)
}

// SalesOfCells counts the sales of each cell that may still sell: neither canceled nor closed by
// the database's clock. A cell without any is missing.
func (s *Store) SalesOfCells(ctx context.Context) (map[string]int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	counts := make(map[string]int)
	rows, err := s.pool.Query(ctx, `
		SELECT s.cell, count(*) FROM sales s
		WHERE s.ended_at IS NULL AND (s.closes_at IS NULL OR s.closes_at > now())
		  AND NOT EXISTS (SELECT FROM sale_cancellations c WHERE c.sale_id = s.id)
		GROUP BY s.cell`)
	if err == nil {
		var cell string
		var n int
		_, err = pgx.ForEachRow(rows, []any{&cell, &n}, func() error { counts[cell] = n; return nil })
	}
	return counts, readFailed("count the sales of", "cells", err)
}

// A querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// stockRow is a row of sale_stocks as Postgres builds it in JSON.
type stockRow struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Price    int64  `json:"price_minor"`
	Capacity int64  `json:"capacity"`
	Label    string `json:"label"`
	Ledger   uint32 `json:"ledger"`

	OpenedWith  int64      `json:"opened_with"`
	OpensAt     *time.Time `json:"opens_at"`
	ClosesAt    *time.Time `json:"closes_at"`
	MaxPerOrder int64      `json:"max_per_order"`
	Hidden      bool       `json:"hidden"`
}

func querySales(ctx context.Context, q querier, where string, args ...any) ([]*domain.Sale, error) {
	rows, err := q.Query(ctx, `
		SELECT s.id, s.name, s.currency, s.buyer_limit, s.hold_seconds, s.waiting_room, s.opens_at, s.created_at, s.alias_rule,
		       s.presale_codes, s.invitation_key, s.provider, s.version, s.facts, s.image, s.closes_at, s.ended_at, coalesce(s.buyers_kept_days, 0), s.capture,
		       coalesce(s.processing_seconds, 0), s.cell,
		       (SELECT c.requested_at FROM sale_cancellations c WHERE c.sale_id = s.id),
		       (SELECT json_agg(stock ORDER BY kind COLLATE "C", position) FROM sale_stocks stock WHERE stock.sale_id = s.id)
		FROM sales s `+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanSale)
}

func scanSale(row pgx.CollectableRow) (*domain.Sale, error) {
	var (
		sale              domain.Sale
		holdSeconds       int64
		processingSeconds int64
		opensAt           *time.Time
		closesAt          *time.Time
		endedAt           *time.Time
		canceledAt        *time.Time
		stocks            []stockRow
	)
	err := row.Scan(&sale.ID, &sale.Name, &sale.Currency, &sale.BuyerLimit, &holdSeconds, &sale.WaitingRoom,
		&opensAt, &sale.CreatedAt, &sale.AliasRule,
		&sale.Entitlement.PresaleCodes, (*[]byte)(&sale.Entitlement.InvitationKey), &sale.Provider, &sale.Version, &sale.Facts, &sale.Image,
		&closesAt, &endedAt, &sale.BuyersKeptDays, &sale.Capture, &processingSeconds, &sale.Cell, &canceledAt, &stocks)
	if err == nil {
		err = sale.Capture.Check()
	}
	if err != nil {
		return nil, err
	}
	sale.HoldTimeout = time.Duration(holdSeconds) * time.Second
	sale.ProcessingExtension = time.Duration(processingSeconds) * time.Second
	sale.OpensAt, sale.ClosesAt = fromNull(opensAt), fromNull(closesAt)
	sale.CreatedAt = sale.CreatedAt.UTC()
	sale.EndedAt, sale.CanceledAt = fromNull(endedAt), fromNull(canceledAt)
	for _, stock := range stocks {
		switch stock.Kind {
		case kindClass:
			sale.Classes = append(sale.Classes, domain.Class{
				Name: stock.Name, Label: stock.Label, PriceMinor: stock.Price, Capacity: stock.Capacity, Ledger: stock.Ledger, OpenedWith: stock.OpenedWith,
				OpensAt: fromNull(stock.OpensAt), ClosesAt: fromNull(stock.ClosesAt), MaxPerOrder: stock.MaxPerOrder,
				Hidden: stock.Hidden,
			})
		case kindPerk:
			sale.Perk = &domain.Perk{Name: stock.Name, Capacity: stock.Capacity, Ledger: stock.Ledger}
		case kindQuota:
			sale.QuotaLedger = stock.Ledger
		case kindCheckouts:
			sale.OneCheckoutPerBuyer, sale.CheckoutLedger = true, stock.Ledger
		case kindCodes:
			sale.CodeLedger = stock.Ledger
		}
	}
	if sale.QuotaLedger == 0 || len(sale.Classes) == 0 {
		return nil, errors.New("sale " + sale.ID + " lacks its stocks")
	}
	return &sale, nil
}

// stored is a time as Postgres returns it: UTC, microseconds.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = stored(t)
	return &t
}

func fromNull(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

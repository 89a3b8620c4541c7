package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// ChangeSale changes what may be changed of a sale on offer, adds the event, and returns the sale as it is then. A change that
// changes nothing, such as one that is repeated, adds nothing.
//
// Errors: *domain.Error with CodeNotFound, with CodeInvalid for a change that breaks a rule, with CodeChanged for one that was made
// for another version.
func (s *Store) ChangeSale(ctx context.Context, change domain.SaleChange) (*domain.Sale, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var sale *domain.Sale
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockSale(ctx, tx, change.Sale); err != nil {
			return err
		}
		sales, err := querySales(ctx, tx, `WHERE s.id = $1 AND s.funded_at IS NOT NULL`, change.Sale)
		switch {
		case err != nil:
			return err
		case len(sales) == 0:
			return domain.NotFound("sale")
		}
		sale = sales[0]
		return changeSale(ctx, tx, sale, change)
	})
	if err != nil {
		return nil, writeFailed("change sale", change.Sale, err)
	}
	return sale, nil
}

// SaleImage returns the file of the image that a sale has; CodeNotFound if it has another one or none.
func (s *Store) SaleImage(ctx context.Context, saleID, hash string) (file []byte, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, `SELECT file FROM sale_images WHERE sale_id = $1 AND hash = $2`, saleID, hash).Scan(&file)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, domain.NotFound("image of this sale")
	}
	return file, readFailed("read the image of sale", saleID, err)
}

func changeSale(ctx context.Context, tx pgx.Tx, sale *domain.Sale, change domain.SaleChange) error {
	before, after := sale.Editable(), sale.Editable()
	if err := change.Edit(&after); err != nil {
		return err
	}
	changed := before.Differences(after)
	if len(changed) == 0 {
		return nil
	}
	if !change.Permits(sale.Version) {
		return &domain.Error{Code: domain.CodeChanged, Detail: fmt.Sprintf("The sale is at version %d by now. Read it again, and change that.", sale.Version)}
	}
	if err := sale.MayBecome(after, time.Now()); err != nil {
		return err
	}
	sale.Edit(after)
	if err := sale.ValidateEditable(); err != nil {
		return err
	}
	sale.Version++
	var batch pgx.Batch
	// Until their first change here, the terms are those that the sale was created with.
	batch.Queue(`
		UPDATE sales SET name = $2, facts = $3, version = $4, image = $6, opens_at = $7, closes_at = $8, buyers_kept_days = nullif($9, 0),
			created_as = jsonb_build_object('terms', $5::jsonb -> 'terms') || coalesce(created_as, $5::jsonb) WHERE id = $1`,
		sale.ID, sale.Name, sale.Facts, sale.Version, before, sale.Image, nullTime(sale.OpensAt), nullTime(sale.ClosesAt), sale.BuyersKeptDays)
	switch {
	case after.Image == before.Image:
	case after.Image.Hash == "":
		batch.Queue(`DELETE FROM sale_images WHERE sale_id = $1`, sale.ID)
	default:
		batch.Queue(`INSERT INTO sale_images (sale_id, hash, file) VALUES ($1, $2, $3)
			ON CONFLICT (sale_id) DO UPDATE SET hash = excluded.hash, file = excluded.file`, sale.ID, after.Image.Hash, change.Image)
	}
	for _, c := range sale.Classes {
		if c.Label != before.Labels[c.Name] || after.Terms.Classes[c.Name] != before.Terms.Classes[c.Name] {
			batch.Queue(`UPDATE sale_stocks SET label = $2, opens_at = $3, closes_at = $4, max_per_order = nullif($5, 0) WHERE ledger = $1`,
				c.Ledger, c.Label, nullTime(c.OpensAt), nullTime(c.ClosesAt), c.MaxPerOrder)
		}
	}
	after.Facts = after.Facts.Brief()
	batch.Queue(`INSERT INTO outbox (event, sale_id, payload) VALUES ($1, $2, $3)`, string(domain.EventSaleChanged), sale.ID, domain.SaleChangedData{
		Sale: sale.ID, Version: sale.Version, Changed: changed, ChangedAt: time.Now().UTC().Truncate(time.Millisecond), Request: change.Request, Editable: after,
	})
	return tx.SendBatch(ctx, &batch).Close()
}

package orders

import (
	"context"
	"fmt"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// erasureTimeout is for a search of whole tables, longer than what a buyer would wait for:
// addresses have no index, which every paid order would pay for.
const erasureTimeout = 30 * time.Second

func (s *Store) erasing(ctx context.Context, work func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, erasureTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL statement_timeout = %s`, milliseconds(erasureTimeout))); err != nil {
			return err
		}
		return work(ctx, tx)
	})
}

// OrdersOfBuyer finds the sold orders with these ids, and those of an address if one is
// named, sorted by id. Errors as of any read.
func (s *Store) OrdersOfBuyer(ctx context.Context, address string, ids []domain.OrderID) (found []domain.BuyersOrder, err error) {
	err = s.erasing(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT id, status, email, erased_at FROM orders WHERE id = ANY ($1) OR $2 <> '' AND email = $2 ORDER BY orders.id`, uuidsOf(ids), address)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (o domain.BuyersOrder, err error) {
			var id pgtype.UUID
			var erased *time.Time
			if err = row.Scan(&id, &o.Status, &o.Email, &erased); err == nil {
				err = o.Status.Check()
			}
			o.ID, o.ErasedAt = id.Bytes, fromNull(erased)
			return o, err
		})
		return err
	})
	return found, readFailed("find", "the orders of a buyer", err)
}

// PaymentsOfOrders are all that ever named one of the orders: they bought it, or went back.
func (s *Store) PaymentsOfOrders(ctx context.Context, ids []domain.OrderID) (payments map[domain.OrderID][]string, err error) {
	payments = make(map[domain.OrderID][]string)
	err = s.erasing(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT order_id, id FROM payments WHERE order_id = ANY ($1)`, uuidsOf(ids))
		if err != nil {
			return err
		}
		var order pgtype.UUID
		var payment string
		_, err = pgx.ForEachRow(rows, []any{&order, &payment}, func() error {
			payments[order.Bytes] = append(payments[order.Bytes], payment)
			return nil
		})
		return err
	})
	return payments, readFailed("find", "the payments of a buyer's orders", err)
}

// EraseBuyer removes what is kept of the buyer of orders and of addresses, everywhere in
// this database, all of it or nothing. The buyer's pseudonym stays: the books go by it.
// The orders' first erasure adds an event to each. It may be repeated. The error is a
// *domain.Error with CodeNotSettled where the money of an order is on its way back.
func (s *Store) EraseBuyer(ctx context.Context, ids []domain.OrderID, addresses []string) error {
	err := s.erasing(ctx, func(ctx context.Context, tx pgx.Tx) error {
		// The rows stay locked: no refund begins meanwhile.
		rows, err := tx.Query(ctx, `SELECT id, status FROM orders WHERE id = ANY ($1) ORDER BY orders.id FOR UPDATE`, uuidsOf(ids))
		if err != nil {
			return err
		}
		var owed []string
		var id pgtype.UUID
		var status domain.OrderStatus
		_, err = pgx.ForEachRow(rows, []any{&id, &status}, func() error {
			if status == domain.OrderRefunding {
				owed = append(owed, domain.OrderID(id.Bytes).String())
			}
			return status.Check()
		})
		if err != nil {
			return err
		}
		rows, err = tx.Query(ctx, `SELECT order_id FROM refunds WHERE refunded_at IS NULL AND bought = 'nothing' AND order_id = ANY ($1)`, uuidsOf(ids))
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			owed = append(owed, domain.OrderID(id.Bytes).String())
			return nil
		})
		switch {
		case err != nil:
			return err
		case len(owed) > 0:
			return domain.NotSettled("money is on its way back", owed)
		}
		return eraseRows(ctx, tx, ids, addresses)
	})
	return writeFailed("erase", "a buyer", err)
}

// erasedReason stands where a text of somebody else's might have repeated an address.
const erasedReason = "its buyer was erased"

// eraseRows is the one list of where a buyer's data stands. TestNothingOfABuyerIsLeft finds
// a column that is missing here.
func eraseRows(ctx context.Context, tx pgx.Tx, ids []domain.OrderID, addresses []string) error {
	subjects := make([]string, len(ids))
	for i, id := range ids {
		subjects[i] = id.String()
	}
	var batch pgx.Batch
	batch.Queue(`
		WITH erased AS (
			UPDATE orders SET email = '', metadata = NULL, erased_at = coalesce(erased_at, now())
			WHERE id = ANY ($1) AND (erased_at IS NULL OR email <> '' OR metadata IS NOT NULL)
			RETURNING id, sale_id, payment, erased_at
		)
		INSERT INTO outbox (event, sale_id, order_id, payment, payload)
		SELECT $2, sale_id, id, payment, jsonb_build_object('order', replace(id::text, '-', ''), 'sale', sale_id, 'erased_at', erased_at)
		FROM erased ON CONFLICT DO NOTHING`, uuidsOf(ids), string(domain.EventBuyerErased))
	batch.Queue(`UPDATE tickets SET holder = NULL WHERE order_id = ANY ($1) AND holder IS NOT NULL`, uuidsOf(ids))
	batch.Queue(`UPDATE outbox SET payload = payload - 'metadata' WHERE order_id = ANY ($1) AND payload ? 'metadata'`, uuidsOf(ids))
	batch.Queue(`DELETE FROM mails WHERE asked_by = ANY ($1)`, addresses)
	batch.Queue(`
		UPDATE mails SET state = CASE WHEN state IN ('due', 'set_aside') THEN 'needless' ELSE state END, settled_at = coalesce(settled_at, now()),
			reason = CASE WHEN state IN ('due', 'set_aside') OR reason IS NOT NULL THEN $2 END
		WHERE order_id = ANY ($1) AND (state IN ('due', 'set_aside') OR reason IS NOT NULL)`, uuidsOf(ids), erasedReason)
	batch.Queue(`
		UPDATE webhook_deliveries SET log = (
			SELECT coalesce(jsonb_agg(attempt - 'answer' - 'error' || CASE WHEN attempt ? 'error' THEN jsonb_build_object('error', $2::text) ELSE '{}' END
			                          ORDER BY n), '[]')
			FROM jsonb_array_elements(log) WITH ORDINALITY a (attempt, n))
		WHERE subject = ANY ($1) AND log <> '[]'`, subjects, erasedReason)
	batch.Queue(`UPDATE events_set_aside SET error = $2 WHERE subject = ANY ($1) AND error <> ''`, subjects, erasedReason)
	return tx.SendBatch(ctx, &batch).Close()
}

func uuidsOf[ID ~[16]byte](ids []ID) []pgtype.UUID {
	all := make([]pgtype.UUID, 0, len(ids))
	for _, id := range ids {
		all = append(all, pgtype.UUID{Bytes: [16]byte(id), Valid: true})
	}
	return all
}

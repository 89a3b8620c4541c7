package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// ChangeHolders stores who tickets of an order are for, adds the event, and returns the order as it is then. A change that changes
// nothing, such as one that is repeated, adds nothing. Whether it is still time, the clock of the database says.
//
// Errors: *domain.Error with CodeNotFound for an order that was never sold, with CodeInvalid for a ticket that it does not have, with
// CodeHoldersFixed if the names cannot be changed, or not any more.
func (s *Store) ChangeHolders(ctx context.Context, change domain.HoldersChange) (order domain.SoldOrder, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// The row stays locked: no refund begins meanwhile, and nobody erases the buyer.
		var now time.Time
		err := tx.QueryRow(ctx, `SELECT clock_timestamp() FROM orders WHERE id = $1 FOR NO KEY UPDATE`, uuidOf(change.Order)).Scan(&now)
		if errors.Is(err, pgx.ErrNoRows) {
			return domain.NotFound("order")
		}
		if err != nil {
			return err
		}
		if order, err = orderIn(ctx, tx, change.Order); err != nil {
			return err
		}
		sales, err := querySales(ctx, tx, `WHERE s.id = $1`, order.SaleID)
		if err != nil {
			return err
		}
		if err := domain.WhyHoldersFixed(sales[0], &order, now); err != nil {
			return err
		}
		return changeHolders(ctx, tx, &order, change.Holders, now)
	})
	return order, writeFailed("change the holders of order", change.Order.String(), err)
}

func orderIn(ctx context.Context, tx pgx.Tx, id domain.OrderID) (domain.SoldOrder, error) {
	found, err := queryOrders(ctx, tx, `WHERE o.id = $1`, uuidOf(id))
	switch {
	case err != nil:
		return domain.SoldOrder{}, err
	case len(found) == 0:
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	return found[0], nil
}

func changeHolders(ctx context.Context, tx pgx.Tx, order *domain.SoldOrder, holders []domain.Holder, now time.Time) error {
	changed := []int{}
	for i, h := range holders {
		if h.Ticket > len(order.Tickets) {
			return domain.Invalid(fmt.Sprintf("holders[%d].number", i), "must be the number of a ticket of the order")
		}
		ticket := &order.Tickets[h.Ticket-1]
		if ticket.Holder == h.Name {
			continue
		}
		ticket.Holder = h.Name
		tag, err := tx.Exec(ctx, `
			UPDATE tickets SET holder = nullif($3, ''), holder_changes = holder_changes + 1
			WHERE order_id = $1 AND number = $2 AND holder_changes < $4`, uuidOf(order.ID), h.Ticket, h.Name, domain.HolderChangesMax)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			detail := fmt.Sprintf("The name on ticket %d was changed %d times: that is as often as it can be.", h.Ticket, domain.HolderChangesMax)
			return &domain.Error{Code: domain.CodeHoldersFixed, Detail: detail}
		}
		changed = append(changed, h.Ticket)
	}
	if len(changed) == 0 {
		return nil
	}
	// An event of the sale: of an order there is one of each type.
	_, err := tx.Exec(ctx, `INSERT INTO outbox (event, sale_id, payload) VALUES ($1, $2, $3)`,
		string(domain.EventHoldersChanged), order.SaleID,
		domain.HoldersChangedData{Order: order.ID, Sale: order.SaleID, Tickets: changed, ChangedAt: now.UTC().Truncate(time.Millisecond)})
	return err
}

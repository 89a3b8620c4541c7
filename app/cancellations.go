package app

import (
	"context"

	"boxoffice/domain"
	"boxoffice/orders"
)

// cancellations is the store in the words of a sale's cancellation.
type cancellations struct{ *orders.Store }

// DueRefunds implements activities.Cancellations. A late payment is open as a
// workflow, owed in the database, or both.
func (c cancellations) DueRefunds(ctx context.Context, of *domain.SaleCancellation) error {
	counts, err := c.RefundCounts(ctx, of.SaleID)
	of.OrdersToRefund, of.OrdersRefunding, of.OrdersRefunded = counts.OrdersPaid, counts.OrdersRefunding, counts.OrdersRefunded
	of.LatePayments = max(of.LatePayments, counts.PaymentsRefunding)
	return err
}

package notify_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/orders"
)

// selling is a store of sales that reports each stock on a channel.
type selling struct {
	sales []*domain.Sale
	told  chan string
}

func (*selling) HoldTask(context.Context, string, string, time.Duration) (orders.Task, bool, error) {
	return orders.Task{}, true, nil
}
func (*selling) OpenedSales(context.Context, int) (int64, error) { return 0, nil }
func (s *selling) SellingSales(context.Context, string, int) ([]*domain.Sale, error) {
	return s.sales, nil
}

func (s *selling) TellStock(_ context.Context, _ orders.Task, saleID string, _ []domain.EventStock) error {
	s.told <- saleID
	return nil
}

// lacking is a ledger without the accounts of one sale.
type lacking string

func (l lacking) Stock(_ context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	if sale.ID == string(l) {
		return nil, domain.NotFound("sale")
	}
	return []domain.StockLevel{{Ledger: 1, Capacity: 1, Available: 1}}, nil
}

// A sale that the ledger lacks does not hold up the others.
func TestASaleThatTheLedgerLacksHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	classes := []domain.Class{{Name: "A", Ledger: 1}}
	store := &selling{sales: []*domain.Sale{{ID: "a", Classes: classes}, {ID: "b", Classes: classes}}, told: make(chan string, 100)}
	stop := notify.StartSales(store, lacking("a"), slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(stop)
	select {
	case sale := <-store.told:
		if sale != "b" {
			t.Errorf("an event of %s, want b", sale)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the next sale got no event")
	}
}

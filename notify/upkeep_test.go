package notify_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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
func (*selling) OpenedSales(context.Context, int) ([]string, error) { return nil, nil }
func (s *selling) SellingSales(context.Context, []string, string, int) ([]*domain.Sale, error) {
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

// many are old sales and one that just opened, as a store and as a ledger.
type many struct {
	selling
	ids []string // sorted; the last is the new one

	mu     sync.Mutex
	passes int
	looks  map[string]int
	most   int // looks of a pass
	inPass int
}

func (m *many) OpenedSales(context.Context, int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passes++
	m.inPass = 0
	if m.passes == 1 {
		return m.ids[len(m.ids)-1:], nil
	}
	return nil, nil
}

func (m *many) SellingSales(_ context.Context, ids []string, after string, limit int) (sales []*domain.Sale, err error) {
	page := 0
	for _, id := range m.ids {
		inTurn := id > after && page < limit
		if inTurn {
			page++
		}
		if inTurn || slices.Contains(ids, id) {
			sales = append(sales, &domain.Sale{ID: id, Classes: []domain.Class{{Name: "A", Ledger: 1}}})
		}
	}
	return sales, nil
}

func (m *many) TellStock(context.Context, orders.Task, string, []domain.EventStock) error { return nil }

func (m *many) Stock(_ context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks[sale.ID]++
	m.inPass++
	m.most = max(m.most, m.inPass)
	return []domain.StockLevel{{Ledger: 1, Capacity: 100, Available: 100}}, nil
}

// However many old sales there are, one that just opened is looked at in every pass, a pass stays short, and the old ones have their
// turn.
func TestOldSalesDoNotSlowDownTheLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &many{looks: make(map[string]int)}
		const old = 500
		for i := range old {
			m.ids = append(m.ids, fmt.Sprintf("old-%04d", i))
		}
		m.ids = append(m.ids, "rush")
		stop := notify.StartSales(m, m, slog.New(slog.DiscardHandler))
		<-time.After(time.Minute) // of the bubble
		stop()
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.passes < 25 || m.looks["rush"] != m.passes {
			t.Errorf("the sale that just opened was looked at in %d of %d passes", m.looks["rush"], m.passes)
		}
		if m.most > 26 {
			t.Errorf("a pass took %d looks", m.most)
		}
		if len(m.looks) != old+1 {
			t.Errorf("%d sales had their turn, want all %d", len(m.looks), old+1)
		}
	})
}

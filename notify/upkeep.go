package notify

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/pace"
)

const (
	retentionInterval = time.Minute
	// retentionPause keeps deletion from loading the database.
	retentionPause = 100 * time.Millisecond
)

// StartRetention deletes events that are older than kept and that every reader has passed,
// until stop.
func StartRetention(store interface {
	DropEvents(ctx context.Context, kept time.Duration) (more bool, err error)
}, kept time.Duration, log *slog.Logger) (stop func()) {
	return pace.Every(retentionInterval, func(ctx context.Context) {
		for more := true; more && ctx.Err() == nil; _ = pace.Pause(ctx, retentionPause) {
			var err error
			if more, err = store.DropEvents(ctx, kept); err != nil {
				log.Warn("events: cannot delete old events", "error", err)
			}
		}
	})
}

// SalesStore stores which events of sales were written.
type SalesStore interface {
	HoldTask(ctx context.Context, name, node string, hold time.Duration) (orders.Task, bool, error)
	OpenedSales(ctx context.Context, limit int) (int64, error)
	SellingSales(ctx context.Context, after string, limit int) ([]*domain.Sale, error)
	TellStock(ctx context.Context, task orders.Task, saleID string, classes []domain.EventStock) error
}

// Ledger knows what is left of a sale.
type Ledger interface {
	Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
}

const (
	salesTask     = "sales"
	salesInterval = 2 * time.Second
	salesHold     = 10 * time.Second
	// salesAtOnce is how many sales are looked at in one pass; the next pass goes on from there.
	salesAtOnce = 50
)

// StartSales writes the events of sales that open, sell out or get tickets back, until
// stop. One node does so at a time. Even if several do, each event is written once.
func StartSales(store SalesStore, ledger Ledger, log *slog.Logger) (stop func()) {
	w := &salesWatch{store: store, ledger: ledger, log: log, node: rand.Text()}
	return pace.Every(salesInterval, w.look)
}

type salesWatch struct {
	store  SalesStore
	ledger Ledger
	log    *slog.Logger
	node   string
	after  string // the sale that was looked at last
}

func (w *salesWatch) look(ctx context.Context) {
	task, mine, err := w.store.HoldTask(ctx, salesTask, w.node, salesHold)
	if err != nil || !mine {
		return // /readyz already says that the database is down
	}
	if _, err := w.store.OpenedSales(ctx, salesAtOnce); err != nil {
		w.log.Warn("events: cannot write that sales opened", "error", err)
	}
	sales, err := w.store.SellingSales(ctx, w.after, salesAtOnce)
	if err != nil {
		w.log.Warn("events: cannot list sales", "error", err)
		return
	}
	w.after = ""
	if len(sales) == salesAtOnce {
		w.after = sales[len(sales)-1].ID
	}
	for _, sale := range sales {
		levels, err := w.ledger.Stock(ctx, sale)
		if err != nil {
			w.log.Warn("events: cannot read the stock of a sale", "sale", sale.ID, "error", err)
			if domain.CodeOf(err) == domain.CodeNotFound {
				continue // the ledger lacks this sale: go on with the others
			}
			return
		}
		var classes []domain.EventStock
		for _, class := range sale.Classes {
			if level, ok := domain.LevelOf(levels, class.Ledger); ok {
				classes = append(classes, domain.EventStock{
					Class: class.Name, Capacity: level.Capacity, Held: level.Held, Sold: level.Sold, Available: level.Available,
				})
			}
		}
		if len(classes) != len(sale.Classes) {
			continue
		}
		if err := w.store.TellStock(ctx, task, sale.ID, classes); err != nil {
			w.log.Warn("events: cannot write the stock of a sale", "sale", sale.ID, "error", err)
		}
	}
}

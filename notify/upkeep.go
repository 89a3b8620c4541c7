package notify

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"strings"
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

// StartRetention deletes events that are older than kept and that every reader has passed, and
// the record of acts from before domain.ActsKept, until stop.
func StartRetention(store interface {
	DropEvents(ctx context.Context, kept time.Duration) (more bool, err error)
	DropActs(ctx context.Context, kept time.Duration) (more bool, err error)
}, kept time.Duration, log *slog.Logger) (stop func()) {
	drop := func(ctx context.Context, what string, some func(context.Context, time.Duration) (bool, error), kept time.Duration) {
		for more := true; more && ctx.Err() == nil; _ = pace.Pause(ctx, retentionPause) {
			var err error
			if more, err = some(ctx, kept); err != nil {
				log.Warn("cannot delete what is old", "what", what, "error", err)
			}
		}
	}
	return pace.Every(retentionInterval, func(ctx context.Context) {
		drop(ctx, "events", store.DropEvents, kept)
		drop(ctx, "acts", store.DropActs, domain.ActsKept)
	})
}

// SalesStore stores which events of sales were written.
type SalesStore interface {
	HoldTask(ctx context.Context, name, node string, hold time.Duration) (orders.Task, bool, error)
	OpenedSales(ctx context.Context, limit int) ([]string, error)
	// SellingSales returns those of the ids, and a page of the others after one.
	SellingSales(ctx context.Context, ids []string, after string, limit int) ([]*domain.Sale, error)
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
	// salesAtOnce is how many sales are looked at in one pass, apart from the busy ones; the next pass goes on from there. So however
	// many old sales there are, a pass stays short.
	salesAtOnce = 25
	// busyMax is how many sales are looked at in every pass: those that something moved in lately, or that are just opening.
	busyMax = 50
	busyFor = 10 * time.Minute
	// seenMax bounds what is remembered of the stock of sales.
	seenMax = 100_000
)

// StartSales writes the events of sales that open, sell out or get tickets back, until
// stop. One node does so at a time. Even if several do, each event is written once.
func StartSales(store SalesStore, ledger Ledger, log *slog.Logger) (stop func()) {
	w := &salesWatch{
		store: store, ledger: ledger, log: log, node: rand.Text(), busy: make(map[string]time.Time), seen: make(map[string]uint64), hash: maphash.MakeSeed(),
	}
	return pace.Every(salesInterval, w.look)
}

type salesWatch struct {
	store  SalesStore
	ledger Ledger
	log    *slog.Logger
	node   string
	after  string               // the sale that was looked at last, of those in turn
	busy   map[string]time.Time // until when
	seen   map[string]uint64    // what the stock of a sale was at its last look
	hash   maphash.Seed
}

func (w *salesWatch) look(ctx context.Context) {
	task, mine, err := w.store.HoldTask(ctx, salesTask, w.node, salesHold)
	if err != nil || !mine {
		return // /readyz already says that the database is down
	}
	opened, err := w.store.OpenedSales(ctx, salesAtOnce)
	if err != nil {
		w.log.Warn("events: cannot write that sales opened", "error", err)
	}
	for _, id := range opened {
		w.moved(id)
	}
	ids := w.busyOnes()
	sales, err := w.store.SellingSales(ctx, ids, w.after, salesAtOnce)
	if err != nil {
		w.log.Warn("events: cannot list sales", "error", err)
		return
	}
	w.turn(sales)
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
					Class: class.Name, Capacity: class.Capacity, Held: level.Held, Sold: level.Sold, Available: level.Available,
				})
			}
		}
		if len(classes) != len(sale.Classes) {
			continue
		}
		w.note(sale.ID, classes)
		if err := w.store.TellStock(ctx, task, sale.ID, classes); err != nil {
			w.log.Warn("events: cannot write the stock of a sale", "sale", sale.ID, "error", err)
		}
	}
}

// turn remembers which sale of those in turn was looked at last. Busy ones are in the list out of turn.
func (w *salesWatch) turn(sales []*domain.Sale) {
	inTurn := 0
	last := ""
	for _, sale := range sales { // sorted by id
		if sale.ID > w.after && inTurn < salesAtOnce {
			inTurn++
			last = sale.ID
		}
	}
	w.after = ""
	if inTurn == salesAtOnce {
		w.after = last
	}
}

// note has a sale looked at in every pass for a while if its stock has moved since its last look, or tickets are held.
func (w *salesWatch) note(id string, classes []domain.EventStock) {
	var text strings.Builder
	var held int64
	for _, c := range classes {
		held += c.Held
		fmt.Fprintf(&text, "%d %d %d ", c.Held, c.Sold, c.Available)
	}
	now := maphash.String(w.hash, text.String())
	before, known := w.seen[id]
	if !known && len(w.seen) >= seenMax {
		clear(w.seen)
	}
	w.seen[id] = now
	if held > 0 || known && before != now {
		w.moved(id)
	}
}

func (w *salesWatch) moved(id string) {
	if _, known := w.busy[id]; known || len(w.busy) < busyMax {
		w.busy[id] = time.Now().Add(busyFor)
	}
}

func (w *salesWatch) busyOnes() []string {
	maps.DeleteFunc(w.busy, func(_ string, until time.Time) bool { return time.Now().After(until) })
	return slices.Sorted(maps.Keys(w.busy))
}

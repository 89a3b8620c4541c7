package api

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"boxoffice/domain"
	"boxoffice/flight"
)

const (
	// orderViewTTL is how long an order's view is reused. Reading it costs the database,
	// Temporal and a worker, and the holder of an order may ask as often as they like.
	// What this node does to an order shows at once, what others do shows this much
	// later.
	orderViewTTL = time.Second
	// orderViewsMax limits the memory: 2 kB each, ten times that with a hundred tickets.
	orderViewsMax = 2048
)

// orderViews keeps views of orders for a moment. Clients that ask for the same order at
// the same time share the answer.
type orderViews struct {
	ttl     time.Duration
	now     func() time.Time
	flights flight.Group

	mu   sync.Mutex // guards a lookup and what follows from it
	seen *lru.Cache[domain.OrderID, seenOrder]
}

// A seenOrder without a view says that anything read before `at` no longer counts.
type seenOrder struct {
	view *OrderView
	at   time.Time // when the question was asked
}

func newOrderViews() (*orderViews, error) {
	seen, err := lru.New[domain.OrderID, seenOrder](orderViewsMax)
	return &orderViews{ttl: orderViewTTL, now: time.Now, seen: seen}, err
}

// find answers from memory, or reads the order. It keeps only answers: no failures, and
// no order that does not exist, because it may come to exist.
func (v *orderViews) find(ctx context.Context, id domain.OrderID, read func(context.Context) (OrderView, error)) (OrderView, error) {
	if known, ok := v.seen.Get(id); ok && known.view != nil && v.now().Sub(known.at) < v.ttl {
		return *known.view, nil
	}
	return flight.Share(ctx, &v.flights, id.String(), requestTimeout, func(ctx context.Context) (OrderView, error) {
		asked := v.now()
		view, err := read(ctx)
		if err == nil {
			v.keep(id, seenOrder{&view, asked})
		}
		return view, err
	})
}

func (v *orderViews) keep(id domain.OrderID, found seenOrder) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.seen.Peek(id); ok && !known.at.Before(found.at) {
		return // something happened to the order while we asked
	}
	v.seen.Add(id, found)
}

// changed makes the next reader see what this node has just done to an order.
func (v *orderViews) changed(id domain.OrderID) {
	v.mu.Lock()
	v.seen.Add(id, seenOrder{at: v.now()})
	v.mu.Unlock()
	v.flights.Forget(id.String()) // a read under way may still return the state before
}

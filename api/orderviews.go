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
	// orderViewTTL is how long what was found of an order is shown. A question costs the
	// database, Temporal and a worker, and whoever holds an order may ask at any rate. What this
	// node does to an order it shows at once, what others do this much later.
	orderViewTTL = time.Second
	// orderViewsMax bounds the memory, 2 kB each, ten times that with a hundred tickets.
	orderViewsMax = 2048
)

// orderViews keeps what was found of orders for a moment. Those who ask for one at the same
// time share the answer.
type orderViews struct {
	ttl     time.Duration
	now     func() time.Time
	flights flight.Group

	mu   sync.Mutex // of a look and what follows from it
	seen *lru.Cache[domain.OrderID, seenOrder]
}

// A seenOrder without a view says that what was found before `at` no longer counts.
type seenOrder struct {
	view *OrderView
	at   time.Time // when the question was asked
}

func newOrderViews() (*orderViews, error) {
	seen, err := lru.New[domain.OrderID, seenOrder](orderViewsMax)
	return &orderViews{ttl: orderViewTTL, now: time.Now, seen: seen}, err
}

// find answers from memory, else finds out. Only an answer is kept: nothing that failed, and no
// order that does not exist, which may begin to.
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

// changed makes the next one who asks hear what this node has just done to an order.
func (v *orderViews) changed(id domain.OrderID) {
	v.mu.Lock()
	v.seen.Add(id, seenOrder{at: v.now()})
	v.mu.Unlock()
	v.flights.Forget(id.String()) // what is being asked may be answered as it was before
}

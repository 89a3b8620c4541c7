package orders_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
	"boxoffice/waitingroom"
)

var _ waitingroom.Store = (*orders.Store)(nil)

// TestSeveralNodesShareOneQueue: people join on three nodes, before and after the
// opening; one node stops. Indexes are dense, places are all different, and
// everybody gets in by tokens that any node takes.
func TestSeveralNodesShareOneQueue(t *testing.T) {
	t.Parallel()
	url := orderstest.URL(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store := orderstest.Open(t, url)
	sale := definition("rush")
	sale.WaitingRoom, sale.OpensAt = true, time.Now().Add(2*time.Second)
	sale, err := store.CreateSale(ctx, sale)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.MarkSaleOpen(ctx, sale.ID); err != nil {
		t.Fatal(err)
	}
	keys, _ := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	var nodes []*waitingroom.Rooms
	var stops []func()
	for _, name := range []string{"a", "b", "c"} {
		shared := orderstest.Open(t, url)
		r, err := waitingroom.New(waitingroom.Options{
			Store: shared, Keys: keys, Node: name, Load: func() waitingroom.Load { return waitingroom.Load{} },
			Stock: func(_ context.Context, s *domain.Sale) (levels []domain.StockLevel, _ error) {
				for _, c := range s.Classes {
					levels = append(levels, domain.StockLevel{Name: c.Name, Ledger: c.Ledger, Capacity: c.Capacity, Available: c.Capacity})
				}
				return levels, nil
			},
			Sales: shared.Sales, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		running, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = r.Run(running) }()
		stops = append(stops, func() { stop(); <-ended })
		nodes = append(nodes, r)
	}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	set := domain.QueueSettings{RateFloor: 500, RateCeiling: 1000}
	if state, err := nodes[0].Configure(ctx, sale.ID, set); err != nil || state.Settings != set {
		t.Fatalf("configured: %+v, %v", state, err)
	}
	join := func(people int) (tokens []string) {
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range people {
			all.Go(func() {
				token, _, err := nodes[i%len(nodes)].Join(ctx, sale)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				tokens = append(tokens, token)
			})
		}
		all.Wait()
		return tokens
	}
	tokens := join(150)
	state, err := nodes[1].State(ctx, sale.ID)
	if err != nil || state.Draw.Commitment == "" || state.Draw.Seed != "" || state.Admitted != 0 {
		t.Fatalf("before the draw: %+v, %v", state, err)
	}
	for state.Draw.Size < 0 && ctx.Err() == nil { // paced by the database: each asks for a fresh state
		if state, err = nodes[1].State(ctx, sale.ID); err != nil {
			t.Fatal(err)
		}
	}
	stops[2]() // a node dies: its people go to the others
	nodes = nodes[:2]
	tokens = append(tokens, join(100)...)
	indexes, keysSeen := map[int64]bool{}, map[string]bool{}
	for i, token := range tokens {
		for {
			key, err := nodes[i%2].Enter(ctx, sale, token)
			if err == nil {
				if again, err := nodes[(i+1)%2].Enter(ctx, sale, token); err == nil && again != key {
					t.Errorf("one token, two keys: %s and %s", key, again)
				}
				keysSeen[key] = true
				break
			}
			if domain.CodeOf(err) != domain.CodeQueueRequired || ctx.Err() != nil {
				t.Fatalf("token %d: %v", i, err)
			}
		}
		p, err := nodes[i%2].Place(ctx, token)
		if err != nil || p.Status != waitingroom.StatusAdmitted {
			t.Fatalf("admitted, and then %+v, %v", p, err)
		}
		if indexes[p.Index] || p.Index >= int64(len(tokens)) {
			t.Errorf("index %d is taken or beyond the %d who joined", p.Index, len(tokens))
		}
		indexes[p.Index] = true
	}
	if len(keysSeen) != len(tokens) {
		t.Errorf("%d keys for %d tokens", len(keysSeen), len(tokens))
	}
}

func TestASaleWithoutAWaitingRoomHasNone(t *testing.T) {
	b := setup(t)
	_, _, err := b.store.ExchangeQueue(b.ctx, b.sale.ID, 1, func(*domain.Queue, int64) domain.QueueNode { panic("a turn of nothing") })
	if domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("%v, want not found", err)
	}
	if err := b.store.ConfigureQueue(b.ctx, b.sale.ID, domain.QueueSettings{}.WithDefaults()); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("%v, want not found", err)
	}
}

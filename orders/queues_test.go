package orders_test

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
	"boxoffice/waitingroom"
)

var _ waitingroom.Store = (*orders.Store)(nil)

// People join on three nodes, before and after the opening, and one node stops. Indexes
// have no gaps, all places differ, and everybody gets in with tokens that any node accepts.
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
	for state.Draw.Size < 0 && ctx.Err() == nil { // the database sets the pace, because each call reads a fresh state
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

// A room is a sale with a waiting room.
type room struct {
	*bundle
	sale *domain.Sale
}

func setupRoom(t *testing.T) room {
	t.Helper()
	b := setup(t)
	d := definition("rush")
	d.WaitingRoom = true
	sale, err := b.store.CreateSale(b.ctx, d)
	if err == nil {
		err = b.store.MarkSaleOpen(b.ctx, sale.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return room{b, sale}
}

// exchange is a node's exchange; meanwhile runs in its turn, while it holds the lock.
func (r room) exchange(t *testing.T, node string, meanwhile func()) *domain.Queue {
	t.Helper()
	_, q, err := r.store.ExchangeQueue(r.ctx, r.sale.ID, 0, func(*domain.Queue, int64) domain.QueueNode {
		if meanwhile != nil {
			meanwhile()
		}
		return domain.QueueNode{Node: node}
	})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAnExchangeSeesTheSalesCancellation(t *testing.T) {
	r := setupRoom(t)
	if q := r.exchange(t, "a", nil); !q.CanceledAt.IsZero() {
		t.Fatalf("canceled at %v, although it is not", q.CanceledAt)
	}
	if _, err := r.store.BeginCancellation(r.ctx, r.sale.ID, day); err != nil {
		t.Fatal(err)
	}
	if q := r.exchange(t, "a", nil); !q.CanceledAt.Equal(day) {
		t.Errorf("canceled at %v, want %v", q.CanceledAt, day)
	}
}

func TestAnExchangeSeesWhenTheSaleCloses(t *testing.T) {
	r := setupRoom(t)
	if q := r.exchange(t, "a", nil); !q.ClosesAt.IsZero() {
		t.Fatalf("closes at %v, although it does not", q.ClosesAt)
	}
	for column, at := range map[string]time.Time{"closes_at": day.Add(2 * time.Hour), "ended_at": day} { // the earlier one counts
		r.exec(t, `UPDATE sales SET `+column+` = $2 WHERE id = $1`, r.sale.ID, at)
	}
	if q := r.exchange(t, "a", nil); !q.ClosesAt.Equal(day) {
		t.Errorf("closes at %v, want %v", q.ClosesAt, day)
	}
}

// The row of a silent node counts until it is too old, in either direction of the clock.
// Then the next exchange removes it. An exchange never removes its own node's row.
func TestRowsOfSilentNodesAreRemoved(t *testing.T) {
	r := setupRoom(t)
	for _, node := range []string{"gone", "from a clock ahead", "silent"} {
		r.exchange(t, node, nil)
	}
	for node, by := range map[string]string{"gone": "-6 minutes", "from a clock ahead": "6 minutes", "silent": "-4 minutes"} {
		err := orderstest.Exec(r.ctx, r.url, `UPDATE queue_nodes SET seen_at = seen_at + $2::interval WHERE node = $1`, node, by)
		if err != nil {
			t.Fatal(err)
		}
	}
	r.exchange(t, "a", nil)
	var left []string
	for _, node := range r.exchange(t, "a", nil).Nodes {
		left = append(left, node.Node)
	}
	slices.Sort(left)
	if want := []string{"a", "silent"}; !slices.Equal(left, want) {
		t.Errorf("rows of %q are left, want %q", left, want)
	}
}

// An exchange reads the time after the previous one has ended, however long it waited for
// that, so the door's time does not run backwards.
func TestTheTimeOfAnExchangeIsAfterThePreviousOne(t *testing.T) {
	r := setupRoom(t)
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	r.ctx = ctx
	r.exchange(t, "a", nil) // creates the queue
	var ended int           // of the first exchange, by the database's clock
	second := make(chan *domain.Queue, 1)
	r.exchange(t, "a", func() {
		go func() {
			defer close(second)
			second <- r.exchange(t, "b", nil)
		}()
		// A transaction that waits for a locked row holds the tuple's lock.
		for r.count(t, `SELECT count(*) FROM pg_locks WHERE locktype = 'tuple' AND relation = 'queues'::regclass`) == 0 && r.ctx.Err() == nil {
			runtime.Gosched()
		}
		ended = r.count(t, `SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint`)
	})
	q := <-second
	if q == nil {
		t.FailNow() // it said why
	}
	if now := q.Now.UnixMicro(); now < int64(ended) {
		t.Errorf("the second exchange read the time %d µs, but the first was under way until %d", now, ended)
	}
}

// A database reports the same epoch while it lives, and tokens begin with number 0. Another
// database is recorded with the first index that it gives out.
func TestAQueueKnowsItsDatabases(t *testing.T) {
	t.Parallel()
	url := orderstest.URL(t)
	store := orderstest.Open(t, url)
	sale := definition("rush")
	sale.WaitingRoom = true
	if _, err := store.CreateSale(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	exchange := func(joins int64) *domain.Queue {
		t.Helper()
		_, q, err := store.ExchangeQueue(t.Context(), sale.ID, joins, func(q *domain.Queue, _ int64) domain.QueueNode {
			return domain.QueueNode{Node: "a", SeenAt: q.Now, Base: domain.QueueUndrawn}
		})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	exchange(3)
	q := exchange(4)
	if q.Epoch < 1 || q.Epoch > domain.QueueEpochMax {
		t.Fatalf("epoch %d: the database reports none", q.Epoch)
	}
	if want := []domain.QueueEpoch{{Epoch: q.Epoch, From: 0}}; !slices.Equal(q.Epochs, want) || q.EpochNumber() != 0 || q.HasLost(0, 6) {
		t.Fatalf("epochs %v, number %d, want %v", q.Epochs, q.EpochNumber(), want)
	}
	if err := orderstest.Exec(t.Context(), url, `UPDATE queues SET epochs = '{65535}'`); err != nil { // as if it had been another database until now
		t.Fatal(err)
	}
	q = exchange(5)
	if want := []domain.QueueEpoch{{Epoch: 65535, From: 0}, {Epoch: q.Epoch, From: 7}}; !slices.Equal(q.Epochs, want) || q.EpochNumber() == 0 {
		t.Errorf("epochs %v, number %d, want %v", q.Epochs, q.EpochNumber(), want)
	}
	if q = exchange(0); len(q.Epochs) != 2 || !q.HasLost(0, 7) || q.HasLost(0, 6) || q.HasLost(q.EpochNumber(), 7) {
		t.Errorf("epochs %v: index 7 of the first is lost, of the second it is not", q.Epochs)
	}
}

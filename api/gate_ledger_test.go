package api

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/admission"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/tbtest"
)

// ledgers are those that the gate is tested on. Package ledger tests the calls that the
// gate makes on all three.
var ledgers = map[string]func(testing.TB) tb.Client{
	"embedded": func(t testing.TB) tb.Client {
		engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return engine
	},
	"tigerbeetle": func(t testing.TB) tb.Client {
		server := tbtest.StartTigerBeetle(t)
		client, err := ledger.Dial(t.Context(), ledger.Config{Addresses: []string{server.Address}})
		if err != nil {
			t.Fatal(err)
		}
		return client
	},
}

// A bookDesk holds in a real ledger, without a workflow.
type bookDesk struct {
	*world
	book   *ledger.Book
	starts *atomic.Int64
}

func (d bookDesk) Start(ctx context.Context, o domain.Order) (domain.HoldAnswer, error) {
	d.starts.Add(1)
	hold, err := d.book.Hold(ctx, &o)
	return domain.HoldAnswer{Hold: hold}, err
}

// A node is a server with its own gate on a shared ledger.
type node struct {
	*bundle
	book   *ledger.Book
	starts atomic.Int64
}

// nodesOn makes nodes that sell a sale with this many seats.
func nodesOn(t testing.TB, client tb.Client, nodes int, seats int64) []*node {
	t.Helper()
	batcher := ledger.NewBatcher(client, ledger.WithLogger(slog.New(slog.DiscardHandler)))
	t.Cleanup(func() {
		if err := batcher.Close(); err != nil {
			t.Error(err)
		}
	})
	all := make([]*node, nodes)
	var sale *domain.Sale
	for i := range all {
		n := &node{book: ledger.NewBook(batcher)}
		n.bundle = setup(t, func(o *Options) {
			w := o.Orders.(*world)
			if sale == nil {
				sale = w.SalesByID["conference"]
				sale.QuotaLedger, sale.Classes[0].Capacity = 99, seats
				if err := n.book.OpenSale(t.Context(), sale); err != nil {
					t.Fatal(err)
				}
			}
			w.SalesByID["conference"] = sale
			o.Desk, o.Books, o.Catalog = bookDesk{w, n.book, &n.starts}, n.book, admission.NewCatalog(w, n.book)
			o.Log = slog.New(slog.DiscardHandler)
		})
		n.bundle.sale = sale
		all[i] = n
	}
	return all
}

// Buyers storm two nodes for few seats, and some give theirs back. A node never says sold
// out for a key that it holds seats for. When it is quiet again, neither node refuses a key
// that holds seats. No lookup of a single key reached the ledger.
func TestStormOnRealLedgers(t *testing.T) {
	for name, open := range ledgers {
		t.Run(name, func(t *testing.T) {
			const seats, buyers, triesMax = 40, 24, 40
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			nodes := nodesOn(t, open(t), 2, seats)
			sale := nodes[0].sale
			var mu sync.Mutex
			held := map[string]string{} // keys, to the requested quantity
			var all sync.WaitGroup
			for i := range buyers {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				all.Go(func() {
					for n := range triesMax {
						at := nodes[random.IntN(len(nodes))]
						email := fmt.Sprintf("b-%d-%d@example.com", i, n)
						key, body := uuid.Must(uuid.NewV7()).String(), wishOf(email, 2)
						w := at.checkout(key, body)
						if w.Code == 409 || w.Code == 503 {
							continue
						}
						if w.Code != 201 {
							t.Errorf("%d %s", w.Code, w.Body)
							return
						}
						if w := at.checkout(key, body); w.Code != 201 {
							t.Errorf("key %s holds seats, but got %d %s", key, w.Code, w.Body)
						}
						if random.IntN(2) == 0 {
							o, err := domain.NewOrder(sale, at.world.Keys, key, []domain.Item{{Class: "A", Quantity: 2}}, email)
							if err == nil {
								_, err = at.book.Void(t.Context(), &o)
							}
							if err != nil {
								t.Error(err)
							}
							continue
						}
						mu.Lock()
						held[key] = body
						mu.Unlock()
					}
				})
			}
			all.Wait()
			for i := 0; 2*len(held) < seats; i++ { // the seats that came back last are sold too
				key, body := uuid.Must(uuid.NewV7()).String(), wishOf(fmt.Sprintf("last-%d@example.com", i), 2)
				waitFor(t, func() bool { return nodes[i%2].checkout(key, body).Code == 201 })
				held[key] = body
			}
			if levels, err := nodes[0].book.Stock(t.Context(), sale); err != nil || levels[0].Held != seats || 2*len(held) != seats {
				t.Errorf("%d orders of two hold, of %d seats: %+v, %v", len(held), seats, levels, err)
			}
			time.Sleep(admission.GateMaxAge) //nolint:forbidigo // an age is no event to wait for: every node's next answer is newer than all of that
			for _, n := range nodes {
				for key, body := range held {
					if w := n.checkout(key, body); w.Code != 201 {
						t.Errorf("key %s holds seats, but got %d %s", key, w.Code, w.Body)
					}
				}
				starts := n.starts.Load()
				for i := range 100 {
					wantProblem(t, n.checkout(uuid.Must(uuid.NewV7()).String(), wishOf(fmt.Sprintf("late-%d@example.com", i), 1)), 409, domain.CodeSoldOut)
				}
				if n.starts.Load() != starts {
					t.Error("the Desk was asked for a known answer")
				}
			}
		})
	}
}

// Seats that come back on one node are sold by the other within a second.
func TestFreedSeatsReopenEveryNode(t *testing.T) {
	for name, open := range ledgers {
		t.Run(name, func(t *testing.T) {
			nodes := nodesOn(t, open(t), 2, 2)
			key := uuid.Must(uuid.NewV7()).String()
			if w := nodes[0].checkout(key, wishOf("ann@example.com", 2)); w.Code != 201 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			try := func() int {
				return nodes[1].checkout(uuid.Must(uuid.NewV7()).String(), wishOf("bob@example.com", 2)).Code
			}
			if code := try(); code != 409 {
				t.Fatal(code)
			}
			o, err := domain.NewOrder(nodes[0].sale, nodes[0].world.Keys, key, []domain.Item{{Class: "A", Quantity: 2}}, "ann@example.com")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := nodes[0].book.Void(t.Context(), &o); err != nil {
				t.Fatal(err)
			}
			waitFor(t, func() bool { return try() == 201 })
		})
	}
}

// BenchmarkRefusalsOnRealLedgers is BenchmarkRefusals on a sale whose thousand seats
// are held, while they are settled.
func BenchmarkRefusalsOnRealLedgers(b *testing.B) {
	for name, open := range ledgers {
		b.Run(name, func(b *testing.B) {
			const seats, holders = 1000, 16
			n := nodesOn(b, open(b), 1, seats)[0]
			var orders []domain.Order
			for i := range seats {
				o, err := domain.NewOrder(n.sale, n.world.Keys, uuid.Must(uuid.NewV7()).String(), []domain.Item{{Class: "A", Quantity: 1}}, fmt.Sprintf("holder-%d@example.com", i))
				if err != nil {
					b.Fatal(err)
				}
				orders = append(orders, o)
			}
			hold := func(o *domain.Order) {
				if hold, err := n.book.Hold(context.Background(), o); err != nil || hold.Outcome != domain.HoldHeld {
					b.Error(hold, err)
				}
			}
			var all sync.WaitGroup
			for i := range holders {
				all.Go(func() {
					for j := i; j < seats; j += holders {
						hold(&orders[j])
					}
				})
			}
			all.Wait()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			server := NewServer(n.api.Public())
			go func() { _ = server.Serve(LimitConnections(listener, ConnectionLimits{Max: ConnectionsMax})) }()
			b.Cleanup(func() { _ = server.Close() })

			// Checkouts settle meanwhile, at about the rate of the workflows.
			ctx, cancel := context.WithCancel(context.Background())
			settled := 0
			all.Go(func() {
				for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil && settled < seats; <-tick.C {
					if _, err := n.book.Post(context.Background(), &orders[settled]); err != nil {
						b.Error(err)
					}
					settled++
				}
			})
			refuse(b, listener.Addr().String(), 256, plainType)
			cancel()
			all.Wait()
			b.ReportMetric(float64(settled)/b.Elapsed().Seconds(), "settled/s")
		})
	}
}

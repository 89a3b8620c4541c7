package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"boxoffice/domain"
	"boxoffice/ledger"
)

// follower reads the takings of a sale as the gate does: on from where it was.
type follower struct {
	cursor domain.TakingsCursor
	taken  map[domain.OrderID]domain.Taking
}

func (f *follower) follow(b *box) {
	b.t.Helper()
	for {
		page, err := b.book.Takings(b.ctx, b.sale, f.cursor)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, taking := range page.Takings {
			f.taken[taking.Order] = taking
		}
		f.cursor = page.Next
		if !page.More {
			return
		}
	}
}

func newFollower() *follower { return &follower{taken: map[domain.OrderID]domain.Taking{}} }

func TestTakings(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		f := newFollower()
		f.follow(b)
		if len(f.taken) != 0 {
			t.Fatalf("takings of a new sale: %v", f.taken)
		}
		held, voided, posted, rebooked := b.order("ann", 2, 1), b.order("bob", 1, 0), b.order("cyd", 1, 0), b.order("fay", 1, 0)
		for _, o := range []*domain.Order{held, voided, posted} {
			b.hold(o, domain.HoldHeld)
		}
		f.follow(b)
		soldOut, overLimit := b.order("dee", 0, 6), b.order("ann", 4, 0)
		b.hold(soldOut, domain.HoldSoldOut)
		b.hold(overLimit, domain.HoldLimitReached)
		b.void(voided, domain.VoidVoided)
		b.post(posted, domain.PostPosted)
		b.rebook(rebooked, domain.RebookBooked)
		f.follow(b)
		if err := b.book.Return(b.ctx, sold(posted, domain.BookedByHold)); err != nil {
			t.Fatal(err)
		}
		f.follow(b)
		for _, o := range []*domain.Order{held, voided, posted, rebooked} {
			want := domain.Taking{Order: o.ID, Buyer: o.Buyer, Quantity: o.Quantity()}
			if got := f.taken[o.ID]; got != want {
				t.Errorf("taking %+v, want %+v", got, want)
			}
			delete(f.taken, o.ID)
		}
		if len(f.taken) != 0 { // the refused ones left nothing
			t.Errorf("more takings: %v", f.taken)
		}
	})
}

// Nodes sell, void and rebook at the same time as others follow them. Whoever reads
// the levels and then the takings must find in them every order that the levels
// count, and every one whose hold was answered before.
func TestTakingsAreAsNewAsTheLevelsReadBefore(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		var answered sync.Map // of orders
		var nodes, followers sync.WaitGroup
		const nodesMax, ordersMax, followersMax = 3, 40, 2
		orders := make([][]*domain.Order, nodesMax)
		for n := range nodesMax {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for range ordersMax {
				orders[n] = append(orders[n], b.order(fmt.Sprint("buyer", random.IntN(20)), random.Int64N(3), 1+random.Int64N(2)))
			}
			nodes.Go(func() {
				book := ledger.NewBook(b.batcher)
				for i, o := range orders[n] {
					hold, err := book.Hold(b.ctx, o)
					if err != nil {
						t.Error(err)
						return
					}
					if hold.Outcome != domain.HoldHeld {
						continue
					}
					answered.Store(o.ID, true)
					switch random.IntN(3) {
					case 0:
						_, err = book.Void(b.ctx, o)
					case 1:
						if _, err = book.Void(b.ctx, orders[n][random.IntN(i+1)]); err == nil {
							_, err = book.Post(b.ctx, o)
						}
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		sold := make(chan struct{})
		for i := range followersMax {
			followers.Go(func() {
				f := newFollower()
				b := *b
				b.book = ledger.NewBook(b.batcher, ledger.WithTakingsPageMax(uint32(7+100*i)))
				for done := false; !done; {
					select {
					case <-sold:
						done = true
					default:
					}
					f.check(&b, &answered)
				}
				if !slices.ContainsFunc(slices.Concat(orders...), func(o *domain.Order) bool { return f.taken[o.ID].Order == o.ID }) {
					t.Error("nothing was taken: the test tests nothing")
				}
			})
		}
		nodes.Wait()
		close(sold)
		followers.Wait()
	})
}

func (f *follower) check(b *box, answered *sync.Map) {
	var before []domain.OrderID
	answered.Range(func(id, _ any) bool { before = append(before, id.(domain.OrderID)); return true })
	levels, err := b.book.QuotaLevel(b.ctx, b.sale, b.sale.QuotaLedger)
	if err != nil {
		b.t.Error(err)
		return
	}
	f.follow(b)
	var taken int64
	for _, t := range f.taken {
		taken += t.Quantity
	}
	if taken < levels.Held+levels.Sold {
		b.t.Errorf("%d tickets are held or sold, by orders that took %d", levels.Held, taken)
	}
	for _, id := range before {
		if _, ok := f.taken[id]; !ok {
			b.t.Errorf("order %s was held, and is not in the takings", id)
		}
	}
}

package ledger_test

import (
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"sync"
	"testing"

	"boxoffice/domain"
)

// change is a new change of class A by a number of tickets.
func (b *box) change(by int64) *domain.CapacityChange {
	var id domain.CapacityChangeID
	_, _ = rand.Read(id[:])
	return &domain.CapacityChange{ID: id, SaleID: b.sale.ID, Class: "A", Ledger: b.sale.Classes[0].Ledger, Before: 1000, After: 1000 + by}
}

func (b *box) changes(c *domain.CapacityChange, want bool) {
	b.t.Helper()
	if got, err := b.book.ChangeCapacity(b.ctx, c); err != nil || got != want {
		b.t.Fatalf("change by %d = %v, %v, want %v", c.By(), got, err, want)
	}
}

// classA checks the level of class A, and its capacity by the books.
func (b *box) classA(want level, capacity int64) {
	b.t.Helper()
	levels, err := b.book.Stock(b.ctx, b.sale)
	if err != nil {
		b.t.Fatal(err)
	}
	booked, err := b.book.BookedCapacity(b.ctx, b.sale.Classes[0].Ledger)
	if err != nil {
		b.t.Fatal(err)
	}
	if got := (level{levels[0].Held, levels[0].Sold, levels[0].Available}); got != want || booked.Now() != capacity {
		b.t.Errorf("held, sold, available = %v of %d (%+v), want %v of %d", got, booked.Now(), booked, want, capacity)
	}
}

func TestCapacityIsRaisedAndLowered(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held, paid := b.order("ann", 2, 0), b.order("bob", 3, 0)
		b.hold(held, domain.HoldHeld)
		b.hold(paid, domain.HoldHeld)
		b.post(paid, domain.PostPosted)
		raise := b.change(+4)
		for range 3 {
			b.changes(raise, true) // once
		}
		b.classA(level{2, 3, 9}, 14)
		if bookings, err := b.book.Bookings(b.ctx, b.sale.Classes[0].Ledger); err != nil || len(bookings) != 2 {
			t.Errorf("the orders' bookings: %+v, %v", bookings, err)
		}
		lower := b.change(-9)
		b.changes(lower, true)
		b.changes(lower, true)
		b.classA(level{2, 3, 0}, 5)
		b.hold(b.order("cyd", 1, 0), domain.HoldSoldOut)
		refused := b.change(-1)
		b.changes(refused, false) // never below what is held and sold
		b.void(held, domain.VoidVoided)
		b.changes(refused, false) // so for ever
		b.changes(b.change(-2), true)
		b.classA(level{0, 3, 0}, 3)
		if err := b.book.Return(b.ctx, sold(paid, domain.BookedByHold)); err != nil {
			t.Fatal(err)
		}
		b.classA(level{0, 0, 3}, 3)
	})
}

func TestACapacityChangeUnderATakenID(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		c := b.change(+4)
		b.changes(c, true)
		for _, other := range []int64{+5, -4} {
			again := *c
			again.After = again.Before + other
			if _, err := b.book.ChangeCapacity(b.ctx, &again); domain.CodeOf(err) != domain.CodeKeyReused {
				t.Errorf("%+d under the id of +4: %v, want %s", other, err, domain.CodeKeyReused)
			}
		}
		b.classA(level{0, 0, 14}, 14)
	})
}

// The sale opens again with what it was opened with, whatever its capacity is now.
func TestOpenSaleAgainAfterAChange(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		b.changes(b.change(+4), true)
		b.sale.Classes[0].OpenedWith, b.sale.Classes[0].Capacity = 10, 14
		if err := b.book.OpenSale(b.ctx, b.sale); err != nil {
			t.Fatal(err)
		}
		b.classA(level{0, 0, 14}, 14)
	})
}

// A canceled sale is drained of what was raised, and lowered tickets never come back.
func TestDrainAfterChanges(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held := b.order("ann", 2, 0)
		b.hold(held, domain.HoldHeld)
		b.changes(b.change(-3), true)
		b.changes(b.change(+1), true)
		for range 2 {
			if _, err := b.book.Drain(b.ctx, b.sale); err != nil {
				t.Fatal(err)
			}
			b.classA(level{2, 0, 0}, 8)
		}
		b.void(held, domain.VoidVoided)
		b.changes(b.change(+1), true) // begun before the cancellation
		if _, err := b.book.Drain(b.ctx, b.sale); err != nil {
			t.Fatal(err)
		}
		b.classA(level{0, 0, 0}, 9)
		b.hold(b.order("bob", 1, 0), domain.HoldSoldOut)
	})
}

// seedOf prints a seed of its own for each run.
func seedOf(t *testing.T) *mathrand.Rand {
	t.Helper()
	var raw [8]byte
	_, _ = rand.Read(raw[:])
	seed := binary.LittleEndian.Uint64(raw[:])
	t.Logf("seed %d", seed)
	return mathrand.New(mathrand.NewPCG(seed, 0))
}

// Every ledger does what three numbers do: whatever is held, sold, given back, raised, lowered
// and repeated, in whatever order.
func TestCapacityChangesBesideHoldsAreArithmetic(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		r := seedOf(t)
		now, capacity := level{available: 10}, int64(10)
		var held, paid []*domain.Order
		var done []*domain.CapacityChange
		take := func(from *[]*domain.Order) *domain.Order {
			i := r.IntN(len(*from))
			o := (*from)[i]
			*from = append((*from)[:i], (*from)[i+1:]...)
			return o
		}
		for range 120 {
			switch n := 1 + r.Int64N(6); r.IntN(7) {
			case 0, 1:
				o := b.order("buyer"+string(rune('a'+b.orders%26))+string(rune('a'+b.orders/26)), n, 0)
				if n > now.available {
					b.hold(o, domain.HoldSoldOut)
					break
				}
				b.hold(o, domain.HoldHeld)
				now.held, now.available, held = now.held+n, now.available-n, append(held, o)
			case 2:
				if len(held) > 0 {
					o := take(&held)
					b.post(o, domain.PostPosted)
					now.held, now.sold, paid = now.held-o.Quantity(), now.sold+o.Quantity(), append(paid, o)
				}
			case 3:
				if len(held) > 0 {
					o := take(&held)
					b.void(o, domain.VoidVoided)
					now.held, now.available = now.held-o.Quantity(), now.available+o.Quantity()
				}
			case 4:
				if len(paid) > 0 {
					o := take(&paid)
					if err := b.book.Return(b.ctx, sold(o, domain.BookedByHold)); err != nil {
						t.Fatal(err)
					}
					now.sold, now.available = now.sold-o.Quantity(), now.available+o.Quantity()
				}
			case 5:
				if r.IntN(2) == 0 {
					n = -n
				}
				c := b.change(n)
				fits := now.available+n >= 0
				b.changes(c, fits)
				if fits {
					now.available, capacity, done = now.available+n, capacity+n, append(done, c)
				}
			case 6:
				if len(done) > 0 {
					b.changes(done[r.IntN(len(done))], true)
				}
			}
			b.classA(now, capacity)
			if t.Failed() {
				return
			}
		}
	})
}

// Holds and changes race. Whoever wins, no more is held than there is.
func TestCapacityChangesRaceHolds(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		var orders []*domain.Order
		var changes []*domain.CapacityChange
		for i := range 12 {
			orders = append(orders, b.order("buyer"+string(rune('a'+i)), 1+int64(i%3), 0))
			changes = append(changes, b.change([]int64{-3, +2}[i%2]))
		}
		var mu sync.Mutex
		now, capacity := level{available: 10}, int64(10)
		var all sync.WaitGroup
		for i := range orders {
			all.Go(func() {
				hold, err := b.book.Hold(b.ctx, orders[i])
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				} else if hold.Outcome == domain.HoldHeld {
					now.held, now.available = now.held+orders[i].Quantity(), now.available-orders[i].Quantity()
				}
			})
			all.Go(func() {
				done, err := b.book.ChangeCapacity(b.ctx, changes[i])
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				} else if done {
					now.available, capacity = now.available+changes[i].By(), capacity+changes[i].By()
				}
			})
		}
		all.Wait()
		if now.available < 0 {
			t.Errorf("%+v", now)
		}
		b.classA(now, capacity)
	})
}

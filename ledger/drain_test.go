package ledger_test

import (
	"sync"
	"testing"

	"boxoffice/domain"
	"boxoffice/ledger"
)

func (b *box) drain(want ...level) {
	b.t.Helper()
	levels, err := b.book.Drain(b.ctx, b.sale)
	if err != nil {
		b.t.Fatalf("drain: %v", err)
	}
	for i, l := range levels {
		if (level{l.Held, l.Sold, l.Available}) != want[i] {
			b.t.Errorf("%s after the drain: held, sold, available = %d, %d, %d, want %v", l.Name, l.Held, l.Sold, l.Available, want[i])
		}
		if capacity := []int64{10, 5, 2}[i]; l.Capacity != capacity {
			b.t.Errorf("%s: capacity %d after the drain, want %d: what was funded", l.Name, l.Capacity, capacity)
		}
	}
}

func TestDrainLeavesNothingToHold(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held, paid := b.order("ann", 2, 0), b.order("bob", 1, 1)
		b.hold(held, domain.HoldHeld)
		b.hold(paid, domain.HoldHeld)
		b.post(paid, domain.PostPosted)
		b.drain(level{2, 1, 0}, level{0, 1, 0}, level{0, 0, 0})
		b.hold(b.order("cyd", 1, 0), domain.HoldSoldOut)
		b.rebook(b.order("dee", 0, 1), domain.RebookNoneLeft)
		b.perk(paid, false)
		b.post(held, domain.PostPosted) // held seats can still be sold
	})
}

func TestDrainAgainTakesWhatCameBack(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held, paid := b.order("ann", 2, 0), b.order("bob", 1, 1)
		b.hold(held, domain.HoldHeld)
		b.hold(paid, domain.HoldHeld)
		b.post(paid, domain.PostPosted)
		b.drain(level{2, 1, 0}, level{0, 1, 0}, level{0, 0, 0})
		b.drain(level{2, 1, 0}, level{0, 1, 0}, level{0, 0, 0}) // nothing to take burns no id

		b.void(held, domain.VoidVoided)
		b.drain(level{0, 1, 0}, level{0, 1, 0}, level{0, 0, 0})
		if err := b.book.Return(b.ctx, sold(paid, domain.BookedByHold)); err != nil {
			t.Fatal(err)
		}
		b.drain(level{}, level{}, level{})
		b.hold(b.order("cyd", 1, 0), domain.HoldSoldOut)
		b.hold(b.order("cyd", 0, 1), domain.HoldSoldOut)
	})
}

// The audit adds up the orders' transfers; a drain is no order's.
func TestBookingsDoNotCountDrains(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		paid := b.order("ann", 2, 0)
		b.hold(paid, domain.HoldHeld)
		b.post(paid, domain.PostPosted)
		b.drain(level{0, 2, 0}, level{}, level{})
		bookings, err := b.book.Bookings(b.ctx, b.sale.Classes[0].Ledger)
		if err != nil || len(bookings) != 1 || bookings[0].Order != paid.ID || bookings[0].Sold != 2 {
			t.Errorf("bookings = %v, %v, want the order's two seats alone", bookings, err)
		}
	})
}

// Many nodes drain while many buyers try: in the end nothing is left, nothing is
// lost, and what was held before adds up.
func TestDrainAgainstHolds(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		var holds sync.WaitGroup
		orders := make([]*domain.Order, 12)
		for i := range orders {
			orders[i] = b.order("buyer"+string(rune('a'+i)), 1, 0)
		}
		var mu sync.Mutex
		held := 0
		for i, o := range orders {
			holds.Go(func() {
				hold, err := b.book.Hold(b.ctx, o)
				if err != nil {
					t.Error(err)
				}
				if hold.Outcome == domain.HoldHeld {
					mu.Lock()
					defer mu.Unlock()
					held++
				}
			})
			if i%4 == 3 {
				holds.Go(func() {
					if _, err := ledger.NewBook(b.batcher).Drain(b.ctx, b.sale); err != nil {
						t.Error(err)
					}
				})
			}
		}
		holds.Wait()
		b.drain(level{int64(held), 0, 0}, level{}, level{})
		b.hold(b.order("late", 1, 0), domain.HoldSoldOut)
	})
}

package ledger_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/ledger"
)

// The ledger remembers of every order whether anything was sold to it.
func TestSeatFate(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		want := make(map[domain.OrderID]domain.SeatFate)
		begin := func(buyer string, seatsA, seatsB int64, fate domain.SeatFate) *domain.Order {
			o := b.order(buyer, seatsA, seatsB)
			want[o.ID] = fate
			return o
		}
		begin("ann", 1, 0, domain.SeatsNeverHeld)
		b.hold(begin("bob", 1, 1, domain.SeatsHeld), domain.HoldHeld)
		voided := begin("cyd", 1, 0, domain.SeatsReleased)
		b.hold(voided, domain.HoldHeld)
		b.void(voided, domain.VoidVoided)
		b.sell(begin("dee", 2, 1, domain.SeatsSold), domain.BookedByHold)
		late := begin("eve", 0, 1, domain.SeatsSold) // rebooked after its hold was voided
		b.hold(late, domain.HoldHeld)
		b.void(late, domain.VoidVoided)
		b.rebook(late, domain.RebookBooked)
		refunded := begin("fay", 1, 0, domain.SeatsReturned)
		b.sell(refunded, domain.BookedByHold)
		if err := b.book.Return(b.ctx, sold(refunded, domain.BookedByHold)); err != nil {
			t.Fatal(err)
		}
		unsold := begin("gil", 1, 0, domain.SeatsReturned)
		b.sell(unsold, domain.BookedByRebook)
		if err := b.unsell(unsold, domain.BookedByRebook); err != nil {
			t.Fatal(err)
		}
		refused := begin("hal", 0, 4, domain.SeatsNeverHeld)
		if got, err := b.book.Hold(b.ctx, refused); err != nil || got.Outcome == domain.HoldHeld {
			t.Fatalf("hold = %q, %v, want a refusal", got.Outcome, err)
		}

		ids := make([]domain.OrderID, 0, len(want))
		for id, fate := range want {
			ids = append(ids, id)
			got, err := b.book.SeatFate(b.ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if got != fate {
				t.Fatalf("%v, want %v", got, fate)
			}
		}
		got, err := b.book.SeatFates(b.ctx, ids)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestSeatFateOfAnExpiredHold(t *testing.T) {
	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			b := openBox(t, be, ledger.WithHoldGrace(0))
			o := b.order("ann", 1, 0)
			o.HoldTimeout = time.Second
			b.hold(o, domain.HoldHeld)
			eventually(t, "the hold expires", func() bool {
				fate, err := b.book.SeatFate(b.ctx, o.ID)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains([]domain.SeatFate{domain.SeatsHeld, domain.SeatsReleased}, fate) {
					t.Fatalf("%v, want one of %v", fate, []domain.SeatFate{domain.SeatsHeld, domain.SeatsReleased})
				}
				return fate == domain.SeatsReleased
			})
			b.post(o, domain.PostGone)
		})
	}
}

// From its transfers alone the ledger knows what an order bought, and for which
// pseudonym.
func TestBooked(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		a, bs := b.sale.Classes[0].Ledger, b.sale.Classes[1].Ledger
		both, late, refunded := b.order("ann", 2, 1), b.order("bob", 0, 1), b.order("cyd", 1, 0)
		b.sell(both, domain.BookedByHold)
		b.perk(both, true)
		b.hold(late, domain.HoldHeld)
		b.void(late, domain.VoidVoided)
		b.rebook(late, domain.RebookBooked)
		b.sell(refunded, domain.BookedByHold)
		if err := b.book.Return(b.ctx, sold(refunded, domain.BookedByHold)); err != nil {
			t.Fatal(err)
		}
		unsold := b.order("dee", 1, 0)
		b.sell(unsold, domain.BookedByHold)
		_, err := b.book.TakePerk(b.ctx, unsold)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.unsell(unsold, domain.BookedByHold); err != nil {
			t.Fatal(err)
		}

		for _, tt := range []struct {
			name  string
			order *domain.Order
			want  domain.BookedOrder
		}{
			{"two classes and the perk", both, domain.BookedOrder{Fate: domain.SeatsSold, Booking: domain.BookedByHold,
				Lines: []domain.BookedLine{{Ledger: a, Quantity: 2}, {Ledger: bs, Quantity: 1}}, PerkLedger: b.sale.Perk.Ledger}},
			{"rebooked", late, domain.BookedOrder{Fate: domain.SeatsSold, Booking: domain.BookedByRebook,
				Lines: []domain.BookedLine{{Ledger: bs, Quantity: 1}}}},
			{"refunded", refunded, domain.BookedOrder{Fate: domain.SeatsReturned, Booking: domain.BookedByHold,
				Lines: []domain.BookedLine{{Ledger: a, Quantity: 1}}}},
			{"unsold, its perk too", unsold, domain.BookedOrder{Fate: domain.SeatsReturned, Booking: domain.BookedByHold,
				Lines: []domain.BookedLine{{Ledger: a, Quantity: 1}}}},
		} {
			got, err := b.book.Booked(b.ctx, tt.order.ID)
			if err != nil {
				t.Fatalf("%v: %v", tt.name, err)
			}
			if got.SoldAt.IsZero() {
				t.Fatalf("%v: not known when it was sold", tt.name)
			}
			tt.want.Buyer, tt.want.QuotaLedger, tt.want.SoldAt = tt.order.Buyer, b.sale.QuotaLedger, got.SoldAt
			if !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("%v: %v, want %v", tt.name, got, tt.want)
			}
		}
		held := b.order("eve", 1, 0)
		b.hold(held, domain.HoldHeld)
		got, err := b.book.Booked(b.ctx, held.ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := (domain.BookedOrder{Fate: domain.SeatsHeld}); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

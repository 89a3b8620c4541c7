package ledger_test

import (
	"slices"
	"testing"

	"boxoffice/domain"
)

// The books know every order of a buyer, however it ended; one that was refused left nothing.
func TestOrdersOfBuyers(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held, voided, late, refused, bobs := b.order("ann", 1, 0), b.order("ann", 1, 0), b.order("ann", 1, 0), b.order("ann", 3, 3), b.order("bob", 1, 0)
		for _, o := range []*domain.Order{held, voided, late, bobs} {
			b.hold(o, domain.HoldHeld)
		}
		b.hold(refused, domain.HoldLimitReached)
		b.post(held, domain.PostPosted)
		b.void(voided, domain.VoidVoided)
		b.void(late, domain.VoidVoided)
		b.rebook(late, domain.RebookBooked)
		stranger := b.keys.BuyerID(b.sale.ID, "nobody@example.com")
		for range 2 {
			got, err := b.book.OrdersOfBuyers(b.ctx, []domain.BuyerID{stranger, held.Buyer})
			if err != nil {
				t.Fatal(err)
			}
			want := []domain.OrderID{held.ID, voided.ID, late.ID}
			slices.SortFunc(want, func(a, b domain.OrderID) int { return slices.Compare(a[:], b[:]) })
			if !slices.Equal(got, want) {
				t.Fatalf("orders %v, want %v", got, want)
			}
		}
		if got, err := b.book.OrdersOfBuyers(b.ctx, nil); err != nil || len(got) != 0 {
			t.Errorf("of nobody: %v, %v", got, err)
		}
	})
}

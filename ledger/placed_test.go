package ledger_test

import (
	"maps"
	"testing"

	"boxoffice/domain"
)

// An order is the sale's in whose ledger it ever was, whatever became of it; one
// that was refused, or never asked for, is nobody's.
func TestPlaced(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held, voided, late := b.order("ann", 2, 0), b.order("bob", 1, 1), b.order("cyd", 0, 1)
		refused, unknown := b.order("dee", 1, 1), b.order("eve", 1, 0)
		b.hold(held, domain.HoldHeld)
		b.hold(voided, domain.HoldHeld)
		b.void(voided, domain.VoidVoided)
		b.rebook(late, domain.RebookBooked)
		b.hold(b.order("fay", 0, 4), domain.HoldHeld) // the last of B
		if got, err := b.book.Hold(b.ctx, refused); err != nil || got.Outcome == domain.HoldHeld {
			t.Fatalf("hold = %q, %v, want a refusal", got.Outcome, err)
		}
		a, bs := b.sale.Classes[0].Ledger, b.sale.Classes[1].Ledger
		want := map[domain.OrderID]uint32{held.ID: a, voided.ID: a, late.ID: bs}
		got, err := b.book.Placed(b.ctx, []domain.OrderID{held.ID, unknown.ID, voided.ID, refused.ID, late.ID})
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("placed = %v, %v, want %v", got, err, want)
		}
	})
}

package audit

import (
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
)

// Money that is recorded as refunded and that the provider has not given back is
// brought to its checkout as money is that nobody heard of: its refund is looked into
// again. What bought tickets has a refund of its own.
func TestARefundThatTheProviderDoesNotShowIsTakenUp(t *testing.T) {
	for name, order := range map[string]byte{"of money that bought nothing": 4, "of an order": 3} {
		t.Run(name, func(t *testing.T) {
			s := atRest()
			payment := capture(order).Payment
			s.Returned = slices.DeleteFunc(s.Returned, func(r Returned) bool { return r.Payment == payment })
			w := newWorld(s)
			w.placed = map[domain.OrderID]uint32{id(4): ledgerA}
			r := w.audit(t)
			got := slices.ContainsFunc(r.Unheard, func(c domain.Capture) bool { return c.Payment == payment })
			if want := order == 4; got != want {
				t.Errorf("brought: %v, want %v:\n%s", got, want, text(t, &r))
			}
		})
	}
}

// A refund that is recorded as due and that no workflow works on, because Temporal's database
// was lost, is begun again. One that a workflow works on is left to it.
func TestARefundWhoseWorkflowIsGoneIsTakenUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		order  byte
		worked bool
		want   bool
	}{
		{"of money that bought nothing", 4, false, true},
		{"of an order", 3, false, true},
		{"of an order, under way", 3, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := atRest()
			payment := capture(tt.order).Payment
			s.Returned = slices.DeleteFunc(s.Returned, func(r Returned) bool { return r.Payment == payment })
			for i := range s.Refunds {
				if s.Refunds[i].Capture.Payment == payment {
					s.Refunds[i].RefundedAt = time.Time{}
				}
			}
			for i := range s.Orders {
				if s.Orders[i].Payment == payment {
					s.Orders[i].Status = domain.OrderRefunding
				}
			}
			w := newWorld(s)
			w.placed = map[domain.OrderID]uint32{id(4): ledgerA}
			if tt.worked {
				w.working = map[domain.OrderID]string{id(tt.order): "checkout/x"}
			}
			r := w.audit(t)
			if got := slices.ContainsFunc(r.Unheard, func(c domain.Capture) bool { return c.Payment == payment }); got != tt.want {
				t.Errorf("brought: %v, want %v:\n%s", got, tt.want, text(t, &r))
			}
		})
	}
}

// An audit delivers only so many. Those that were never reported go first: the
// others may be there again and again.
func TestWhatNobodyWasToldOfGoesFirst(t *testing.T) {
	s := atRest()
	s.Returned = slices.DeleteFunc(s.Returned, func(r Returned) bool { return r.Payment == payment(4) })
	s.Captures = append(s.Captures, capture(9))
	w := newWorld(s)
	w.placed = map[domain.OrderID]uint32{id(4): ledgerA, id(9): ledgerA}
	r := w.audit(t)
	if want := []domain.Capture{capture(9), capture(4)}; !slices.Equal(r.Unheard, want) {
		t.Errorf("%v, want %v:\n%s", r.Unheard, want, text(t, &r))
	}
}

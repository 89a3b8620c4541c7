package e2e

import (
	"encoding/json"
	"slices"
	"testing"

	"boxoffice/client"
	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// A paidOrder is an order whose payment is taken back at its provider.
type paidOrder struct {
	order
	sale    string
	reverse func(t *testing.T, state domain.ReversalState) // a dispute, or somebody who refunds 1500
	// returned is what the provider has given back.
	returned func(t *testing.T) int64
}

// paidAtMockPay is reported by webhooks of MockPay's own.
func (s *stack) paidAtMockPay(t *testing.T) *paidOrder {
	t.Helper()
	p := &paidOrder{sale: s.sale(t, 10, longHold, 4)}
	p.order = s.hold(t, p.sale, items{"A": 1})
	s.pay(t, p.order, "succeeded")
	s.awaitStatus(t, p.order, "paid")
	p.reverse = func(t *testing.T, state domain.ReversalState) {
		t.Helper()
		err := s.mockpay().Dispute(t.Context(), p.PaymentSession, mockpay.DisputeRequest{State: state, Reason: "fraudulent"})
		if state == domain.RefundMade {
			err = s.mockpay().RefundElsewhere(t.Context(), p.PaymentSession, mockpay.RefundElsewhereRequest{Key: "1", AmountMinor: 1500})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p.returned = func(t *testing.T) (sum int64) {
		t.Helper()
		page, err := s.mockpay().Refunds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Items {
			if r.Payment == p.PaymentSession {
				sum += r.AmountMinor
			}
		}
		return sum
	}
	return p
}

// paidAtStripe is reported by webhooks that the test delivers, twice each.
func (s *stack) paidAtStripe(t *testing.T) *paidOrder {
	t.Helper()
	sale := s.stripeSale(t, longHold)
	b := s.stripeBuyer(t, sale)
	if err := stripeDouble().Pay(b.session); err != nil {
		t.Fatal(err)
	}
	b.deliver(1)
	s.awaitStatus(t, b.order, "paid")
	payment := stripeDouble().PaymentOf(b.session)
	return &paidOrder{order: b.order, sale: sale,
		reverse: func(t *testing.T, state domain.ReversalState) {
			t.Helper()
			var err error
			switch state {
			case domain.RefundMade:
				err = stripeDouble().RefundInDashboard(payment, 1500)
			case domain.DisputeOpen:
				err = stripeDouble().Dispute(b.session, "needs_response")
			default:
				err = stripeDouble().Dispute(b.session, string(state))
			}
			if err != nil {
				t.Fatal(err)
			}
			b.deliver(2)
		},
		returned: func(*testing.T) int64 { return stripeDouble().Refunded(payment) },
	}
}

// awaitReversal waits until the organiser sees an order's reversal, and returns the order.
func (s *stack) awaitReversal(t *testing.T, p *paidOrder, state domain.ReversalState) (found client.AdminOrderView) {
	t.Helper()
	eventually(t, "the organiser sees that it is "+string(state), func() bool {
		page, err := s.boxOffice().ListOrders(t.Context(), p.sale, client.ListOrdersParams{})
		if err != nil || len(page.Orders) != 1 {
			t.Fatalf("%d orders, %v", len(page.Orders), err)
		}
		found = page.Orders[0]
		return len(found.Reversals) == 1 && found.Reversals[0].State == string(state)
	})
	return found
}

// settlesAs waits until nothing of a sale is in flight, and compares the audit's verdict.
func (s *stack) settlesAs(t *testing.T, verdict, sale string) {
	t.Helper()
	output, err := s.command(t.Context(), "verify", "--wait", "60s", "--json", sale)
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var reports []struct{ Verdict string }
	if err := json.Unmarshal([]byte(output), &reports); err != nil || len(reports) != 1 || reports[0].Verdict != verdict {
		t.Errorf("%v, want verdict %s: %s", err, verdict, output)
	}
}

// toldOf lists the events about an order's payment.
func (s *stack) toldOf(t *testing.T, p *paidOrder) (types []string) {
	t.Helper()
	const all = "payment.disputed,payment.dispute_closed,payment.refunded_elsewhere"
	page, err := s.boxOffice().ListEvents(t.Context(), client.ListEventsParams{Sale: p.sale, Types: all, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Events {
		types = append(types, e.Type)
	}
	return types
}

// testReversals is money that goes back without the box office: the order shows it and keeps its tickets, and whatever
// follows, the buyer gets the price back once.
func testReversals(t *testing.T, s *stack) {
	for provider, paid := range map[string]func(*testing.T) *paidOrder{"mockpay": s.paidAtMockPay, "stripe": s.paidAtStripe} {
		for name, tt := range map[string]struct {
			first  domain.ReversalState
			refund int64                // what our refund gives
			then   domain.ReversalState // empty: nothing
			rest   int64                // what it gives after that
			told   []string
		}{
			"disputed, refunded, lost": {
				domain.DisputeOpen, 0, domain.DisputeLost, 0, []string{"payment.disputed", "payment.dispute_closed"},
			},
			"disputed, refunded, won: the rest goes back then": {
				domain.DisputeOpen, 0, domain.DisputeWon, 6500, []string{"payment.disputed", "payment.dispute_closed"},
			},
			"a part refunded elsewhere, then refunded": {
				domain.RefundMade, 5000, "", 0, []string{"payment.refunded_elsewhere"},
			},
		} {
			t.Run(provider+" "+name, func(t *testing.T) {
				p := paid(t)
				p.reverse(t, tt.first)
				shown := s.awaitReversal(t, p, tt.first)
				if shown.Status != "paid" || len(shown.Tickets) != 1 {
					t.Errorf("the order is %s with %d tickets: they stay valid", shown.Status, len(shown.Tickets))
				}
				s.settlesAs(t, "warning", p.sale)
				before := p.returned(t)
				s.refund(t, p.order)
				if got := p.returned(t) - before; got != tt.refund {
					t.Errorf("the refund gave %d back, want %d", got, tt.refund)
				}
				if tt.then != "" {
					p.reverse(t, tt.then)
					s.awaitReversal(t, p, tt.then)
				}
				want := before + tt.refund + tt.rest
				eventually(t, "what is left goes back", func() bool { return p.returned(t) == want })
				eventually(t, "its events are told", func() bool { return slices.Equal(s.toldOf(t, p), tt.told) })
				s.settlesAs(t, "ok", p.sale)
				if got := p.returned(t); got != want {
					t.Errorf("%d went back in all, want %d", got, want)
				}
			})
		}
	}
}

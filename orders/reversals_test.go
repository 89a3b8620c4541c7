package orders_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
)

// reversal is what happens to an order's payment at the provider.
func reversal(sold domain.Sold, state domain.ReversalState) domain.Reversal {
	r := domain.Reversal{
		ID: "dp_" + sold.Capture.Payment, Kind: state.Terms().Kind, Payment: sold.Capture.Payment, AmountMinor: sold.Capture.AmountMinor,
		Currency: sold.Capture.Currency, State: state, Reason: "fraudulent", At: day,
	}
	if r.Kind == domain.ReversalRefund {
		r.ID, r.AmountMinor = "re_"+sold.Capture.Payment, 1500
	}
	if !state.Terms().Ended {
		r.RespondBy = day.Add(7 * 24 * time.Hour)
	}
	return r
}

// News of a reversal come twice, and out of order: what is recorded moves on only, and each step has its events once.
func TestWhatIsRecordedOfAReversal(t *testing.T) {
	type states []domain.ReversalState
	for name, tt := range map[string]struct {
		news states
		want domain.ReversalState
		told []domain.EventType
	}{
		"opened, and lost":          {states{domain.DisputeOpen, domain.DisputeLost}, domain.DisputeLost, []domain.EventType{domain.EventPaymentDisputed, domain.EventDisputeClosed}},
		"each told twice":           {states{domain.DisputeOpen, domain.DisputeOpen, domain.DisputeWon, domain.DisputeWon}, domain.DisputeWon, []domain.EventType{domain.EventPaymentDisputed, domain.EventDisputeClosed}},
		"the end told first":        {states{domain.DisputeWon, domain.DisputeOpen, domain.DisputeInquiry}, domain.DisputeWon, []domain.EventType{domain.EventPaymentDisputed, domain.EventDisputeClosed}},
		"an inquiry that escalates": {states{domain.DisputeInquiry, domain.DisputeOpen}, domain.DisputeOpen, []domain.EventType{domain.EventPaymentDisputed, domain.EventPaymentDisputed}},
		"an inquiry that is over":   {states{domain.DisputeInquiry, domain.DisputeDropped, domain.DisputeInquiry}, domain.DisputeDropped, []domain.EventType{domain.EventPaymentDisputed, domain.EventDisputeClosed}},
		"a refund made elsewhere":   {states{domain.RefundMade, domain.RefundMade}, domain.RefundMade, []domain.EventType{domain.EventRefundedElsewhere}},
		"a refund that failed":      {states{domain.RefundMade, domain.RefundFailed, domain.RefundMade}, domain.RefundFailed, []domain.EventType{domain.EventRefundedElsewhere, domain.EventRefundedElsewhere}},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			sold := b.sold(t, keyOf(1))
			b.record(t, sold)
			b.forgetEvents(t)
			var before domain.ReversalState
			for _, state := range tt.news {
				noted, err := b.store.RecordReversal(b.ctx, reversal(sold, state))
				if err != nil {
					t.Fatal(err)
				}
				isNews := state.Replaces(before)
				wantEqual(t, string(state), noted, domain.NotedReversal{Order: sold.Order.ID, SaleID: b.sale.ID, Status: domain.OrderPaid, Changed: isNews})
				if isNews {
					before = state
				}
			}
			wantEqual(t, "events", b.typesOf(t), tt.told)
			want := reversal(sold, tt.want)
			of, err := b.store.ReversalsOf(b.ctx, []domain.OrderID{sold.Order.ID, {7}})
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "of the order", of, map[domain.OrderID][]domain.Reversal{sold.Order.ID: {want}})
			var streamed []domain.Reversal
			for r, err := range b.store.RecordedReversals(b.ctx, b.sale.ID) {
				if err != nil {
					t.Fatal(err)
				}
				streamed = append(streamed, r)
			}
			wantEqual(t, "of the sale", streamed, []domain.Reversal{want})
			order, err := b.store.Order(b.ctx, sold.Order.ID)
			if err != nil || order.Status != domain.OrderPaid || len(order.Tickets) != 3 {
				t.Errorf("the order is %s with %d tickets (%v): they stay valid", order.Status, len(order.Tickets), err)
			}
			var open domain.Disputes
			if !want.State.Terms().Ended {
				open = domain.Disputes{Open: 1, Unanswered: 1, RespondBy: want.RespondBy}
			}
			got, err := b.store.OpenDisputes(b.ctx)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "open disputes", got, open)
		})
	}
}

// Many nodes may get the same news at once, and a payment may be disputed twice.
func TestReversalsOfOnePaymentAtOnce(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	b.record(t, sold)
	b.forgetEvents(t)
	second := reversal(sold, domain.DisputeOpen)
	second.ID = "dp_second"
	var all sync.WaitGroup
	for range 4 {
		for _, r := range []domain.Reversal{reversal(sold, domain.DisputeOpen), second} {
			all.Go(func() {
				if _, err := b.store.RecordReversal(b.ctx, r); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	wantEqual(t, "events", b.typesOf(t), []domain.EventType{domain.EventPaymentDisputed, domain.EventPaymentDisputed})
}

func TestAReversalOfAPaymentThatIsNotRecordedIsUnknown(t *testing.T) {
	b := setup(t)
	_, err := b.store.RecordReversal(b.ctx, reversal(b.sold(t, keyOf(1)), domain.DisputeOpen))
	if !domain.IsUnknown(err) {
		t.Errorf("%v, want an unknown error: the provider tells it again", err)
	}
	wantEqual(t, "recorded", b.count(t, `SELECT count(*) FROM reversals`), 0)
}

func TestAReversalThatMakesNoSenseIsRefused(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	b.record(t, sold)
	other := b.sold(t, keyOf(2))
	b.record(t, other)
	if _, err := b.store.RecordReversal(b.ctx, reversal(sold, domain.DisputeOpen)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*domain.Reversal){
		"no amount":             func(r *domain.Reversal) { r.AmountMinor = 0 },
		"a state of a refund":   func(r *domain.Reversal) { r.State = domain.RefundMade },
		"a state nobody knows":  func(r *domain.Reversal) { r.State = "escalated" },
		"of another payment":    func(r *domain.Reversal) { r.Payment = other.Capture.Payment },
		"of another provider's": func(r *domain.Reversal) { r.Payment = "stripe/pi_1" },
		"no time":               func(r *domain.Reversal) { r.At = time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			r := reversal(sold, domain.DisputeLost)
			change(&r)
			_, err := b.store.RecordReversal(b.ctx, r)
			wantCode(t, err, domain.CodeInvalid)
		})
	}
	of, err := b.store.ReversalsOf(b.ctx, []domain.OrderID{sold.Order.ID})
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "recorded", of[sold.Order.ID], []domain.Reversal{reversal(sold, domain.DisputeOpen)})
}

// Whoever records a reversal learns what became of the payment: a refund that is done may have left something to it.
func TestAReversalKnowsTheRefundOfItsPayment(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	b.record(t, sold)
	late := sold.Capture
	late.Payment = "pay_late"
	must(b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day))
	must(b.store.BeginRefund(b.ctx, domain.Refund{Capture: late, SaleID: b.sale.ID, Reason: domain.RefundSecondCapture, RequestedAt: day}))
	for _, payment := range []string{sold.Capture.Payment, late.Payment} {
		if err := b.store.FinishRefund(b.ctx, payment, day); err != nil {
			t.Fatal(err)
		}
	}
	nothing := sold
	nothing.Capture = late
	for _, tt := range []struct {
		sold   domain.Sold
		status domain.OrderStatus
		reason domain.RefundReason
	}{{sold, domain.OrderRefunded, domain.RefundByOrganiser}, {nothing, "", domain.RefundSecondCapture}} {
		won := reversal(tt.sold, domain.DisputeWon)
		noted, err := b.store.RecordReversal(b.ctx, won)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "noted", noted, domain.NotedReversal{
			Order: sold.Order.ID, SaleID: b.sale.ID, Status: tt.status, Changed: true,
			Refund: &domain.Refund{Capture: tt.sold.Capture, SaleID: b.sale.ID, Reason: tt.reason, RequestedAt: day, RefundedAt: day},
		})
		if !noted.Reopens(&won) {
			t.Error("what the dispute had taken does not go back")
		}
	}
	kinds := b.typesOf(t)
	if !slices.Contains(kinds, domain.EventDisputeClosed) {
		t.Errorf("events %q", kinds)
	}
}

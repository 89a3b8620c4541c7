package stripe_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/stripe"
	"boxoffice/payments/stripe/stripetest"
)

// reversals are what the adapter makes of the webhooks so far that are about disputes and refunds.
func reversals(t *testing.T, double *stripetest.Server, p *stripe.Provider) (states []domain.ReversalState) {
	t.Helper()
	for _, hook := range double.Webhooks() {
		event, err := p.Event(t.Context(), hook.Header, hook.Body)
		if err != nil {
			t.Fatalf("%s: %v", hook.Body, err)
		}
		if event.Type == domain.PaymentReversed {
			states = append(states, event.Reversal.State)
		}
	}
	return states
}

// Events overtake each other, so each of them says how the dispute is when it is read.
func TestADisputeIsToldAsItIsNow(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	session := mustPay(t, double, p)
	for _, tt := range []struct {
		status string
		want   domain.ReversalState
		waits  bool
	}{
		{"warning_needs_response", domain.DisputeInquiry, true},
		{"warning_under_review", domain.DisputeInquiry, false},
		{"needs_response", domain.DisputeOpen, true},
		{"under_review", domain.DisputeOpen, false},
		{"lost", domain.DisputeLost, false},
		{"won", domain.DisputeWon, false},
		{"warning_closed", domain.DisputeDropped, false},
		{"prevented", domain.DisputeDropped, false},
	} {
		if err := double.Dispute(session.Session, tt.status); err != nil {
			t.Fatal(err)
		}
		for _, state := range reversals(t, double, p) {
			if state != tt.want {
				t.Errorf("while it is %s an event reads %s, want %s", tt.status, state, tt.want)
			}
		}
		for d, err := range p.Disputes(t.Context()) {
			if err != nil || d.State != tt.want || d.RespondBy.IsZero() == tt.waits || d.Reason != "fraudulent" || d.AmountMinor != 6500 || d.Payment != session.Capture.Payment {
				t.Errorf("while it is %s the list has %+v, %v", tt.status, d, err)
			}
		}
	}
}

// A status of a later version of Stripe's is nothing to guess about money from.
func TestAStatusOfADisputeThatNobodyKnowsIsUnknown(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	session := mustPay(t, double, p)
	if err := double.Dispute(session.Session, "in_arbitration"); err != nil {
		t.Fatal(err)
	}
	hook := double.Webhooks()[1]
	if event, err := p.Event(t.Context(), hook.Header, hook.Body); !domain.IsUnknown(err) {
		t.Errorf("it reads %+v, %v; want an unknown error", event, err)
	}
	c := session.Capture
	err := p.Refund(t.Context(), payments.Refund{Key: c.Payment, Payment: c.Payment, Order: c.Order, AmountMinor: 6500, Currency: "EUR"})
	if !domain.IsUnknown(err) {
		t.Errorf("a refund: %v, want an unknown error", err)
	}
}

// Our own refunds come back as events too, and cost no call.
func TestRefundsOfOursAreNoNews(t *testing.T) {
	double := newDouble(t)
	var calls atomic.Int64
	double.Trouble = func(*http.Request) stripetest.Trouble {
		calls.Add(1)
		return stripetest.None
	}
	p := open(t, double, nil)
	c := mustPay(t, double, p).Capture
	if err := p.Refund(t.Context(), payments.Refund{Key: "part", Payment: c.Payment, Order: c.Order, AmountMinor: 500, Currency: "EUR"}); err != nil {
		t.Fatal(err)
	}
	before := calls.Load()
	if states := reversals(t, double, p); len(states) != 0 || calls.Load() != before {
		t.Errorf("it reads %q, with %d calls", states, calls.Load()-before)
	}
	if err := double.RefundInDashboard(c.Payment, 1500); err != nil {
		t.Fatal(err)
	}
	if states := reversals(t, double, p); len(states) != 1 || states[0] != domain.RefundMade {
		t.Errorf("after a refund in the dashboard it reads %q", states)
	}
	if err := double.FailRefund(c.Payment); err != nil {
		t.Fatal(err)
	}
	for _, state := range reversals(t, double, p) {
		if state != domain.RefundFailed {
			t.Errorf("after it failed an event reads %q", state)
		}
	}
	for r, err := range p.Refunds(t.Context()) {
		if err != nil || r.Elsewhere {
			t.Errorf("the list has %+v, %v", r, err)
		}
	}
	if err := p.Refund(t.Context(), payments.Refund{Key: c.Payment, Payment: c.Payment, Order: c.Order, AmountMinor: 6500, Currency: "EUR"}); err != nil {
		t.Errorf("the rest: %v", err)
	}
	var sum int64
	for r, err := range p.Refunds(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		sum += r.AmountMinor
	}
	if sum != 6500 {
		t.Errorf("%d was given back, want 6500", sum)
	}
}

// Another shop's disputes, and refunds of another program, are ignored.
func TestReversalsOfOthersInTheAccountAreIgnored(t *testing.T) {
	double := newDouble(t)
	other := open(t, double, func(o *stripe.Options) { o.Shop = "other.example" })
	session := mustPay(t, double, other)
	if err := double.Dispute(session.Session, "needs_response"); err != nil {
		t.Fatal(err)
	}
	if err := double.Dispute(session.Session, "won"); err != nil {
		t.Fatal(err)
	}
	if err := double.RefundInDashboard(session.Capture.Payment, 1500); err != nil {
		t.Fatal(err)
	}
	p := open(t, double, nil)
	if states := reversals(t, double, p); len(states) != 0 {
		t.Errorf("it reads %q", states)
	}
	for d, err := range p.Disputes(t.Context()) {
		t.Errorf("it lists %+v, %v", d, err)
	}
}

// Stripe gives nothing back while a dispute is open. A refund of the rest waits for that, and then goes through.
func TestTheRestOfADisputedPaymentWaitsForTheDispute(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	session := mustPay(t, double, p)
	c := session.Capture
	if err := double.DisputePart(session.Session, "needs_response", 3000); err != nil {
		t.Fatal(err)
	}
	whole := payments.Refund{Key: c.Payment, Payment: c.Payment, Order: c.Order, AmountMinor: 6500, Currency: "EUR", Reason: domain.RefundByOrganiser}
	if err := p.Refund(t.Context(), whole); !domain.IsUnknown(err) || !strings.Contains(err.Error(), "dispute") {
		t.Errorf("while it is open: %v, want an unknown error that says why", err)
	}
	if err := double.Dispute(session.Session, "lost"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Refund(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		double.ForgetKeys()
	}
	var given []int64
	for r, err := range p.Refunds(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, r.AmountMinor)
	}
	if len(given) != 1 || given[0] != 3500 {
		t.Errorf("given back %d, want 3500 once", given)
	}
}

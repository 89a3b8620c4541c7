package workflows_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

func TestLateTerms(t *testing.T) {
	order := testOrder()
	capture := testCapture()
	wrong := capture
	wrong.AmountMinor++
	ended := func(status domain.OrderStatus, payment string) domain.CheckoutState {
		return domain.CheckoutState{Status: status, Payment: payment, AmountMinor: order.AmountMinor, Currency: order.Currency}
	}
	tests := []struct {
		name    string
		state   domain.CheckoutState
		capture domain.Capture
		late    bool
		rebook  bool
		reason  domain.RefundReason
	}{
		{"the payment that paid the order", ended(domain.OrderPaid, "pay_1"), capture, false, false, ""},
		{"the payment that was refunded", ended(domain.OrderRefunded, "pay_1"), capture, false, false, ""},
		{"a second payment of a paid order", ended(domain.OrderPaid, "pay_0"), capture, true, false, domain.RefundSecondCapture},
		{"after it failed", ended(domain.OrderFailed, ""), capture, true, true, domain.RefundNoneLeft},
		{"after it expired", ended(domain.OrderExpired, ""), capture, true, true, domain.RefundNoneLeft},
		{"after the buyer canceled", ended(domain.OrderCanceled, ""), capture, true, false, domain.RefundCanceled},
		{"wrong amount after it expired: Late asks the provider first", ended(domain.OrderExpired, ""), wrong, true, true, domain.RefundNoneLeft},
		{"after it was refused", ended(domain.OrderSoldOut, ""), capture, true, true, domain.RefundNoneLeft},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			input, late, err := workflows.LateTerms(&tt.state, tt.capture)
			if err != nil {
				t.Fatal(err)
			}
			if late != tt.late {
				t.Fatalf("late is %v, want %v", late, tt.late)
			}
			if input.Rebook != tt.rebook {
				t.Fatalf("input.Rebook is %v, want %v", input.Rebook, tt.rebook)
			}
			if input.Reason != tt.reason {
				t.Fatalf("input.Reason is %q, want %q", input.Reason, tt.reason)
			}
		})
	}
}

func TestLateTermsNeverGuess(t *testing.T) {
	for _, status := range []domain.OrderStatus{domain.OrderPending, domain.OrderHeld, "disputed", ""} {
		t.Run(string(status), func(t *testing.T) {
			input, late, err := workflows.LateTerms(&domain.CheckoutState{Status: status}, testCapture())
			if err == nil {
				t.Fatal("no error, want one")
			}
			if !domain.IsUnknown(err) {
				t.Fatalf("want true: domain.IsUnknown(err): the provider delivers it again: %v", err)
			}
			if late {
				t.Fatal("want false: late")
			}
			if input.Reason != "" {
				t.Fatalf("input.Reason is %q, want nothing: nothing goes back for it", input.Reason)
			}
			if input.Rebook {
				t.Fatal("want false: input.Rebook")
			}
		})
	}
}

func TestLateTermsAreThoseOfTheTable(t *testing.T) {
	for _, status := range domain.OrderStatuses {
		terms := status.Terms()
		if terms.LateMoney == domain.LateAwaited {
			continue
		}
		t.Run(string(status), func(t *testing.T) {
			input, late, err := workflows.LateTerms(&domain.CheckoutState{Status: status, Payment: "pay_0"}, testCapture())
			if err != nil {
				t.Fatalf("workflows/late.go: LateTerms says nothing of late money of %s: %v", status, err)
			}
			if !late {
				t.Fatal("want true: late")
			}
			if input.Rebook != (terms.LateMoney == domain.LateRebooks) {
				t.Fatalf("input.Rebook is %v, want %v", input.Rebook, terms.LateMoney == domain.LateRebooks)
			}
			if input.Reason != terms.LateReason {
				t.Fatalf("input.Reason is %q, want %q", input.Reason, terms.LateReason)
			}
		})
	}
}

func TestLate(t *testing.T) {
	order := testOrder()
	tests := []struct {
		name     string
		script   func(*world)
		input    workflows.LateInput
		status   domain.OrderStatus
		recorded int
		refunded int
	}{
		{"seats left: rebooked", func(w *world) { w.seatsLeft = true },
			workflows.LateInput{Capture: testCapture(), Order: &order, Rebook: true, Reason: domain.RefundNoneLeft}, domain.OrderPaid, 1, 0},
		{"none left: refunded", nil,
			workflows.LateInput{Capture: testCapture(), Order: &order, Rebook: true, Reason: domain.RefundNoneLeft}, domain.OrderRefunded, 0, 1},
		{"not to be rebooked: refunded although seats are left", func(w *world) { w.seatsLeft = true },
			workflows.LateInput{Capture: testCapture(), Order: &order, Reason: domain.RefundCanceled}, domain.OrderRefunded, 0, 1},
		{"a wrong amount: refunded although seats are left", func(w *world) { w.seatsLeft = true },
			workflows.LateInput{Capture: wrongCapture(), Order: &order, Rebook: true, Reason: domain.RefundNoneLeft}, domain.OrderRefunded, 0, 1},
		{"a wrong amount that the provider took for the right one: rebooked", func(w *world) {
			w.seatsLeft = true
			c := testCapture()
			w.captured = &c
		}, workflows.LateInput{Capture: wrongCapture(), Order: &order, Rebook: true, Reason: domain.RefundNoneLeft}, domain.OrderPaid, 1, 0},
		{"the checkout broke off and its hold still stands", nil,
			workflows.LateInput{Capture: testCapture(), Order: &order, Rebook: true, HoldMayStand: true, Reason: domain.RefundNoneLeft}, domain.OrderPaid, 1, 0},
		{"an unknown order: refunded", nil,
			workflows.LateInput{Capture: testCapture(), Reason: domain.RefundUnknownOrder}, domain.OrderRefunded, 0, 1},
		{"an order that the database will never take: refunded", func(w *world) { w.seatsLeft, w.unrecordable = true, true },
			workflows.LateInput{Capture: testCapture(), Order: &order, Rebook: true, Reason: domain.RefundNoneLeft}, domain.OrderRefunded, 0, 1},
		{"the provider is down: retried until it is back", func(w *world) { w.failures["refund"] = 100 },
			workflows.LateInput{Capture: testCapture(), Reason: domain.RefundUnknownOrder}, domain.OrderRefunded, 0, 1},
		{"the provider never took it: nothing to give back", func(w *world) { w.refundUnknown = true },
			workflows.LateInput{Capture: testCapture(), Reason: domain.RefundWrongAmount}, domain.OrderRefunded, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setup(t, tt.script)
			b.env.ExecuteWorkflow(workflows.Late, tt.input)
			if err := b.env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			var state domain.CheckoutState
			if err := b.env.GetWorkflowResult(&state); err != nil {
				t.Fatal(err)
			}
			if state.Status != tt.status {
				t.Fatalf("state.Status is %q, want %q", state.Status, tt.status)
			}
			if len(b.world.recorded) != tt.recorded {
				t.Fatalf("%d in b.world.recorded, want %d: %+v", len(b.world.recorded), tt.recorded, b.world.recorded)
			}
			if len(b.world.refunded) != tt.refunded {
				t.Fatalf("%d in b.world.refunded, want %d: %q", len(b.world.refunded), tt.refunded, b.world.refunded)
			}
			if len(b.world.refunds) != tt.refunded {
				t.Fatalf("%d in b.world.refunds, want %d: %+v: a refund is noted as due before it is done", len(b.world.refunds), tt.refunded, b.world.refunds)
			}
		})
	}
}

// A refund that cannot be recorded goes back all the same.
func TestLateRefundThatCannotBeRecorded(t *testing.T) {
	b := setup(t, func(w *world) { w.refundUnrecordable = true })
	b.env.ExecuteWorkflow(workflows.Late, workflows.LateInput{Capture: testCapture(), Reason: domain.RefundNoneLeft})
	if err := b.env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"refund"}; !reflect.DeepEqual(b.world.calls[len(b.world.calls)-1:], want) {
		t.Fatalf("b.world.calls[len(b.world.calls)-1:] is %q, want %q", b.world.calls[len(b.world.calls)-1:], want)
	}
	if want := []activities.Flag{activities.FlagUnrecordedRefund}; !reflect.DeepEqual(b.world.flags, want) {
		t.Fatalf("b.world.flags is %q, want %q", b.world.flags, want)
	}
	if len(b.world.refunded) != 0 {
		t.Fatalf("b.world.refunded is %q, want nothing", b.world.refunded)
	}
}

// An event may be ahead of what the provider answers, and wrong about the amount. What
// goes back is what was taken, whole, and what is on record.
func TestLateWaitsForTheProviderToShowThePayment(t *testing.T) {
	order := testOrder()
	shown := func(after time.Duration, capture domain.Capture) func(*world) {
		return func(w *world) {
			w.captured, w.knownAt = &capture, w.now().Add(after)
		}
	}
	tests := []struct {
		name     string
		script   func(*world)
		input    workflows.LateInput
		status   domain.OrderStatus
		given    []domain.Capture
		recorded int
		untaken  bool
	}{
		{"a wrong amount that turns out to be the right one goes back whole", shown(3*time.Second, testCapture()),
			workflows.LateInput{Capture: wrongCapture(), Order: &order, Reason: domain.RefundWrongAmount}, domain.OrderRefunded, []domain.Capture{testCapture()}, 0, false},
		{"or buys the seats that are left", func(w *world) { shown(3*time.Second, testCapture())(w); w.seatsLeft = true },
			workflows.LateInput{Capture: wrongCapture(), Order: &order, Rebook: true, Reason: domain.RefundNoneLeft}, domain.OrderPaid, nil, 1, false},
		{"a payment that is shown late goes back", shown(3*time.Second, testCapture()),
			workflows.LateInput{Capture: testCapture(), Order: &order, Reason: domain.RefundCanceled}, domain.OrderRefunded, []domain.Capture{testCapture()}, 0, false},
		{"one that is never shown was not taken, as far as anybody knows", shown(time.Hour, testCapture()),
			workflows.LateInput{Capture: testCapture(), Order: &order, Reason: domain.RefundCanceled}, domain.OrderRefunded, nil, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setup(t, tt.script)
			b.env.ExecuteWorkflow(workflows.Late, tt.input)
			if err := b.env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			var state domain.CheckoutState
			if err := b.env.GetWorkflowResult(&state); err != nil {
				t.Fatal(err)
			}
			if state.Status != tt.status {
				t.Fatalf("state.Status is %q, want %q", state.Status, tt.status)
			}
			if state.Untaken != tt.untaken {
				t.Fatalf("state.Untaken is %v, want %v", state.Untaken, tt.untaken)
			}
			if !reflect.DeepEqual(b.world.given, tt.given) {
				t.Fatalf("b.world.given is %+v, want %+v", b.world.given, tt.given)
			}
			if len(b.world.recorded) != tt.recorded {
				t.Fatalf("%d in b.world.recorded, want %d: %+v", len(b.world.recorded), tt.recorded, b.world.recorded)
			}
			for _, noted := range b.world.refunds {
				if want := testCapture(); !reflect.DeepEqual(noted.Capture, want) {
					t.Fatalf("noted.Capture is %+v, want %+v: the record must be what was taken", noted.Capture, want)
				}
			}
		})
	}
}

// What the provider knew, or tickets were sold for, stays due until the provider
// gives it back: that it does not know the payment may be the wrong account's answer.
func TestMoneyStaysDueWhereTheProviderForgetsIt(t *testing.T) {
	const away = time.Hour
	tests := map[string]struct {
		run   any
		input any
	}{
		"a late payment": {workflows.Late, workflows.LateInput{Capture: testCapture(), Reason: domain.RefundCanceled}},
		"an order":       {workflows.Refund, workflows.RefundInput{Order: testOrder().ID, Reason: domain.RefundByOrganiser}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(w *world) {
				c := testCapture()
				w.captured, w.refundUnknown = &c, true
			})
			b.env.RegisterDelayedCallback(func() {
				if len(b.world.refunded) != 0 {
					t.Fatalf("b.world.refunded is %q, want nothing", b.world.refunded)
				}
				b.world.refundUnknown = false
			}, away)
			b.env.ExecuteWorkflow(tt.run, tt.input)
			if err := b.env.GetWorkflowError(); err != nil {
				t.Fatal(err)
			}
			if want := []string{"pay_1"}; !reflect.DeepEqual(b.world.refunded, want) {
				t.Fatalf("b.world.refunded is %q, want %q", b.world.refunded, want)
			}
			if len(b.world.given) != 1 {
				t.Fatalf("%d in b.world.given, want 1: %+v", len(b.world.given), b.world.given)
			}
			if !slices.Contains(b.world.flags, activities.FlagRefundUnknown) {
				t.Fatalf("no %q in %q", activities.FlagRefundUnknown, b.world.flags)
			}
		})
	}
}

// A program that starts a workflow may have no payload key: an unsealed payment sells
// nothing, and gives back no more than the provider took.
func TestLateThatWasNotSealed(t *testing.T) {
	order := testOrder()
	input := workflows.LateInput{Capture: testCapture(), Order: &order, Rebook: true, Reason: domain.RefundNoneLeft, Unsealed: true}
	t.Run("unknown at the provider: it fails, so that it does not stand for the payment", func(t *testing.T) {
		b := setup(t, func(w *world) { w.seatsLeft = true })
		b.env.ExecuteWorkflow(workflows.Late, input)
		if err := b.env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "not sealed") {
			t.Fatalf("the error is %v, want %q in it", err, "not sealed")
		}
		if len(b.world.recorded) != 0 {
			t.Fatalf("b.world.recorded is %+v, want nothing", b.world.recorded)
		}
		if len(b.world.refunds) != 0 {
			t.Fatalf("b.world.refunds is %+v, want nothing", b.world.refunds)
		}
	})
	t.Run("captured: it goes back", func(t *testing.T) {
		b := setup(t, func(w *world) {
			w.seatsLeft = true
			c := testCapture()
			w.captured = &c
		})
		b.env.ExecuteWorkflow(workflows.Late, input)
		if err := b.env.GetWorkflowError(); err != nil {
			t.Fatal(err)
		}
		if len(b.world.recorded) != 0 {
			t.Fatalf("b.world.recorded is %+v, want nothing", b.world.recorded)
		}
		if want := []string{"pay_1"}; !reflect.DeepEqual(b.world.refunded, want) {
			t.Fatalf("b.world.refunded is %q, want %q", b.world.refunded, want)
		}
	})
}

func wrongCapture() domain.Capture {
	c := testCapture()
	c.AmountMinor = 1
	return c
}

// A second payment for an order that was rebooked goes back, and the first one's
// seats and tickets stay.
func TestLateSecondCapture(t *testing.T) {
	order := testOrder()
	b := setup(t, func(w *world) {
		w.seatsLeft = true
		first := testCapture()
		first.Payment = "pay_0"
		w.recorded = []domain.Sold{{Capture: first}}
	})
	b.env.ExecuteWorkflow(workflows.Late, workflows.LateInput{Capture: testCapture(), Order: &order, Rebook: true, Reason: domain.RefundNoneLeft})
	if err := b.env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if b.world.seats != "rebooked" {
		t.Fatalf(`b.world.seats is %q, want "rebooked"`, b.world.seats)
	}
	if len(b.world.recorded) != 1 {
		t.Fatalf("%d in b.world.recorded, want 1: %+v", len(b.world.recorded), b.world.recorded)
	}
	if want := []string{"pay_1"}; !reflect.DeepEqual(b.world.refunded, want) {
		t.Fatalf("b.world.refunded is %q, want %q", b.world.refunded, want)
	}
	if b.world.refunds[0].Reason != domain.RefundSecondCapture {
		t.Fatalf("b.world.refunds[0].Reason is %q, want %q", b.world.refunds[0].Reason, domain.RefundSecondCapture)
	}
}

func TestRefundReturnsMoneyThenSeats(t *testing.T) {
	b := setup(t, func(w *world) { w.failures["refund"] = 3 })
	b.env.ExecuteWorkflow(workflows.Refund, workflows.RefundInput{Order: b.order.ID, Reason: domain.RefundByOrganiser})
	if err := b.env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if b.world.seats != "returned" {
		t.Fatalf(`b.world.seats is %q, want "returned"`, b.world.seats)
	}
	if want := []string{"pay_1"}; !reflect.DeepEqual(b.world.refunded, want) {
		t.Fatalf("b.world.refunded is %q, want %q", b.world.refunded, want)
	}
}

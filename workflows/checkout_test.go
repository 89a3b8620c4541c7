package workflows_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

const soon = time.Minute // well before the deadline

// Every way in which a checkout ends, and what it leaves behind.
func TestCheckoutEndings(t *testing.T) {
	type want struct {
		status   domain.OrderStatus
		seats    string
		recorded int
		refunds  []domain.RefundReason
		perk     bool
		flags    []activities.Flag
	}
	tests := []struct {
		name   string
		script func(*world)
		drive  func(*bundle, *answers)
		want   want
	}{
		{
			name: "paid by the update",
			drive: func(b *bundle, a *answers) {
				b.update(a, soon, "payment", "e1", b.event("e1", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:  "paid by the signal",
			drive: func(b *bundle, _ *answers) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) },
			want:  want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:   "paid when the perk has run out",
			script: func(w *world) { w.perkLeft = false },
			drive:  func(b *bundle, _ *answers) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) },
			want:   want{status: domain.OrderPaid, seats: "posted", recorded: 1},
		},
		{
			name:   "sold out",
			script: func(w *world) { w.holdOutcome = domain.HoldSoldOut },
			want:   want{status: domain.OrderSoldOut},
		},
		{
			name:   "over the buyer's limit",
			script: func(w *world) { w.holdOutcome = domain.HoldLimitReached },
			want:   want{status: domain.OrderLimitReached},
		},
		{
			name:  "failed at the provider",
			drive: func(b *bundle, a *answers) { b.update(a, soon, "payment", "e1", b.event("e1", domain.PaymentFailed)) },
			want:  want{status: domain.OrderFailed, seats: "voided"},
		},
		{
			name: "declined, then paid with another card",
			drive: func(b *bundle, a *answers) {
				b.update(a, soon, "payment", "e1", b.event("e1", domain.PaymentDeclined))
				b.update(a, 2*soon, "payment", "e2", b.event("e2", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:  "declined, and nothing more",
			drive: func(b *bundle, a *answers) { b.update(a, soon, "payment", "e1", b.event("e1", domain.PaymentDeclined)) },
			want:  want{status: domain.OrderExpired, seats: "voided"},
		},
		{
			name: "declined, and the payment after it got lost",
			script: func(w *world) {
				c := testCapture()
				w.captured = &c
			},
			drive: func(b *bundle, a *answers) { b.signal(soon, b.event("e1", domain.PaymentDeclined)) },
			want:  want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name: "a decline that overtakes its payment",
			drive: func(b *bundle, a *answers) {
				b.update(a, soon, "payment", "e2", b.event("e2", domain.PaymentSucceeded))
				b.update(a, soon, "payment", "e1", b.event("e1", domain.PaymentDeclined))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:  "declined too often",
			drive: func(b *bundle, a *answers) { b.declines(a, domain.DeclinesMax) },
			want:  want{status: domain.OrderFailed, seats: "voided"},
		},
		{
			name:   "declined too often, and paid in that moment",
			script: func(w *world) { w.captureAtExpire = true },
			drive:  func(b *bundle, a *answers) { b.declines(a, domain.DeclinesMax) },
			want:   want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name: "declined, then failed for good",
			drive: func(b *bundle, a *answers) {
				b.declines(a, 2)
				b.update(a, 2*soon, "payment", "f", b.event("f", domain.PaymentFailed))
			},
			want: want{status: domain.OrderFailed, seats: "voided"},
		},
		{
			name: "canceled at the provider",
			drive: func(b *bundle, a *answers) {
				b.update(a, soon, "payment", "e1", b.event("e1", domain.PaymentCanceled))
			},
			want: want{status: domain.OrderCanceled, seats: "voided"},
		},
		{
			name:  "canceled by the buyer",
			drive: func(b *bundle, a *answers) { b.update(a, soon, "cancel", "c") },
			want:  want{status: domain.OrderCanceled, seats: "voided"},
		},
		{
			name: "canceled by the buyer after the provider had captured",
			script: func(w *world) {
				c := testCapture()
				w.captured = &c
			},
			drive: func(b *bundle, a *answers) { b.update(a, soon, "cancel", "c") },
			want:  want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name: "expired without a payment",
			want: want{status: domain.OrderExpired, seats: "voided"},
		},
		{
			name: "captured, webhook lost: the provider says so at the deadline",
			script: func(w *world) {
				c := testCapture()
				w.captured = &c
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:  "paid at the very deadline",
			drive: func(b *bundle, _ *answers) { b.signal(holdTimeout, b.event("e1", domain.PaymentSucceeded)) },
			want:  want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:   "captured at the very deadline: the provider's expire decides",
			script: func(w *world) { w.captureAtExpire = true },
			drive: func(b *bundle, _ *answers) {
				b.signal(holdTimeout+time.Second, b.event("e1", domain.PaymentSucceeded)) // too late to matter
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:   "paid while the provider does not answer whether it expired",
			script: func(w *world) { w.failures["expire"] = 20 },
			drive: func(b *bundle, _ *answers) {
				b.signal(holdTimeout+10*time.Second, b.event("e1", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:   "paid when the hold is gone, seats left: rebooked",
			script: func(w *world) { w.holdGone, w.seatsLeft = true, true },
			drive:  func(b *bundle, _ *answers) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) },
			want:   want{status: domain.OrderPaid, seats: "rebooked", recorded: 1, perk: true},
		},
		{
			name:   "paid when the hold is gone, none left: another workflow refunds it",
			script: func(w *world) { w.holdGone = true },
			drive:  func(b *bundle, _ *answers) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) },
			want:   want{status: domain.OrderRefunding, seats: "held", refunds: []domain.RefundReason{domain.RefundNoneLeft}},
		},
		{
			name: "wrong amount: no ticket, refunded, and the hold stays for the right payment",
			drive: func(b *bundle, _ *answers) {
				wrong := b.event("e1", domain.PaymentSucceeded)
				wrong.AmountMinor, wrong.Payment = 1, "pay_wrong"
				b.signal(soon, wrong)
				b.signal(2*soon, b.event("e2", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true, refunds: []domain.RefundReason{domain.RefundWrongAmount}},
		},
		{
			name: "wrong currency only: expired",
			drive: func(b *bundle, _ *answers) {
				wrong := b.event("e1", domain.PaymentSucceeded)
				wrong.Currency = "USD"
				b.signal(soon, wrong)
			},
			want: want{status: domain.OrderExpired, seats: "voided", refunds: []domain.RefundReason{domain.RefundWrongAmount}},
		},
		{
			name: "a wrong amount under the session's own id, which the provider does not know, does not spoil that id",
			drive: func(b *bundle, _ *answers) {
				wrong := b.event("e1", domain.PaymentSucceeded)
				wrong.AmountMinor, wrong.Payment = 1, ""
				right := b.event("e2", domain.PaymentSucceeded)
				right.Payment = ""
				b.signal(soon, wrong)
				b.signal(2*soon, right)
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name: "the same, ahead of the provider, which shows it later: it goes back when the order has ended without it",
			script: func(w *world) {
				c := wrongCapture()
				c.Payment = "ps_" + c.Order.String()
				w.captured, w.knownAt = &c, w.now().Add(soon+time.Second)
			},
			drive: func(b *bundle, _ *answers) {
				wrong := b.event("e1", domain.PaymentSucceeded)
				wrong.AmountMinor, wrong.Payment = 1, ""
				b.signal(soon, wrong)
				b.signal(2*soon, b.event("e2", domain.PaymentFailed))
			},
			want: want{status: domain.OrderFailed, seats: "voided", refunds: []domain.RefundReason{domain.RefundWrongAmount}, flags: []activities.Flag{activities.FlagWrongAmount}},
		},
		{
			name: "a wrong amount of a payment that the provider took for the right one",
			script: func(w *world) {
				c := testCapture()
				w.captured = &c
			},
			drive: func(b *bundle, _ *answers) {
				wrong := b.event("e1", domain.PaymentSucceeded)
				wrong.AmountMinor = 1
				b.signal(soon, wrong)
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name: "the right amount of a payment that goes back already buys nothing",
			drive: func(b *bundle, _ *answers) {
				wrong := b.event("e1", domain.PaymentSucceeded)
				wrong.AmountMinor = 1
				b.signal(soon, wrong)
				b.signal(2*soon, b.event("e2", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderExpired, seats: "voided", refunds: []domain.RefundReason{domain.RefundWrongAmount}},
		},
		{
			name: "another event of a payment that the provider did not know when it was to go back: it goes back",
			script: func(w *world) {
				c := testCapture()
				w.captured, w.knownAt = &c, w.now().Add(2*soon)
			},
			drive: func(b *bundle, _ *answers) {
				wrong := b.event("e1", domain.PaymentSucceeded)
				wrong.AmountMinor = 1
				b.signal(soon, wrong)
				b.signal(3*soon, b.event("e2", domain.PaymentSucceeded))
				b.env.RegisterDelayedCallback(func() {
					if len(b.world.given) != 0 {
						b.t.Fatalf("b.world.given is %+v, want nothing", b.world.given)
					}
					b.env.RegisterDelayedCallback(func() {
						if len(b.world.given) != 1 {
							b.t.Fatalf("%d in b.world.given, want 1: %+v", len(b.world.given), b.world.given)
						}
					}, 2*soon)
				}, 2*soon)
			},
			want: want{status: domain.OrderExpired, seats: "voided", refunds: []domain.RefundReason{domain.RefundWrongAmount}},
		},
		{
			name: "a signal without a payment is about the session's",
			drive: func(b *bundle, _ *answers) {
				event := b.event("e1", domain.PaymentSucceeded)
				event.Payment = ""
				b.signal(soon, event)
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:  "the workflow itself is canceled: as if the buyer had",
			drive: func(b *bundle, _ *answers) { b.env.RegisterDelayedCallback(b.env.CancelWorkflow, soon) },
			want:  want{status: domain.OrderCanceled, seats: "voided"},
		},
		{
			name: "an order that another payment bought before stays paid; this one goes back",
			script: func(w *world) {
				first := testCapture()
				first.Payment = "pay_0"
				w.recorded = []domain.Sold{{Capture: first, PerkTaken: true}}
			},
			drive: func(b *bundle, _ *answers) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) },
			want:  want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true, refunds: []domain.RefundReason{domain.RefundSecondCapture}},
		},
		{
			name: "seats are returned when the payment turns out to be on its way back",
			script: func(w *world) {
				w.refunds = []domain.Refund{{Capture: testCapture(), Reason: domain.RefundCanceled}}
			},
			drive: func(b *bundle, _ *answers) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) },
			want:  want{status: domain.OrderRefunding, seats: "unsold", refunds: []domain.RefundReason{domain.RefundCanceled}},
		},
		{
			name: "the same event twice, by update and by signal",
			drive: func(b *bundle, a *answers) {
				b.signal(soon, b.event("e1", domain.PaymentSucceeded))
				b.update(a, soon, "payment", "e1", b.event("e1", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:   "money that arrives while the seats are given back: another workflow rebooks them",
			script: func(w *world) { w.failures["void"] = 5; w.seatsLeft = true },
			drive: func(b *bundle, _ *answers) {
				b.signal(soon, b.event("e1", domain.PaymentFailed))
				b.signal(soon+time.Second, b.event("e2", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderFailed, seats: "rebooked", recorded: 1},
		},
		{
			name: "a signal about another order is ignored",
			drive: func(b *bundle, _ *answers) {
				other := b.event("e1", domain.PaymentSucceeded)
				other.Order[3] ^= 1
				b.signal(soon, other)
			},
			want: want{status: domain.OrderExpired, seats: "voided"},
		},
		{
			name: "money that another provider took for the order, by signal: it goes back, and the order waits for its own",
			drive: func(b *bundle, _ *answers) {
				for range 2 {
					b.signal(soon, ofAnotherProvider(b))
				}
			},
			want: want{status: domain.OrderExpired, seats: "voided", refunds: []domain.RefundReason{domain.RefundUnknownOrder}},
		},
		{
			name: "such money beside the right payment",
			drive: func(b *bundle, _ *answers) {
				b.signal(soon, ofAnotherProvider(b))
				b.signal(soon, b.event("e1", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true, refunds: []domain.RefundReason{domain.RefundUnknownOrder}},
		},
		{
			name:   "such money while the seats are given back, and some are left",
			script: func(w *world) { w.failures["void"] = 5; w.seatsLeft = true },
			drive: func(b *bundle, _ *answers) {
				b.signal(soon, b.event("e1", domain.PaymentFailed))
				b.signal(soon+time.Second, ofAnotherProvider(b))
			},
			want: want{status: domain.OrderFailed, seats: "voided", refunds: []domain.RefundReason{domain.RefundUnknownOrder}},
		},
		{
			name: "what another provider says otherwise is ignored",
			drive: func(b *bundle, _ *answers) {
				failed := ofAnotherProvider(b)
				failed.Type = domain.PaymentFailed
				b.signal(soon, failed)
			},
			want: want{status: domain.OrderExpired, seats: "voided"},
		},
		{
			name:  "a signal that is no event is ignored",
			drive: func(b *bundle, _ *answers) { b.signal(soon, "paid") },
			want:  want{status: domain.OrderExpired, seats: "voided"},
		},
		{
			name: "the ledger is unknown for longer than the local activity tries",
			script: func(w *world) {
				w.failures["hold"], w.failures["post"] = 6, 6
			},
			drive: func(b *bundle, _ *answers) { b.signal(2*soon, b.event("e1", domain.PaymentSucceeded)) },
			want:  want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:   "the orders database is down after the capture: recorded when it is back",
			script: func(w *world) { w.failures["record"] = 10 },
			drive:  func(b *bundle, _ *answers) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) },
			want:   want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name: "a crash between ledger and history: the void finds the seats posted, the provider has the payment",
			drive: func(b *bundle, _ *answers) {
				b.postedBehindOurBack()
				b.env.RegisterDelayedCallback(func() { c := testCapture(); b.world.captured = &c }, soon)
				b.signal(2*soon, b.event("e1", domain.PaymentFailed)) // contradicting what the provider took
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name: "the same, and only the event knows of the payment: it comes again",
			drive: func(b *bundle, _ *answers) {
				b.postedBehindOurBack()
				b.signal(holdTimeout+time.Minute, b.event("e1", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name: "the same, and the order was recorded already",
			drive: func(b *bundle, _ *answers) {
				b.postedBehindOurBack()
				b.env.RegisterDelayedCallback(func() {
					b.world.recorded = []domain.Sold{{Capture: testCapture(), PerkTaken: true}}
				}, soon)
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:  "the same, and there is no payment for the seats: they go back",
			drive: func(b *bundle, _ *answers) { b.postedBehindOurBack() },
			want:  want{status: domain.OrderExpired, seats: "unsold", flags: []activities.Flag{activities.FlagUnpaidPost}},
		},
		{
			name: "the same, and money that comes after that is refunded",
			drive: func(b *bundle, _ *answers) {
				b.postedBehindOurBack()
				b.env.RegisterDelayedCallback(func() { b.world.failures["unsell"] = 8 }, soon)
				b.signal(holdTimeout+workflows.RedeliveryTimeout+time.Second, b.event("e1", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderExpired, seats: "unsold", flags: []activities.Flag{activities.FlagUnpaidPost},
				refunds: []domain.RefundReason{domain.RefundNoneLeft}},
		},
		{
			name: "posted, and the provider took another amount: that goes back, and so do the seats",
			drive: func(b *bundle, _ *answers) {
				b.postedBehindOurBack()
				b.env.RegisterDelayedCallback(func() { c := wrongCapture(); b.world.captured = &c }, soon)
			},
			want: want{status: domain.OrderExpired, seats: "unsold", flags: []activities.Flag{activities.FlagWrongAmount, activities.FlagUnpaidPost},
				refunds: []domain.RefundReason{domain.RefundWrongAmount}},
		},
		{
			name:   "an order that the database refuses for good: the seats go back, the money too, and an operator is told",
			script: func(w *world) { w.unrecordable = true },
			drive:  func(b *bundle, _ *answers) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) },
			want: want{status: domain.OrderRefunding, seats: "unsold", flags: []activities.Flag{activities.FlagUnrecordable},
				refunds: []domain.RefundReason{domain.RefundUnrecordable}},
		},
		{
			name:   "contradicting events: a failure, then a success; seats left: rebooked",
			script: func(w *world) { w.seatsLeft = true },
			drive: func(b *bundle, a *answers) {
				b.signal(soon, b.event("e1", domain.PaymentFailed))
				b.signal(soon, b.event("e2", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderFailed, seats: "rebooked", recorded: 1},
		},
		{
			name: "contradicting events: a failure, then a success; none left: refunded",
			drive: func(b *bundle, _ *answers) {
				b.signal(soon, b.event("e1", domain.PaymentFailed))
				b.signal(soon, b.event("e2", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderFailed, seats: "voided", refunds: []domain.RefundReason{domain.RefundNoneLeft}},
		},
		{
			name: "contradicting events: a success, then a failure and a cancel change nothing",
			drive: func(b *bundle, _ *answers) {
				b.signal(soon, b.event("e1", domain.PaymentSucceeded))
				b.signal(soon, b.event("e2", domain.PaymentFailed))
				b.signal(soon, b.event("e3", domain.PaymentCanceled))
			},
			want: want{status: domain.OrderPaid, seats: "posted", recorded: 1, perk: true},
		},
		{
			name:   "money that arrives while a buyer's cancel is carried out: refunded",
			script: func(w *world) { w.failures["void"] = 5; w.seatsLeft = true },
			drive: func(b *bundle, a *answers) {
				b.update(a, soon, "cancel", "c")
				b.signal(soon+time.Second, b.event("e1", domain.PaymentSucceeded))
			},
			want: want{status: domain.OrderCanceled, seats: "voided", refunds: []domain.RefundReason{domain.RefundCanceled}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := setup(t, tt.script)
			var said answers
			if tt.drive != nil {
				tt.drive(b, &said)
			}
			state := b.run()
			if state.Status != tt.want.status {
				t.Fatalf("state.Status is %q, want %q", state.Status, tt.want.status)
			}
			if b.world.seats != tt.want.seats {
				t.Fatalf("b.world.seats is %q, want %q", b.world.seats, tt.want.seats)
			}
			if len(b.world.recorded) != tt.want.recorded {
				t.Fatalf("%d in b.world.recorded, want %d: %+v", len(b.world.recorded), tt.want.recorded, b.world.recorded)
			}
			if state.PerkTaken != tt.want.perk {
				t.Fatalf("state.PerkTaken is %v, want %v", state.PerkTaken, tt.want.perk)
			}
			if len(said.rejected) != 0 {
				t.Fatalf("said.rejected is %+v, want nothing", said.rejected)
			}
			var reasons []domain.RefundReason
			for _, r := range b.world.refunds {
				reasons = append(reasons, r.Reason)
			}
			if !reflect.DeepEqual(reasons, tt.want.refunds) {
				t.Fatalf("reasons is %q, want %q", reasons, tt.want.refunds)
			}
			if tt.want.flags != nil {
				if !reflect.DeepEqual(b.world.flags, tt.want.flags) {
					t.Fatalf("b.world.flags is %q, want %q", b.world.flags, tt.want.flags)
				}
			}
			if state.Ended.IsZero() {
				t.Fatal("want false: state.Ended.IsZero(): an ending has a time")
			}
			// Whoever wants to know is told of seats that were held and sold to nobody, as what the checkout ended, and of nothing else.
			var told []domain.OrderStatus
			if order := testOrder(); domain.NewCheckoutEnding(&order, state.Status) != nil {
				told = append(told, state.Status)
			}
			if !reflect.DeepEqual(b.world.told, told) {
				t.Fatalf("told %q, want %q", b.world.told, told)
			}
		})
	}
}

// postedBehindOurBack: the ledger sold the seats, and the history does not know.
func (b *bundle) postedBehindOurBack() {
	b.env.RegisterDelayedCallback(func() { b.world.seats = "posted" }, soon)
}

func testCapture() domain.Capture {
	b := bundle{order: testOrder()}
	return b.capture()
}

func TestCheckoutAnswersThePaymentWithItsOutcome(t *testing.T) {
	for kind, want := range map[domain.PaymentEventType]domain.OrderStatus{
		domain.PaymentSucceeded: domain.OrderPaid,
		domain.PaymentFailed:    domain.OrderFailed,
		domain.PaymentCanceled:  domain.OrderCanceled,
		domain.PaymentDeclined:  domain.OrderHeld,
	} {
		t.Run(string(kind), func(t *testing.T) {
			b, said := setup(t, nil), answers{}
			b.update(&said, soon, "payment", "e1", b.event("e1", kind))
			b.run()
			if want := []domain.OrderStatus{want}; !reflect.DeepEqual(said.statuses, want) {
				t.Fatalf("said.statuses is %q, want %q", said.statuses, want)
			}
		})
	}
}

// declines delivers n declined attempts to pay, a second apart.
func (b *bundle) declines(a *answers, n int) {
	for i := range n {
		id := fmt.Sprint("declined-", i)
		b.update(a, soon+time.Duration(i)*time.Second, "payment", id, b.event(id, domain.PaymentDeclined))
	}
}

// A declined attempt moves nothing but the count: neither the seats nor the deadline.
func TestADeclineKeepsTheSeatsUntilTheDeadline(t *testing.T) {
	b, said := setup(t, nil), answers{}
	start := b.env.Now()
	b.declines(&said, domain.DeclinesMax-1)
	again := b.event("declined-0", domain.PaymentDeclined) // told again, in every way
	b.update(&said, 2*soon, "payment", "again", again)
	b.signal(2*soon, again)
	other := b.event("other", domain.PaymentDeclined)
	other.Order[0] ^= 1
	b.signal(2*soon, other)
	var held domain.CheckoutState
	b.env.RegisterDelayedCallback(func() {
		value, err := b.env.QueryWorkflow(workflows.StateQuery)
		if err != nil {
			t.Error(err)
			return
		}
		if err := value.Get(&held); err != nil {
			t.Error(err)
		}
	}, 3*soon)
	state := b.run()
	if held.Status != domain.OrderHeld || held.Declines != domain.DeclinesMax-1 || b.world.seats != "voided" {
		t.Fatalf("held.Status is %q, want held; declines %d, want %d; seats %s in the end", held.Status, held.Declines, domain.DeclinesMax-1, b.world.seats)
	}
	if got := state.Ended.Sub(start).Round(time.Second); state.Status != domain.OrderExpired || got != holdTimeout {
		t.Fatalf("it is %s after %v, want expired after %v", state.Status, got, holdTimeout)
	}
	if len(said.rejected) != 0 || len(said.statuses) != domain.DeclinesMax {
		t.Fatalf("%d answers and %v, want %d", len(said.statuses), said.rejected, domain.DeclinesMax)
	}
}

// A provider that reports declines without end ends the checkout, and its events do not
// keep out those about money.
func TestDeclinesAreBounded(t *testing.T) {
	b, said := setup(t, func(w *world) { w.failures["expire"] = 1000 }), answers{}
	b.declines(&said, 100)
	b.update(&said, soon+101*time.Second, "payment", "paid", b.event("paid", domain.PaymentSucceeded))
	state := b.run()
	if state.Status != domain.OrderPaid || state.Declines != domain.DeclinesMax {
		t.Fatalf("it is %s after %d declines, want paid after %d", state.Status, state.Declines, domain.DeclinesMax)
	}
	if len(said.rejected) != 0 {
		t.Fatalf("rejected: %v", said.rejected)
	}
}

func TestCheckoutEndsAtTheHoldsDeadlineNotBefore(t *testing.T) {
	b := setup(t, nil)
	start := b.env.Now()
	state := b.run()
	if state.Status != domain.OrderExpired {
		t.Fatalf("state.Status is %q, want %q", state.Status, domain.OrderExpired)
	}
	if got := state.Ended.Sub(start).Round(time.Second); got != holdTimeout {
		t.Fatalf("state.Ended.Sub(start).Round(time.Second) is %v, want %v", got, holdTimeout)
	}
	if b.world.expired != 1 {
		t.Fatalf("b.world.expired is %v, want 1", b.world.expired)
	}
}

func TestCheckoutRefusesUpdates(t *testing.T) {
	tests := []struct {
		name   string
		update string
		arg    func(*bundle) any
		want   domain.Code
	}{
		{"another body under the same key", "await_hold", func(*bundle) any { return "beef" }, domain.CodeKeyReused},
		{"an event about another order", "payment", func(b *bundle) any {
			e := b.event("e1", domain.PaymentSucceeded)
			e.Order[0] ^= 1
			return e
		}, domain.CodeInvalid},
		{"an event of an unknown kind", "payment", func(b *bundle) any { return b.event("e1", "payment.maybe") }, domain.CodeInvalid},
		{"an event without an id", "payment", func(b *bundle) any { return b.event("", domain.PaymentSucceeded) }, domain.CodeInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, said := setup(t, nil), answers{}
			b.update(&said, soon, tt.update, "u1", tt.arg(b))
			state := b.run()
			if state.Status != domain.OrderExpired {
				t.Fatalf("state.Status is %q, want %q: a refused update changes nothing", state.Status, domain.OrderExpired)
			}
			if len(said.rejected) != 1 {
				t.Fatalf("%d in said.rejected, want 1: %+v", len(said.rejected), said.rejected)
			}
			code, ok := workflows.CodeOfRejection(said.rejected[0])
			if !ok {
				t.Fatal("want true: ok")
			}
			if code != tt.want {
				t.Fatalf("code is %q, want %q", code, tt.want)
			}
		})
	}
}

func TestCheckoutListensToABoundedNumberOfEvents(t *testing.T) {
	b, said := setup(t, nil), answers{}
	for i := range 100 {
		wrong := b.event(fmt.Sprintf("e%d", i), domain.PaymentSucceeded)
		wrong.AmountMinor = 1
		b.update(&said, soon+time.Duration(i)*time.Second, "payment", wrong.ID, wrong)
	}
	b.update(&said, soon+101*time.Second, "cancel", "cancel") // never refused
	state := b.run()
	if state.Status != domain.OrderCanceled {
		t.Fatalf("state.Status is %q, want %q", state.Status, domain.OrderCanceled)
	}
	if len(said.statuses) != (64 + 1) {
		t.Fatalf("%d in said.statuses, want %d: %q", len(said.statuses), 64+1, said.statuses)
	}
	if len(said.rejected) != 36 {
		t.Fatalf("%d in said.rejected, want 36: %+v: for the provider to send again", len(said.rejected), said.rejected)
	}
}

// Every effect behind an event is idempotent; what a repeat must not cost is
// another question to the provider.
func TestAnEventIsDealtWithOnceHoweverOftenItComes(t *testing.T) {
	b, said := setup(t, nil), answers{}
	wrong := b.event("e1", domain.PaymentSucceeded)
	wrong.AmountMinor, wrong.Payment = 1, ""
	for i := range 3 {
		b.signal(soon+time.Duration(i)*time.Second, wrong)
	}
	b.update(&said, soon+4*time.Second, "payment", "event/e1", wrong)
	if got := b.run().Status; got != domain.OrderExpired {
		t.Fatalf("b.run().Status is %q, want %q", got, domain.OrderExpired)
	}
	if want := []domain.OrderStatus{domain.OrderHeld}; !reflect.DeepEqual(said.statuses, want) {
		t.Fatalf("said.statuses is %q, want %q: a repeat still gets an answer", said.statuses, want)
	}
	asked := 0
	for _, call := range b.world.calls[:slices.Index(b.world.calls, "expire")] { // after it Late asks
		if call == "capture" {
			asked++
		}
	}
	if asked != 1 {
		t.Fatalf("asked is %v, want 1", asked)
	}
}

func TestAcknowledgedMoneyIsTakenBeyondTheBound(t *testing.T) {
	b := setup(t, nil)
	for i := range 100 {
		b.signal(soon+time.Duration(i)*time.Second, b.event(fmt.Sprintf("e%d", i), "payment.maybe"))
		wrong := b.event(fmt.Sprintf("w%d", i), domain.PaymentSucceeded)
		wrong.AmountMinor = 1
		b.signal(soon+time.Duration(i)*time.Second, wrong)
	}
	right := b.event("right", domain.PaymentSucceeded)
	right.Payment = "pay_2"
	b.signal(soon+101*time.Second, right)
	if got := b.run().Status; got != domain.OrderPaid {
		t.Fatalf("b.run().Status is %q, want %q", got, domain.OrderPaid)
	}
}

func TestRejectionsKeepTheirCodeThroughTemporalsWrapping(t *testing.T) {
	b := setup(t, func(w *world) { w.holdError = &domain.Error{Code: domain.CodeKeyReused} })
	b.env.ExecuteWorkflow(workflows.Checkout, b.order)
	code, ok := workflows.CodeOfRejection(b.env.GetWorkflowError())
	if !ok {
		t.Fatal("want true: ok")
	}
	if code != domain.CodeKeyReused {
		t.Fatalf("code is %q, want %q", code, domain.CodeKeyReused)
	}
}

func TestCheckoutTellsItsStateAtAnyTime(t *testing.T) {
	b := setup(t, nil)
	ask := func() (state domain.CheckoutState) {
		value, err := b.env.QueryWorkflow(workflows.StateQuery)
		if err != nil {
			t.Fatal(err)
		}
		if err := value.Get(&state); err != nil {
			t.Fatal(err)
		}
		return state
	}
	var held domain.CheckoutState
	b.env.RegisterDelayedCallback(func() { held = ask() }, soon)
	b.signal(2*soon, b.event("e1", domain.PaymentSucceeded))
	b.run()
	if held.Status != domain.OrderHeld {
		t.Fatalf("held.Status is %q, want %q", held.Status, domain.OrderHeld)
	}
	if held.Fingerprint != b.order.Fingerprint {
		t.Fatalf("held.Fingerprint is %q, want %q", held.Fingerprint, b.order.Fingerprint)
	}
	if got := ask().Status; got != domain.OrderPaid {
		t.Fatalf("ask().Status is %q, want %q", got, domain.OrderPaid)
	}
}

func TestFailedCheckoutsNeverTouchTheDatabase(t *testing.T) {
	for _, kind := range []domain.PaymentEventType{domain.PaymentFailed, domain.PaymentCanceled} {
		b := setup(t, nil)
		b.signal(soon, b.event("e1", kind))
		b.run()
		if len(b.world.recorded) != 0 {
			t.Fatalf("b.world.recorded is %+v, want nothing", b.world.recorded)
		}
		if len(b.world.refunds) != 0 {
			t.Fatalf("b.world.refunds is %+v, want nothing", b.world.refunds)
		}
		if slices.Contains(b.world.calls, "record") {
			t.Fatalf("%q is in %q", "record", b.world.calls)
		}
	}
}

func TestSummaryNamesTheOrderNotTheBuyer(t *testing.T) {
	order := testOrder()
	if got := workflows.Summary(&order); got != "2 × A + 1 × B · conf · 165.00 EUR" {
		t.Fatalf(`workflows.Summary(&order) is %q, want "2 × A + 1 × B · conf · 165.00 EUR"`, got)
	}
}

// ofAnotherProvider is a success with the id of an event of the order's own provider.
func ofAnotherProvider(b *bundle) domain.PaymentEvent {
	event := b.event("e1", domain.PaymentSucceeded)
	event.Session, event.Payment = "elsewhere/cs_1", "elsewhere/pi_1"
	return event
}

package workflows_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// elsewhere is a checkout whose provider must be called to open a session.
func elsewhere(t *testing.T, script func(*world)) (b *bundle, session string) {
	b = setup(t, script)
	b.order.Provider = "other"
	return b, fmt.Sprintf("other/cs_%s_1", b.order.ID)
}

func (b *bundle) paidElsewhere(session string) domain.PaymentEvent {
	e := b.event("e1", domain.PaymentSucceeded)
	e.Session, e.Payment = session, "other/pi_1"
	return e
}

// opened is the answers to buyers who want to pay.
type opened struct {
	answers []workflows.PayAnswer
	errs    []error
}

func (b *bundle) open(a *opened, after time.Duration, id string) {
	b.env.RegisterDelayedCallback(func() {
		b.env.UpdateWorkflow(workflows.OpenSessionUpdate, id, &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) { a.errs = append(a.errs, err) },
			OnComplete: func(result any, err error) {
				if err != nil {
					a.errs = append(a.errs, err)
					return
				}
				a.answers = append(a.answers, result.(workflows.PayAnswer))
			},
		}, domain.PayWish{ReturnURL: "https://boxoffice.example", Description: "1 × A"})
	}, after)
}

func (w *world) count(step string) int {
	n := 0
	for _, call := range w.calls {
		if call == step {
			n++
		}
	}
	return n
}

func TestASessionIsOpenedWhenTheBuyerWantsToPayAndOnce(t *testing.T) {
	b, session := elsewhere(t, nil)
	var said opened
	b.open(&said, soon, "o1")
	b.open(&said, soon, "o2")
	b.open(&said, 2*soon, "o3")
	b.update(&answers{}, 3*soon, "payment", "p1", b.paidElsewhere(session))
	state := b.run()
	if state.Status != domain.OrderPaid {
		t.Fatalf("state.Status is %q, want %q", state.Status, domain.OrderPaid)
	}
	if len(said.errs) != 0 {
		t.Fatalf("said.errs is %+v, want nothing", said.errs)
	}
	page := domain.PayPage{Session: session, URL: "https://other.example/" + session}
	if want := slices.Repeat([]workflows.PayAnswer{{Status: domain.OrderHeld, Page: page}}, 3); !reflect.DeepEqual(said.answers, want) {
		t.Fatalf("said.answers is %+v, want %+v", said.answers, want)
	}
	if got := b.world.count("open"); got != 1 {
		t.Fatalf(`b.world.count("open") is %v, want 1`, got)
	}
	if state.Session != session {
		t.Fatalf("state.Session is %q, want %q", state.Session, session)
	}
	if state.Attempt != 1 {
		t.Fatalf("state.Attempt is %v, want 1", state.Attempt)
	}
}

func TestAnOrderThatNobodyWantedToPayEndsWithoutItsProvider(t *testing.T) {
	b, _ := elsewhere(t, nil)
	if got := b.run().Status; got != domain.OrderExpired {
		t.Fatalf("b.run().Status is %q, want %q", got, domain.OrderExpired)
	}
	if got := b.world.count("open") + b.world.count("expire") + b.world.count("capture"); got != 0 {
		t.Fatalf(`b.world.count("open")+b.world.count("expire")+b.world.count("capture") is %v, want zero`, got)
	}
	if b.world.seats != "voided" {
		t.Fatalf(`b.world.seats is %q, want "voided"`, b.world.seats)
	}
}

func TestAProviderThatDoesNotOpenASessionCostsNoHold(t *testing.T) {
	b, session := elsewhere(t, func(w *world) { w.failures["open"] = 1000 })
	var said opened
	b.open(&said, soon, "o1")
	b.env.RegisterDelayedCallback(func() { b.world.failures["open"] = 0 }, 2*time.Minute)
	b.open(&said, 2*time.Minute, "o2")
	b.update(&answers{}, 3*time.Minute, "payment", "p1", b.paidElsewhere(session))
	if got := b.run().Status; got != domain.OrderPaid {
		t.Fatalf("b.run().Status is %q, want %q", got, domain.OrderPaid)
	}
	if len(said.errs) != 1 {
		t.Fatalf("%d in said.errs, want 1: %+v", len(said.errs), said.errs)
	}
	code, _ := workflows.CodeOfRejection(said.errs[0])
	if code != domain.CodeUnknown {
		t.Fatalf("code is %q, want %q", code, domain.CodeUnknown)
	}
	if said.answers[0].Page.Session != session {
		t.Fatalf("said.answers[0].Page.Session is %q, want %q", said.answers[0].Page.Session, session)
	}
}

func TestThePaymentOfAnEndedOrderIsNotOpened(t *testing.T) {
	b, _ := elsewhere(t, nil)
	var said opened
	b.update(&answers{}, soon, "cancel", "c1")
	b.open(&said, soon, "o1")
	if got := b.run().Status; got != domain.OrderCanceled {
		t.Fatalf("b.run().Status is %q, want %q", got, domain.OrderCanceled)
	}
	if want := []workflows.PayAnswer{{Status: domain.OrderCanceled}}; !reflect.DeepEqual(said.answers, want) {
		t.Fatalf("said.answers is %+v, want %+v", said.answers, want)
	}
	if got := b.world.count("open"); got != 0 {
		t.Fatalf(`b.world.count("open") is %v, want zero`, got)
	}
}

func TestAnEventIsOfTheOrdersOwnProvider(t *testing.T) {
	mockPay := func(change func(*domain.PaymentEvent)) func(*bundle, string) domain.PaymentEvent {
		return func(b *bundle, _ string) domain.PaymentEvent {
			e := b.event("e1", domain.PaymentSucceeded)
			change(&e)
			return e
		}
	}
	for name, tt := range map[string]struct {
		provider string
		event    func(b *bundle, session string) domain.PaymentEvent
		accepted bool
	}{
		"MockPay's":                            {"", mockPay(func(*domain.PaymentEvent) {}), true},
		"MockPay's, its session left out":      {"", mockPay(func(e *domain.PaymentEvent) { e.Session = "" }), true},
		"MockPay's, of another order's":        {"", mockPay(func(e *domain.PaymentEvent) { e.Session = "ps_" + domain.OrderID{9}.String() }), false},
		"another provider's, of MockPay's":     {"", (*bundle).paidElsewhereOf, false},
		"MockPay's, of another provider's":     {"other", mockPay(func(*domain.PaymentEvent) {}), false},
		"another provider's, a session of its": {"other", (*bundle).paidElsewhereOf, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, nil)
			b.order.Provider = tt.provider
			said := answers{}
			b.update(&said, soon, "payment", "p1", tt.event(b, "other/cs_1"))
			b.run()
			if (len(said.rejected) == 0) != tt.accepted {
				t.Fatalf("len(said.rejected) == 0 is %v, want %v: %+v", (len(said.rejected) == 0), tt.accepted, said.rejected)
			}
		})
	}
}

func (b *bundle) paidElsewhereOf(session string) domain.PaymentEvent { return b.paidElsewhere(session) }

func TestTheEndOfAnotherAttemptIsNotTheOrders(t *testing.T) {
	b, session := elsewhere(t, nil)
	b.open(&opened{}, soon, "o1")
	failed := b.event("e0", domain.PaymentFailed)
	failed.Session, failed.Payment = "other/cs_of_another_attempt", "other/cs_of_another_attempt"
	said := answers{}
	b.update(&said, 2*soon, "payment", "p0", failed)
	b.update(&said, 3*soon, "payment", "p1", b.paidElsewhere(session))
	if got := b.run().Status; got != domain.OrderPaid {
		t.Fatalf("b.run().Status is %q, want %q", got, domain.OrderPaid)
	}
	if want := []domain.OrderStatus{domain.OrderHeld, domain.OrderPaid}; !reflect.DeepEqual(said.statuses, want) {
		t.Fatalf("said.statuses is %q, want %q", said.statuses, want)
	}
}

func TestABuyerCannotFillAHistoryByWantingToPay(t *testing.T) {
	b, _ := elsewhere(t, func(w *world) { w.failures["open"] = 1_000_000 })
	b.order.HoldTimeout = time.Hour
	var said opened
	const often = 60
	for n := range often {
		b.open(&said, soon+time.Duration(n)*20*time.Second, fmt.Sprint("o", n))
	}
	b.run()
	refused := 0
	for _, err := range said.errs {
		if code, _ := workflows.CodeOfRejection(err); code == domain.CodeOverloaded {
			refused++
		}
	}
	if refused != (often - 50) {
		t.Fatalf("refused is %v, want often-50", refused)
	}
}

func TestTheProviderHasSecondsToOpenASession(t *testing.T) {
	b, _ := elsewhere(t, nil)
	b.open(&opened{}, soon, "o1")
	b.run()
	i := slices.IndexFunc(b.steps.steps, func(s scheduled) bool { return s.activity == "OpenSession" })
	if i < 0 {
		t.Fatalf("i is %v, want at least 0", i)
	}
	step := b.steps.steps[i]
	if step.overall != (8 * time.Second) {
		t.Fatalf("step.overall is %v, want %v: its buyer waits, and so do the deadline and a cancel", step.overall, 8*time.Second)
	}
	if step.attempt > step.overall {
		t.Fatalf("step.attempt is %v, want at most %v", step.attempt, step.overall)
	}
	if step.summary == "" {
		t.Fatal("step.summary is empty")
	}
}

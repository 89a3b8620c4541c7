package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"

	"boxoffice/client"
	"boxoffice/domain"
	server "boxoffice/mockpay"
	"boxoffice/payments/mockpay"
)

// -capture writes the history of each ending to the workflows' testdata, from
// where they must replay for ever: `make histories`.
var capture = flag.String("capture", "", "write each ending's history into this `directory`")

const (
	longHold  = 300 // seconds: it does not expire within a test
	shortHold = 5   // the shortest there is
)

// endings is every way in which a checkout ends, on the real stack. Each drives
// one order and names the workflow whose history shows it.
var endings = []struct {
	name string
	run  func(t *testing.T, s *stack) (workflowID string)
}{
	{"paid", endsPaid},
	{"paid-by-signal", endsPaidBySignal},
	{"paid-after-declines", endsPaidAfterDeclines},
	{"paid-mangled-webhooks", endsPaidMangledWebhooks},
	{"paid-without-perk", endsPaidWithoutPerk},
	{"paid-webhook-lost", endsPaidWebhookLost},
	{"free", endsFree},
	{"captured-after-seats", endsCapturedAfterSeats},
	{"paid-at-deadline", endsPaidAtDeadline},
	{"captured-at-expire", endsCapturedAtExpire},
	{"sold-out", endsSoldOut},
	{"limit-reached", endsLimitReached},
	{"failed", func(t *testing.T, s *stack) string { return endsAtProvider(t, s, "failed", "failed") }},
	{"declined-too-often", endsDeclinedTooOften},
	{"capture-refused", endsCaptureRefused},
	{"canceled-at-provider", func(t *testing.T, s *stack) string { return endsAtProvider(t, s, "canceled", "canceled") }},
	{"canceled-by-buyer", endsCanceledByBuyer},
	{"authorised-then-canceled", endsAuthorisedThenCanceled},
	{"expired", endsExpired},
	{"late-released", endsLateReleased},
	{"late-rebooked", endsLateRebooked},
	{"late-refunded", endsLateRefunded},
	{"failed-then-paid-rebooked", endsFailedThenPaidRebooked},
	{"failed-then-paid-refunded", endsFailedThenPaidRefunded},
	{"canceled-then-paid-refunded", endsCanceledThenPaid},
	{"unknown-order-refunded", endsUnknownOrderRefunded},
	{"wrong-amount-refunded", endsWrongAmount},
	{"wrong-currency-refunded", endsWrongCurrency},
	{"unrecordable-refunded", endsUnrecordable},
	{"refund-retried", endsRefundRetried},
	{"refunded-by-organiser", endsRefundedByOrganiser},
	{"canceled-by-organiser", endsCanceledByOrganiser},
	{"sale-canceled", endsSaleCanceled},
}

func endsPaid(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 2, "a": 1})
	if o.Amount != (2*6500 + 3500) {
		t.Fatalf("o.Amount is %v, want %v", o.Amount, (2*6500 + 3500))
	}
	s.awaitStock(t, sale, "A", level{Held: 2, Available: 8})
	s.pay(t, o, "succeeded")
	paid := s.awaitStatus(t, o, "paid")
	if len(paid.Tickets) != 3 {
		t.Fatalf("%d in paid.Tickets, want 3: %+v", len(paid.Tickets), paid.Tickets)
	}
	s.awaitStock(t, sale, "A", level{Sold: 2, Available: 8})
	return "checkout/" + o.Order
}

func endsPaidBySignal(t *testing.T, s *stack) string {
	o := s.hold(t, s.sale(t, 10, longHold, 5), items{"A": 1})
	// As an operator would with `temporal workflow signal --name payment --codec-endpoint …`.
	s.signal(t, o, s.seal(t, succeeded(o)))
	s.awaitStatus(t, o, "paid")
	return "checkout/" + o.Order
}

// succeeded is the event of an order's payment.
func succeeded(o order) map[string]any {
	return map[string]any{
		"id": "evt_" + uuid.NewString(), "type": "payment.succeeded", "session": o.PaymentSession, "order": o.Order,
		"payment": o.PaymentSession, "amount": o.Amount, "currency": o.Currency,
	}
}

func (s *stack) signal(t *testing.T, o order, event any) {
	t.Helper()
	if err := s.temporal.SignalWorkflow(t.Context(), "checkout/"+o.Order, "", "payment", event); err != nil {
		t.Fatal(err)
	}
}

// testSignalByHand: an event that is not sealed is a hint, and the provider knows.
func testSignalByHand(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 5)
	unpaid, paid := s.hold(t, sale, items{"A": 1}), s.hold(t, sale, items{"A": 1})
	s.misbehave(t, paid, "lose")
	s.pay(t, paid, "succeeded")
	for _, o := range []order{unpaid, paid} {
		s.signal(t, o, succeeded(o))
	}
	s.awaitStatus(t, paid, "paid")
	eventually(t, "the provider was asked about the other", func() bool {
		for _, event := range s.history(t, "checkout/"+unpaid.Order).Events {
			if event.GetEventType() == enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED {
				return true
			}
		}
		return false
	})
	s.awaitStatus(t, unpaid, "held")
	s.pay(t, unpaid, "succeeded")
	s.awaitStatus(t, unpaid, "paid")
}

// endsPaidAfterDeclines: the bank declines twice, and takes the third attempt in the same session.
func endsPaidAfterDeclines(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	for n := range 2 {
		s.pay(t, o, "declined")
		s.awaitDeclines(t, o, n+1)
	}
	s.awaitStock(t, sale, "A", level{Held: 1, Available: 9})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")
	s.awaitStock(t, sale, "A", level{Sold: 1, Available: 9})
	return "checkout/" + o.Order
}

// awaitDeclines waits until a held order shows how often it was declined. The deadline stays where it was.
func (s *stack) awaitDeclines(t *testing.T, o order, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("order %s was declined %d times", o.Order, want), func() bool {
		now := s.state(t, o)
		if now.Status != "held" || !now.HoldExpiresAt.Equal(o.HoldExpiresAt) || now.PaymentURL == "" {
			t.Fatalf("a declined order is %s until %v, payable: %t; want held until %v", now.Status, now.HoldExpiresAt, now.PaymentURL != "", o.HoldExpiresAt)
		}
		return now.Declines != nil && now.AttemptsLeft != nil && *now.Declines == int64(want) && *now.AttemptsLeft == int64(domain.DeclinesMax-want)
	})
}

// endsDeclinedTooOften: nobody keeps seats by trying one card after the other, whoever counts. MockPay itself ends a
// session at the same count; here another provider's events do, which goes on.
func endsDeclinedTooOften(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	s.visit(t, o)
	for n := range domain.DeclinesMax {
		got := s.webhookStatus(t, event("payment.declined", o, nil))
		if isLast := n+1 == domain.DeclinesMax; got != "held" && !(isLast && got == "failed") {
			t.Fatalf("decline %d is answered %s", n+1, got)
		}
	}
	s.awaitStatus(t, o, "failed")
	s.awaitStock(t, sale, "A", level{Available: 10})
	if _, err := s.mockpay().Pay(t.Context(), o.PaymentSession, "", "succeeded"); err == nil {
		t.Fatal("the session of an order that was declined too often was paid")
	}
	return "checkout/" + o.Order
}

func endsPaidWebhookLost(t *testing.T, s *stack) string {
	o := s.hold(t, s.sale(t, 10, shortHold, 5), items{"A": 1})
	s.misbehave(t, o, "lose")
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid") // found by asking the provider at the deadline
	if time.Now().Before(o.HoldExpiresAt) {
		t.Fatal("want false: time.Now().Before(o.HoldExpiresAt): nobody but the deadline could know")
	}
	return "checkout/" + o.Order
}

// freeSale has a class that costs nothing, and one with a price.
func (s *stack) freeSale(t *testing.T, capacity int) string {
	t.Helper()
	id := "free-" + uuid.NewString()[:8]
	_, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: id, Name: "Free", Currency: "EUR", HoldSeconds: new(int64(longHold)), BuyerLimit: new(int64(4)),
		Classes: []client.CreateClassBody{{Class: "A", Price: 0, Capacity: int64(capacity)}, {Class: "a", Price: 3500, Capacity: int64(capacity)}},
		Perk:    &client.CreatePerkBody{Name: "T-shirt", Capacity: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// endsFree: nothing is to be paid, so the tickets are there at once. What costs something
// beside them is paid as ever.
func endsFree(t *testing.T, s *stack) string {
	sale := s.freeSale(t, 5)
	o := s.hold(t, sale, items{"A": 2})
	if o.Amount != 0 || o.PaymentURL != "" || o.PaymentSession != "" {
		t.Fatalf("%d to pay at %q in %q", o.Amount, o.PaymentURL, o.PaymentSession)
	}
	paid := s.awaitStatus(t, o, "paid")
	if len(paid.Tickets) != 2 || !paid.Perk.Taken {
		t.Fatalf("%d tickets, the perk taken: %t", len(paid.Tickets), paid.Perk.Taken)
	}
	s.awaitStock(t, sale, "A", level{Sold: 2, Available: 3})
	if a := asked(t, func(ctx context.Context) error {
		_, err := s.boxOffice().CancelOrder(ctx, o.Order, o.Token)
		return err
	}); a.code(t) != "already_paid" {
		t.Errorf("the buyer's cancel: %d %s", a.status, a.body)
	}
	for _, event := range s.history(t, "checkout/"+o.Order).Events {
		if kind := event.GetEventType(); kind == enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED || kind == enumspb.EVENT_TYPE_TIMER_STARTED {
			t.Logf("a busy machine: %s", kind) // a step that did not succeed in the workflow task
		}
	}

	mixed := s.hold(t, sale, items{"A": 1, "a": 1})
	if mixed.Amount != 3500 || mixed.PaymentURL == "" {
		t.Fatalf("a mixed order: %d to pay at %q", mixed.Amount, mixed.PaymentURL)
	}
	s.pay(t, mixed, "succeeded")
	if got := s.awaitStatus(t, mixed, "paid"); len(got.Tickets) != 2 {
		t.Fatalf("%d tickets of a mixed order", len(got.Tickets))
	}
	return "checkout/" + o.Order
}

// testFree is what organisers do with free orders: the provider has no part in it.
func testFree(t *testing.T, s *stack) {
	sale := s.freeSale(t, 5)
	first, second := s.hold(t, sale, items{"A": 2}), s.hold(t, sale, items{"A": 3})
	for _, o := range []order{first, second} {
		s.awaitStatus(t, o, "paid")
	}
	if a := s.checkout(t, sale, newKey(), items{"A": 1}, newBuyer()); a.status != http.StatusConflict || a.code(t) != "sold_out" {
		t.Fatalf("a free ticket too many: %d %s", a.status, a.body)
	}
	s.refund(t, first)
	if got := s.awaitStatus(t, first, "refunded"); len(got.Tickets) != 0 {
		t.Errorf("%d tickets of an order that was taken back", len(got.Tickets))
	}
	s.awaitStock(t, sale, "A", level{Sold: 3, Available: 2})
	eventually(t, "somebody else gets the seats", func() bool { // once every part knows that they are back
		return s.checkout(t, sale, newKey(), items{"A": 2}, newBuyer()).status == http.StatusCreated
	})
	if _, err := s.boxOffice().CancelSale(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(t, second, "refunded")
	for _, payment := range s.refundedPayments(t) {
		if strings.Contains(payment, first.Order) || strings.Contains(payment, second.Order) {
			t.Errorf("the provider gave %s back", payment)
		}
	}
}

// endsPaidMangledWebhooks: forged, sent twice, out of order, and old ones again.
func endsPaidMangledWebhooks(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	s.misbehave(t, o, "forge", "duplicate", "reorder", "replay")
	s.pay(t, o, "succeeded")
	if got := s.awaitStatus(t, o, "paid").Tickets; len(got) != 1 {
		t.Fatalf(`%d in s.awaitStatus(t, o, "paid").Tickets, want 1: %+v`, len(got), got)
	}
	eventually(t, "all tricks are played", func() bool { return s.mischief(t).Played["replay"] > 0 })
	// That none of the forgeries was accepted is looked at once all is played: testVerify.
	s.awaitStock(t, sale, "A", level{Sold: 1, Available: 9})
	return "checkout/" + o.Order
}

// endsPaidWithoutPerk: the sale has one T-shirt, and another order took it.
func endsPaidWithoutPerk(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	first, second := s.hold(t, sale, items{"A": 1}), s.hold(t, sale, items{"A": 1})
	s.pay(t, first, "succeeded")
	if !s.awaitStatus(t, first, "paid").Perk.Taken {
		t.Fatal(`want true: s.awaitStatus(t, first, "paid").Perk.Taken`)
	}
	s.pay(t, second, "succeeded")
	without := s.awaitStatus(t, second, "paid")
	if len(without.Tickets) != 1 {
		t.Fatalf("%d in without.Tickets, want 1: %+v", len(without.Tickets), without.Tickets)
	}
	if without.Perk.Taken {
		t.Fatal("want false: without.Perk.Taken: and the order says so")
	}
	return "checkout/" + second.Order
}

// endsPaidAtDeadline: the webhook comes after the deadline, at which the hold
// still stands and the provider knows of the payment.
func endsPaidAtDeadline(t *testing.T, s *stack) string {
	o := s.hold(t, s.sale(t, 10, shortHold, 5), items{"A": 1})
	s.setMischief(t, o, &server.Mischief{Rates: map[server.Trick]float64{server.TrickDelay: 1}, DelaySeconds: shortHold + 2})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")
	if time.Now().Before(o.HoldExpiresAt) {
		t.Fatal("want false: time.Now().Before(o.HoldExpiresAt): nobody but the deadline could know")
	}
	s.awaitAcknowledged(t, o) // the late webhook has no second effect
	if got := s.state(t, o).Tickets; len(got) != 1 {
		t.Fatalf("%d in s.state(t, o).Tickets, want 1: %+v", len(got), got)
	}
	return "checkout/" + o.Order
}

// endsCapturedAtExpire: somebody pays at the very moment at which the provider
// is asked to forbid it. Its answer to that decides.
func endsCapturedAtExpire(t *testing.T, s *stack) string {
	o := s.hold(t, s.sale(t, 10, shortHold, 5), items{"A": 1})
	s.misbehave(t, o, "capture_at_expire")
	s.visit(t, o)
	s.awaitStatus(t, o, "paid")
	s.awaitAcknowledged(t, o)
	return "checkout/" + o.Order
}

// endsSoldOut sends more orders at once than can be held. The gate refuses those
// that come after the first hold; some pass it before, and the ledger refuses
// those. Should all have been too late for that, it tries again.
func endsSoldOut(t *testing.T, s *stack) string {
	const (
		triesMax   = 10
		listingLag = 5 * time.Second
	)
	for range triesMax {
		sale := s.sale(t, 3, longHold, 3)
		if got := s.sendAtOnce(t, sale, items{"A": 2, "a": 1}, 8); got != 1 {
			t.Fatalf(`s.sendAtOnce(t, sale, items{"A": 2, "a": 1}, 8) is %v, want 1`, got)
		}
		// An order is held whole or not at all.
		s.awaitStock(t, sale, "A", level{Held: 2, Available: 1})
		s.awaitStock(t, sale, "a", level{Held: 1, Available: 2})
		// Temporal lists closed workflows a moment later.
		for deadline := time.Now().Add(listingLag); time.Now().Before(deadline); time.Sleep(waitInterval) {
			if workflowID := s.findWorkflow(t, refusedQuery(sale, "sold_out")); workflowID != "" {
				return workflowID
			}
		}
	}
	t.Fatal("the ledger never refused an order")
	return ""
}

// sendAtOnce sends orders that are held or sold out, and returns how many are
// held.
func (s *stack) sendAtOnce(t *testing.T, sale string, want items, n int) int {
	t.Helper()
	var held atomic.Int64
	var requests sync.WaitGroup
	for range n {
		requests.Go(func() {
			a := s.checkout(t, sale, newKey(), want, newBuyer())
			if a.status == http.StatusCreated {
				held.Add(1)
				return
			}
			if a.status != http.StatusConflict {
				t.Errorf("a.status is %v, want %v: %s", a.status, http.StatusConflict, a.body)
			}
			if !strings.Contains(string(a.body), `"sold_out"`) {
				t.Errorf("no %q in %s", `"sold_out"`, string(a.body))
			}
		})
	}
	requests.Wait()
	return int(held.Load())
}

// endsLimitReached: and the key's answer stays that, when the class sells out.
func endsLimitReached(t *testing.T, s *stack) string {
	sale, buyer, key := s.sale(t, 2, longHold, 2), newBuyer(), newKey()
	if got := s.checkout(t, sale, newKey(), items{"A": 2}, buyer).status; got != http.StatusCreated {
		t.Fatalf(`s.checkout(t, sale, newKey(), items{"A": 2}, buyer).status is %v, want %v`, got, http.StatusCreated)
	}
	over := func() {
		a := s.checkout(t, sale, key, items{"a": 1}, buyer)
		if a.status != http.StatusTooManyRequests {
			t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusTooManyRequests, a.body)
		}
		if got := a.code(t); got != "limit_reached" {
			t.Fatalf(`a.code(t) is %q, want "limit_reached"`, got)
		}
	}
	over()
	s.hold(t, sale, items{"a": 2})
	eventually(t, "the gate refuses new keys", func() bool {
		a := s.checkout(t, sale, newKey(), items{"a": 1}, newBuyer())
		return a.status == http.StatusConflict && a.code(t) == "sold_out"
	})
	over()
	return s.awaitRefused(t, sale, "limit_reached")
}

func endsAtProvider(t *testing.T, s *stack, outcome mockpay.Outcome, want string) string {
	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	s.pay(t, o, outcome)
	s.awaitStatus(t, o, want)
	s.awaitStock(t, sale, "A", level{Available: 10})
	return "checkout/" + o.Order
}

func endsCanceledByBuyer(t *testing.T, s *stack) string {
	o := s.hold(t, s.sale(t, 10, longHold, 5), items{"A": 1})
	s.cancel(t, o)
	s.awaitStatus(t, o, "canceled")
	return "checkout/" + o.Order
}

func endsExpired(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, shortHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	s.awaitStatus(t, o, "expired")
	s.awaitStock(t, sale, "A", level{Available: 10})
	return "checkout/" + o.Order
}

func endsCanceledByOrganiser(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	_, err := s.boxOffice().CancelOrderOfSale(t.Context(), sale, o.Order)
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(t, o, "canceled")
	s.awaitStock(t, sale, "A", level{Available: 10}) // the seats are on sale again
	return "checkout/" + o.Order
}

// endsSaleCanceled is the plain case; TestCancelSale has the hard ones.
func endsSaleCanceled(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	held, paid := s.hold(t, sale, items{"A": 1}), s.hold(t, sale, items{"A": 2})
	s.pay(t, paid, "succeeded")
	s.awaitStatus(t, paid, "paid")
	s.callOff(t, sale)
	s.awaitFinished(t, sale)
	s.awaitStatus(t, held, "canceled")
	s.awaitStatus(t, paid, "refunded")
	s.awaitStock(t, sale, "A", level{})
	return "cancel-sale/" + sale
}

func endsRefundedByOrganiser(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 1, "a": 1})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")
	s.refund(t, o)
	s.awaitStock(t, sale, "A", level{Available: 10})
	return "refund/" + o.Order
}

// awaitRefused finds the checkout that a ledger refused, by its search
// attributes, as an operator would.
func (s *stack) awaitRefused(t *testing.T, sale, ending string) (workflowID string) {
	t.Helper()
	query := refusedQuery(sale, ending)
	eventually(t, query, func() bool {
		workflowID = s.findWorkflow(t, query)
		return workflowID != ""
	})
	return workflowID
}

func refusedQuery(sale, ending string) string {
	return `Sale = "` + sale + `" AND Ending = "` + ending + `"`
}

// awaitClosed waits for a workflow's end and requires that it ended well.
func (s *stack) awaitClosed(t *testing.T, workflowID string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := s.temporal.GetWorkflow(ctx, workflowID, "").Get(ctx, nil); err != nil {
		t.Fatalf("%v: %v", workflowID, err)
	}
}

func (s *stack) history(t *testing.T, workflowID string) *historypb.History {
	t.Helper()
	events := s.temporal.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	history := &historypb.History{}
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		history.Events = append(history.Events, event)
	}
	return history
}

// save keeps a history for the replay tests.
func (s *stack) save(t *testing.T, name, workflowID string) {
	t.Helper()
	history := s.history(t, workflowID)
	s.decode(t, history) // the replay tests have no key
	content, err := temporalproto.CustomJSONMarshalOptions{Indent: "  "}.Marshal(history)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*capture, name+".json"), append(content, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("captured %s: %d events", name, len(history.Events))
}

func testEndings(t *testing.T, s *stack) {
	for _, ending := range endings {
		t.Run(ending.name, func(t *testing.T) {
			t.Parallel()
			workflowID := ending.run(t, s)
			s.awaitClosed(t, workflowID)
			requireSealed(t, s.history(t, workflowID))
			if *capture != "" {
				s.save(t, ending.name, workflowID)
			}
		})
	}
}

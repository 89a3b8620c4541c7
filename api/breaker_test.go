package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"boxoffice/admission"
	"boxoffice/domain"
)

// While the engine does not answer, checkouts are refused at once, and the sale, its
// page and /readyz say so; the node stays ready, and webhooks still go through.
func TestAnEngineThatDoesNotAnswer(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	b.world.StartErr = &domain.UnknownError{Op: "hold", ID: "1", Err: errors.New("no answer")}
	for n := range admission.InFlightMin {
		wantProblem(t, b.checkout(fmt.Sprintf("%s-%d", testKey, n), wish("A", 1)), 503, domain.CodeUnknown)
	}
	starts := b.world.Starts
	w := b.checkout(testKey+"-more", wish("A", 1))
	if wantProblem(t, w, 503, domain.CodeOverloaded); w.Header().Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q, want the time that the breaker stays open", w.Header().Get("Retry-After"))
	}
	if b.world.Starts != starts {
		t.Error("the engine was called all the same")
	}
	var sale SaleView
	decode(t, b.do(request{method: "GET", path: "/v1/sales/conference"}), &sale)
	if !sale.Interrupted || !b.api.Admission.Interrupted("conference") {
		t.Error("the sale does not say that it is interrupted")
	}
	ready := b.do(request{method: "GET", path: "/readyz"})
	var answer struct{ Degraded []FieldError }
	decode(t, ready, &answer)
	if ready.Code != 200 || len(answer.Degraded) != 1 || answer.Degraded[0].Field != "checkouts circuit" {
		t.Errorf("/readyz: %d %s", ready.Code, ready.Body)
	}
	webhook := request{"POST", "/v1/webhooks/mockpay", id.String(), map[string]string{"Webhook-Signature": "good", "Webhook-Id": "evt_1"}}
	if w := b.do(webhook); w.Code != 200 {
		t.Errorf("a webhook: %d %s", w.Code, w.Body)
	}
}

// No request asks a database that is down.
func TestADatabaseThatIsDownIsNotAsked(t *testing.T) {
	b := setup(t)
	database := b.api.Admission.Breakers.Database
	for !database.IsOpen() {
		_, _ = admission.Guard(t.Context(), database, func() (int, error) { return 0, &domain.UnknownError{Op: "read"} })
	}
	for name, ask := range map[string]func(context.Context) error{
		"order":   func(ctx context.Context) error { _, err := b.api.soldOrder(ctx, domain.OrderID{}); return err },
		"refunds": func(ctx context.Context) error { _, err := b.api.refundsOf(ctx, domain.OrderID{}); return err },
	} {
		if err := ask(t.Context()); domain.CodeOf(err) != domain.CodeOverloaded {
			t.Errorf("%s: %v", name, err)
		}
	}
}

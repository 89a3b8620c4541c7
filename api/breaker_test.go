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

// A part whose disk is full answers what only reads. Where few buyers come, the breaker stays closed for long; /readyz tells of it.
func TestReadyTellsOfSilenceBeforeABreakerOpens(t *testing.T) {
	part := setup(t).api.Admission.Breakers.Checkouts
	ask := func(err error) {
		_, _ = admission.Guard(t.Context(), part, func() (int, error) { return 0, err })
	}
	silence := &domain.UnknownError{Op: "hold"}
	for _, step := range []struct {
		what     string
		err      error
		degraded bool
	}{
		{"one has no answer", silence, false},
		{"a second", silence, false},
		{"a third", silence, true},
		{"a refusal is an answer", &domain.Error{Code: domain.CodeSoldOut}, false},
		{"silent again", silence, false},
	} {
		ask(step.err)
		if err := checkOf(part).Probe(t.Context()); (err != nil) != step.degraded {
			t.Errorf("%s: %v, want degraded %v", step.what, err, step.degraded)
		}
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

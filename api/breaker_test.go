package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

func TestBreaker(t *testing.T) {
	unknown := error(&domain.UnknownError{Op: "hold", ID: "1", Err: errors.New("no answer")})
	for name, tt := range map[string]struct {
		err  error
		open bool // after breakerFailuresMax of it
	}{
		"no answer":       {unknown, true},
		"no room":         {&domain.Error{Code: domain.CodeOverloaded}, true},
		"out of time":     {context.DeadlineExceeded, true},
		"a success":       {nil, false},
		"sold out":        {&domain.Error{Code: domain.CodeSoldOut}, false},
		"not found":       {domain.NotFound("order"), false},
		"still in flight": {&domain.Error{Code: domain.CodeInFlight, Err: unknown}, false},
		"a bug":           {errors.New("nil map"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker("part", slog.New(slog.DiscardHandler))
				ask := func(err error) error {
					_, got := guard(t.Context(), b, func() (int, error) { return 0, err })
					return got
				}
				for range breakerFailuresMax - 1 {
					_ = ask(tt.err)
				}
				if b.isOpen() {
					t.Fatal("open before its time")
				}
				_ = ask(tt.err)
				if b.isOpen() != tt.open {
					t.Fatalf("open %t, want %t", b.isOpen(), tt.open)
				}
				if !tt.open {
					return
				}
				if err := ask(nil); domain.CodeOf(err) != domain.CodeOverloaded || !isRefusedUnasked(err) {
					t.Errorf("while it is open: %v", err)
				}
				time.Sleep(breakerOpen + time.Millisecond)
				if _ = ask(tt.err); !isRefusedUnasked(ask(nil)) {
					t.Error("a failed probe closed it")
				}
				time.Sleep(breakerOpen + time.Millisecond)
				if err := ask(nil); err != nil || b.isOpen() {
					t.Errorf("after a good probe: %v, open %t", err, b.isOpen())
				}
			})
		})
	}
}

// Clients that leave, or that used their own time up, take nobody else's part away.
func TestClientsDoNotOpenABreaker(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithTimeout(t.Context(), breakerFairTime/2)
	defer cancel()
	for name, ctx := range map[string]context.Context{"left": left, "late": late} {
		b := newBreaker("part", slog.New(slog.DiscardHandler))
		for range 2 * breakerFailuresMax {
			_, _ = guard(ctx, b, func() (int, error) { return 0, &domain.UnknownError{Err: context.Canceled} })
		}
		if b.isOpen() {
			t.Errorf("%s: open", name)
		}
	}
}

// While the engine does not answer, checkouts are refused at once, and the sale, its
// page and /readyz say so; the node stays ready, and webhooks still go through.
func TestAnEngineThatDoesNotAnswer(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	b.world.startErr = &domain.UnknownError{Op: "hold", ID: "1", Err: errors.New("no answer")}
	for n := range breakerFailuresMax {
		wantProblem(t, b.checkout(fmt.Sprintf("%s-%d", testKey, n), wish("A", 1)), 503, domain.CodeUnknown)
	}
	starts := b.world.starts
	wantProblem(t, b.checkout(testKey+"-more", wish("A", 1)), 503, domain.CodeOverloaded)
	if b.world.starts != starts {
		t.Error("the engine was asked all the same")
	}
	var sale SaleView
	decode(t, b.do(request{method: "GET", path: "/v1/sales/conference"}), &sale)
	if !sale.Interrupted || !b.api.Catalog.Interrupted() {
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

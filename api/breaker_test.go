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
				b := newBreaker("part", breakerFailuresMax, slog.New(slog.DiscardHandler))
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
				if !b.isOpen() {
					t.Error("closed before anything went through")
				}
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
		b := newBreaker("part", breakerFailuresMax, slog.New(slog.DiscardHandler))
		for range 2 * breakerFailuresMax {
			_, _ = guard(ctx, b, func() (int, error) { return 0, &domain.UnknownError{Err: context.Canceled} })
		}
		if b.isOpen() {
			t.Errorf("%s: open", name)
		}
	}
}

// Nor do they keep one closed: that a client left is no answer of the part.
func TestClientsThatLeaveSayNothingOfAPart(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	b := newBreaker("part", breakerFailuresMax, slog.New(slog.DiscardHandler))
	for range breakerFailuresMax {
		for _, ctx := range []context.Context{left, t.Context()} {
			_, _ = guard(ctx, b, func() (int, error) { return 0, &domain.UnknownError{Op: "hold"} })
		}
	}
	if !b.isOpen() {
		t.Error("closed")
	}
}

// While the engine does not answer, checkouts are refused at once, and the sale, its
// page and /readyz say so; the node stays ready, and webhooks still go through.
func TestAnEngineThatDoesNotAnswer(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	b.world.startErr = &domain.UnknownError{Op: "hold", ID: "1", Err: errors.New("no answer")}
	for n := range checkoutFailuresMax {
		wantProblem(t, b.checkout(fmt.Sprintf("%s-%d", testKey, n), wish("A", 1)), 503, domain.CodeUnknown)
	}
	starts := b.world.starts
	w := b.checkout(testKey+"-more", wish("A", 1))
	if wantProblem(t, w, 503, domain.CodeOverloaded); w.Header().Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q, want for how long nothing is sent", w.Header().Get("Retry-After"))
	}
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

// Each part that is away is left alone by all that would ask it.
func TestWhatIsBehindABreakerIsNotAsked(t *testing.T) {
	b := setup(t)
	for _, breaker := range b.api.breakers.all() {
		for range breakerFailuresMax {
			_, _ = guard(t.Context(), breaker, func() (int, error) { return 0, &domain.UnknownError{Op: "hold"} })
		}
	}
	for name, ask := range map[string]func() error{
		"start":   func() error { _, err := b.api.Desk.Start(t.Context(), domain.Order{}); return err },
		"pay":     func() error { _, err := b.api.Desk.Pay(t.Context(), domain.PaymentEvent{}); return err },
		"state":   func() error { _, err := b.api.Desk.State(t.Context(), domain.OrderID{}); return err },
		"order":   func() error { _, err := b.api.Orders.Order(t.Context(), domain.OrderID{}); return err },
		"refunds": func() error { _, err := b.api.Orders.RefundsOfOrder(t.Context(), domain.OrderID{}); return err },
	} {
		if err := ask(); !isRefusedUnasked(err) || domain.CodeOf(err) != domain.CodeOverloaded {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.api.adaptive.webhooks != 0 || b.api.adaptive.holds.n != 0 {
		t.Errorf("%d webhooks and %d holds count as fast that nobody was asked for", b.api.adaptive.webhooks, b.api.adaptive.holds.n)
	}
}

package admission

import (
	"context"
	"errors"
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
		open bool // after breakerFailuresMax failures
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
					_, got := Guard(t.Context(), b, func() (int, error) { return 0, err })
					return got
				}
				for range breakerFailuresMax - 1 {
					_ = ask(tt.err)
				}
				if b.IsOpen() {
					t.Fatal("open before its time")
				}
				_ = ask(tt.err)
				if b.IsOpen() != tt.open {
					t.Fatalf("open %t, want %t", b.IsOpen(), tt.open)
				}
				if !tt.open {
					return
				}
				if err := ask(nil); domain.CodeOf(err) != domain.CodeOverloaded || !isRefusedUnasked(err) {
					t.Errorf("while it is open: %v", err)
				}
				time.Sleep(breakerOpen + time.Millisecond)
				if !b.IsOpen() {
					t.Error("closed before anything went through")
				}
				if _ = ask(tt.err); !isRefusedUnasked(ask(nil)) {
					t.Error("a failed probe closed it")
				}
				time.Sleep(breakerOpen + time.Millisecond)
				if err := ask(nil); err != nil || b.IsOpen() {
					t.Errorf("after a good probe: %v, open %t", err, b.IsOpen())
				}
			})
		})
	}
}

// Clients that leave, or that used up their own time, open no breaker.
func TestClientsDoNotOpenABreaker(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithTimeout(t.Context(), breakerFairTime/2)
	defer cancel()
	for name, ctx := range map[string]context.Context{"left": left, "late": late} {
		b := newBreaker("part", breakerFailuresMax, slog.New(slog.DiscardHandler))
		for range 2 * breakerFailuresMax {
			_, _ = Guard(ctx, b, func() (int, error) { return 0, &domain.UnknownError{Err: context.Canceled} })
		}
		if b.IsOpen() {
			t.Errorf("%s: open", name)
		}
	}
}

// Nor do they keep one closed, because a client that leaves proves nothing about the part.
func TestClientsThatLeaveProveNothing(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	b := newBreaker("part", breakerFailuresMax, slog.New(slog.DiscardHandler))
	for range breakerFailuresMax {
		for _, ctx := range []context.Context{left, t.Context()} {
			_, _ = Guard(ctx, b, func() (int, error) { return 0, &domain.UnknownError{Op: "hold"} })
		}
	}
	if !b.IsOpen() {
		t.Error("closed")
	}
}

package abuse

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

func TestABrokenPromiseFailsTheDrill(t *testing.T) {
	kept := Finding{Attack: "a", GotThrough: "2 tickets", Broken: promised(2, 2, "tickets")}
	broken := Finding{Attack: "b", GotThrough: "3 tickets", Broken: promised(3, 2, "tickets")}
	if err := (Result{Findings: []Finding{kept}}).Broken(); err != nil {
		t.Errorf("kept: %v", err)
	}
	result := Result{Findings: []Finding{kept, broken}}
	if err := result.Broken(); err == nil || err.Error() != "b: 3 tickets, at most 2 were promised" {
		t.Errorf("broken: %v", err)
	}
	var out strings.Builder
	result.Print(&out)
	if !strings.Contains(out.String(), "BROKEN      3 tickets") {
		t.Errorf("%s", out.String())
	}
}

func TestAnAttackEndsWithItsFirstFailure(t *testing.T) {
	var tried atomic.Int64
	gone := errors.New("no box office")
	err := each(t.Context(), 1_000_000, func(context.Context, int) error { tried.Add(1); return gone })
	if !errors.Is(err, gone) || tried.Load() > atOnce {
		t.Errorf("%v after %d tries", err, tried.Load())
	}
	tried.Store(0)
	if err := each(t.Context(), 100, func(context.Context, int) error { tried.Add(1); return nil }); err != nil || tried.Load() != 100 {
		t.Errorf("%v after %d tries, want nil after 100", err, tried.Load())
	}
}

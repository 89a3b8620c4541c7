package api

import (
	"context"
	"testing"
	"testing/synctest"

	"boxoffice/domain"
)

// newerDesk returns an outcome that this release does not know, as a newer worker might.
type newerDesk struct{ *world }

func (newerDesk) Start(context.Context, domain.Order) (domain.HoldAnswer, error) {
	return domain.HoldAnswer{Hold: domain.Hold{Outcome: "waitlisted"}}, nil
}

func TestAnUnknownOutcomeIsNotANo(t *testing.T) {
	b := setup(t, func(o *Options) { o.Desk = newerDesk{o.Desk.(*world)} })
	w := b.checkout(testKey, wish("A", 1))
	if wantProblem(t, w, 503, domain.CodeUnknown); w.Header().Get("Retry-After") == "" {
		t.Error("nothing says when to repeat it")
	}
}

func TestASaleThatHasNotOpenedSaysWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		for _, how := range []string{"the ordinary way", "the short way"} { // again, from memory
			r := checkoutRequest(testKey, wish("A", 1))
			r.path = "/v1/sales/soon/checkouts"
			w := b.do(r)
			if wantProblem(t, w, 409, domain.CodeNotOpen); w.Header().Get("Retry-After") != "5400" {
				t.Errorf("%s: Retry-After %q, want the 90 minutes", how, w.Header().Get("Retry-After"))
			}
		}
	})
}

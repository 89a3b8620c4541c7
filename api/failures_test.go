package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"boxoffice/domain"
)

// Definite and unknown failures stay apart up to the client, however an adapter wraps them.
// If it is unknown whether something happened, the answer says so.
func TestDefiniteAndUnknownOverHTTP(t *testing.T) {
	definite := func(code domain.Code) error { return &domain.Error{Code: code, Detail: "It was not done."} }
	unknown := func(cause error) error { return &domain.UnknownError{Op: "hold", ID: "1", Err: cause} }
	for _, tt := range []struct {
		name       string
		err        error
		status     int
		code       domain.Code
		retryAfter bool
	}{
		{"unknown", unknown(errors.New("no answer")), 503, domain.CodeUnknown, true},
		{"unknown, wrapped", fmt.Errorf("start: %w", unknown(errors.New("no answer"))), 503, domain.CodeUnknown, true},
		{"unknown, because of something definite", unknown(definite(domain.CodeInternal)), 503, domain.CodeUnknown, true},
		{"unknown, because something was not found", unknown(definite(domain.CodeNotFound)), 503, domain.CodeUnknown, true},
		{"out of time", context.DeadlineExceeded, 503, domain.CodeUnknown, true},
		{"the client left", fmt.Errorf("read: %w", context.Canceled), 503, domain.CodeUnknown, true},
		{"not sent", definite(domain.CodeOverloaded), 503, domain.CodeOverloaded, true},
		{"not sent, because of a deadline", &domain.Error{Code: domain.CodeOverloaded, Err: context.DeadlineExceeded}, 503, domain.CodeOverloaded, true},
		{"not sent, because of an unknown", &domain.Error{Code: domain.CodeOverloaded, Err: unknown(errors.New("x"))}, 503, domain.CodeOverloaded, true},
		{"definite, wrapped", fmt.Errorf("record: %w", definite(domain.CodeKeyReused)), 422, domain.CodeKeyReused, false},
		{"a bug", errors.New("nil map"), 500, domain.CodeInternal, false},
		{"a code of a newer adapter", definite("new_code"), 500, domain.CodeInternal, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := setup(t)
			id, token := b.held(testKey)
			b.world.StartErr, b.world.payErr, b.world.refundErr, b.world.StateErr = tt.err, tt.err, tt.err, tt.err
			for _, r := range []request{
				checkoutRequest(testKey+"-2", wish("A", 1)),
				{"POST", "/v1/webhooks/mockpay", id.String(), map[string]string{"Webhook-Signature": "good", "Webhook-Id": "evt_1"}},
				{"POST", "/v1/orders/" + id.String() + "/refund", "", bearerOf(testAdminToken)},
				{"GET", "/v1/orders/" + id.String(), "", bearerOf(token)},
			} {
				w := b.do(r)
				wantProblem(t, w, tt.status, tt.code)
				if got := w.Header().Get("Retry-After") != ""; got != tt.retryAfter {
					t.Errorf("%s %s: Retry-After %t, want %t", r.method, r.path, got, tt.retryAfter)
				}
			}
		})
	}
}

// Every 503 says when to come again: it is never a no.
func TestEvery503SaysWhenToComeAgain(t *testing.T) {
	for code, k := range kinds {
		if k.status == http.StatusServiceUnavailable && k.retryAfter < time.Second {
			t.Errorf("%s has no Retry-After", code)
		}
	}
}

package stripe_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/stripe"
	"boxoffice/payments/stripe/stripetest"
	"boxoffice/tracing/tracingtest"
)

// Each request to Stripe is a span with a name that has nothing of its path, and Stripe is told nothing of the trace.
func TestRequestsToStripeAreSpans(t *testing.T) {
	type story struct {
		double *stripetest.Server
		p      *stripe.Provider
	}
	authorized := func(t *testing.T, s story) string {
		o := opening(1)
		o.Authorize = true
		page := mustOpen(t, s.p, o)
		if err := s.double.Pay(page.Session); err != nil {
			t.Fatal(err)
		}
		return page.Session
	}
	for name, test := range map[string]struct {
		before func(*testing.T, story) string // an id
		act    func(context.Context, story, string)
		want   []string
	}{
		"open": {
			func(*testing.T, story) string { return "" },
			func(ctx context.Context, s story, _ string) { _, _ = s.p.Open(ctx, opening(1)) }, []string{"stripe open session"}},
		"expire": {
			func(t *testing.T, s story) string { return mustOpen(t, s.p, opening(1)).Session },
			func(ctx context.Context, s story, id string) { _, _ = s.p.Expire(ctx, id) }, []string{"stripe expire session"}},
		"expire what is paid": {
			func(t *testing.T, s story) string { return mustPay(t, s.double, s.p).Session },
			func(ctx context.Context, s story, id string) { _, _ = s.p.Expire(ctx, id) }, []string{"stripe expire session", "stripe read session"}},
		"refund": {
			func(t *testing.T, s story) string { return mustPay(t, s.double, s.p).Capture.Payment },
			func(ctx context.Context, s story, id string) {
				_ = s.p.Refund(ctx, payments.Refund{Key: id, Payment: id, AmountMinor: 6500, Currency: "EUR", Reason: domain.RefundByOrganiser})
			}, []string{"stripe read payment", "stripe list refunds", "stripe refund"}},
		"capture": {authorized,
			func(ctx context.Context, s story, id string) { _, _ = s.p.CaptureAuthorized(ctx, id) }, []string{"stripe read session", "stripe capture payment"}},
		"release": {authorized,
			func(ctx context.Context, s story, id string) { _, _ = s.p.ReleaseAuthorized(ctx, id) }, []string{"stripe read session", "stripe release payment"}},
		"the lists of an audit": {
			func(*testing.T, story) string { return "" },
			func(ctx context.Context, s story, _ string) {
				for range s.p.Captures(ctx) {
				}
				for range s.p.Refunds(ctx) {
				}
				for range s.p.Disputes(ctx) {
				}
			}, []string{"stripe list sessions", "stripe list refunds", "stripe list disputes"}},
	} {
		t.Run(name, func(t *testing.T) {
			double := newDouble(t)
			double.Trouble = func(r *http.Request) stripetest.Trouble {
				if r.Header.Get("Traceparent") != "" {
					t.Errorf("%s %s tells of a trace", r.Method, r.URL.Path)
				}
				return stripetest.None
			}
			s := story{double, open(t, double, nil)}
			id := test.before(t, s)
			tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
			ctx, _ := tracer.Start(t.Context(), domain.OrderID{1}, "step", trace.SpanKindInternal)
			test.act(ctx, s, id)
			var got []string
			for _, span := range recorder.Spans() {
				got = append(got, span.Name)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the spans are %q, want %q", got, test.want)
			}
		})
	}
}

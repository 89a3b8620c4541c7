package mockpay_test

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
	"boxoffice/tracing/tracingtest"
)

// Each call is a span with a name that has nothing of its path.
func TestCallsAreSpans(t *testing.T) {
	for want, call := range map[string]func(context.Context, *mockpay.Client){
		"mockpay read session":    func(ctx context.Context, c *mockpay.Client) { _, _ = c.Session(ctx, session) },
		"mockpay expire session":  func(ctx context.Context, c *mockpay.Client) { _, _ = c.Expire(ctx, order(t)) },
		"mockpay capture payment": func(ctx context.Context, c *mockpay.Client) { _, _ = c.CaptureAuthorized(ctx, session) },
		"mockpay release payment": func(ctx context.Context, c *mockpay.Client) { _, _ = c.ReleaseAuthorized(ctx, session) },
		"mockpay refund":          func(ctx context.Context, c *mockpay.Client) { _ = c.Refund(ctx, domain.Refund{Capture: captured(t)}) },
		"mockpay list refunds": func(ctx context.Context, c *mockpay.Client) {
			for range c.Refunds(ctx) {
			}
		},
		"mockpay list captures": func(ctx context.Context, c *mockpay.Client) {
			for range c.Captures(ctx) {
			}
		},
		"mockpay list authorizations": func(ctx context.Context, c *mockpay.Client) {
			for range c.Authorizations(ctx) {
			}
		},
		"mockpay list disputes": func(ctx context.Context, c *mockpay.Client) {
			for range c.Disputes(ctx) {
			}
		},
		"mockpay list deliveries": func(ctx context.Context, c *mockpay.Client) {
			for range c.Deliveries(ctx, mockpay.DeliveryPending) {
			}
		},
	} {
		t.Run(want, func(t *testing.T) {
			tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
			ctx, _ := tracer.Start(t.Context(), order(t), "step", trace.SpanKindInternal)
			call(ctx, answering(t, 500, mockpay.ProblemContentType, problemBody(500, "internal")).client)
			spans := recorder.Spans()
			if len(spans) != 1 || spans[0].Name != want || spans[0].Attributes["http.response.status_code"] != "500" {
				t.Errorf("the spans are %+v, want one %s that was answered 500", spans, want)
			}
		})
	}
}

package api

import (
	"net/http"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"boxoffice/tracing/tracingtest"
)

// A request about an order is in the order's trace, and any other one is a trace of its own.
// Probes and streams are in none, and no span has a path, which may have a token.
func TestWhichTraceARequestIsIn(t *testing.T) {
	tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	b := setup(t, func(o *Options) { o.Tracer = tracer })
	id, token := b.held(testKey)
	const secret = "no-such-token-0123456789"
	for path, header := range map[string]map[string]string{
		"/v1/orders/" + id.String(): bearerOf(token),
		"/v1/sales/conference":      nil,
		"/v1/queue/" + secret:       nil,
		"/healthz":                  nil,
		"/readyz":                   nil,
		"/" + secret:                nil,
	} {
		b.do(request{method: http.MethodGet, path: path, header: header})
	}
	spans := recorder.Spans()
	for name, want := range map[string]struct {
		n       int
		inOrder bool
	}{
		"GET /v1/orders/:order":          {1, true},
		"GET /v1/sales/:sale":            {1, false},
		"GET /v1/queue/:token":           {1, false},
		"POST /v1/sales/:sale/checkouts": {1, false}, // only its Desk knows the order, and this one traces nothing
		"GET /healthz":                   {0, false},
		"GET /readyz":                    {0, false},
		"GET":                            {1, false},
	} {
		found := spans.Named(name)
		if len(found) != want.n || want.n > 0 && (found[0].Trace == id.String()) != want.inOrder {
			t.Errorf("%s: %+v, want %d, in the order's trace: %v", name, found, want.n, want.inOrder)
		}
	}
	for _, span := range spans {
		if span.Attributes["boxoffice.request.id"] == "" || span.Attributes["http.response.status_code"] == "" {
			t.Errorf("%+v has no request id or status", span)
		}
		for _, value := range span.Attributes {
			if strings.Contains(value, secret) || strings.Contains(value, token) || strings.Contains(value, "@") {
				t.Errorf("%+v has %q", span, value)
			}
		}
	}
}

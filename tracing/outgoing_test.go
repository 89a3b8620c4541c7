package tracing_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/tracing"
	"boxoffice/tracing/tracingtest"
)

// answers is the network.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func answer(status int, body io.Reader) answers {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(body)}, nil
	}
}

func failure(err error) answers {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

var operations = tracing.Operations{
	"POST /v1/refunds":                    "bank refund",
	"GET /v1/sessions/{session}":          "bank read session",
	"POST /v1/sessions/{session}/release": "bank release payment",
}

// ask asks the bank within an order's span, and reads the answer as adapters do.
func ask(t *testing.T, ctx context.Context, network answers, method, url string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := tracing.Outgoing(network, operations).RoundTrip(r)
	if err != nil {
		return
	}
	_, _ = io.ReadAll(response.Body)
	for range 2 { // more than once is allowed
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A request to somebody else is a span that says what was asked and how it ended, and nothing of a path, a query or
// an answer.
func TestARequestToSomebodyElse(t *testing.T) {
	const secret = "cs_ann"
	fine := answer(200, strings.NewReader(secret))
	for name, test := range map[string]struct {
		network     answers
		method, url string
		span        string
		status      string // empty: there was no answer
		failed      string // error.type; empty: it did not fail
	}{
		"an operation":                    {fine, "POST", "https://bank.test/v1/refunds", "bank refund", "200", ""},
		"one with an id":                  {fine, "GET", "https://bank.test/v1/sessions/cs_ann", "bank read session", "200", ""},
		"one with an id in the middle":    {fine, "POST", "https://bank.test/v1/sessions/cs_ann/release", "bank release payment", "200", ""},
		"one with a query":                {fine, "GET", "https://bank.test/v1/sessions/cs_ann?mail=cs_ann", "bank read session", "200", ""},
		"another method":                  {fine, "GET", "https://bank.test/v1/refunds", "GET bank.test", "200", ""},
		"another path":                    {fine, "GET", "https://bank.test/cs_ann", "GET bank.test", "200", ""},
		"a path that is none":             {fine, "GET", "https://bank.test//v1/../cs_ann", "GET bank.test", "200", ""},
		"a host with a port":              {fine, "GET", "https://bank.test:8443/", "GET bank.test", "200", ""},
		"refused":                         {answer(402, strings.NewReader(secret)), "POST", "https://bank.test/v1/refunds", "bank refund", "402", "402"},
		"their failure":                   {answer(500, strings.NewReader(secret)), "POST", "https://bank.test/v1/refunds", "bank refund", "500", "500"},
		"no answer in time":               {failure(context.DeadlineExceeded), "POST", "https://bank.test/v1/refunds", "bank refund", "", "timeout"},
		"no answer until we gave up":      {failure(context.Canceled), "POST", "https://bank.test/v1/refunds", "bank refund", "", "canceled"},
		"no connection":                   {failure(errors.New(secret)), "POST", "https://bank.test/v1/refunds", "bank refund", "", "*errors.errorString"},
		"an answer that breaks off":       {answer(200, iotest.ErrReader(io.ErrUnexpectedEOF)), "POST", "https://bank.test/v1/refunds", "bank refund", "200", "*errors.errorString"},
		"an answer that does not come on": {answer(200, iotest.ErrReader(context.DeadlineExceeded)), "POST", "https://bank.test/v1/refunds", "bank refund", "200", "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
			ctx, step := tracer.Start(t.Context(), order, "step", trace.SpanKindInternal)
			ask(t, ctx, test.network, test.method, test.url)
			step.End()
			spans := recorder.Spans()
			if len(spans) != 2 || spans.Path(&spans[0]) != test.span+" < step" {
				t.Fatalf("the spans are\n%s\nwant %s below the step", spans, test.span)
			}
			want := map[string]string{"http.request.method": test.method, "server.address": "bank.test", "url.scheme": "https"}
			if test.status != "" {
				want["http.response.status_code"] = test.status
			}
			if test.failed != "" {
				want["error.type"] = test.failed
			}
			if got := spans[0]; got.Kind != "CLIENT" || got.Failed != (test.failed != "") || !reflect.DeepEqual(got.Attributes, want) {
				t.Errorf("got %+v, want one of a client with %v, failed: %v", got, want, test.failed != "")
			}
		})
	}
}

// The span is over when the answer is read, not when it begins.
func TestTheSpanLastsUntilTheAnswerIsRead(t *testing.T) {
	tracer, spans := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	ctx, _ := tracer.Start(t.Context(), order, "step", trace.SpanKindInternal)
	r, err := http.NewRequestWithContext(ctx, "POST", "https://bank.test/v1/refunds", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := tracing.Outgoing(answer(200, strings.NewReader("yes")), operations).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	before := len(spans.Spans())
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if after := len(spans.Spans()); before != 0 || after != 1 {
		t.Errorf("%d spans before the answer is read and %d after, want 0 and 1", before, after)
	}
}

// Others' systems are not in our traces, and what is not recorded is no span.
func TestNobodyElseIsToldOfATrace(t *testing.T) {
	for name, of := range map[string]struct {
		sampler sdktrace.Sampler
		spans   int
	}{"sampled": {sdktrace.AlwaysSample(), 1}, "not sampled": {sdktrace.NeverSample(), 0}} {
		t.Run(name, func(t *testing.T) {
			tracer, spans := tracingtest.NewRecorder(of.sampler)
			ctx, _ := tracer.Start(t.Context(), order, "step", trace.SpanKindInternal)
			var sent http.Header
			ask(t, ctx, func(r *http.Request) (*http.Response, error) {
				sent = r.Header.Clone()
				return answer(200, strings.NewReader(""))(r)
			}, "POST", "https://bank.test/v1/refunds")
			if sent == nil || len(sent) > 0 {
				t.Errorf("the request has the headers %v, want none", sent)
			}
			if n := len(spans.Spans()); n != of.spans {
				t.Errorf("%d spans, want %d", n, of.spans)
			}
		})
	}
}

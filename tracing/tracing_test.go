package tracing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/tracing"
	"boxoffice/tracing/tracingtest"
)

// order is one of those that a ratio of a half samples, and unsampled is not.
var (
	order     = domain.OrderID{1, 2, 3, 4, 5, 6, 7, 8, 0x10, 10, 11, 12, 13, 14, 15}
	unsampled = domain.OrderID{1, 2, 3, 4, 5, 6, 7, 8, 0xff, 10, 11, 12, 13, 14, 15}
)

func post(header http.Header) tracing.Incoming {
	return tracing.Incoming{ID: "request-1", Method: "POST", Route: "/v1/x/:order", Scheme: "http", Header: header}
}

// What begins a checkout, and what comes later in other processes, is one trace.
func TestAnOrderIsOneTrace(t *testing.T) {
	ours, spans := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	theirs, later := tracingtest.NewRecorder(sdktrace.AlwaysSample())

	ctx, request := ours.Request(t.Context(), post(nil))
	ctx = tracing.Begin(ctx, order)
	_, child := tracing.Start(ctx, "child", trace.SpanKindInternal)
	tracing.End(child, nil)
	request.End(http.StatusCreated)

	ctx, webhook := theirs.Request(t.Context(), post(nil))
	if got := trace.SpanContextFromContext(tracing.Join(ctx, order)).TraceID().String(); got != order.String() {
		t.Errorf("the webhook is in the trace %s, want %s", got, order)
	}
	webhook.End(http.StatusOK)
	tracing.End(theirs.Tell(tracing.Told{Order: order, ID: tracing.CheckoutSpan(order), Name: "checkout"}), nil)
	_, mail := theirs.Start(t.Context(), order, "mail", trace.SpanKindClient)
	tracing.End(mail, errors.New("no"))

	all := append(spans.Spans(), later.Spans()...)
	want := []string{"POST /v1/x/:order", "POST /v1/x/:order < checkout", "checkout", "child < POST /v1/x/:order", "mail < checkout"}
	if got := all.Of(order.String()).Paths(); !reflect.DeepEqual(got, want) {
		t.Errorf("the trace is\n%q, want\n%q", got, want)
	}
	if len(all) != len(want) {
		t.Errorf("%d spans, want all %d in one trace", len(all), len(want))
	}
}

// Every process says the same of an order, and what it does not sample makes no span.
func TestSamplingGoesByTheOrder(t *testing.T) {
	for range 2 {
		tracer, spans := tracingtest.NewRecorder(sdktrace.TraceIDRatioBased(0.5))
		if !tracer.Samples(order) || tracer.Samples(unsampled) || tracer.Samples(domain.OrderID{}) {
			t.Errorf("sampled: %v %v %v, want true false false", tracer.Samples(order), tracer.Samples(unsampled), tracer.Samples(domain.OrderID{}))
		}
		ctx, request := tracer.Request(t.Context(), post(nil))
		ctx = tracing.Begin(ctx, unsampled)
		_, child := tracing.Start(ctx, "child", trace.SpanKindInternal)
		_, mail := tracer.Start(ctx, unsampled, "mail", trace.SpanKindClient)
		tracing.End(child, nil)
		tracing.End(mail, nil)
		tracing.End(tracer.Tell(tracing.Told{Order: unsampled, Name: "checkout"}), nil)
		_ = request // its own trace would be sampled by chance
		if got := spans.Spans(); len(got) != 0 {
			t.Errorf("spans of an order that is not sampled:\n%s", got)
		}
	}
}

// A caller's trace is linked. It neither becomes ours nor decides what is sampled.
func TestACallersTraceIsLinked(t *testing.T) {
	const caller, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	header := http.Header{"Traceparent": {"00-" + caller + "-" + parent + "-01"}}
	for name, test := range map[string]struct {
		sampler sdktrace.Sampler
		want    []tracingtest.Link
	}{
		"sampled":     {sdktrace.AlwaysSample(), []tracingtest.Link{{Trace: caller, Span: parent}}},
		"not sampled": {sdktrace.NeverSample(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, spans := tracingtest.NewRecorder(test.sampler)
			_, request := tracer.Request(t.Context(), post(header))
			request.End(http.StatusOK)
			var got []tracingtest.Link
			for _, span := range spans.Spans() {
				got = append(got, span.Links...)
				if span.Parent != "" || span.Trace == caller {
					t.Errorf("the span %+v continues the caller's trace", span)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("links %v, want %v", got, test.want)
			}
		})
	}
	for _, bad := range []http.Header{nil, {"Traceparent": {"nonsense"}}, {"Traceparent": {header.Get("Traceparent"), header.Get("Traceparent")}}} {
		if tracing.CallerOf(bad).IsValid() {
			t.Errorf("%v names a caller", bad)
		}
	}
}

// A request that is about no order is a trace of its own, and says how it ended.
func TestARequestOfItsOwn(t *testing.T) {
	for status, failed := range map[int]bool{200: false, 409: false, 503: true} {
		tracer, spans := tracingtest.NewRecorder(sdktrace.AlwaysSample())
		ctx, request := tracer.Request(t.Context(), post(nil))
		request.End(status)
		if got := tracing.Join(ctx, order); got != ctx {
			t.Error("a request that has ended joins a trace")
		}
		got := spans.Spans()
		if len(got) != 1 || got[0].Failed != failed || got[0].Kind != "SERVER" {
			t.Fatalf("%d: got %+v, want one span of a server, failed: %v", status, got, failed)
		}
		attributes := got[0].Attributes
		delete(attributes, "error.type")
		want := map[string]string{
			"http.request.method": "POST", "http.route": "/v1/x/:order", "url.scheme": "http",
			"http.response.status_code": strconv.Itoa(status), "boxoffice.request.id": "request-1",
		}
		if !reflect.DeepEqual(attributes, want) {
			t.Errorf("attributes %v, want %v", attributes, want)
		}
	}
}

// A batch is a trace of its own, whatever the sampler says of it, and linked both ways.
func TestABatchAndItsUnitsLinkToEachOther(t *testing.T) {
	tracer, spans := tracingtest.NewRecorder(sdktrace.TraceIDRatioBased(0.5))
	var units []trace.Span
	for n := range 20 { // or a sampler that was asked would say yes by chance
		order := order
		order[0] = byte(n)
		_, unit := tracer.Start(t.Context(), order, "unit", trace.SpanKindClient)
		units = append(units, unit)
		_, batch := tracing.Batch(t.Context(), "batch", trace.SpanKindClient, []trace.Span{unit})
		batch.End()
	}
	_, all := tracing.Batch(t.Context(), "all", trace.SpanKindClient, units)
	all.End()
	for _, unit := range units {
		unit.End()
	}
	got := spans.Spans()
	if n := len(got.Named("batch")); n != len(units) {
		t.Fatalf("%d batches, want %d", n, len(units))
	}
	if n := len(got.Named("all")[0].Links); n != len(units) {
		t.Errorf("the batch has %d links, want %d", n, len(units))
	}
	for _, unit := range got.Named("unit") {
		if len(unit.Links) != 2 || unit.Links[1].Span != got.Named("all")[0].ID || unit.Links[1].Trace == unit.Trace {
			t.Errorf("the unit has the links %v, want two, to other traces", unit.Links)
		}
	}
	if _, none := tracing.Batch(t.Context(), "none", trace.SpanKindClient, nil); none.IsRecording() {
		t.Error("a batch without recorded units is recorded")
	}
}

// A span says what kind of error it was, and never its text.
func TestAnErrorsTextStaysInTheLog(t *testing.T) {
	for want, err := range map[string]error{
		"sold_out":            &domain.Error{Code: domain.CodeSoldOut, Detail: "ann@example.com"},
		"unknown":             &domain.UnknownError{Op: "x", Err: errors.New("ann@example.com")},
		"timeout":             context.DeadlineExceeded,
		"canceled":            context.Canceled,
		"*errors.errorString": errors.New("ann@example.com"),
	} {
		tracer, spans := tracingtest.NewRecorder(sdktrace.AlwaysSample())
		_, span := tracer.Start(t.Context(), order, "x", trace.SpanKindClient)
		tracing.End(span, err)
		if got := spans.Spans()[0]; !got.Failed || !reflect.DeepEqual(got.Attributes, map[string]string{"error.type": want}) {
			t.Errorf("%v: got %+v, want %s", err, got, want)
		}
	}
}

func TestLogsCarryTheIdsOfTheSpan(t *testing.T) {
	tracer, _ := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	ctx, span := tracer.Start(t.Context(), order, "x", trace.SpanKindClient)
	var out bytes.Buffer
	log := slog.New(tracing.LogHandler(slog.NewJSONHandler(&out, nil))).With("a", 1)
	log.InfoContext(ctx, "with")
	log.InfoContext(t.Context(), "without")
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	for i, want := range []map[string]any{
		{"msg": "with", "a": 1.0, "trace_id": order.String(), "span_id": span.SpanContext().SpanID().String()},
		{"msg": "without", "a": 1.0},
	} {
		var got map[string]any
		if err := json.Unmarshal(lines[i], &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "time")
		delete(got, "level")
		if !reflect.DeepEqual(got, want) {
			t.Errorf("line %d is %v, want %v", i, got, want)
		}
	}
}

// refund is a request to a provider, whose answer is always the same.
var (
	refund = func() *http.Request {
		r, _ := http.NewRequest(http.MethodPost, "https://bank.test/v1/refunds", nil)
		return r
	}()
	bank = func() http.RoundTripper {
		same := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
		return tracing.Outgoing(answers(func(*http.Request) (*http.Response, error) { return same, nil }), operations)
	}()
)

// everyCall is what a checkout's path calls.
func everyCall(ctx context.Context, tracer *tracing.Tracer) {
	ctx, request := tracer.Request(ctx, tracing.Incoming{})
	ctx = tracing.Begin(ctx, unsampled)
	ctx = tracing.Join(ctx, unsampled)
	ctx, span := tracing.Start(ctx, "name", trace.SpanKindClient)
	tracing.End(span, nil)
	_, span = tracer.Start(ctx, unsampled, "name", trace.SpanKindClient)
	tracing.End(span, nil)
	_, span = tracing.Batch(ctx, "name", trace.SpanKindClient, nil)
	span.End()
	_, _ = bank.RoundTrip(refund)
	request.End(200)
}

func TestOffAllocatesNothing(t *testing.T) {
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { everyCall(ctx, nil) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkCheckoutsCalls(b *testing.B) {
	for name, sampler := range map[string]sdktrace.Sampler{"off": nil, "not sampled": sdktrace.NeverSample(), "1 %": sdktrace.TraceIDRatioBased(0.01)} {
		b.Run(name, func(b *testing.B) {
			var tracer *tracing.Tracer
			if sampler != nil {
				tracer = tracing.New(sampler)
			}
			b.ReportAllocs()
			for b.Loop() {
				everyCall(context.Background(), tracer)
			}
		})
	}
}

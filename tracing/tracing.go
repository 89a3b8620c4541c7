// Package tracing makes the spans that tell the story of a checkout in one trace.
//
// The id of a checkout's trace is its order's id, and the id of its workflow's span derives
// from that. So whoever knows the order can add to its trace: the request that starts it,
// the worker that goes on after a crash, the webhook of its payment, the mail about it.
// Nothing has to be stored for that, and whether a trace is sampled is the same everywhere.
//
// A nil *Tracer means that tracing is off. A span is started only where it is recorded; what
// is not sampled costs a look into the context.
package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
)

// scope names this instrumentation.
const scope = "boxoffice"

// A Tracer starts the spans that have no parent in this process. Start is for all others.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	sampler  sdktrace.Sampler
}

// New makes a Tracer whose traces the sampler chooses by their ids.
func New(sampler sdktrace.Sampler, options ...sdktrace.TracerProviderOption) *Tracer {
	options = append(slices.Clone(options), sdktrace.WithSampler(decided{sampler}), sdktrace.WithIDGenerator(ids{}))
	provider := sdktrace.NewTracerProvider(options...)
	return &Tracer{provider: provider, tracer: provider.Tracer(scope), sampler: sampler}
}

// Shutdown exports what has ended, until the context ends.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Start starts a child of the context's span if that one is recorded. If not, it returns
// the context as it is, and a span that does nothing.
func Start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, none
	}
	return parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind))
}

// none is never recorded.
var none = trace.SpanFromContext(context.Background())

// End ends a span with the outcome of what it is about.
func End(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		kind := errorType(err)
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, kind)
	}
	span.End()
}

// errorType is what kind of error it is. Its text stays in the log, because it may say what no trace should.
func errorType(err error) string {
	var (
		typed   interface{ Type() string }
		refused *domain.Error
	)
	switch {
	case domain.IsUnknown(err):
		return "unknown"
	case errors.As(err, &refused):
		return string(refused.Code)
	case errors.As(err, &typed) && typed.Type() != "":
		return typed.Type()
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	default:
		return fmt.Sprintf("%T", err)
	}
}

// Start starts a span in an order's trace, below its checkout. It is for what happens to an
// order outside of a request and of its workflow, such as a mail.
func (t *Tracer) Start(ctx context.Context, order domain.OrderID, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if !t.Samples(order) {
		return ctx, none
	}
	return t.StartBelow(ctx, CheckoutSpan(order), order, name, kind)
}

// StartBelow is Start with another parent.
func (t *Tracer) StartBelow(ctx context.Context, parent trace.SpanID, order domain.OrderID, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if !t.Samples(order) {
		return ctx, none
	}
	return t.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, contextOf(order, parent)), name, trace.WithSpanKind(kind))
}

// Samples reports whether an order's trace is recorded. Every process that has the same
// settings says the same.
func (t *Tracer) Samples(order domain.OrderID) bool {
	return t != nil && !order.IsZero() && t.samples(trace.TraceID(order))
}

func (t *Tracer) samples(id trace.TraceID) bool {
	asked := sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: id}
	return t.sampler.ShouldSample(asked).Decision == sdktrace.RecordAndSample
}

// CheckoutSpan is the id of the span of an order's checkout.
func CheckoutSpan(order domain.OrderID) trace.SpanID { return SpanOf("checkout/" + order.String()) }

// SpanOf is the id of the span of something that has a name.
func SpanOf(name string) (id trace.SpanID) {
	sum := sha256.Sum256([]byte(name))
	copy(id[:], sum[:])
	return id
}

func contextOf(order domain.OrderID, span trace.SpanID) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID(order), SpanID: span, TraceFlags: trace.FlagsSampled, Remote: true})
}

// A Told is a span that is recorded as a whole, after the fact.
type Told struct {
	Order   domain.OrderID
	ID      trace.SpanID // zero: any
	Parent  trace.SpanID
	Name    string
	Kind    trace.SpanKind
	Options []trace.SpanStartOption
}

// Tell starts a span of an order's trace with an id of its own, so that it is the same span
// whoever records it. Who calls it ends it.
func (t *Tracer) Tell(told Told) trace.Span {
	if !t.Samples(told.Order) {
		return none
	}
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), contextOf(told.Order, told.Parent))
	ctx = context.WithValue(ctx, wantedKey{}, &wanted{span: told.ID})
	_, span := t.tracer.Start(ctx, told.Name, append(told.Options, trace.WithSpanKind(told.Kind))...)
	return span
}

// Batch starts the span of a call that does the work of several units at once: a trace of its
// own that links to the recorded units, and they link back. Without recorded units, it starts
// none. nil units are left out.
func Batch(ctx context.Context, name string, kind trace.SpanKind, units []trace.Span, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	if len(units) == 0 {
		return ctx, none
	}
	links := make([]trace.Link, len(units))
	for i, unit := range units {
		links[i].SpanContext = unit.SpanContext()
	}
	sampled := context.WithValue(ctx, sampledKey{}, true)
	_, span := units[0].TracerProvider().Tracer(scope).Start(sampled, name,
		trace.WithNewRoot(), trace.WithSpanKind(kind), trace.WithLinks(links...), trace.WithAttributes(attributes...))
	link := trace.Link{SpanContext: span.SpanContext()}
	for _, unit := range units {
		unit.AddLink(link)
	}
	return trace.ContextWithSpan(ctx, span), span
}

type (
	wantedKey  struct{}
	sampledKey struct{}
)

// wanted are the ids of the next span; what is zero is random. It must not reach the span's children.
type wanted struct {
	trace trace.TraceID
	span  trace.SpanID
}

// ids gives spans the ids that were wanted for them.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id := newTraceID()
	if w, _ := ctx.Value(wantedKey{}).(*wanted); w != nil && w.trace.IsValid() {
		id = w.trace
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) (id trace.SpanID) {
	if w, _ := ctx.Value(wantedKey{}).(*wanted); w != nil && w.span.IsValid() {
		return w.span
	}
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

// decided is a sampler that keeps a decision which was taken before.
type decided struct{ sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (s decided) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	if p.ParentContext.Value(sampledKey{}) != nil || parent.IsValid() && parent.IsSampled() {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample, Tracestate: parent.TraceState()}
	}
	return s.Sampler.ShouldSample(p)
}

package tracing

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
)

// Incoming is what a span says about a request. A path may have tokens, so it is the route
// that counts.
type Incoming struct {
	ID     string // as logs have it
	Method string
	Route  string // empty: none
	Scheme string
	Header http.Header
}

// A Request is a request under way. Its span starts once it is known which order it is about,
// and then begins when the request did. A request that is about no order is a trace of its own.
type Request struct {
	Incoming
	tracer *Tracer
	began  time.Time

	mu    sync.Mutex
	span  trace.Span // nil: not started
	ended bool
}

type requestKey struct{}

// Request notes a request in its context. Both are as they were, and nil, if tracing is off.
func (t *Tracer) Request(ctx context.Context, in Incoming) (context.Context, *Request) {
	if t == nil {
		return ctx, nil
	}
	r := &Request{Incoming: in, tracer: t, began: time.Now()}
	return context.WithValue(ctx, requestKey{}, r), r
}

// Begin puts the request into the trace of the order that it starts: it is where the trace begins.
func Begin(ctx context.Context, order domain.OrderID) context.Context { return join(ctx, order, true) }

// Join puts the request into the trace of an order that exists, below its checkout. Only the
// first order of a request counts. Without a request, it does nothing.
func Join(ctx context.Context, order domain.OrderID) context.Context { return join(ctx, order, false) }

func join(ctx context.Context, order domain.OrderID, begins bool) context.Context {
	r, _ := ctx.Value(requestKey{}).(*Request)
	if r == nil || !r.tracer.Samples(order) {
		return ctx
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
		return ctx
	case r.span == nil && begins:
		r.start(context.Background(), trace.TraceID(order))
	case r.span == nil:
		r.start(trace.ContextWithRemoteSpanContext(context.Background(), contextOf(order, CheckoutSpan(order))), trace.TraceID(order))
	}
	return trace.ContextWithSpan(ctx, r.span)
}

// start starts the span. A caller's own trace is linked and not continued: the order decides
// which trace it is, and no stranger decides what is sampled.
func (r *Request) start(parent context.Context, id trace.TraceID) {
	options := []trace.SpanStartOption{trace.WithTimestamp(r.began), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(r.attributes()...)}
	if caller := CallerOf(r.Header); caller.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: caller}))
	}
	name := r.Method
	if r.Route != "" {
		name += " " + r.Route
	}
	_, r.span = r.tracer.tracer.Start(context.WithValue(parent, wantedKey{}, &wanted{trace: id}), name, options...)
}

func (r *Request) attributes() []attribute.KeyValue {
	all := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(r.Method), semconv.URLScheme(r.Scheme), attribute.String("boxoffice.request.id", r.ID),
	}
	if r.Route != "" {
		all = append(all, semconv.HTTPRoute(r.Route))
	}
	return all
}

// End ends the request's span with the status of its answer.
func (r *Request) End(status int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended = true; r.span == nil {
		id := newTraceID()
		if !r.tracer.samples(id) {
			return
		}
		r.start(context.Background(), id)
	}
	EndHTTP(r.span, status, status < http.StatusInternalServerError)
}

// EndHTTP ends the span of a request with the status of its answer.
func EndHTTP(span trace.Span, status int, ok bool) {
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if !ok {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

var w3c propagation.TraceContext

// CallerOf reads W3C's traceparent and tracestate. It is not valid if there is none.
func CallerOf(header http.Header) trace.SpanContext {
	if len(header["Traceparent"]) != 1 {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(w3c.Extract(context.Background(), propagation.HeaderCarrier(header)))
}

// TraceParent is W3C's traceparent of what follows from an order's checkout, for a message that is
// sent outside of a span. Empty: its trace is not recorded.
func (t *Tracer) TraceParent(order domain.OrderID) string {
	if !t.Samples(order) {
		return ""
	}
	carrier := propagation.MapCarrier{}
	w3c.Inject(trace.ContextWithRemoteSpanContext(context.Background(), contextOf(order, CheckoutSpan(order))), carrier)
	return carrier[HeaderTraceParent]
}

// HeaderTraceParent is W3C's name.
const HeaderTraceParent = "traceparent"

// Inject writes the context's span as W3C's traceparent, if it is recorded.
func Inject(ctx context.Context, header http.Header) {
	if trace.SpanFromContext(ctx).IsRecording() {
		w3c.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

package tracingtest

import (
	"context"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"boxoffice/tracing"
)

// A Recorder keeps the ended spans of a Tracer.
type Recorder struct {
	mu    sync.Mutex
	spans Spans
}

// NewRecorder makes a Tracer with a sampler, and its Recorder.
func NewRecorder(sampler sdktrace.Sampler) (*tracing.Tracer, *Recorder) {
	r := &Recorder{}
	return tracing.New(sampler, sdktrace.WithSpanProcessor(r)), r
}

// Spans are all spans that have ended.
func (r *Recorder) Spans() Spans {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(Spans(nil), r.spans...)
}

// OnStart implements sdktrace.SpanProcessor.
func (*Recorder) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (r *Recorder) OnEnd(span sdktrace.ReadOnlySpan) {
	s := Span{
		Trace: span.SpanContext().TraceID().String(), ID: span.SpanContext().SpanID().String(), Name: span.Name(),
		Kind:   strings.ToUpper(span.SpanKind().String()),
		Failed: span.Status().Code == codes.Error, Attributes: make(map[string]string),
	}
	if span.Parent().SpanID().IsValid() {
		s.Parent = span.Parent().SpanID().String()
	}
	for _, link := range span.Links() {
		s.Links = append(s.Links, Link{link.SpanContext.TraceID().String(), link.SpanContext.SpanID().String()})
	}
	for _, pair := range span.Attributes() {
		s.Attributes[string(pair.Key)] = pair.Value.String()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, s)
}

// Shutdown implements sdktrace.SpanProcessor.
func (*Recorder) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (*Recorder) ForceFlush(context.Context) error { return nil }

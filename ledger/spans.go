package ledger

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/tracing"
)

// spanSent marks when a unit left the queue.
const spanSent = "sent"

func spanAttributes(operation string, events int) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.DBSystemNameKey.String("tigerbeetle"), semconv.DBOperationName(operation), semconv.DBOperationBatchSize(events),
	}
}

// startUnit starts the span of one caller's unit, from the queue to the answer. nil: the caller has none.
func (l *lane[E, R]) startUnit(ctx context.Context, events int) trace.Span {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return nil
	}
	_, span := tracing.Start(ctx, string(l.op), trace.SpanKindClient)
	span.SetAttributes(spanAttributes(string(l.op), events)...)
	return span
}

// startBatch starts the span of a request, if one of its units has one.
func (l *lane[E, R]) startBatch(b batch[E, R]) trace.Span {
	var units []trace.Span
	for _, u := range b.units {
		if u.span != nil {
			u.span.AddEvent(spanSent)
			units = append(units, u.span)
		}
	}
	if len(units) == 0 {
		return trace.SpanFromContext(context.Background())
	}
	operation := "BATCH " + string(l.op)
	attributes := append(spanAttributes(operation, len(b.events)), attribute.Int("boxoffice.ledger.units", len(b.units)))
	_, span := tracing.Batch(context.Background(), operation, trace.SpanKindClient, units, attributes...)
	return span
}

package app

import (
	"context"

	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/tracing"
)

// traced makes a reader's call a span in the trace of each order that it is about.
func traced(tracer *tracing.Tracer, reader notify.Reader) notify.Reader {
	if tracer == nil {
		return reader
	}
	handle := reader.Handle
	reader.Handle = func(ctx context.Context, events []domain.Event) error {
		var all []trace.Span
		for i := range events {
			if span := eventSpan(ctx, tracer, reader.Name, &events[i]); span.IsRecording() {
				all = append(all, span)
			}
		}
		err := handle(ctx, events)
		for _, span := range all {
			tracing.End(span, err)
		}
		return err
	}
	return reader
}

func eventSpan(ctx context.Context, tracer *tracing.Tracer, reader string, event *domain.Event) trace.Span {
	_, span := tracer.Start(ctx, event.Order, "process "+reader, trace.SpanKindConsumer)
	if span.IsRecording() {
		span.SetAttributes(
			semconv.MessagingSystemKey.String("boxoffice"), semconv.MessagingOperationName("process"), semconv.MessagingOperationTypeProcess,
			semconv.MessagingDestinationName("events"), semconv.MessagingConsumerGroupName(reader),
			semconv.MessagingMessageID(event.ID.String()), eventTypeKey.String(string(event.Type)),
		)
	}
	return span
}

// eventTypeKey is the attribute of CloudEvents' conventions.
const eventTypeKey = semconv.CloudEventsEventTypeKey

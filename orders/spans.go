package orders

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/tracing"
)

// spans makes a span of each statement whose caller has one, and of its wait for a connection. A statement's text has no
// values: they are its parameters.
type spans struct{}

var (
	_ pgx.QueryTracer       = spans{}
	_ pgxpool.AcquireTracer = spans{}
)

// TraceQueryStart implements pgx.QueryTracer.
func (spans) TraceQueryStart(ctx context.Context, conn *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	operation := operationOf(query.SQL)
	ctx, span := tracing.Start(ctx, operation, trace.SpanKindClient)
	config := conn.Config()
	span.SetAttributes(
		semconv.DBSystemNamePostgreSQL, semconv.DBOperationName(operation), semconv.DBQueryText(query.SQL), semconv.DBNamespace(config.Database),
		semconv.ServerAddress(config.Host), semconv.ServerPort(int(config.Port)),
	)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (spans) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryEndData) {
	endSpan(ctx, query.Err)
}

// TraceAcquireStart implements pgxpool.AcquireTracer.
func (spans) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	ctx, _ = tracing.Start(ctx, "acquire connection", trace.SpanKindInternal)
	return ctx
}

// TraceAcquireEnd implements pgxpool.AcquireTracer.
func (spans) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, acquired pgxpool.TraceAcquireEndData) {
	endSpan(ctx, acquired.Err)
}

// endSpan ends the span that the start put into the context. If there is none, the context has none that is recorded.
func endSpan(ctx context.Context, err error) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		tracing.End(span, err)
	}
}

func operationOf(sql string) string {
	for word := range strings.FieldsSeq(sql) {
		return strings.ToUpper(word)
	}
	return ""
}

// startRecord starts the span of recording an order, from the queue to the answer.
func startRecord(ctx context.Context) (context.Context, trace.Span) {
	ctx, span := tracing.Start(ctx, recordName, trace.SpanKindClient)
	if span.IsRecording() {
		span.SetAttributes(semconv.DBSystemNamePostgreSQL, semconv.DBOperationName("INSERT"), semconv.DBCollectionName("orders"))
	}
	return ctx, span
}

// recordName is the span of an order that is recorded.
const recordName = "INSERT orders"

// recordBatchName is the span of a transaction that records several orders.
const recordBatchName = "BATCH INSERT orders"

// startBatch starts the span of the transaction, if one of its orders has one.
func startBatch(ctx context.Context, batch []*recording) (context.Context, trace.Span) {
	var units []trace.Span
	for _, r := range batch {
		if r.span != nil {
			units = append(units, r.span)
		}
	}
	return tracing.Batch(ctx, recordBatchName, trace.SpanKindClient, units,
		semconv.DBSystemNamePostgreSQL, semconv.DBOperationName("BATCH INSERT"), semconv.DBCollectionName("orders"), semconv.DBOperationBatchSize(len(batch)))
}

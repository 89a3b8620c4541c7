package orders_test

import (
	"fmt"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/tracing/tracingtest"
)

// An order that is recorded is a span of its caller's trace. The transaction, which may have
// other orders, is a trace of its own. They link to each other, and no span has a value.
func TestARecordAndItsTransactionLinkToEachOther(t *testing.T) {
	b := setup(t)
	tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	sold := b.sold(t, "spans")
	b.record(t, b.sold(t, "without"))
	ctx, caller := tracer.Start(t.Context(), sold.Order.ID, "caller", trace.SpanKindInternal)
	_, err := b.store.Record(ctx, sold, func(n int) string { return fmt.Sprint("code", n) })
	caller.End()
	if err != nil {
		t.Fatal(err)
	}

	spans := recorder.Spans()
	units, batches := spans.Named("INSERT orders"), spans.Named("BATCH INSERT orders")
	if len(units) != 1 || len(batches) != 1 {
		t.Fatalf("%d orders and %d transactions have spans, want one of each:\n%s", len(units), len(batches), spans)
	}
	unit, batch := units[0], batches[0]
	if spans.Path(&unit) != "INSERT orders < caller" || len(unit.Links) != 1 || unit.Links[0] != (tracingtest.Link{Trace: batch.Trace, Span: batch.ID}) {
		t.Errorf("the order is %s with the links %v, want one to the transaction %s", spans.Path(&unit), unit.Links, batch.ID)
	}
	if batch.Trace == unit.Trace || len(batch.Links) != 1 || batch.Links[0] != (tracingtest.Link{Trace: unit.Trace, Span: unit.ID}) {
		t.Errorf("the transaction has the links %v, want one to the order %s", batch.Links, unit.ID)
	}
	statements := spans.Named("WITH")
	if len(statements) != 1 || statements[0].Parent != batch.ID || !strings.Contains(statements[0].Attributes["db.query.text"], "new_orders") {
		t.Errorf("the statements are %+v, want one below the transaction", statements)
	}
	for _, value := range []string{sold.Order.Email, sold.Order.Buyer.String(), "code1"} {
		if strings.Contains(fmt.Sprint(spans), value) {
			t.Errorf("a span has %q", value)
		}
	}
}

// A read is a span, and so is its wait for a connection. One that fails says so.
func TestAReadIsASpan(t *testing.T) {
	b := setup(t)
	tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	sold := b.sold(t, "read")
	b.record(t, sold)
	ctx, caller := tracer.Start(t.Context(), sold.Order.ID, "caller", trace.SpanKindInternal)
	if _, err := b.store.Order(ctx, sold.Order.ID); err != nil {
		t.Fatal(err)
	}
	caller.End()
	spans := recorder.Spans()
	if len(spans.Named("acquire connection")) == 0 || len(spans.Named("SELECT")) == 0 {
		t.Fatalf("got %s, want the wait and the statement", spans)
	}
	if read := spans.Named("SELECT")[0]; read.Attributes["db.system.name"] != "postgresql" || spans.Path(&read) != "SELECT < caller" {
		t.Errorf("got %+v", read)
	}
}

package ledger_test

import (
	"errors"
	"testing"
	"testing/synctest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/tracing/tracingtest"
)

// Two units in one request: each is a span of its caller's trace, the request is a span of a
// trace of its own, and they link to each other. A caller without a span is in the request,
// and in no link.
func TestARequestAndItsUnitsLinkToEachOther(t *testing.T) {
	tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		first := submit(t.Context(), b, 0, 1)
		synctest.Wait()
		rest := []submitted{submit(t.Context(), b, 10, 2)}
		for caller := range byte(2) {
			ctx, span := tracer.Start(t.Context(), domain.OrderID{1 + caller, 1}, "caller", trace.SpanKindInternal)
			defer span.End()
			rest = append(rest, submit(ctx, b, 20+10*int(caller), 2))
		}
		synctest.Wait()
		f.unblock()
		first.want(t, answered)
		for _, s := range rest {
			s.want(t, answered)
		}
	})

	spans := recorder.Spans()
	batches := spans.Named("BATCH create_transfers")
	if len(batches) != 1 {
		t.Fatalf("%d requests have spans, want the one with callers that do:\n%s", len(batches), spans)
	}
	batch := batches[0]
	for key, want := range map[string]string{"db.operation.batch.size": "6", "boxoffice.ledger.units": "3", "db.system.name": "tigerbeetle"} {
		if got := batch.Attributes[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	units := spans.Named("create_transfers")
	if len(units) != 2 || len(batch.Links) != 2 {
		t.Fatalf("%d units and %d links, want 2", len(units), len(batch.Links))
	}
	for _, unit := range units {
		if spans.Path(&unit) != "create_transfers < caller" {
			t.Errorf("the unit is %q", spans.Path(&unit))
		}
		if len(unit.Links) != 1 || unit.Links[0] != (tracingtest.Link{Trace: batch.Trace, Span: batch.ID}) {
			t.Errorf("the unit has the links %v, want the request %s", unit.Links, batch.ID)
		}
		if batch.Links[0].Span != unit.ID && batch.Links[1].Span != unit.ID {
			t.Errorf("the request has the links %v, none to %s", batch.Links, unit.ID)
		}
	}
}

func TestAFailedRequestIsAFailedSpan(t *testing.T) {
	tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.fail(errors.New("no idea"))
		ctx, span := tracer.Start(t.Context(), domain.OrderID{1}, "caller", trace.SpanKindInternal)
		defer span.End()
		submit(ctx, b, 0, 1).want(t, unknown)
	})
	for _, name := range []string{"create_transfers", "BATCH create_transfers"} {
		if found := recorder.Spans().Named(name); len(found) != 1 || !found[0].Failed {
			t.Errorf("%s: %+v, want one that failed", name, found)
		}
	}
}

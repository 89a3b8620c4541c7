package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"boxoffice/tracing/temporaltrace"
	"boxoffice/tracing/tracingtest"
)

// One checkout is one trace, from the request to the mail, whatever happens to the service
// meanwhile: every span has its parent, and the requests to ledger and database that serve
// several orders link to those of the orders.
func TestTraces(t *testing.T) {
	dir := dataDir(t)
	collector := tracingtest.NewCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	s := &traced{startStack(t, dir, embeddedLedger), collector}
	t.Run("paid", s.testPaid)
	t.Run("paid after a kill -9", s.testPaidAfterKill)
	t.Run("expired", s.testExpired)
	t.Run("refunded late", s.testRefundedLate)
	t.Run("no buyer in a trace", s.testNoBuyer)
}

type traced struct {
	*stack
	*tracingtest.Collector
}

// The spans of a checkout, each behind its parents.
const (
	spanRequest = "POST /v1/sales/:sale/checkouts"
	spanRun     = "RunWorkflow:Checkout < StartWorkflow:Checkout < " + spanRequest
	spanHold    = "create_transfers < hold < RunActivity:Hold < " + spanRun
	spanWebhook = "POST /v1/webhooks/mockpay < " + spanRun
	spanUpdate  = "UpdateWorkflow:payment < " + spanWebhook
	spanSettle  = "RunActivity:Settle < " + spanRun
	spanRecord  = "INSERT orders < " + spanSettle
	spanMail    = "send mail < " + spanRun
)

var spansOfPaid = []string{
	spanRequest, spanRun, "StartWorkflow:Checkout < " + spanRequest, spanHold, spanWebhook,
	"create_transfers < post < " + spanSettle, "create_transfers < perk < " + spanSettle, spanRecord,
	"process mail < " + spanRun, "process webhooks < " + spanRun, "process figures < " + spanRun, spanMail,
}

// await waits until an order's trace has these spans and is one tree.
func (s *traced) await(t *testing.T, o order, want ...string) (spans tracingtest.Spans) {
	t.Helper()
	var lacks []string
	t.Cleanup(func() {
		if len(lacks) > 0 {
			t.Logf("the trace of %s:\n%s\nit has\n%s", o.Order, strings.Join(lacks, "\n"), spans)
		}
	})
	eventually(t, "the trace of "+o.Order+" is complete", func() bool {
		spans = s.Spans().Of(o.Order)
		lacks = faultsOf(spans)
		paths := spans.Paths()
		for _, path := range want {
			if !slices.Contains(paths, path) {
				lacks = append(lacks, path+" is missing")
			}
		}
		return len(lacks) == 0
	})
	return spans
}

// faultsOf says what a trace has that no tree of one checkout has.
func faultsOf(spans tracingtest.Spans) (faults []string) {
	for i := range spans {
		switch span := &spans[i]; {
		case span.Parent != "" && spans.ByID(span.Parent) == nil:
			faults = append(faults, spans.Path(span)+": its parent is missing")
		case span.Parent == "" && span.Name != spanRequest:
			faults = append(faults, span.Name+" has no parent")
		case span.Name == "UpdateWorkflow:payment" && !span.Failed && !slices.Contains(spans.Paths(), "HandleUpdate:payment < "+spanUpdate):
			faults = append(faults, "an update that was answered was handled by nobody")
		}
	}
	for _, name := range []string{spanRequest, "StartWorkflow:Checkout", "RunWorkflow:Checkout"} {
		if n := len(spans.Named(name)); n != 1 {
			faults = append(faults, fmt.Sprintf("%d spans %s, want 1", n, name))
		}
	}
	return faults
}

// requireBatch fails unless the span and the request that it was part of link to each other.
func (s *traced) requireBatch(t *testing.T, spans tracingtest.Spans, path, name string) tracingtest.Span {
	t.Helper()
	i := slices.IndexFunc(spans, func(span tracingtest.Span) bool { return spans.Path(&span) == path })
	if i < 0 {
		t.Fatalf("no span %s", path)
	}
	unit := spans[i]
	var batch tracingtest.Span
	eventually(t, path+" and a "+name+" link to each other", func() bool {
		for _, found := range s.Spans().Named(name) {
			if slices.Contains(found.Links, tracingtest.Link{Trace: unit.Trace, Span: unit.ID}) &&
				slices.Contains(unit.Links, tracingtest.Link{Trace: found.Trace, Span: found.ID}) {
				batch = found
				return true
			}
		}
		return false
	})
	if batch.Trace == unit.Trace || batch.Parent != "" {
		t.Errorf("%s is in the trace of one of its units", name)
	}
	return batch
}

func (s *traced) testPaid(t *testing.T) {
	sale := s.sale(t, 10, longHold, 4)
	o := s.hold(t, sale, items{"A": 1})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")
	spans := s.await(t, o, spansOfPaid...)
	s.requireBatch(t, spans, spanHold, "BATCH create_transfers")
	batch := s.requireBatch(t, spans, spanRecord, "BATCH INSERT orders")
	eventually(t, "the transaction's statement is a span", func() bool {
		all := s.Spans().Of(batch.Trace)
		return slices.ContainsFunc(all, func(span tracingtest.Span) bool {
			return span.Parent == batch.ID && span.Attributes["db.query.text"] != ""
		})
	})

	started := s.history(t, "checkout/"+o.Order).GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	if fields := started.GetHeader().GetFields(); fields[temporaltrace.HeaderKey] == nil {
		t.Errorf("the start has the headers %v, want %s", fields, temporaltrace.HeaderKey)
	}
	for _, span := range s.Spans() {
		if span.Attributes["temporalWorkflowID"] == "checkout/"+o.Order && span.Trace != o.Order {
			t.Errorf("%s is in another trace, %s", span.Name, span.Trace)
		}
	}
}

// The service dies between the hold and the payment. Another process goes on with the trace.
func (s *traced) testPaidAfterKill(t *testing.T) {
	sale := s.sale(t, 10, longHold, 4)
	o := s.hold(t, sale, items{"A": 1})
	var before tracingtest.Spans
	eventually(t, "the spans of the hold are exported", func() bool { // a killed process takes with it what it has not sent
		before = s.Spans().Of(o.Order)
		return len(before.Named(spanRequest)) == 1 && len(before.Named("StartWorkflow:Checkout")) == 1 && len(before.Named("RunActivity:Hold")) == 1
	})
	victim := s.pid("boxoffice")
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is started again", func() bool {
		pid := s.pid("boxoffice")
		return pid != 0 && pid != victim
	})
	s.awaitNode(t, s.env["BOXOFFICE_URL"])
	s.pay(t, o, "succeeded")
	spans := s.await(t, o, spansOfPaid...)
	run := spans.Named("RunWorkflow:Checkout")[0]
	if first := before.Named(spanRequest)[0]; run.Instance == first.Instance || run.Instance == "" {
		t.Errorf("the request and the workflow's end are of the processes %q and %q, want two", first.Instance, run.Instance)
	}
}

func (s *traced) testExpired(t *testing.T) {
	o := s.expired(t, s.sale(t, 1, shortHold, 5))
	s.await(t, o, spanRequest, spanRun, spanHold, "mockpay expire session < RunActivity:ExpireSession < "+spanRun, "create_transfers < void < RunActivity:Release < "+spanRun)
}

func (s *traced) testRefundedLate(t *testing.T) {
	sale := s.sale(t, 1, shortHold, 5)
	o := s.expired(t, sale)
	s.sellOut(t, sale)
	s.capture(t, o, nil)
	s.awaitStatus(t, o, "refunded")
	s.awaitReturned(t, o.PaymentSession)
	const late = "RunWorkflow:Late < StartWorkflow:Late < " + spanWebhook
	s.await(t, o, spanRequest, spanRun, late, "mockpay refund < RunActivity:RefundPayment < "+late, "RunActivity:RecordRefundDone < "+late)
}

func (s *traced) testNoBuyer(t *testing.T) {
	for _, span := range s.Spans() {
		if text := fmt.Sprint(span); strings.Contains(text, "@example.com") {
			t.Errorf("a span says who the buyer is: %s", text)
		}
	}
}

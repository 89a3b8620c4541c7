package app

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"

	"boxoffice/activities"
	"boxoffice/admission"
	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/tracing"
	"boxoffice/tracing/tracingtest"
)

var errStage = errors.New("no")

type failingLedger struct{ activities.Ledger }

func (failingLedger) Hold(context.Context, *domain.Order) (domain.Hold, error) {
	return domain.Hold{}, errStage
}

type failingOrders struct{ activities.Orders }

func (failingOrders) Record(context.Context, domain.Sold) (domain.SoldOrder, error) {
	return domain.SoldOrder{}, errStage
}

type failingDesk struct{ admission.Desk }

func (failingDesk) Start(context.Context, domain.Order) (domain.HoldAnswer, error) {
	return domain.HoldAnswer{}, errStage
}

type failingTemporal struct{ client.Client }

func (failingTemporal) UpdateWorkflow(context.Context, client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return nil, errStage
}

// A failed stage counts too, and its error passes unchanged.
func TestStagesTimeWhatFails(t *testing.T) {
	ctx := context.Background()
	for stage, run := range map[string]func(stages) error{
		stageHold: func(s stages) error {
			_, err := timedLedger{failingLedger{}, s}.Hold(ctx, &domain.Order{})
			return err
		},
		stageRecord: func(s stages) error {
			_, err := timedOrders{failingOrders{}, s}.Record(ctx, domain.Sold{})
			return err
		},
		stageDesk: func(s stages) error {
			_, err := timedDesk{failingDesk{}, s}.Start(ctx, domain.Order{})
			return err
		},
		stageUpdate: func(s stages) error {
			_, err := timedTemporal{Client: failingTemporal{}, stages: s}.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{})
			return err
		},
	} {
		t.Run(stage, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			if err := run(newStages(registry)); !errors.Is(err, errStage) {
				t.Errorf("the error is %v", err)
			}
			families, err := registry.Gather()
			if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
				t.Fatalf("gathered %v, %v; want one stage", families, err)
			}
			counted := families[0].GetMetric()[0]
			if name := counted.GetLabel()[0].GetValue(); name != stage || counted.GetHistogram().GetSampleCount() != 1 {
				t.Errorf("counted %v, want stage %s once", counted, stage)
			}
		})
	}
}

type tracedDesk struct{ admission.Desk }

func (tracedDesk) Start(ctx context.Context, _ domain.Order) (domain.HoldAnswer, error) {
	_, span := tracing.Start(ctx, "start", trace.SpanKindInternal)
	span.End()
	return domain.HoldAnswer{}, nil
}

func (tracedDesk) Pay(ctx context.Context, _ domain.PaymentEvent) (domain.PayResult, error) {
	_, span := tracing.Start(ctx, "pay", trace.SpanKindInternal)
	span.End()
	return domain.PayResult{}, nil
}

// The request that starts a checkout begins its trace, and the webhook of its payment joins it.
func TestTheDeskPutsRequestsIntoTheOrdersTrace(t *testing.T) {
	order := domain.OrderID{1, 2, 3}
	tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	desk := timedDesk{tracedDesk{}, newStages(prometheus.NewRegistry())}
	for method, call := range map[string]func(context.Context) error{
		"POST": func(ctx context.Context) error {
			_, err := desk.Start(ctx, domain.Order{ID: order})
			return err
		},
		"WEBHOOK": func(ctx context.Context) error {
			_, err := desk.Pay(ctx, domain.PaymentEvent{Order: order})
			return err
		},
	} {
		ctx, request := tracer.Request(t.Context(), tracing.Incoming{Method: method})
		if err := call(ctx); err != nil {
			t.Fatal(err)
		}
		request.End(200)
	}
	spans := recorder.Spans().Of(order.String())
	if got, want := spans.Paths(), []string{"POST", "WEBHOOK", "pay < WEBHOOK", "start < POST"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	if got := spans.Named("POST")[0].Parent; got != "" {
		t.Errorf("the request that begins the trace has the parent %s", got)
	}
	if got := spans.Named("WEBHOOK")[0].Parent; got != tracing.CheckoutSpan(order).String() {
		t.Errorf("the webhook's parent is %q, want the checkout", got)
	}
}

// A reader's call is a span in the trace of each order, and a failure is one.
func TestAReadersCallIsASpanOfEachOrder(t *testing.T) {
	tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	events := []domain.Event{
		{ID: domain.EventID{1}, Type: domain.EventOrderPaid, Order: domain.OrderID{1}},
		{ID: domain.EventID{2}, Type: domain.EventOrderPaid, Order: domain.OrderID{2}},
		{ID: domain.EventID{3}, SaleID: "conference"},
	}
	reader := traced(tracer, notify.Reader{Name: "mail", Handle: func(context.Context, []domain.Event) error { return errStage }})
	if err := reader.Handle(t.Context(), events); !errors.Is(err, errStage) {
		t.Fatalf("the error is %v", err)
	}
	spans := recorder.Spans()
	if len(spans) != 2 {
		t.Fatalf("got %d spans, want one for each order:\n%s", len(spans), spans)
	}
	for i, span := range spans {
		if span.Name != "process mail" || span.Trace != events[i].Order.String() || !span.Failed || span.Attributes["messaging.message.id"] != events[i].ID.String() {
			t.Errorf("got %+v", span)
		}
	}
}

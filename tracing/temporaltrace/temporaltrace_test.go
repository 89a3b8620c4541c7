package temporaltrace_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/tracing"
	"boxoffice/tracing/temporaltrace"
	"boxoffice/tracing/tracingtest"
	"boxoffice/workflows"
	"boxoffice/workflows/replay"
)

var order = domain.OrderID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

var errBroken = errors.New("broken")

// story is a workflow with a local activity, an update, and a regular activity. The SDK's test environment gives updates no
// header, so nobody is known to ask.
func story(ctx workflow.Context, fails bool) error {
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Minute})
	if err := workflow.ExecuteLocalActivity(local, step, "local").Get(ctx, nil); err != nil {
		return err
	}
	asked := false
	err := workflow.SetUpdateHandler(ctx, "ask", func(ctx workflow.Context) (string, error) {
		asked = true
		return "answer", workflow.Sleep(ctx, time.Second)
	})
	if err != nil {
		return err
	}
	if err := workflow.Await(ctx, func() bool { return asked && workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	regular := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	if err := workflow.ExecuteActivity(regular, step, "regular").Get(ctx, nil); err != nil {
		return err
	}
	if fails {
		return errBroken
	}
	return nil
}

// step has a span below that of its activity.
func step(ctx context.Context, _ string) error {
	_, span := tracing.Start(ctx, "below", trace.SpanKindInternal)
	tracing.End(span, nil)
	return nil
}

func header(t *testing.T, span string) *commonpb.Header {
	t.Helper()
	payload, err := converter.GetDefaultDataConverter().ToPayload(map[string]string{"traceparent": "00-" + order.String() + "-" + span + "-01"})
	if err != nil {
		t.Fatal(err)
	}
	return &commonpb.Header{Fields: map[string]*commonpb.Payload{temporaltrace.HeaderKey: payload}}
}

type answers struct{}

func (answers) Accept()             {}
func (answers) Reject(error)        {}
func (answers) Complete(any, error) {}

func run(t *testing.T, tracer *tracing.Tracer, workflowID string, with *commonpb.Header, fails bool) {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	if with != nil {
		suite.SetHeader(with)
	}
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{temporaltrace.New(tracer)}})
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflowID})
	env.RegisterWorkflow(story)
	env.RegisterActivityWithOptions(step, activity.RegisterOptions{Name: "Step"})
	env.RegisterDelayedCallback(func() { env.UpdateWorkflow("ask", "u", answers{}) }, time.Second)
	env.ExecuteWorkflow(story, fails)
	if err := env.GetWorkflowError(); (err != nil) != fails {
		t.Fatalf("the workflow ended with %v", err)
	}
}

func TestAWorkflowAndItsActivitiesAreOneTree(t *testing.T) {
	const caller = "00000000000000aa"
	for name, test := range map[string]struct {
		id     string
		header *commonpb.Header
		fails  bool
		parent string // of the workflow's span
	}{
		"started by a request": {id: "checkout/" + order.String(), header: header(t, caller), parent: caller},
		"without a header":     {id: "checkout/" + order.String()},
		"failed":               {id: "checkout/" + order.String(), fails: true},
		"of late money":        {id: "late/" + order.String() + "/ps_1", parent: tracing.CheckoutSpan(order).String()},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
			run(t, tracer, test.id, test.header, test.fails)
			spans := recorder.Spans()
			const of = " < RunWorkflow:story"
			want := []string{"RunActivity:Step" + of, "RunActivity:Step" + of, "RunWorkflow:story", "below < RunActivity:Step" + of, "below < RunActivity:Step" + of}
			if got := spans.Paths(); !reflect.DeepEqual(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			if n := len(spans.Of(order.String())); n != len(want) {
				t.Errorf("%d spans are in the order's trace, want all %d", n, len(want))
			}
			workflow := spans.Named("RunWorkflow:story")[0]
			if workflow.Parent != test.parent || workflow.Failed != test.fails {
				t.Errorf("the workflow's span is %+v, want the parent %q, failed: %v", workflow, test.parent, test.fails)
			}
			locals := map[string]bool{}
			for _, span := range spans.Named("RunActivity:Step") {
				locals[span.Attributes["boxoffice.activity.local"]] = true
			}
			if len(locals) != 2 {
				t.Errorf("local: %v, want one that is and one that is not", locals)
			}
		})
	}
}

func TestWhatIsNotAboutAnOrderOrNotSampledHasNoSpans(t *testing.T) {
	for name, test := range map[string]struct {
		id      string
		sampler sdktrace.Sampler
	}{
		"a sale's cancellation": {"cancel-sale/conference", sdktrace.AlwaysSample()},
		"not an id of ours":     {"checkout/" + "zz", sdktrace.AlwaysSample()},
		"not sampled":           {"checkout/" + order.String(), sdktrace.NeverSample()},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, recorder := tracingtest.NewRecorder(test.sampler)
			run(t, tracer, test.id, nil, false)
			if spans := recorder.Spans(); len(spans) != 0 {
				t.Errorf("got %s, want no span", spans)
			}
		})
	}
}

// A replay does again what a history says, and tells none of it a second time.
func TestAReplayMakesNoSpans(t *testing.T) {
	files, err := filepath.Glob("../../workflows/testdata/histories/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d histories: %v", len(files), err)
	}
	tracer, recorder := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		Interceptors: []interceptor.WorkerInterceptor{temporaltrace.New(tracer)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range []any{workflows.Checkout, workflows.Late, workflows.Refund, workflows.CancelSale} {
		replayer.RegisterWorkflow(each)
	}
	for _, file := range files {
		history, err := replay.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		err = replayer.ReplayWorkflowHistoryWithOptions(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history,
			worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: "checkout/" + order.String(), RunID: "r"}})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
	if spans := recorder.Spans(); len(spans) != 0 {
		t.Errorf("got %s, want no span", spans)
	}
}

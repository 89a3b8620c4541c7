package variant_test

import (
	"context"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"boxoffice/activities"
	"boxoffice/codec"
	"boxoffice/domain"
	"boxoffice/lab/bench/variant"
	"boxoffice/worker"
	"boxoffice/workflows"
)

func TestFind(t *testing.T) {
	for name, want := range map[string]string{"": "lean", "lean": "lean", "ordinary": "ordinary", "signal": "signal"} {
		v, err := variant.Find(name)
		if err != nil || v.Name != want {
			t.Errorf("Find(%q) = %q, %v; want %q", name, v.Name, err, want)
		}
	}
	if _, err := variant.Find("fastest"); err == nil || !strings.Contains(err.Error(), "regular-activities") {
		t.Errorf("an unknown name: %v, want an error that lists the names", err)
	}
}

// slower names the steps that a variant takes back.
func slower(v variant.Variant) (steps []string) {
	value := reflect.ValueOf(v)
	for field, is := range value.Fields() {
		if is.Kind() == reflect.Bool && is.Bool() {
			steps = append(steps, field.Name)
		}
	}
	return steps
}

func TestEachVariantTakesOneStepBackAndTheOrdinaryWayAllThatAreUsual(t *testing.T) {
	lean, single, ordinary := variant.All[0], variant.All[1:len(variant.All)-1], variant.All[len(variant.All)-1]
	if steps := slower(lean); len(steps) != 0 {
		t.Errorf("%s takes back %v, want nothing", lean.Name, steps)
	}
	var all []string
	for _, v := range single {
		steps := slower(v)
		if len(steps) != 1 {
			t.Errorf("%s takes back %v, want one step", v.Name, steps)
		}
		if !v.NoCache && len(v.Settings()) == 0 {
			all = append(all, steps...)
		}
	}
	if steps := slower(ordinary); !slices.Equal(steps, all) {
		t.Errorf("%s takes back %v, want %v", ordinary.Name, steps, all)
	}
}

// fakeTemporal notes what reaches Temporal.
type fakeTemporal struct {
	client.Client
	eager   bool
	signals []string
	updates []string
}

func (f *fakeTemporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	f.eager = o.EnableEagerStart
	return nil, nil
}

func (f *fakeTemporal) SignalWorkflow(_ context.Context, id, _, name string, _ any) error {
	f.signals = append(f.signals, name+" "+id)
	return nil
}

func (f *fakeTemporal) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	f.updates = append(f.updates, o.UpdateName)
	return nil, nil
}

func (f *fakeTemporal) GetWorkflow(context.Context, string, string) client.WorkflowRun {
	return paidRun{}
}

type paidRun struct{ client.WorkflowRun }

func (paidRun) Get(_ context.Context, value any) error {
	value.(*domain.CheckoutState).Status = domain.OrderPaid
	return nil
}

func find(t *testing.T, name string) variant.Variant {
	t.Helper()
	v, err := variant.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPlainStart(t *testing.T) {
	for name, eager := range map[string]bool{"lean": true, "plain-start": false, "ordinary": false} {
		f := &fakeTemporal{}
		_, _ = find(t, name).Client(f).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{EnableEagerStart: true}, nil)
		if f.eager != eager {
			t.Errorf("%s: eager %t, want %t", name, f.eager, eager)
		}
	}
}

func TestASignalAnswersAsTheUpdateWould(t *testing.T) {
	f := &fakeTemporal{}
	c := find(t, "signal").Client(f)
	handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: "checkout/1", UpdateName: workflows.PaymentUpdate, Args: []any{domain.PaymentEvent{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer workflows.PaymentAnswer
	if err := handle.Get(t.Context(), &answer); err != nil || answer.Status != domain.OrderPaid {
		t.Errorf("answer %+v, %v; want paid", answer, err)
	}
	if len(f.updates) != 0 || len(f.signals) != 1 || f.signals[0] != "payment checkout/1" {
		t.Errorf("updates %v, signals %v; want the one signal", f.updates, f.signals)
	}
	_, _ = c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{UpdateName: workflows.CancelUpdate})
	if len(f.updates) != 1 {
		t.Error("a cancel must stay an update")
	}
}

func optionsOf(v variant.Variant) (o sdkworker.Options) {
	v.Worker(&o)
	return o
}

func step(context.Context, string) (string, error) { return "done", nil }

func TestRegularActivities(t *testing.T) {
	for name, wantLocal := range map[string]bool{"lean": true, "regular-activities": false, "ordinary": false} {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestWorkflowEnvironment()
		env.SetWorkerOptions(optionsOf(find(t, name)))
		env.RegisterActivity(step)
		local, regular := 0, 0
		count := func(of *int) { *of++ }
		env.SetOnLocalActivityStartedListener(func(*activity.Info, context.Context, []any) { count(&local) })
		env.SetOnActivityStartedListener(func(*activity.Info, context.Context, converter.EncodedValues) { count(&regular) })
		env.ExecuteWorkflow(func(ctx workflow.Context) (result string, err error) {
			ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Second})
			err = workflow.ExecuteLocalActivity(ctx, step, "hold").Get(ctx, &result)
			return result, err
		})
		var result string
		if err := env.GetWorkflowResult(&result); err != nil || result != "done" {
			t.Errorf("%s: %q, %v", name, result, err)
		}
		if (local == 1) != wantLocal || (regular == 1) == wantLocal {
			t.Errorf("%s: %d local and %d regular activities", name, local, regular)
		}
	}
}

// A frontend is as much of Temporal as a worker needs to poll. It notes what is
// asked for at a time, and how requests are encoded.
type frontend struct {
	workflowservice.UnimplementedWorkflowServiceServer
	polls   chan enumspb.TaskQueueKind // of workflow tasks, one each; never answered
	mu      sync.Mutex
	encoded map[string]bool
}

func (f *frontend) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{}, nil
}

func (f *frontend) DescribeNamespace(context.Context, *workflowservice.DescribeNamespaceRequest) (*workflowservice.DescribeNamespaceResponse, error) {
	return &workflowservice.DescribeNamespaceResponse{}, nil
}

func (f *frontend) PollWorkflowTaskQueue(ctx context.Context, r *workflowservice.PollWorkflowTaskQueueRequest) (*workflowservice.PollWorkflowTaskQueueResponse, error) {
	f.polls <- r.GetTaskQueue().GetKind()
	<-ctx.Done()
	return nil, ctx.Err()
}

func (f *frontend) PollActivityTaskQueue(ctx context.Context, _ *workflowservice.PollActivityTaskQueueRequest) (*workflowservice.PollActivityTaskQueueResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TagRPC, HandleRPC, TagConn and HandleConn implement stats.Handler.
func (f *frontend) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (f *frontend) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InHeader); ok {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.encoded[in.Compression] = true
	}
}

func (f *frontend) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (f *frontend) HandleConn(context.Context, stats.ConnStats) {}

func startFrontend(t *testing.T) (f *frontend, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f = &frontend{polls: make(chan enumspb.TaskQueueKind, 100), encoded: map[string]bool{}}
	server := grpc.NewServer(grpc.StatsHandler(f))
	workflowservice.RegisterWorkflowServiceServer(server, f)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return f, l.Addr().String()
}

// What reaches Temporal from the product's own worker and connection, with what
// a variant changes on them.
func TestConnectionAndWorker(t *testing.T) {
	payloads, err := codec.New([]codec.Key{{ID: "k", Secret: make([]byte, codec.KeyLen)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		gzip, cached bool
		pollers      int // that are known to be there at a time
	}{
		"lean":        {gzip: false, cached: true, pollers: 8},
		"gzip":        {gzip: true, cached: true, pollers: 8},
		"no-cache":    {gzip: false, cached: false, pollers: 8},
		"sdk-pollers": {gzip: false, cached: true, pollers: 2},
		"ordinary":    {gzip: true, cached: true, pollers: 2},
	} {
		t.Run(name, func(t *testing.T) {
			f, address := startFrontend(t)
			v, log := find(t, name), slog.New(slog.DiscardHandler)
			c, err := worker.Dial(t.Context(), address, "default", payloads, log, v.Connection)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			w := worker.New(c, &activities.Activities{}, func(err error) { t.Error(err) }, v.Worker)
			if err := w.Start(); err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			kinds := map[enumspb.TaskQueueKind]int{}
			for n := range want.pollers { // a smaller pool never gets that many
				select {
				case kind := <-f.polls:
					kinds[kind]++
				case <-time.After(10 * time.Second):
					t.Fatalf("only %d polls, want %d at a time", n, want.pollers)
				}
			}
			if cached := kinds[enumspb.TASK_QUEUE_KIND_STICKY] > 0; cached != want.cached {
				t.Errorf("polls %v: a queue for what is cached %t, want %t", kinds, cached, want.cached)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.encoded["gzip"] != want.gzip {
				t.Errorf("requests encoded as %v, gzip %t wanted", f.encoded, want.gzip)
			}
		})
	}
}

func TestSDKPollers(t *testing.T) {
	for name, want := range map[string]int{"lean": 8, "sdk-pollers": 0, "ordinary": 0} { // 0: the SDK's own number
		o := sdkworker.Options{MaxConcurrentWorkflowTaskPollers: 8, MaxConcurrentActivityTaskPollers: 8}
		find(t, name).Worker(&o)
		if o.MaxConcurrentWorkflowTaskPollers != want || o.MaxConcurrentActivityTaskPollers != want {
			t.Errorf("%s: %d and %d pollers, want %d", name, o.MaxConcurrentWorkflowTaskPollers, o.MaxConcurrentActivityTaskPollers, want)
		}
	}
}

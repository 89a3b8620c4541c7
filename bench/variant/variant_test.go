package variant_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"boxoffice/bench/variant"
	"boxoffice/domain"
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

func TestTheOrdinaryWayTakesEveryStepBack(t *testing.T) {
	var union variant.Variant
	for _, v := range variant.All[:len(variant.All)-1] {
		union.PlainStart = union.PlainStart || v.PlainStart
		union.RegularActivities = union.RegularActivities || v.RegularActivities
		union.PayBySignal = union.PayBySignal || v.PayBySignal
		union.OneUnitARequest = union.OneUnitARequest || v.OneUnitARequest
		union.OneOrderACommit = union.OneOrderACommit || v.OneOrderACommit
	}
	ordinary := variant.All[len(variant.All)-1]
	union.Name = ordinary.Name
	if ordinary != union || !ordinary.PlainStart || !ordinary.RegularActivities || !ordinary.PayBySignal {
		t.Errorf("ordinary is %+v, want all that the others take back: %+v", ordinary, union)
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

func step(context.Context, string) (string, error) { return "done", nil }

func TestRegularActivities(t *testing.T) {
	for name, wantLocal := range map[string]bool{"lean": true, "regular-activities": false, "ordinary": false} {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestWorkflowEnvironment()
		env.SetWorkerOptions(sdkworker.Options{Interceptors: find(t, name).Interceptors()})
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

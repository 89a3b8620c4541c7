package workflows_test

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// A scheduled step is an activity as a workflow asked for it.
type scheduled struct {
	activity string
	local    bool
	attempt  time.Duration // StartToCloseTimeout
	overall  time.Duration // ScheduleToCloseTimeout; 0: without end
	retry    temporal.RetryPolicy
	summary  string
}

// stepRecorder notes every activity that the workflows schedule. The test
// environment ends what retries without end after ten attempts; with the
// recorder it does not.
type stepRecorder struct {
	interceptor.WorkerInterceptorBase
	steps []scheduled // written by the environment's one workflow thread at a time
}

func (r *stepRecorder) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &stepInbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, recorder: r}
}

type stepInbound struct {
	interceptor.WorkflowInboundInterceptorBase
	recorder *stepRecorder
}

func (i *stepInbound) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&stepOutbound{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: outbound}, recorder: i.recorder})
}

type stepOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	recorder *stepRecorder
}

func (o *stepOutbound) ExecuteActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	options := workflow.GetActivityOptions(ctx)
	o.recorder.steps = append(o.recorder.steps, scheduled{
		activity, false, options.StartToCloseTimeout, options.ScheduleToCloseTimeout, *options.RetryPolicy, options.Summary,
	})
	if endless := *options.RetryPolicy; endless.MaximumAttempts == 0 {
		endless.MaximumAttempts = math.MaxInt32
		ctx = workflow.WithRetryPolicy(ctx, endless)
	}
	return o.Next.ExecuteActivity(ctx, activity, args...)
}

func (o *stepOutbound) ExecuteLocalActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	options := workflow.GetLocalActivityOptions(ctx)
	o.recorder.steps = append(o.recorder.steps, scheduled{
		activity, true, options.StartToCloseTimeout, options.ScheduleToCloseTimeout, *options.RetryPolicy, options.Summary,
	})
	return o.Next.ExecuteLocalActivity(ctx, activity, args...)
}

const withoutEnd = 0

// The policies, once more and by hand: a change of one is a change of how the
// box office behaves in an outage.
var (
	inTask = scheduled{local: true, attempt: 5 * time.Second, overall: 5 * time.Second, retry: temporal.RetryPolicy{
		InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: time.Second, MaximumAttempts: 3,
	}}
	untilDone = scheduled{attempt: 20 * time.Second, overall: withoutEnd, retry: temporal.RetryPolicy{
		InitialInterval: 250 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second, MaximumAttempts: withoutEnd,
	}}
	atProvider = scheduled{attempt: 15 * time.Second, overall: withoutEnd, retry: temporal.RetryPolicy{
		InitialInterval: 250 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second, MaximumAttempts: withoutEnd,
	}}
	asDebt = scheduled{attempt: 15 * time.Second, overall: withoutEnd, retry: temporal.RetryPolicy{
		InitialInterval: 250 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Minute, MaximumAttempts: withoutEnd,
	}}
)

// whileHeld is a policy for what must be known before the ledger frees the seats. What
// is left then bounds all of it.
var whileHeld = scheduled{}

func requireWhileHeld(t *testing.T, s scheduled) {
	t.Helper()
	left := s.overall
	if left <= 0 {
		t.Fatalf("left is %v, want more than 0", left)
	}
	if left > (holdTimeout + domain.HoldGraceDefault) {
		t.Fatalf("left is %v, want at most %v", left, holdTimeout+domain.HoldGraceDefault)
	}
	if bound := max(left/24, 250*time.Millisecond); s.retry.MaximumInterval > bound {
		t.Fatalf("s.retry.MaximumInterval is %v, want at most %v: tries in %v", s.retry.MaximumInterval, bound, left)
	}
	if s.retry.MaximumInterval > (5 * time.Second) {
		t.Fatalf("s.retry.MaximumInterval is %v, want at most %v", s.retry.MaximumInterval, 5*time.Second)
	}
	if bound := max(left/4, 5*time.Second); s.attempt > bound {
		t.Fatalf("s.attempt is %v, want at most %v: an attempt that hangs in %v", s.attempt, bound, left)
	}
	if s.attempt > (15 * time.Second) {
		t.Fatalf("s.attempt is %v, want at most %v", s.attempt, 15*time.Second)
	}
	if want := (temporal.RetryPolicy{
		InitialInterval: 250 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: s.retry.MaximumInterval, MaximumAttempts: withoutEnd,
	}); !reflect.DeepEqual(s.retry, want) {
		t.Fatalf("s.retry is %+v, want %+v", s.retry, want)
	}
}

// Each step of each workflow, and how it is tried: in the workflow task first
// and then until it is done, or as a regular activity from the start.
func TestEveryStepHasItsPolicy(t *testing.T) {
	policies := map[string][]scheduled{
		"Hold":                 {inTask, untilDone},
		"Settle":               {inTask, untilDone},
		"Release":              {inTask, untilDone},
		"FindSale":             {inTask, untilDone},
		"Unsell":               {inTask, untilDone},
		"ReturnSeats":          {inTask, untilDone},
		"ExpireSession":        {whileHeld, atProvider},
		"FindCapture":          {whileHeld, atProvider},
		"RecordRefundDue":      {asDebt},
		"RecordOrderRefundDue": {asDebt},
		"RefundPayment":        {asDebt},
		"RecordRefundDone":     {asDebt},
	}
	type kind struct{ local, whileHeld bool }
	kindOf := func(s scheduled) kind { return kind{s.local, !s.local && s.overall != withoutEnd} }
	seen := map[string]map[kind]bool{}
	for _, s := range everyStep(t) {
		if s.summary == "" {
			t.Fatalf("s.summary is empty, but the Web UI needs it: %s", s.activity)
		}
		if seen[s.activity] == nil {
			seen[s.activity] = map[kind]bool{}
		}
		seen[s.activity][kindOf(s)] = true
		if kindOf(s).whileHeld {
			if !slices.ContainsFunc(policies[s.activity], func(p scheduled) bool { return reflect.DeepEqual(p, whileHeld) }) {
				t.Fatalf("%s: %+v has no whileHeld", s.activity, policies[s.activity])
			}
			requireWhileHeld(t, s)
			continue
		}
		expected := s
		expected.activity, expected.summary = "", ""
		if !slices.ContainsFunc(policies[s.activity], func(p scheduled) bool { return reflect.DeepEqual(p, expected) }) {
			t.Fatalf("%s: no %+v in %+v", s.activity, expected, policies[s.activity])
		}
	}
	for activity, want := range policies {
		if len(seen[activity]) != len(want) {
			t.Fatalf("%d in seen[activity], want %d: %v: %s was not tried in each of its ways: %v", len(seen[activity]), len(want), seen[activity], activity, seen[activity])
		}
	}
}

// everyStep runs endings that together take every step, each step failing often
// enough to leave the workflow task.
func everyStep(t *testing.T) []scheduled {
	t.Helper()
	var steps []scheduled
	often := func(names ...string) func(*world) {
		return func(w *world) {
			for _, name := range names {
				w.failures[name] = 4
			}
		}
	}
	for _, run := range []struct {
		script func(*world)
		drive  func(*bundle)
	}{
		{often("hold", "post"), func(b *bundle) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)); b.run() }},
		{often("void"), func(b *bundle) { b.run() }},
		{func(w *world) { w.failures["expire"] = 50 }, func(b *bundle) { b.run() }},
		{func(w *world) {
			often("order", "unsell")(w)
		}, func(b *bundle) {
			b.env.RegisterDelayedCallback(func() { b.world.seats = "posted" }, soon)
			b.run()
		}},
		{often("refund"), func(b *bundle) {
			b.env.ExecuteWorkflow(workflows.Late, workflows.LateInput{Capture: testCapture(), Reason: domain.RefundUnknownOrder})
		}},
		{often("return"), func(b *bundle) {
			b.env.ExecuteWorkflow(workflows.Refund, workflows.RefundInput{Order: b.order.ID, Reason: domain.RefundByOrganiser})
		}},
	} {
		b := setup(t, run.script)
		run.drive(b)
		if err := b.env.GetWorkflowError(); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, b.steps.steps...)
	}
	return steps
}

// How a step that does not succeed is tried: three times in the workflow task,
// or for five seconds, then as one regular activity for as long as it takes.
func TestAStepLeavesTheWorkflowTaskAndGoesOnWithoutEnd(t *testing.T) {
	const failures = 500
	b := setup(t, func(w *world) { w.failures["post"] = failures })
	b.signal(soon, b.event("e1", domain.PaymentSucceeded))
	if got := b.run().Status; got != domain.OrderPaid {
		t.Fatalf("b.run().Status is %q, want %q", got, domain.OrderPaid)
	}

	var settles []scheduled
	for _, s := range b.steps.steps {
		if s.activity == "Settle" {
			settles = append(settles, s)
		}
	}
	if len(settles) != 2 {
		t.Fatalf("%d in settles, want 2: %+v: an outage costs one more activity, however long it lasts", len(settles), settles)
	}
	if !settles[0].local {
		t.Fatal("want true: settles[0].local")
	}
	if settles[1].local {
		t.Fatal("want false: settles[1].local")
	}
	tries := 0
	for _, call := range b.world.calls {
		if call == "post" {
			tries++
		}
	}
	if tries != (failures + 1) {
		t.Fatalf("tries is %v, want failures+1", tries)
	}
}

// What can never succeed is not tried again, neither in the workflow task nor
// after it.
func TestDefiniteFailuresAreNotRetried(t *testing.T) {
	b := setup(t, func(w *world) { w.holdError = &domain.Error{Code: domain.CodeInternal} })
	b.env.ExecuteWorkflow(workflows.Checkout, b.order)
	if err := b.env.GetWorkflowError(); err == nil {
		t.Fatal("b.env.GetWorkflowError(): no error, want one")
	}
	if want := []string{"hold"}; !reflect.DeepEqual(b.world.calls, want) {
		t.Fatalf("b.world.calls is %q, want %q", b.world.calls, want)
	}
	if len(b.steps.steps) != 1 {
		t.Fatalf("%d in b.steps.steps, want 1: %+v", len(b.steps.steps), b.steps.steps)
	}
}

// Money that is due stays due for as long as the provider is down, and the state
// says so meanwhile.
func TestARefundIsRetriedForDays(t *testing.T) {
	const away = 5 * 24 * time.Hour
	var began time.Time
	b := setup(t, func(w *world) {
		began = w.now()
		w.backAt = began.Add(away)
	})
	var meanwhile domain.CheckoutState
	b.env.RegisterDelayedCallback(func() {
		value, err := b.env.QueryWorkflow(workflows.StateQuery)
		if err != nil {
			t.Fatal(err)
		}
		if err := value.Get(&meanwhile); err != nil {
			t.Fatal(err)
		}
	}, away/2)
	b.env.ExecuteWorkflow(workflows.Late, workflows.LateInput{Capture: testCapture(), Reason: domain.RefundNoneLeft})
	if err := b.env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if meanwhile.Status != domain.OrderRefunding {
		t.Fatalf("meanwhile.Status is %q, want %q", meanwhile.Status, domain.OrderRefunding)
	}
	if len(b.world.refunds) != 1 {
		t.Fatalf("%d in b.world.refunds, want 1: %+v: noted as due before it was done", len(b.world.refunds), b.world.refunds)
	}
	if want := []string{"pay_1"}; !reflect.DeepEqual(b.world.refunded, want) {
		t.Fatalf("b.world.refunded is %q, want %q", b.world.refunded, want)
	}
	took := b.env.Now().Sub(began)
	if took < away {
		t.Fatalf("took is %v, want at least %v", took, away)
	}
	if took >= (away + refundBackoffMax) {
		t.Fatalf("took is %v, want less than %v: it goes back soon after the provider is there again", took, away+refundBackoffMax)
	}
}

const refundBackoffMax = 5 * time.Minute

package workflows_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	require.Positive(t, left)
	require.LessOrEqual(t, left, holdTimeout+domain.HoldGraceDefault)
	require.LessOrEqual(t, s.retry.MaximumInterval, max(left/24, 250*time.Millisecond), "tries in %v", left)
	require.LessOrEqual(t, s.retry.MaximumInterval, 5*time.Second)
	require.LessOrEqual(t, s.attempt, max(left/4, 5*time.Second), "an attempt that hangs in %v", left)
	require.LessOrEqual(t, s.attempt, 15*time.Second)
	require.Equal(t, temporal.RetryPolicy{
		InitialInterval: 250 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: s.retry.MaximumInterval, MaximumAttempts: withoutEnd,
	}, s.retry)
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
		require.NotEmpty(t, s.summary, "the Web UI tells the story by it: %s", s.activity)
		if seen[s.activity] == nil {
			seen[s.activity] = map[kind]bool{}
		}
		seen[s.activity][kindOf(s)] = true
		if kindOf(s).whileHeld {
			require.Contains(t, policies[s.activity], whileHeld, s.activity)
			requireWhileHeld(t, s)
			continue
		}
		expected := s
		expected.activity, expected.summary = "", ""
		require.Contains(t, policies[s.activity], expected, s.activity)
	}
	for activity, want := range policies {
		require.Len(t, seen[activity], len(want), "%s was not tried in each of its ways: %v", activity, seen[activity])
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
		require.NoError(t, b.env.GetWorkflowError())
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
	require.Equal(t, domain.OrderPaid, b.run().Status)

	var settles []scheduled
	for _, s := range b.steps.steps {
		if s.activity == "Settle" {
			settles = append(settles, s)
		}
	}
	require.Len(t, settles, 2, "an outage costs one more activity, however long it lasts")
	require.True(t, settles[0].local)
	require.False(t, settles[1].local)
	tries := 0
	for _, call := range b.world.calls {
		if call == "post" {
			tries++
		}
	}
	require.Equal(t, failures+1, tries)
}

// What can never succeed is not tried again, neither in the workflow task nor
// after it.
func TestDefiniteFailuresAreNotRetried(t *testing.T) {
	b := setup(t, func(w *world) { w.holdError = &domain.Error{Code: domain.CodeInternal} })
	b.env.ExecuteWorkflow(workflows.Checkout, b.order)
	require.Error(t, b.env.GetWorkflowError())
	require.Equal(t, []string{"hold"}, b.world.calls)
	require.Len(t, b.steps.steps, 1)
}

// Money that is due stays due for as long as the provider is away, and the state
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
		require.NoError(t, err)
		require.NoError(t, value.Get(&meanwhile))
	}, away/2)
	b.env.ExecuteWorkflow(workflows.Late, workflows.LateInput{Capture: testCapture(), Reason: domain.RefundNoneLeft})
	require.NoError(t, b.env.GetWorkflowError())
	require.Equal(t, domain.OrderRefunding, meanwhile.Status)
	require.Len(t, b.world.refunds, 1, "noted as due before it was done")
	require.Equal(t, []string{"pay_1"}, b.world.refunded)
	took := b.env.Now().Sub(began)
	require.GreaterOrEqual(t, took, away)
	require.Less(t, took, away+refundBackoffMax, "it goes back soon after the provider is there again")
}

const refundBackoffMax = 5 * time.Minute

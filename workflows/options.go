package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
)

// Timeouts and retries, all in one place. Every attempt has a timeout. What has begun has
// none: it gets finished, however long an outage lasts. The activities say which failures
// are retried (they mark what can never succeed as non-retryable), so no policy lists
// error types.
const (
	// A step gets this long, or this many attempts, as a local activity inside the
	// workflow task. Then it becomes a regular activity that retries without end.
	// Otherwise an outage would fill histories with the heartbeats of workflow tasks
	// (they come at 80 % of the 10 s task timeout).
	localStepTimeout    = 5 * time.Second
	localStepAttempts   = 3
	localStepBackoff    = 100 * time.Millisecond
	localStepBackoffMax = time.Second

	// One attempt of a regular step. It is longer than the batcher's watchdog, so that
	// the attempt gets its "unknown" from there.
	stepAttemptTimeout = 20 * time.Second
	stepBackoff        = 250 * time.Millisecond
	stepBackoffMax     = 5 * time.Second // once a part is back, what waited for it goes on soon

	// What must happen while the ledger still has the hold is tried at least this often
	// in the time that is left. One attempt that hangs may take its share.
	triesInTime       = 24
	attemptsInTime    = 4
	attemptTimeoutMin = 5 * time.Second  // a provider may be slow
	stepBackoffMin    = time.Second      // a step is retried without end, so not too often
	holdGraceBefore   = 30 * time.Second // for holds that do not say their grace

	// One attempt to reach the payment provider. Refunds back off further: a provider may
	// be down for days, and the money stays due.
	providerAttemptTimeout = 15 * time.Second
	providerBackoffMax     = 30 * time.Second
	refundBackoffMax       = 5 * time.Minute

	// A hold that lasts longer than this is one that is extended for payments that are
	// processed for days: the provider is then asked as seldom as for refunds.
	longHold = 2 * domain.HoldGraceMax

	// How long the provider has to open a session. What comes meanwhile waits that long,
	// the deadline too, so it is much shorter than a hold's grace.
	openTimeout = 8 * time.Second

	backoffCoefficient = 2

	// What the SDK and the server take for "no limit".
	untilItSucceeds = 0 // attempts
	howeverLong     = 0 // time from scheduling to the end

	// One batch of a sale's cancellation: activities.CancelBatchFor, plus what was under
	// way then. If its worker dies, it takes this long until another goes on.
	cancelBatchTimeout = activities.CancelBatchFor + 20*time.Second
)

// acts is never called. It only gives the activities their names.
var acts *activities.Activities

// step runs a step in the workflow task. If it does not succeed soon, it runs as a
// regular activity until it does. Both have the same effect, because the step is
// idempotent. Errors of a type that can never succeed are returned.
func step(ctx workflow.Context, summary string, activity, argument, result any) error {
	return stepInTime(ctx, summary, 0, activity, argument, result)
}

// stepInTime is step for what must succeed within the time that is left. If no time is
// left, hurrying gains nothing.
func stepInTime(ctx workflow.Context, summary string, left time.Duration, activity, argument, result any) error {
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: localStepTimeout,
		StartToCloseTimeout:    localStepTimeout,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    localStepBackoff,
			BackoffCoefficient: backoffCoefficient,
			MaximumInterval:    localStepBackoffMax,
			MaximumAttempts:    localStepAttempts,
		},
		Summary: summary,
	})
	err := workflow.ExecuteLocalActivity(local, activity, argument).Get(ctx, result)
	if err == nil || nonRetryable(err) || temporal.IsCanceledError(err) {
		return err
	}
	workflow.GetLogger(ctx).Warn("Step goes on as a regular activity", "Step", summary, "Error", err)
	regular := regularOptions(summary, stepAttemptTimeout, backoffWithin(left, stepBackoffMin))
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, regular), activity, argument).Get(ctx, result)
}

// callProviderInTime calls the provider while the ledger has the hold, again and again
// for the time that is left. If no answer comes in that time (isOutOfTime), or none is
// left, use callProvider: hurrying gains nothing any more.
func callProviderInTime(ctx workflow.Context, summary string, left time.Duration, activity, argument any) (answer workflow.Future, inTime bool) {
	if left <= 0 {
		return callProvider(ctx, summary, activity, argument), false
	}
	attempt := min(max(left/attemptsInTime, attemptTimeoutMin), providerAttemptTimeout)
	backoff := backoffWithin(left, stepBackoff)
	if left > longHold {
		backoff = refundBackoffMax
	}
	options := regularOptions(summary, attempt, backoff)
	options.ScheduleToCloseTimeout = left
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument), true
}

// isOutOfTime reports whether callProviderInTime ended without an answer.
func isOutOfTime(err error) bool {
	return err != nil && !nonRetryable(err) && !temporal.IsCanceledError(err)
}

// backoffWithin is the longest pause between two tries for the time that is left.
func backoffWithin(left, least time.Duration) time.Duration {
	if left <= 0 {
		return stepBackoffMax
	}
	return min(max(left/triesInTime, least), stepBackoffMax)
}

// callProvider calls the provider: a regular activity with its own policy.
func callProvider(ctx workflow.Context, summary string, activity, argument any) workflow.Future {
	options := regularOptions(summary, providerAttemptTimeout, providerBackoffMax)
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument)
}

// callProviderWithin calls the provider for somebody who waits. What does not succeed in
// time is theirs to ask for again.
func callProviderWithin(ctx workflow.Context, summary string, left time.Duration, activity, argument any) workflow.Future {
	options := regularOptions(summary, left, stepBackoffMin)
	options.ScheduleToCloseTimeout = left
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument)
}

// owed runs a step of a refund. It is retried until it succeeds, for days if need be, and
// stays visible as a pending activity.
func owed(ctx workflow.Context, summary string, activity, argument, result any) error {
	options := regularOptions(summary, providerAttemptTimeout, refundBackoffMax)
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument).Get(ctx, result)
}

// batchOfSale runs a step of a sale's cancellation, as often as it takes.
func batchOfSale(ctx workflow.Context, summary string, activity, argument, result any) error {
	options := regularOptions(summary, cancelBatchTimeout, providerBackoffMax)
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument).Get(ctx, result)
}

func regularOptions(summary string, attempt, backoffMax time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout:    attempt,
		ScheduleToCloseTimeout: howeverLong,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    stepBackoff,
			BackoffCoefficient: backoffCoefficient,
			MaximumInterval:    backoffMax,
			MaximumAttempts:    untilItSucceeds,
		},
		Summary: summary,
	}
}

// leaveToOthers is for a value that this release does not know, which a step on a worker
// of a newer release may return. Guessing would refuse, or give money back, for nothing.
// A panic fails the workflow task, not the workflow: it is retried until a worker takes
// it that knows the value.
func leaveToOthers[T ~string](what string, value T) {
	panic(fmt.Sprintf("this release does not know the %s %q: a worker of the release that wrote it goes on from here", what, string(value)))
}

func nonRetryable(err error) bool {
	var failed *temporal.ApplicationError
	return errors.As(err, &failed) && failed.NonRetryable()
}

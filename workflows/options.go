package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
)

// Timeouts and retries, all in one place. Every attempt has a timeout; what is
// begun has none: it is finished, however long an outage lasts. Which failures
// are tried again is for the activities to say (they mark what can never succeed
// as non-retryable), so no policy lists error types.
const (
	// A step gets this long, or this many attempts, as a local activity inside
	// the workflow task; then it becomes a regular activity that retries without
	// end. An outage must not fill histories with the heartbeats of workflow
	// tasks (they come at 80 % of the 10 s task timeout).
	localStepTimeout    = 5 * time.Second
	localStepAttempts   = 3
	localStepBackoff    = 100 * time.Millisecond
	localStepBackoffMax = time.Second

	// One attempt of a regular step: longer than the batcher's watchdog, so
	// that the attempt learns "unknown" from it.
	stepAttemptTimeout = 20 * time.Second
	stepBackoff        = 250 * time.Millisecond
	stepBackoffMax     = 5 * time.Second // once a part is back, what waited for it goes on soon

	// What must happen while the ledger still has the hold is tried at least so many
	// times in what is left of that. One attempt that hangs may take its share.
	triesInTime       = 24
	attemptsInTime    = 4
	attemptTimeoutMin = 5 * time.Second  // a provider may be slow
	stepBackoffMin    = time.Second      // a step is tried without end: not too hastily
	holdGraceBefore   = 30 * time.Second // of holds that do not tell theirs

	// One attempt to reach the payment provider. Refunds back off further: a
	// provider may be down for days, and the money stays due.
	providerAttemptTimeout = 15 * time.Second
	providerBackoffMax     = 30 * time.Second
	refundBackoffMax       = 5 * time.Minute

	// How long the provider has to open a session. What comes meanwhile waits for as
	// long, the deadline too: it is far below a hold's grace.
	openTimeout = 8 * time.Second

	backoffCoefficient = 2

	// What the SDK and the server take for "no bound".
	untilItSucceeds = 0 // attempts
	howeverLong     = 0 // time from scheduling to the end

	// One batch of a sale's cancellation: activities.CancelBatchFor, and what was
	// under way then. When its worker dies, this long passes before another goes on.
	cancelBatchTimeout = activities.CancelBatchFor + 20*time.Second
)

// acts is never called: it only gives the activities their names.
var acts *activities.Activities

// step runs a step in the workflow task, and where that does not succeed soon
// as a regular activity until it does. Both have the same effect: the step is
// idempotent. Errors of a type that can never succeed are returned.
func step(ctx workflow.Context, summary string, activity, argument, result any) error {
	return stepInTime(ctx, summary, 0, activity, argument, result)
}

// stepInTime is step for what must succeed within the time that is left. Where none
// is, nothing is won by haste.
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

// callProviderInTime reaches outside while the ledger has the hold: again and again for
// the time that is left. Where that passes without an answer (isOutOfTime) nothing is
// won by haste any more: then it is for callProvider, as where nothing is left.
func callProviderInTime(ctx workflow.Context, summary string, left time.Duration, activity, argument any) (answer workflow.Future, inTime bool) {
	if left <= 0 {
		return callProvider(ctx, summary, activity, argument), false
	}
	attempt := min(max(left/attemptsInTime, attemptTimeoutMin), providerAttemptTimeout)
	options := regularOptions(summary, attempt, backoffWithin(left, stepBackoff))
	options.ScheduleToCloseTimeout = left
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument), true
}

// isOutOfTime reports whether callProviderInTime ended without an answer.
func isOutOfTime(err error) bool {
	return err != nil && !nonRetryable(err) && !temporal.IsCanceledError(err)
}

// backoffWithin is how far apart two tries may be within the time that is left.
func backoffWithin(left, least time.Duration) time.Duration {
	if left <= 0 {
		return stepBackoffMax
	}
	return min(max(left/triesInTime, least), stepBackoffMax)
}

// callProvider reaches outside: a regular activity with a policy of its own.
func callProvider(ctx workflow.Context, summary string, activity, argument any) workflow.Future {
	options := regularOptions(summary, providerAttemptTimeout, providerBackoffMax)
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument)
}

// callProviderWithin reaches outside for somebody who waits for it. What does not succeed
// in time is for them to ask for again.
func callProviderWithin(ctx workflow.Context, summary string, left time.Duration, activity, argument any) workflow.Future {
	options := regularOptions(summary, left, stepBackoffMin)
	options.ScheduleToCloseTimeout = left
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument)
}

// owed runs a step of a refund: it is retried until it succeeds, for days if
// need be, and stays visible as a pending activity meanwhile.
func owed(ctx workflow.Context, summary string, activity, argument, result any) error {
	options := regularOptions(summary, providerAttemptTimeout, refundBackoffMax)
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity, argument).Get(ctx, result)
}

// batchOfSale runs a step of a sale's cancellation: as often as it takes.
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

// leaveToOthers is for a value that this release does not know. A step that a worker
// of a newer release ran may answer such a one: to guess would be to refuse, or to
// give money back, for nothing. A panic fails the workflow task and not the workflow:
// it is tried again until a worker takes it that knows the value.
func leaveToOthers[T ~string](what string, value T) {
	panic(fmt.Sprintf("this release does not know the %s %q: a worker of the release that wrote it goes on from here", what, string(value)))
}

func nonRetryable(err error) bool {
	var failed *temporal.ApplicationError
	return errors.As(err, &failed) && failed.NonRetryable()
}

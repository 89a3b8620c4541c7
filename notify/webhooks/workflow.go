package webhooks

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Names that histories contain.
const (
	// TaskQueue keeps deliveries apart from checkouts.
	TaskQueue = "webhooks"
	// WakeSignal says that there may be something to send; its argument is a Wake.
	WakeSignal = "wake"
	// StateQuery returns the last Round.
	StateQuery = "state"

	workflowType = "WebhookDelivery"
)

// WorkflowID is the id of an endpoint's delivery.
func WorkflowID(endpoint string) string { return "webhooks/" + endpoint }

// A Wake names what there is to send, only for people who read the history. What is sent
// depends on the database alone.
type Wake struct {
	Events int    `json:"events,omitempty"` // how many events the sender of the signal knows
	First  string `json:"first,omitempty"`  // the first one's id
	Why    string `json:"why,omitempty"`
}

// Bounds of the workflow. A round ends in time even if it cannot succeed. A run that waited
// for it for ever would gather signals up to the server's limit, and then nobody could wake
// it.
const (
	roundTimeout    = roundBudget + requestTimeout + 30*time.Second // and the database needs time too
	roundHeartbeat  = requestTimeout + 20*time.Second
	roundTriedFor   = 2 * time.Minute
	roundBackoff    = time.Second
	roundBackoffMax = time.Minute
	// roundsMax bounds a run: the next one continues with a new history.
	roundsMax = 500
	// againMin is the pause between two rounds that have nothing to wait for.
	againMin = 50 * time.Millisecond
	// waitMax is the longest wait before it looks again.
	waitMax = time.Hour
)

// deliverer is never called. It only names the activity.
var deliverer *Deliverer

// Delivery sends an endpoint what is pending for it, and ends when nothing is. The next
// event starts it again. It holds no state, so terminating a run loses nothing.
func Delivery(ctx workflow.Context, endpoint string) error {
	var last Round
	if err := workflow.SetQueryHandler(ctx, StateQuery, func() (Round, error) { return last, nil }); err != nil {
		return err
	}
	wakes := workflow.GetSignalChannel(ctx, WakeSignal)
	calls := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: roundTriedFor,
		StartToCloseTimeout:    roundTimeout,
		HeartbeatTimeout:       roundHeartbeat,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: roundBackoff, BackoffCoefficient: 2, MaximumInterval: roundBackoffMax},
		Summary:                "send what is due",
	})
	for rounds := 1; ; rounds++ {
		drain(wakes) // drop the signals: what they announce is in the database
		last = Round{}
		err := workflow.ExecuteActivity(calls, deliverer.DeliverWebhooks, endpoint).Get(ctx, &last)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			last = Round{Why: "the round failed: see its activity", Waits: true, Wait: roundBackoffMax}
			workflow.SetCurrentDetails(ctx, last.details())
			if err := workflow.Sleep(ctx, last.Wait); err != nil { // a signal changes nothing
				return err
			}
		default:
			workflow.SetCurrentDetails(ctx, last.details())
			if last.Waits {
				wait(ctx, wakes, min(max(last.Wait, againMin), waitMax))
			} else if !isWoken(wakes) {
				return nil
			}
		}
		if rounds >= roundsMax || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			drain(wakes) // the next run looks at once
			return workflow.NewContinueAsNewError(ctx, workflowType, endpoint)
		}
	}
}

func drain(wakes workflow.ReceiveChannel) {
	for wakes.ReceiveAsync(nil) {
	}
}

func isWoken(wakes workflow.ReceiveChannel) bool { return wakes.Len() > 0 }

// wait waits for a time or for a signal.
func wait(ctx workflow.Context, wakes workflow.ReceiveChannel, d time.Duration) {
	timing, cancel := workflow.WithCancel(ctx)
	defer cancel()
	workflow.NewSelector(ctx).
		AddFuture(workflow.NewTimerWithOptions(timing, d, workflow.TimerOptions{Summary: "until something is due"}), func(workflow.Future) {}).
		AddReceive(wakes, func(c workflow.ReceiveChannel, _ bool) { c.ReceiveAsync(nil) }).
		Select(ctx)
}

// details is what the Web UI shows about a round.
func (r *Round) details() string {
	text := fmt.Sprintf("taken: %d, failed: %d", r.Taken, r.Failed)
	if r.Why != "" {
		text += ": " + r.Why
	}
	if r.Waits {
		text += fmt.Sprintf(". Goes on after %v.", r.Wait)
	}
	return text
}

// Bounds of the worker: each endpoint has at most one round at a time, so a slow endpoint
// holds up no other.
const (
	roundsAtATime = 100
	stopTimeout   = 5 * time.Second
)

// NewWorker makes a worker for deliveries alone. It calls onFatal when it cannot go on.
func NewWorker(c client.Client, d *Deliverer, version sdkworker.DeploymentOptions, onFatal func(error)) sdkworker.Worker {
	w := sdkworker.New(c, TaskQueue, sdkworker.Options{
		MaxConcurrentActivityExecutionSize: roundsAtATime,
		MaxConcurrentWorkflowTaskPollers:   2, // the SDK's minimum
		MaxConcurrentActivityTaskPollers:   1,
		WorkerStopTimeout:                  stopTimeout,
		OnFatalError:                       onFatal,
		DeploymentOptions:                  version,
	})
	Register(w, d)
	return w
}

// Register registers the workflow and the activity under the names that histories contain.
func Register(r sdkworker.Registry, d *Deliverer) {
	r.RegisterWorkflowWithOptions(Delivery, workflow.RegisterOptions{
		Name: workflowType, VersioningBehavior: workflow.VersioningBehaviorAutoUpgrade, // it goes on while its endpoint is away
	})
	r.RegisterActivity(d)
}

// signaller is the part of client.Client that we need.
type signaller interface {
	SignalWithStartWorkflow(
		ctx context.Context, id, signal string, arg any, options client.StartWorkflowOptions, workflow any, args ...any,
	) (client.WorkflowRun, error)
}

// wake signals an endpoint's delivery to look at what is pending, and starts it if it is
// not running.
func wake(ctx context.Context, c signaller, endpoint string, w Wake) error {
	_, err := c.SignalWithStartWorkflow(ctx, WorkflowID(endpoint), WakeSignal, w, client.StartWorkflowOptions{
		ID: WorkflowID(endpoint), TaskQueue: TaskQueue,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:         "webhooks to " + endpoint,
	}, workflowType, endpoint)
	if err != nil {
		return fmt.Errorf("wake the delivery of webhook endpoint %s (workflow %s): %w", endpoint, WorkflowID(endpoint), err)
	}
	return nil
}

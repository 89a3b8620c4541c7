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

// Names that stand in histories.
const (
	// TaskQueue keeps deliveries out of the checkouts' way.
	TaskQueue = "webhooks"
	// WakeSignal says that there may be something to send; its argument is a Wake.
	WakeSignal = "wake"
	// StateQuery answers the last Round.
	StateQuery = "state"

	workflowType = "WebhookDelivery"
)

// WorkflowID is the id of an endpoint's delivery.
func WorkflowID(endpoint string) string { return "webhooks/" + endpoint }

// A Wake names what there is to send: for people who look at the history. What is sent is
// what the database says.
type Wake struct {
	Events int    `json:"events,omitempty"` // how many, by the one who wakes
	First  string `json:"first,omitempty"`  // the first one's id
	Why    string `json:"why,omitempty"`
}

// Bounds of the workflow. Each attempt of a round is over in time, and so is the round: a
// run that waited on for one that cannot succeed would gather signals up to the server's
// limit, and then nobody could wake it.
const (
	roundTimeout    = roundBudget + requestTimeout + 30*time.Second // and for the database
	roundHeartbeat  = requestTimeout + 20*time.Second
	roundTriedFor   = 2 * time.Minute
	roundBackoff    = time.Second
	roundBackoffMax = time.Minute
	// roundsMax ends a run: the next one goes on with a new history.
	roundsMax = 500
	// againMin is between two rounds that have nothing to wait for.
	againMin = 50 * time.Millisecond
	// waitMax is the longest wait: then it looks again.
	waitMax = time.Hour
)

// deliverer is never called: it only gives the activity its name.
var deliverer *Deliverer

// Delivery sends an endpoint what is pending for it, and ends when nothing is: the next
// event starts it again. It keeps nothing: a run that is terminated loses nothing.
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
		drain(wakes) // whatever they tell of is in the database
		last = Round{}
		err := workflow.ExecuteActivity(calls, deliverer.DeliverWebhooks, endpoint).Get(ctx, &last)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			last = Round{Why: "the round failed, its activity says why", Waits: true, Wait: roundBackoffMax}
			workflow.SetCurrentDetails(ctx, last.details())
			if err := workflow.Sleep(ctx, last.Wait); err != nil { // whoever wakes changes nothing
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

// wait waits for a time, or until somebody wakes.
func wait(ctx workflow.Context, wakes workflow.ReceiveChannel, d time.Duration) {
	timing, cancel := workflow.WithCancel(ctx)
	defer cancel()
	workflow.NewSelector(ctx).
		AddFuture(workflow.NewTimerWithOptions(timing, d, workflow.TimerOptions{Summary: "until something is due"}), func(workflow.Future) {}).
		AddReceive(wakes, func(c workflow.ReceiveChannel, _ bool) { c.ReceiveAsync(nil) }).
		Select(ctx)
}

// details is what the Web UI shows of a round.
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

// Bounds of the worker: a round an endpoint at a time, so that slow ones wait for nobody.
const (
	roundsAtATime = 100
	stopTimeout   = 5 * time.Second
)

// NewWorker makes a worker for the deliveries alone. onFatal is told when it cannot go on.
func NewWorker(c client.Client, d *Deliverer, onFatal func(error)) sdkworker.Worker {
	w := sdkworker.New(c, TaskQueue, sdkworker.Options{
		MaxConcurrentActivityExecutionSize: roundsAtATime,
		MaxConcurrentWorkflowTaskPollers:   2, // the SDK's least
		MaxConcurrentActivityTaskPollers:   1,
		WorkerStopTimeout:                  stopTimeout,
		OnFatalError:                       onFatal,
	})
	Register(w, d)
	return w
}

// Register names what the histories may contain.
func Register(r sdkworker.Registry, d *Deliverer) {
	r.RegisterWorkflowWithOptions(Delivery, workflow.RegisterOptions{Name: workflowType})
	r.RegisterActivity(d)
}

// signaller is client.Client as far as it is needed.
type signaller interface {
	SignalWithStartWorkflow(
		ctx context.Context, id, signal string, arg any, options client.StartWorkflowOptions, workflow any, args ...any,
	) (client.WorkflowRun, error)
}

// wake has an endpoint's delivery look at what is pending, and starts it where it is not
// running.
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

// Package replay replays workflow histories against today's workflow code: the code must
// do again what Temporal recorded. It is for tests; no process of the box office replays
// anything beyond what the SDK does.
package replay

import (
	"fmt"
	"log/slog"
	"os"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"boxoffice/workflows"
)

// Types are the workflows whose histories can be replayed.
var Types = []string{"Checkout", "Late", "Refund", "CancelSale"}

// eventsMin is the shortest history that the SDK replays. A workflow that no worker has
// seen has nothing to replay.
const eventsMin = 3

// Read reads a history from a file, as Temporal's Web UI and its command line export it.
func Read(file string) (*historypb.History, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	history, err := client.HistoryFromJSON(f, client.HistoryJSONOptions{})
	if err != nil {
		return nil, fmt.Errorf("history %s: %w", file, err)
	}
	return history, nil
}

// History replays a whole history, and every beginning of it that a worker or a query may
// have been given, because a cache may be lost after any of them. The error says after
// which event today's code does something else. Payloads are decoded with payloads; nil
// is the SDK's own converter.
func History(history *historypb.History, execution workflow.Execution, payloads converter.DataConverter) error {
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DataConverter: payloads})
	if err != nil {
		return fmt.Errorf("replayer: %w", err)
	}
	replayer.RegisterWorkflow(workflows.Checkout)
	replayer.RegisterWorkflow(workflows.Late)
	replayer.RegisterWorkflow(workflows.Refund)
	replayer.RegisterWorkflow(workflows.CancelSale)
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler)) // the error says it
	for _, events := range beginnings(history.GetEvents()) {
		err := replayer.ReplayWorkflowHistoryWithOptions(quiet, &historypb.History{Events: events},
			worker.ReplayWorkflowHistoryOptions{OriginalExecution: execution})
		if err != nil {
			return fmt.Errorf("replay up to event %d of %d: %w", len(events), len(history.GetEvents()), err)
		}
	}
	return nil
}

// beginnings splits a history into the parts that the server wrote at once: the commands
// of a workflow task are recorded with its completion, or not at all.
func beginnings(events []*historypb.HistoryEvent) [][]*historypb.HistoryEvent {
	var list [][]*historypb.HistoryEvent
	for n := eventsMin; n <= len(events); n++ {
		if n == len(events) || !WithPrevious(events[n]) {
			list = append(list, events[:n])
		}
	}
	return list
}

// WithPrevious reports whether no history can end right before this event, because it was
// recorded together with the completion of a workflow task.
func WithPrevious(event *historypb.HistoryEvent) bool {
	switch event.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		return true
	default:
	}
	message := event.ProtoReflect()
	attributes := message.WhichOneof(message.Descriptor().Oneofs().ByName("attributes"))
	if attributes == nil {
		return false
	}
	return attributes.Message().Fields().ByName("workflow_task_completed_event_id") != nil
}

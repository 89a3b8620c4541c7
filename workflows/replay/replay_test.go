package replay_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/workflow"

	"boxoffice/workflows/replay"
)

const committed = "../testdata/histories"

func read(t *testing.T, file string) *historypb.History {
	t.Helper()
	history, err := replay.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return history
}

// A query or a worker without a cache may ask at any moment of a checkout's life.
func TestEveryBeginningOfACommittedHistoryReplays(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(committed, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("files is empty")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			if err := replay.History(read(t, file), workflow.Execution{}, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAHistoryThatTheCodeWouldNotWriteIsNamed(t *testing.T) {
	const child = enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
	const marker = enumspb.EVENT_TYPE_MARKER_RECORDED
	const timer = enumspb.EVENT_TYPE_TIMER_STARTED
	for name, test := range map[string]struct {
		file   string
		mangle func([]*historypb.HistoryEvent) []*historypb.HistoryEvent
	}{
		"a command is missing": {"paid.json", func(events []*historypb.HistoryEvent) []*historypb.HistoryEvent {
			return without(t, events, timer)
		}},
		"a step is missing": {"paid.json", func(events []*historypb.HistoryEvent) []*historypb.HistoryEvent {
			return without(t, events, marker)
		}},
		"a child has another id": {"wrong-amount-refunded.json", func(events []*historypb.HistoryEvent) []*historypb.HistoryEvent {
			events[find(t, events, child)].GetStartChildWorkflowExecutionInitiatedEventAttributes().WorkflowId = "late/other"
			return events
		}},
		"two commands have changed places": {"paid.json", func(events []*historypb.HistoryEvent) []*historypb.HistoryEvent {
			m, n := find(t, events, marker), find(t, events, timer)
			events[m].Attributes, events[n].Attributes = events[n].Attributes, events[m].Attributes
			events[m].EventType, events[n].EventType = events[n].EventType, events[m].EventType
			return events
		}},
	} {
		t.Run(name, func(t *testing.T) {
			history := read(t, filepath.Join(committed, test.file))
			if err := replay.History(history, workflow.Execution{}, nil); err != nil {
				t.Fatal(err)
			}
			history.Events = test.mangle(history.Events)
			if err := replay.History(history, workflow.Execution{}, nil); err == nil || !strings.Contains(err.Error(), "TMPRL1100") {
				t.Fatalf("the error is %v, want %q in it", err, "TMPRL1100")
			}
		})
	}
}

func find(t *testing.T, events []*historypb.HistoryEvent, kind enumspb.EventType) int {
	t.Helper()
	i := slices.IndexFunc(events, func(e *historypb.HistoryEvent) bool { return e.EventType == kind })
	if i < 0 {
		t.Fatalf("i is %v, want at least %v: no %s", i, 0, kind)
	}
	return i
}

// without takes an event out, and moves up what follows.
func without(t *testing.T, events []*historypb.HistoryEvent, kind enumspb.EventType) []*historypb.HistoryEvent {
	t.Helper()
	i := find(t, events, kind)
	for _, later := range events[i+1:] {
		later.EventId--
	}
	return slices.Delete(events, i, i+1)
}

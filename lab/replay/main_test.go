package main

import (
	"io"
	"os"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
)

func parse(t *testing.T, r io.Reader) *historypb.History {
	t.Helper()
	history, err := client.HistoryFromJSON(r, client.HistoryJSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return history
}

func TestAHistoryThatDoesNotReplayIsNamedAndKept(t *testing.T) {
	file, err := os.Open("../../workflows/testdata/histories/paid.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	history := parse(t, file)
	paid := &commonpb.WorkflowExecution{WorkflowId: "checkout/paid", RunId: "run-1"}
	r := replayed{folder: t.TempDir()}

	if err := r.one(paid, history); err != nil {
		t.Fatal(err)
	}
	if len(r.broken) != 0 {
		t.Fatalf("an intact one: %v, want none", r.broken)
	}

	for _, event := range history.Events {
		if event.EventType == enumspb.EVENT_TYPE_TIMER_STARTED {
			event.GetTimerStartedEventAttributes().TimerId = "another"
		}
	}
	if err := r.one(paid, history); err != nil {
		t.Fatal(err)
	}
	if len(r.broken) != 1 {
		t.Fatalf("%v, want %d", r.broken, 1)
	}
	if err := r.broken[0]; err == nil || !strings.Contains(err.Error(), "checkout/paid (run run-1) does not replay") {
		t.Fatalf("error %v, want one that says %q", err, "checkout/paid (run run-1) does not replay")
	}
	if r.histories != 2 {
		t.Fatalf("%v, want %v", r.histories, 2)
	}

	kept, err := os.Open(r.folder + "/history-checkout-paid-run-1.json")
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if len(parse(t, kept).Events) != len(history.Events) {
		t.Fatalf("%v, want %d", parse(t, kept).Events, len(history.Events))
	}
}

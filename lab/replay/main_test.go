package main

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
)

func parse(t *testing.T, r io.Reader) *historypb.History {
	t.Helper()
	history, err := client.HistoryFromJSON(r, client.HistoryJSONOptions{})
	require.NoError(t, err)
	return history
}

func TestAHistoryThatDoesNotReplayIsNamedAndKept(t *testing.T) {
	file, err := os.Open("../../workflows/testdata/histories/paid.json")
	require.NoError(t, err)
	defer file.Close()
	history := parse(t, file)
	paid := &commonpb.WorkflowExecution{WorkflowId: "checkout/paid", RunId: "run-1"}
	r := replayed{folder: t.TempDir()}

	require.NoError(t, r.one(paid, history))
	require.Empty(t, r.broken, "an intact one")

	for _, event := range history.Events {
		if event.EventType == enumspb.EVENT_TYPE_TIMER_STARTED {
			event.GetTimerStartedEventAttributes().TimerId = "another"
		}
	}
	require.NoError(t, r.one(paid, history))
	require.Len(t, r.broken, 1)
	require.ErrorContains(t, r.broken[0], "checkout/paid (run run-1) does not replay")
	require.Equal(t, 2, r.histories)

	kept, err := os.Open(r.folder + "/history-checkout-paid-run-1.json")
	require.NoError(t, err)
	defer kept.Close()
	require.Len(t, parse(t, kept).Events, len(history.Events))
}

package codec_test

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/proto"

	"boxoffice/codec"
	"boxoffice/workflows"
	"boxoffice/workflows/replay"
)

// histories are of real checkouts, captured in the clear.
const histories = "../workflows/testdata/histories/*.json"

func readHistory(t *testing.T, file string) *historypb.History {
	t.Helper()
	history, err := replay.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return history
}

// sealEvents seals what the codec would have sealed, and returns how much that was.
func sealEvents(t *testing.T, c *codec.Codec, events ...*historypb.HistoryEvent) (sealed int) {
	t.Helper()
	if err := proxy.VisitPayloads(t.Context(), &historypb.History{Events: events}, proxy.VisitPayloadsOptions{
		SkipSearchAttributes: true,
		Visitor: func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
			sealed += len(payloads)
			return c.Encode(payloads)
		},
	}); err != nil {
		t.Fatal(err)
	}
	return sealed
}

func replayHistory(t *testing.T, history *historypb.History, c *codec.Codec) error {
	t.Helper()
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		DataConverter: c.DataConverter(), FailureConverter: c.FailureConverter(),
	})
	if err != nil {
		t.Fatal(err)
	}
	replayer.RegisterWorkflow(workflows.Checkout)
	replayer.RegisterWorkflow(workflows.Late)
	replayer.RegisterWorkflow(workflows.Refund)
	replayer.RegisterWorkflow(workflows.CancelSale)
	return replayer.ReplayWorkflowHistory(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)), history)
}

func historyFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(histories)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("files is empty")
	}
	return files
}

func TestSealedHistoriesReplay(t *testing.T) {
	c := newCodec(t, key("a", 1))
	for _, file := range historyFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			history := readHistory(t, file)
			if got := sealEvents(t, c, history.Events...); got <= 0 {
				t.Fatalf("sealEvents(t, c, history.Events...) is %v, want more than 0", got)
			}
			if err := replayHistory(t, history, c); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A deployment finds workflows that were started before a key was set.
func TestHistoriesFromBeforeAKeyReplay(t *testing.T) {
	c := newCodec(t, key("a", 1))
	for _, file := range historyFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if err := replayHistory(t, readHistory(t, file), c); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// buyerOf reads the address in the clear, from the history's first event.
func buyerOf(t *testing.T, history *historypb.History) string {
	t.Helper()
	var order struct{ Email string }
	input := history.Events[0].GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
	if err := json.Unmarshal(input.GetData(), &order); err != nil {
		t.Fatal(err)
	}
	return order.Email
}

func TestNoBuyerIsInASealedHistory(t *testing.T) {
	c := newCodec(t, key("a", 1))
	buyers := 0
	for _, file := range historyFiles(t) {
		history := readHistory(t, file)
		email := buyerOf(t, history)
		if email == "" {
			continue // a refund names only the order
		}
		buyers++
		sealEvents(t, c, history.Events...)
		stored, err := proto.Marshal(history)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(stored), email) {
			t.Fatalf("%q is in %s: %v", email, string(stored), file)
		}
	}
	if buyers <= 0 {
		t.Fatalf("buyers is %v, want more than 0: the histories have no buyer in them: this test proves nothing", buyers)
	}
}

// A node without a key must not change what a checkout does: the workflow task
// fails, and Temporal repeats it where the key is. With the plain converter of
// the SDK such a node fails checkouts for good and drops signals.
func TestAnEventThatCannotBeReadBlocksTheWorkflow(t *testing.T) {
	ours, theirs := newCodec(t, key("a", 1)), newCodec(t, key("b", 2))
	for _, file := range historyFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if err := replayHistory(t, readHistory(t, file), ours); err != nil {
				t.Fatalf("it does not replay in the clear: nothing of the codec: %v", err)
			}
			blocked := 0
			for i, event := range readHistory(t, file).Events {
				history := readHistory(t, file)
				if sealEvents(t, theirs, history.Events[i]) == 0 {
					continue
				}
				err := replayHistory(t, history, ours)
				if err == nil {
					continue // nobody reads it: a summary, the workflow's own result
				}
				blocked++
				if contradicted(event) {
					continue // the history goes on otherwise: the task fails too
				}
				if err == nil || !strings.Contains(err.Error(), `sealed with key "b": no such key`) {
					t.Fatalf("the error is %v, want %q in it: event %d, %s", err, `sealed with key "b": no such key`, event.GetEventId(), event.GetEventType())
				}
				if got := err.Error(); strings.Contains(got, "TMPRL1100") {
					t.Fatalf("%q is in %s: the workflow went on, and otherwise", "TMPRL1100", got)
				}
			}
			if blocked <= 0 {
				t.Fatalf("blocked is %v, want more than 0", blocked)
			}
		})
	}
}

// contradicted events are not awaited by the workflow's code, which goes on
// without them: an Update is refused, a version taken for the oldest.
func contradicted(event *historypb.HistoryEvent) bool {
	return event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED ||
		event.GetMarkerRecordedEventAttributes().GetMarkerName() == "Version"
}

package replay_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	querypb "go.temporal.io/api/query/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"boxoffice/workflows"
)

// The server says first how far a checkout is, and its history is read after
// that: for a worker without a cache it may have got further (the SDK's issue 755,
// github.com/temporalio/sdk-go/issues/755). The SDK then takes updates of the
// time between for not delivered, and mostly fails the query with TMPRL1100: the
// caller asks again. It must not answer with a state that the checkout never had.
func TestAQueryThatIsOvertakenByTheHistoryIsNotAnsweredWrongly(t *testing.T) {
	q, refusals := newQuerier(t), 0
	files, err := filepath.Glob(filepath.Join(committed, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		events := read(t, file).Events
		if events[0].GetWorkflowExecutionStartedEventAttributes().WorkflowType.Name != "Checkout" {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			had := map[string]bool{}
			started := completedTasks(events)
			for i := range started {
				state, refused := q.ask(t, upToTask(events, started, i), started[i])
				if refused != "" {
					t.Fatalf("refused is %q, want nothing", refused)
				}
				had[state] = true
			}
			for i := range started {
				for _, stale := range started[:i] {
					state, refused := q.ask(t, upToTask(events, started, i), stale)
					if refused == "" {
						if !had[state] {
							t.Fatalf("want true: had[state]: task %d of %v answers with %s", stale, started, state)
						}
					} else {
						if !strings.Contains(refused, "TMPRL1100") {
							t.Fatalf("no %q in %s", "TMPRL1100", refused)
						}
						refusals++
					}
				}
			}
		})
	}
	if refusals <= 0 {
		t.Fatalf("refusals is %v, want more than 0: the SDK's issue 755 is solved: this test has nothing left to say", refusals)
	}
	t.Logf("%d queries were refused", refusals)
}

// completedTasks are the ids of the events with which completed workflow tasks started.
func completedTasks(events []*historypb.HistoryEvent) (ids []int64) {
	for _, e := range events {
		if e.EventType == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			ids = append(ids, e.GetWorkflowTaskCompletedEventAttributes().StartedEventId)
		}
	}
	return ids
}

// upToTask is the history with the i-th task and all that follows from it before the next one is scheduled.
func upToTask(events []*historypb.HistoryEvent, started []int64, i int) *historypb.History {
	if i == len(started)-1 {
		return &historypb.History{Events: events}
	}
	return &historypb.History{Events: events[:started[i+1]-2]}
}

// A querier is a worker whose server has nothing but queries for it.
type querier struct {
	tasks   chan *workflowservice.PollWorkflowTaskQueueResponse
	answers chan *workflowservice.RespondQueryTaskCompletedRequest
}

func newQuerier(t *testing.T) *querier {
	t.Helper()
	q := &querier{
		tasks:   make(chan *workflowservice.PollWorkflowTaskQueueResponse),
		answers: make(chan *workflowservice.RespondQueryTaskCompletedRequest),
	}
	c, err := client.NewLazyClient(client.Options{
		Logger:            log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithUnaryInterceptor(q.serve)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := worker.New(c, workflows.TaskQueue, worker.Options{WorkerStopTimeout: time.Millisecond, LocalActivityWorkerOnly: true})
	w.RegisterWorkflow(workflows.Checkout)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return q
}

// serve is the server, as far as a worker with queries needs one.
func (q *querier) serve(ctx context.Context, method string, request, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
	switch r := request.(type) {
	case *workflowservice.PollWorkflowTaskQueueRequest:
		select {
		case task := <-q.tasks:
			proto.Merge(reply.(proto.Message), task)
			return nil
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	case *workflowservice.RespondQueryTaskCompletedRequest:
		q.answers <- r
		return nil
	case *workflowservice.GetSystemInfoRequest, *workflowservice.DescribeNamespaceRequest, *workflowservice.ShutdownWorkerRequest:
		return nil
	default:
		return status.Error(codes.Unimplemented, method)
	}
}

// ask queries a checkout with this history, of which the server said that the
// task that began with event started was its last.
func (q *querier) ask(t *testing.T, history *historypb.History, started int64) (state, refused string) {
	t.Helper()
	select {
	case q.tasks <- &workflowservice.PollWorkflowTaskQueueResponse{
		TaskToken:              []byte("query"),
		WorkflowExecution:      &commonpb.WorkflowExecution{WorkflowId: "checkout/queried", RunId: fmt.Sprintf("run-%d", started)},
		WorkflowType:           &commonpb.WorkflowType{Name: "Checkout"},
		PreviousStartedEventId: started,
		History:                history,
		Query:                  &querypb.WorkflowQuery{QueryType: workflows.StateQuery},
	}:
	case <-time.After(10 * time.Second):
		t.Fatal("the worker does not poll")
	}
	select {
	case answer := <-q.answers:
		if answer.GetCompletedType() != enumspb.QUERY_RESULT_TYPE_ANSWERED {
			return "", answer.GetErrorMessage()
		}
		return string(answer.GetQueryResult().GetPayloads()[0].GetData()), ""
	case <-time.After(10 * time.Second):
		t.Fatal("the query is not answered")
	}
	return "", ""
}

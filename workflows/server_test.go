package workflows_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	commandpb "go.temporal.io/api/command/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	protocolpb "go.temporal.io/api/protocol/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"boxoffice/activities"
	"boxoffice/workflows"
)

// server is as much of a Temporal server as one workflow needs: it hands the real
// SDK one workflow task after the other and writes the history that comes of them.
// Unlike the SDK's test environment it decides what stands in one workflow task,
// and unlike its replayer the last task is not a replay.
type server struct {
	t          *testing.T
	tasks      chan *workflowservice.PollWorkflowTaskQueueResponse
	activities chan *workflowservice.PollActivityTaskQueueResponse
	responses  chan any
}

const serverPatience = 30 * time.Second // with a busy machine, not with the code

func newServer(t *testing.T, acts *activities.Activities, payloads converter.DataConverter) *server {
	t.Helper()
	s := &server{
		t:          t,
		tasks:      make(chan *workflowservice.PollWorkflowTaskQueueResponse),
		activities: make(chan *workflowservice.PollActivityTaskQueueResponse),
		responses:  make(chan any),
	}
	c, err := client.NewLazyClient(client.Options{
		Logger:            log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		DataConverter:     payloads,
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithUnaryInterceptor(s.serve)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := worker.New(c, workflows.TaskQueue, worker.Options{
		WorkerStopTimeout: time.Millisecond, DisableEagerActivities: true, DeadlockDetectionTimeout: time.Minute,
		MaxConcurrentWorkflowTaskPollers: 2, MaxConcurrentActivityTaskPollers: 1,
	})
	w.RegisterWorkflow(workflows.Checkout)
	w.RegisterWorkflow(workflows.CancelSale)
	w.RegisterWorkflow(workflows.Late)
	w.RegisterActivity(acts)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return s
}

func poll[T proto.Message](ctx context.Context, from <-chan T, reply any) error {
	select {
	case task := <-from:
		proto.Merge(reply.(proto.Message), task)
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (s *server) serve(ctx context.Context, method string, request, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
	switch request.(type) {
	case *workflowservice.PollWorkflowTaskQueueRequest:
		return poll(ctx, s.tasks, reply)
	case *workflowservice.PollActivityTaskQueueRequest:
		return poll(ctx, s.activities, reply)
	case *workflowservice.RespondWorkflowTaskCompletedRequest, *workflowservice.RespondWorkflowTaskFailedRequest,
		*workflowservice.RespondActivityTaskCompletedRequest, *workflowservice.RespondActivityTaskFailedRequest:
		select {
		case s.responses <- proto.Clone(request.(proto.Message)):
		case <-ctx.Done():
		}
		return nil
	case *workflowservice.GetSystemInfoRequest: // without it the SDK uses none of what is newer than the oldest server
		proto.Merge(reply.(proto.Message), &workflowservice.GetSystemInfoResponse{Capabilities: &workflowservice.GetSystemInfoResponse_Capabilities{
			SdkMetadata: true, SignalAndQueryHeader: true, InternalErrorDifferentiation: true, ActivityFailureIncludeHeartbeat: true, EncodedFailureAttributes: true,
		}})
		return nil
	case *workflowservice.DescribeNamespaceRequest, *workflowservice.ShutdownWorkerRequest:
		return nil
	default:
		return status.Error(codes.Unimplemented, method)
	}
}

// send hands out a task and waits for its response.
func send[T any](s *server, tasks chan<- T, task T) any {
	s.t.Helper()
	timeout := time.After(serverPatience)
	select {
	case tasks <- task:
	case <-timeout:
		s.t.Fatal("the worker does not poll")
	}
	select {
	case response := <-s.responses:
		return response
	case <-timeout:
		s.t.Fatal("the worker does not respond")
		return nil
	}
}

// execution is one workflow on the server.
type execution struct {
	*server
	events   []*historypb.HistoryEvent
	now      time.Time
	updates  []*protocolpb.Message // for the next workflow task
	accepted map[string]int64      // updates, by their id: the event
	answered map[string]*updatepb.Outcome
	refused  map[string]bool
	suggest  bool  // that it continues as a new run
	attempts int32 // of regular activities, all together
}

// resume goes on after a history that was cut off anywhere the server may have
// stopped.
func (s *server) resume(events []*historypb.HistoryEvent) *execution {
	x := &execution{server: s, accepted: map[string]int64{}, answered: map[string]*updatepb.Outcome{}, refused: map[string]bool{}}
	for _, e := range events {
		e = proto.CloneOf(e)
		x.events, x.now = append(x.events, e), e.GetEventTime().AsTime()
		if a := e.GetWorkflowExecutionUpdateAcceptedEventAttributes(); a != nil {
			x.accepted[a.GetProtocolInstanceId()] = e.GetEventId()
		}
		if a := e.GetWorkflowExecutionUpdateCompletedEventAttributes(); a != nil {
			x.answered[a.GetMeta().GetUpdateId()] = a.GetOutcome()
		}
	}
	return x
}

// add writes an event. Its attributes are one of the oneof's wrappers.
func (x *execution) add(kind enumspb.EventType, set func(*historypb.HistoryEvent)) int64 {
	e := &historypb.HistoryEvent{EventId: int64(len(x.events) + 1), EventTime: timestamppb.New(x.now), EventType: kind}
	set(e)
	x.events = append(x.events, e)
	return e.EventId
}

func (x *execution) signal(name string, input *commonpb.Payloads) {
	x.add(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, func(e *historypb.HistoryEvent) {
		e.Attributes = &historypb.HistoryEvent_WorkflowExecutionSignaledEventAttributes{WorkflowExecutionSignaledEventAttributes: &historypb.WorkflowExecutionSignaledEventAttributes{
			SignalName: name, Input: input,
		}}
	})
}

func (x *execution) cancel() {
	x.add(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, func(e *historypb.HistoryEvent) {
		e.Attributes = &historypb.HistoryEvent_WorkflowExecutionCancelRequestedEventAttributes{
			WorkflowExecutionCancelRequestedEventAttributes: &historypb.WorkflowExecutionCancelRequestedEventAttributes{}}
	})
}

// update comes with the next workflow task.
func (x *execution) update(id, name string, input *commonpb.Payloads) {
	body, err := anypb.New(&updatepb.Request{Meta: &updatepb.Meta{UpdateId: id}, Input: &updatepb.Input{Name: name, Args: input}})
	if err != nil {
		x.t.Fatal(err)
	}
	x.updates = append(x.updates, &protocolpb.Message{Id: id + "/request", ProtocolInstanceId: id, Body: body})
}

// run takes the workflow to its end and returns the last event.
func (x *execution) run() *historypb.HistoryEvent {
	x.t.Helper()
	for range 200 {
		if len(x.updates) > 0 || x.taskIsDue() {
			x.task()
		} else {
			x.happen()
		}
		if last := x.events[len(x.events)-1]; closes(last) {
			return last
		}
	}
	x.t.Fatal("the workflow does not end")
	return nil
}

func closes(e *historypb.HistoryEvent) bool {
	return slices.Contains([]enumspb.EventType{enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW}, e.GetEventType())
}

// taskIsDue: something has happened that the workflow was not told.
func (x *execution) taskIsDue() bool {
	for _, e := range slices.Backward(x.events) {
		switch e.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			return false
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED,
			enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
			enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, enumspb.EVENT_TYPE_TIMER_FIRED,
			enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED, enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
			enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
			return true
		default: // what a workflow is not woken for
		}
	}
	return false
}

// task is one workflow task. Where the history was cut off inside of one, that one.
func (x *execution) task() {
	x.t.Helper()
	if last := x.events[len(x.events)-1].GetEventType(); last == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED {
		x.events = x.events[:len(x.events)-1]
	}
	scheduled := x.scheduledTask()
	started := x.add(enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED, func(e *historypb.HistoryEvent) {
		e.Attributes = &historypb.HistoryEvent_WorkflowTaskStartedEventAttributes{WorkflowTaskStartedEventAttributes: &historypb.WorkflowTaskStartedEventAttributes{
			ScheduledEventId: scheduled, SuggestContinueAsNew: x.suggest,
		}}
	})
	previous := int64(0)
	for _, e := range x.events {
		if a := e.GetWorkflowTaskCompletedEventAttributes(); a != nil {
			previous = a.GetStartedEventId()
		}
	}
	for _, m := range x.updates {
		m.SequencingId = &protocolpb.Message_EventId{EventId: started - 1}
	}
	begun := x.events[0].GetWorkflowExecutionStartedEventAttributes()
	response := send(x.server, x.tasks, &workflowservice.PollWorkflowTaskQueueResponse{
		TaskToken: []byte("task"), Attempt: 1, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: begun.GetWorkflowId(), RunId: fmt.Sprintf("%p-%d", x, started)},
		WorkflowType: begun.GetWorkflowType(), PreviousStartedEventId: previous, StartedEventId: started,
		History: &historypb.History{Events: x.events}, Messages: x.updates, WorkflowExecutionTaskQueue: &taskqueuepb.TaskQueue{Name: workflows.TaskQueue},
	})
	completed, ok := response.(*workflowservice.RespondWorkflowTaskCompletedRequest)
	if !ok {
		x.t.Fatalf("the workflow task failed: %v", response)
	}
	messages := map[string]*protocolpb.Message{}
	for _, m := range completed.GetMessages() {
		messages[m.GetId()] = m
		if rejection := new(updatepb.Rejection); m.GetBody().MessageIs(rejection) {
			x.refused[m.GetProtocolInstanceId()] = true
		}
	}
	id := x.add(enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, func(e *historypb.HistoryEvent) {
		e.Attributes = &historypb.HistoryEvent_WorkflowTaskCompletedEventAttributes{WorkflowTaskCompletedEventAttributes: &historypb.WorkflowTaskCompletedEventAttributes{
			ScheduledEventId: scheduled, StartedEventId: started, SdkMetadata: completed.GetSdkMetadata(),
		}}
	})
	requests := x.updates
	x.updates = nil
	for _, command := range completed.GetCommands() {
		x.obey(command, id, messages, requests)
	}
}

func (x *execution) scheduledTask() int64 {
	for _, e := range slices.Backward(x.events) {
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED {
			return e.GetEventId()
		}
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			break
		}
	}
	return x.add(enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, func(e *historypb.HistoryEvent) {
		e.Attributes = &historypb.HistoryEvent_WorkflowTaskScheduledEventAttributes{WorkflowTaskScheduledEventAttributes: &historypb.WorkflowTaskScheduledEventAttributes{
			TaskQueue: &taskqueuepb.TaskQueue{Name: workflows.TaskQueue}, Attempt: 1,
		}}
	})
}

// obey writes what a command leaves in the history.
func (x *execution) obey(command *commandpb.Command, task int64, messages map[string]*protocolpb.Message, requests []*protocolpb.Message) {
	x.t.Helper()
	switch command.GetCommandType() {
	case enumspb.COMMAND_TYPE_PROTOCOL_MESSAGE:
		x.answer(messages[command.GetProtocolMessageCommandAttributes().GetMessageId()], requests)
	case enumspb.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
		a := command.GetScheduleActivityTaskCommandAttributes()
		x.add(enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, func(e *historypb.HistoryEvent) {
			e.UserMetadata = command.GetUserMetadata()
			e.Attributes = &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{
				ActivityId: a.GetActivityId(), ActivityType: a.GetActivityType(), TaskQueue: a.GetTaskQueue(), Input: a.GetInput(),
				StartToCloseTimeout: a.GetStartToCloseTimeout(), RetryPolicy: a.GetRetryPolicy(), WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK:
		scheduled := command.GetRequestCancelActivityTaskCommandAttributes().GetScheduledEventId()
		x.add(enumspb.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_ActivityTaskCancelRequestedEventAttributes{ActivityTaskCancelRequestedEventAttributes: &historypb.ActivityTaskCancelRequestedEventAttributes{
				ScheduledEventId: scheduled, WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_START_TIMER:
		a := command.GetStartTimerCommandAttributes()
		x.add(enumspb.EVENT_TYPE_TIMER_STARTED, func(e *historypb.HistoryEvent) {
			e.UserMetadata = command.GetUserMetadata()
			e.Attributes = &historypb.HistoryEvent_TimerStartedEventAttributes{TimerStartedEventAttributes: &historypb.TimerStartedEventAttributes{
				TimerId: a.GetTimerId(), StartToFireTimeout: a.GetStartToFireTimeout(), WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_CANCEL_TIMER:
		timer := command.GetCancelTimerCommandAttributes().GetTimerId()
		x.add(enumspb.EVENT_TYPE_TIMER_CANCELED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_TimerCanceledEventAttributes{TimerCanceledEventAttributes: &historypb.TimerCanceledEventAttributes{
				TimerId: timer, StartedEventId: x.timer(timer).GetEventId(), WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_RECORD_MARKER:
		a := command.GetRecordMarkerCommandAttributes()
		x.add(enumspb.EVENT_TYPE_MARKER_RECORDED, func(e *historypb.HistoryEvent) {
			e.UserMetadata = command.GetUserMetadata()
			e.Attributes = &historypb.HistoryEvent_MarkerRecordedEventAttributes{MarkerRecordedEventAttributes: &historypb.MarkerRecordedEventAttributes{
				MarkerName: a.GetMarkerName(), Details: a.GetDetails(), Failure: a.GetFailure(), WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
		a := command.GetUpsertWorkflowSearchAttributesCommandAttributes()
		x.add(enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_UpsertWorkflowSearchAttributesEventAttributes{UpsertWorkflowSearchAttributesEventAttributes: &historypb.UpsertWorkflowSearchAttributesEventAttributes{
				SearchAttributes: a.GetSearchAttributes(), WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
		a := command.GetStartChildWorkflowExecutionCommandAttributes()
		x.add(enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED, func(e *historypb.HistoryEvent) {
			e.UserMetadata = command.GetUserMetadata()
			e.Attributes = &historypb.HistoryEvent_StartChildWorkflowExecutionInitiatedEventAttributes{StartChildWorkflowExecutionInitiatedEventAttributes: &historypb.StartChildWorkflowExecutionInitiatedEventAttributes{
				WorkflowId: a.GetWorkflowId(), WorkflowType: a.GetWorkflowType(), Input: a.GetInput(), WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION:
		result := command.GetCompleteWorkflowExecutionCommandAttributes().GetResult()
		x.add(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes{WorkflowExecutionCompletedEventAttributes: &historypb.WorkflowExecutionCompletedEventAttributes{
				Result: result, WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION:
		a := command.GetContinueAsNewWorkflowExecutionCommandAttributes()
		x.add(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_WorkflowExecutionContinuedAsNewEventAttributes{WorkflowExecutionContinuedAsNewEventAttributes: &historypb.WorkflowExecutionContinuedAsNewEventAttributes{
				WorkflowType: a.GetWorkflowType(), Input: a.GetInput(), WorkflowTaskCompletedEventId: task,
			}}
		})
	case enumspb.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:
		failure := command.GetFailWorkflowExecutionCommandAttributes().GetFailure()
		x.add(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_WorkflowExecutionFailedEventAttributes{WorkflowExecutionFailedEventAttributes: &historypb.WorkflowExecutionFailedEventAttributes{
				Failure: failure, WorkflowTaskCompletedEventId: task,
			}}
		})
	default:
		x.t.Fatalf("command %s", command.GetCommandType())
	}
}

// answer writes what became of an update.
func (x *execution) answer(m *protocolpb.Message, requests []*protocolpb.Message) {
	x.t.Helper()
	id := m.GetProtocolInstanceId()
	acceptance, response := new(updatepb.Acceptance), new(updatepb.Response)
	switch {
	case m.GetBody().MessageIs(acceptance):
		if err := m.GetBody().UnmarshalTo(acceptance); err != nil {
			x.t.Fatal(err)
		}
		request := new(updatepb.Request)
		i := slices.IndexFunc(requests, func(r *protocolpb.Message) bool { return r.GetProtocolInstanceId() == id })
		if err := requests[i].GetBody().UnmarshalTo(request); err != nil {
			x.t.Fatal(err)
		}
		x.accepted[id] = x.add(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_WorkflowExecutionUpdateAcceptedEventAttributes{WorkflowExecutionUpdateAcceptedEventAttributes: &historypb.WorkflowExecutionUpdateAcceptedEventAttributes{
				ProtocolInstanceId: id, AcceptedRequestMessageId: acceptance.GetAcceptedRequestMessageId(),
				AcceptedRequestSequencingEventId: acceptance.GetAcceptedRequestSequencingEventId(), AcceptedRequest: request,
			}}
		})
	case m.GetBody().MessageIs(response):
		if err := m.GetBody().UnmarshalTo(response); err != nil {
			x.t.Fatal(err)
		}
		x.answered[id] = response.GetOutcome()
		x.add(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_WorkflowExecutionUpdateCompletedEventAttributes{WorkflowExecutionUpdateCompletedEventAttributes: &historypb.WorkflowExecutionUpdateCompletedEventAttributes{
				Meta: response.GetMeta(), AcceptedEventId: x.accepted[id], Outcome: response.GetOutcome(),
			}}
		})
	default:
		x.t.Fatalf("message %s", m.GetBody().GetTypeUrl())
	}
}

// happen lets one thing come to its end that the workflow waits for: an activity,
// else the start of a child, else the first timer.
func (x *execution) happen() {
	x.t.Helper()
	over := x.over()
	for _, e := range x.events {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil && !over[e.GetEventId()] {
			x.activity(e, a)
			return
		}
		if a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); a != nil && !over[e.GetEventId()] {
			x.add(enumspb.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, func(started *historypb.HistoryEvent) {
				started.Attributes = &historypb.HistoryEvent_ChildWorkflowExecutionStartedEventAttributes{ChildWorkflowExecutionStartedEventAttributes: &historypb.ChildWorkflowExecutionStartedEventAttributes{
					InitiatedEventId: e.GetEventId(), WorkflowType: a.GetWorkflowType(), WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: a.GetWorkflowId(), RunId: "child"},
				}}
			})
			return
		}
	}
	var first *historypb.HistoryEvent
	fires := func(e *historypb.HistoryEvent) time.Time {
		return e.GetEventTime().AsTime().Add(e.GetTimerStartedEventAttributes().GetStartToFireTimeout().AsDuration())
	}
	for _, e := range x.events {
		if e.GetTimerStartedEventAttributes() != nil && !over[e.GetEventId()] && (first == nil || fires(e).Before(fires(first))) {
			first = e
		}
	}
	if first == nil {
		x.t.Fatal("first is nil: the workflow waits for nothing")
	}
	x.now = fires(first)
	x.add(enumspb.EVENT_TYPE_TIMER_FIRED, func(e *historypb.HistoryEvent) {
		e.Attributes = &historypb.HistoryEvent_TimerFiredEventAttributes{TimerFiredEventAttributes: &historypb.TimerFiredEventAttributes{
			TimerId: first.GetTimerStartedEventAttributes().GetTimerId(), StartedEventId: first.GetEventId(),
		}}
	})
}

// over are the events that began something which has ended.
func (x *execution) over() map[int64]bool {
	over := map[int64]bool{}
	for _, e := range x.events {
		for _, began := range []int64{
			e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId(), e.GetActivityTaskFailedEventAttributes().GetScheduledEventId(),
			e.GetActivityTaskCanceledEventAttributes().GetScheduledEventId(), e.GetActivityTaskCancelRequestedEventAttributes().GetScheduledEventId(),
			e.GetTimerFiredEventAttributes().GetStartedEventId(), e.GetTimerCanceledEventAttributes().GetStartedEventId(),
			e.GetChildWorkflowExecutionStartedEventAttributes().GetInitiatedEventId(), e.GetStartChildWorkflowExecutionFailedEventAttributes().GetInitiatedEventId(),
		} {
			over[began] = true
		}
	}
	return over
}

func (x *execution) timer(id string) *historypb.HistoryEvent {
	for _, e := range x.events {
		if a := e.GetTimerStartedEventAttributes(); a != nil && a.GetTimerId() == id {
			return e
		}
	}
	return nil
}

// activity tries an activity until it succeeds, or fails for good.
func (x *execution) activity(scheduled *historypb.HistoryEvent, a *historypb.ActivityTaskScheduledEventAttributes) {
	x.t.Helper()
	var started int64
	for _, e := range x.events {
		if e.GetActivityTaskStartedEventAttributes().GetScheduledEventId() == scheduled.GetEventId() {
			started = e.GetEventId()
		}
	}
	var response any
	for x.attempts++; ; x.attempts++ {
		if bound := int32(100); x.attempts >= bound {
			x.t.Fatalf("x.attempts is %v, want less than %v", x.attempts, bound)
		}
		response = send(x.server, x.activities, &workflowservice.PollActivityTaskQueueResponse{
			TaskToken: []byte("activity"), WorkflowNamespace: "default", WorkflowType: x.events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType(),
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "w", RunId: "r"}, ActivityType: a.GetActivityType(), ActivityId: a.GetActivityId(), Input: a.GetInput(),
			ScheduledTime: timestamppb.Now(), StartedTime: timestamppb.Now(), CurrentAttemptScheduledTime: timestamppb.Now(), Attempt: x.attempts,
			StartToCloseTimeout: a.GetStartToCloseTimeout(), ScheduleToCloseTimeout: a.GetStartToCloseTimeout(), HeartbeatTimeout: a.GetHeartbeatTimeout(),
		})
		if failed, ok := response.(*workflowservice.RespondActivityTaskFailedRequest); !ok || failed.GetFailure().GetApplicationFailureInfo().GetNonRetryable() {
			break
		}
	}
	if started == 0 {
		started = x.add(enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_ActivityTaskStartedEventAttributes{ActivityTaskStartedEventAttributes: &historypb.ActivityTaskStartedEventAttributes{ScheduledEventId: scheduled.GetEventId(), Attempt: x.attempts}}
		})
	}
	switch r := response.(type) {
	case *workflowservice.RespondActivityTaskCompletedRequest:
		x.add(enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_ActivityTaskCompletedEventAttributes{ActivityTaskCompletedEventAttributes: &historypb.ActivityTaskCompletedEventAttributes{
				ScheduledEventId: scheduled.GetEventId(), StartedEventId: started, Result: r.GetResult(),
			}}
		})
	case *workflowservice.RespondActivityTaskFailedRequest:
		x.add(enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED, func(e *historypb.HistoryEvent) {
			e.Attributes = &historypb.HistoryEvent_ActivityTaskFailedEventAttributes{ActivityTaskFailedEventAttributes: &historypb.ActivityTaskFailedEventAttributes{
				ScheduledEventId: scheduled.GetEventId(), StartedEventId: started, Failure: r.GetFailure(),
			}}
		})
	default:
		x.t.Fatalf("%T", response)
	}
}

// children are the ids of the workflows that were started.
func (x *execution) children() (ids []string) {
	for _, e := range x.events {
		if a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); a != nil {
			ids = append(ids, a.GetWorkflowId())
		}
	}
	return ids
}

// kinds names the events, for failures.
func (x *execution) kinds() string {
	var b strings.Builder
	for _, e := range x.events {
		fmt.Fprintf(&b, "%d %s\n", e.GetEventId(), e.GetEventType())
	}
	return b.String()
}

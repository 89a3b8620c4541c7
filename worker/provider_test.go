package worker

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"boxoffice/activities"
	"boxoffice/domain"
)

// hanging is a provider that answers nothing until it is released.
type hanging struct {
	activities.Provider
	released chan struct{}
}

func (h hanging) Capture(context.Context, string) (domain.Capture, bool, error) {
	<-h.released
	return domain.Capture{}, false, nil
}

// freeing is a ledger that gives seats back.
type freeing struct{ activities.Ledger }

func (freeing) Void(context.Context, *domain.Order) (domain.VoidOutcome, error) {
	return domain.VoidVoided, nil
}

// A provider that hangs has at most its share of a worker's slots: a step that needs
// the ledger alone is done although more calls than there are slots wait for the provider.
func TestAHangingProviderLeavesSlotsToTheLedger(t *testing.T) {
	if activities.ProviderCallsMax >= activitiesMax {
		t.Fatalf("%v, want less than %v", activities.ProviderCallsMax, activitiesMax)
	}
	provider := hanging{released: make(chan struct{})}
	tasks := make(chan *workflowservice.PollActivityTaskQueueResponse)
	done := make(chan string, 2*activitiesMax)
	server := func(ctx context.Context, method string, request, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
		switch r := request.(type) {
		case *workflowservice.PollActivityTaskQueueRequest:
			select {
			case task := <-tasks:
				proto.Merge(reply.(proto.Message), task)
				return nil
			case <-ctx.Done():
				return status.FromContextError(ctx.Err()).Err()
			}
		case *workflowservice.PollWorkflowTaskQueueRequest:
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		case *workflowservice.RespondActivityTaskCompletedRequest:
			done <- string(r.GetTaskToken())
			return nil
		case *workflowservice.RespondActivityTaskFailedRequest:
			if string(r.GetTaskToken()) == "ledger" {
				done <- r.GetFailure().GetMessage()
			}
			return nil
		case *workflowservice.GetSystemInfoRequest,
			*workflowservice.DescribeNamespaceRequest, *workflowservice.ShutdownWorkerRequest:
			return nil
		default:
			return status.Error(codes.Unimplemented, method)
		}
	}
	c, err := client.NewLazyClient(client.Options{
		Logger:            log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithUnaryInterceptor(server)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := New(c, &activities.Activities{Ledger: freeing{}, Provider: activities.BoundProvider(provider, domain.DefaultProvider)}, nil)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	t.Cleanup(func() { close(provider.released) }) // before the worker stops

	hand := func(name, token string, argument any) {
		t.Helper()
		input, err := converter.GetDefaultDataConverter().ToPayloads(argument)
		if err != nil {
			t.Fatal(err)
		}
		now := timestamppb.Now()
		task := &workflowservice.PollActivityTaskQueueResponse{
			TaskToken: []byte(token), ActivityType: &commonpb.ActivityType{Name: name}, ActivityId: token, Input: input, Attempt: 1,
			WorkflowType: &commonpb.WorkflowType{Name: "Checkout"}, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "w", RunId: "r"},
			ScheduledTime: now, StartedTime: now, CurrentAttemptScheduledTime: now,
			StartToCloseTimeout: durationpb.New(time.Minute), ScheduleToCloseTimeout: durationpb.New(time.Minute),
		}
		select {
		case tasks <- task:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: the worker has no slot for it", token)
		}
	}
	for i := range activitiesMax + 100 {
		hand("FindCapture", fmt.Sprint("provider ", i), "ps")
	}
	hand("Release", "ledger", domain.Order{ID: domain.OrderID{1}})
	select {
	case token := <-done:
		if token != "ledger" {
			t.Fatalf("%v, want %v", token, "ledger")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the ledger's step is not done")
	}
}

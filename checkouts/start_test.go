package checkouts_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"boxoffice/checkouts"
	"boxoffice/domain"
)

// The SDK retries a start by itself. A first attempt whose answer was lost may have
// started the checkout, so that a later refusal for load is no definite no: a client
// that is told "nothing was started" may use another key.
func TestAStartThatIsRefusedAfterALostAnswerIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the SDK goes on until the deadline
		attempts := 0
		server := func(_ context.Context, _ string, request, _ any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
			if _, start := request.(*workflowservice.StartWorkflowExecutionRequest); !start {
				return nil
			}
			if attempts++; attempts == 1 {
				return status.Error(codes.Unavailable, "the connection broke after the request was sent")
			}
			return status.Error(codes.ResourceExhausted, "too many requests")
		}
		c, err := client.NewLazyClient(client.Options{
			Logger:            log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
			ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(server)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = checkouts.NewDesk(c, payloads, nil, records{}, records{}, records{}).Start(t.Context(), order)
		if attempts <= 2 {
			t.Fatalf("attempts is %v, want more than 2", attempts)
		}
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %v", err)
		}
	})
}

package worker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/codec"
	"boxoffice/workflows"
)

// Settings of the worker. They limit what one process works on at a time.
const (
	// stickyCacheSize is how many open checkouts stay in memory. Any other must be
	// replayed from its history when its payment comes.
	stickyCacheSize = 20_000

	workflowTasksMax   = 1_000
	localActivitiesMax = 5_000 // they wait in the batcher, which works best with many at a time
	activitiesMax      = 500   // calls to other services

	pollers = 8

	// stopTimeout lets activities that are under way finish at a shutdown.
	stopTimeout = 10 * time.Second
)

// A DialOption changes how Dial connects.
type DialOption func(*client.Options)

// WithConnection takes TLS and credentials from options made by a configuration. Dial
// decides everything else.
func WithConnection(from client.Options) DialOption {
	return func(to *client.Options) {
		to.Credentials, to.HeadersProvider = from.Credentials, from.HeadersProvider
		to.ConnectionOptions.TLS, to.ConnectionOptions.TLSDisabled = from.ConnectionOptions.TLS, from.ConnectionOptions.TLSDisabled
		to.ConnectionOptions.Authority = from.ConnectionOptions.Authority
	}
}

// WithInterceptor adds an interceptor to the client, and to the workers on it.
func WithInterceptor(i interceptor.ClientInterceptor) DialOption {
	return func(to *client.Options) { to.Interceptors = append(to.Interceptors, i) }
}

// Dial connects to Temporal and proves it with a call. Every client of the box office
// comes from here, so that none writes a payload unsealed. It does not wait for a server
// that is down: the caller decides how long to try. The error names the address and what
// to check.
func Dial(ctx context.Context, address, namespace string, payloads *codec.Codec, log *slog.Logger, with ...DialOption) (client.Client, error) {
	c, err := client.DialContext(ctx, clientOptions(address, namespace, payloads, log, with))
	if err != nil {
		return nil, noAnswer(address, namespace, err)
	}
	return c, nil
}

// DialLater is Dial without the proof: it connects with the first call. For a server that may be
// down for now.
func DialLater(address, namespace string, payloads *codec.Codec, log *slog.Logger, with ...DialOption) (client.Client, error) {
	c, err := client.NewLazyClient(clientOptions(address, namespace, payloads, log, with))
	if err != nil {
		return nil, noAnswer(address, namespace, err)
	}
	return c, nil
}

func noAnswer(address, namespace string, err error) error {
	return fmt.Errorf("no Temporal server answers at %s (TEMPORAL_ADDRESS), namespace %q: %w", address, namespace, err)
}

func clientOptions(address, namespace string, payloads *codec.Codec, log *slog.Logger, with []DialOption) client.Options {
	options := client.Options{
		HostPort:  address,
		Namespace: namespace,
		Logger:    sdklog.NewStructuredLogger(log),

		DataConverter:    payloads.DataConverter(),
		FailureConverter: payloads.FailureConverter(),

		ConnectionOptions: client.ConnectionOptions{
			// Payloads are small and the server is near, so gzip costs more than it
			// saves.
			GrpcCompression: &client.GrpcCompressionNone{},
		},
	}
	for _, o := range with {
		o(&options)
	}
	return options
}

// Worker polls the task queue.
type Worker struct{ sdkworker.Worker }

// An Option changes how a worker runs things.
type Option func(*sdkworker.Options)

// New makes a worker; Start and Stop run it. onFatal is called if it cannot go on, for
// example because its namespace is gone.
func New(c client.Client, acts *activities.Activities, onFatal func(error), with ...Option) *Worker {
	sdkworker.SetStickyWorkflowCacheSize(stickyCacheSize)
	options := sdkworker.Options{
		MaxConcurrentWorkflowTaskExecutionSize:  workflowTasksMax,
		MaxConcurrentLocalActivityExecutionSize: localActivitiesMax,
		MaxConcurrentActivityExecutionSize:      activitiesMax,
		MaxConcurrentWorkflowTaskPollers:        pollers,
		MaxConcurrentActivityTaskPollers:        pollers,
		WorkerStopTimeout:                       stopTimeout,
		OnFatalError:                            onFatal,
		Interceptors:                            failpoints(),
	}
	for _, o := range with {
		o(&options)
	}
	w := sdkworker.New(c, workflows.TaskQueue, options)
	Register(w, acts)
	return &Worker{Worker: w}
}

// Register names everything that may be in a history, and says what becomes of it when there is a new version. A checkout
// is over in minutes, so it ends on the version that began it. What may wait for days goes on on the current one.
func Register(r sdkworker.Registry, acts *activities.Activities) {
	r.RegisterWorkflowWithOptions(workflows.Checkout, pinned)
	r.RegisterWorkflowWithOptions(workflows.Late, upgraded)
	r.RegisterWorkflowWithOptions(workflows.Refund, upgraded)
	r.RegisterWorkflowWithOptions(workflows.CancelSale, upgraded)
	r.RegisterActivity(acts)
}

var (
	pinned   = workflow.RegisterOptions{VersioningBehavior: workflow.VersioningBehaviorPinned}
	upgraded = workflow.RegisterOptions{VersioningBehavior: workflow.VersioningBehaviorAutoUpgrade}
)

//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	namespace   = "faults"
	buyersMax   = 6
	buyersPause = 30 * time.Millisecond
	callTimeout = 4 * time.Second
	// answerWithin bounds how long a buyer asks, with a fault on the way and after it.
	answerWithin = 90 * time.Second
)

// An entry is what we know about one order: what was acknowledged must be there, and what was sent may be.
type entry struct {
	id    string
	shape shape

	mu          sync.Mutex
	run         string // of the acknowledged start
	sent, acked []string
	paid        bool // the last word was acknowledged
	checked     bool // it has ended, and was as it should
}

func (e *entry) with(do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	do()
}

// A load sends orders and keeps the record of what was acknowledged.
type load struct {
	ctx     context.Context // of the test: an order that has begun is carried on until then
	client  client.Client
	wrong   chan error // the first answer that no correct server gives
	acks    atomic.Int64
	leaving atomic.Bool // orders are begun, and left open
	mu      sync.Mutex
	entries []*entry
	open    []*entry // started, and waiting for more
}

// dial gives a client of an address.
func dial(t *testing.T, address string) client.Client {
	t.Helper()
	c, err := client.NewLazyClient(client.Options{
		HostPort: address, Namespace: namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// newLoad makes the namespace and starts a worker.
func newLoad(t *testing.T, address string) *load {
	t.Helper()
	l := &load{ctx: t.Context(), client: dial(t, address), wrong: make(chan error, 1)}
	await(t, startWithin, "the namespace is there", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
		defer cancel()
		_, err := l.client.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
		})
		var exists *serviceerror.NamespaceAlreadyExists
		return err == nil || errors.As(err, &exists)
	})
	await(t, startWithin, "the namespace is known", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
		defer cancel()
		_, err := l.client.WorkflowService().DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
			Namespace: namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: "none"},
		})
		var noWorkflow *serviceerror.NotFound
		return errors.As(err, &noWorkflow)
	})
	w := worker.New(l.client, taskQueue, worker.Options{WorkerStopTimeout: time.Second})
	w.RegisterWorkflow(order)
	w.RegisterWorkflow(child)
	w.RegisterActivity(step)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return l
}

// run sends orders until it is stopped. Each is carried on until it is answered.
func (l *load) run(seed uint64, buyers int, through client.Client) (stop func(*testing.T)) {
	ctx, cancel := context.WithCancel(l.ctx)
	var wg sync.WaitGroup
	for b := range buyers {
		rng := rand.New(rand.NewPCG(seed, uint64(b)))
		wg.Go(func() {
			for ctx.Err() == nil {
				l.buy(rng, through)
				pause(ctx, buyersPause)
			}
		})
	}
	return func(t *testing.T) {
		t.Helper()
		cancel()
		ended := make(chan struct{})
		go func() {
			wg.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case err := <-l.wrong:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(answerWithin):
			t.Fatalf("buyers are not answered: within %v", answerWithin)
		}
	}
}

// buy starts an order and sends it some words, or goes on with one that has waited for a while.
func (l *load) buy(rng *rand.Rand, through client.Client) {
	var e *entry
	if !l.leaving.Load() && rng.IntN(4) == 0 {
		e = l.takeOpen(rng)
	}
	if e == nil {
		e = &entry{id: "order-" + uuid.NewString(), shape: plain}
		if rng.IntN(2) == 0 {
			e.shape = shape(rng.IntN(int(shapes)))
		}
		if !l.start(through, e) {
			return
		}
	}
	for range rng.IntN(3) {
		l.tell(through, e, uuid.NewString())
	}
	if l.leaving.Load() || rng.IntN(4) == 0 {
		l.mu.Lock()
		l.open = append(l.open, e)
		l.mu.Unlock()
		return
	}
	l.pay(through, e)
}

func (l *load) takeOpen(rng *rand.Rand) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) == 0 {
		return nil
	}
	i := rng.IntN(len(l.open))
	e := l.open[i]
	l.open[i] = l.open[len(l.open)-1]
	l.open = l.open[:len(l.open)-1]
	return e
}

// start asks until it is answered, always with the same request id: the answer has to be the same run.
func (l *load) start(through client.Client, e *entry) bool {
	input, err := converter.GetDefaultDataConverter().ToPayloads(e.shape, []string(nil))
	if err != nil {
		panic(err) // it is an integer and no words
	}
	request := uuid.NewString()
	return l.ask("start "+e.id, func(ctx context.Context) error {
		answer, err := through.WorkflowService().StartWorkflowExecution(ctx, &workflowservice.StartWorkflowExecutionRequest{
			Namespace: namespace, WorkflowId: e.id, WorkflowType: &commonpb.WorkflowType{Name: "order"}, RequestId: request,
			TaskQueue: &taskqueuepb.TaskQueue{Name: taskQueue}, Input: input, WorkflowTaskTimeout: durationpb.New(3 * time.Second),
		})
		if err != nil {
			return err
		}
		e.with(func() { e.run = answer.RunId })
		l.mu.Lock()
		l.entries = append(l.entries, e)
		l.mu.Unlock()
		return nil
	})
}

// tell sends a word until it is acknowledged, always with the same request id: it has to arrive once.
func (l *load) tell(through client.Client, e *entry, word string) bool {
	input, err := converter.GetDefaultDataConverter().ToPayloads(word)
	if err != nil {
		panic(err) // it is a word
	}
	e.with(func() { e.sent = append(e.sent, word) })
	request, tries := uuid.NewString(), 0
	return l.ask("tell "+e.id, func(ctx context.Context) error {
		tries++
		_, err := through.WorkflowService().SignalWorkflowExecution(ctx, &workflowservice.SignalWorkflowExecutionRequest{
			Namespace: namespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: e.id, RunId: e.run}, SignalName: "tell",
			Input: input, RequestId: request,
		})
		var missing *serviceerror.NotFound
		if word == lastWord && tries > 1 && errors.As(err, &missing) {
			err = nil // it came in at an earlier try, and the order has ended; check looks whether that is so
		}
		if err != nil {
			return err
		}
		e.with(func() { e.acked = append(e.acked, word) })
		return nil
	})
}

func (l *load) pay(through client.Client, e *entry) {
	if l.tell(through, e, lastWord) {
		e.with(func() { e.paid = true })
	}
}

// ask repeats a call until it is answered, or the test ends.
func (l *load) ask(what string, call func(context.Context) error) bool {
	for l.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(l.ctx, callTimeout)
		err := call(ctx)
		cancel()
		if err == nil {
			l.acks.Add(1)
			return true
		}
		var missing *serviceerror.NotFound
		var started *serviceerror.WorkflowExecutionAlreadyStarted
		if errors.As(err, &missing) || errors.As(err, &started) {
			l.fail(fmt.Errorf("%s: %w", what, err))
			return false
		}
		pause(l.ctx, 50*time.Millisecond)
	}
	return false
}

func (l *load) fail(err error) {
	select {
	case l.wrong <- err:
	default:
	}
}

func (l *load) all() []*entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*entry(nil), l.entries...)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

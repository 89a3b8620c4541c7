package webhooks

import (
	"context"
	"errors"
	"sync"
	"time"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/pace"
)

// ReaderName is under what the cursors are kept.
const ReaderName = "webhooks"

const (
	readMax = 100 // events that are queued at once
	// wakeInterval is between two signals to a delivery: in a rush one is for many events.
	wakeInterval = 250 * time.Millisecond
)

// Queue is what the reader writes to. orders.Store is one.
type Queue interface {
	QueueWebhooks(ctx context.Context, events []domain.Event) (endpoints []string, err error)
	PendingWebhookEndpoints(ctx context.Context) ([]string, error)
}

// NewReader queues each event for the endpoints that want it, and wakes their deliveries.
// An event that is read again finds its row; a delivery that is woken again finds nothing
// to do.
func NewReader(queue Queue, c signaller) notify.Reader {
	r := &reader{queue: queue, temporal: c, wakers: make(map[string]*waker)}
	return notify.Reader{Name: ReaderName, FromNow: true, BatchMax: readMax, Handle: r.handle}
}

type reader struct {
	queue    Queue
	temporal signaller

	mu     sync.Mutex
	looked bool // for what was pending before this process
	wakers map[string]*waker
}

// A waker lets the parts of this node's work share signals.
type waker struct {
	mu   sync.Mutex
	next *sharedWake // that has not been sent
	last time.Time
}

type sharedWake struct {
	Wake
	done chan struct{}
	err  error
}

func (r *reader) handle(ctx context.Context, events []domain.Event) error {
	endpoints, err := r.queue.QueueWebhooks(ctx, events)
	if err != nil {
		return err
	}
	endpoints, err = r.withPending(ctx, endpoints)
	if err != nil {
		return err
	}
	var failed error // one that cannot be woken does not keep the others asleep
	for _, endpoint := range endpoints {
		err := r.wakerOf(endpoint).wake(ctx, r.temporal, endpoint, Wake{Events: len(events), First: events[0].ID.String()})
		failed = errors.Join(failed, err)
	}
	return failed
}

// withPending adds, once a process, the endpoints that have something pending: where
// somebody terminated a delivery it goes on then.
func (r *reader) withPending(ctx context.Context, endpoints []string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.looked {
		return endpoints, nil
	}
	pending, err := r.queue.PendingWebhookEndpoints(ctx)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	var all []string
	for _, id := range append(endpoints, pending...) {
		if !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	r.looked = true
	return all, nil
}

func (r *reader) wakerOf(endpoint string) *waker {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wakers[endpoint] == nil {
		r.wakers[endpoint] = &waker{}
	}
	return r.wakers[endpoint]
}

// wake returns when a signal was taken that was sent after the call. Who comes while the
// next one waits for its time shares it.
func (w *waker) wake(ctx context.Context, c signaller, endpoint string, say Wake) error {
	w.mu.Lock()
	if shared := w.next; shared != nil {
		shared.Events += say.Events
		w.mu.Unlock()
		select {
		case <-shared.done:
			return shared.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	shared := &sharedWake{Wake: say, done: make(chan struct{})}
	w.next = shared
	pause := wakeInterval - time.Since(w.last)
	w.mu.Unlock()
	_ = pace.Pause(ctx, max(pause, 0)) // whoever is stopping still wakes: others wait for it
	w.mu.Lock()
	w.next, w.last = nil, time.Now()
	say = shared.Wake
	w.mu.Unlock()
	shared.err = wake(ctx, c, endpoint, say)
	close(shared.done)
	return shared.err
}

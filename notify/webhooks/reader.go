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

// ReaderName is the name that cursors are stored under.
const ReaderName = domain.ReaderWebhooks

const (
	readMax = 100 // events that are queued at once
	// wakeInterval is the least time between two signals to a delivery, so that in a rush one
	// signal serves many events.
	wakeInterval = 250 * time.Millisecond
	// wakeIntervalBusy is that while buyers wait for the engine, which has work with each signal.
	wakeIntervalBusy = 2 * time.Second
)

// Queue is what the reader writes to. orders.Store is one.
type Queue interface {
	QueueWebhooks(ctx context.Context, events []domain.Event) (endpoints []string, err error)
}

// NewReader queues each event for the endpoints that want it, and wakes their deliveries.
// If an event is read again, its row is already there; if a delivery is woken again, it
// finds nothing to do.
func NewReader(queue Queue, c signaller, busy func() bool) notify.Reader {
	r := &reader{queue: queue, temporal: c, busy: busy, wakers: make(map[string]*waker)}
	return notify.Reader{Name: ReaderName, FromNow: true, BatchMax: readMax, Handle: r.handle}
}

type reader struct {
	queue    Queue
	temporal signaller
	busy     func() bool

	mu     sync.Mutex
	wakers map[string]*waker
}

// A waker lets the shards of this node share signals.
type waker struct {
	mu   sync.Mutex
	next *sharedWake // the next signal, not sent yet
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
	interval := wakeInterval
	if r.busy() {
		interval = wakeIntervalBusy
	}
	var failed error // go on with the others if one cannot be woken
	for _, endpoint := range endpoints {
		err := r.wakerOf(endpoint).wake(ctx, r.temporal, endpoint, interval, Wake{Events: len(events), First: events[0].ID.String()})
		failed = errors.Join(failed, err)
	}
	return failed
}

func (r *reader) wakerOf(endpoint string) *waker {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wakers[endpoint] == nil {
		r.wakers[endpoint] = &waker{}
	}
	return r.wakers[endpoint]
}

// wake returns when a signal that was sent after the call has arrived. Callers that come
// while the next signal waits for its time share it.
func (w *waker) wake(ctx context.Context, c signaller, endpoint string, interval time.Duration, say Wake) error {
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
	pause := interval - time.Since(w.last)
	w.mu.Unlock()
	_ = pace.Pause(ctx, max(pause, 0)) // send it even when this caller is stopping, because others wait for it
	w.mu.Lock()
	w.next, w.last = nil, time.Now()
	say = shared.Wake
	w.mu.Unlock()
	shared.err = wake(ctx, c, endpoint, say)
	close(shared.done)
	return shared.err
}

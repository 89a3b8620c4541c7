package ledger

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/failpoint"
	"boxoffice/tracing"
)

// A lane batches one operation: E are its events, R their results, one each. Its
// goroutine sends one request at a time; what arrives meanwhile becomes the next request.
// It never waits for more to come, so a lone caller pays no delay.
type lane[E, R any] struct {
	op      Op
	call    func(tb.Client, []E) ([]R, error) // len(results) == len(events), or an error
	session *session
	config  *batcherConfig

	wake    chan struct{} // capacity 1: there is something to do
	stopped chan struct{} // closed when the goroutine has ended

	mu           sync.Mutex
	queue        list.List // of *unit[E, R], oldest first
	queuedEvents int
	closing      bool
	room         room
}

// A unit is what one caller submitted: never split, because it may be a chain.
type unit[E, R any] struct {
	events   []E
	queuedAt time.Time
	settled  chan struct{} // closed once results and err are final
	span     trace.Span    // its own, if it is recorded; else nil

	// Guarded by the lane's mutex.
	place   *list.Element // nil unless queued
	done    bool
	results []R
	err     error
}

// room is how many events fit into one request. A cluster does not tell its limit. The
// client refuses a request that exceeds it before sending anything (ErrTooMuchData), so
// bisection finds the limit at no cost.
type room struct {
	proven  int // the most ever accepted
	tooMany int // the fewest ever refused
	full    int // what to put into a request now
}

func newRoom(eventsMax int) room { return room{tooMany: eventsMax + 1, full: eventsMax} }

func (r *room) refused(events int) {
	const one = 1 // always fits: one event is never refused because of its size
	r.tooMany = max(min(r.tooMany, events), one+1)
	if r.proven >= r.tooMany { // another cluster, another limit
		r.proven = 0
	}
	r.full = max(1, (r.proven+r.tooMany)/2)
}

// accepted is told whether the request was cut short because it was full: only then is it
// worth trying more.
func (r *room) accepted(events int, cut bool) {
	r.proven = max(r.proven, events)
	if cut {
		r.full = max(r.full, (max(r.proven, r.full)+r.tooMany)/2)
	}
}

func newLane[E, R any](op Op, eventsMax int, call func(tb.Client, []E) ([]R, error), s *session, c *batcherConfig) *lane[E, R] {
	return &lane[E, R]{
		op:      op,
		call:    call,
		session: s,
		config:  c,
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		room:    newRoom(eventsMax),
	}
}

// submit queues the events and waits for their results.
func (l *lane[E, R]) submit(ctx context.Context, events []E) (results []R, err error) {
	if len(events) == 0 {
		return nil, nil
	}
	span := l.startUnit(ctx, len(events))
	if span != nil {
		defer func() { tracing.End(span, err) }()
	}
	if err := ctx.Err(); err != nil {
		return nil, l.notSent(err)
	}
	u, err := l.enqueue(events, span)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.config.answerTimeout, errNoAnswer)
	defer cancel()
	select {
	case <-u.settled:
	case <-ctx.Done():
		l.abandon(u, context.Cause(ctx))
	}
	return u.results, u.err
}

func (l *lane[E, R]) enqueue(events []E, span trace.Span) (*unit[E, R], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closing:
		return nil, errBatcherClosed(l.op)
	case len(events) >= l.room.tooMany:
		return nil, errUnitTooLarge(l.op, len(events))
	case l.queuedEvents+len(events) > l.config.queueEventsMax:
		l.config.observer.Refused(l.op)
		return nil, l.notSent(errQueueFull)
	}
	u := &unit[E, R]{events: events, queuedAt: time.Now(), settled: make(chan struct{}), span: span}
	u.place = l.queue.PushBack(u)
	l.queuedEvents += len(events)
	l.signal()
	return u, nil
}

func (l *lane[E, R]) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// abandon is for a caller that gives up. If the unit is still queued, it is taken back:
// that is a definite answer. If it was sent, it may be in the books or not, and the
// request stays out until the client answers it.
func (l *lane[E, R]) abandon(u *unit[E, R], cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case u.done:
	case u.place != nil:
		l.unqueue(u)
		l.config.observer.Refused(l.op)
		l.settle(u, nil, l.notSent(cause))
	default:
		l.config.observer.Unanswered(l.op)
		l.settle(u, nil, l.unknown(cause))
	}
}

// The callers of unqueue and settle hold the mutex.

func (l *lane[E, R]) unqueue(u *unit[E, R]) {
	l.queue.Remove(u.place)
	l.queuedEvents -= len(u.events)
	u.place = nil
}

func (l *lane[E, R]) settle(u *unit[E, R], results []R, err error) {
	if u.done {
		return
	}
	u.done, u.results, u.err = true, results, err
	close(u.settled)
}

// run sends until the lane is closed and its queue is empty.
func (l *lane[E, R]) run() {
	defer close(l.stopped)
	for l.awaitWork() {
		// The callers just answered are runnable, and many have their next event ready.
		// Without this yield, 64 of them split into two halves that take turns (32 events
		// a request instead of 44–52, measured).
		runtime.Gosched()
		client, err := l.session.acquire()
		if err != nil {
			l.withoutSession(err)
			continue
		}
		if batch := l.take(); len(batch.units) > 0 {
			l.send(client, batch)
		}
	}
}

// awaitWork blocks until something is queued. False means that nothing will be.
func (l *lane[E, R]) awaitWork() bool {
	for {
		l.mu.Lock()
		queued, closing := l.queue.Len() > 0, l.closing
		l.mu.Unlock()
		switch {
		case queued:
			return true
		case closing:
			return false
		}
		<-l.wake
	}
}

// withoutSession runs while there is no client to send with. Units stay queued until
// their own deadlines, unless there will never be a client.
func (l *lane[E, R]) withoutSession(err error) {
	l.mu.Lock()
	final := l.closing || errors.Is(err, errNoSession)
	for final && l.queue.Len() > 0 {
		u := l.queue.Front().Value.(*unit[E, R])
		l.unqueue(u)
		l.settle(u, nil, l.notSent(err))
	}
	l.mu.Unlock()
	if final {
		return
	}
	l.config.logger.Warn("no ledger session, units are waiting", slog.String("op", string(l.op)), slog.Any("error", err))
	select {
	case <-time.After(redialBackoff):
	case <-l.session.closing.Done():
	}
}

type batch[E, R any] struct {
	units  []*unit[E, R]
	events []E
	oldest time.Time
	cut    bool // there was more, but it did not fit
}

// take fills a request with the oldest units.
func (l *lane[E, R]) take() batch[E, R] {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b batch[E, R]
	b.events = make([]E, 0, min(l.queuedEvents, l.room.full))
	for l.queue.Len() > 0 && (l.config.unitsMax == 0 || len(b.units) < l.config.unitsMax) {
		u := l.queue.Front().Value.(*unit[E, R])
		if len(u.events) >= l.room.tooMany {
			l.unqueue(u)
			l.settle(u, nil, errUnitTooLarge(l.op, len(u.events)))
			continue
		}
		if len(b.units) > 0 && len(b.events)+len(u.events) > l.room.full {
			b.cut = true
			break
		}
		if len(b.units) == 0 {
			b.oldest = u.queuedAt
		}
		l.unqueue(u)
		b.units = append(b.units, u)
		b.events = append(b.events, u.events...)
	}
	return b
}

func (l *lane[E, R]) send(client openSession, b batch[E, R]) {
	span := l.startBatch(b)
	sentAt := time.Now()
	failpoint.Before("ledger", string(l.op))
	results, err := l.call(client.Client, b.events)
	failpoint.After("ledger", string(l.op))
	if err == nil && len(results) != len(b.events) {
		err = fmt.Errorf("%d events were answered with %d results", len(b.events), len(results))
	}
	tracing.End(span, err)
	l.config.observer.Answered(Request{
		Op: l.op, Units: len(b.units), Events: len(b.events),
		QueueWait: sentAt.Sub(b.oldest), Took: time.Since(sentAt), Err: err,
	})
	if sessionIsOver(err) {
		l.session.lost(client, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.room.accepted(len(b.events), b.cut)
		l.deliver(b, results)
	case errors.Is(err, tb.ErrTooMuchData):
		l.refused(b)
	default:
		for _, u := range b.units {
			l.settle(u, nil, l.unknown(err))
		}
	}
}

func (l *lane[E, R]) deliver(b batch[E, R], results []R) {
	for _, u := range b.units {
		n := len(u.events)
		l.settle(u, results[:n:n], nil)
		results = results[n:]
	}
}

// refused puts the units of a request that was too large back at the front of the queue,
// in order. A unit that was alone cannot be sent at all.
func (l *lane[E, R]) refused(b batch[E, R]) {
	l.room.refused(len(b.events))
	l.config.logger.Info("the ledger takes smaller requests", slog.String("op", string(l.op)),
		slog.Int("events", len(b.events)), slog.Int("next", l.room.full))
	if len(b.units) == 1 {
		l.settle(b.units[0], nil, errUnitTooLarge(l.op, len(b.events)))
		return
	}
	for i := len(b.units) - 1; i >= 0; i-- {
		if u := b.units[i]; !u.done {
			u.place = l.queue.PushFront(u)
			l.queuedEvents += len(u.events)
		}
	}
}

// close stops accepting; what was accepted is still sent.
func (l *lane[E, R]) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
	l.signal()
}

// ended is closed when everything accepted was answered.
func (l *lane[E, R]) ended() <-chan struct{} { return l.stopped }

var (
	errNoAnswer  = errors.New("the ledger did not answer in time")
	errQueueFull = errors.New("the queue is full")
)

// notSent is definite: nothing of it is in the books, now or later.
func (l *lane[E, R]) notSent(cause error) error {
	return &domain.Error{
		Code:       domain.CodeOverloaded,
		Detail:     "The box office is busy. Nothing was booked; please try again.",
		RetryAfter: overloadedRetryAfter,
		Err:        fmt.Errorf("%s was not sent: %w", l.op, cause),
	}
}

func (l *lane[E, R]) unknown(cause error) error {
	return &domain.UnknownError{Op: string(l.op), ID: "request", Err: cause}
}

func errUnitTooLarge(op Op, events int) error {
	return &domain.Error{
		Code:   domain.CodeInternal,
		Detail: "The ledger cannot take a request of this size. Nothing was booked.",
		Err:    fmt.Errorf("%s of %d events: %w", op, events, tb.ErrTooMuchData),
	}
}

func errBatcherClosed(op Op) error {
	return &domain.Error{
		Code:       domain.CodeOverloaded,
		Detail:     "The box office is shutting down. Nothing was booked; please try again.",
		RetryAfter: overloadedRetryAfter,
		Err:        fmt.Errorf("%s was not sent: the batcher is closed", op),
	}
}

package orders

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"boxoffice/domain"
)

// queueOrdersMax limits what waits for the group commit: sixteen transactions of the
// default size.
const queueOrdersMax = 16 * RecordOrdersMaxDefault

var errRecordQueueFull = errors.New("too many orders wait to be recorded")

// A recordQueue is the group commit: one transaction is under way at a time (or a few:
// Options.RecordTransactionsMax), and what comes meanwhile makes the next one. It never
// waits for more to come, so a lone order is sent at once. A commit, which costs a flush
// of the disk, serves all who waited for the one before.
type recordQueue struct {
	record               func([]*recording) // settles all of them
	batchMax, runningMax int

	mu      sync.Mutex
	waiting []*recording // in the order of their arrival
	running int          // goroutines that take from it until it is empty
}

func newRecordQueue(record func([]*recording), batchMax, runningMax int) *recordQueue {
	return &recordQueue{record: record, batchMax: batchMax, runningMax: runningMax}
}

// submit waits for the order's turn and its answer. A caller that gives up while queued
// has certainly written nothing. One that gives up later does not know, and does not
// disturb the others of the transaction.
func (q *recordQueue) submit(ctx context.Context, r *recording) (domain.SoldOrder, error) {
	if err := ctx.Err(); err != nil {
		return domain.SoldOrder{}, notSent(r, err)
	}
	r.answered = make(chan struct{})
	if !q.enqueue(r) {
		return domain.SoldOrder{}, notSent(r, errRecordQueueFull)
	}
	select {
	case <-r.answered:
		return r.result, r.err
	case <-ctx.Done():
	}
	if q.remove(r) {
		return domain.SoldOrder{}, notSent(r, context.Cause(ctx))
	}
	select {
	case <-r.answered: // at the same moment
		return r.result, r.err
	default:
		return domain.SoldOrder{}, writeFailed("record order", r.id(), context.Cause(ctx))
	}
}

// notSent is a definite answer: repeat it.
func notSent(r *recording, cause error) error {
	return &domain.Error{
		Code: domain.CodeOverloaded, Detail: "The orders database is too slow. Nothing was written.", RetryAfter: readRetryAfter,
		Err: &notSentError{order: r.id(), cause: cause},
	}
}

type notSentError struct {
	order string
	cause error
}

func (e *notSentError) Error() string {
	return "orders: record order " + e.order + ": not sent: " + e.cause.Error()
}
func (e *notSentError) Unwrap() error { return e.cause }

func (q *recordQueue) enqueue(r *recording) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= queueOrdersMax {
		return false
	}
	q.waiting = append(q.waiting, r)
	if q.running < q.runningMax {
		q.running++
		go q.run()
	}
	return true
}

// remove takes an order back, unless it was already sent.
func (q *recordQueue) remove(r *recording) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, r)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// run ends when nothing waits any more: an idle store has no goroutine.
func (q *recordQueue) run() {
	for {
		batch := q.take()
		if len(batch) == 0 {
			return
		}
		q.record(batch)
		for _, r := range batch {
			close(r.answered)
		}
		// Callers that were just answered may have the next order ready. Let them queue
		// it, or they split into two halves that take turns (as in the ledger's lanes).
		runtime.Gosched()
	}
}

func (q *recordQueue) take() []*recording {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), q.batchMax)
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	if n == 0 {
		q.running--
	}
	return batch
}

// recordBatch has its own timeout; the callers' are theirs.
func (s *Store) recordBatch(batch []*recording) {
	ctx, cancel := s.bounded(context.Background())
	defer cancel()
	ctx, span := startBatch(ctx, batch)
	defer span.End()
	s.recordAll(ctx, batch)
}

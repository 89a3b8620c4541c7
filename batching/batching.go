// Package batching lets many callers share calls to a database, a disk or another
// service.
package batching

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrTooMany says that too many are already waiting. Nothing was sent.
var ErrTooMany = errors.New("too many wait for the next call")

// Calls shares the calls of Call: one is under way at a time, and what comes meanwhile
// makes the next one. It never waits for more to come. Set all fields before the first
// Do.
type Calls[Question, Answer any] struct {
	// Call answers questions in their order, or fails for all of them.
	Call    func(ctx context.Context, questions []Question) ([]Answer, error)
	Timeout time.Duration // of one call
	Max     int           // questions in one call
	// WaitingMax limits the questions that wait for the next calls.
	WaitingMax int

	mu      sync.Mutex
	waiting []*asked[Question, Answer]
	running bool
}

type asked[Question, Answer any] struct {
	question Question
	done     chan struct{} // closed once what is below is set
	answer   Answer
	err      error
}

// Do answers a question. A caller that gives up does not disturb the others: their call
// goes on.
func (c *Calls[Question, Answer]) Do(ctx context.Context, q Question) (Answer, error) {
	one := &asked[Question, Answer]{question: q, done: make(chan struct{})}
	if !c.enqueue(one) {
		return one.answer, ErrTooMany
	}
	select {
	case <-one.done:
		return one.answer, one.err
	case <-ctx.Done():
		var none Answer
		return none, ctx.Err()
	}
}

// Waiting is how many questions wait for the next calls.
func (c *Calls[Question, Answer]) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

func (c *Calls[Question, Answer]) enqueue(one *asked[Question, Answer]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= c.WaitingMax {
		return false
	}
	c.waiting = append(c.waiting, one)
	if !c.running {
		c.running = true
		go c.run()
	}
	return true
}

// run ends when nothing waits any more.
func (c *Calls[Question, Answer]) run() {
	for batch := c.take(); len(batch) > 0; batch = c.take() {
		c.settle(batch)
	}
}

func (c *Calls[Question, Answer]) take() []*asked[Question, Answer] {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), c.Max)
	batch := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	c.running = n > 0
	return batch
}

func (c *Calls[Question, Answer]) settle(batch []*asked[Question, Answer]) {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	questions := make([]Question, len(batch))
	for i, one := range batch {
		questions[i] = one.question
	}
	answers, err := c.Call(ctx, questions)
	for i, one := range batch {
		if one.err = err; err == nil {
			one.answer = answers[i]
		}
		close(one.done)
	}
}

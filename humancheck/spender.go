package humancheck

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	spendTimeout = 2 * time.Second
	// retryAfter is what those hear who could not be told whether theirs was used.
	retryAfter = 2 * time.Second
	// spendBatchMax is what one call takes, spendWaitingMax what waits for the next ones.
	spendBatchMax   = 2048
	spendWaitingMax = 8 * spendBatchMax
)

// A Spend notes for all nodes that challenges were used, each by its nonce, and says of
// each whether this was the first time. They may be forgotten a while after a time, when all have expired.
type Spend func(ctx context.Context, nonces [][]byte, until time.Time) (fresh []bool, err error)

var errTooMany = errors.New("too many challenges wait to be noted")

// A spender shares calls: one is under way at a time, and what comes meanwhile is the
// next one.
type spender struct {
	spend Spend

	mu      sync.Mutex
	waiting []*spending
	running bool
}

type spending struct {
	nonce     [nonceLen]byte
	expiresAt time.Time
	done      chan struct{} // closed once what is below is set
	fresh     bool
	err       error
}

func (s *spender) do(ctx context.Context, nonce [nonceLen]byte, expiresAt time.Time) (fresh bool, err error) {
	one := &spending{nonce: nonce, expiresAt: expiresAt, done: make(chan struct{})}
	if !s.enqueue(one) {
		return false, errTooMany
	}
	select {
	case <-one.done:
		return one.fresh, one.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (s *spender) enqueue(one *spending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= spendWaitingMax {
		return false
	}
	s.waiting = append(s.waiting, one)
	if !s.running {
		s.running = true
		go s.run()
	}
	return true
}

// run ends when nothing waits any more.
func (s *spender) run() {
	for batch := s.take(); len(batch) > 0; batch = s.take() {
		s.settle(batch)
	}
}

func (s *spender) take() []*spending {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), spendBatchMax)
	batch := append([]*spending(nil), s.waiting[:n]...)
	s.waiting = append([]*spending(nil), s.waiting[n:]...)
	s.running = n > 0
	return batch
}

func (s *spender) settle(batch []*spending) {
	ctx, cancel := context.WithTimeout(context.Background(), spendTimeout)
	defer cancel()
	nonces := make([][]byte, len(batch))
	var until time.Time
	for i, one := range batch {
		nonces[i] = one.nonce[:]
		if one.expiresAt.After(until) {
			until = one.expiresAt
		}
	}
	fresh, err := s.spend(ctx, nonces, until)
	for i, one := range batch {
		if one.err = err; err == nil {
			one.fresh = fresh[i]
		}
		close(one.done)
	}
}

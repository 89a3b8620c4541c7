package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// redialBackoff is the pause between attempts to open a session.
const redialBackoff = 500 * time.Millisecond

var errNoSession = errors.New("the ledger ended the session and there is no way to open another")

// A DialFunc opens a session with the ledger; see Dial. It must return when the context
// ends.
type DialFunc func(context.Context) (tb.Client, error)

// A session is the client that the lanes share, and its replacement after the cluster has
// ended it: TigerBeetle keeps a limited number of sessions and evicts the oldest (docs,
// "Client Sessions").
type session struct {
	dial   DialFunc // nil: a lost session is not replaced
	logger *slog.Logger

	// closing ends when nothing may be dialled any more.
	closing context.Context
	close   context.CancelFunc

	mu      sync.Mutex // held while dialling: one attempt at a time
	current openSession
}

// An openSession is one client. Its number distinguishes it from its successor.
type openSession struct {
	tb.Client
	number int
}

func newSession(client tb.Client, dial DialFunc, logger *slog.Logger) *session {
	closing, end := context.WithCancel(context.Background())
	return &session{dial: dial, logger: logger, closing: closing, close: end, current: openSession{client, 1}}
}

// acquire returns the client, and dials one if the last was lost.
func (s *session) acquire() (openSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Client != nil {
		return s.current, nil
	}
	if s.dial == nil {
		return openSession{}, errNoSession
	}
	client, err := s.dial(s.closing)
	if err != nil {
		return openSession{}, fmt.Errorf("open a ledger session: %w", err)
	}
	s.current = openSession{client, s.current.number + 1}
	s.logger.Info("ledger session replaced", slog.Int("session", s.current.number))
	return s.current, nil
}

// lost drops a client whose session has ended, unless another lane already did.
func (s *session) lost(gone openSession, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Client == nil || s.current.number != gone.number {
		return
	}
	s.logger.Warn("ledger session lost", slog.Int("session", gone.number), slog.Any("error", cause))
	s.current.Client = nil
	gone.Close()
}

// end closes the client. Pending requests answer ErrClientClosed.
func (s *session) end() {
	s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Client != nil {
		s.current.Close()
		s.current.Client = nil
	}
	s.dial = nil
}

// sessionIsOver reports whether the client will never answer again.
func sessionIsOver(err error) bool {
	return errors.Is(err, tb.ErrClientEvicted) || errors.Is(err, tb.ErrClientClosed) ||
		errors.Is(err, tb.ErrClientReleaseTooLow) || errors.Is(err, tb.ErrClientReleaseTooHigh)
}

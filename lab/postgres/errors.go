package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

var (
	// ErrOutcomeUnknown is wrapped by the error of a request whose COMMIT was sent
	// and not answered: it is in the books as a whole or not at all. Repeat it with
	// the same ids.
	ErrOutcomeUnknown = errors.New("postgres ledger: outcome unknown")
	// ErrNotApplied is wrapped by the error of a request that certainly changed
	// nothing: the database was out of reach, too slow or refused it.
	ErrNotApplied = errors.New("postgres ledger: not applied")

	// errStale: another request changed what this one had read before it had its
	// locks.
	errStale = errors.New("the rows changed meanwhile")
	// errRolledBack: the server answered COMMIT with ROLLBACK.
	errRolledBack = errors.New("the transaction was rolled back")
)

func unsupported(what string) error {
	return fmt.Errorf("postgres ledger: %s: %w: the box office does not use it, and this ledger is only its baseline", what, errors.ErrUnsupported)
}

// SQLSTATEs (PostgreSQL documentation, appendix A).
const (
	classConnection      = "08"
	classShutdown        = "57P" // admin_shutdown, crash_shutdown, cannot_connect_now …
	stateUniqueViolation = "23505"
	stateSerialization   = "40001"
	stateDeadlock        = "40P01"
	stateTooManyClients  = "53300"
)

// isConflict reports whether a request that changed nothing can be decided anew
// at once: another one was faster.
func isConflict(err error) bool {
	if errors.Is(err, errStale) {
		return true
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case stateUniqueViolation, stateSerialization, stateDeadlock:
		return true
	}
	return false
}

// isOutage reports whether the database was out of reach.
func isOutage(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.Code, classConnection) || strings.HasPrefix(refused.Code, classShutdown) || refused.Code == stateTooManyClients
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// wasRolledBack reports whether a failed round trip that ends in a COMMIT is
// known to have committed nothing. An error of the server's that leaves the session alive says so; one
// that ends the session (FATAL) can come after the commit.
func wasRolledBack(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Severity == "ERROR"
	}
	return errors.Is(err, errRolledBack) || pgconn.SafeToRetry(err)
}

// failure is what the caller gets to see.
func (c *Client) failure(op string, kind, cause error) error {
	if c.closing.Err() != nil {
		return fmt.Errorf("%w: %s: %w: %w", tb.ErrClientClosed, op, kind, cause)
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		cause = fmt.Errorf("no answer within %v: %w", c.requestTimeout, cause)
	}
	return fmt.Errorf("%w: %s: %w", kind, op, cause)
}

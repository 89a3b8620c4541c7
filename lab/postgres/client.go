package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// BatchEventsMax is the greatest number of events or ids in a request, and the
// greatest limit of a filter: TigerBeetle's. More is tigerbeetle_go.ErrTooMuchData.
const BatchEventsMax = 8189

const (
	schemaDefault         = "ledger"
	connectionsMaxDefault = 8 // one a lane of the Batcher, and the sweep
	requestTimeoutDefault = 10 * time.Second
	connectTimeout        = 5 * time.Second
	// idleInTransactionTimeout ends the transaction of a process that froze, so
	// that its locks do not outlive it.
	idleInTransactionTimeout = 5 * time.Second

	conflictsMax  = 20 // then something is wrong
	backoffMin    = time.Millisecond
	backoffMax    = 250 * time.Millisecond
	sweepInterval = 250 * time.Millisecond
)

// Options configure a Client. The zero value is what a program needs.
type Options struct {
	// Schema has the tables. It is created where it does not exist. "" is "ledger".
	Schema string
	// ConnectionsMax bounds the connections of this client; 0 is 8.
	ConnectionsMax int
	// RequestTimeout bounds a request, the wait for locks and for a database that
	// is down included; 0 is ten seconds.
	RequestTimeout time.Duration
	// Logger gets what an operator wants to know. Nil is slog.Default().
	Logger *slog.Logger
}

// Client is an open ledger. It is safe for concurrent use, and so are any number
// of them, in any number of processes, on one schema.
//
// Its requests fail with an error that wraps ErrNotApplied or ErrOutcomeUnknown;
// with tigerbeetle_go.ErrTooMuchData; with errors.ErrUnsupported; or, once it is
// closed, with tigerbeetle_go.ErrClientClosed.
type Client struct {
	pool           *pgxpool.Pool
	logger         *slog.Logger
	requestTimeout time.Duration

	closing context.Context
	close   context.CancelFunc
	ending  sync.Once
	sweeper sync.WaitGroup
}

var _ tb.Client = (*Client)(nil)

// Open connects, brings the schema up to date and starts the sweep. The context
// bounds the opening only. Errors name the database's answer and never the
// password in the URL.
func Open(ctx context.Context, databaseURL string, o Options) (*Client, error) {
	schema := cmp.Or(o.Schema, schemaDefault)
	timeout := cmp.Or(o.RequestTimeout, requestTimeoutDefault)
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("postgres ledger: database URL: %w", err)
	}
	config.MaxConns = int32(cmp.Or(o.ConnectionsMax, connectionsMaxDefault))
	config.ConnConfig.ConnectTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, connectTimeout)
	for name, value := range map[string]string{
		"application_name":                    "boxoffice ledger",
		"search_path":                         pgx.Identifier{schema}.Sanitize(),
		"statement_timeout":                   milliseconds(timeout),
		"idle_in_transaction_session_timeout": milliseconds(idleInTransactionTimeout),
		// Everything here is read by an index. A plan that was made, and cached,
		// while the tables were empty must not go on reading them as a whole.
		"enable_seqscan": "off",
		"jit":            "off",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	// The pool outlives this function, so its own context may not end.
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, fmt.Errorf("postgres ledger: %w", err)
	}
	if err := migrate(ctx, pool, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("postgres ledger: schema %s: %w", schema, err)
	}
	c := &Client{pool: pool, logger: cmp.Or(o.Logger, slog.Default()), requestTimeout: timeout}
	c.closing, c.close = context.WithCancel(context.Background())
	c.sweeper.Go(c.sweep)
	return c, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Close ends the requests under way, whose callers get ErrClientClosed, and
// closes all connections. It may be called more than once.
func (c *Client) Close() {
	c.ending.Do(func() {
		c.close()
		c.sweeper.Wait()
		c.pool.Close()
	})
}

// Nop waits until the database answers.
func (c *Client) Nop() error {
	return c.read("nop", 0, func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) })
}

// admit refuses requests that are not sent at all, in the client's order.
func (c *Client) admit(count int) error {
	switch {
	case c.closing.Err() != nil:
		return tb.ErrClientClosed
	case count > BatchEventsMax:
		return tb.ErrTooMuchData
	}
	return nil
}

// A step is one attempt at a request. It begins with an empty connection and may
// run any number of times, so it must not keep anything from before.
type step func(context.Context, *pgx.Conn) error

// read runs a request that changes nothing.
func (c *Client) read(op string, count int, request step) error {
	if err := c.admit(count); err != nil {
		return err
	}
	return c.repeat(op, func(ctx context.Context, conn *pgx.Conn) (known bool, err error) {
		return true, request(ctx, conn)
	})
}

// A decision begins a transaction where it has to read, and gives the statements
// that are to be written. Like a step, it may run any number of times.
type decision func(context.Context, *pgx.Conn) (writes *pgx.Batch, err error)

// write runs a decision, and sends what it wants written together with the
// COMMIT, so others that wait for the same rows wait for one round trip less.
func (c *Client) write(op string, decide decision) error {
	return c.repeat(op, func(ctx context.Context, conn *pgx.Conn) (known bool, err error) {
		writes, err := decide(ctx, conn)
		if err != nil {
			c.rollback(conn)
			return true, err
		}
		writes.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
			if tag.String() != "COMMIT" {
				return errRolledBack
			}
			return nil
		})
		// What fails before the COMMIT keeps it from being executed.
		err = conn.SendBatch(ctx, writes).Close()
		if err == nil {
			return true, nil
		}
		known = wasRolledBack(err)
		c.rollback(conn)
		return known, err
	})
}

// rollback keeps the connection for the next request. Where it fails, the pool
// drops the connection, and the server rolls back.
func (c *Client) rollback(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(c.closing, time.Second)
	defer cancel()
	if !conn.IsClosed() {
		_, _ = conn.Exec(ctx, "ROLLBACK")
	}
}

// repeat makes attempts until one is answered. It tries again only after a
// failure that is known to have changed nothing: while the database is down for
// as long as the request may take, after a conflict conflictsMax times.
func (c *Client) repeat(op string, attempt func(context.Context, *pgx.Conn) (known bool, err error)) error {
	ctx, cancel := context.WithTimeout(c.closing, c.requestTimeout)
	defer cancel()
	var first error
	conflicts, pause := 0, backoffMin
	for {
		known, err := c.once(ctx, attempt)
		if err == nil {
			return nil
		}
		if !known {
			return c.failure(op, ErrOutcomeUnknown, err)
		}
		if ctx.Err() != nil {
			// What went wrong at first says more than that time was up.
			return c.failure(op, ErrNotApplied, errors.Join(first, err))
		}
		if first == nil {
			first = err
		}
		switch {
		case isConflict(err) && conflicts < conflictsMax:
			conflicts++
		case isOutage(err):
		default:
			return c.failure(op, ErrNotApplied, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, backoffMax)
	}
}

func (c *Client) once(ctx context.Context, attempt func(context.Context, *pgx.Conn) (bool, error)) (known bool, err error) {
	conn, err := c.pool.Acquire(ctx)
	if err != nil {
		return true, err
	}
	defer conn.Release()
	return attempt(ctx, conn.Conn())
}

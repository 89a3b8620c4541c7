// Package orders keeps in Postgres what people must be able to look up for years: sales,
// sold orders and their tickets, payments and refunds, and the log of events about them
// with the cursors of its readers.
//
// It does not count seats (package ledger does), and knows nothing about checkouts that
// ended without a sale: those never reach Postgres. Every write may be repeated: it
// returns what the first one stored.
//
// Errors: a *domain.Error is a definite answer. A *domain.UnknownError means that a write
// was sent and nobody knows whether it was committed: repeat it. Any other error means
// that the database was out of reach or refused, and that this call wrote nothing, or had
// already been written: repeat it too. No error has buyers' addresses: PgError's text
// leaves out the detail in which Postgres prints the failing row.
package orders

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Options limit what the store may use. Zero values mean the defaults.
type Options struct {
	ConnectionsMax   int           // of this process; default ConnectionsMaxDefault
	PublicMax        int           // in addition, for public requests, see Public; default PublicMaxDefault
	QueuesMax        int           // in addition, for waiting rooms, see Queues; default QueuesMaxDefault
	ReadersMax       int           // in addition, for the readers of the event log, see Readers; default ReadersMaxDefault
	ConnectTimeout   time.Duration // one attempt to connect; default ConnectTimeoutDefault
	StatementTimeout time.Duration // enforced by the server; default StatementTimeoutDefault
	CallTimeout      time.Duration // a whole call, including the wait for a connection; default CallTimeoutDefault

	// RecordOrdersMax is how many sold orders at most share a transaction, and its fate;
	// default RecordOrdersMaxDefault. RecordTransactionsMax is how many such transactions
	// are under way at a time: with one, the default, all who wait share the next.
	RecordOrdersMax       int
	RecordTransactionsMax int
	// Recorded is called with how many orders each transaction of Record was sent with.
	// It must return at once. It may be nil.
	Recorded func(orders int)
}

// The defaults of Options.
const (
	ConnectionsMaxDefault   = 10 // a Postgres with the usual 100 serves several nodes
	PublicMaxDefault        = 4
	RecordOrdersMaxDefault  = 256 // about 300 kB. Above this a commit is no longer what an order costs
	ReadersMaxDefault       = 4
	QueuesMaxDefault        = 4 // an exchange takes a millisecond or two: about 150 sales at a time
	ConnectTimeoutDefault   = 5 * time.Second
	StatementTimeoutDefault = 5 * time.Second
	CallTimeoutDefault      = 10 * time.Second
)

// idleInTransactionTimeout ends a transaction whose client has vanished, so that it does
// not keep its locks.
const idleInTransactionTimeout = 10 * time.Second

// A Store is the orders database. It is safe for concurrent use.
type Store struct {
	public      *Store // nil: this is it
	queues      *Store // likewise
	readers     *Store // likewise
	pool        *pgxpool.Pool
	callTimeout time.Duration
	records     *recordQueue // nil in Public, Queues and Readers
	recorded    func(orders int)
}

// Open prepares a pool that connects on first use, so a process may start before its
// database: see CheckSchema for readiness. Settings in the URL override the Options. The
// error says what is wrong with the URL, without its password.
func Open(ctx context.Context, databaseURL string, o Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("orders database URL: %w", err)
	}
	config.MaxConns = int32(cmp.Or(o.ConnectionsMax, ConnectionsMaxDefault))
	config.ConnConfig.ConnectTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, cmp.Or(o.ConnectTimeout, ConnectTimeoutDefault))
	config.ConnConfig.Tracer = spans{}
	for name, value := range map[string]string{
		"application_name":                    applicationName(),
		"statement_timeout":                   milliseconds(cmp.Or(o.StatementTimeout, StatementTimeoutDefault)),
		"idle_in_transaction_session_timeout": milliseconds(idleInTransactionTimeout),
	} {
		if config.ConnConfig.RuntimeParams[name] == "" {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("orders database: %w", err)
	}
	callTimeout := cmp.Or(o.CallTimeout, CallTimeoutDefault)
	s := &Store{pool: pool, callTimeout: callTimeout, recorded: o.Recorded}
	for _, apart := range []struct {
		store **Store
		max   int
	}{
		{&s.public, cmp.Or(o.PublicMax, PublicMaxDefault)},
		{&s.queues, cmp.Or(o.QueuesMax, QueuesMaxDefault)},
		{&s.readers, cmp.Or(o.ReadersMax, ReadersMaxDefault)},
	} {
		config = config.Copy()
		config.MaxConns = int32(apart.max)
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("orders database: %w", err)
		}
		*apart.store = &Store{pool: pool, callTimeout: callTimeout, recorded: func(int) {}}
	}
	if s.recorded == nil {
		s.recorded = func(int) {}
	}
	s.records = newRecordQueue(s.recordBatch, cmp.Or(o.RecordOrdersMax, RecordOrdersMaxDefault), cmp.Or(o.RecordTransactionsMax, 1))
	return s, nil
}

// Public is the same database over separate connections, for public requests. However many
// of those wait, recording a paid order has other connections.
func (s *Store) Public() *Store {
	if s.public == nil {
		return s
	}
	return s.public
}

// Queues is the same database over separate connections, for the waiting rooms, which ask
// all the time and must not wait behind a crowd of readers.
func (s *Store) Queues() *Store {
	if s.queues == nil {
		return s
	}
	return s.queues
}

// Readers is the same database over separate connections, for the readers of the event log,
// which must take none from recording paid orders.
func (s *Store) Readers() *Store {
	if s.readers == nil {
		return s
	}
	return s.readers
}

// Close waits for the calls under way and closes all connections.
func (s *Store) Close() {
	for _, apart := range []*Store{s.public, s.queues, s.readers} {
		if apart != nil {
			apart.Close()
		}
	}
	s.pool.Close()
}

// bounded gives a call its timeout. The server's statement_timeout does not help if the
// network loses the answer.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.callTimeout)
}

// Now is the time by the database's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var now time.Time
	err := s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, readFailed("ask for", "the time", err)
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}

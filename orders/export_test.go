package orders

import (
	"context"
	"io/fs"
	"sync"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// RecordAll lets tests hand many orders to the transaction that Record uses for
// one.
func (s *Store) RecordAll(ctx context.Context, sold []domain.Sold, ticketCode func(domain.OrderID, int) string) ([]domain.SoldOrder, []error) {
	all := make([]*recording, 0, len(sold))
	for _, one := range sold {
		all = append(all, &recording{sold: one, ticketCode: func(n int) string { return ticketCode(one.Order.ID, n) }})
	}
	s.recordAll(ctx, all)
	results, errs := make([]domain.SoldOrder, 0, len(all)), make([]error, 0, len(all))
	for _, r := range all {
		results, errs = append(results, r.result), append(errs, r.err)
	}
	return results, errs
}

// Queued returns how many orders wait for their transaction.
func (s *Store) Queued() int {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	return len(s.records.waiting)
}

// QueueOrdersMax is how many may wait.
const QueueOrdersMax = queueOrdersMax

// Migrations are those of this build, for tests on data of the previous release.
func Migrations() ([]string, error) { return migrations() }

// ConcurrentMark begins a migration that runs outside a transaction.
const ConcurrentMark = concurrentMark

// MigrateTo brings the schema to the last of some migrations.
func (s *Store) MigrateTo(ctx context.Context, migrations []string) error {
	return s.migrateTo(ctx, migrations)
}

// ContractWith applies contractions that are no part of this build.
func (s *Store) ContractWith(ctx context.Context, files fs.FS) ([]string, error) {
	all, err := contractions(files, SchemaVersion())
	if err != nil {
		return nil, err
	}
	return s.contract(ctx, all)
}

// Prepared are the statements that the store's connections have prepared by now.
func (s *Store) Prepared(ctx context.Context) (statements []string, err error) {
	for _, of := range []*Store{s, s.public, s.queues, s.readers} {
		if of == nil {
			continue
		}
		for _, conn := range of.pool.AcquireAllIdle(ctx) {
			rows, err := conn.Query(ctx, `SELECT statement FROM pg_prepared_statements`, pgx.QueryExecModeExec)
			if err != nil {
				return nil, err
			}
			more, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return nil, err
			}
			statements = append(statements, more...)
			conn.Release()
		}
	}
	return statements, nil
}

// ConnectionsMax is how many connections a store may have.
func (s *Store) ConnectionsMax() int { return int(s.pool.Config().MaxConns) }

// TakeAllConnections takes all connections until release is called.
func (s *Store) TakeAllConnections(ctx context.Context, fail func(...any)) (release func()) {
	var all []interface{ Release() }
	for range s.ConnectionsMax() {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			fail(err)
		}
		all = append(all, conn)
	}
	return sync.OnceFunc(func() {
		for _, conn := range all {
			conn.Release()
		}
	})
}

// LogsValues lets tests check settings that no test server has.
func LogsValues(found map[string]string) []LogSetting { return logsValues(found) }

// StatementsOfJoins is how many statements an exchange sends for a list of n joins.
func StatementsOfJoins(joins int64) int {
	before := domain.Queue{Draw: domain.QueueDraw{Version: domain.QueueDrawOfList, Closed: domain.QueueUndrawn}}
	after := before
	after.Joined += joins
	var batch pgx.Batch
	writeDraw(&batch, &before, &after)
	return batch.Len()
}

// DueSQL finds the deliveries that are due.
const DueSQL = dueSQL

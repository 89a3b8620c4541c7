package orders

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"boxoffice/migration"
	"boxoffice/pace"
)

// Migrations only go forward: file n brings the schema from version n−1 to n. They only
// expand it (TestMigrationsOnlyExpand): a release must run on the schema of the next one,
// so that nodes can be replaced one by one. What is no longer used is dropped by a
// contraction, see contract.go.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// concurrentMark begins a migration of statements that Postgres refuses in a transaction,
// such as CREATE INDEX CONCURRENTLY. They may run again after a crash: a build that broke
// off leaves an invalid index, so it is dropped first.
const concurrentMark = "-- Outside a transaction."

// concurrentTimeout limits one statement of such a migration. It holds up nobody.
const concurrentTimeout = time.Hour

// migrationTimeout limits one migration, and the wait for another node's.
const migrationTimeout = 2 * time.Minute

// While a migration waits for a table, every statement on that table waits behind it: even
// the one with which a node of the previous release records a paid order. So a migration
// that has to wait for a dump or a long report gives up after tableWait and tries again.
const (
	tableWait      = 3 * time.Second
	tableWaitPause = time.Second
	tableTriesMax  = 60
)

// While another node migrates, a node asks again and again. It does not wait in a
// statement: an index that is built concurrently waits for all statements that began before.
const (
	turnPause    = 50 * time.Millisecond
	turnTriesMax = int(concurrentTimeout / turnPause)
)

var errOtherMigrates = errors.New("another node migrates the schema for too long: is its migration stuck?")

// Migrate brings the schema up to what this build needs. Any number of nodes may call it
// at once: one works, the others wait for it. Each migration is one transaction. The
// error says which migration failed, or that the database is newer than this build.
func (s *Store) Migrate(ctx context.Context) error {
	migrations, err := migrations()
	if err != nil {
		return err
	}
	return s.migrateTo(ctx, migrations)
}

func (s *Store) migrateTo(ctx context.Context, migrations []string) error {
	for tries, turns := 1, 1; ; {
		done, err := s.migrateOnce(ctx, migrations)
		switch {
		case errors.Is(err, errOtherMigrates) && turns < turnTriesMax:
			turns++
			if err := pace.Pause(ctx, turnPause); err != nil {
				return err
			}
		case isLockNotAvailable(err) && tries < tableTriesMax:
			tries++
			if err := pace.Pause(ctx, tableWaitPause); err != nil {
				return err
			}
		case err != nil || done:
			return err
		default:
			tries, turns = 1, 1
		}
	}
}

func isLockNotAvailable(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "55P03" // lock_not_available
}

// migrateOnce applies the next migration. The lock belongs to the transaction, so a node
// that dies gives it back.
func (s *Store) migrateOnce(ctx context.Context, migrations []string) (done bool, err error) {
	outside := 0 // the migration that is next, if it runs outside a transaction
	err = s.withSchema(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var version int
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM schema_migrations`).Scan(&version); err != nil {
			return err
		}
		switch {
		case version > len(migrations):
			return fmt.Errorf("the schema has version %d, this build knows %d: run a newer build", version, len(migrations))
		case version == len(migrations):
			done = true
			return adoptEvents(ctx, tx)
		case strings.HasPrefix(migrations[version], concurrentMark):
			outside = version + 1
			return nil
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %s`, milliseconds(tableWait))); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, migrations[version]); err != nil {
			return fmt.Errorf("migration %d: %w", version+1, err)
		}
		_, err := tx.Exec(ctx, `INSERT INTO schema_migrations (version) VALUES ($1)`, version+1)
		return err
	})
	if err == nil && outside > 0 {
		err = s.migrateOutside(ctx, outside, migrations[outside-1])
	}
	if errors.Is(err, errOtherMigrates) {
		return false, err
	}
	return done, writeFailed("migrate", "schema", err)
}

// schemaLock is held by whoever changes the schema.
const schemaLock = `(hashtextextended('boxoffice orders ' || current_schema(), 0))`

// withSchema runs a transaction that may change the schema, alone. Its error is
// errOtherMigrates if that is not possible now.
func (s *Store) withSchema(ctx context.Context, work func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var ours bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock`+schemaLock).Scan(&ours); err != nil {
			return err
		}
		if !ours {
			return errOtherMigrates
		}
		for _, sql := range []string{
			fmt.Sprintf(`SET LOCAL statement_timeout = %s`, milliseconds(migrationTimeout)),
			`CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return work(ctx, tx)
	})
}

// migrateOutside applies a migration statement by statement. The lock belongs to a
// connection, which is closed afterwards: that gives it back for sure.
func (s *Store) migrateOutside(ctx context.Context, version int, sql string) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack()
	defer conn.Close(context.WithoutCancel(ctx))
	var ours, applied bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock`+schemaLock).Scan(&ours); err != nil {
		return err
	}
	if !ours {
		return errOtherMigrates
	}
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM schema_migrations WHERE version >= $1)`, version).Scan(&applied)
	if err != nil || applied {
		return err
	}
	statements := append([]string{fmt.Sprintf(`SET statement_timeout = %s`, milliseconds(concurrentTimeout))}, strings.Split(sql, ";\n")...)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("migration %d: %w", version, err)
		}
	}
	_, err = conn.Exec(ctx, `INSERT INTO schema_migrations (version) VALUES ($1)`, version)
	return err
}

// CheckSchema reports whether the database answers and has the schema that this build
// needs. The error says what to do. A newer schema is fine (see migrationFiles), unless it
// was contracted.
func (s *Store) CheckSchema(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	migrations, err := migrations()
	if err != nil {
		return err
	}
	var version, since int
	var contracted bool
	const versionSQL = `SELECT coalesce(max(version), 0), to_regclass('schema_contractions') IS NOT NULL FROM schema_migrations`
	err = s.pool.QueryRow(ctx, versionSQL).Scan(&version, &contracted)
	if err == nil && contracted {
		err = s.pool.QueryRow(ctx, `SELECT coalesce(max(since), 0) FROM schema_contractions`).Scan(&since)
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P01" { // undefined_table
		err = nil
	}
	if err != nil {
		return readFailed("check", "schema", err)
	}
	switch {
	case version < len(migrations):
		return fmt.Errorf("orders: the schema has version %d, this build needs %d: run `boxoffice migrate`", version, len(migrations))
	case since > len(migrations):
		return fmt.Errorf("orders: the schema was contracted for releases with schema %d or later, this build knows %d: run a newer build", since, len(migrations))
	}
	return nil
}

// SchemaVersion is the schema that this build needs.
func SchemaVersion() int {
	all, err := migrations()
	if err != nil {
		return 0 // Migrate says why
	}
	return len(all)
}

func migrations() ([]string, error) {
	sqls, err := migration.Files(migrationFiles)
	if err != nil {
		return nil, fmt.Errorf("orders: %w", err)
	}
	return sqls, nil
}

package orders

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"boxoffice/migration"
	"boxoffice/pace"
)

// Migrations only go forward: file n brings the schema from version n−1 to n.
// A release must run on the schema of the next one, so that nodes can be
// replaced one by one; what is no longer used is dropped a release later.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

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

// Migrate brings the schema up to what this build needs. Any number of nodes may call it
// at once: one works, the others wait for it. Each migration is one transaction. The
// error says which migration failed, or that the database is newer than this build.
func (s *Store) Migrate(ctx context.Context) error {
	migrations, err := migrations()
	if err != nil {
		return err
	}
	for tries := 1; ; {
		done, err := s.migrateOnce(ctx, migrations)
		switch {
		case isLockNotAvailable(err) && tries < tableTriesMax:
			tries++
			if err := pace.Pause(ctx, tableWaitPause); err != nil {
				return err
			}
		case err != nil || done:
			return err
		default:
			tries = 1
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
	ctx, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockSchema(ctx, tx); err != nil {
			return err
		}
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
	return done, writeFailed("migrate", "schema", err)
}

func lockSchema(ctx context.Context, tx pgx.Tx) error {
	for _, sql := range []string{
		fmt.Sprintf(`SET LOCAL statement_timeout = %s`, milliseconds(migrationTimeout)),
		`SELECT pg_advisory_xact_lock(hashtextextended('boxoffice orders ' || current_schema(), 0))`,
		`CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// CheckSchema reports whether the database answers and has the schema that this build
// needs. The error says what to do. A newer schema is fine (see migrationFiles).
func (s *Store) CheckSchema(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	migrations, err := migrations()
	if err != nil {
		return err
	}
	var version int
	err = s.pool.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM schema_migrations`).Scan(&version)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P01" { // undefined_table
		err = nil
	}
	if err != nil {
		return readFailed("check", "schema", err)
	}
	if version < len(migrations) {
		return fmt.Errorf("orders: the schema has version %d, this build needs %d: run `boxoffice migrate`", version, len(migrations))
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

package postgres

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"boxoffice/migration"
)

// Migrations only go forward: file n brings the schema from version n−1 to n.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrate brings the schema up to what this build needs, in one transaction. Any
// number of processes may do so at once: one works, the others wait for it.
func migrate(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	migrations, err := migration.Files(migrationFiles)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		version, err := lockSchema(ctx, tx, schema)
		if err != nil {
			return err
		}
		if version > len(migrations) {
			return fmt.Errorf("it has version %d, this build knows %d: run a newer build", version, len(migrations))
		}
		for ; version < len(migrations); version++ {
			if _, err := tx.Exec(ctx, migrations[version]); err != nil {
				return fmt.Errorf("migration %d: %w", version+1, err)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO ledger_migrations (version) VALUES ($1)`, version+1); err != nil {
				return err
			}
		}
		return nil
	})
}

func lockSchema(ctx context.Context, tx pgx.Tx, schema string) (version int, err error) {
	var exists bool
	const lock = `SELECT pg_advisory_xact_lock(hashtextextended('boxoffice ledger ' || $1, 0))`
	if _, err := tx.Exec(ctx, lock, schema); err != nil {
		return 0, err
	}
	// IF NOT EXISTS would ask for the right to create schemas even where it exists.
	if err := tx.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, pgx.Identifier{schema}.Sanitize()).Scan(&exists); err != nil {
		return 0, err
	}
	if !exists {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{schema}.Sanitize()); err != nil {
			return 0, err
		}
	}
	const table = `CREATE TABLE IF NOT EXISTS ledger_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`
	if _, err := tx.Exec(ctx, table); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM ledger_migrations`).Scan(&version)
	return version, err
}

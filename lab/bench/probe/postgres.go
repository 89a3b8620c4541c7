package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Postgres reads the counters of a server. Postgres's own statistics trail by up
// to a second, at both ends of a run.
type Postgres struct {
	conn    *pgx.Conn
	Version string
	// NoStatements is why statements are not counted; empty where they are.
	NoStatements string
}

// OpenPostgres connects to the server of a database URL. The error does not
// show the URL's password.
func OpenPostgres(ctx context.Context, databaseURL string) (*Postgres, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	p := &Postgres{conn: conn}
	if err := conn.QueryRow(ctx, `SHOW server_version`).Scan(&p.Version); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: %w", err), p.Close(ctx))
	}
	if _, err := p.statements(ctx); err != nil {
		p.NoStatements = why(err)
	}
	return p, nil
}

func why(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		const undefinedTable = "42P01"
		if refused.Code == undefinedTable {
			return "not available: the extension pg_stat_statements is not loaded"
		}
		return "not available: " + refused.Message
	}
	return "not available: " + err.Error()
}

// Close ends the connection.
func (p *Postgres) Close(ctx context.Context) error { return p.conn.Close(ctx) }

// Counters are Postgres's own, since it began to count.
type Counters struct {
	Transactions map[string]float64 // by database, committed and rolled back
	WALBytes     float64
	Statements   float64 // 0 where NoStatements says why
}

// Counters reads them. It is not safe for concurrent use.
func (p *Postgres) Counters(ctx context.Context) (Counters, error) {
	c := Counters{Transactions: map[string]float64{}}
	rows, err := p.conn.Query(ctx, `
		SELECT datname, (xact_commit + xact_rollback)::float8 FROM pg_stat_database
		WHERE datname IS NOT NULL AND datname NOT LIKE 'template%'`)
	if err != nil {
		return c, fmt.Errorf("postgres: %w", err)
	}
	var (
		database string
		count    float64
	)
	_, err = pgx.ForEachRow(rows, []any{&database, &count}, func() error {
		c.Transactions[database] = count
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("postgres: %w", err)
	}
	if err := p.conn.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0')::float8`).Scan(&c.WALBytes); err != nil {
		return c, fmt.Errorf("postgres: %w", err)
	}
	if p.NoStatements == "" {
		c.Statements, err = p.statements(ctx)
	}
	return c, err
}

func (p *Postgres) statements(ctx context.Context) (calls float64, err error) {
	err = p.conn.QueryRow(ctx, `SELECT coalesce(sum(calls), 0)::float8 FROM pg_stat_statements`).Scan(&calls)
	return calls, err
}

// Since is what happened after an earlier reading.
func (c Counters) Since(before Counters) Counters {
	delta := Counters{
		Transactions: map[string]float64{}, WALBytes: c.WALBytes - before.WALBytes, Statements: c.Statements - before.Statements,
	}
	for database, count := range c.Transactions {
		if n := count - before.Transactions[database]; n > 0 && !strings.EqualFold(database, "postgres") {
			delta.Transactions[database] = n
		}
	}
	return delta
}

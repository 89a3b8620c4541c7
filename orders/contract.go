package orders

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A contraction takes away what no release needs any more: a column, a table, a constraint
// of before. contractions/0041_no_due.sql does so for releases with schema 41 or later: those
// of before would break, so it is refused while one of their nodes is connected. Nothing
// runs it by itself: see Contract.
//
//go:embed contractions
var contractionFiles embed.FS

// A contraction is one file of them.
type contraction struct {
	name  string // of the file
	since int    // the first schema whose releases run without what it takes away
	sql   string
}

func contractions(files fs.FS, newest int) ([]contraction, error) {
	names, err := fs.Glob(files, "contractions/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []contraction
	for _, name := range names {
		c := contraction{name: path.Base(name)}
		if _, err := fmt.Sscanf(c.name, "%04d_", &c.since); err != nil || c.since < 1 || c.since > newest {
			return nil, fmt.Errorf("%s does not begin with the schema since which it may run, at most %04d", name, newest)
		}
		sql, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		c.sql = string(sql)
		all = append(all, c)
	}
	return all, nil
}

// Contract applies the contractions of this build that were not applied yet, and names them.
// Each is one transaction. It refuses one while a node that may need what it takes away is
// connected, and says which. It may be repeated.
func (s *Store) Contract(ctx context.Context) (applied []string, err error) {
	all, err := contractions(contractionFiles, SchemaVersion())
	if err != nil {
		return nil, fmt.Errorf("orders: %w", err)
	}
	return s.contract(ctx, all)
}

func (s *Store) contract(ctx context.Context, all []contraction) (applied []string, err error) {
	if err := s.CheckSchema(ctx); err != nil {
		return nil, err
	}
	for _, c := range all {
		var now bool
		err := s.withSchema(ctx, func(ctx context.Context, tx pgx.Tx) error {
			now, err = applyContraction(ctx, tx, c)
			return err
		})
		switch {
		case isLockNotAvailable(err):
			return applied, fmt.Errorf("orders: contraction %s waited %s for a table, behind a dump or a long report: try again later", c.name, tableWait)
		case errors.As(err, new(*OlderNodesError)) || errors.Is(err, errOtherMigrates):
			return applied, err
		case err != nil:
			return applied, writeFailed("contract", "schema", err)
		case now:
			applied = append(applied, c.name)
		}
	}
	return applied, nil
}

func applyContraction(ctx context.Context, tx pgx.Tx, c contraction) (now bool, err error) {
	const made = `CREATE TABLE IF NOT EXISTS schema_contractions (name text PRIMARY KEY, since integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`
	if _, err := tx.Exec(ctx, made); err != nil {
		return false, err
	}
	var before bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM schema_contractions WHERE name = $1)`, c.name).Scan(&before); err != nil || before {
		return false, err
	}
	if err := refuseWhileNeeded(ctx, tx, c); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %s`, milliseconds(tableWait))); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, c.sql); err != nil {
		return false, fmt.Errorf("contraction %s: %w", c.name, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO schema_contractions (name, since) VALUES ($1, $2)`, c.name, c.since)
	return true, err
}

// applicationName tells Postgres, and so every other node, which schema the release of this
// node has. Releases of before this was said call themselves applicationPrefix.
func applicationName() string {
	return fmt.Sprintf("%s%s%d", applicationPrefix, applicationSchema, SchemaVersion())
}

const (
	applicationPrefix = "boxoffice"
	applicationSchema = " schema "
)

// refuseWhileNeeded fails while nodes of a release with an earlier schema are connected.
func refuseWhileNeeded(ctx context.Context, tx pgx.Tx, c contraction) error {
	rows, err := tx.Query(ctx, `
		SELECT DISTINCT application_name, coalesce(host(client_addr), 'this machine') FROM pg_stat_activity
		WHERE datname = current_database() AND starts_with(application_name, $1)`, applicationPrefix)
	if err != nil {
		return err
	}
	type session struct{ Name, From string }
	sessions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[session])
	if err != nil {
		return err
	}
	var old []string
	for _, n := range sessions {
		schema := 0
		if n.Name != applicationPrefix {
			if _, err := fmt.Sscanf(strings.TrimPrefix(n.Name, applicationPrefix), applicationSchema+"%d", &schema); err != nil {
				continue // no node: the lab's ledger calls itself like this
			}
		}
		if schema < c.since {
			old = append(old, fmt.Sprintf("%q from %s", n.Name, n.From))
		}
	}
	if len(old) > 0 {
		slices.Sort(old)
		return &OlderNodesError{Contraction: c.name, Since: c.since, Nodes: old}
	}
	return nil
}

// An OlderNodesError says that nodes which may need what a contraction takes away are connected.
type OlderNodesError struct {
	Contraction string
	Since       int
	Nodes       []string
}

func (e *OlderNodesError) Error() string {
	return fmt.Sprintf("%s is for releases with schema %d or later, and of earlier ones are connected: %s. Replace these nodes first",
		e.Contraction, e.Since, strings.Join(e.Nodes, ", "))
}

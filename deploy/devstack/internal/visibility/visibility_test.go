package visibility

import (
	"context"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/server/schema"

	"boxoffice/deploy/devstack/internal/postgres/postgrestest"
)

func TestLeanAndBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := freshDatabase(ctx, t)
	execute(ctx, t, conn, temporalSchema(t))
	before := structure(ctx, t, conn)
	insert(ctx, t, conn, "old")
	stages := []struct {
		name, statement string
		writes          string // the run that is written there
		stock           bool
	}{
		{"as Temporal made it", Stock(), "stock", true},
		{"lean", Lean(), "lean", false},
		{"lean at the next start", Lean(), "next", false},
		{"taken back for an update", Stock(), "back", true},
		{"lean again", Lean(), "again", false},
	}
	written := []string{"old"}
	for _, stage := range stages {
		t.Run(stage.name, func(t *testing.T) {
			execute(ctx, t, conn, stage.statement)
			if isStock := slices.Equal(structure(ctx, t, conn), before); isStock != stage.stock {
				t.Errorf("structure is Temporal's: %t, want %t\n%q", isStock, stage.stock, structure(ctx, t, conn))
			}
			insert(ctx, t, conn, stage.writes)
			written = append(written, stage.writes)
			checkSearches(ctx, t, conn, written)
			checkVersions(ctx, t, conn, stage.writes)
		})
	}
	var generated int
	query(ctx, t, conn, `SELECT count(*) FROM pg_attribute WHERE attrelid = 'executions_visibility_rows'::regclass AND attgenerated = 's'`, &generated)
	var indexes []string
	query(ctx, t, conn, `SELECT array_agg(indexname::text ORDER BY indexname) FROM pg_indexes WHERE tablename = 'executions_visibility_rows'`, &indexes)
	if want := []string{"by_status", "by_workflow_id", "default_idx", "executions_visibility_pkey"}; generated != 0 || !slices.Equal(indexes, want) {
		t.Errorf("a write computes %d columns and enters the indexes %q, want none and %q", generated, indexes, want)
	}
}

// The statements are those of the server's Postgres plugin, with fewer columns.
const upsert = `INSERT INTO executions_visibility (namespace_id, run_id, workflow_id, workflow_type_name, start_time,
		execution_time, status, encoding, search_attributes, _version)
	VALUES ('space', $1, 'checkout', 'Checkout', now(), now(), $2, 'Proto3', $3, $4)
	ON CONFLICT (namespace_id, run_id) DO UPDATE SET status = excluded.status, search_attributes = excluded.search_attributes,
		_version = excluded._version WHERE executions_visibility._version < EXCLUDED._version`

const attributes = `{"Keyword01": "spring", "BuildIds": ["unversioned"], "Int01": 7, "Bool01": true, "Double01": 1.5,
	"Datetime01": "2026-03-01T12:00:00Z", "Text01": "front row", "KeywordList01": ["a", "b"]}`

func insert(ctx context.Context, t *testing.T, conn *pgx.Conn, run string) {
	t.Helper()
	if _, err := conn.Exec(ctx, upsert, run, 1, attributes, 1); err != nil {
		t.Fatal(err)
	}
}

func checkSearches(ctx context.Context, t *testing.T, conn *pgx.Conn, want []string) {
	t.Helper()
	for condition, found := range map[string]bool{
		`Keyword01 = 'spring'`:                            true,
		`Keyword01 = 'autumn'`:                            false,
		`Keyword02 IS NULL`:                               true,
		`BuildIds @> jsonb_build_array('unversioned')`:    true,
		`Int01 BETWEEN 7 AND 8`:                           true,
		`Bool01`:                                          true,
		`Double01 = 1.5`:                                  true,
		`Datetime01 = '2026-03-01 12:00:00'`:              true,
		`Text01 @@ 'row'::tsquery`:                        true,
		`Text01 @@ 'balcony'::tsquery`:                    false,
		`KeywordList01 @> jsonb_build_array('b')`:         true,
		`KeywordList01 @> jsonb_build_array('c')`:         false,
		`workflow_id = 'checkout' AND close_time IS NULL`: true,
	} {
		var count int
		query(ctx, t, conn, "SELECT count(*) FROM executions_visibility WHERE namespace_id = 'space' AND "+condition, &count)
		if expected := map[bool]int{true: len(want), false: 0}[found]; count != expected {
			t.Errorf("%s: %d rows, want %d", condition, count, expected)
		}
	}
}

// checkVersions: a late write does not overwrite a newer one.
func checkVersions(ctx context.Context, t *testing.T, conn *pgx.Conn, run string) {
	t.Helper()
	for _, write := range []struct{ status, version, want int }{{2, 3, 2}, {1, 2, 2}} {
		if _, err := conn.Exec(ctx, upsert, run, write.status, attributes, write.version); err != nil {
			t.Fatal(err)
		}
		var status int
		query(ctx, t, conn, "SELECT status FROM executions_visibility WHERE run_id = '"+run+"'", &status)
		if status != write.want {
			t.Errorf("version %d left status %d, want %d", write.version, status, write.want)
		}
	}
}

// structure is each column and index of the table, as Postgres describes it.
func structure(ctx context.Context, t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(ctx, `
		SELECT format('%s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid))
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = 'executions_visibility'::regclass AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = 'executions_visibility'
		UNION ALL SELECT format('%s %s', c.relname, c.relkind) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind <> 'i'
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	described, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return described
}

func query(ctx context.Context, t *testing.T, conn *pgx.Conn, statement string, into any) {
	t.Helper()
	if err := conn.QueryRow(ctx, statement).Scan(into); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func execute(ctx context.Context, t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%.60s…: %v", statement, err)
	}
}

func temporalSchema(t *testing.T) string {
	t.Helper()
	text, err := fs.ReadFile(schema.Assets(), "postgresql/v12/visibility/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// freshDatabase is on its own server, of the newest installed release.
func freshDatabase(ctx context.Context, t *testing.T) *pgx.Conn {
	t.Helper()
	m, _ := postgrestest.Start(ctx, t)
	if _, err := m.EnsureDatabases(ctx, ""); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, m.Databases().Visibility.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

package orders_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// ownDatabase gives a test a database in which nobody else's sessions are.
func ownDatabase(t *testing.T) string {
	t.Helper()
	server, err := url.Parse(orderstest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	name := "only_" + server.Query().Get("search_path")
	err = orderstest.Exec(t.Context(), server.String(), `CREATE DATABASE `+name)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" { // insufficient_privilege
		t.Skip("SKIPPED: the user of the tests' server may not create a database")
	}
	if err != nil {
		t.Fatal(err)
	}
	own := *server
	own.Path = "/" + name
	query := own.Query()
	query.Del("search_path")
	own.RawQuery = query.Encode()
	t.Cleanup(func() {
		if err := orderstest.Exec(context.Background(), server.String(), `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return own.String()
}

// What a node of an earlier release may need is taken away once no such node is connected.
func TestAContractionIsRefusedWhileAnOlderNodeRuns(t *testing.T) {
	t.Parallel()
	url := ownDatabase(t)
	store := patientStore(t, url)
	files := fstest.MapFS{
		"contractions/0039_no_facts.sql": {Data: []byte(`ALTER TABLE sales DROP COLUMN facts`)},
		"contractions/0040_no_image.sql": {Data: []byte(`ALTER TABLE sales DROP COLUMN image`)},
	}
	sessionCalled := func(name string) *pgx.Conn {
		t.Helper()
		config, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		config.RuntimeParams["application_name"] = name
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	ends := func(conn *pgx.Conn) {
		t.Helper()
		if err := orderstest.Exec(t.Context(), url, `SELECT pg_terminate_backend($1, 10000)`, conn.PgConn().PID()); err != nil {
			t.Fatal(err)
		}
	}
	columns := func() (left []string) {
		conn := sessionCalled("test")
		rows, err := conn.Query(t.Context(), `SELECT column_name::text FROM information_schema.columns
			WHERE table_name = 'sales' AND column_name IN ('facts', 'image') ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		if left, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
		return left
	}
	sessionCalled("boxoffice ledger") // no node
	sessionCalled("boxoffice schema 40")
	unnamed, older := sessionCalled("boxoffice"), sessionCalled("boxoffice schema 39")
	refused := new(orders.OlderNodesError)
	if applied, err := store.ContractWith(t.Context(), files); !errors.As(err, &refused) || len(applied) > 0 || len(refused.Nodes) != 1 {
		t.Fatalf("with a node of a release that does not say its schema: applied %v, %v", applied, err)
	}
	ends(unnamed)
	applied, err := store.ContractWith(t.Context(), files)
	if !errors.As(err, &refused) || !slices.Equal(applied, []string{"0039_no_facts.sql"}) || refused.Contraction != "0040_no_image.sql" {
		t.Fatalf("with a node of schema 39: applied %v, %v", applied, err)
	}
	if !strings.Contains(refused.Nodes[0], "boxoffice schema 39") {
		t.Errorf("the refusal does not name the node: %v", refused)
	}
	if left := columns(); !slices.Equal(left, []string{"image"}) {
		t.Fatalf("left of the columns: %v, want image alone", left)
	}
	ends(older)
	for _, want := range [][]string{{"0040_no_image.sql"}, nil} {
		applied, err := store.ContractWith(t.Context(), files)
		if err != nil || !slices.Equal(applied, want) {
			t.Fatalf("without older nodes: applied %v, %v, want %v", applied, err, want)
		}
	}
	if err := store.CheckSchema(t.Context()); err != nil {
		t.Fatalf("this release: %v", err)
	}
	if err := orderstest.Exec(t.Context(), url, `UPDATE schema_contractions SET since = 999 WHERE name LIKE '0040%'`); err != nil {
		t.Fatal(err)
	}
	if err := store.CheckSchema(t.Context()); err == nil || !strings.Contains(err.Error(), "run a newer build") {
		t.Errorf("a build whose schema was contracted away starts: %v", err)
	}
}

func TestAContractionSaysSinceWhichSchema(t *testing.T) {
	t.Parallel()
	store := patientStore(t, orderstest.URL(t))
	for _, name := range []string{"no_facts.sql", "0000_no_facts.sql", "9999_no_facts.sql"} {
		files := fstest.MapFS{"contractions/" + name: {Data: []byte(`ALTER TABLE sales DROP COLUMN facts`)}}
		if _, err := store.ContractWith(t.Context(), files); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	if _, err := store.Contract(t.Context()); err != nil && !errors.As(err, new(*orders.OlderNodesError)) {
		t.Errorf("the contractions of this build: %v", err)
	}
}

// An index of a large table is built outside a transaction, while others write; several nodes
// that migrate at once do not wait for each other in a statement, for which the build would wait.
// What a build that broke off left is made anew.
func TestAMigrationOutsideATransaction(t *testing.T) {
	t.Parallel()
	url := ownDatabase(t) // the build waits for every transaction of its database
	patientStore(t, url)
	all := append(must(orders.Migrations()), `-- Outside a transaction.
DROP INDEX CONCURRENTLY IF EXISTS orders_paid;
CREATE INDEX CONCURRENTLY orders_paid ON orders (paid_at);
`, `CREATE TABLE behind_it ()`)
	if err := orderstest.Exec(t.Context(), url, `CREATE INDEX orders_paid ON orders (email)`); err != nil {
		t.Fatal(err)
	}
	const nodes = 3
	errs := make(chan error, nodes)
	for range nodes {
		go func() {
			store, err := orders.Open(t.Context(), patient(url), orders.Options{ConnectTimeout: time.Minute})
			if err == nil {
				defer store.Close()
				err = store.MigrateTo(t.Context(), all)
			}
			errs <- err
		}()
	}
	for range nodes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	b := &bundle{ctx: t.Context(), url: url}
	for _, sql := range []string{
		`SELECT count(*) FROM pg_index WHERE indexrelid = 'orders_paid'::regclass AND indisvalid AND pg_get_indexdef(indexrelid) LIKE '%(paid_at)'`,
		`SELECT count(*) FROM schema_migrations WHERE version = (SELECT max(version) - 1 FROM schema_migrations)`,
		`SELECT count(*) FROM pg_class WHERE oid = 'behind_it'::regclass`,
	} {
		if n := b.count(t, sql); n != 1 {
			t.Errorf("%s: %d, want 1", sql, n)
		}
	}
}

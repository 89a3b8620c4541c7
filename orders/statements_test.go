package orders_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// recordTo is a file: with it, the tests of this package write down every statement that the store
// prepared while they ran. A release does so (make release), for the one after it.
var recordTo = flag.String("statements", "", "write the store's statements to this file")

// A release's statements are what it sent to a database with its schema.
type statements struct {
	Schema     int      `json:"schema"`
	Statements []string `json:"statements"`
}

var prepared struct {
	sync.Mutex
	all map[string]bool
}

func notePrepared(t *testing.T, store *orders.Store) {
	if *recordTo == "" {
		return
	}
	t.Cleanup(func() {
		found, err := store.Prepared(context.Background())
		if err != nil {
			t.Error(err)
		}
		prepared.Lock()
		defer prepared.Unlock()
		for _, sql := range found {
			prepared.all[sql] = true
		}
	})
}

func TestMain(m *testing.M) {
	flag.Parse()
	prepared.all = map[string]bool{}
	code := m.Run()
	if code == 0 && *recordTo != "" {
		s := statements{Schema: orders.SchemaVersion()}
		for sql := range prepared.all {
			s.Statements = append(s.Statements, sql)
		}
		slices.Sort(s.Statements)
		written, err := json.MarshalIndent(s, "", " ")
		if err == nil {
			err = os.WriteFile(*recordTo, append(written, '\n'), 0o644)
		}
		if err != nil {
			panic(err)
		}
	}
	os.Exit(code)
}

// While nodes are replaced one by one, those of the release before send their statements to the
// schema of this one. Each of them still has a plan there: its tables, columns, functions and what
// ON CONFLICT names are there. That no row is refused which that release writes is
// TestMigrationsOnlyExpand; that its own tests pass on this schema is `make schema-before`.
func TestStatementsOfTheReleaseBeforeHaveAPlan(t *testing.T) {
	t.Parallel()
	if *recordTo != "" {
		t.Skip("SKIPPED: they are being recorded")
	}
	var before statements
	if err := json.Unmarshal(must(os.ReadFile("testdata/statements.json")), &before); err != nil {
		t.Fatal(err)
	}
	if before.Schema > orders.SchemaVersion() || len(before.Statements) < 100 {
		t.Fatalf("%d statements of schema %d: that is not the release before", len(before.Statements), before.Schema)
	}
	url := orderstest.URL(t)
	patientStore(t, url)
	for sql, err := range unplanned(t, url, before.Statements) {
		t.Errorf("%v\n%s", err, sql)
	}
	for change, want := range map[string]string{
		`ALTER TABLE orders DROP COLUMN metadata`:      `INSERT INTO orders (id,`,
		`DROP INDEX outbox_endings`:                    `ON CONFLICT (order_id, event)`,
		`DROP FUNCTION queue_epoch()`:                  `queue_epoch()`,
		`ALTER TABLE queues DROP COLUMN goal`:          `UPDATE queues SET joined`,
		`ALTER TABLE mails RENAME COLUMN kind TO sort`: `INSERT INTO mails`,
	} {
		if err := orderstest.Exec(t.Context(), url, change); err != nil {
			t.Fatal(err)
		}
		seen := false
		for sql := range unplanned(t, url, before.Statements) {
			seen = seen || strings.Contains(sql, want)
		}
		if !seen {
			t.Errorf("after %s no statement with %s is missed", change, want)
		}
	}
}

// unplanned are the statements for which the database finds no plan, and why.
func unplanned(t *testing.T, url string, all []string) map[string]error {
	t.Helper()
	b := &bundle{ctx: t.Context(), url: url}
	conn := b.connect(t)
	if _, err := conn.Exec(b.ctx, `SET plan_cache_mode = force_generic_plan`); err != nil {
		t.Fatal(err)
	}
	failed := map[string]error{}
	for _, sql := range all {
		description, err := conn.Prepare(b.ctx, "before", sql)
		if err == nil {
			explain := `EXPLAIN EXECUTE before`
			if n := len(description.ParamOIDs); n > 0 {
				explain += `(` + strings.TrimSuffix(strings.Repeat(`NULL, `, n), `, `) + `)`
			}
			_, err = conn.Exec(b.ctx, explain)
			if err := conn.Deallocate(b.ctx, "before"); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			failed[sql] = err
		}
	}
	return failed
}

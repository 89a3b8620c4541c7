package pgpipe_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/resolver"

	"boxoffice/deploy/pgpipe"
)

const visibilitySchema = "postgresql/v12/visibility"

// openVisibility opens a database for visibility with a plugin.
func openVisibility(t *testing.T, cfg *config.SQL, plugin string) sqlplugin.DB {
	t.Helper()
	with := *cfg
	with.PluginName = plugin
	db, err := sql.NewSQLDB(sqlplugin.DbKindVisibility, &with, resolver.NewNoopResolver(), quiet, metrics.NoopMetricsHandler)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func visibilityRow(n int) *sqlplugin.VisibilityRow {
	at := time.Date(2026, 3, 1, 12, 0, n, 123_456_789, time.FixedZone("CET", 3600))
	return &sqlplugin.VisibilityRow{
		NamespaceID: "space", RunID: fmt.Sprintf("run-%d", n), WorkflowTypeName: "Checkout", WorkflowID: fmt.Sprintf("checkout/%d", n),
		StartTime: at, ExecutionTime: time.Time{}, Status: 1, Memo: []byte{0, 1}, Encoding: "Proto3", TaskQueue: "checkouts",
		SearchAttributes: &sqlplugin.VisibilitySearchAttributes{"Keyword01": "spring", "Datetime01": at, "Int01": 7, "KeywordList01": []string{"a", "b"}},
		RootWorkflowID:   "root", RootRunID: "root-run", Version: 1,
	}
}

// full has a value in every column.
func full(row *sqlplugin.VisibilityRow) *sqlplugin.VisibilityRow {
	closed, length, size, duration, transitions, parent := row.StartTime.Add(time.Minute), int64(13), int64(4_656), int64(60_000), int64(3), "parent"
	row.CloseTime, row.HistoryLength, row.HistorySizeBytes, row.ExecutionDuration, row.StateTransitionCount = &closed, &length, &size, &duration, &transitions
	row.ParentWorkflowID, row.ParentRunID, row.Status, row.Version = &parent, &parent, 2, 2
	return row
}

func TestGroupedVisibilityWritesTheOfficialRows(t *testing.T) {
	written := map[string][]map[string]any{}
	for _, plugin := range []string{postgresql.PluginNamePGX, pgpipe.GroupedPlugin} {
		cfg := newDatabaseOf(t, visibilitySchema)
		db := openVisibility(t, cfg, plugin)
		bare := visibilityRow(2)
		bare.SearchAttributes, bare.Memo = nil, nil
		stale := visibilityRow(1)
		stale.Status = 7
		for _, write := range []struct {
			into func(context.Context, *sqlplugin.VisibilityRow) (stdsql.Result, error)
			row  *sqlplugin.VisibilityRow
			want int64 // rows that changed
		}{
			{db.InsertIntoVisibility, visibilityRow(1), 1},
			{db.InsertIntoVisibility, stale, 0},
			{db.ReplaceIntoVisibility, full(visibilityRow(1)), 1},
			{db.ReplaceIntoVisibility, stale, 0}, // a late write does not overwrite a newer one
			{db.InsertIntoVisibility, bare, 1},
			{db.ReplaceIntoVisibility, full(visibilityRow(3)), 1},
		} {
			result, err := write.into(t.Context(), write.row)
			if err != nil {
				t.Fatal(err)
			}
			changed, err := result.RowsAffected()
			if err != nil {
				t.Fatal(err)
			}
			if changed != write.want {
				t.Fatalf("changed is %v, want %v: %v", changed, write.want, plugin)
			}
		}
		written[plugin] = rowsOfVisibility(t, cfg)
	}
	if len(written[pgpipe.GroupedPlugin]) != 3 {
		t.Fatalf("%d in written[pgpipe.GroupedPlugin], want 3: %+v", len(written[pgpipe.GroupedPlugin]), written[pgpipe.GroupedPlugin])
	}
	if !reflect.DeepEqual(written[pgpipe.GroupedPlugin], written[postgresql.PluginNamePGX]) {
		t.Fatalf("written[pgpipe.GroupedPlugin] is %+v, want %+v", written[pgpipe.GroupedPlugin], written[postgresql.PluginNamePGX])
	}
}

// rowsOfVisibility reads every column, those that are generated too.
func rowsOfVisibility(t *testing.T, cfg *config.SQL) []map[string]any {
	t.Helper()
	rows, err := connect(t, cfg).Query(t.Context(), "SELECT * FROM executions_visibility ORDER BY run_id")
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestVisibilityWritesThatWaitShareATransaction(t *testing.T) {
	cfg := newDatabaseOf(t, visibilitySchema)
	db := openVisibility(t, cfg, pgpipe.GroupedPlugin)
	conn := connect(t, cfg)
	blocker, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = blocker.Exec(t.Context(), "LOCK TABLE executions_visibility IN SHARE MODE")
	if err != nil {
		t.Fatal(err)
	}

	const writes = 200
	var asked, done sync.WaitGroup
	asked.Add(writes)
	for n := range writes {
		done.Go(func() {
			asked.Done()
			_, err := db.InsertIntoVisibility(t.Context(), visibilityRow(n))
			if err != nil {
				t.Error(err)
			}
		})
	}
	asked.Wait()
	if err := blocker.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	done.Wait()

	var rows, transactions int
	const count = "SELECT count(*), count(DISTINCT xmin::text) FROM executions_visibility"
	if err := conn.QueryRow(t.Context(), count).Scan(&rows, &transactions); err != nil {
		t.Fatal(err)
	}
	if rows != writes {
		t.Fatalf("rows is %v, want writes", rows)
	}
	if transactions >= (writes / 4) {
		t.Fatalf("transactions is %v, want less than %v", transactions, (writes / 4))
	}
}

func TestARowThatCannotBeWrittenHoldsUpNoOther(t *testing.T) {
	cfg := newDatabaseOf(t, visibilitySchema)
	db := openVisibility(t, cfg, pgpipe.GroupedPlugin)
	const writes = 50
	var done sync.WaitGroup
	for n := range writes {
		row := visibilityRow(n)
		if n%10 == 0 {
			row.WorkflowTypeName = "no text in Postgres has \x00"
		}
		done.Go(func() {
			_, err := db.InsertIntoVisibility(t.Context(), row)
			if n%10 == 0 {
				if err == nil || !strings.Contains(err.Error(), "invalid byte sequence") {
					t.Errorf("the error is %v, want %q in it: the official store's own error", err, "invalid byte sequence")
				}
			} else {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	if got := rowsOfVisibility(t, cfg); len(got) != (writes - writes/10) {
		t.Fatalf("%d in rowsOfVisibility(t, cfg), want %d: %+v", len(got), (writes - writes/10), got)
	}
}

func TestAVisibilityWriteEndsWithItsContext(t *testing.T) {
	cfg := newDatabaseOf(t, visibilitySchema)
	db := openVisibility(t, cfg, pgpipe.GroupedPlugin)
	blocker, err := connect(t, cfg).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = blocker.Exec(t.Context(), "LOCK TABLE executions_visibility IN SHARE MODE")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := db.InsertIntoVisibility(ctx, visibilityRow(1))
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("the error is %v, want %v", err, context.Canceled)
	}
	if err := blocker.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWhichVisibilityIsGrouped(t *testing.T) {
	const pgx = postgresql.PluginNamePGX
	hook := func(*config.SQL) (*sqlx.DB, error) { return nil, nil }
	simple := map[string]string{"default_query_exec_mode": "simple_protocol"}
	for name, c := range map[string]struct {
		store  config.SQL
		plugin string
		reason string
	}{
		"pgx":                 {config.SQL{PluginName: pgx}, pgpipe.GroupedPlugin, ""},
		"another driver":      {config.SQL{PluginName: postgresql.PluginName}, postgresql.PluginName, "is not SQL with the plugin"},
		"a hook":              {config.SQL{PluginName: pgx, Connect: hook}, pgx, "a hook"},
		"the simple protocol": {config.SQL{PluginName: pgx, ConnectAttributes: simple}, pgx, "simple protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Persistence{VisibilityStore: "lists", DataStores: map[string]config.DataStore{"lists": {SQL: &c.store}}}
			if got := pgpipe.GroupVisibility(&cfg); !strings.Contains(got, c.reason) {
				t.Fatalf("no %q in %s", c.reason, got)
			}
			if c.store.PluginName != c.plugin {
				t.Fatalf("c.store.PluginName is %q, want %q", c.store.PluginName, c.plugin)
			}
		})
	}
	elsewhere := config.Persistence{VisibilityStore: "lists", DataStores: map[string]config.DataStore{"lists": {}}}
	if got := pgpipe.GroupVisibility(&elsewhere); !strings.Contains(got, "is not SQL") {
		t.Fatalf("no %q in %s", "is not SQL", got)
	}
}

func connect(t *testing.T, cfg *config.SQL) *pgx.Conn {
	t.Helper()
	server, err := serverURL()
	if err != nil {
		t.Fatal(err)
	}
	of, err := pgx.ParseConfig(server)
	if err != nil {
		t.Fatal(err)
	}
	of.Database = cfg.DatabaseName
	conn, err := pgx.ConnectConfig(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

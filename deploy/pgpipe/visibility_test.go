package pgpipe_test

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
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
			{db.ReplaceIntoVisibility, stale, 0}, // what comes late does not overwrite what is newer
			{db.InsertIntoVisibility, bare, 1},
			{db.ReplaceIntoVisibility, full(visibilityRow(3)), 1},
		} {
			result, err := write.into(t.Context(), write.row)
			require.NoError(t, err)
			changed, err := result.RowsAffected()
			require.NoError(t, err)
			require.Equal(t, write.want, changed, plugin)
		}
		written[plugin] = rowsOfVisibility(t, cfg)
	}
	require.Len(t, written[pgpipe.GroupedPlugin], 3)
	require.Equal(t, written[postgresql.PluginNamePGX], written[pgpipe.GroupedPlugin])
}

// rowsOfVisibility reads every column, those that are generated too.
func rowsOfVisibility(t *testing.T, cfg *config.SQL) []map[string]any {
	t.Helper()
	rows, err := connect(t, cfg).Query(t.Context(), "SELECT * FROM executions_visibility ORDER BY run_id")
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToMap)
	require.NoError(t, err)
	return all
}

func TestVisibilityWritesThatWaitShareATransaction(t *testing.T) {
	cfg := newDatabaseOf(t, visibilitySchema)
	db := openVisibility(t, cfg, pgpipe.GroupedPlugin)
	conn := connect(t, cfg)
	blocker, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = blocker.Exec(t.Context(), "LOCK TABLE executions_visibility IN SHARE MODE")
	require.NoError(t, err)

	const writes = 200
	var asked, done sync.WaitGroup
	asked.Add(writes)
	for n := range writes {
		done.Go(func() {
			asked.Done()
			_, err := db.InsertIntoVisibility(t.Context(), visibilityRow(n))
			assert.NoError(t, err)
		})
	}
	asked.Wait()
	require.NoError(t, blocker.Rollback(t.Context()))
	done.Wait()

	var rows, transactions int
	const count = "SELECT count(*), count(DISTINCT xmin::text) FROM executions_visibility"
	require.NoError(t, conn.QueryRow(t.Context(), count).Scan(&rows, &transactions))
	require.Equal(t, writes, rows)
	require.Less(t, transactions, writes/4)
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
				assert.ErrorContains(t, err, "invalid byte sequence", "the official store's own error")
			} else {
				assert.NoError(t, err)
			}
		})
	}
	done.Wait()
	require.Len(t, rowsOfVisibility(t, cfg), writes-writes/10)
}

func TestAVisibilityWriteEndsWithItsContext(t *testing.T) {
	cfg := newDatabaseOf(t, visibilitySchema)
	db := openVisibility(t, cfg, pgpipe.GroupedPlugin)
	blocker, err := connect(t, cfg).Begin(t.Context())
	require.NoError(t, err)
	_, err = blocker.Exec(t.Context(), "LOCK TABLE executions_visibility IN SHARE MODE")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := db.InsertIntoVisibility(ctx, visibilityRow(1))
		ended <- err
	}()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, blocker.Rollback(t.Context()))
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
			require.Contains(t, pgpipe.GroupVisibility(&cfg), c.reason)
			require.Equal(t, c.plugin, c.store.PluginName)
		})
	}
	elsewhere := config.Persistence{VisibilityStore: "lists", DataStores: map[string]config.DataStore{"lists": {}}}
	require.Contains(t, pgpipe.GroupVisibility(&elsewhere), "is not SQL")
}

func connect(t *testing.T, cfg *config.SQL) *pgx.Conn {
	t.Helper()
	server, err := serverURL()
	require.NoError(t, err)
	of, err := pgx.ParseConfig(server)
	require.NoError(t, err)
	of.Database = cfg.DatabaseName
	conn, err := pgx.ConnectConfig(t.Context(), of)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

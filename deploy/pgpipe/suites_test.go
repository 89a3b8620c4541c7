package pgpipe_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/suite"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/persistence"
	persistencetests "go.temporal.io/server/common/persistence/persistence-tests"
	"go.temporal.io/server/common/persistence/tests"
	"go.temporal.io/server/common/primitives"

	"boxoffice/deploy/pgpipe"
)

// Temporal's own suites of the stores that this package wraps: on the official store, on this one, and on this one switched off.
func TestTemporalsOwnSuites(t *testing.T) {
	for _, way := range []struct {
		name    string
		options *pgpipe.Options
		fast    bool
	}{
		{"official", nil, false},
		{"pipelined", &pgpipe.Options{}, true},
		{"switched off", &pgpipe.Options{Off: true}, false},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Run("shards", func(t *testing.T) {
				s := open(t, newDatabase(t), way.options)
				suite.Run(t, tests.NewShardSuite(t, s.shards, serializer, quiet))
			})
			t.Run("history", func(t *testing.T) {
				s := open(t, newDatabase(t), way.options)
				suite.Run(t, tests.NewHistoryEventsSuite(t, s.executions, quiet))
			})
			t.Run("branches of histories", func(t *testing.T) {
				cfg := newDatabase(t)
				s := open(t, cfg, way.options)
				base := persistencetests.NewTestBaseForCluster(thisDatabase{cfg}, quiet)
				base.Setup(nil)
				base.ExecutionManager = persistence.NewExecutionManager(
					s.executions, serializer, nil, quiet, dynamicconfig.GetIntPropertyFn(4<<20), dynamicconfig.GetBoolPropertyFn(false),
				)
				t.Cleanup(base.Factory.Close)
				suite.Run(t, &persistencetests.HistoryV2PersistenceSuite{TestBase: base})
			})
			t.Run("mutable state", func(t *testing.T) {
				cfg := newDatabase(t)
				s := open(t, cfg, way.options)
				states := tests.NewExecutionMutableStateSuite(t, s.shards, s.executions, serializer, quiet)
				states.MutableStateTableCounts = rowsOf(t, cfg)
				suite.Run(t, states)
				counted := s.stats.Snapshot()
				t.Logf("requests: %v", counted)
				for _, operation := range []string{"create fast", "update fast", "load fast"} {
					if (counted[operation] > 0) != way.fast {
						t.Fatalf("counted[operation] > 0 is %v, want %v: %v", (counted[operation] > 0), way.fast, operation)
					}
				}
			})
			t.Run("tasks of a state", func(t *testing.T) {
				s := open(t, newDatabase(t), way.options)
				suite.Run(t, tests.NewExecutionMutableStateTaskSuite(t, s.shards, s.executions, serializer, quiet))
			})
		})
	}
}

// thisDatabase gives one that is there already to Temporal's base of older suites.
type thisDatabase struct{ cfg *config.SQL }

func (thisDatabase) SetupTestDatabase()    {}
func (thisDatabase) TearDownTestDatabase() {}

func (d thisDatabase) Config() config.Persistence {
	return config.Persistence{
		DefaultStore: "store", NumHistoryShards: 4, DataStores: map[string]config.DataStore{"store": {SQL: d.cfg}},
	}
}

// rowsOf counts, for Temporal's suite, what a run has left in the tables of what is pending. Its own function is not exported.
func rowsOf(t *testing.T, cfg *config.SQL) func(context.Context, int32, string, string, string) (map[string]int, error) {
	t.Helper()
	server, err := serverURL()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := pgx.ParseConfig(server)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Database = cfg.DatabaseName
	conn, err := pgx.ConnectConfig(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return func(ctx context.Context, shard int32, namespace, workflow, run string) (map[string]int, error) {
		counts := map[string]int{}
		for _, table := range []string{
			"activity_info_maps", "timer_info_maps", "child_execution_info_maps", "request_cancel_info_maps", "signal_info_maps",
			"signals_requested_sets", "buffered_events", "chasm_node_maps",
		} {
			var n int
			if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table+
				" WHERE shard_id = $1 AND namespace_id = $2 AND workflow_id = $3 AND run_id = $4",
				shard, []byte(primitives.MustParseUUID(namespace)), workflow, []byte(primitives.MustParseUUID(run))).Scan(&n); err != nil {
				return nil, err
			}
			counts[table] = n
		}
		return counts, nil
	}
}

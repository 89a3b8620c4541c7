package pgpipe

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/resolver"
)

// GroupedPlugin is the SQL plugin postgres12_pgx with visibility writes that share a transaction.
const GroupedPlugin = "postgres12_pgx_grouped"

// visibilityGroupMax limits the writes of one transaction. The rest wait for the next.
const visibilityGroupMax = 100

func init() { sql.RegisterPlugin(GroupedPlugin, groupedPlugin{}) }

// GroupVisibility lets the visibility writes of a configuration share transactions. If it
// cannot, it returns why, and the configuration works as before.
func GroupVisibility(p *config.Persistence) (reason string) {
	store := p.DataStores[p.VisibilityStore].SQL
	switch {
	case store == nil || store.PluginName != postgresql.PluginNamePGX:
		return "the visibility store is not SQL with the plugin " + postgresql.PluginNamePGX
	case cannotPipeline(store) != "":
		return cannotPipeline(store)
	case headers.ServerVersion != serverRelease:
		return fmt.Sprintf("the server is release %s, and this store was written against %s", headers.ServerVersion, serverRelease)
	case !slices.Equal(sqlplugin.DbFields, visibilityColumns):
		return "the columns of visibility have changed"
	}
	store.PluginName = GroupedPlugin
	return ""
}

// groupedPlugin makes the official plugin's databases, with a group for the visibility
// ones.
type groupedPlugin struct{}

func (groupedPlugin) GetVisibilityQueryConverter() sqlplugin.VisibilityQueryConverter {
	converter, err := sql.GetPluginVisibilityQueryConverter(postgresql.PluginNamePGX)
	if err != nil {
		panic(err) // this package imports it
	}
	return converter
}

func (groupedPlugin) CreateDB(
	kind sqlplugin.DbKind, cfg *config.SQL, r resolver.ServiceResolver, logger log.Logger, handler metrics.Handler,
) (sqlplugin.GenericDB, error) {
	official := *cfg
	official.PluginName = postgresql.PluginNamePGX
	made, err := sql.NewSQLDB(kind, &official, r, logger, handler)
	if err != nil || kind != sqlplugin.DbKindVisibility {
		return made, err
	}
	db, ok := made.(officialDB)
	if !ok {
		return nil, fmt.Errorf("pgpipe: the official database is a %T", made)
	}
	official.MaxConns, official.MaxIdleConns = 1, 1 // one group at a time
	return &groupedDB{officialDB: db, group: &group{
		connect:  func() (*connections, error) { return connect(&official, r) },
		outcomes: outcomes{handler: handler},
	}}, nil
}

type officialDB interface {
	sqlplugin.DB
	sqlplugin.AdminDB
}

// groupedDB is the official database except for the writes of visibility.
type groupedDB struct {
	officialDB
	group *group
}

// InsertIntoVisibility writes a row if there is none.
func (d *groupedDB) InsertIntoVisibility(ctx context.Context, row *sqlplugin.VisibilityRow) (stdsql.Result, error) {
	if done := d.group.write(ctx, insertVisibility, row); done != nil {
		return done, nil
	}
	return d.officialDB.InsertIntoVisibility(ctx, row)
}

// ReplaceIntoVisibility writes a row, unless there is a newer one.
func (d *groupedDB) ReplaceIntoVisibility(ctx context.Context, row *sqlplugin.VisibilityRow) (stdsql.Result, error) {
	if done := d.group.write(ctx, upsertVisibility, row); done != nil {
		return done, nil
	}
	return d.officialDB.ReplaceIntoVisibility(ctx, row)
}

// Close ends the connections of both.
func (d *groupedDB) Close() error {
	d.group.close()
	return d.officialDB.Close()
}

// group sends the waiting writes in one pipeline, one pipeline after another. It never
// waits for more to come: the first goes at once, and those that come meanwhile go
// together. If anything goes wrong, the official store writes each row by itself: a row
// carries its version, so writing it twice, or late, changes nothing.
type group struct {
	connect  func() (*connections, error)
	outcomes outcomes

	mu       sync.Mutex
	waiting  []*visibilityWrite
	flushing bool

	open lazyConnections
}

type visibilityWrite struct {
	statement string
	args      []any
	done      chan stdsql.Result // closed without a result: as far as we know, not written
}

// write returns the result for a row after its commit, or nil if the official store has
// to write it.
func (g *group) write(ctx context.Context, statement string, row *sqlplugin.VisibilityRow) stdsql.Result {
	args, err := visibilityArgs(row)
	if err != nil {
		return nil
	}
	w := &visibilityWrite{statement: statement, args: args, done: make(chan stdsql.Result, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	if !g.flushing {
		g.flushing = true
		go g.flush()
	}
	g.mu.Unlock()
	select {
	case done := <-w.done:
		return done
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		// Nobody waits for it. At most as many wait as there are callers.
		g.waiting = slices.DeleteFunc(g.waiting, func(other *visibilityWrite) bool { return other == w })
		return nil
	}
}

// flush ends when nothing waits.
func (g *group) flush() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), visibilityGroupMax)
		together := slices.Clone(g.waiting[:n])
		g.waiting = slices.Delete(g.waiting, 0, n)
		g.flushing = n > 0
		g.mu.Unlock()
		if n == 0 {
			return
		}
		g.send(together)
	}
}

func (g *group) send(together []*visibilityWrite) {
	batch := &pgx.Batch{}
	results := make([]stdsql.Result, len(together))
	for i, w := range together {
		batch.Queue(w.statement, w.args...).Exec(func(tag pgconn.CommandTag) error {
			results[i] = driver.RowsAffected(tag.RowsAffected())
			return nil
		})
	}
	opened, err := g.open.get(g.connect)
	if err == nil {
		err = opened.use(context.Background(), func(ctx context.Context, conn *pgx.Conn) error { return conn.SendBatch(ctx, batch).Close() })
	}
	for i, w := range together {
		if err == nil {
			g.outcomes.note("visibility", Fast)
			w.done <- results[i]
		} else {
			g.outcomes.note("visibility", Fallback)
		}
		close(w.done)
	}
}

func (g *group) close() { g.open.close() }

// lazyConnections open when they are first needed, and again after a failure: most
// services never write.
type lazyConnections struct {
	mu     sync.Mutex
	opened *connections
	closed bool
}

func (o *lazyConnections) get(connect func() (*connections, error)) (*connections, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, stdsql.ErrConnDone
	}
	if o.opened == nil {
		opened, err := connect()
		if err != nil {
			return nil, err
		}
		o.opened = opened
	}
	return o.opened, nil
}

func (o *lazyConnections) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.opened != nil {
		o.opened.close()
	}
}

// visibilityColumns in the order of the official store (sqlplugin.DbFields). The version is last.
var visibilityColumns = []string{
	"namespace_id", "run_id", "workflow_type_name", "workflow_id", "start_time", "execution_time", "status", "close_time", "history_length",
	"history_size_bytes", "execution_duration", "state_transition_count", "memo", "encoding", "task_queue", "search_attributes",
	"parent_workflow_id", "parent_run_id", "root_workflow_id", "root_run_id", "_version",
}

// The official store's statements (sqlplugin/postgresql/visibility.go).
var (
	insertVisibility = intoVisibility() + " DO NOTHING"
	upsertVisibility = intoVisibility() + " DO UPDATE SET " + visibilityFromExcluded() + " WHERE executions_visibility._version < EXCLUDED._version"
)

func intoVisibility() string {
	places := make([]string, len(visibilityColumns))
	for i := range visibilityColumns {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	return fmt.Sprintf("INSERT INTO executions_visibility (%s) VALUES (%s) ON CONFLICT (namespace_id, run_id)",
		strings.Join(visibilityColumns, ", "), strings.Join(places, ", "))
}

func visibilityFromExcluded() string {
	set := make([]string, len(visibilityColumns))
	for i, column := range visibilityColumns {
		set[i] = column + " = excluded." + column
	}
	return strings.Join(set, ", ")
}

// visibilityArgs are the values of a row, as the official store gives them to the driver.
func visibilityArgs(row *sqlplugin.VisibilityRow) ([]any, error) {
	var closed *time.Time
	if row.CloseTime != nil {
		at := databaseTime(*row.CloseTime)
		closed = &at
	}
	attributes, err := visibilityAttributes(row.SearchAttributes)
	if err != nil {
		return nil, err
	}
	return []any{
		row.NamespaceID, row.RunID, row.WorkflowTypeName, row.WorkflowID, databaseTime(row.StartTime), databaseTime(row.ExecutionTime),
		row.Status, closed, row.HistoryLength, row.HistorySizeBytes, row.ExecutionDuration, row.StateTransitionCount, row.Memo, row.Encoding,
		row.TaskQueue, attributes, row.ParentWorkflowID, row.ParentRunID, row.RootWorkflowID, row.RootRunID, row.Version,
	}, nil
}

// visibilityAttributes is their JSON, with times as the official store writes them, or nil.
func visibilityAttributes(of *sqlplugin.VisibilitySearchAttributes) (any, error) {
	if of == nil {
		return nil, nil
	}
	written := make(sqlplugin.VisibilitySearchAttributes, len(*of))
	for name, value := range *of {
		if at, ok := value.(time.Time); ok {
			value = at.Format(time.RFC3339Nano)
		}
		written[name] = value
	}
	return written.Value()
}

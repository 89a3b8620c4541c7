package pgpipe_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	enumsspb "go.temporal.io/server/api/enums/v1"
	persistencespb "go.temporal.io/server/api/persistence/v1"
	"go.temporal.io/server/chasm"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/service/history/tasks"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"boxoffice/deploy/pgpipe"
)

// tables are all that a transition may write, but for buffered_events.
var tables = []string{
	"shards", "executions", "current_executions", "history_node", "history_tree", "transfer_tasks", "timer_tasks", "visibility_tasks",
	"replication_tasks", "history_immediate_tasks", "history_scheduled_tasks", "activity_info_maps", "timer_info_maps",
	"child_execution_info_maps", "request_cancel_info_maps", "signal_info_maps", "signals_requested_sets", "chasm_node_maps",
}

// dump gives every row of every table as text.
func dump(ctx context.Context, conn *pgx.Conn) (map[string][]string, error) {
	all := map[string][]string{}
	for _, table := range append([]string{bufferedEvents}, tables...) {
		rows, err := conn.Query(ctx, "SELECT row_of::text FROM "+table+" AS row_of ORDER BY 1")
		if err != nil {
			return nil, err
		}
		if all[table], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// bufferedEvents are those rows without their serial number, which an attempt that was rolled back uses up.
const bufferedEvents = "(SELECT shard_id, namespace_id, workflow_id, run_id, data, data_encoding FROM buffered_events)"

// twin runs the same requests on an official store and on a pipelined one, and compares what both answer and keep.
type twin struct {
	official, piped stores
	conns           [2]*pgx.Conn
	rangeID         int64
	runs            map[string]int64 // db record version by run
	txn             int64
}

const (
	shard     = int32(1)
	namespace = "11111111-1111-4111-8111-111111111111"
)

func newTwin(t *testing.T) *twin {
	t.Helper()
	w := &twin{rangeID: 1, runs: map[string]int64{}}
	configs := [2]*config.SQL{newDatabase(t), newDatabase(t)}
	w.official, w.piped = open(t, configs[0], nil), open(t, configs[1], &pgpipe.Options{})
	server, err := serverURL()
	if err != nil {
		t.Fatal(err)
	}
	for i, cfg := range configs {
		parsed, err := pgx.ParseConfig(server)
		if err != nil {
			t.Fatal(err)
		}
		parsed.Database = cfg.DatabaseName
		w.conns[i], err = pgx.ConnectConfig(t.Context(), parsed)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.conns[i].Close(context.Background()) })
	}
	return w
}

// empty makes both databases as they were at first.
func (w *twin) empty(ctx context.Context) error {
	w.runs, w.txn = map[string]int64{}, 0 // the range id goes on growing, as a shard's does
	for _, conn := range w.conns {
		if _, err := conn.Exec(ctx, "TRUNCATE buffered_events, "+strings.Join(tables, ", ")); err != nil {
			return err
		}
	}
	for _, s := range []stores{w.official, w.piped} {
		err := s.shards.UpdateShard(ctx, &persistence.InternalUpdateShardRequest{ShardID: shard, RangeID: w.rangeID, PreviousRangeID: w.rangeID, ShardInfo: blob("s")})
		if err == nil {
			return fmt.Errorf("a shard that is not there was updated")
		}
		_, err = s.shards.GetOrCreateShard(ctx, &persistence.InternalGetOrCreateShardRequest{
			ShardID:          shard,
			CreateShardInfo:  func() (int64, *commonpb.DataBlob, error) { return w.rangeID, blob("s"), nil },
			LifecycleContext: ctx,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func blob(text string) *commonpb.DataBlob {
	return &commonpb.DataBlob{Data: []byte(text), EncodingType: enumspb.ENCODING_TYPE_PROTO3}
}

// both asks the two stores and compares the kinds of their errors.
func (w *twin) both(t *rapid.T, what string, ask func(stores) error) error {
	first, second := ask(w.official), ask(w.piped)
	if reflect.TypeOf(first) != reflect.TypeOf(second) {
		t.Fatalf("%s: the official store answers %T (%v), the pipelined one %T (%v)", what, first, first, second, second)
	}
	return first
}

func workflowID(t *rapid.T) string {
	return rapid.SampledFrom([]string{"w1", "w2", "w3", "w4"}).Draw(t, "workflow")
}

// runID is one of two runs of a workflow, mostly the first.
func runID(t *rapid.T, workflow string) string {
	return fmt.Sprintf("22222222-2222-4222-8222-2222222222%c%d", workflow[1], rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "run"))
}

func state(run string, of enumsspb.WorkflowExecutionState, request string) *persistencespb.WorkflowExecutionState {
	status := enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	if of == enumsspb.WORKFLOW_EXECUTION_STATE_COMPLETED {
		status = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
	}
	return &persistencespb.WorkflowExecutionState{
		RunId: run, CreateRequestId: request, State: of, Status: status,
		StartTime: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)),
	}
}

func drawState(t *rapid.T) enumsspb.WorkflowExecutionState {
	return rapid.SampledFrom([]enumsspb.WorkflowExecutionState{
		enumsspb.WORKFLOW_EXECUTION_STATE_CREATED, enumsspb.WORKFLOW_EXECUTION_STATE_RUNNING, enumsspb.WORKFLOW_EXECUTION_STATE_COMPLETED,
	}).Draw(t, "state")
}

func (w *twin) history(t *rapid.T, run string) []*persistence.InternalAppendHistoryNodesRequest {
	var appended []*persistence.InternalAppendHistoryNodesRequest
	for range rapid.IntRange(0, 2).Draw(t, "nodes") {
		w.txn++
		appended = append(appended, &persistence.InternalAppendHistoryNodesRequest{
			ShardID: shard, IsNewBranch: rapid.Bool().Draw(t, "new branch"), TreeInfo: blob("tree"),
			BranchInfo: &persistencespb.HistoryBranch{TreeId: run, BranchId: run},
			Node: persistence.InternalHistoryNode{
				NodeID: rapid.Int64Range(1, 5).Draw(t, "node"), TransactionID: w.txn, PrevTransactionID: w.txn - 1, Events: blob(fmt.Sprint("events", w.txn)),
			},
		})
	}
	return appended
}

func (w *twin) tasks(t *rapid.T) map[tasks.Category][]persistence.InternalHistoryTask {
	drawn := map[tasks.Category][]persistence.InternalHistoryTask{}
	for _, category := range []tasks.Category{
		tasks.CategoryTransfer, tasks.CategoryTimer, tasks.CategoryVisibility, tasks.CategoryReplication, tasks.CategoryArchival, tasks.CategoryOutbound,
	} {
		for range rapid.IntRange(0, 2).Draw(t, category.Name()) {
			w.txn++
			id := w.txn
			if rapid.IntRange(0, 80).Draw(t, "taken") == 0 {
				id = 1 // may be there already
			}
			fire := time.Date(2026, 2, 3, 4, 5, 6, int(id)*1_001, time.UTC)
			drawn[category] = append(drawn[category], persistence.InternalHistoryTask{Key: tasks.NewKey(fire, id), Blob: blob(fmt.Sprint("task", id))})
		}
	}
	return drawn
}

func drawMap[K comparable](t *rapid.T, label string, key func(int) K) map[K]*commonpb.DataBlob {
	drawn := map[K]*commonpb.DataBlob{}
	for range rapid.IntRange(0, 2).Draw(t, label) {
		drawn[key(rapid.IntRange(1, 3).Draw(t, label+" key"))] = blob(rapid.StringMatching(`[a-z]{1,4}`).Draw(t, label+" value"))
	}
	return drawn
}

func drawKeys[K comparable](t *rapid.T, label string, key func(int) K) map[K]struct{} {
	drawn := map[K]struct{}{}
	for range rapid.IntRange(0, 1).Draw(t, label) {
		drawn[key(rapid.IntRange(1, 3).Draw(t, label+" key"))] = struct{}{}
	}
	return drawn
}

func number(i int) int64 { return int64(i) }
func name(i int) string  { return fmt.Sprint("name-", i) }
func path(i int) string  { return []string{"", "a", `odd\\path`, "b"}[i] }

func drawChasm(t *rapid.T, label string) map[string]persistence.InternalChasmNode {
	drawn := map[string]persistence.InternalChasmNode{}
	for range rapid.IntRange(0, 1).Draw(t, label) {
		node := persistence.InternalChasmNode{Metadata: blob("meta")}
		if rapid.Bool().Draw(t, label+" data") {
			node.Data = blob("data")
		}
		drawn[path(rapid.IntRange(1, 3).Draw(t, label+" key"))] = node
	}
	return drawn
}

func (w *twin) snapshot(t *rapid.T, workflow, run string) persistence.InternalWorkflowSnapshot {
	s := state(run, drawState(t), rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "request"))
	stateBlob, err := serializer.WorkflowExecutionStateToBlob(s)
	if err != nil {
		t.Fatal(err)
	}
	n := persistence.InternalWorkflowSnapshot{
		NamespaceID: namespace, WorkflowID: workflow, RunID: run, ExecutionState: s, ExecutionStateBlob: stateBlob, ExecutionInfoBlob: blob("info"),
		NextEventID: rapid.Int64Range(1, 9).Draw(t, "next"), LastWriteVersion: 3, DBRecordVersion: 1, Tasks: w.tasks(t),
	}
	if rapid.IntRange(0, 2).Draw(t, "pending") == 0 {
		n.ActivityInfos = drawMap(t, "activities", number)
		n.TimerInfos = drawMap(t, "timers", name)
		n.ChildExecutionInfos = drawMap(t, "children", number)
		n.RequestCancelInfos = drawMap(t, "cancels", number)
		n.SignalInfos = drawMap(t, "signals", number)
		n.SignalRequestedIDs = drawKeys(t, "requested", name)
		n.ChasmNodes = drawChasm(t, "chasm")
	}
	return n
}

// drawRange is the shard's range id, and sometimes one that is out of date.
func (w *twin) drawRange(t *rapid.T) int64 {
	if rapid.IntRange(0, 15).Draw(t, "stale") == 0 {
		return w.rangeID - 1
	}
	return w.rangeID
}

func (w *twin) create(t *rapid.T) {
	workflow := workflowID(t)
	run := runID(t, workflow)
	r := persistence.InternalCreateWorkflowExecutionRequest{
		ShardID: shard, RangeID: w.drawRange(t), ArchetypeID: chasm.WorkflowArchetypeID,
		Mode: rapid.SampledFrom([]persistence.CreateWorkflowMode{
			persistence.CreateWorkflowModeBrandNew, persistence.CreateWorkflowModeBrandNew, persistence.CreateWorkflowModeUpdateCurrent, persistence.CreateWorkflowModeBypassCurrent,
		}).Draw(t, "mode"),
		NewWorkflowSnapshot: w.snapshot(t, workflow, run), NewWorkflowNewEvents: w.history(t, run),
	}
	if r.Mode == persistence.CreateWorkflowModeUpdateCurrent {
		r.PreviousRunID, r.PreviousLastWriteVersion = runID(t, workflow), 3
	}
	err := w.both(t, "create", func(s stores) error {
		_, err := s.executions.CreateWorkflowExecution(context.Background(), &r)
		return err
	})
	if err != nil {
		return
	}
	w.runs[run] = 1
	if rapid.Bool().Draw(t, "load at once") { // as history does for the first workflow task
		w.loadRun(t, workflow, run)
	}
}

func (w *twin) update(t *rapid.T) {
	workflow := workflowID(t)
	run := runID(t, workflow)
	s := state(run, drawState(t), "r1")
	stateBlob, err := serializer.WorkflowExecutionStateToBlob(s)
	if err != nil {
		t.Fatal(err)
	}
	version := w.runs[run] + 1
	if rapid.IntRange(0, 7).Draw(t, "other version") == 0 {
		version = rapid.Int64Range(0, 5).Draw(t, "version")
	}
	r := persistence.InternalUpdateWorkflowExecutionRequest{
		ShardID: shard, RangeID: w.drawRange(t), ArchetypeID: chasm.WorkflowArchetypeID,
		Mode: rapid.SampledFrom([]persistence.UpdateWorkflowMode{
			persistence.UpdateWorkflowModeUpdateCurrent, persistence.UpdateWorkflowModeUpdateCurrent,
			persistence.UpdateWorkflowModeBypassCurrent, persistence.UpdateWorkflowModeIgnoreCurrent,
		}).Draw(t, "mode"),
		UpdateWorkflowNewEvents: w.history(t, run),
		UpdateWorkflowMutation: persistence.InternalWorkflowMutation{
			NamespaceID: namespace, WorkflowID: workflow, RunID: run, ExecutionState: s, ExecutionStateBlob: stateBlob, ExecutionInfoBlob: blob("more"),
			NextEventID: 7, LastWriteVersion: 3, DBRecordVersion: version, Condition: rapid.Int64Range(1, 9).Draw(t, "condition"), Tasks: w.tasks(t),
			UpsertActivityInfos: drawMap(t, "activities", number), DeleteActivityInfos: drawKeys(t, "less activities", number),
			UpsertTimerInfos: drawMap(t, "timers", name), DeleteTimerInfos: drawKeys(t, "less timers", name),
			UpsertChildExecutionInfos: drawMap(t, "children", number), DeleteChildExecutionInfos: drawKeys(t, "less children", number),
			UpsertRequestCancelInfos: drawMap(t, "cancels", number), DeleteRequestCancelInfos: drawKeys(t, "less cancels", number),
			UpsertSignalInfos: drawMap(t, "signals", number), DeleteSignalInfos: drawKeys(t, "less signals", number),
			UpsertSignalRequestedIDs: drawKeys(t, "requested", name), DeleteSignalRequestedIDs: drawKeys(t, "less requested", name),
			UpsertChasmNodes: drawChasm(t, "chasm"), DeleteChasmNodes: drawKeys(t, "less chasm", path),
			ClearBufferedEvents: rapid.Bool().Draw(t, "clear"),
		},
	}
	if rapid.Bool().Draw(t, "buffered") {
		r.UpdateWorkflowMutation.NewBufferedEvents = blob("buffered")
	}
	continued := ""
	if rapid.IntRange(0, 5).Draw(t, "continue as new") == 0 {
		continued = runID(t, workflow)
		n := w.snapshot(t, workflow, continued)
		r.NewWorkflowSnapshot, r.NewWorkflowNewEvents = &n, w.history(t, continued)
	}
	err = w.both(t, "update", func(s stores) error { return s.executions.UpdateWorkflowExecution(context.Background(), &r) })
	if err == nil {
		w.runs[run] = version
		if continued != "" {
			w.runs[continued] = 1
		}
	}
}

func (w *twin) load(t *rapid.T) {
	workflow := workflowID(t)
	w.loadRun(t, workflow, runID(t, workflow))
}

func (w *twin) loadRun(t *rapid.T, workflow, run string) {
	r := persistence.GetWorkflowExecutionRequest{ShardID: shard, NamespaceID: namespace, WorkflowID: workflow, RunID: run, ArchetypeID: chasm.WorkflowArchetypeID}
	var found []*persistence.InternalGetWorkflowExecutionResponse
	err := w.both(t, "load", func(s stores) error {
		answer, err := s.executions.GetWorkflowExecution(context.Background(), &r)
		found = append(found, answer)
		return err
	})
	if err == nil && !reflect.DeepEqual(plain(found[0]), plain(found[1])) {
		t.Fatalf("the official store loads %v\nthe pipelined one %v", plain(found[0]), plain(found[1]))
	}
}

// plain is a state without the order of a set.
func plain(answer *persistence.InternalGetWorkflowExecutionResponse) string {
	s := *answer.State
	requested := map[string]bool{}
	for _, id := range s.SignalRequestedIDs {
		requested[id] = true
	}
	s.SignalRequestedIDs = nil
	chasms := map[string]string{}
	for path, node := range s.ChasmNodes {
		chasms[path] = node.Metadata.String() + " " + node.Data.String()
	}
	s.ChasmNodes = nil
	return fmt.Sprintf("%d %+v %v %v", answer.DBRecordVersion, s, requested, chasms)
}

func (w *twin) remove(t *rapid.T) {
	workflow := workflowID(t)
	run := runID(t, workflow)
	r := persistence.DeleteWorkflowExecutionRequest{ShardID: shard, NamespaceID: namespace, WorkflowID: workflow, RunID: run, ArchetypeID: chasm.WorkflowArchetypeID}
	if err := w.both(t, "delete", func(s stores) error { return s.executions.DeleteWorkflowExecution(context.Background(), &r) }); err == nil {
		delete(w.runs, run)
	}
}

func (w *twin) acquire(t *rapid.T) {
	err := w.both(t, "acquire", func(s stores) error {
		return s.shards.UpdateShard(context.Background(), &persistence.InternalUpdateShardRequest{
			ShardID: shard, RangeID: w.rangeID + 1, PreviousRangeID: w.rangeID, ShardInfo: blob("s"),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	w.rangeID++
}

func (w *twin) check(t *rapid.T) {
	official, err := dump(context.Background(), w.conns[0])
	if err != nil {
		t.Fatal(err)
	}
	piped, err := dump(context.Background(), w.conns[1])
	if err != nil {
		t.Fatal(err)
	}
	for table, rows := range official {
		if !reflect.DeepEqual(rows, piped[table]) {
			t.Fatalf("%s: the official store keeps\n%s\nthe pipelined one\n%s", table, strings.Join(rows, "\n"), strings.Join(piped[table], "\n"))
		}
	}
}

// For any requests in any order, both stores give the same kind of answer, load the same state, and leave the same rows in every table.
func TestBothStoresKeepTheSameRows(t *testing.T) {
	w := newTwin(t)
	rapid.Check(t, func(t *rapid.T) {
		if err := w.empty(context.Background()); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": w.create, "update": w.update, "update again": w.update, "load": w.load, "delete": w.remove, "acquire": w.acquire, "": w.check,
		})
	})
	counted := w.piped.stats.Snapshot()
	t.Logf("requests: %v", counted)
	for _, way := range []string{"create fast", "create slow", "create fallback", "update fast", "update slow", "update fallback", "load fast", "load cached"} {
		if counted[way] <= 0 {
			t.Fatalf("counted[way] is %v, want more than 0: %v", counted[way], way)
		}
	}
	if counted["update unknown"]+counted["create unknown"] != 0 {
		t.Fatalf(`counted["update unknown"]+counted["create unknown"] is %v, want zero`, (counted["update unknown"] + counted["create unknown"]))
	}
}

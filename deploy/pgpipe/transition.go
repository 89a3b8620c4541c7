package pgpipe

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	commonpb "go.temporal.io/api/common/v1"
	persistencespb "go.temporal.io/server/api/persistence/v1"
	"go.temporal.io/server/chasm"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/service/history/tasks"
)

// errShape: this package does not know how to write the request.
var errShape = errors.New("a shape for the official store")

// A pipeline collects the statements of one transition, in the order in which the official store takes its locks.
type pipeline struct {
	batch          pgx.Batch
	shard          int32
	namespace, run []byte
	workflow       string
}

// pipelineOf starts a pipeline for one run, with the shard's lock.
func pipelineOf(shard int32, rangeID int64, namespaceID, workflowID, runID string) (*pipeline, error) {
	namespace, err := primitives.ParseUUID(namespaceID)
	if err != nil || namespace == nil {
		return nil, errShape
	}
	run, err := primitives.ParseUUID(runID)
	if err != nil || run == nil {
		return nil, errShape
	}
	p := &pipeline{shard: shard, namespace: namespace, run: run, workflow: workflowID}
	p.batch.Queue(lockShard, shard, rangeID)
	return p, nil
}

// creation writes the creation of a workflow that is the first with its id.
func creation(r *persistence.InternalCreateWorkflowExecutionRequest) (*pipeline, error) {
	n := &r.NewWorkflowSnapshot
	if r.Mode != persistence.CreateWorkflowModeBrandNew || r.PreviousRunID != "" || r.ArchetypeID != chasm.WorkflowArchetypeID ||
		n.ExecutionState == nil || n.ExecutionState.RunId != n.RunID || n.ExecutionInfoBlob == nil || n.ExecutionStateBlob == nil {
		return nil, errShape
	}
	p, err := pipelineOf(r.ShardID, r.RangeID, n.NamespaceID, n.WorkflowID, n.RunID)
	if err != nil {
		return nil, err
	}
	if err := p.history(r.NewWorkflowNewEvents); err != nil {
		return nil, err
	}
	state := n.ExecutionState
	p.batch.Queue(insertCurrent, p.shard, p.namespace, p.workflow, p.run, state.CreateRequestId, int32(state.State), int32(state.Status),
		startTime(state), n.LastWriteVersion, n.ExecutionStateBlob.Data, encoding(n.ExecutionStateBlob))
	p.batch.Queue(insertExecution, p.shard, p.namespace, p.workflow, p.run, n.NextEventID, n.LastWriteVersion,
		n.ExecutionInfoBlob.Data, encoding(n.ExecutionInfoBlob), n.ExecutionStateBlob.Data, encoding(n.ExecutionStateBlob), n.DBRecordVersion)
	if err := p.tasks(n.Tasks); err != nil {
		return nil, err
	}
	setMap(p, activities, n.ActivityInfos)
	setMap(p, timers, n.TimerInfos)
	setMap(p, children, n.ChildExecutionInfos)
	setMap(p, cancelRequests, n.RequestCancelInfos)
	setMap(p, signals, n.SignalInfos)
	p.signalsRequested(n.SignalRequestedIDs)
	return p, p.chasmNodes(n.ChasmNodes, nil)
}

// change writes an update of the current run.
func change(r *persistence.InternalUpdateWorkflowExecutionRequest) (*pipeline, error) {
	m := &r.UpdateWorkflowMutation
	if r.Mode != persistence.UpdateWorkflowModeUpdateCurrent || r.NewWorkflowSnapshot != nil || len(r.NewWorkflowNewEvents) > 0 ||
		r.ArchetypeID != chasm.WorkflowArchetypeID || m.DBRecordVersion == 0 ||
		m.ExecutionState == nil || m.ExecutionInfoBlob == nil || m.ExecutionStateBlob == nil {
		return nil, errShape
	}
	state := m.ExecutionState
	p, err := pipelineOf(r.ShardID, r.RangeID, m.NamespaceID, m.WorkflowID, state.RunId)
	if err != nil {
		return nil, err
	}
	if err := p.history(r.UpdateWorkflowNewEvents); err != nil {
		return nil, err
	}
	p.batch.Queue(updateCurrent, p.shard, p.namespace, p.workflow, p.run, state.CreateRequestId, int32(state.State), int32(state.Status),
		startTime(state), m.LastWriteVersion, m.ExecutionStateBlob.Data, encoding(m.ExecutionStateBlob))
	p.batch.Queue(updateExecution, p.shard, p.namespace, p.workflow, p.run, m.NextEventID, m.LastWriteVersion,
		m.ExecutionInfoBlob.Data, encoding(m.ExecutionInfoBlob), m.ExecutionStateBlob.Data, encoding(m.ExecutionStateBlob),
		m.DBRecordVersion, m.DBRecordVersion-1)
	if err := p.tasks(m.Tasks); err != nil {
		return nil, err
	}
	setMap(p, activities, m.UpsertActivityInfos)
	clearMap(p, activities.remove, m.DeleteActivityInfos)
	setMap(p, timers, m.UpsertTimerInfos)
	clearMap(p, timers.remove, m.DeleteTimerInfos)
	setMap(p, children, m.UpsertChildExecutionInfos)
	clearMap(p, children.remove, m.DeleteChildExecutionInfos)
	setMap(p, cancelRequests, m.UpsertRequestCancelInfos)
	clearMap(p, cancelRequests.remove, m.DeleteRequestCancelInfos)
	setMap(p, signals, m.UpsertSignalInfos)
	clearMap(p, signals.remove, m.DeleteSignalInfos)
	p.signalsRequested(m.UpsertSignalRequestedIDs)
	clearMap(p, deleteSignalsRequested, m.DeleteSignalRequestedIDs)
	p.buffered(m.ClearBufferedEvents, m.NewBufferedEvents)
	return p, p.chasmNodes(m.UpsertChasmNodes, m.DeleteChasmNodes)
}

// history appends nodes. The official store does that before its transaction; here they
// are part of it.
func (p *pipeline) history(appended []*persistence.InternalAppendHistoryNodesRequest) error {
	for _, a := range appended {
		tree, err := primitives.ParseUUID(a.BranchInfo.GetTreeId())
		if err != nil || tree == nil {
			return errShape
		}
		branch, err := primitives.ParseUUID(a.BranchInfo.GetBranchId())
		if err != nil || branch == nil || a.Node.Events == nil || a.IsNewBranch && a.TreeInfo == nil {
			return errShape
		}
		// The transaction's id is stored negated, so that the newest comes first.
		p.batch.Queue(upsertNode, a.ShardID, []byte(tree), []byte(branch), a.Node.NodeID, a.Node.PrevTransactionID, -a.Node.TransactionID,
			a.Node.Events.Data, encoding(a.Node.Events))
		if a.IsNewBranch {
			p.batch.Queue(upsertTree, a.ShardID, []byte(tree), []byte(branch), a.TreeInfo.Data, encoding(a.TreeInfo))
		}
	}
	return nil
}

func (p *pipeline) tasks(byCategory map[tasks.Category][]persistence.InternalHistoryTask) error {
	for category, list := range byCategory {
		for _, task := range list {
			if task.Blob == nil {
				return errShape
			}
			if err := p.task(category, task); err != nil {
				return err
			}
		}
	}
	return nil
}

// task inserts one. The oldest categories have their own tables.
func (p *pipeline) task(category tasks.Category, task persistence.InternalHistoryTask) error {
	id, data, coding := task.Key.TaskID, task.Blob.Data, encoding(task.Blob)
	switch {
	case category.ID() == tasks.CategoryIDTransfer:
		p.batch.Queue(insertTransferTask, p.shard, id, data, coding)
	case category.ID() == tasks.CategoryIDVisibility:
		p.batch.Queue(insertVisibilityTask, p.shard, id, data, coding)
	case category.ID() == tasks.CategoryIDReplication:
		p.batch.Queue(insertReplicationTask, p.shard, id, data, coding)
	case category.ID() == tasks.CategoryIDTimer:
		p.batch.Queue(insertTimerTask, p.shard, databaseTime(task.Key.FireTime), id, data, coding)
	case category.Type() == tasks.CategoryTypeImmediate:
		p.batch.Queue(insertImmediateTask, p.shard, int32(category.ID()), id, data, coding)
	case category.Type() == tasks.CategoryTypeScheduled:
		p.batch.Queue(insertScheduledTask, p.shard, int32(category.ID()), databaseTime(task.Key.FireTime), id, data, coding)
	default:
		return errShape
	}
	return nil
}

func setMap[K int64 | string](p *pipeline, table mapTable, set map[K]*commonpb.DataBlob) {
	for key, blob := range set {
		p.batch.Queue(table.upsert, p.shard, p.namespace, p.workflow, p.run, key, blob.GetData(), encoding(blob))
	}
}

func clearMap[K int64 | string](p *pipeline, remove string, keys map[K]struct{}) {
	if len(keys) > 0 {
		p.batch.Queue(remove, p.shard, p.namespace, p.workflow, p.run, slices.Collect(maps.Keys(keys)))
	}
}

func (p *pipeline) signalsRequested(ids map[string]struct{}) {
	for id := range ids {
		p.batch.Queue(insertSignalRequested, p.shard, p.namespace, p.workflow, p.run, id)
	}
}

func (p *pipeline) buffered(clear bool, events *commonpb.DataBlob) {
	if clear {
		p.batch.Queue(deleteBufferedEvents, p.shard, p.namespace, p.workflow, p.run)
	}
	if events != nil {
		p.batch.Queue(insertBufferedEvents, p.shard, p.namespace, p.workflow, p.run, events.Data, encoding(events))
	}
}

func (p *pipeline) chasmNodes(set map[string]persistence.InternalChasmNode, remove map[string]struct{}) error {
	for path, node := range set {
		if node.Metadata == nil {
			return errShape
		}
		var data []byte
		coding := ""
		if node.Data != nil {
			data, coding = node.Data.Data, encoding(node.Data)
		}
		p.batch.Queue(upsertChasmNode, p.shard, p.namespace, p.workflow, p.run, path, node.Metadata.Data, encoding(node.Metadata), data, coding)
	}
	for path := range remove {
		p.batch.Queue(deleteChasmNode, p.shard, p.namespace, p.workflow, p.run, path)
	}
	return nil
}

func encoding(blob *commonpb.DataBlob) string { return blob.GetEncodingType().String() }

func startTime(state *persistencespb.WorkflowExecutionState) *time.Time {
	if state.StartTime == nil {
		return nil
	}
	at := state.StartTime.AsTime()
	return &at
}

// zeroDatabaseTime means no time at all (sqlplugin/postgresql/typeconv.go).
var zeroDatabaseTime = time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)

func databaseTime(t time.Time) time.Time {
	if t.IsZero() {
		return zeroDatabaseTime
	}
	return t.UTC().Truncate(time.Microsecond)
}

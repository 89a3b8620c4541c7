package pgpipe

import (
	"context"
	"errors"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/server/common/persistence"
)

// store is the official execution store with a fast way for common transitions. What it
// does not override goes to the official store.
type store struct {
	persistence.ExecutionStore
	connections *connections
	fresh       *freshRuns
	outcomes    outcomes
}

// CreateWorkflowExecution creates a workflow. It fails with the official store's errors,
// or with *serviceerror.Unavailable if there was no answer.
func (s *store) CreateWorkflowExecution(
	ctx context.Context, r *persistence.InternalCreateWorkflowExecutionRequest,
) (*persistence.InternalCreateWorkflowExecutionResponse, error) {
	n := &r.NewWorkflowSnapshot
	key := runKey{r.ShardID, n.NamespaceID, n.WorkflowID, n.RunID}
	s.fresh.drop(key)
	if r.PreviousRunID != "" {
		s.fresh.drop(runKey{r.ShardID, n.NamespaceID, n.WorkflowID, r.PreviousRunID})
	}
	p, err := creation(r)
	if err != nil {
		s.outcomes.note("create", Slow)
		return s.ExecutionStore.CreateWorkflowExecution(ctx, r)
	}
	promised := s.fresh.promise(key, r.RangeID)
	switch came, err := s.connections.write(ctx, &p.batch); came {
	case committed:
		s.outcomes.note("create", Fast)
		if state := freshState(n); state != nil {
			s.fresh.keep(key, promised, state)
		} else {
			s.fresh.drop(key)
		}
		return &persistence.InternalCreateWorkflowExecutionResponse{}, nil
	case rolledBack:
		s.outcomes.note("create", Fallback)
		s.fresh.drop(key)
		return s.ExecutionStore.CreateWorkflowExecution(ctx, r)
	default:
		s.outcomes.note("create", Unknown)
		s.fresh.drop(key)
		return nil, unavailable("CreateWorkflowExecution", err)
	}
}

// UpdateWorkflowExecution writes a transition of a workflow. Errors as for
// CreateWorkflowExecution.
func (s *store) UpdateWorkflowExecution(ctx context.Context, r *persistence.InternalUpdateWorkflowExecutionRequest) error {
	s.dropMutated(r.ShardID, &r.UpdateWorkflowMutation)
	s.dropSnapshot(r.ShardID, r.NewWorkflowSnapshot)
	p, err := change(r)
	if err != nil {
		s.outcomes.note("update", Slow)
		return s.ExecutionStore.UpdateWorkflowExecution(ctx, r)
	}
	switch came, err := s.connections.write(ctx, &p.batch); came {
	case committed:
		s.outcomes.note("update", Fast)
		return nil
	case rolledBack:
		s.outcomes.note("update", Fallback)
		return s.ExecutionStore.UpdateWorkflowExecution(ctx, r)
	default:
		s.outcomes.note("update", Unknown)
		return unavailable("UpdateWorkflowExecution", err)
	}
}

// GetWorkflowExecution loads a run's state.
func (s *store) GetWorkflowExecution(
	ctx context.Context, r *persistence.GetWorkflowExecutionRequest,
) (*persistence.InternalGetWorkflowExecutionResponse, error) {
	if state := s.fresh.take(runKey{r.ShardID, r.NamespaceID, r.WorkflowID, r.RunID}); state != nil {
		s.outcomes.note("load", Cached)
		return &persistence.InternalGetWorkflowExecutionResponse{State: state, DBRecordVersion: state.DBRecordVersion}, nil
	}
	state, err := s.connections.load(ctx, r)
	switch {
	case err == nil:
		s.outcomes.note("load", Fast)
		return &persistence.InternalGetWorkflowExecutionResponse{State: state, DBRecordVersion: state.DBRecordVersion}, nil
	case errors.Is(err, errShape):
		s.outcomes.note("load", Slow)
	default:
		s.outcomes.note("load", Fallback)
	}
	return s.ExecutionStore.GetWorkflowExecution(ctx, r)
}

// The other writes are the official store's. The memory of fresh runs only has to see
// them.

func (s *store) ConflictResolveWorkflowExecution(ctx context.Context, r *persistence.InternalConflictResolveWorkflowExecutionRequest) error {
	s.dropSnapshot(r.ShardID, &r.ResetWorkflowSnapshot)
	s.dropSnapshot(r.ShardID, r.NewWorkflowSnapshot)
	s.dropMutated(r.ShardID, r.CurrentWorkflowMutation)
	return s.ExecutionStore.ConflictResolveWorkflowExecution(ctx, r)
}

func (s *store) SetWorkflowExecution(ctx context.Context, r *persistence.InternalSetWorkflowExecutionRequest) error {
	s.dropSnapshot(r.ShardID, &r.SetWorkflowSnapshot)
	return s.ExecutionStore.SetWorkflowExecution(ctx, r)
}

func (s *store) DeleteWorkflowExecution(ctx context.Context, r *persistence.DeleteWorkflowExecutionRequest) error {
	s.fresh.drop(runKey{r.ShardID, r.NamespaceID, r.WorkflowID, r.RunID})
	return s.ExecutionStore.DeleteWorkflowExecution(ctx, r)
}

func (s *store) dropMutated(shard int32, m *persistence.InternalWorkflowMutation) {
	if m != nil {
		s.fresh.drop(runKey{shard, m.NamespaceID, m.WorkflowID, m.ExecutionState.GetRunId()})
	}
}

func (s *store) dropSnapshot(shard int32, n *persistence.InternalWorkflowSnapshot) {
	if n != nil {
		s.fresh.drop(runKey{shard, n.NamespaceID, n.WorkflowID, n.ExecutionState.GetRunId()})
	}
}

func unavailable(operation string, err error) error {
	return serviceerror.NewUnavailablef("%s: the pipeline was not answered, whether it committed is unknown. Error: %v", operation, err)
}

func emptyState(n *persistence.InternalWorkflowSnapshot) *persistence.InternalWorkflowMutableState {
	return &persistence.InternalWorkflowMutableState{
		ActivityInfos:       map[int64]*commonpb.DataBlob{},
		TimerInfos:          map[string]*commonpb.DataBlob{},
		ChildExecutionInfos: map[int64]*commonpb.DataBlob{},
		RequestCancelInfos:  map[int64]*commonpb.DataBlob{},
		SignalInfos:         map[int64]*commonpb.DataBlob{},
		ChasmNodes:          map[string]persistence.InternalChasmNode{},
		SignalRequestedIDs:  []string{},
		ExecutionInfo:       n.ExecutionInfoBlob,
		ExecutionState:      n.ExecutionStateBlob,
		NextEventID:         n.NextEventID,
		DBRecordVersion:     n.DBRecordVersion,
	}
}

// shardStore tells freshRuns about range ids.
type shardStore struct {
	persistence.ShardStore
	fresh *freshRuns
}

func (s *shardStore) UpdateShard(ctx context.Context, r *persistence.InternalUpdateShardRequest) error {
	s.fresh.moveOn(r.ShardID, r.RangeID)
	return s.ShardStore.UpdateShard(ctx, r)
}

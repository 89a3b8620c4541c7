package pgpipe_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/server/chasm"
	"go.temporal.io/server/common/persistence"

	"boxoffice/deploy/pgpipe"
)

// A state just created is remembered for one load. Whatever writes the run in between, by the fast way or the official one, the load
// finds what was written.
func TestALoadFindsTheLastWrite(t *testing.T) {
	snapshot := func(t *testing.T) persistence.InternalWorkflowSnapshot {
		n := creationOf(t, 1).NewWorkflowSnapshot
		n.ExecutionInfoBlob, n.NextEventID, n.DBRecordVersion = blob("more"), 5, 2
		return n
	}
	for _, c := range []struct {
		name  string
		write func(*testing.T, stores) error
	}{
		{"an update by one pipeline", func(t *testing.T, s stores) error {
			return s.executions.UpdateWorkflowExecution(t.Context(), updateOf(t, 1))
		}},
		{"an update by the official store", func(t *testing.T, s stores) error {
			r := updateOf(t, 1)
			r.Mode = persistence.UpdateWorkflowModeIgnoreCurrent
			return s.executions.UpdateWorkflowExecution(t.Context(), r)
		}},
		{"a state that is set", func(t *testing.T, s stores) error {
			return s.executions.SetWorkflowExecution(t.Context(), &persistence.InternalSetWorkflowExecutionRequest{
				ShardID: shard, RangeID: 1, ArchetypeID: chasm.WorkflowArchetypeID, SetWorkflowSnapshot: snapshot(t),
			})
		}},
		{"a conflict that is resolved", func(t *testing.T, s stores) error {
			return s.executions.ConflictResolveWorkflowExecution(t.Context(), &persistence.InternalConflictResolveWorkflowExecutionRequest{
				ShardID: shard, RangeID: 1, ArchetypeID: chasm.WorkflowArchetypeID, Mode: persistence.ConflictResolveWorkflowModeUpdateCurrent,
				ResetWorkflowSnapshot: snapshot(t),
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := withRun(t)
			require.NoError(t, c.write(t, s))
			version, err := loadOne(t.Context(), s)
			require.NoError(t, err)
			require.EqualValues(t, 2, version)
			require.Zero(t, s.stats.Snapshot()["load cached"])
		})
	}
	t.Run("a deletion", func(t *testing.T) {
		s := withRun(t)
		require.NoError(t, s.executions.DeleteWorkflowExecution(t.Context(), &persistence.DeleteWorkflowExecutionRequest{
			ShardID: shard, NamespaceID: namespace, WorkflowID: "workflow", RunID: runOne, ArchetypeID: chasm.WorkflowArchetypeID,
		}))
		_, err := loadOne(t.Context(), s)
		require.Error(t, err)
	})
	t.Run("another range of the shard", func(t *testing.T) {
		s := withRun(t)
		acquire(t, s, 1)
		_, err := loadOne(t.Context(), s)
		require.NoError(t, err)
		require.Zero(t, s.stats.Snapshot()["load cached"])
	})
	t.Run("nothing", func(t *testing.T) {
		s := withRun(t)
		version, err := loadOne(t.Context(), s)
		require.NoError(t, err)
		require.EqualValues(t, 1, version)
		require.EqualValues(t, 1, s.stats.Snapshot()["load cached"], "so that the cases above show something")
	})
}

// withRun gives stores in which one run was just created.
func withRun(t *testing.T) stores {
	t.Helper()
	s := open(t, newDatabase(t), &pgpipe.Options{})
	_, err := s.shards.GetOrCreateShard(t.Context(), &persistence.InternalGetOrCreateShardRequest{
		ShardID: shard, LifecycleContext: t.Context(),
		CreateShardInfo: func() (int64, *commonpb.DataBlob, error) { return 1, blob("s"), nil },
	})
	require.NoError(t, err)
	_, err = s.executions.CreateWorkflowExecution(t.Context(), creationOf(t, 1))
	require.NoError(t, err)
	return s
}

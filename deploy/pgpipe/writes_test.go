package pgpipe_test

import (
	"testing"

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
			if err := c.write(t, s); err != nil {
				t.Fatal(err)
			}
			version, err := loadOne(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if version != 2 {
				t.Fatalf("version is %v, want 2", version)
			}
			if got := s.stats.Snapshot()["load cached"]; got != 0 {
				t.Fatalf(`s.stats.Snapshot()["load cached"] is %v, want zero`, got)
			}
		})
	}
	t.Run("a deletion", func(t *testing.T) {
		s := withRun(t)
		if err := s.executions.DeleteWorkflowExecution(t.Context(), &persistence.DeleteWorkflowExecutionRequest{
			ShardID: shard, NamespaceID: namespace, WorkflowID: "workflow", RunID: runOne, ArchetypeID: chasm.WorkflowArchetypeID,
		}); err != nil {
			t.Fatal(err)
		}
		_, err := loadOne(t.Context(), s)
		if err == nil {
			t.Fatal("no error, want one")
		}
	})
	t.Run("another range of the shard", func(t *testing.T) {
		s := withRun(t)
		acquire(t, s, 1)
		_, err := loadOne(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.stats.Snapshot()["load cached"]; got != 0 {
			t.Fatalf(`s.stats.Snapshot()["load cached"] is %v, want zero`, got)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		s := withRun(t)
		version, err := loadOne(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if version != 1 {
			t.Fatalf("version is %v, want 1", version)
		}
		if got := s.stats.Snapshot()["load cached"]; got != 1 {
			t.Fatalf(`s.stats.Snapshot()["load cached"] is %v, want 1: so that the cases above show something`, got)
		}
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
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.executions.CreateWorkflowExecution(t.Context(), creationOf(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

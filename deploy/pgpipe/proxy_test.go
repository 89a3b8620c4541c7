package pgpipe_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	enumsspb "go.temporal.io/server/api/enums/v1"
	"go.temporal.io/server/chasm"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/resolver"

	"boxoffice/deploy/pgpipe"
)

// A fault is what the proxy does to the next pipeline. The Bind message of its first statement shows one.
type fault int32

const (
	none        fault = iota
	cutBefore         // the pipeline does not reach the server
	cutAfter          // it reaches the server, and the answer is lost
	answerLater       // the answer waits until the caller has given up
)

// proxy stands between the pipelined store and Postgres.
type proxy struct {
	listener net.Listener
	server   string // the path of its socket
	next     atomic.Int32
}

func newProxy(t *testing.T, cfg *config.SQL) *proxy {
	t.Helper()
	folder := cfg.ConnectAttributes["host"]
	if folder == "" {
		t.Skip("SKIPPED: the server of the tests is not one that they have started")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: filepath.Join(folder, ".s.PGSQL.5432")}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var met atomic.Int32
	go func() {
		defer client.Close()
		defer server.Close()
		buffer := make([]byte, 1<<20)
		for {
			n, err := client.Read(buffer)
			if err != nil {
				return
			}
			if buffer[0] == 'B' {
				met.Store(p.next.Swap(int32(none)))
			}
			if fault(met.Load()) == cutBefore {
				return
			}
			if _, err := server.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 1<<20)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		switch fault(met.Load()) {
		case cutAfter:
			return
		case answerLater:
			_, _ = io.Copy(io.Discard, client) // until the caller hangs up
			return
		case none, cutBefore:
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// through gives stores whose pipelines take the proxy, and whose official store does not.
func through(t *testing.T, p *proxy, cfg *config.SQL) stores {
	t.Helper()
	base := sql.NewFactory(*cfg, resolver.NewNoopResolver(), "cluster", quiet, metrics.NoopMetricsHandler, serializer)
	proxied := *cfg
	proxied.ConnectAddr, proxied.ConnectAttributes, proxied.MaxConns = p.listener.Addr().String(), map[string]string{}, 1
	stats := &pgpipe.Stats{}
	factory := pgpipe.Wrap(base, &proxied, pgpipe.Options{Stats: stats}, quiet, metrics.NoopMetricsHandler)
	t.Cleanup(factory.Close)
	executions, err := factory.NewExecutionStore()
	if err != nil {
		t.Fatal(err)
	}
	shards, err := factory.NewShardStore()
	if err != nil {
		t.Fatal(err)
	}
	return stores{executions: executions, shards: shards, stats: stats}
}

const runOne = "33333333-3333-4333-8333-333333333333"

func creationOf(t *testing.T, rangeID int64) *persistence.InternalCreateWorkflowExecutionRequest {
	t.Helper()
	s := state(runOne, enumsspb.WORKFLOW_EXECUTION_STATE_RUNNING, "r1")
	stateBlob, err := serializer.WorkflowExecutionStateToBlob(s)
	if err != nil {
		t.Fatal(err)
	}
	return &persistence.InternalCreateWorkflowExecutionRequest{
		ShardID: shard, RangeID: rangeID, ArchetypeID: chasm.WorkflowArchetypeID, Mode: persistence.CreateWorkflowModeBrandNew,
		NewWorkflowSnapshot: persistence.InternalWorkflowSnapshot{
			NamespaceID: namespace, WorkflowID: "workflow", RunID: runOne, ExecutionState: s, ExecutionStateBlob: stateBlob,
			ExecutionInfoBlob: blob("info"), NextEventID: 3, LastWriteVersion: 3, DBRecordVersion: 1,
		},
	}
}

func updateOf(t *testing.T, rangeID int64) *persistence.InternalUpdateWorkflowExecutionRequest {
	t.Helper()
	n := creationOf(t, rangeID).NewWorkflowSnapshot
	return &persistence.InternalUpdateWorkflowExecutionRequest{
		ShardID: shard, RangeID: rangeID, ArchetypeID: chasm.WorkflowArchetypeID, Mode: persistence.UpdateWorkflowModeUpdateCurrent,
		UpdateWorkflowMutation: persistence.InternalWorkflowMutation{
			NamespaceID: namespace, WorkflowID: "workflow", RunID: runOne, ExecutionState: n.ExecutionState, ExecutionStateBlob: n.ExecutionStateBlob,
			ExecutionInfoBlob: blob("more"), NextEventID: 5, LastWriteVersion: 3, DBRecordVersion: 2,
		},
	}
}

func loadOne(ctx context.Context, s stores) (int64, error) {
	answer, err := s.executions.GetWorkflowExecution(ctx, &persistence.GetWorkflowExecutionRequest{
		ShardID: shard, NamespaceID: namespace, WorkflowID: "workflow", RunID: runOne, ArchetypeID: chasm.WorkflowArchetypeID,
	})
	if err != nil {
		return 0, err
	}
	return answer.DBRecordVersion, nil
}

func acquire(t *testing.T, s stores, from int64) {
	t.Helper()
	if err := s.shards.UpdateShard(t.Context(), &persistence.InternalUpdateShardRequest{
		ShardID: shard, RangeID: from + 1, PreviousRangeID: from, ShardInfo: blob("s"),
	}); err != nil {
		t.Fatal(err)
	}
}

// A pipeline that is not answered is unknown to its caller: history acquires the shard anew, and then finds either all of the
// transition or nothing. The old range's write can come through no more.
func TestAnUnansweredPipelineIsUnknownAndHappensOnceOrNotAtAll(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fault
		there bool
	}{
		{"it did not reach the server", cutBefore, false},
		{"its answer was lost", cutAfter, true},
		{"its answer came too late", answerLater, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := newDatabase(t)
			p := newProxy(t, cfg)
			s, direct := through(t, p, cfg), open(t, cfg, nil)
			_, err := s.shards.GetOrCreateShard(t.Context(), &persistence.InternalGetOrCreateShardRequest{
				ShardID: shard, LifecycleContext: t.Context(),
				CreateShardInfo: func() (int64, *commonpb.DataBlob, error) { return 1, blob("s"), nil },
			})
			if err != nil {
				t.Fatal(err)
			}

			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			p.next.Store(int32(c.fault))
			_, err = s.executions.CreateWorkflowExecution(ctx, creationOf(t, 1))
			wantType[*serviceerror.Unavailable](t, err)
			if !persistence.OperationPossiblySucceeded(err) {
				t.Fatal("want true: persistence.OperationPossiblySucceeded(err)")
			}
			if got := s.stats.Snapshot()["create unknown"]; got != 1 {
				t.Fatalf(`s.stats.Snapshot()["create unknown"] is %v, want 1`, got)
			}

			acquire(t, s, 1)
			_, err = s.executions.CreateWorkflowExecution(t.Context(), creationOf(t, 1))
			wantType[*persistence.ShardOwnershipLostError](t, err) // the old range may not write
			_, err = loadOne(t.Context(), direct)
			if (err == nil) != c.there {
				t.Fatalf("err == nil is %v, want %v: %v", (err == nil), c.there, err)
			}

			_, err = s.executions.CreateWorkflowExecution(t.Context(), creationOf(t, 2))
			if c.there {
				wantType[*persistence.CurrentWorkflowConditionFailedError](t, err)
			} else {
				if err != nil {
					t.Fatal(err)
				}
			}

			ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			p.next.Store(int32(c.fault))
			wantType[*serviceerror.Unavailable](t, s.executions.UpdateWorkflowExecution(ctx, updateOf(t, 2)))
			acquire(t, s, 2)
			version, err := loadOne(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if c.there {
				if version != 2 {
					t.Fatalf("version is %v, want 2", version)
				}
				wantType[*persistence.WorkflowConditionFailedError](t, s.executions.UpdateWorkflowExecution(t.Context(), updateOf(t, 3)))
			} else {
				if version != 1 {
					t.Fatalf("version is %v, want 1", version)
				}
				if err := s.executions.UpdateWorkflowExecution(t.Context(), updateOf(t, 3)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// wantType wants an error of exactly this type: Temporal looks at it without unwrapping.
func wantType[E error](t *testing.T, err error) {
	t.Helper()
	if _, ok := err.(E); !ok { //nolint:errorlint // see above
		var want E
		t.Fatalf("the error is a %T, want a %T: %v", err, want, err)
	}
}

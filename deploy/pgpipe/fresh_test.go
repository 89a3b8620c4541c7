package pgpipe

import (
	"fmt"
	"testing"

	"go.temporal.io/server/common/persistence"
)

func TestAStateJustCreatedIsGivenOnceAndNeverStale(t *testing.T) {
	key := runKey{shard: 1, namespace: "n", workflow: "w", run: "r"}
	other := runKey{shard: 1, namespace: "n", workflow: "w", run: "other"}
	state := &persistence.InternalWorkflowMutableState{NextEventID: 3}
	for _, c := range []struct {
		name    string
		between func(*freshRuns) // the promise and the commit's confirmation
		after   func(*freshRuns)
		given   bool
	}{
		{"kept", nil, nil, true},
		{"given once", nil, func(f *freshRuns) { f.take(key) }, false},
		{"written after", nil, func(f *freshRuns) { f.drop(key) }, false},
		{"another run written after", nil, func(f *freshRuns) { f.drop(other) }, true},
		{"loaded before it is confirmed", func(f *freshRuns) { f.take(key) }, nil, false},
		{"written before it is confirmed", func(f *freshRuns) { f.drop(key) }, nil, false},
		{"created again before it is confirmed", func(f *freshRuns) { f.promise(key, 5) }, nil, false},
		{"the shard moved on before it is confirmed", func(f *freshRuns) { f.moveOn(1, 6) }, nil, false},
		{"the shard moved on after", nil, func(f *freshRuns) { f.moveOn(1, 6) }, false},
		{"another shard moved on", nil, func(f *freshRuns) { f.moveOn(2, 6) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFreshRuns()
			promised := f.promise(key, 5)
			if c.between != nil {
				c.between(f)
			}
			f.keep(key, promised, state)
			if c.after != nil {
				c.after(f)
			}
			if c.given {
				if got := f.take(key); got != state {
					t.Fatalf("f.take(key) is %+v, want %+v", got, state)
				}
			} else {
				if got := f.take(key); got != nil {
					t.Fatalf("f.take(key) is %+v, want nil", got)
				}
			}
		})
	}
}

func TestAnOldRangesStateIsNotGiven(t *testing.T) {
	f := newFreshRuns()
	f.moveOn(1, 6)
	key := runKey{shard: 1, run: "r"}
	f.keep(key, f.promise(key, 5), &persistence.InternalWorkflowMutableState{})
	if got := f.take(key); got != nil {
		t.Fatalf("f.take(key) is %+v, want nil", got)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	f := newFreshRuns()
	for i := range freshRunsMax + 10 {
		key := runKey{run: fmt.Sprint(i)}
		f.keep(key, f.promise(key, 1), &persistence.InternalWorkflowMutableState{})
	}
	if got := f.runs.Len(); got != freshRunsMax {
		t.Fatalf("f.runs.Len() is %v, want freshRunsMax", got)
	}
}

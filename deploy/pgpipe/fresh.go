package pgpipe

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.temporal.io/server/common/persistence"
)

// Limits of what is remembered about runs just created. History loads such a state once,
// for the first workflow task.
const (
	freshRunsMax  = 4_096
	freshBytesMax = 16 << 10 // of one run; larger ones are read
)

type runKey struct {
	shard                    int32
	namespace, workflow, run string
}

// A freshRun is the state of a run as its creation wrote it. Without a state it is a
// promise: the creation is under way, and anything that touches the run meanwhile breaks
// it.
type freshRun struct {
	rangeID int64
	state   *persistence.InternalWorkflowMutableState
}

// freshRuns remembers states just created, each for one load. An entry has the range id
// under which it was written, and counts only while this process knows no newer one for
// the shard.
type freshRuns struct {
	mu     sync.Mutex
	runs   *simplelru.LRU[runKey, *freshRun]
	ranges map[int32]int64 // newest range id known, by shard
}

func newFreshRuns() *freshRuns {
	runs, err := simplelru.NewLRU[runKey, *freshRun](freshRunsMax, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return &freshRuns{runs: runs, ranges: map[int32]int64{}}
}

// promise is made before a creation is sent.
func (f *freshRuns) promise(key runKey, rangeID int64) *freshRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	promised := &freshRun{rangeID: rangeID}
	f.runs.Add(key, promised)
	return promised
}

// keep fills a promise after its commit was confirmed, unless the promise was broken
// meanwhile.
func (f *freshRuns) keep(key runKey, promised *freshRun, state *persistence.InternalWorkflowMutableState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if there, ok := f.runs.Peek(key); ok && there == promised {
		promised.state = state
	}
}

// take returns a state, once. It breaks a promise: a caller that loads now reads the
// database and may go on from there.
func (f *freshRuns) take(key runKey) *persistence.InternalWorkflowMutableState {
	f.mu.Lock()
	defer f.mu.Unlock()
	there, ok := f.runs.Peek(key)
	if !ok {
		return nil
	}
	f.runs.Remove(key)
	if there.rangeID < f.ranges[key.shard] {
		return nil
	}
	return there.state
}

// drop forgets a run. Call it before every write of the run.
func (f *freshRuns) drop(key runKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs.Remove(key)
}

// moveOn records a range id of a shard. What was written under an older one no longer
// counts.
func (f *freshRuns) moveOn(shard int32, rangeID int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ranges[shard] = max(f.ranges[shard], rangeID)
	for _, key := range f.runs.Keys() {
		if key.shard == shard {
			f.runs.Remove(key)
		}
	}
}

// freshState is the state that a creation leaves, or nil if a load would find more than
// the execution itself.
func freshState(n *persistence.InternalWorkflowSnapshot) *persistence.InternalWorkflowMutableState {
	pending := len(n.ActivityInfos) + len(n.TimerInfos) + len(n.ChildExecutionInfos) + len(n.RequestCancelInfos) + len(n.SignalInfos) +
		len(n.SignalRequestedIDs) + len(n.ChasmNodes)
	if pending > 0 || len(n.ExecutionInfoBlob.Data)+len(n.ExecutionStateBlob.Data) > freshBytesMax {
		return nil
	}
	return emptyState(n)
}

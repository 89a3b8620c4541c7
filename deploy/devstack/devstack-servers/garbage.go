package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	liveBytes = "/gc/heap/live:bytes"
	// heapAtStart is what the runtime counts as live until the first collection.
	heapAtStart = 4 << 20
	percentMost = math.MaxInt32 / 2
)

// collectFrom lets no garbage collection begin in a heap smaller than so many bytes. Above
// that GOGC decides, as before: the program's memory in the long run stays what it was.
func collectFrom(least uint64) (stop func()) {
	gogc := debug.SetGCPercent(-1)
	if gogc < 0 { // GOGC=off
		return func() {}
	}
	live := []metrics.Sample{{Name: liveBytes}}
	adapt := func() {
		metrics.Read(live)
		marked := max(live[0].Value.Uint64(), heapAtStart)
		spare := 100 * float64(least) / float64(marked)
		debug.SetGCPercent(max(gogc, int(min(spare-100, percentMost))))
	}
	stopped := make(chan struct{})
	collected := make(chan struct{}, 1)
	watchCollections(collected, stopped)
	adapt()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-collected:
				adapt()
			case <-stopped:
				debug.SetGCPercent(gogc)
				return
			}
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}

// A cycle is garbage at once: the runtime says so after each collection.
type cycle struct{ _ *byte }

func watchCollections(collected chan<- struct{}, stopped <-chan struct{}) {
	runtime.AddCleanup(&cycle{new(byte)}, func(collected chan<- struct{}) {
		select {
		case <-stopped:
			return
		case collected <- struct{}{}:
		default:
		}
		watchCollections(collected, stopped)
	}, collected)
}

package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

const testHeap = 128 << 20

var garbage, kept []byte // on the heap

func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// adapted collects until the percentage is one that want accepts: a collection that began
// while the last one was looked at goes unnoticed.
func adapted(t *testing.T, what string, want func(percent uint64) bool) {
	t.Helper()
	gogc := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for range 1_000 {
		if metrics.Read(gogc); want(gogc[0].Value.Uint64()) {
			return
		}
		runtime.GC()
	}
	t.Fatalf("%s: GOGC is %d", what, gogc[0].Value.Uint64())
}

func TestASmallHeapIsNotCollected(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	defer func() { garbage, kept = nil, nil }()
	runtime.GC()
	stop := collectFrom(testHeap)
	adapted(t, "with next to nothing alive", func(percent uint64) bool { return percent > 400 })
	before := collections()
	for range testHeap / 2 / (1 << 20) {
		garbage = make([]byte, 1<<20)
	}
	if n := collections() - before; n > 0 {
		t.Errorf("%d collections below the least heap", n)
	}
	for i := 0; collections() == before; i++ {
		if i > 4*testHeap/(1<<20) {
			t.Fatal("no collection above the least heap either")
		}
		garbage = make([]byte, 1<<20)
	}
	kept = make([]byte, testHeap)
	runtime.GC()
	adapted(t, "with all of it alive", func(percent uint64) bool { return percent == 400 })
	kept = nil
	runtime.GC()
	adapted(t, "with nothing alive again", func(percent uint64) bool { return percent > 400 })
	stop()
	adapted(t, "after the end", func(percent uint64) bool { return percent == 400 })
}

func TestWhoTurnedCollectionOffKeepsItOff(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	collectFrom(testHeap)()
	adapted(t, "off", func(percent uint64) bool { return percent == math.MaxUint64 })
}

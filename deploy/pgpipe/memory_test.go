package pgpipe_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"testing"
	"time"
)

// heapBytesMax is far above what these tests need, some 100 MB. Once a run of Temporal's suites took all of a machine's memory and was
// killed without a word; this says where, should it happen again.
const heapBytesMax = 4 << 30

func TestMain(m *testing.M) {
	debug.SetMemoryLimit(heapBytesMax)
	go watchHeap()
	os.Exit(m.Run())
}

func watchHeap() {
	for range time.Tick(time.Second) {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > heapBytesMax {
			fmt.Fprintf(os.Stderr, "the heap has %d MB\n", now.HeapAlloc>>20)
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
			_ = pprof.Lookup("heap").WriteTo(os.Stderr, 1)
			os.Exit(2)
		}
	}
}

package embedded_test

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk"
	"boxoffice/ledger/embedded/internal/machine"
)

const (
	growthRounds   = 3
	growthTotal    = 5_000_000
	growthRestart  = 1_000_000
	growthAccounts = 200_000
	// growthWindow is the number of transfers over which a cost is measured: the
	// same early and late. It is looked at in slices, whose median counts; their
	// mean stands beside it.
	growthWindow = 96_000
	growthSlice  = 8_000
	// growthSettle is the number of slices before a window that do not count: the disk
	// still works on what filled the ledger up.
	growthSettle = 2
	// growthLag is how many holds wait for their post: a payment takes a while.
	growthLag     = 3_000
	growthCallers = 512
)

// growthSizes are the numbers of transfers at which a window starts.
var growthSizes = []int{10_000, 100_000, growthRestart, growthTotal - growthWindow - growthSettle*growthSlice}

// BenchmarkGrowth fills a ledger with five million transfers, holds and their posts,
// and compares what a transfer costs early and late: in the state machine alone, in
// the engine with requests of nearly full size, and in the engine with 512 callers of
// one transfer each. What makes the requests is outside the time measured, but for
// those callers. It also measures memory, disk and starts.
func BenchmarkGrowth(b *testing.B) {
	for range b.N {
		t := newTable("cost of a transfer, ns", "10k", "100k", "1M", "4.9M", "4.9M / 10k", "mean 10k", "mean 4.9M")
		sizes := newTable("ledger of", "1M", "5M")
		for range growthRounds {
			m := machine.New()
			w := grow(b, direct(alone(m)), nil, nil)
			t.add("state machine alone", row(w.whole)...)
			growEngine(b, t, sizes)
			growCallers(b, t)
		}
		t.print()
		sizes.print()
	}
}

// alone is the state machine behind the client's method.
func alone(m *machine.Machine) createFunc {
	m.CreateAccounts(2, hotAccounts())
	return func(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
		now := max(uint64(time.Now().UnixNano()), m.Timestamp()+1)
		return m.CreateTransfers(now+uint64(len(transfers))-1, transfers), nil
	}
}

func growEngine(b *testing.B, t, sizes *table) {
	dir := b.TempDir()
	log, flushes := &snapshotTimes{}, &logTimer{FileSystem: disk.OS()}
	options := embedded.Options{Logger: slog.New(log), FileSystem: flushes}
	engine := open(b, dir, options)
	heapBefore := heapBytes()
	createHotAccounts(b, engine)
	for range growthAccounts / 5000 {
		createAccounts(b, engine, 5000)
	}
	b.ReportMetric(float64(heapBytes()-heapBefore)/growthAccounts, "B/account")

	heapBefore = heapBytes()
	var memory, start, files []float64
	measure := func(transfers int) {
		memory = append(memory, float64(heapBytes()-heapBefore)/float64(transfers))
		engine.Close()
		files = append(files, float64(dirBytes(b, dir))/float64(transfers))
		engine = open(b, dir, options)
		start = append(start, engine.Recovery().Duration.Seconds())
	}
	w := grow(b, direct(func(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
		return engine.CreateTransfers(transfers)
	}), flushes, func() { measure(growthRestart) })
	measure(growthTotal)
	engine.Close()
	w.report(t, "engine, requests of 8,000", log)
	sizes.add("memory, B/transfer", memory...)
	sizes.add("disk, B/transfer", files...)
	sizes.add("start, s", start...)
}

func growCallers(b *testing.B, t *table) {
	log, flushes := &snapshotTimes{}, &logTimer{FileSystem: disk.OS()}
	engine := open(b, b.TempDir(), embedded.Options{Logger: slog.New(log), FileSystem: flushes})
	createHotAccounts(b, engine)
	w := grow(b, callers(engine.CreateTransfers), flushes, nil)
	w.report(t, "engine, 512 callers", log)
}

// filler adds transfers to a ledger and says how long the ledger took. measured
// tells whether somebody looks.
type filler func(b *testing.B, orders *orders, count int, measured bool) time.Duration

func direct(create createFunc) filler {
	return func(b *testing.B, o *orders, count int, _ bool) time.Duration {
		request := o.request(count)
		started := time.Now()
		results, err := create(request)
		took := time.Since(started)
		if err != nil || slices.ContainsFunc(results, failed) {
			b.Fatal(results, err)
		}
		return took
	}
}

func failed(r tb.CreateTransferResult) bool { return r.Status != tb.TransferCreated }

// callers is one goroutine a caller, each with a hold and then its post; filling up
// between the windows goes in large requests.
func callers(create createFunc) filler {
	return func(b *testing.B, o *orders, count int, measured bool) time.Duration {
		if !measured {
			return direct(create)(b, o, count, measured)
		}
		started := time.Now()
		var pairs atomic.Int64
		holdAndPost(b, growthCallers, create, func() bool { return pairs.Add(1) <= int64(count/2) })
		return time.Since(started)
	}
}

// windows are what was measured. whole and withoutDisk are the costs of a transfer in
// each window, of its slices, in nanoseconds.
type windows struct {
	whole, withoutDisk [][]float64
	from, to           []time.Time
}

func (w *windows) report(t *table, name string, log *snapshotTimes) {
	t.add(name, row(w.whole)...)
	t.add(name+", without the disk", row(w.withoutDisk)...)
	var snapshots []float64
	for i := range w.from {
		snapshots = append(snapshots, log.during(w.from[i], w.to[i]))
	}
	t.add(name+", snapshots meanwhile", snapshots...)
}

// row is the median of each window, how the last compares with the first, and the
// means of those two.
func row(costs [][]float64) (cells []float64) {
	for _, window := range costs {
		cells = append(cells, median(window))
	}
	last := len(costs) - 1
	return append(cells, cells[last]/cells[0], mean(costs[0]), mean(costs[last]))
}

// grow fills the ledger. restarted is called when it has growthRestart transfers.
func grow(b *testing.B, fill filler, flushes *logTimer, restarted func()) *windows {
	// Whatever the size, the ledger's memory is to come fresh from the system.
	debug.FreeOSMemory()
	w, o, made := &windows{}, &orders{}, 0
	for _, size := range growthSizes {
		for ; made < size; made += min(growthSlice, size-made) {
			fill(b, o, min(growthSlice, size-made), false)
		}
		if size == growthRestart && restarted != nil {
			restarted()
		}
		for range growthSettle {
			fill(b, o, growthSlice, true)
			made += growthSlice
		}
		var whole, withoutDisk []float64
		w.from = append(w.from, time.Now())
		for range growthWindow / growthSlice {
			diskBefore := flushes.total()
			took := fill(b, o, growthSlice, true)
			whole = append(whole, float64(took.Nanoseconds())/growthSlice)
			withoutDisk = append(withoutDisk, float64((took-flushes.total()+diskBefore).Nanoseconds())/growthSlice)
			made += growthSlice
		}
		w.to = append(w.to, time.Now())
		w.whole, w.withoutDisk = append(w.whole, whole), append(w.withoutDisk, withoutDisk)
	}
	return w
}

// logTimer measures how long the engine waits for the disk: for the writes to its log
// and their flushes. How long a flush takes depends on what else the disk does.
type logTimer struct {
	embedded.FileSystem
	waited atomic.Int64 // nanoseconds
}

func (d *logTimer) total() time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(d.waited.Load())
}

func (d *logTimer) Create(name string) (embedded.File, error) {
	file, err := d.FileSystem.Create(name)
	return d.timed(name, file), err
}

func (d *logTimer) Open(name string) (embedded.File, error) {
	file, err := d.FileSystem.Open(name)
	return d.timed(name, file), err
}

func (d *logTimer) timed(name string, file embedded.File) embedded.File {
	if !strings.Contains(name, ".log") {
		return file
	}
	return timedFile{file, d}
}

type timedFile struct {
	embedded.File
	disk *logTimer
}

func (f timedFile) Sync() error {
	defer f.since(time.Now())
	return f.File.Sync()
}

func (f timedFile) WriteAt(b []byte, offset int64) (int, error) {
	defer f.since(time.Now())
	return f.File.WriteAt(b, offset)
}

func (f timedFile) since(started time.Time) { f.disk.waited.Add(int64(time.Since(started))) }

// orders are those that wait for their post.
type orders struct{ waiting []order }

// request holds, and posts what was held a while ago, by turns.
func (o *orders) request(count int) []tb.Transfer {
	transfers := make([]tb.Transfer, 0, count)
	for len(transfers) < count {
		held := newOrder()
		o.waiting = append(o.waiting, held)
		transfers = append(transfers, held.hold())
		if len(o.waiting) > growthLag && len(transfers) < count {
			transfers = append(transfers, o.waiting[0].post())
			o.waiting = o.waiting[1:]
		}
	}
	return transfers
}

// snapshotTimes is the logger of an engine: it learns when snapshots were written.
type snapshotTimes struct {
	mutex    sync.Mutex
	from, to []time.Time
}

func (s *snapshotTimes) Enabled(context.Context, slog.Level) bool { return true }
func (s *snapshotTimes) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *snapshotTimes) WithGroup(string) slog.Handler            { return s }

func (s *snapshotTimes) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "snapshot written" {
		return nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "took" {
			s.from, s.to = append(s.from, r.Time.Add(-a.Value.Duration())), append(s.to, r.Time)
		}
		return true
	})
	return nil
}

// during counts the snapshots that were being written at some time in a window.
func (s *snapshotTimes) during(from, to time.Time) (count float64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i := range s.from {
		if s.from[i].Before(to) && s.to[i].After(from) {
			count++
		}
	}
	return count
}

func heapBytes() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func dirBytes(b *testing.B, dir string) (total int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			b.Fatal(err)
		}
		total += info.Size()
	}
	return total
}

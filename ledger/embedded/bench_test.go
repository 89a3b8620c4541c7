package embedded_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/ledger/ledgertest"
)

// benchmarkCallers is the number of goroutines that hold and post at once.
const benchmarkCallers = 512

// BenchmarkHoldPost measures pairs of a hold and its post, by 512 callers at once,
// on the engine with real flushes and on a real single-node server where there is
// one: each through the plain client interface and through the service's batcher.
func BenchmarkHoldPost(b *testing.B) {
	clients := map[string]func(testing.TB) tb.Client{
		"engine": func(b testing.TB) tb.Client { return open(b, b.TempDir(), embedded.Options{}) },
		"server": productionServer,
	}
	for _, name := range []string{"engine", "server"} {
		b.Run(name+"/client", func(b *testing.B) {
			client := clients[name](b)
			benchmarkPairs(b, client, client.CreateTransfers)
		})
		b.Run(name+"/batcher", func(b *testing.B) {
			client := clients[name](b)
			batcher := ledger.NewBatcher(client, ledger.WithAnswerTimeout(time.Minute), ledger.WithLogger(quiet))
			defer batcher.Close()
			benchmarkPairs(b, client, func(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
				return batcher.CreateTransfers(context.Background(), transfers)
			})
		})
	}
}

func benchmarkPairs(b *testing.B, client tb.Client, create func([]tb.Transfer) ([]tb.CreateTransferResult, error)) {
	ids := createAccounts(b, client, 2)
	var remaining atomic.Int64
	remaining.Store(int64(b.N))
	one := func(t tb.Transfer) {
		results, err := create([]tb.Transfer{t})
		if err != nil || results[0].Status != tb.TransferCreated {
			b.Error(results, err)
			remaining.Store(0)
		}
	}
	b.ResetTimer()
	var group sync.WaitGroup
	for range benchmarkCallers {
		group.Go(func() {
			for remaining.Add(-1) >= 0 {
				hold := tb.Transfer{
					ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(1),
					Ledger: 1, Code: 1, Flags: flagPending, Timeout: 600, UserData128: ids[0],
				}
				one(hold)
				one(tb.Transfer{ID: tb.ID(), PendingID: hold.ID, Amount: tb.AmountMax, Flags: flagPost})
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
}

// productionServer starts a real server with its full message size and direct
// I/O, unlike the one that the tests use, and skips where that is not possible.
func productionServer(t testing.TB) tb.Client {
	t.Helper()
	if _, err := exec.LookPath(ledgertest.Binary); err != nil {
		t.Skipf("SKIPPED: no %s program on PATH, so there is nothing to compare with", ledgertest.Binary)
	}
	file := filepath.Join(t.TempDir(), "0_0.tigerbeetle")
	if out, err := exec.Command(ledgertest.Binary, "format", "--cluster=0", "--replica=0", "--replica-count=1", file).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: a production server cannot be formatted here: %v\n%s", err, out)
	}
	server := exec.Command(ledgertest.Binary, "start", "--addresses=0", "--cache-grid=512MiB", file)
	stdin, err := server.StdinPipe() // the server ends with it
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Skipf("SKIPPED: a production server does not start here: %v", err)
	}
	client, err := tb.NewClient(tb.ToUint128(0), []string{strings.TrimSpace(port)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// BenchmarkGrowth fills a ledger with five million transfers (holds and posts with
// user data of their own) and reports what the first ten thousand and the last
// hundred thousand cost, the memory, and how long a start takes.
func BenchmarkGrowth(b *testing.B) {
	for range b.N {
		benchmarkGrowth(b)
	}
}

func benchmarkGrowth(b *testing.B) {
	const restartAt, total = 1_000_000, 5_000_000
	dir := b.TempDir()
	engine, err := embedded.Open(dir, embedded.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	const accounts = 200_000
	heapBefore := heapBytes()
	var ids []tb.Uint128
	for len(ids) < accounts {
		ids = append(ids, createAccounts(b, engine, 5000)...)
	}
	b.ReportMetric(float64(heapBytes()-heapBefore)/accounts, "B/account")
	ids = ids[:2]
	heapBefore = heapBytes()
	made := 0
	grow := func(to int) time.Duration {
		started := time.Now()
		for made < to {
			made += holdAndPost(b, engine, ids, min(embedded.BatchEventsMax-1, to-made))
		}
		return time.Since(started)
	}
	nanoseconds := func(d time.Duration, count int) float64 { return float64(d.Nanoseconds()) / float64(count) }

	b.ReportMetric(nanoseconds(grow(10_000), 10_000), "ns/transfer@10k")
	grow(restartAt)
	b.ReportMetric(float64(heapBytes()-heapBefore)/restartAt, "B/transfer@1M")
	engine.Close()
	started := time.Now()
	if engine, err = embedded.Open(dir, embedded.Options{Logger: quiet}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(started).Seconds(), "s/start@1M")
	grow(total - 100_000)
	b.ReportMetric(nanoseconds(grow(total), 100_000), "ns/transfer@5M")
	b.ReportMetric(float64(heapBytes()-heapBefore)/total, "B/transfer@5M")
	engine.Close()
	started = time.Now()
	if engine, err = embedded.Open(dir, embedded.Options{Logger: quiet}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(started).Seconds(), "s/start@5M")
	engine.Close()
	b.ReportMetric(float64(dirBytes(b, dir))/total, "disk-B/transfer@5M")
}

// holdAndPost creates count transfers in one request, every second one a post.
func holdAndPost(b *testing.B, client tb.Client, ids []tb.Uint128, count int) int {
	transfers := make([]tb.Transfer, count)
	for i := range transfers {
		if i%2 == 0 {
			transfers[i] = tb.Transfer{
				ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(1),
				Ledger: 1, Code: 1, Flags: flagPending, Timeout: 600, UserData128: tb.ID(),
			}
			continue
		}
		transfers[i] = tb.Transfer{ID: tb.ID(), PendingID: transfers[i-1].ID, Amount: tb.AmountMax, Flags: flagPost}
	}
	results, err := client.CreateTransfers(transfers)
	if err != nil || results[count-1].Status != tb.TransferCreated {
		b.Fatal(results, err)
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

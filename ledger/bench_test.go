package ledger_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
)

// Each iteration is what a paid checkout asks of the ledger: a pending transfer
// and then its post, on a TigerBeetle and on the embedded ledger. The plain client
// takes one caller's transfer a packet and packs what waits into a request; the
// batcher makes one packet of it.
func BenchmarkHoldAndPost(b *testing.B) {
	for _, of := range []struct {
		name string
		dial func(testing.TB) tb.Client
	}{{"tigerbeetle", dialReal}, {"embedded", openEngine}} {
		b.Run(of.name, func(b *testing.B) {
			for _, callers := range []int{64, 512, 4096} {
				b.Run(fmt.Sprintf("client/callers=%d", callers), func(b *testing.B) {
					client := of.dial(b)
					defer client.Close()
					holdAndPost(b, callers, client.CreateAccounts, client.CreateTransfers)
				})
				b.Run(fmt.Sprintf("batcher/callers=%d", callers), func(b *testing.B) {
					holdAndPostBatched(b, callers, of.dial(b))
				})
			}
		})
	}
}

func holdAndPostBatched(b *testing.B, callers int, client tb.Client) {
	b.Helper()
	observer := &counts{}
	batcher := ledger.NewBatcher(client, ledger.WithLogger(discard), ledger.WithObserver(observer))
	defer func() { _ = batcher.Close() }()
	ctx := context.Background()
	holdAndPost(b, callers,
		func(a []tb.Account) ([]tb.CreateAccountResult, error) { return batcher.CreateAccounts(ctx, a) },
		func(t []tb.Transfer) ([]tb.CreateTransferResult, error) { return batcher.CreateTransfers(ctx, t) })
	b.ReportMetric(float64(observer.events)/float64(observer.requests), "events/request")
}

func openEngine(t testing.TB) tb.Client {
	t.Helper()
	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

var benchmarks atomic.Uint64

func holdAndPost(b *testing.B, callers int, createAccounts func([]tb.Account) ([]tb.CreateAccountResult, error), create func([]tb.Transfer) ([]tb.CreateTransferResult, error)) {
	b.Helper()
	run := benchmarks.Add(1)
	from, to := tb.ToUint128(1<<60+2*run), tb.ToUint128(1<<60+2*run+1)
	if _, err := createAccounts([]tb.Account{{ID: from, Ledger: 1, Code: 1}, {ID: to, Ledger: 1, Code: 1}}); err != nil {
		b.Fatal(err)
	}
	var last atomic.Uint64
	id := func() tb.Uint128 {
		var bytes [16]byte
		binary.LittleEndian.PutUint64(bytes[:], last.Add(1))
		binary.LittleEndian.PutUint64(bytes[8:], 1<<60+run)
		return tb.BytesToUint128(bytes)
	}
	b.SetParallelism(callers / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			hold := tb.Transfer{ID: id(), DebitAccountID: from, CreditAccountID: to, Amount: tb.ToUint128(1), Ledger: 1, Code: 1,
				Flags: tb.TransferFlags{Pending: true}.ToUint16()}
			post := tb.Transfer{ID: id(), PendingID: hold.ID, Amount: tb.AmountMax,
				Flags: tb.TransferFlags{PostPendingTransfer: true}.ToUint16()}
			for _, t := range []tb.Transfer{hold, post} {
				results, err := create([]tb.Transfer{t})
				if err != nil || results[0].Status != tb.TransferCreated {
					b.Errorf("%v, %v", results, err)
					return
				}
			}
		}
	})
	b.ReportMetric(float64(2*b.N)/b.Elapsed().Seconds(), "transfers/s")
}

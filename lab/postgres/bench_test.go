package postgres_test

import (
	"fmt"
	"runtime"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/lab/postgres"
	"boxoffice/ledger"
)

// Each iteration is what a paid checkout asks of the ledger: a hold and its post,
// here all of one stock. "one each" is the ordinary way, a transaction for every
// transfer, from a pool of connections: all of them wait for the stock's row, one
// after the other. "batched" is the same through the Batcher: what waits shares a
// transaction. The server of the tests does not flush; DATABASE_URL_TEST names one
// that does.
func BenchmarkHoldAndPost(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("one each/callers=%d", callers), func(b *testing.B) {
			client := newPlace(b).open(b, postgres.Options{ConnectionsMax: min(callers, 32)})
			holdAndPost(b, client, callers, func(t tb.Transfer) ([]tb.CreateTransferResult, error) {
				return client.CreateTransfers([]tb.Transfer{t})
			})
		})
		b.Run(fmt.Sprintf("batched/callers=%d", callers), func(b *testing.B) {
			client := newPlace(b).open(b, postgres.Options{})
			batcher := ledger.NewBatcher(client, ledger.WithLogger(discard))
			defer func() { _ = batcher.Close() }()
			holdAndPost(b, client, callers, func(t tb.Transfer) ([]tb.CreateTransferResult, error) {
				return batcher.CreateTransfers(b.Context(), []tb.Transfer{t})
			})
		})
	}
}

func holdAndPost(b *testing.B, setup tb.Client, callers int, create func(tb.Transfer) ([]tb.CreateTransferResult, error)) {
	b.Helper()
	s := newStock(b, setup, 1<<40)
	b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
	if callers == 1 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			hold := s.hold(1)
			for _, t := range []tb.Transfer{hold, finish(hold, post)} {
				results, err := create(t)
				if err != nil || results[0].Status != tb.TransferCreated {
					b.Errorf("%v, %v", results, err)
					return
				}
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
}

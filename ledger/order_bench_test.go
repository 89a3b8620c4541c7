package ledger_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"boxoffice/domain"
	"boxoffice/ledger"
)

// Each iteration is a whole order of a new buyer on a TigerBeetle: account and
// quota, hold, post. What one open checkout a buyer costs is the difference.
func BenchmarkOrder(b *testing.B) {
	const callers = 512
	for _, limited := range []bool{false, true} {
		b.Run(fmt.Sprintf("one checkout a buyer=%v", limited), func(b *testing.B) {
			batcher := ledger.NewBatcher(dialReal(b), ledger.WithLogger(discard))
			defer func() { _ = batcher.Close() }()
			keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
			if err != nil {
				b.Fatal(err)
			}
			sale := newSale()
			if limited {
				sale = newSaleOfOneCheckout()
			}
			sale.Classes[0].Capacity = domain.CapacityMax
			book := ledger.NewBook(batcher)
			if err := book.OpenSale(b.Context(), sale); err != nil {
				b.Fatal(err)
			}
			items := []domain.Item{{Class: "A", Quantity: 1}}
			var last atomic.Int64
			b.SetParallelism(callers / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n := last.Add(1)
					o, err := domain.NewOrder(sale, keys, fmt.Sprintf("key-%016d", n), items, fmt.Sprintf("buyer-%d@example.com", n))
					if err != nil {
						b.Error(err)
						return
					}
					hold, err := book.Hold(b.Context(), &o)
					if err != nil || hold.Outcome != domain.HoldHeld {
						b.Errorf("hold = %+v, %v", hold, err)
						return
					}
					if outcome, err := book.Post(b.Context(), &o); err != nil || outcome != domain.PostPosted {
						b.Errorf("post = %s, %v", outcome, err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
		})
	}
}

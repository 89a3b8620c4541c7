package audit

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"boxoffice/domain"
)

// A sale of n orders, all sold and at rest.
func sold(n uint32) *boxOfficeAtWork {
	w := newBoxOfficeAtWork()
	for i := range n {
		id, payment := numbered(i), fmt.Sprintf("pay_%d", i)
		w.bookings[id] = domain.StockUse{Order: id, Sold: 1, SoldAt: time.Now()}
		w.orders[id] = domain.RecordedOrder{ID: id, Status: domain.OrderPaid, Payment: payment, Session: "ps_" + id.String(), Tickets: map[string]int64{"A": 1},
			AmountMinor: 6500, Currency: "EUR", LinesMinor: 6500}
		w.captures = append(w.captures, domain.Capture{Payment: payment, Session: "ps_" + id.String(), Order: id, AmountMinor: 6500, Currency: "EUR"})
		w.webhooks = append(w.webhooks, domain.PaymentEvent{ID: "evt_" + payment, Type: domain.PaymentSucceeded, Order: id, Payment: payment})
	}
	return w
}

// BenchmarkRun is the audit's own cost, without that of the sources: time and
// what it allocates, an order.
func BenchmarkRun(b *testing.B) {
	for _, n := range []uint32{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("orders=%d", n), func(b *testing.B) {
			w := sold(n)
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range b.N {
				r, err := Run(b.Context(), Sources{Ledger: w, Orders: w, Provider: w, Workflows: w}, w.sale, Options{})
				if err != nil || r.Verdict != OK {
					b.Fatal(err, r.Verdict)
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(n), "B/order")
		})
	}
}

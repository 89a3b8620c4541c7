package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
)

// boxOfficeAtWork is all four sources of a sale while checkouts go through it,
// each of them consistent in itself and none with the others: every step of a
// checkout is a change of one source. Its list of open workflows lags: one that
// began is listed late, one that ended stays on it.
type boxOfficeAtWork struct {
	mu       sync.Mutex
	sale     *domain.Sale
	open     map[domain.OrderID]bool
	ended    map[domain.OrderID]time.Time
	listed   map[domain.OrderID]bool
	bookings map[domain.OrderID]domain.StockUse
	orders   map[domain.OrderID]domain.RecordedOrder
	captures []domain.Capture
	webhooks []domain.PaymentEvent

	loses func(n uint32) bool // the bug: this checkout's record is not written
}

func newBoxOfficeAtWork() *boxOfficeAtWork {
	return &boxOfficeAtWork{
		sale: &domain.Sale{ID: "gophercon", Currency: "EUR", BuyerLimit: 4, QuotaLedger: ledgerQuota, HoldTimeout: 5 * time.Minute,
			OneCheckoutPerBuyer: true, CheckoutLedger: ledgerCheckouts,
			Classes: []domain.Class{{Name: "A", Capacity: 1 << 20, Ledger: ledgerA}}},
		open: map[domain.OrderID]bool{}, ended: map[domain.OrderID]time.Time{}, listed: map[domain.OrderID]bool{},
		bookings: map[domain.OrderID]domain.StockUse{}, orders: map[domain.OrderID]domain.RecordedOrder{},
		loses: func(uint32) bool { return false },
	}
}

// do is one step: others may happen before and after it.
func (w *boxOfficeAtWork) do(change func()) {
	runtime.Gosched()
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func numbered(n uint32) (id domain.OrderID) {
	binary.BigEndian.PutUint32(id[:], n)
	return id
}

// checkout n, from its start to its end.
func (w *boxOfficeAtWork) checkout(n uint32, paid bool) {
	id := numbered(n)
	payment := fmt.Sprintf("pay_%d", n)
	w.do(func() { w.open[id] = true })
	w.do(func() { w.bookings[id] = domain.StockUse{Order: id, Held: 1} })
	w.do(func() { w.listed[id] = true })
	if paid {
		w.do(func() {
			w.captures = append(w.captures, domain.Capture{Payment: payment, Session: "ps_" + id.String(), Order: id, AmountMinor: 6500, Currency: "EUR"})
		})
		w.do(func() { w.bookings[id] = domain.StockUse{Order: id, Sold: 1, SoldAt: time.Now()} })
		w.do(func() {
			if !w.loses(n) {
				w.orders[id] = domain.RecordedOrder{ID: id, Status: domain.OrderPaid, Payment: payment, Session: "ps_" + id.String(), Tickets: map[string]int64{"A": 1},
					AmountMinor: 6500, Currency: "EUR", LinesMinor: 6500}
			}
		})
		w.do(func() {
			w.webhooks = append(w.webhooks, domain.PaymentEvent{ID: "evt_" + payment, Type: domain.PaymentSucceeded, Order: id, Payment: payment})
		})
	} else {
		w.do(func() { delete(w.bookings, id) })
	}
	w.do(func() { delete(w.open, id); w.ended[id] = time.Now() })
	w.do(func() { delete(w.listed, id) })
}

func snapshotOf[T any](w *boxOfficeAtWork, read func() []T) iter.Seq2[T, error] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return stream(read(), nil)
}

func (w *boxOfficeAtWork) Unfinished(context.Context, *domain.Sale) iter.Seq2[domain.Workflow, error] {
	return snapshotOf(w, func() (all []domain.Workflow) {
		for id := range w.listed {
			all = append(all, domain.Workflow{ID: "checkout/" + id.String(), Order: id, SaleID: w.sale.ID, StartedAt: time.Now(), Checkout: true})
		}
		return all
	})
}

func (w *boxOfficeAtWork) Look(context.Context, string) (domain.WorkflowLook, error) {
	return domain.WorkflowLook{Open: true}, nil
}

func (w *boxOfficeAtWork) Working(_ context.Context, order domain.OrderID, _ string, since time.Time) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[order] || !w.ended[order].Before(since) {
		return "checkout/" + order.String(), nil
	}
	return "", nil
}

func (w *boxOfficeAtWork) RecordedOrders(context.Context, string) iter.Seq2[domain.RecordedOrder, error] {
	return snapshotOf(w, func() []domain.RecordedOrder { return slices.Collect(maps.Values(w.orders)) })
}

func (w *boxOfficeAtWork) RecordedRefunds(context.Context, string) iter.Seq2[domain.Refund, error] {
	return stream[domain.Refund](nil, nil)
}

func (w *boxOfficeAtWork) RecordedReversals(context.Context, string) iter.Seq2[domain.Reversal, error] {
	return stream[domain.Reversal](nil, nil)
}

func (w *boxOfficeAtWork) RecordedPayments(_ context.Context, payments []string) (map[string]bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	recorded := map[string]bool{}
	for _, o := range w.orders {
		recorded[o.Payment] = slices.Contains(payments, o.Payment)
	}
	return recorded, nil
}

func (w *boxOfficeAtWork) CheckFigures(context.Context, string) (domain.FigureCheck, error) {
	return domain.FigureCheck{}, nil
}

func (w *boxOfficeAtWork) EventCounts(context.Context, string) ([]domain.EventCount, error) {
	return nil, nil
}

func (w *boxOfficeAtWork) ReaderCounts(context.Context, string) ([]domain.ReaderCount, error) {
	return nil, nil
}

func (w *boxOfficeAtWork) Stock(context.Context, *domain.Sale) ([]domain.StockLevel, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	level := domain.StockLevel{Name: "A", Ledger: ledgerA, Capacity: 1 << 20}
	for _, b := range w.bookings {
		level.Held, level.Sold = level.Held+b.Held, level.Sold+b.Sold
	}
	level.Available = level.Capacity - level.Held - level.Sold
	return []domain.StockLevel{level}, nil
}

func (w *boxOfficeAtWork) BookedCapacity(context.Context, uint32) (domain.BookedCapacity, error) {
	return domain.BookedCapacity{Opened: 1 << 20}, nil
}

func (w *boxOfficeAtWork) RecordedCapacities(context.Context, string) ([]domain.RecordedCapacity, error) {
	return []domain.RecordedCapacity{{Class: "A", Ledger: ledgerA, Capacity: 1 << 20}}, nil
}

func (w *boxOfficeAtWork) Bookings(context.Context, uint32) ([]domain.StockUse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.bookings)), nil
}

func (w *boxOfficeAtWork) Quota(ctx context.Context, _ *domain.Sale, ledger uint32) (domain.Quota, error) {
	bookings, _ := w.Bookings(ctx, ledger)
	var q domain.Quota
	for _, b := range bookings {
		if ledger == ledgerCheckouts {
			b.Sold, b.SoldAt = 0, time.Time{} // it is voided while the seats are posted
		}
		q.Held, q.Sold = q.Held+b.Held, q.Sold+b.Sold
		q.Uses = append(q.Uses, domain.QuotaUse{StockUse: b, Buyer: domain.BuyerID(b.Order)})
	}
	return q, nil
}

func (w *boxOfficeAtWork) ClassCodeQuota(context.Context, *domain.Sale) (domain.ClassCodeQuota, error) {
	return domain.ClassCodeQuota{}, nil
}

func (w *boxOfficeAtWork) SeatFates(_ context.Context, orders []domain.OrderID) (fates map[domain.OrderID]domain.SeatFate, err error) {
	fates = make(map[domain.OrderID]domain.SeatFate)
	w.do(func() {
		for _, id := range orders {
			fates[id] = domain.SeatsReleased
			if w.bookings[id].Sold > 0 {
				fates[id] = domain.SeatsSold
			}
		}
	})
	return fates, nil
}

func (w *boxOfficeAtWork) Placed(_ context.Context, orders []domain.OrderID) (map[domain.OrderID]uint32, error) {
	placed := map[domain.OrderID]uint32{}
	for _, order := range orders {
		placed[order] = ledgerA // whatever became of it
	}
	return placed, nil
}

func (w *boxOfficeAtWork) Captures(context.Context) iter.Seq2[domain.Capture, error] {
	return snapshotOf(w, func() []domain.Capture { return slices.Clone(w.captures) })
}

func (w *boxOfficeAtWork) Authorizations(context.Context) iter.Seq2[domain.Capture, error] {
	return stream[domain.Capture](nil, nil)
}

func (w *boxOfficeAtWork) Refunds(context.Context) iter.Seq2[Returned, error] {
	return stream[Returned](nil, nil)
}

func (w *boxOfficeAtWork) Disputes(context.Context) iter.Seq2[domain.Reversal, error] {
	return stream[domain.Reversal](nil, nil)
}

func (w *boxOfficeAtWork) Deliveries(context.Context) iter.Seq2[domain.PaymentEvent, error] {
	return snapshotOf(w, func() []domain.PaymentEvent { return slices.Clone(w.webhooks) })
}

func (w *boxOfficeAtWork) KnowsSession(context.Context, string) (bool, error) { return true, nil }

func (w *boxOfficeAtWork) audit(t *testing.T) Report {
	t.Helper()
	r, err := Run(t.Context(), Sources{Ledger: w, Orders: w, Provider: w, Workflows: w}, w.sale, Options{Pause: time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Audits beside a running sale: nothing is broken, so nothing may be called so.
func TestRunBesideTraffic(t *testing.T) {
	t.Parallel()
	const buyers, checkoutsEach = 8, 150
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newBoxOfficeAtWork()
	var sale sync.WaitGroup
	for buyer := range uint32(buyers) {
		sale.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(buyer)))
			for n := range uint32(checkoutsEach) {
				w.checkout((buyer+1)<<16|n, random.IntN(3) > 0)
			}
		})
	}
	over := make(chan struct{})
	go func() { sale.Wait(); close(over) }()
	for audits := 1; ; audits++ {
		if r := w.audit(t); r.Broken() {
			t.Fatalf("audit %d, nothing is broken:\n%s", audits, text(t, &r))
		}
		select {
		case <-over:
			t.Logf("%d audits", audits)
			if r := w.audit(t); r.Verdict != OK {
				t.Errorf("at rest:\n%s", text(t, &r))
			}
			return
		default:
		}
	}
}

// The same, with a bug: one record in many is lost, and the audit names only that one.
func TestRunFindsTheLossBesideTraffic(t *testing.T) {
	t.Parallel()
	const lost = 77
	w := newBoxOfficeAtWork()
	w.loses = func(n uint32) bool { return n == lost }
	var sale sync.WaitGroup
	stop := make(chan struct{})
	w.checkout(lost, true)
	for buyer := range uint32(4) {
		sale.Go(func() {
			for n := uint32(0); n < 10_000; n++ {
				select {
				case <-stop:
					return
				default:
					w.checkout((buyer+1)<<16|n, true)
				}
			}
		})
	}
	r := w.audit(t)
	close(stop)
	sale.Wait()
	i := slices.IndexFunc(r.Results, func(r Result) bool { return r.ID == "I2" })
	if result := r.Results[i]; result.Counts.Broken != 1 || result.Offenders[0].ID != fmt.Sprintf("pay_%d", lost) {
		t.Errorf("I2 names %+v, want pay_%d alone", result.Offenders, lost)
	}
}

package activities_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/activities"
	"boxoffice/domain"
)

// desk is a Canceler that takes its time; what a test does not need panics.
type desk struct {
	activities.Canceler
	activities.Cancellations

	mu      sync.Mutex
	takes   time.Duration
	answer  func(domain.OrderID) (domain.OrderStatus, error)
	open    []domain.OrderID
	begunAt []time.Time
	running int
	most    int
}

func (d *desk) serve(id domain.OrderID) (domain.OrderStatus, error) {
	d.mu.Lock()
	d.begunAt = append(d.begunAt, time.Now())
	d.running++
	d.most = max(d.most, d.running)
	d.mu.Unlock()
	time.Sleep(d.takes)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	return d.answer(id)
}

func (d *desk) OpenCheckouts(_ context.Context, _ string, limit int) ([]domain.OrderID, error) {
	return d.open[:min(limit, len(d.open))], nil
}

func (d *desk) PaidOrders(_ context.Context, _ string, after domain.OrderID, limit int) ([]domain.OrderID, error) {
	from := 0
	for from < len(d.open) && d.open[from].String() <= after.String() {
		from++
	}
	return d.open[from:min(from+limit, len(d.open))], nil
}

func (d *desk) Cancel(_ context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	return d.serve(id)
}

func (d *desk) RefundFor(_ context.Context, id domain.OrderID, _ domain.RefundReason) (domain.OrderStatus, error) {
	return d.serve(id)
}

func always(status domain.OrderStatus, err error) func(domain.OrderID) (domain.OrderStatus, error) {
	return func(domain.OrderID) (domain.OrderStatus, error) { return status, err }
}

func withOrders(n int) *desk {
	d := &desk{}
	for i := range n {
		d.open = append(d.open, domain.OrderID{0: 1, 1: byte(i >> 8), 2: byte(i)})
	}
	return d
}

func (d *desk) activities() *activities.SaleCancel {
	return &activities.SaleCancel{Canceler: d, Cancellations: d}
}

var conf = activities.SaleToCancel{SaleID: "conf"}

// Whatever the provider's speed is: not more than so many a second, not more than so
// many at once, and a batch ends in time.
func TestCancelBatchesAreBounded(t *testing.T) {
	tests := []struct {
		name    string
		takes   time.Duration
		settled func(int) bool
	}{
		{"a fast provider: the pace decides", time.Millisecond, func(n int) bool { return n > 200 && n <= 250 }},
		{"a slow provider: the parallelism decides", time.Second, func(n int) bool { return n > 60 && n <= 100 }},
		{"a provider that hangs: one of each slot", 10 * time.Second, func(n int) bool { return n == 16 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := withOrders(1000)
				d.takes, d.answer = tt.takes, always(domain.OrderCanceled, nil)
				start := time.Now()
				batch, err := d.activities().CancelCheckouts(t.Context(), conf)
				if err != nil {
					t.Fatal(err)
				}
				if !tt.settled(batch.Settled) {
					t.Fatalf("want true: tt.settled(batch.Settled): %d settled", batch.Settled)
				}
				if got := time.Since(start); got > (activities.CancelBatchFor + tt.takes) {
					t.Fatalf("time.Since(start) is %v, want at most %v", got, activities.CancelBatchFor+tt.takes)
				}
				if d.most > 16 {
					t.Fatalf("d.most is %v, want at most 16", d.most)
				}
				for i := range d.begunAt {
					if i >= activities.CancelsPerSecond {
						gap := d.begunAt[i].Sub(d.begunAt[i-activities.CancelsPerSecond])
						if gap < (time.Second - 20*time.Millisecond) {
							t.Fatalf("gap is %v, want at least %v: %d in %v", gap, time.Second-20*time.Millisecond, activities.CancelsPerSecond, gap)
						}
					}
				}
			})
		})
	}
}

func TestWhatSettlesACheckout(t *testing.T) {
	tests := []struct {
		name    string
		answer  func(domain.OrderID) (domain.OrderStatus, error)
		settled int
	}{
		{"canceled", always(domain.OrderCanceled, nil), 1},
		{"expired before", always(domain.OrderExpired, nil), 1},
		{"paid: refunded with the others", always("", &domain.Error{Code: domain.CodeAlreadyPaid}), 1},
		{"gone", always("", domain.NotFound("order")), 1},
		{"no answer: again in the next round", always("", &domain.UnknownError{Err: errors.New("late")}), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := withOrders(1)
			d.answer = tt.answer
			batch, err := d.activities().CancelCheckouts(t.Context(), conf)
			if err != nil {
				t.Fatal(err)
			}
			if want := (activities.CanceledBatch{Settled: tt.settled, Unsettled: 1 - tt.settled}); batch != want {
				t.Fatalf("batch is %+v, want %+v", batch, want)
			}
		})
	}
}

// A provider that refuses gets no more refunds than may wait, and the next batch
// goes on behind those that were begun: none keeps the others waiting.
func TestRefundBatchStopsAtARefusingProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := withOrders(100)
		d.takes, d.answer = 3*time.Second, always(domain.OrderRefunding, nil)
		batch, err := d.activities().RefundOrders(t.Context(), activities.RefundBatch{SaleID: "conf", WaitingMax: 1})
		if err != nil {
			t.Fatal(err)
		}
		if want := (activities.CanceledBatch{Unsettled: 1, Next: d.open[0]}); batch != want {
			t.Fatalf("batch is %+v, want %+v", batch, want)
		}

		d.answer = always(domain.OrderRefunded, nil) // it is back: the one that is tried goes through, and so do others
		d.takes = 10 * time.Millisecond
		batch, err = d.activities().RefundOrders(t.Context(), activities.RefundBatch{SaleID: "conf", After: batch.Next, WaitingMax: 1})
		if err != nil {
			t.Fatal(err)
		}
		if want := (activities.CanceledBatch{Settled: 99}); batch != want {
			t.Fatalf("batch is %+v, want %+v: the last page: the next sweep starts over", batch, want)
		}
	})
}

func TestRefundBatchGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := withOrders(600)
		seen := map[domain.OrderID]int{}
		d.answer = func(id domain.OrderID) (domain.OrderStatus, error) {
			seen[id]++
			return domain.OrderRefunded, nil
		}
		next := domain.OrderID{}
		for range 10 {
			batch, err := d.activities().RefundOrders(t.Context(), activities.RefundBatch{SaleID: "conf", After: next, WaitingMax: 100})
			if err != nil {
				t.Fatal(err)
			}
			if next = batch.Next; next.IsZero() {
				break
			}
		}
		if !next.IsZero() {
			t.Fatal("want true: next.IsZero()")
		}
		if len(seen) != 600 {
			t.Fatalf("%d in seen, want 600: %v", len(seen), seen)
		}
		for id, n := range seen {
			if n != 1 {
				t.Fatalf("n is %v, want 1: %v", n, id)
			}
		}
	})
}

// A worker that is told to stop starts nothing more.
func TestCancelBatchEndsWithItsContext(t *testing.T) {
	d := withOrders(100)
	ctx, cancel := context.WithCancel(t.Context())
	d.answer = func(domain.OrderID) (domain.OrderStatus, error) {
		cancel()
		return domain.OrderCanceled, nil
	}
	batch, err := d.activities().CancelCheckouts(ctx, conf)
	if err != nil {
		t.Fatal(err)
	}
	if batch.Settled >= 16 {
		t.Fatalf("batch.Settled is %v, want less than 16", batch.Settled)
	}
}

// One that was told so before it began leaves the cursor where it was.
func TestRefundBatchThatBeginsNothingGoesOnInTheSamePlace(t *testing.T) {
	d := withOrders(100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch, err := d.activities().RefundOrders(ctx, activities.RefundBatch{SaleID: "conf", After: d.open[9], WaitingMax: 1})
	if err != nil {
		t.Fatal(err)
	}
	if want := (activities.CanceledBatch{Next: d.open[9]}); batch != want {
		t.Fatalf("batch is %+v, want %+v", batch, want)
	}
}

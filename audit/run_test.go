package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// world answers for all four sources from a snapshot. Before each reading it
// lets something happen, so that a test can move the world under the audit.
type world struct {
	*Snapshot
	elsewhere map[string]bool // payments that are recorded in another sale
	known     map[string]bool // sessions that the provider has seen
	happen    func(source string, reading int)
	readings  map[string]int
	err       map[string]error
}

func newWorld(s *Snapshot) *world {
	return &world{Snapshot: s, happen: func(string, int) {}, readings: map[string]int{}, err: map[string]error{}}
}

func (w *world) sources() Sources {
	return Sources{Ledger: w, Orders: w, Provider: provider{w}, Workflows: w}
}

func (w *world) read(source string) error {
	w.readings[source]++
	w.happen(source, w.readings[source])
	return w.err[source]
}

func stream[T any](items []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
		if err != nil {
			var zero T
			yield(zero, err)
		}
	}
}

func (w *world) Unfinished(context.Context) iter.Seq2[Workflow, error] {
	err := w.read("workflows")
	return stream(slices.Clone(w.Workflows), err)
}

func (w *world) RecordedOrders(context.Context, string) iter.Seq2[Order, error] {
	err := w.read("orders")
	return stream(slices.Clone(w.Orders), err)
}

func (w *world) RecordedRefunds(context.Context, string) iter.Seq2[domain.Refund, error] {
	return stream(slices.Clone(w.Snapshot.Refunds), nil)
}

func (w *world) RecordedPayments(_ context.Context, payments []string) (map[string]bool, error) {
	found := map[string]bool{}
	for _, p := range payments {
		if w.elsewhere[p] {
			found[p] = true
		}
	}
	return found, nil
}

func (w *world) EventCounts(context.Context, string) ([]EventCount, error) {
	return slices.Clone(w.Events), nil
}

func (w *world) Stock(context.Context, *domain.Sale) ([]domain.StockLevel, error) {
	return slices.Clone(w.Stocks), nil
}

func (w *world) Quota(context.Context, *domain.Sale) (Quota, error) {
	err := w.read("quota")
	q := w.Snapshot.Quota
	q.Uses = slices.Clone(q.Uses)
	return q, err
}

func (w *world) Bookings(_ context.Context, ledger uint32) ([]Booking, error) {
	err := w.read(fmt.Sprintf("ledger %d", ledger))
	return slices.Clone(w.Snapshot.Bookings[ledger]), err
}

// provider keeps the methods of the provider apart from the snapshot's fields.
type provider struct{ w *world }

func (p provider) Captures(context.Context) iter.Seq2[domain.Capture, error] {
	err := p.w.read("captures")
	return stream(slices.Clone(p.w.Snapshot.Captures), err)
}

func (p provider) Refunds(context.Context) iter.Seq2[Returned, error] {
	return stream(slices.Clone(p.w.Returned), nil)
}

func (p provider) Deliveries(context.Context) iter.Seq2[domain.PaymentEvent, error] {
	return stream(slices.Clone(p.w.Acknowledged), nil)
}

func (p provider) KnowsSession(_ context.Context, session string) (bool, error) {
	return p.w.known[session], p.w.err["sessions"]
}

func (w *world) audit(t *testing.T) Report {
	t.Helper()
	r, err := Run(t.Context(), w.sources(), w.Sale, Options{Pause: time.Nanosecond, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunLooksOnceWhereAllIsWell(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*Snapshot{"at rest": atRest(), "in flight": healthy()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := newWorld(s).audit(t); r.Broken() || r.Looks != 1 {
				t.Errorf("verdict %s after %d looks:\n%s", r.Verdict, r.Looks, text(t, &r))
			}
		})
	}
}

func TestRunReportsWhatItSawTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(atRest())
	w.Snapshot.Captures = append(w.Snapshot.Captures, capture(9))
	if r := w.audit(t); !r.Broken() || r.Looks != 2 {
		t.Errorf("verdict %s after %d looks:\n%s", r.Verdict, r.Looks, text(t, &r))
	}
}

// sell lets a whole checkout happen in an instant, from its hold to its ticket.
func (w *world) sell(n byte) {
	w.Orders = append(w.Orders, Order{ID: id(n), Status: domain.OrderPaid, Payment: payment(n), Session: domain.SessionID(id(n)), Tickets: map[string]int64{"A": 1},
		AmountMinor: 6500, Currency: "EUR", LinesMinor: 6500})
	w.Events[0].Events++
	w.Events[0].Rows++
	w.Snapshot.Bookings[ledgerA] = append(w.Snapshot.Bookings[ledgerA], booked(n, 0, 1))
	w.Snapshot.Quota.Uses = append(w.Snapshot.Quota.Uses, QuotaUse{booked(n, 0, 1), buyer(id(n))})
	w.Snapshot.Quota.Sold++
	w.Stocks[0].Sold++
	w.Stocks[0].Available--
	w.Snapshot.Captures = append(w.Snapshot.Captures, capture(n))
	w.Acknowledged = append(w.Acknowledged, acknowledged(n))
}

// A checkout that begins and ends between two readings leaves a first look with
// half of it.
func TestRunDoesNotMistakeASaleMeanwhile(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"workflows", "orders", "ledger 1", "ledger 2", "quota", "captures"} {
		t.Run("before reading "+before, func(t *testing.T) {
			t.Parallel()
			w := newWorld(atRest())
			w.happen = func(source string, reading int) {
				if source == before && reading == 1 {
					w.sell(9)
				}
			}
			if r := w.audit(t); r.Broken() {
				t.Errorf("%s", text(t, &r))
			}
		})
	}
}

// Another one in every look: no offender is seen twice.
func TestRunDoesNotMistakeSteadySales(t *testing.T) {
	t.Parallel()
	w := newWorld(atRest())
	w.Sale.Classes[0].Capacity, w.Stocks[0].Capacity = 100, 100
	w.happen = func(source string, reading int) {
		if source == "captures" {
			w.sell(byte(100 + reading))
		}
	}
	if r := w.audit(t); r.Verdict != InFlight || r.Looks != 2 {
		t.Errorf("verdict %s after %d looks:\n%s", r.Verdict, r.Looks, text(t, &r))
	}
}

func TestRunCountsAWorkflowThatClosedMeanwhileAsOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(healthy())
	w.happen = func(source string, _ int) {
		if source == "captures" {
			w.Workflows = nil // settled after the ledger was read
		}
	}
	if r := w.audit(t); r.Broken() || r.Looks != 1 {
		t.Errorf("verdict %s after %d looks:\n%s", r.Verdict, r.Looks, text(t, &r))
	}
}

func TestRunLeavesOtherSalesMoneyAlone(t *testing.T) {
	t.Parallel()
	other := func(w *Workflow) *Workflow { w.SaleID = "other"; return w }
	for name, tc := range map[string]struct {
		change func(*world)
		want   Verdict
	}{
		"recorded in another sale": {func(w *world) { w.elsewhere = map[string]bool{payment(9): true} }, OK},
		"under way in another sale": {func(w *world) {
			open := checkout(9)
			w.Workflows = append(w.Workflows, *other(&open))
		}, OK},
		"known to nobody": {func(*world) {}, Broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(atRest())
			w.Snapshot.Captures = append(w.Snapshot.Captures, capture(9))
			w.Acknowledged = append(w.Acknowledged, acknowledged(9))
			tc.change(w)
			if r := w.audit(t); r.Verdict != tc.want {
				t.Errorf("verdict %s, want %s:\n%s", r.Verdict, tc.want, text(t, &r))
			}
		})
	}
}

func TestRunLooksUpManyPaymentsInChunks(t *testing.T) {
	t.Parallel()
	w := newWorld(atRest())
	w.elsewhere = map[string]bool{}
	for n := range 2*lookupsMax + 1 {
		c := capture(9)
		c.Payment = fmt.Sprintf("other_%d", n)
		w.elsewhere[c.Payment] = true
		w.Snapshot.Captures = append(w.Snapshot.Captures, c)
	}
	if r := w.audit(t); r.Verdict != OK {
		t.Errorf("%s", text(t, &r))
	}
}

func TestRunTellsUnconfirmedFromUnpaid(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		known bool
		want  Verdict
	}{
		"the provider never saw the session": {false, Warning},
		"it did, and captured nothing":       {true, Broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(atRest())
			w.Snapshot.Captures = w.Snapshot.Captures[1:]
			w.known = map[string]bool{domain.SessionID(id(1)): tc.known}
			if r := w.audit(t); r.Verdict != tc.want {
				t.Errorf("verdict %s, want %s:\n%s", r.Verdict, tc.want, text(t, &r))
			}
		})
	}
}

func TestRunHasNoVerdictWithoutASource(t *testing.T) {
	t.Parallel()
	for source, says := range map[string]string{
		"workflows": "Temporal", "orders": "the orders database", "ledger 1": "the ledger", "quota": "the ledger", "captures": "the payment provider",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			w := newWorld(atRest())
			w.err[source] = errors.New("out of reach")
			_, err := Run(t.Context(), w.sources(), w.Sale, Options{Pause: time.Nanosecond})
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "gophercon") {
				t.Errorf("error %v, want one that names the sale and %s", err, says)
			}
		})
	}
}

package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
)

// world answers for all four sources from a snapshot. Before each reading it
// lets something happen, so that a test can move the world under the audit.
type world struct {
	*Snapshot
	elsewhere map[string]bool // payments that are recorded in another sale
	placed    map[domain.OrderID]uint32
	looks     map[string]domain.WorkflowLook
	working   map[domain.OrderID]string // a workflow that Temporal knows and does not list yet
	known     map[string]bool           // sessions that the provider has seen
	asked     sync.Mutex                // some sources are asked from several goroutines
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
	w.asked.Lock()
	defer w.asked.Unlock()
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

func (w *world) Unfinished(context.Context, *domain.Sale) iter.Seq2[domain.Workflow, error] {
	err := w.read("workflows")
	return stream(slices.Clone(w.Workflows), err)
}

func (w *world) Look(_ context.Context, id string) (domain.WorkflowLook, error) {
	err := w.read("look")
	return w.looks[id], err
}

func (w *world) Working(_ context.Context, order domain.OrderID, _ string, _ time.Time) (string, error) {
	err := w.read("working")
	for _, listed := range w.Workflows {
		if listed.Order == order && !listed.Failed {
			return listed.ID, err
		}
	}
	return w.working[order], err
}

func (w *world) Placed(context.Context, []domain.OrderID) (map[domain.OrderID]uint32, error) {
	err := w.read("placed")
	return w.placed, err
}

// SeatFates are those of the snapshot, or else follow from the bookings.
func (w *world) SeatFates(_ context.Context, orders []domain.OrderID) (map[domain.OrderID]domain.SeatFate, error) {
	err := w.read("fates")
	fates := make(map[domain.OrderID]domain.SeatFate)
	for _, order := range orders {
		fates[order] = domain.SeatsNeverHeld
		for _, booking := range w.Snapshot.Bookings[ledgerA] {
			if booking.Order == order && booking.Sold > 0 {
				fates[order] = domain.SeatsSold
			}
		}
		if fate, ok := w.Fates[order]; ok {
			fates[order] = fate
		}
	}
	return fates, err
}

func (w *world) RecordedOrders(context.Context, string) iter.Seq2[domain.RecordedOrder, error] {
	err := w.read("orders")
	return stream(slices.Clone(w.Orders), err)
}

func (w *world) RecordedRefunds(_ context.Context, saleID string) iter.Seq2[domain.Refund, error] {
	if saleID != w.Sale.ID {
		return stream[domain.Refund](nil, nil)
	}
	return stream(slices.Clone(w.Snapshot.Refunds), nil)
}

func (w *world) RecordedReversals(_ context.Context, saleID string) iter.Seq2[domain.Reversal, error] {
	if saleID != w.Sale.ID {
		return stream[domain.Reversal](nil, nil)
	}
	return stream(slices.Clone(w.Reversals), nil)
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

func (w *world) CheckFigures(context.Context, string) (domain.FigureCheck, error) {
	return w.Figures, nil
}

func (w *world) EventCounts(context.Context, string) ([]domain.EventCount, error) {
	return slices.Clone(w.Events), nil
}

func (w *world) ReaderCounts(context.Context, string) ([]domain.ReaderCount, error) {
	return slices.Clone(w.Readers), nil
}

func (w *world) Stock(context.Context, *domain.Sale) ([]domain.StockLevel, error) {
	return slices.Clone(w.Stocks), nil
}

func (w *world) Quota(_ context.Context, sale *domain.Sale, ledger uint32) (domain.Quota, error) {
	err := w.read("quota")
	q := w.Snapshot.Quota
	if ledger != sale.QuotaLedger {
		q = w.Checkouts
	}
	q.Uses = slices.Clone(q.Uses)
	return q, err
}

func (w *world) ClassCodeQuota(context.Context, *domain.Sale) (domain.ClassCodeQuota, error) {
	q := w.Codes
	q.Uses = slices.Clone(q.Uses)
	return q, w.read("codes")
}

func (w *world) BookedCapacity(_ context.Context, ledger uint32) (domain.BookedCapacity, error) {
	if booked, ok := w.Booked[ledger]; ok {
		return booked, nil
	}
	return domain.BookedCapacity{}, domain.NotFound("capacity")
}

func (w *world) RecordedCapacities(context.Context, string) ([]domain.RecordedCapacity, error) {
	return slices.Collect(maps.Values(w.Recorded)), nil
}

func (w *world) Bookings(_ context.Context, ledger uint32) ([]domain.StockUse, error) {
	err := w.read(fmt.Sprintf("ledger %d", ledger))
	return slices.Clone(w.Snapshot.Bookings[ledger]), err
}

// provider keeps the methods of the provider apart from the snapshot's fields.
type provider struct{ w *world }

func (p provider) Captures(context.Context) iter.Seq2[domain.Capture, error] {
	err := p.w.read("captures")
	return stream(slices.Clone(p.w.Snapshot.Captures), err)
}

func (p provider) Authorizations(context.Context) iter.Seq2[domain.Capture, error] {
	err := p.w.read("authorizations")
	return stream(slices.Clone(p.w.Authorized), err)
}

func (p provider) Refunds(context.Context) iter.Seq2[Returned, error] {
	return stream(slices.Clone(p.w.Returned), nil)
}

func (p provider) Disputes(context.Context) iter.Seq2[domain.Reversal, error] {
	return stream(slices.Clone(p.w.Disputes), p.w.err["disputes"])
}

func (p provider) Deliveries(context.Context) iter.Seq2[domain.PaymentEvent, error] {
	return stream(slices.Clone(p.w.Acknowledged), nil)
}

func (p provider) KnowsSession(_ context.Context, session string) (bool, error) {
	return p.w.known[session], p.w.err["sessions"]
}

func options() Options {
	return Options{Pause: time.Nanosecond, RetryFor: time.Nanosecond, Now: func() time.Time { return noon }}
}

func (w *world) audit(t *testing.T) Report {
	t.Helper()
	r, err := Run(t.Context(), w.sources(), w.Sale, options())
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
	w.placed = map[domain.OrderID]uint32{id(9): ledgerA}
	if r := w.audit(t); !r.Broken() || r.Looks != 2 {
		t.Errorf("verdict %s after %d looks:\n%s", r.Verdict, r.Looks, text(t, &r))
	}
}

// sell lets a whole checkout happen in an instant, from its hold to its ticket.
func (w *world) sell(n byte) {
	if w.placed == nil {
		w.placed = map[domain.OrderID]uint32{}
	}
	w.placed[id(n)] = ledgerA
	w.Orders = append(w.Orders, domain.RecordedOrder{ID: id(n), Status: domain.OrderPaid, Payment: payment(n), Session: "ps_" + id(n).String(), Tickets: map[string]int64{"A": 1},
		AmountMinor: 6500, Currency: "EUR", LinesMinor: 6500})
	w.Events[0].Events++
	w.Events[0].Rows++
	w.Snapshot.Bookings[ledgerA] = append(w.Snapshot.Bookings[ledgerA], booked(n, 0, 1))
	w.Snapshot.Quota.Uses = append(w.Snapshot.Quota.Uses, domain.QuotaUse{StockUse: booked(n, 0, 1), Buyer: buyer(id(n))})
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
	w.Sale.Classes[0].Capacity, w.Stocks[0].Capacity, w.Stocks[0].Available = 100, 100, 98
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
	other := func(w *domain.Workflow) *domain.Workflow { w.SaleID = "other"; return w }
	for name, tc := range map[string]struct {
		change func(*world)
		want   Verdict
	}{
		"recorded in another sale": {func(w *world) { w.elsewhere = map[string]bool{payment(9): true} }, OK},
		"under way in another sale": {func(w *world) {
			open := checkout(9)
			w.Workflows = append(w.Workflows, *other(&open))
		}, OK},
		"placed in another sale":       {func(w *world) { w.placed = map[domain.OrderID]uint32{id(9): 77} }, OK},
		"known to nobody":              {func(*world) {}, OK},
		"placed here and let go since": {func(w *world) { w.placed = map[domain.OrderID]uint32{id(9): ledgerA} }, Broken},
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
			w.known = map[string]bool{"ps_" + id(1).String(): tc.known}
			if r := w.audit(t); r.Verdict != tc.want {
				t.Errorf("verdict %s, want %s:\n%s", r.Verdict, tc.want, text(t, &r))
			}
		})
	}
}

// A source that stays away is not a breakage: what needs it has no verdict, and
// the rest is still checked.
func TestRunSaysWhatItCouldNotLookAt(t *testing.T) {
	t.Parallel()
	for reading, tc := range map[string]struct {
		source Source
		blind  []string // invariants without a verdict
		sees   []string
	}{
		"workflows": {SourceTemporal, []string{"I2", "I3", "I5", "L"}, []string{"I1"}},
		"orders":    {SourceOrders, []string{"I2", "I3", "I5"}, []string{"I1", "L"}},
		"ledger 1":  {SourceLedger, []string{"I1", "I2", "I3", "I5"}, []string{"L"}},
		"quota":     {SourceLedger, []string{"I1", "I2", "I3", "I5"}, []string{"L"}},
		"captures":  {SourceProvider, []string{"I2", "I3", "I5"}, []string{"I1", "I4", "L"}},
	} {
		t.Run(reading, func(t *testing.T) {
			t.Parallel()
			w := newWorld(atRest())
			w.err[reading] = errors.New("out of reach")
			r := w.audit(t)
			if r.Verdict != Unread || r.Broken() || r.Complete() || len(r.Unread) != 1 || r.Unread[0] != (UnreadSource{tc.source, "out of reach"}) &&
				!strings.Contains(r.Unread[0].Why, "out of reach") {
				t.Fatalf("%s", text(t, &r))
			}
			for _, result := range r.Results {
				if slices.Contains(tc.blind, result.ID) && (result.Verdict != Unread || !slices.Contains(result.Unread, tc.source)) {
					t.Errorf("%s %s has verdict %s, needs %v", result.ID, result.Subject, result.Verdict, tc.source)
				}
				if slices.Contains(tc.sees, result.ID) && result.Verdict != OK {
					t.Errorf("%s %s has verdict %s, which does not need %v", result.ID, result.Subject, result.Verdict, tc.source)
				}
			}
			if printed := text(t, &r); !strings.Contains(printed, "Could not look at "+string(tc.source)) || !strings.Contains(printed, "? ") {
				t.Errorf("printed:\n%s", printed)
			}
		})
	}
}

func TestRunSeesWhatIsBrokenWithoutASource(t *testing.T) {
	t.Parallel()
	w := newWorld(atRest())
	w.err["captures"] = errors.New("out of reach")
	w.Stocks[0].Sold, w.Stocks[0].Available = 11, -1
	if r := w.audit(t); !r.Broken() || r.Complete() {
		t.Errorf("%s", text(t, &r))
	}
}

func TestRunTriesAgainForAWhile(t *testing.T) {
	t.Parallel()
	for _, reading := range []string{"workflows", "orders", "ledger 1", "captures"} {
		t.Run(reading, func(t *testing.T) {
			t.Parallel()
			w := newWorld(atRest())
			w.happen = func(source string, n int) {
				if source == reading {
					w.err = map[string]error{}
					if n == 1 {
						w.err[source] = errors.New("status 500")
					}
				}
			}
			o := options()
			o.RetryFor = time.Minute
			r, err := Run(t.Context(), w.sources(), w.Sale, o)
			if err != nil || r.Verdict != OK {
				t.Errorf("%v\n%s", err, text(t, &r))
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld(atRest())
	w.happen = func(source string, _ int) {
		if source == "captures" {
			cancel()
			w.err[source] = context.Canceled
		}
	}
	if _, err := Run(ctx, w.sources(), w.Sale, options()); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "gophercon") {
		t.Errorf("error %v, want the context's, with the sale", err)
	}
}

// Temporal's list lags behind: a checkout that is not listed, or still is, is
// asked for itself.
func TestRunAsksTemporalItself(t *testing.T) {
	t.Parallel()
	overdue := checkout(9)
	overdue.StartedAt = noon.Add(-time.Hour)
	for name, tc := range map[string]struct {
		change func(*world)
		want   Verdict
	}{
		"held, not listed, at work": {func(w *world) { w.hold(9); w.working = map[domain.OrderID]string{id(9): "checkout/9"} }, InFlight},
		"held, not listed, ended":   {func(w *world) { w.hold(9) }, Broken},
		"overdue, listed, ended":    {func(w *world) { w.Workflows = []domain.Workflow{overdue} }, OK},
		"overdue and idle": {func(w *world) {
			w.Workflows, w.looks = []domain.Workflow{overdue}, map[string]domain.WorkflowLook{overdue.ID: {Open: true}}
		}, Broken},
		"overdue and retrying": {func(w *world) {
			w.Workflows, w.looks = []domain.Workflow{overdue}, map[string]domain.WorkflowLook{overdue.ID: {Open: true, WaitsFor: "Settle"}}
		}, Waiting},
		"overdue and idle, beyond what is asked for": {func(w *world) {
			w.looks = map[string]domain.WorkflowLook{}
			for n := range looksMax + 1 {
				one := overdue
				one.ID = fmt.Sprint("checkout/", n)
				w.Workflows = append(w.Workflows, one)
				w.looks[one.ID] = domain.WorkflowLook{Open: true, WaitsFor: "a worker"}
			}
		}, Warning},
		"not listed, and Temporal goes away": {func(w *world) { w.hold(9); w.err["working"] = errors.New("away") }, Unread},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(atRest())
			tc.change(w)
			if r := w.audit(t); r.Verdict != tc.want {
				t.Errorf("verdict %s, want %s:\n%s", r.Verdict, tc.want, text(t, &r))
			}
		})
	}
}

// hold only holds a seat.
func (w *world) hold(n byte) {
	w.Snapshot.Bookings[ledgerA] = append(w.Snapshot.Bookings[ledgerA], booked(n, 1, 0))
	w.Stocks[0].Held++
	w.Stocks[0].Available--
}

// Money that nobody answers for is in one report and in no other.
func TestRunLone(t *testing.T) {
	t.Parallel()
	mine := atRest().Sale
	for name, tc := range map[string]struct {
		change func(*world)
		want   Verdict
	}{
		"nothing": {func(*world) {}, OK},
		"captured for an order that nobody knows": {func(w *world) {
			w.Snapshot.Captures = []domain.Capture{capture(9)}
		}, Broken},
		"acknowledged for an order that nobody knows": {func(w *world) { w.Acknowledged = []domain.PaymentEvent{acknowledged(9)} }, Broken},
		"placed in a sale": {func(w *world) {
			w.Snapshot.Captures, w.placed = []domain.Capture{capture(9)}, map[domain.OrderID]uint32{id(9): ledgerQuota}
		}, OK},
		"placed in the ledger of a sale that nobody knows": {func(w *world) {
			w.Snapshot.Captures, w.placed = []domain.Capture{capture(9)}, map[domain.OrderID]uint32{id(9): 77}
		}, Broken},
		"given back, and recorded": {func(w *world) {
			w.Snapshot.Captures, w.Returned = []domain.Capture{capture(9)}, []Returned{{Payment: payment(9), AmountMinor: 6500, Currency: "EUR"}}
			w.Snapshot.Refunds = []domain.Refund{{Capture: capture(9), Reason: domain.RefundUnknownOrder, RequestedAt: noon, RefundedAt: noon}}
		}, OK},
		"its refund under way": {func(w *world) {
			w.Snapshot.Captures = []domain.Capture{capture(9)}
			w.Workflows = []domain.Workflow{{ID: "late/9", Order: id(9), StartedAt: noon}}
		}, InFlight},
		"a workflow of a sale": {func(w *world) {
			stuck := checkout(9)
			stuck.StartedAt = noon.Add(-time.Hour)
			w.Workflows = []domain.Workflow{stuck}
		}, OK},
		"a workflow of no sale that never ends": {func(w *world) {
			w.Workflows = []domain.Workflow{{ID: "late/9", Order: id(9), StartedAt: noon.Add(-time.Hour)}}
			w.looks = map[string]domain.WorkflowLook{"late/9": {Open: true}}
		}, Broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(&Snapshot{Sale: &domain.Sale{}})
			tc.change(w)
			r, err := RunLone(t.Context(), w.sources(), []*domain.Sale{mine}, options())
			if err != nil || r.Verdict != tc.want || r.SaleID != "" {
				t.Errorf("%v: verdict %s, want %s:\n%s", err, r.Verdict, tc.want, text(t, &r))
			}
		})
	}
}

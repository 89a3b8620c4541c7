package restore

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"boxoffice/audit"
	"boxoffice/domain"
)

const (
	ledgerA = iota + 1
	ledgerB
	ledgerPerk
	ledgerQuota
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later = noon.Add(time.Hour)
	id    = domain.OrderID{1, 2}
	buyer = domain.BuyerID{7}
	sale  = &domain.Sale{
		ID: "conf", Name: "Conference", Currency: "EUR", BuyerLimit: 4, QuotaLedger: ledgerQuota, HoldTimeout: time.Minute,
		Classes: []domain.Class{{Name: "A", Ledger: ledgerA, PriceMinor: 6500, Capacity: 10}, {Name: "B", Ledger: ledgerB, PriceMinor: 3500, Capacity: 10}},
		Perk:    &domain.Perk{Name: "T-shirt", Ledger: ledgerPerk, Capacity: 1},
	}
)

// placed is the order as its checkout knows it: two of A, one of B.
func placed() *domain.Order {
	return &domain.Order{
		ID: id, SaleID: "conf", SaleName: "Conference", Buyer: buyer, Email: "ann@example.com", QuotaLedger: ledgerQuota, BuyerLimit: 4,
		Lines: []domain.Line{
			{Class: "A", Ledger: ledgerA, Quantity: 2, UnitPriceMinor: 6500}, {Class: "B", Ledger: ledgerB, Quantity: 1, UnitPriceMinor: 3500},
		},
		Perk: &domain.PerkRef{Name: "T-shirt", Ledger: ledgerPerk}, AmountMinor: 16500, Currency: "EUR", HoldTimeout: time.Minute, Fingerprint: "f00d",
	}
}

func booked(fate domain.SeatFate) domain.BookedOrder {
	if fate != domain.SeatsSold && fate != domain.SeatsReturned {
		return domain.BookedOrder{Fate: fate}
	}
	return domain.BookedOrder{
		Fate: fate, Booking: domain.BookedByHold, Lines: []domain.BookedLine{{Ledger: ledgerA, Quantity: 2}, {Ledger: ledgerB, Quantity: 1}},
		Buyer: buyer, QuotaLedger: ledgerQuota, PerkLedger: ledgerPerk, SoldAt: noon,
	}
}

func capture(payment string, after time.Duration) domain.Capture {
	return domain.Capture{Payment: payment, Session: "ps_" + id.String(), Order: id, AmountMinor: 16500, Currency: "EUR", CapturedAt: noon.Add(after)}
}

func back(payment string, reason domain.RefundReason) audit.Returned {
	return audit.Returned{Payment: payment, AmountMinor: 16500, Currency: "EUR", Reason: reason, At: later}
}

// world is everybody who is asked. It keeps orders and refunds as the database
// does.
type world struct {
	booked     domain.BookedOrder
	remembered domain.RememberedOrder
	order      *domain.Sold
	status     domain.OrderStatus
	begun      map[string]domain.Refund // by payment
	refundFor  int
	fail       map[string]error
	calls      []string
}

func (w *world) call(name string) error {
	w.calls = append(w.calls, name)
	return w.fail[name]
}

func (w *world) BookedCapacity(context.Context, uint32) (domain.BookedCapacity, error) {
	return domain.BookedCapacity{Opened: 10}, nil
}

func (w *world) RecordedCapacities(context.Context, string) ([]domain.RecordedCapacity, error) {
	return nil, nil
}

func (w *world) RestoreCapacity(context.Context, string, string, func(context.Context, uint32) (domain.BookedCapacity, error)) error {
	return nil
}

func (w *world) Booked(context.Context, domain.OrderID) (domain.BookedOrder, error) {
	return w.booked, w.fail["booked"]
}

func (w *world) Remember(context.Context, domain.OrderID, []string) (domain.RememberedOrder, error) {
	return w.remembered, w.fail["remember"]
}

func (w *world) RefundFor(context.Context, domain.OrderID, domain.RefundReason) (domain.OrderStatus, error) {
	w.refundFor++
	return domain.OrderRefunding, w.call("refund for")
}

func (w *world) Order(context.Context, domain.OrderID) (domain.SoldOrder, error) {
	if w.order == nil {
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	return domain.SoldOrder{ID: id, Status: w.status, Capture: w.order.Capture}, w.fail["order"]
}

func (w *world) Record(_ context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	if err := w.call("record"); err != nil {
		return domain.SoldOrder{}, err
	}
	w.order, w.status = &sold, domain.OrderPaid
	return domain.SoldOrder{}, nil
}

func (w *world) RefundsOfOrder(context.Context, domain.OrderID) (all []domain.Refund, err error) {
	for _, r := range w.begun {
		all = append(all, r)
	}
	return all, w.fail["refunds"]
}

func (w *world) BeginOrderRefund(_ context.Context, _ domain.OrderID, reason domain.RefundReason, at time.Time) (domain.SoldOrder, error) {
	if err := w.call("begin order"); err != nil {
		return domain.SoldOrder{}, err
	}
	if w.status == domain.OrderPaid {
		w.status = domain.OrderRefunding
		w.begun[w.order.Capture.Payment] = domain.Refund{Capture: w.order.Capture, Reason: reason, RequestedAt: at}
	}
	return domain.SoldOrder{}, nil
}

func (w *world) BeginRefund(_ context.Context, refund domain.Refund) error {
	if err := w.call("begin"); err != nil {
		return err
	}
	refund.RefundedAt = time.Time{}
	if _, there := w.begun[refund.Capture.Payment]; !there {
		w.begun[refund.Capture.Payment] = refund
	}
	return nil
}

func (w *world) FinishRefund(_ context.Context, payment string, at time.Time) error {
	if err := w.call("finish"); err != nil {
		return err
	}
	r, begun := w.begun[payment]
	if !begun {
		return domain.NotFound("refund")
	}
	r.RefundedAt = at
	w.begun[payment] = r
	if w.order != nil && w.order.Capture.Payment == payment {
		w.status = domain.OrderRefunded
	}
	return nil
}

func newWorld(change func(*world)) *world {
	w := &world{booked: booked(domain.SeatsSold), begun: map[string]domain.Refund{}, fail: map[string]error{}}
	if change != nil {
		change(w)
	}
	return w
}

func (w *world) recorded(status domain.OrderStatus, payment string) {
	w.order, w.status = &domain.Sold{Order: *placed(), Capture: capture(payment, 0)}, status
	if status == domain.OrderRefunding {
		w.begun[payment] = domain.Refund{Capture: capture(payment, 0), Reason: domain.RefundByOrganiser, RequestedAt: noon}
	}
}

func (w *world) restore(t *testing.T, of *domain.Sale, lost audit.Lost, apply bool) Item {
	t.Helper()
	lost.Order = id
	r := &Restorer{Ledger: w, Orders: w, Checkouts: w, Now: func() time.Time { return later }}
	report := r.Restore(t.Context(), of, &audit.Report{SaleID: "conf", Lost: []audit.Lost{lost}}, apply)
	if len(report.Items) != 1 {
		t.Fatalf("%d in report.Items, want 1: %+v", len(report.Items), report.Items)
	}
	if want := map[Outcome]int{report.Items[0].Outcome: 1}; !reflect.DeepEqual(report.Counts, want) {
		t.Fatalf("report.Counts is %v, want %v", report.Counts, want)
	}
	if report.Applied != apply {
		t.Fatalf("report.Applied is %v, want %v", report.Applied, apply)
	}
	return report.Items[0]
}

func TestRestore(t *testing.T) {
	remembers := func(payment string) domain.RememberedOrder {
		return domain.RememberedOrder{Order: placed(), Payment: payment, PaidAt: noon.Add(time.Second)}
	}
	wrong := capture("pay_1", 0)
	wrong.AmountMinor = 1
	for _, tt := range []struct {
		name   string
		world  func(*world)
		lost   audit.Lost
		noSale bool

		want    Item
		status  domain.OrderStatus             // as it is then recorded; empty: it is not
		refunds map[string]domain.RefundReason // that are then recorded as done
	}{
		{
			name: "sold, and Temporal knows all", world: func(w *world) { w.remembered = remembers("pay_1") },
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: Restored, Status: domain.OrderPaid, Payment: "pay_1"}, status: domain.OrderPaid,
		},
		{
			name: "sold, and Temporal has forgotten it", lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: Restored, Status: domain.OrderPaid, Payment: "pay_1", Missing: []string{"email"}}, status: domain.OrderPaid,
		},
		{
			name: "two captures: Temporal says which one bought it", world: func(w *world) { w.remembered = remembers("pay_2") },
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0), capture("pay_2", time.Second)}},
			want: Item{Outcome: Restored, Status: domain.OrderPaid, Payment: "pay_2"}, status: domain.OrderPaid,
		},
		{
			name: "two captures, and nobody says: the first", lost: audit.Lost{Captures: []domain.Capture{capture("pay_2", time.Second), capture("pay_1", 0)}},
			want: Item{Outcome: Restored, Status: domain.OrderPaid, Payment: "pay_1", Missing: []string{"email"}}, status: domain.OrderPaid,
		},
		{
			name: "two captures, the first given back as second: the other", lost: audit.Lost{
				Captures: []domain.Capture{capture("pay_1", 0), capture("pay_2", time.Second)}, Returned: []audit.Returned{back("pay_1", domain.RefundSecondCapture)}},
			want:   Item{Outcome: Restored, Status: domain.OrderPaid, Payment: "pay_2", Refunded: []string{"pay_1"}, Missing: []string{"email"}},
			status: domain.OrderPaid, refunds: map[string]domain.RefundReason{"pay_1": domain.RefundSecondCapture},
		},
		{
			name: "a capture of a wrong amount bought nothing", lost: audit.Lost{
				Captures: []domain.Capture{wrong, capture("pay_2", time.Second)}, Returned: []audit.Returned{back("pay_1", domain.RefundWrongAmount)}},
			want:   Item{Outcome: Restored, Status: domain.OrderPaid, Payment: "pay_2", Refunded: []string{"pay_1"}, Missing: []string{"email"}},
			status: domain.OrderPaid, refunds: map[string]domain.RefundReason{"pay_1": domain.RefundWrongAmount},
		},
		{
			name: "refunded by the organiser", world: func(w *world) { w.booked = booked(domain.SeatsReturned); w.remembered = remembers("pay_1") },
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}, Returned: []audit.Returned{back("pay_1", domain.RefundSaleCanceled)}},
			want: Item{Outcome: Restored, Status: domain.OrderRefunded, Payment: "pay_1"}, status: domain.OrderRefunded,
			refunds: map[string]domain.RefundReason{"pay_1": domain.RefundSaleCanceled},
		},
		{
			name: "given back, and its seats not yet: the refund goes on",
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}, Returned: []audit.Returned{back("pay_1", domain.RefundByOrganiser)}},
			want: Item{Outcome: Restored, Status: domain.OrderRefunding, Payment: "pay_1", Missing: []string{"email"}}, status: domain.OrderRefunding,
		},
		{
			name: "recorded as paid, refunded since", world: func(w *world) { w.booked = booked(domain.SeatsReturned); w.recorded(domain.OrderPaid, "pay_1") },
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}, Returned: []audit.Returned{back("pay_1", domain.RefundByOrganiser)}},
			want: Item{Outcome: Restored, Status: domain.OrderRefunded, Payment: "pay_1"}, status: domain.OrderRefunded,
			refunds: map[string]domain.RefundReason{"pay_1": domain.RefundByOrganiser},
		},
		{
			name: "recorded as refunding, refunded since", world: func(w *world) {
				w.booked = booked(domain.SeatsReturned)
				w.recorded(domain.OrderRefunding, "pay_1")
			},
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}, Returned: []audit.Returned{back("pay_1", domain.RefundByOrganiser)}},
			want: Item{Outcome: Restored, Status: domain.OrderRefunded, Payment: "pay_1"}, status: domain.OrderRefunded,
			refunds: map[string]domain.RefundReason{"pay_1": domain.RefundByOrganiser},
		},
		{
			name: "unsold again, the money back: no order", world: func(w *world) { w.booked = booked(domain.SeatsReturned) },
			lost:    audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}, Returned: []audit.Returned{back("pay_1", domain.RefundUnrecordable)}},
			want:    Item{Outcome: Restored, Refunded: []string{"pay_1"}},
			refunds: map[string]domain.RefundReason{"pay_1": domain.RefundUnrecordable},
		},
		{
			name: "late money that bought nothing", world: func(w *world) { w.booked = booked(domain.SeatsReleased) },
			lost:    audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}, Returned: []audit.Returned{back("pay_1", domain.RefundNoneLeft)}},
			want:    Item{Outcome: Restored, Refunded: []string{"pay_1"}},
			refunds: map[string]domain.RefundReason{"pay_1": domain.RefundNoneLeft},
		},
		{
			name: "an unknown order's money, of no sale", noSale: true, world: func(w *world) { w.booked = booked(domain.SeatsNeverHeld) },
			lost:    audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}, Returned: []audit.Returned{back("pay_1", domain.RefundUnknownOrder)}},
			want:    Item{Outcome: Restored, Refunded: []string{"pay_1"}},
			refunds: map[string]domain.RefundReason{"pay_1": domain.RefundUnknownOrder},
		},
		{
			name: "sold for a session that the provider never saw", world: func(w *world) { w.remembered = remembers("pay_1") },
			want: Item{Outcome: Restored, Status: domain.OrderPaid, Payment: "pay_1"}, status: domain.OrderPaid,
		},
		{
			name: "sold, and no money for it anywhere",
			want: Item{Outcome: NotRestorable, Why: "no payment of 16500 EUR (minor units) that bought it is at the provider: captured 0, given back 0"},
		},
		{
			name: "sold, and its money went back as of nothing", lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)},
				Returned: []audit.Returned{back("pay_1", domain.RefundUnknownOrder)}},
			want: Item{Outcome: NotRestorable, Why: "no payment of 16500 EUR (minor units) that bought it is at the provider: captured 1, given back 1"},
		},
		{
			name: "sold, and its sale is lost", noSale: true, lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: NotRestorable, Why: "it was sold in ledger 1, and the sale of that ledger is not in this database"},
		},
		{
			name: "sold in a ledger that is no class", world: func(w *world) { w.booked.Lines[1].Ledger = 99 },
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: NotRestorable, Why: "it was sold in ledger 99, which is no class of sale conf"},
		},
		{
			name: "its checkout was another order's", world: func(w *world) {
				w.remembered = remembers("pay_1")
				w.remembered.Order.Lines[0].Quantity++
			},
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: NotRestorable, Why: "its checkout was started with another order than the ledger sold"},
		},
		{
			name: "its checkout is open", world: func(w *world) { w.remembered = domain.RememberedOrder{Open: true} },
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: InFlight, Why: "its checkout is open"},
		},
		{
			name: "Temporal does not answer", world: func(w *world) {
				w.fail["remember"] = &domain.UnknownError{Op: "look at", ID: "x", Err: errors.New("away")}
			},
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: NotKnown, Why: "look at x: outcome unknown: away"},
		},
		{
			name: "another payment has the order by now", world: func(w *world) { w.fail["record"] = &domain.Error{Code: domain.CodeExists, Detail: "taken"} },
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: NotRestorable, Status: domain.OrderPaid, Payment: "pay_1", Missing: []string{"email"}, Why: "the orders database refuses it: exists: taken"},
		},
		{
			name: "the database is down", world: func(w *world) { w.fail["record"] = &domain.Error{Code: domain.CodeOverloaded} },
			lost: audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}},
			want: Item{Outcome: NotKnown, Status: domain.OrderPaid, Payment: "pay_1", Missing: []string{"email"}, Why: "overloaded"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			of := sale
			if tt.noSale {
				of = nil
			}
			tt.want.Order = id

			dry := newWorld(tt.world)
			item := dry.restore(t, of, tt.lost, false)
			if len(dry.calls) != 0 {
				t.Fatalf("dry.calls is %q, want nothing: nothing is written", dry.calls)
			}
			if tt.want.Outcome == Restored {
				if item.Outcome != WouldRestore {
					t.Fatalf("item.Outcome is %q, want %q", item.Outcome, WouldRestore)
				}
				item.Outcome = Restored
				if !reflect.DeepEqual(item, tt.want) {
					t.Fatalf("item is %+v, want %+v: what it would do is what it does", item, tt.want)
				}
			}

			w := newWorld(tt.world)
			if got := w.restore(t, of, tt.lost, true); !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("w.restore(t, of, tt.lost, true) is %+v, want %+v", got, tt.want)
			}
			if w.status != tt.status {
				t.Fatalf("w.status is %q, want %q", w.status, tt.status)
			}
			done := map[string]domain.RefundReason{}
			for payment, r := range w.begun {
				if !r.RefundedAt.IsZero() {
					if !reflect.DeepEqual(r.RefundedAt, later) {
						t.Fatalf("r.RefundedAt is %v, want %v", r.RefundedAt, later)
					}
					done[payment] = r.Reason
				}
			}
			if tt.refunds == nil {
				tt.refunds = map[string]domain.RefundReason{}
			}
			if !reflect.DeepEqual(done, tt.refunds) {
				t.Fatalf("done is %v, want %v", done, tt.refunds)
			}
			if (w.refundFor > 0) != (tt.want.Status == domain.OrderRefunding && tt.want.Outcome == Restored) {
				t.Fatalf("w.refundFor > 0 is %v, want %v", w.refundFor > 0, tt.want.Status == domain.OrderRefunding && tt.want.Outcome == Restored)
			}
		})
	}
}

// What Temporal does not know any more comes from the ledger and the sale.
func TestRestoredFromTheLedgerAlone(t *testing.T) {
	lost := audit.Lost{Captures: []domain.Capture{capture("pay_1", 0)}}
	want := domain.Sold{Order: *placed(), Capture: capture("pay_1", 0), Booking: domain.BookedByHold, PerkTaken: true, PaidAt: noon}
	want.Order.Email, want.Order.Fingerprint = "", ""

	w := newWorld(nil)
	w.restore(t, sale, lost, true)
	if !reflect.DeepEqual(*w.order, want) {
		t.Fatalf("*w.order is %+v, want %+v", *w.order, want)
	}

	w = newWorld(func(w *world) {
		w.remembered = domain.RememberedOrder{Order: placed(), Payment: "pay_1", PaidAt: noon.Add(time.Second)}
		w.booked.Booking, w.booked.PerkLedger = domain.BookedByRebook, 0
	})
	w.restore(t, sale, lost, true)
	want = domain.Sold{Order: *placed(), Capture: capture("pay_1", 0), Booking: domain.BookedByRebook, PaidAt: noon.Add(time.Second)}
	if !reflect.DeepEqual(*w.order, want) {
		t.Fatalf("*w.order is %+v, want %+v", *w.order, want)
	}
}

// Broken off anywhere, it ends as if it had not been.
func TestRestoreGoesOnFromAnyPoint(t *testing.T) {
	lost := audit.Lost{
		Captures: []domain.Capture{capture("pay_1", 0), capture("pay_2", time.Second)},
		Returned: []audit.Returned{back("pay_1", domain.RefundByOrganiser), back("pay_2", domain.RefundSecondCapture)},
	}
	setUp := func(w *world) { w.booked = booked(domain.SeatsReturned) }
	whole := newWorld(setUp)
	whole.restore(t, sale, lost, true)
	if want := []string{"record", "begin order", "finish", "begin", "finish"}; !reflect.DeepEqual(whole.calls, want) {
		t.Fatalf("whole.calls is %q, want %q", whole.calls, want)
	}
	for _, step := range slices.Compact(slices.Sorted(slices.Values(whole.calls))) {
		t.Run("before "+step, func(t *testing.T) {
			w := newWorld(setUp)
			w.fail[step] = &domain.Error{Code: domain.CodeOverloaded}
			if got := w.restore(t, sale, lost, true).Outcome; got != NotKnown {
				t.Fatalf("w.restore(t, sale, lost, true).Outcome is %q, want %q", got, NotKnown)
			}
			delete(w.fail, step)
			if got := w.restore(t, sale, lost, true).Outcome; got != Restored {
				t.Fatalf("w.restore(t, sale, lost, true).Outcome is %q, want %q", got, Restored)
			}
			if !reflect.DeepEqual(w.order, whole.order) {
				t.Fatalf("w.order is %+v, want %+v", w.order, whole.order)
			}
			if w.status != whole.status {
				t.Fatalf("w.status is %q, want %q", w.status, whole.status)
			}
			if !reflect.DeepEqual(w.begun, whole.begun) {
				t.Fatalf("w.begun is %v, want %v", w.begun, whole.begun)
			}
		})
	}
	if got := whole.restore(t, sale, lost, true).Outcome; got != Restored {
		t.Fatalf("whole.restore(t, sale, lost, true).Outcome is %q, want %q: and may be repeated", got, Restored)
	}
	if whole.status != domain.OrderRefunded {
		t.Fatalf("whole.status is %q, want %q", whole.status, domain.OrderRefunded)
	}
}

// What there is no time for is counted, and left for the next request.
func TestRestoreIsBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := newWorld(nil)
	r := &Restorer{Ledger: w, Orders: w, Checkouts: w}
	report := r.Restore(ctx, sale, &audit.Report{Lost: make([]audit.Lost, 3)}, true)
	if want := map[Outcome]int{NotReached: 3}; !reflect.DeepEqual(report.Counts, want) {
		t.Fatalf("report.Counts is %v, want %v", report.Counts, want)
	}
	if !report.More() {
		t.Fatal("want true: report.More()")
	}
	if len(w.calls) != 0 {
		t.Fatalf("w.calls is %q, want nothing", w.calls)
	}
}

// A free order was paid by nobody, so no provider has to remember it.
func TestAFreeOrderIsRestoredWithoutAPayment(t *testing.T) {
	gratis := *sale
	gratis.Classes = slices.Clone(sale.Classes)
	order := placed()
	order.AmountMinor, order.Provider = 0, domain.FreeProvider
	for i := range gratis.Classes {
		gratis.Classes[i].PriceMinor, order.Lines[i].UnitPriceMinor = 0, 0
	}
	free := domain.FreeCapture(order)
	for name, remembered := range map[string]domain.RememberedOrder{
		"Temporal knows all":        {Order: order, Payment: free.Payment, PaidAt: noon},
		"Temporal has forgotten it": {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(func(w *world) { w.remembered = remembered })
			item := w.restore(t, &gratis, audit.Lost{}, true)
			if item.Outcome != Restored || item.Payment != free.Payment || w.order == nil || w.order.Capture != free {
				t.Errorf("%+v, recorded %+v", item, w.order)
			}
		})
	}
	t.Run("an order with a price stays lost without its payment", func(t *testing.T) {
		w := newWorld(nil)
		if item := w.restore(t, sale, audit.Lost{}, true); item.Outcome == Restored || w.order != nil {
			t.Errorf("%+v, recorded %+v", item, w.order)
		}
	})
	t.Run("nothing that was captured passes for free", func(t *testing.T) {
		w := newWorld(func(w *world) { w.remembered = domain.RememberedOrder{Order: order, Payment: "pay_1", PaidAt: noon} })
		zero := capture("pay_1", 0)
		zero.AmountMinor = 0
		if item := w.restore(t, &gratis, audit.Lost{Captures: []domain.Capture{zero}}, true); item.Payment != "pay_1" {
			t.Errorf("%+v", item)
		}
	})
}

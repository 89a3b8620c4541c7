package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	ledgerA     = 1
	ledgerPerk  = 2
	ledgerQuota = 3

	ledgerCheckouts = 4 // of a sale with one checkout a buyer, see limited
)

func id(n byte) domain.OrderID { return domain.OrderID{0, 1, 2, n} }

func payment(n byte) string { return fmt.Sprintf("pay_%d", n) }

func capture(n byte) domain.Capture {
	return domain.Capture{Payment: payment(n), Session: "ps_" + id(n).String(), Order: id(n), AmountMinor: 6500, Currency: "EUR", CapturedAt: noon}
}

func returned(n byte, reason domain.RefundReason) Returned {
	return Returned{Payment: payment(n), AmountMinor: 6500, Currency: "EUR", Reason: reason, At: noon}
}

// booked is what an order has in a stock; sold seats were posted a second ago.
func booked(n byte, pending, posted int64) domain.StockUse {
	b := domain.StockUse{Order: id(n), Held: pending, Sold: posted}
	if posted > 0 {
		b.SoldAt = noon.Add(-time.Second)
	}
	return b
}

// quotaOf is what each order has of its buyer's quota: a buyer an order.
func quotaOf(bookings []domain.StockUse) (q domain.Quota) {
	for _, b := range bookings {
		q.Held += b.Held
		q.Sold += b.Sold
		q.Uses = append(q.Uses, domain.QuotaUse{StockUse: b, Buyer: buyer(b.Order)})
	}
	return q
}

func buyer(order domain.OrderID) (b domain.BuyerID) {
	b[0] = order[3]
	return b
}

func acknowledged(n byte) domain.PaymentEvent {
	return domain.PaymentEvent{ID: fmt.Sprintf("evt_%d", n), Type: domain.PaymentSucceeded, Session: "ps_" + id(n).String(), Order: id(n), Payment: payment(n), AmountMinor: 6500, Currency: "EUR"}
}

func checkout(n byte) domain.Workflow {
	return domain.Workflow{ID: "checkout/" + id(n).String(), Order: id(n), SaleID: "gophercon", StartedAt: noon.Add(-time.Minute), Checkout: true}
}

// healthy is a sale in the middle of its life, a ticket an order:
//
//	1 paid, with the perk
//	2 paid
//	3 refunded by the organiser; the perk is kept
//	4 paid after its hold was gone, nothing left: refunded
//	5 held, its checkout open
//	6 captured and posted, about to be recorded: its checkout is open
//	7 a refund is under way: its workflow is open
//	8 failed: nothing anywhere
func healthy() *Snapshot {
	refunded := func(n byte, reason domain.RefundReason, at time.Time) domain.Refund {
		return domain.Refund{Capture: capture(n), SaleID: "gophercon", Reason: reason, RequestedAt: noon, RefundedAt: at}
	}
	order := func(n byte, status domain.OrderStatus, perk bool) domain.RecordedOrder {
		return domain.RecordedOrder{ID: id(n), Status: status, Payment: payment(n), Session: "ps_" + id(n).String(), PerkTaken: perk, Tickets: map[string]int64{"A": 1},
			AmountMinor: 6500, Currency: "EUR", LinesMinor: 6500}
	}
	seats := []domain.StockUse{booked(1, 0, 1), booked(2, 0, 1), booked(5, 1, 0), booked(6, 0, 1), booked(7, 0, 1)}
	return &Snapshot{
		Sale: &domain.Sale{
			ID: "gophercon", Currency: "EUR", BuyerLimit: 4, QuotaLedger: ledgerQuota, Classes: []domain.Class{{Name: "A", Capacity: 10, Ledger: ledgerA}},
			Perk: &domain.Perk{Name: "T-shirt", Capacity: 5, Ledger: ledgerPerk}, HoldTimeout: 5 * time.Minute,
		},
		At: noon,
		Workflows: []domain.Workflow{
			checkout(5), checkout(6),
			{ID: "refund/" + id(7).String(), Order: id(7), SaleID: "gophercon", StartedAt: noon},
		},
		Orders: []domain.RecordedOrder{
			order(1, domain.OrderPaid, true), order(2, domain.OrderPaid, false),
			order(3, domain.OrderRefunded, true), order(7, domain.OrderRefunding, false),
		},
		Refunds: []domain.Refund{
			refunded(3, domain.RefundByOrganiser, noon), refunded(4, domain.RefundNoneLeft, noon),
			refunded(7, domain.RefundByOrganiser, time.Time{}),
		},
		Events:  []domain.EventCount{{Event: "order.paid", Events: 4, Rows: 4}, {Event: "order.refunded", Events: 1, Rows: 1}, {Event: "payment.refunded", Events: 1, Rows: 1}},
		Readers: []domain.ReaderCount{{Reader: domain.ReaderMail, Owed: 5, Done: 5}, {Reader: domain.ReaderWebhooks, Owed: 5, Done: 5}},
		Stocks: []domain.StockLevel{
			{Name: "A", Ledger: ledgerA, Capacity: 10, Held: 1, Sold: 4, Available: 5},
			{Name: "T-shirt", Ledger: ledgerPerk, Capacity: 5, Sold: 2, Available: 3},
		},
		Bookings: map[uint32][]domain.StockUse{
			ledgerA:    seats,
			ledgerPerk: {booked(1, 0, 1), booked(3, 0, 1)},
		},
		Quota:        quotaOf(seats),
		Captures:     []domain.Capture{capture(1), capture(2), capture(3), capture(4), capture(6), capture(7)},
		Returned:     []Returned{returned(3, domain.RefundByOrganiser), returned(4, domain.RefundNoneLeft)},
		Acknowledged: []domain.PaymentEvent{acknowledged(1), acknowledged(2), acknowledged(2), acknowledged(3), acknowledged(4), acknowledged(7)},
	}
}

// atRest is healthy once everything has settled: orders 1 to 4 are left.
func atRest() *Snapshot {
	s := healthy()
	s.Workflows = nil
	s.Orders = s.Orders[:3]
	s.Refunds = s.Refunds[:2]
	s.Events[0] = domain.EventCount{Event: "order.paid", Events: 3, Rows: 3}
	s.Stocks[0].Held, s.Stocks[0].Sold, s.Stocks[0].Available = 0, 2, 8
	s.Bookings[ledgerA] = s.Bookings[ledgerA][:2]
	s.Quota = quotaOf(s.Bookings[ledgerA])
	s.Captures = s.Captures[:4]
	s.Acknowledged = s.Acknowledged[:5]
	return s
}

// limited makes of a snapshot one of a sale in which a buyer has one checkout open.
func limited(s *Snapshot) *Snapshot {
	s.Sale.OneCheckoutPerBuyer, s.Sale.CheckoutLedger = true, ledgerCheckouts
	for _, use := range s.Quota.Uses {
		if use.Held > 0 {
			s.open(booked(use.Order[3], 1, 0))
		}
	}
	return s
}

// open counts an order among its buyer's open checkouts.
func (s *Snapshot) open(b domain.StockUse) {
	s.Checkouts.Uses = append(s.Checkouts.Uses, domain.QuotaUse{StockUse: b, Buyer: buyer(b.Order)})
	s.Checkouts.Held += b.Held
	s.Checkouts.Sold += b.Sold
}

func TestOneCheckoutPerBuyer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change   func(*Snapshot)
		verdict  Verdict
		id       string // the invariant that is broken
		subject  string
		offender string
	}{
		"at rest": {func(*Snapshot) {}, OK, "", "", ""},
		"open, its checkout too": {func(s *Snapshot) {
			s.open(booked(9, 1, 0))
			s.Workflows = []domain.Workflow{checkout(9)}
		}, InFlight, "", "", ""},
		"moved while it was read": {func(s *Snapshot) { s.Checkouts.Held, s.Checkouts.Moved = 1, true }, InFlight, "", "", ""},
		"two of one buyer": {func(s *Snapshot) {
			s.open(booked(8, 1, 0))
			s.open(booked(9, 1, 0))
			s.Checkouts.Uses[1].Buyer = s.Checkouts.Uses[0].Buyer
			s.Workflows = []domain.Workflow{checkout(8), checkout(9)}
		}, Broken, "I1", "open checkouts", buyer(id(8)).String()},
		"open after its end":               {func(s *Snapshot) { s.open(booked(9, 1, 0)) }, Broken, "I4", "holds", id(9).String()},
		"posted, of an order that is paid": {func(s *Snapshot) { s.open(booked(1, 0, 1)) }, Broken, "I4", "open checkouts", id(1).String()},
		"posted, of no order":              {func(s *Snapshot) { s.open(booked(9, 0, 1)) }, Broken, "I4", "open checkouts", id(9).String()},
		"open for no order":                {func(s *Snapshot) { s.Checkouts.Held++ }, Broken, "I4", "balances", "open checkouts (ledger 4)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := limited(atRest())
			tc.change(s)
			r := newWorld(s).audit(t)
			if r.Verdict != tc.verdict {
				t.Errorf("verdict %s, want %s:\n%s", r.Verdict, tc.verdict, text(t, &r))
			}
			named := slices.ContainsFunc(r.Results, func(result Result) bool {
				return result.ID == tc.id && result.Subject == tc.subject && slices.Contains(result.BrokenIDs(), tc.offender)
			})
			if tc.verdict == Broken && !named {
				t.Errorf("%s %s does not name %s:\n%s", tc.id, tc.subject, tc.offender, text(t, &r))
			}
		})
	}
	r := Evaluate(limited(healthy()), EndWithinDefault)
	if r.Verdict != InFlight {
		t.Errorf("in flight: verdict %s:\n%s", r.Verdict, text(t, &r))
	}
	unlimited := Evaluate(healthy(), EndWithinDefault)
	if got, want := len(r.Results), len(unlimited.Results)+2; got != want {
		t.Errorf("%d results, want %d: two more than of a sale without the limit", got, want)
	}
}

func TestHealthyAtRest(t *testing.T) {
	t.Parallel()
	r := Evaluate(atRest(), EndWithinDefault)
	if r.Verdict != OK {
		t.Errorf("verdict %s:\n%s", r.Verdict, text(t, &r))
	}
	for _, result := range r.Results {
		if result.Relation == "=" && result.Left.Value != result.Right.Value {
			t.Errorf("%s %s: %d ≠ %d although nothing is wrong", result.ID, result.Subject, result.Left.Value, result.Right.Value)
		}
	}
	for _, want := range []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "L"} {
		if !slices.ContainsFunc(r.Results, func(r Result) bool { return r.ID == want }) {
			t.Errorf("no result for %s", want)
		}
	}
}

func TestHealthyInFlight(t *testing.T) {
	t.Parallel()
	r := Evaluate(healthy(), EndWithinDefault)
	if r.Verdict != InFlight || r.Broken() {
		t.Fatalf("verdict %s:\n%s", r.Verdict, text(t, &r))
	}
	workflows := r.Results[len(r.Results)-1]
	if workflows.ID != "L" || workflows.Counts.InFlight != 3 {
		t.Errorf("%s counts %+v, want L with the 3 open workflows", workflows.ID, workflows.Counts)
	}
}

// Each bug that the audit exists for is caught by the invariant that should
// catch it, and names the offender. Other invariants may be broken too.
// Capacities that were changed add up, also while a change is booked and not yet noted, and
// once the sale is canceled.
func TestACapacityThatWasChangedHolds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opened, raised, lowered, available int64 // 1 is held, 4 are sold
		recorded                           int64
		open                               *domain.CapacityChange
	}{
		"raised":                            {opened: 10, raised: 5, available: 10, recorded: 15},
		"lowered":                           {opened: 10, lowered: 3, available: 2, recorded: 7},
		"lowered to what is held and sold":  {opened: 10, lowered: 5, available: 0, recorded: 5},
		"raised and lowered":                {opened: 10, raised: 5, lowered: 7, available: 3, recorded: 8},
		"booked, not yet noted":             {opened: 10, raised: 5, available: 10, recorded: 10, open: &domain.CapacityChange{Before: 10, After: 15}},
		"noted, not yet booked":             {opened: 10, available: 5, recorded: 10, open: &domain.CapacityChange{Before: 10, After: 15}},
		"lowered, canceled and drained":     {opened: 10, lowered: 3, available: 0, recorded: 7},
		"raised, lowered, canceled, sold 4": {opened: 10, raised: 2, lowered: 3, available: 0, recorded: 9},
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy()
			s.Stocks[0].Capacity, s.Stocks[0].Available = c.opened+c.raised, c.available
			s.Booked = map[uint32]domain.BookedCapacity{ledgerA: {Opened: c.opened, Raised: c.raised, Lowered: c.lowered}}
			s.Recorded = map[uint32]domain.RecordedCapacity{ledgerA: {Class: "A", Ledger: ledgerA, Capacity: c.recorded, Open: c.open}}
			if r := Evaluate(s, EndWithinDefault); r.Broken() {
				t.Error(text(t, &r))
			}
		})
	}
}

func TestBugIsCaught(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		bug      func(*Snapshot)
		id       string // the invariant
		subject  string
		offender string
	}{
		"oversold": {
			func(s *Snapshot) { s.Stocks[0].Sold, s.Stocks[0].Available = 11, -1 },
			"I1", "class A", "class A (ledger 1)",
		},
		"oversold by holds": {
			func(s *Snapshot) { s.Stocks[0].Held, s.Stocks[0].Available = 9, -1 },
			"I1", "class A", "class A (ledger 1)",
		},
		"perk oversold": {
			func(s *Snapshot) { s.Stocks[1].Sold, s.Stocks[1].Available = 6, -1 },
			"I1", "perk T-shirt", "perk T-shirt (ledger 2)",
		},
		"funded twice": {
			func(s *Snapshot) { s.Stocks[0].Capacity, s.Stocks[0].Available = 20, 18 },
			"I1", "class A", "class A (ledger 1)",
		},
		"a capacity that nobody recorded": {
			func(s *Snapshot) {
				s.Stocks[0].Capacity, s.Stocks[0].Available = 13, 8
				s.Booked = map[uint32]domain.BookedCapacity{ledgerA: {Opened: 10, Raised: 3}}
				s.Recorded = map[uint32]domain.RecordedCapacity{ledgerA: {Class: "A", Ledger: ledgerA, Capacity: 10}}
			},
			"I1", "class A", "class A (ledger 1)",
		},
		"funded twice, beside what was lowered": {
			func(s *Snapshot) {
				s.Stocks[0].Capacity, s.Stocks[0].Available = 20, 13
				s.Booked = map[uint32]domain.BookedCapacity{ledgerA: {Opened: 10, Lowered: 2}}
				s.Recorded = map[uint32]domain.RecordedCapacity{ledgerA: {Class: "A", Ledger: ledgerA, Capacity: 8}}
			},
			"I1", "class A", "class A (ledger 1)",
		},
		"oversold after it was lowered": {
			func(s *Snapshot) {
				s.Stocks[0].Capacity, s.Stocks[0].Available = 10, -1
				s.Booked = map[uint32]domain.BookedCapacity{ledgerA: {Opened: 10, Lowered: 6}}
				s.Recorded = map[uint32]domain.RecordedCapacity{ledgerA: {Class: "A", Ledger: ledgerA, Capacity: 4}}
			},
			"I1", "class A", "class A (ledger 1)",
		},
		"stock lost": {
			func(s *Snapshot) { s.Stocks = s.Stocks[:1] },
			"I1", "perk T-shirt", "perk T-shirt (ledger 2)",
		},
		"figures that count an order twice": {
			func(s *Snapshot) {
				s.Figures = miscounted(0, 0)
				s.Figures.Different, s.Figures.Differences = 1, s.Figures.Differences[:1]
			},
			"I9", "figures", "paid EUR",
		},
		"capture with neither ticket nor refund": {
			func(s *Snapshot) { s.Captures = append(s.Captures, capture(9)) },
			"I2", "", payment(9),
		},
		"capture with both": {
			func(s *Snapshot) {
				s.Returned = append(s.Returned, Returned{Payment: payment(1), AmountMinor: 6500, Currency: "EUR"})
			},
			"I2", "", payment(1),
		},
		"capture with tickets and a refund on record": {
			func(s *Snapshot) {
				s.Refunds = append(s.Refunds, domain.Refund{Capture: capture(2), Reason: domain.RefundSecondCapture})
			},
			"I2", "", payment(2),
		},
		"refund recorded and never done": {
			func(s *Snapshot) { s.Returned = s.Returned[:1] },
			"I2", "", payment(4),
		},
		"refund requested and forgotten": {
			func(s *Snapshot) { s.Refunds[1].RefundedAt = time.Time{}; s.Returned = s.Returned[:1] },
			"I2", "", payment(4),
		},
		"refund done and not recorded": {
			func(s *Snapshot) { s.Refunds = s.Refunds[:1] },
			"I2", "", payment(4),
		},
		"half a refund": {
			func(s *Snapshot) { s.Returned[1].AmountMinor = 3250 },
			"I2", "", payment(4),
		},
		"refunding order that nobody refunds": {
			func(s *Snapshot) {
				s.Orders[0].Status = domain.OrderRefunding
			},
			"I2", "", payment(1),
		},
		"refunded order that says it is not": {
			func(s *Snapshot) { s.Orders[2].Status = domain.OrderRefunding },
			"I2", "", payment(3),
		},
		"an event that a reader skipped": {
			func(s *Snapshot) {
				s.Readers[0].Done, s.Readers[0].Faults = 4, []domain.ReaderFault{{ID: "evt_1", Order: id(1), What: "read, and no mail was queued"}}
			},
			"I8", "mail", "evt_1",
		},
		"more faults of a reader than are named": {
			func(s *Snapshot) { s.Readers[1].Done = 4 },
			"I8", "webhooks", "webhooks",
		},
		"ticket without capture": {
			func(s *Snapshot) { s.Captures = s.Captures[1:] },
			"I3", "", id(1).String(),
		},
		"ticket for another order's payment": {
			func(s *Snapshot) { s.Captures[0].Order = id(9) },
			"I3", "", id(1).String(),
		},
		"a buyer over the limit": {
			func(s *Snapshot) {
				more := booked(2, 3, 1)
				s.Quota.Uses = append(s.Quota.Uses, domain.QuotaUse{StockUse: more, Buyer: buyer(id(2))})
			},
			"I1", "quota", buyer(id(2)).String(),
		},
		"captured less than recorded": {
			func(s *Snapshot) { s.Captures[1].AmountMinor-- },
			"I2", "", payment(2),
		},
		"captured in another currency than recorded": {
			func(s *Snapshot) { s.Captures[1].Currency = "XTS" },
			"I2", "", payment(2),
		},
		"refund recorded of another amount": {
			func(s *Snapshot) { s.Refunds[1].Capture.AmountMinor-- },
			"I2", "", payment(4),
		},
		"given back in another currency": {
			func(s *Snapshot) { s.Returned[1].Currency = "XTS" },
			"I2", "", payment(4),
		},
		"ticket for less than was recorded": {
			func(s *Snapshot) { s.Captures[1].AmountMinor-- },
			"I3", "", id(2).String(),
		},
		"ticket for less than its price": {
			func(s *Snapshot) { s.Captures[1].AmountMinor--; s.Orders[1].AmountMinor-- },
			"I3", "", id(2).String(),
		},
		"ticket for another currency than the sale's": {
			func(s *Snapshot) { s.Captures[1].Currency, s.Orders[1].Currency = "XTS", "XTS" },
			"I3", "", id(2).String(),
		},
		"unconfirmed ticket for less than its price": {
			func(s *Snapshot) {
				s.Captures = s.Captures[1:]
				s.UnknownSessions = map[string]bool{"ps_" + id(1).String(): true}
				s.Orders[0].AmountMinor--
			},
			"I3", "", id(1).String(),
		},
		"quota sold and not recorded": {
			func(s *Snapshot) {
				s.Quota.Uses = append(s.Quota.Uses, domain.QuotaUse{StockUse: booked(9, 0, 1), Buyer: buyer(id(9))})
				s.Quota.Sold++
			},
			"I4", "quota", id(9).String(),
		},
		"tickets beside the quota": {
			func(s *Snapshot) { s.Quota.Uses = s.Quota.Uses[:1]; s.Quota.Sold-- },
			"I4", "quota", id(2).String(),
		},
		"quota held without a checkout": {
			func(s *Snapshot) {
				s.Quota.Uses = append(s.Quota.Uses, domain.QuotaUse{StockUse: booked(9, 1, 0), Buyer: buyer(id(9))})
				s.Quota.Held++
			},
			"I4", "holds", id(9).String(),
		},
		"quota of no order": {
			func(s *Snapshot) { s.Quota.Sold++ },
			"I4", "balances", "quota (ledger 3)",
		},
		"posted long ago and not recorded, its checkout open": {
			func(s *Snapshot) {
				stuck := booked(9, 0, 1)
				stuck.SoldAt = noon.Add(-recordWithin - time.Second)
				s.Bookings[ledgerA] = append(s.Bookings[ledgerA], stuck)
				s.Stocks[0].Sold++
				s.Captures = append(s.Captures, capture(9))
				s.Workflows = []domain.Workflow{checkout(9)}
			},
			"I4", "class A", id(9).String(),
		},
		"transfers of no order while the sale is busy": {
			func(s *Snapshot) {
				s.Workflows, s.Stocks[0].Sold, s.Stocks[0].Available = []domain.Workflow{checkout(9)}, 3, 7
			},
			"I4", "balances", "A (ledger 1)",
		},
		"more available than was funded": {
			func(s *Snapshot) { s.Stocks[0].Available++ },
			"I1", "class A", "class A (ledger 1)",
		},
		"held and sold beyond what was left after a withdrawal": {
			func(s *Snapshot) { s.Stocks[0].Sold, s.Stocks[0].Available = 9, -2 },
			"I1", "class A", "class A (ledger 1)",
		},
		"event of one payment lost": {
			func(s *Snapshot) { s.Events[0].Events--; s.Events[0].Lone = []string{payment(2)} },
			"I6", "order.paid", payment(2),
		},
		"an event of nothing, another one lost": {
			func(s *Snapshot) { s.Events[0].Lone = []string{"pay_nobody"} },
			"I6", "order.paid", "pay_nobody",
		},
		"sold and not recorded": {
			func(s *Snapshot) {
				s.Bookings[ledgerA] = append(s.Bookings[ledgerA], booked(9, 0, 1))
				s.Stocks[0].Sold++
			},
			"I4", "class A", id(9).String(),
		},
		"recorded and not sold": {
			func(s *Snapshot) { s.Bookings[ledgerA] = s.Bookings[ledgerA][:1]; s.Stocks[0].Sold-- },
			"I4", "class A", id(2).String(),
		},
		"fewer tickets than seats": {
			func(s *Snapshot) { s.Bookings[ledgerA][1].Sold = 2; s.Stocks[0].Sold++ },
			"I4", "class A", id(2).String(),
		},
		"refunded seats not returned": {
			func(s *Snapshot) {
				s.Bookings[ledgerA] = append(s.Bookings[ledgerA], booked(3, 0, 1))
				s.Stocks[0].Sold++
			},
			"I4", "class A", id(3).String(),
		},
		"perk promised and not taken": {
			func(s *Snapshot) { s.Orders[1].PerkTaken = true },
			"I4", "perk T-shirt", id(2).String(),
		},
		"perk taken and not promised": {
			func(s *Snapshot) {
				s.Bookings[ledgerPerk] = append(s.Bookings[ledgerPerk], booked(2, 0, 1))
				s.Stocks[1].Sold++
			},
			"I4", "perk T-shirt", id(2).String(),
		},
		"hold outlives its checkout": {
			func(s *Snapshot) {
				s.Bookings[ledgerA] = append(s.Bookings[ledgerA], booked(9, 2, 0))
				s.Stocks[0].Held += 2
			},
			"I4", "holds", id(9).String(),
		},
		"transfers of no order": {
			func(s *Snapshot) { s.Stocks[0].Sold++ },
			"I4", "balances", "A (ledger 1)",
		},
		"two captures of an order": {
			func(s *Snapshot) {
				second := capture(1)
				second.Payment = "pay_second"
				s.Captures = append(s.Captures, second)
			},
			"I5", "", id(1).String(),
		},
		"acknowledged webhook without effect": {
			func(s *Snapshot) { s.Acknowledged = append(s.Acknowledged, acknowledged(9)) },
			"I6", "webhooks", payment(9),
		},
		"acknowledged order lost": {
			func(s *Snapshot) { s.Orders = s.Orders[1:] },
			"I6", "webhooks", payment(1),
		},
		"event lost": {
			func(s *Snapshot) { s.Events[0].Events-- },
			"I6", "order.paid", "order.paid",
		},
		"workflow that never ends": {
			func(s *Snapshot) {
				w := checkout(9)
				w.StartedAt = noon.Add(-EndWithinDefault - time.Second - 5*time.Minute)
				s.Workflows = []domain.Workflow{w}
			},
			"L", "", "checkout/" + id(9).String(),
		},
		"refund that never ends": {
			func(s *Snapshot) {
				s.Workflows = []domain.Workflow{{ID: "refund/9", Order: id(9), SaleID: "gophercon", StartedAt: noon.Add(-EndWithinDefault - time.Second)}}
			},
			"L", "", "refund/9",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := atRest()
			tc.bug(s)
			r := Evaluate(s, EndWithinDefault)
			i := slices.IndexFunc(r.Results, func(r Result) bool { return r.ID == tc.id && r.Subject == tc.subject })
			if i < 0 {
				t.Fatalf("no result %s %s", tc.id, tc.subject)
			}
			result := r.Results[i]
			if !r.Broken() || result.Verdict != Broken || result.ToDo == "" {
				t.Fatalf("%s %s is %s:\n%s", tc.id, tc.subject, result.Verdict, text(t, &r))
			}
			if result.Counts.Broken != 1 || result.Offenders[0].ID != tc.offender {
				t.Errorf("offenders %+v, want only %s", result.Offenders, tc.offender)
			}
		})
	}
}

// An organiser who cancels a sale takes what is left out of the budget.
func TestWithdrawnStockReconciles(t *testing.T) {
	t.Parallel()
	s := atRest()
	s.Stocks[0].Available -= 8
	s.Stocks[1].Available -= 3
	r := Evaluate(s, EndWithinDefault)
	if r.Verdict != OK {
		t.Errorf("%s", text(t, &r))
	}
	if class := r.Results[0]; class.ID != "I1" || class.Right.Value != 2 {
		t.Errorf("I1 compares with %d, want the 2 that were not withdrawn", class.Right.Value)
	}
}

// A ledger that moved while it was read cannot be held to one moment.
func TestBalancesOfAMovingLedger(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(*Snapshot){
		"stock": func(s *Snapshot) {
			s.Stocks[0].Sold, s.Stocks[0].Available, s.Moved = 3, 7, map[uint32]bool{ledgerA: true}
		},
		"quota": func(s *Snapshot) { s.Quota.Sold, s.Quota.Moved = 3, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := atRest()
			move(s)
			if r := Evaluate(s, EndWithinDefault); r.Verdict != InFlight {
				t.Errorf("%s", text(t, &r))
			}
		})
	}
}

// A checkout may wait for a payment that is being processed, as long as its sale allows.
func TestACheckoutMayWaitForAPaymentThatIsBeingProcessed(t *testing.T) {
	t.Parallel()
	for extension, want := range map[time.Duration]Verdict{0: Broken, 49 * time.Hour: Broken, 72 * time.Hour: InFlight} {
		s := atRest()
		s.Sale.ProcessingExtension = extension
		w := checkout(9)
		w.StartedAt = noon.Add(-50 * time.Hour)
		s.Workflows = []domain.Workflow{w}
		if r := Evaluate(s, EndWithinDefault); r.Verdict != want {
			t.Errorf("with %s: %s", extension, text(t, &r))
		}
	}
}

// An overdue order is not broken while its workflow is retrying something that
// is away.
func TestWaiting(t *testing.T) {
	t.Parallel()
	const days = 50 * time.Hour
	due := func(s *Snapshot) {
		s.Refunds[1].RequestedAt, s.Refunds[1].RefundedAt, s.Returned = noon.Add(-days), time.Time{}, s.Returned[:1]
		s.Workflows = []domain.Workflow{{ID: "late/4", Order: id(4), SaleID: "gophercon", StartedAt: noon.Add(-days), WaitsFor: "RefundPayment, attempt 600: status 500"}}
	}
	for name, tc := range map[string]struct {
		change   func(*Snapshot)
		id, says string
	}{
		"a refund that the provider does not take: the money":    {due, "I2", "requested 50h0m0s ago"},
		"a refund that the provider does not take: its workflow": {due, "L", "attempt 600: status 500"},
		"a checkout whose deadline passed while the provider is down": {func(s *Snapshot) {
			w := checkout(9)
			w.StartedAt, w.WaitsFor = noon.Add(-days), "ExpireSession, attempt 9: refused"
			s.Workflows = []domain.Workflow{w}
		}, "L", "ExpireSession, attempt 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := atRest()
			tc.change(s)
			r := Evaluate(s, EndWithinDefault)
			if r.Verdict != Waiting || !r.InFlight() {
				t.Fatalf("%s", text(t, &r))
			}
			result := r.Results[slices.IndexFunc(r.Results, func(r Result) bool { return r.ID == tc.id && r.Subject == "" })]
			if result.Counts != (Counts{Waiting: 1}) || !strings.Contains(result.Offenders[0].What, tc.says) || result.ToDo == "" {
				t.Errorf("%s is %+v, want one that waits and says %q", tc.id, result, tc.says)
			}
		})
	}
}

// What looks wrong about an order whose workflow is open is not wrong yet.
func TestOpenWorkflowExcuses(t *testing.T) {
	t.Parallel()
	for name, happening := range map[string]func(*Snapshot){
		"held": func(s *Snapshot) {
			s.Bookings[ledgerA] = append(s.Bookings[ledgerA], booked(9, 1, 0))
			s.Stocks[0].Held, s.Stocks[0].Available = 1, 7
		},
		"captured":               func(s *Snapshot) { s.Captures = append(s.Captures, capture(9)) },
		"acknowledged for later": func(s *Snapshot) { s.Acknowledged = append(s.Acknowledged, acknowledged(9)) },
		"posted": func(s *Snapshot) {
			s.Bookings[ledgerA] = append(s.Bookings[ledgerA], booked(9, 0, 1))
			s.Stocks[0].Sold, s.Stocks[0].Available = 3, 7
		},
		"given back and not recorded": func(s *Snapshot) {
			s.Captures = append(s.Captures, capture(9))
			s.Returned = append(s.Returned, Returned{Payment: payment(9), AmountMinor: 6500, Currency: "EUR"})
		},
		"captured twice": func(s *Snapshot) {
			second := capture(9)
			second.Payment = "pay_second"
			s.Captures = append(s.Captures, capture(9), second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := atRest()
			happening(s)
			if r := Evaluate(s, EndWithinDefault); !r.Broken() {
				t.Fatalf("without a workflow it should be broken:\n%s", text(t, &r))
			}
			s.Workflows = []domain.Workflow{checkout(9)}
			if r := Evaluate(s, EndWithinDefault); r.Verdict != InFlight {
				t.Errorf("verdict %s:\n%s", r.Verdict, text(t, &r))
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		oddity func(*Snapshot)
		id     string
	}{
		"unconfirmed: the provider does not know the session": {
			func(s *Snapshot) {
				s.Captures = s.Captures[1:]
				s.UnknownSessions = map[string]bool{"ps_" + id(1).String(): true}
			}, "I3",
		},
		"a second capture that was given back": {
			func(s *Snapshot) {
				second := capture(1)
				second.Payment = "pay_second"
				s.Captures = append(s.Captures, second)
				s.Returned = append(s.Returned, Returned{Payment: "pay_second", AmountMinor: 6500, Currency: "EUR"})
				s.Refunds = append(s.Refunds, domain.Refund{Capture: second, Reason: domain.RefundSecondCapture, RefundedAt: noon})
			}, "I5",
		},
		"a workflow that failed": {
			func(s *Snapshot) {
				w := checkout(9)
				w.Failed = true
				s.Workflows = append(s.Workflows, w)
			}, "L",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := atRest()
			tc.oddity(s)
			r := Evaluate(s, EndWithinDefault)
			if r.Verdict != Warning {
				t.Fatalf("verdict %s:\n%s", r.Verdict, text(t, &r))
			}
			for _, result := range r.Results {
				if want := result.ID == tc.id && result.Subject == ""; (result.Verdict == Warning) != want {
					t.Errorf("%s %s is %s", result.ID, result.Subject, result.Verdict)
				}
			}
		})
	}
}

func TestAFailedWorkflowExcusesNothing(t *testing.T) {
	t.Parallel()
	s := atRest()
	s.Captures = append(s.Captures, capture(9))
	w := checkout(9)
	w.Failed = true
	s.Workflows = []domain.Workflow{w}
	if r := Evaluate(s, EndWithinDefault); !r.Broken() {
		t.Errorf("verdict %s", r.Verdict)
	}
}

func TestOffendersAreBoundedWorstFirst(t *testing.T) {
	t.Parallel()
	s := atRest()
	const lost = 3 * OffendersMax
	for n := range byte(lost) {
		s.Captures = append(s.Captures, capture(50+n))
		if n%2 == 0 {
			s.Workflows = append(s.Workflows, checkout(50+n))
		}
	}
	r := Evaluate(s, EndWithinDefault)
	i := slices.IndexFunc(r.Results, func(r Result) bool { return r.ID == "I2" })
	result := r.Results[i]
	if result.Counts != (Counts{Broken: lost / 2, InFlight: lost / 2}) || len(result.Offenders) != OffendersMax {
		t.Errorf("counts %+v with %d listed, want %d of each and %d listed", result.Counts, len(result.Offenders), lost/2, OffendersMax)
	}
	for _, o := range result.Offenders {
		if o.Verdict != Broken {
			t.Errorf("%s is listed before all that is broken is", o.Verdict)
		}
	}
}

func TestTextShowsBothSidesOffendersAndWhatToDo(t *testing.T) {
	t.Parallel()
	s := atRest()
	s.Captures = append(s.Captures, capture(9))
	r := Evaluate(s, EndWithinDefault)
	printed := text(t, &r)
	for _, want := range []string{
		"Sale gophercon at 2026-03-01T12:00:00Z: BROKEN",
		"5 = 4", "captured payments", "of them with one ticket order or one refund", "BROKEN (1)",
		"pay_9  neither tickets nor a refund", "What to do: A payment with neither",
		"class A", "2 ≤ 10",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing in:\n%s", want, printed)
		}
	}
}

// miscounted figures have an order too many, and lack a refund that was begun.
func miscounted(unread, unannounced int64) domain.FigureCheck {
	return domain.FigureCheck{
		Rows: 9, Different: 2, Unread: unread, Unannounced: unannounced,
		Differences: []domain.FigureDifference{
			{
				FigureKey: domain.FigureKey{Sale: "gophercon", Figure: domain.FigurePaid, Currency: "EUR"},
				View:      domain.FigureSum{Count: 3, AmountMinor: 19500}, Want: domain.FigureSum{Count: 2, AmountMinor: 13000},
			},
			{
				FigureKey: domain.FigureKey{Sale: "gophercon", Figure: domain.FigureRefundBegun, About: "organiser", Currency: "EUR"},
				Want:      domain.FigureSum{Count: 1, AmountMinor: 6500},
			},
		},
	}
}

// Figures that lag are in flight. What a node of an earlier release did not announce is known to be
// missing.
func TestFiguresThatLagAreInFlight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unread, unannounced int64
		want                Counts
	}{
		{0, 0, Counts{Broken: 2}}, {1, 0, Counts{InFlight: 2}}, {0, 1, Counts{Broken: 1, Warning: 1}}, {1, 1, Counts{InFlight: 2}},
	} {
		s := atRest()
		s.Figures = miscounted(c.unread, c.unannounced)
		r := Evaluate(s, EndWithinDefault)
		i := slices.IndexFunc(r.Results, func(r Result) bool { return r.ID == "I9" })
		if got := r.Results[i]; got.Counts != c.want || got.Left.Value != 9 || got.Right.Value != 7 {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestReportSurvivesJSON(t *testing.T) {
	t.Parallel()
	r := Evaluate(healthy(), EndWithinDefault)
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(body, &back); err != nil {
		t.Fatal(err)
	}
	if text(t, &back) != text(t, &r) || back.InFlight() != r.InFlight() {
		t.Errorf("came back as:\n%s\nwas:\n%s", text(t, &back), text(t, &r))
	}
	for _, field := range []string{`"sale":"gophercon"`, `"left":{"name":"captured payments","value":6}`, `"verdict":"in_flight"`} {
		if !bytes.Contains(body, []byte(field)) {
			t.Errorf("no %s in %s", field, body)
		}
	}
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// atNoPrice makes order 2 one that cost nothing, and adds 9, whose free ticket the
// organiser took back. The provider knows neither.
func atNoPrice(s *Snapshot) *Snapshot {
	free := func(n byte) domain.Capture { return domain.FreeCapture(&domain.Order{ID: id(n), Currency: "EUR"}) }
	s.Orders[1].Payment, s.Orders[1].Session, s.Orders[1].AmountMinor, s.Orders[1].LinesMinor = free(2).Payment, free(2).Session, 0, 0
	back := s.Orders[1]
	back.ID, back.Status, back.Payment, back.Session = id(9), domain.OrderRefunded, free(9).Payment, free(9).Session
	s.Orders = append(s.Orders, back)
	s.Refunds = append(s.Refunds, domain.Refund{Capture: free(9), SaleID: "gophercon", Reason: domain.RefundByOrganiser, RequestedAt: noon, RefundedAt: noon})
	isPaid := func(payment string) bool { return payment != capture(2).Payment }
	s.Captures = slices.DeleteFunc(s.Captures, func(c domain.Capture) bool { return !isPaid(c.Payment) })
	s.Acknowledged = slices.DeleteFunc(s.Acknowledged, func(e domain.PaymentEvent) bool { return !isPaid(e.Payment) })
	return s
}

// An order that costs nothing needs no captured payment, and nothing else passes for one.
func TestFreeOrders(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		bug    func(*Snapshot)
		broken []string
	}{
		"as it should be": {func(*Snapshot) {}, nil},
		"its classes have a price": {func(s *Snapshot) {
			s.Orders[1].LinesMinor = 6500
		}, []string{"I3"}},
		"its classes have a price, and it is recorded as paid": {func(s *Snapshot) {
			s.Orders[1].LinesMinor, s.Orders[1].AmountMinor = 6500, 6500
		}, []string{"I3"}},
		"recorded with another order's": {func(s *Snapshot) {
			s.Orders[1].Payment = s.Orders[3].Payment + "0"
		}, []string{"I3"}},
		"the seats of the one that was taken back are still sold": {func(s *Snapshot) {
			s.Stocks[0].Sold, s.Stocks[0].Available = s.Stocks[0].Sold+1, s.Stocks[0].Available-1
			s.Bookings[ledgerA] = append(slices.Clone(s.Bookings[ledgerA]), booked(9, 0, 1))
			s.Quota = quotaOf(s.Bookings[ledgerA])
		}, []string{"I4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := atNoPrice(atRest())
			tc.bug(s)
			r := Evaluate(s, EndWithinDefault)
			var broken []string
			for _, result := range r.Results {
				if result.Verdict == Broken && !slices.Contains(broken, result.ID) {
					broken = append(broken, result.ID)
				}
			}
			if !slices.Equal(broken, tc.broken) {
				t.Errorf("broken: %v, want %v\n%s", broken, tc.broken, text(t, &r))
			}
		})
	}
}

func TestNobodyIsAskedAboutTheSessionOfAFreeOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(atNoPrice(atRest()))
	w.Orders[1].AmountMinor = 1 // so that somebody might think of asking
	s := *w.Snapshot
	if err := s.askForSessions(t.Context(), strict{provider{w}, t}, map[string]bool{payment(1): true, payment(3): true}); err != nil {
		t.Fatal(err)
	}
}

type strict struct {
	provider
	t *testing.T
}

func (p strict) KnowsSession(_ context.Context, session string) (bool, error) {
	p.t.Errorf("the provider was asked about %s", session)
	return false, nil
}

package audit

import (
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// forget drops an order's record, as a database that was put back does; its sale
// in the ledger is a minute old.
func forget(s *Snapshot, n byte) {
	s.Orders = slices.DeleteFunc(s.Orders, func(o domain.RecordedOrder) bool { return o.ID == id(n) })
	s.Refunds = slices.DeleteFunc(s.Refunds, func(r domain.Refund) bool { return r.Capture.Order == id(n) })
	for i := range s.Bookings[ledgerA] {
		s.Bookings[ledgerA][i].SoldAt = noon.Add(-time.Minute)
	}
}

func late(n byte) domain.Workflow {
	return domain.Workflow{ID: "late/" + id(n).String() + "/" + payment(n), Order: id(n), SaleID: "gophercon", StartedAt: noon}
}

// A lost record is a separate item that names the order, and no money
// of it is brought to anybody.
func TestLostRecords(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lose func(*Snapshot)
		want []domain.OrderID
	}{
		"none":                             {func(*Snapshot) {}, nil},
		"sold in the ledger, not recorded": {func(s *Snapshot) { forget(s, 1) }, []domain.OrderID{id(1)}},
		"the same without a capture":       {func(s *Snapshot) { forget(s, 1); s.Captures = s.Captures[1:] }, []domain.OrderID{id(1)}},
		"while its checkout is open": {func(s *Snapshot) {
			forget(s, 1)
			s.Workflows = []domain.Workflow{checkout(1)}
		}, nil},
		"while a late payment waits for the record": {func(s *Snapshot) {
			forget(s, 1)
			s.Workflows = []domain.Workflow{late(1)}
		}, []domain.OrderID{id(1)}},
		"sold by a late payment a moment ago": {func(s *Snapshot) {
			forget(s, 1)
			s.Bookings[ledgerA][0].SoldAt = noon
			s.Workflows = []domain.Workflow{late(1)}
		}, nil},
		"refunded, and neither recorded": {func(s *Snapshot) { forget(s, 3) }, []domain.OrderID{id(3)}},
		"refunded after it was recorded": {func(s *Snapshot) {
			s.Orders[2].Status = domain.OrderPaid
			s.Refunds = s.Refunds[1:]
		}, []domain.OrderID{id(3)}},
		"refunded after that was noted as due": {func(s *Snapshot) {
			s.Orders[2].Status = domain.OrderRefunding
			s.Refunds[0].RefundedAt = time.Time{}
		}, []domain.OrderID{id(3)}},
		"the same, its workflow still working on it": {func(s *Snapshot) {
			s.Orders[2].Status = domain.OrderRefunding
			s.Refunds[0].RefundedAt = time.Time{}
			s.Workflows = []domain.Workflow{{ID: "refund/" + id(3).String(), Order: id(3), SaleID: "gophercon", StartedAt: noon}}
		}, nil},
		"refunded, neither recorded, and its workflow cannot record that it is done": {func(s *Snapshot) {
			forget(s, 3)
			s.Workflows = []domain.Workflow{{ID: "refund/" + id(3).String(), Order: id(3), SaleID: "gophercon", StartedAt: noon}}
		}, []domain.OrderID{id(3)}},
		"the refund of money that bought nothing": {func(s *Snapshot) { s.Refunds = s.Refunds[:1] }, []domain.OrderID{id(4)}},
		"the same, and its workflow cannot record that it is done": {func(s *Snapshot) {
			s.Refunds = s.Refunds[:1]
			s.Workflows = []domain.Workflow{late(4)}
		}, []domain.OrderID{id(4)}},
		"given back by somebody at the provider: not ours": {func(s *Snapshot) {
			s.Returned = append(s.Returned, returned(1, ""))
		}, nil},
		"captured, and nothing was sold: not lost": {func(s *Snapshot) {
			s.Captures = append(s.Captures, capture(9))
			s.Workflows = []domain.Workflow{{ID: "checkout/" + id(9).String(), Order: id(9), SaleID: "gophercon", StartedAt: noon, Failed: true}}
		}, nil},
		"a second capture of an order that is recorded: not lost": {func(s *Snapshot) {
			second := capture(1)
			second.Payment = "second"
			s.Captures = append(s.Captures, second)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := atRest()
			tc.lose(s)
			w := newWorld(s)
			w.placed = map[domain.OrderID]uint32{id(4): ledgerA} // it was held once
			r := w.audit(t)
			var got, listed []domain.OrderID
			for _, l := range r.Lost {
				got = append(got, l.Order)
			}
			for _, result := range r.Results {
				for _, o := range result.Offenders {
					if result.ID == "I7" && o.Verdict == Broken {
						listed = append(listed, o.Order)
						if !strings.HasPrefix(o.What, "record lost: ") || !strings.Contains(result.ToDo, "boxoffice restore-orders") {
							t.Errorf("it says %q, to do %q", o.What, result.ToDo)
						}
					}
				}
			}
			if !slices.Equal(got, tc.want) || !slices.Equal(listed, tc.want) {
				t.Errorf("lost %v, listed %v, want %v:\n%s", got, listed, tc.want, text(t, &r))
			}
			for _, c := range r.Unheard {
				if slices.Contains(tc.want, c.Order) {
					t.Errorf("payment %s of a lost record would be brought to its checkout", c.Payment)
				}
			}
		})
	}
}

// A lost order is restored from its payments.
func TestLostRecordsHaveTheirPayments(t *testing.T) {
	t.Parallel()
	s := atRest()
	forget(s, 1)
	forget(s, 3)
	r := newWorld(s).audit(t)
	if len(r.Lost) != 2 {
		t.Fatalf("%d lost, want 2:\n%s", len(r.Lost), text(t, &r))
	}
	sold, refunded := r.Lost[0], r.Lost[1]
	if !slices.Equal(sold.Captures, []domain.Capture{capture(1)}) || len(sold.Returned) != 0 {
		t.Errorf("sold: %+v", sold)
	}
	if !slices.Equal(refunded.Captures, []domain.Capture{capture(3)}) || !slices.Equal(refunded.Returned, []Returned{returned(3, domain.RefundByOrganiser)}) {
		t.Errorf("refunded: %+v", refunded)
	}
}

// Money is brought to its checkout only where the ledger says that it bought
// nothing, or where that checkout broke off after it sold the seats: it is finished then.
func TestInspectBringsNoMoneyThatBoughtSeats(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fate     domain.SeatFate
		brokeOff []string // workflows of the order
		want     []string
	}{
		"never held":                             {domain.SeatsNeverHeld, nil, []string{payment(2)}},
		"released":                               {domain.SeatsReleased, nil, []string{payment(2)}},
		"sold and returned":                      {domain.SeatsReturned, nil, []string{payment(2)}},
		"sold":                                   {domain.SeatsSold, nil, nil},
		"sold, and its checkout broke off":       {domain.SeatsSold, []string{"checkout/" + id(2).String()}, []string{payment(2)}},
		"sold, and another's checkout broke off": {domain.SeatsSold, []string{"checkout/" + id(9).String()}, nil},
		"sold, and a refund of its order did too": {domain.SeatsSold, []string{"refund/" + id(2).String()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := inspecting()
			forget(i.world.Snapshot, 2)
			i.world.Fates = map[domain.OrderID]domain.SeatFate{id(2): tc.fate}
			for _, workflow := range tc.brokeOff {
				order, err := domain.ParseOrderID(workflow[strings.Index(workflow, "/")+1:])
				if err != nil {
					t.Fatal(err)
				}
				i.world.Workflows = append(i.world.Workflows, domain.Workflow{ID: workflow, Order: order, SaleID: "gophercon", StartedAt: noon, Failed: true})
			}
			if _, err := i.run(t); err != nil || !slices.Equal(i.heard, tc.want) {
				t.Errorf("brought %q, %v, want %q", i.heard, err, tc.want)
			}
		})
	}
}

// An order whose whole sale is lost belongs to no sale: it is named there.
func TestLostRecordOfALostSale(t *testing.T) {
	t.Parallel()
	i := inspecting()
	i.world.Captures = append(i.world.Captures, capture(9))
	i.world.placed[id(9)] = 77 // a ledger of no sale
	i.world.Fates = map[domain.OrderID]domain.SeatFate{id(9): domain.SeatsSold}
	if _, err := i.run(t); err != nil || len(i.heard) > 0 {
		t.Errorf("%v, brought %q", err, i.heard)
	}
	lone, err := RunLone(t.Context(), i.world.sources(), []*domain.Sale{i.world.Sale}, options())
	if err != nil {
		t.Fatal(err)
	}
	if len(lone.Lost) != 1 || lone.Lost[0].Order != id(9) || lone.SaleID != "" {
		t.Errorf("lost %+v:\n%s", lone.Lost, text(t, &lone))
	}
}

func TestWithoutTheFatesNothingIsJudged(t *testing.T) {
	t.Parallel()
	i := inspecting()
	forget(i.world.Snapshot, 2)
	i.world.err["fates"] = &domain.UnknownError{Op: "look up"}
	got, err := i.run(t)
	if err != nil || len(i.heard) > 0 || got.Unread[string(SourceLedger)] == 0 {
		t.Errorf("%+v, %v, brought %q", got, err, i.heard)
	}
}

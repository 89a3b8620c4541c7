package e2e

import (
	"reflect"
	"strings"
	"testing"

	"boxoffice/client"
)

// Bought and refunded: the view of the sale is what the ledger and the orders say, a replay of
// the log proves it, and one that finds a difference names it.
func testFigures(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	var orders []order
	for range 3 {
		o := s.hold(t, sale, items{"A": 2})
		s.pay(t, o, "succeeded")
		s.awaitStatus(t, o, "paid")
		orders = append(orders, o)
	}
	s.refund(t, orders[0])
	s.awaitStatus(t, orders[0], "refunded")
	price := orders[0].Amount / 2

	var figures client.FiguresView
	eventually(t, "the view has read everything of the sale", func() bool {
		var err error
		figures, err = s.boxOffice().GetFigures(t.Context(), sale, client.GetFiguresParams{})
		if err != nil {
			t.Fatal(err)
		}
		return len(figures.Takings) == 1 && figures.Takings[0].Orders == 3 && figures.Takings[0].RefundedOrders == 1
	})
	if want := (client.TakingsView{
		Currency: orders[0].Currency, Orders: 3, GrossMinor: 6 * price, RefundedOrders: 1, RefundedMinor: 2 * price, NetMinor: 4 * price,
	}); figures.Takings[0] != want {
		t.Fatalf("figures.Takings[0] is %+v, want %+v", figures.Takings[0], want)
	}
	if want := (client.ClassFiguresView{Class: "A", Sold: 6, Voided: 2, GrossMinor: 6 * price}); figures.Classes[0] != want {
		t.Fatalf("figures.Classes[0] is %+v, want %+v", figures.Classes[0], want)
	}
	s.awaitStock(t, sale, "A", level{Sold: 4, Available: 6}) // the ledger's
	if len(figures.Refunds) != 1 {
		t.Fatalf("%d in figures.Refunds, want 1: %+v", len(figures.Refunds), figures.Refunds)
	}
	if want := (client.RefundsView{
		Reason: "organiser", HadTickets: true, Currency: orders[0].Currency, Begun: 1, Refunded: 1, RefundedMinor: 2 * price,
	}); figures.Refunds[0] != want {
		t.Fatalf("figures.Refunds[0] is %+v, want %+v", figures.Refunds[0], want)
	}
	tickets := int64(0)
	for _, step := range figures.Steps {
		tickets += step.Tickets
	}
	if tickets != int64(6) {
		t.Fatalf("tickets is %v, want int64(6)", tickets)
	}

	if got := s.exits(t, 0, "replay"); !strings.Contains(got, "equal\n") {
		t.Fatalf("no %q in %s", "equal\n", got)
	}
	if got := s.exits(t, 0, "replay", "order", orders[0].Order); !strings.Contains(got, "refunded (organiser)") {
		t.Fatalf("no %q in %s", "refunded (organiser)", got)
	}
	if got := s.exits(t, 0, "replay", "sale", sale); !strings.Contains(got, "sale created") {
		t.Fatalf("no %q in %s", "sale created", got)
	}
	s.sql(t, `UPDATE sale_figures SET n = n + 1 WHERE sale_id = $1 AND figure = 'paid'`, sale)
	if got := s.exits(t, 1, "replay"); !strings.Contains(got, ("  " + sale + " paid " + orders[0].Currency + ": the view has 4 (")) {
		t.Fatalf("no %q in %s", ("  " + sale + " paid " + orders[0].Currency + ": the view has 4 ("), got)
	}
	s.exits(t, 0, "replay", "--mend")
	if got := s.exits(t, 0, "replay"); !strings.Contains(got, "equal\n") {
		t.Fatalf("no %q in %s", "equal\n", got)
	}

	// Whoever watches the log has every event of it once.
	var types []string
	for event, err := range s.boxOffice().WatchEvents(t.Context(), client.EventsFrom{Sale: sale, Types: []string{"order.paid", "order.refund_begun", "order.refunded"}}) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, event.Type)
		if len(types) == 5 {
			break
		}
	}
	if want := []string{"order.paid", "order.paid", "order.paid", "order.refund_begun", "order.refunded"}; !reflect.DeepEqual(types, want) {
		t.Fatalf("types is %q, want %q", types, want)
	}
}

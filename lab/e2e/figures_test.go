package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

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
		require.NoError(t, err)
		return len(figures.Takings) == 1 && figures.Takings[0].Orders == 3 && figures.Takings[0].RefundedOrders == 1
	})
	require.Equal(t, client.TakingsView{
		Currency: orders[0].Currency, Orders: 3, GrossMinor: 6 * price, RefundedOrders: 1, RefundedMinor: 2 * price, NetMinor: 4 * price,
	}, figures.Takings[0])
	require.Equal(t, client.ClassFiguresView{Class: "A", Sold: 6, Voided: 2, GrossMinor: 6 * price}, figures.Classes[0])
	s.awaitStock(t, sale, "A", level{Sold: 4, Available: 6}) // the ledger's
	require.Len(t, figures.Refunds, 1)
	require.Equal(t, client.RefundsView{
		Reason: "organiser", HadTickets: true, Currency: orders[0].Currency, Begun: 1, Refunded: 1, RefundedMinor: 2 * price,
	}, figures.Refunds[0])
	tickets := int64(0)
	for _, step := range figures.Steps {
		tickets += step.Tickets
	}
	require.Equal(t, int64(6), tickets)

	require.Contains(t, s.exits(t, 0, "replay"), "equal\n")
	require.Contains(t, s.exits(t, 0, "replay", "order", orders[0].Order), "refunded (organiser)")
	require.Contains(t, s.exits(t, 0, "replay", "sale", sale), "sale created")
	s.sql(t, `UPDATE sale_figures SET n = n + 1 WHERE sale_id = $1 AND figure = 'paid'`, sale)
	require.Contains(t, s.exits(t, 1, "replay"), "  "+sale+" paid "+orders[0].Currency+": the view has 4 (")
	s.exits(t, 0, "replay", "--mend")
	require.Contains(t, s.exits(t, 0, "replay"), "equal\n")

	// Whoever watches the log has every event of it once.
	var types []string
	for event, err := range s.boxOffice().WatchEvents(t.Context(), client.EventsFrom{Sale: sale, Types: []string{"order.paid", "order.refund_begun", "order.refunded"}}) {
		require.NoError(t, err)
		types = append(types, event.Type)
		if len(types) == 5 {
			break
		}
	}
	require.Equal(t, []string{"order.paid", "order.paid", "order.paid", "order.refund_begun", "order.refunded"}, types)
}

package restore_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
	"boxoffice/restore"
)

// records are the real database, with the tickets' codes.
type records struct {
	*orders.Store
	keys *domain.Keyring
}

func (r records) Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	return r.Store.Record(ctx, sold, func(n int) string { return r.keys.TicketCode(sold.Order.ID, n) })
}

func (r records) BeginRefund(ctx context.Context, refund domain.Refund) error {
	_, err := r.Store.BeginRefund(ctx, refund)
	return err
}

// memory is Temporal.
type memory map[domain.OrderID]domain.RememberedOrder

func (m memory) Remember(_ context.Context, id domain.OrderID, _ []string) (domain.RememberedOrder, error) {
	return m[id], nil
}

func (memory) RefundFor(context.Context, domain.OrderID, domain.RefundReason) (domain.OrderStatus, error) {
	return "", &domain.Error{Code: domain.CodeInternal, Detail: "no money moves here"}
}

// On the real database and a real ledger: what was recorded before all rows went is
// what is restored, but for what nobody knows any more.
func TestRestoreOfWhatWasRecorded(t *testing.T) {
	ctx, url := t.Context(), orderstest.URL(t)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	require.NoError(t, err)
	store := records{orderstest.Open(t, url), keys}
	sale, err := store.CreateSale(ctx, &domain.Sale{
		ID: "conf", Name: "Conference", Currency: "EUR", BuyerLimit: 6, HoldTimeout: time.Minute,
		Classes: []domain.Class{{Name: "VIP", PriceMinor: 6500, Capacity: 10}, {Name: "early", PriceMinor: 3500, Capacity: 10}},
		Perk:    &domain.Perk{Name: "T-shirt", Capacity: 1},
	})
	require.NoError(t, err)
	require.NoError(t, store.MarkSaleOpen(ctx, sale.ID))
	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer engine.Close()
	batcher := ledger.NewBatcher(engine)
	defer batcher.Close()
	book := ledger.NewBook(batcher)
	require.NoError(t, book.OpenSale(ctx, sale))

	remembered := make(memory)
	found := &audit.Report{SaleID: sale.ID}
	before := make(map[domain.OrderID]domain.SoldOrder)
	paidAt := time.Now().UTC().Truncate(time.Microsecond)
	sell := func(name string, booking domain.Booking, forgotten bool) (domain.SoldOrder, *audit.Lost) {
		o, err := domain.NewOrder(sale, keys, "0123456789-"+name, []domain.Item{{Class: "early", Quantity: 1}, {Class: "VIP", Quantity: 2}}, name+"@example.com")
		require.NoError(t, err)
		if booking == domain.BookedByHold {
			_, err = book.Hold(ctx, &o)
			require.NoError(t, err)
			_, err = book.Post(ctx, &o)
		} else {
			_, err = book.Rebook(ctx, &o)
		}
		require.NoError(t, err)
		perk, err := book.TakePerk(ctx, &o)
		require.NoError(t, err)
		capture := domain.Capture{Payment: "pay_" + name, Session: "ps_" + o.ID.String(), Order: o.ID, AmountMinor: o.AmountMinor, Currency: o.Currency, CapturedAt: paidAt}
		sold, err := store.Record(ctx, domain.Sold{Order: o, Capture: capture, Booking: booking, PerkTaken: perk, PaidAt: paidAt})
		require.NoError(t, err)
		found.Lost = append(found.Lost, audit.Lost{Order: o.ID, Captures: []domain.Capture{capture}})
		if !forgotten {
			remembered[o.ID] = domain.RememberedOrder{Order: &o, Payment: capture.Payment, PaidAt: paidAt}
		}
		return sold, &found.Lost[len(found.Lost)-1]
	}
	sell("ann", domain.BookedByHold, false) // has the perk
	sell("bob", domain.BookedByRebook, false)
	forgotten, _ := sell("cyd", domain.BookedByHold, true)
	refunded, lost := sell("dee", domain.BookedByHold, false)
	_, err = store.BeginOrderRefund(ctx, refunded.ID, domain.RefundByOrganiser, paidAt)
	require.NoError(t, err)
	require.NoError(t, book.Return(ctx, &refunded))
	require.NoError(t, store.FinishRefund(ctx, refunded.Capture.Payment, paidAt))
	lost.Returned = []audit.Returned{{Payment: "pay_dee", AmountMinor: refunded.AmountMinor, Currency: "EUR", Reason: domain.RefundByOrganiser, At: paidAt}}
	all, err := store.FindOrders(ctx, domain.OrderFilter{SaleID: sale.ID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, all, 4)
	for _, o := range all {
		before[o.ID] = o
	}

	require.NoError(t, orderstest.Exec(ctx, url, `TRUNCATE outbox, refunds, tickets, order_lines, orders, payments`))
	restorer := &restore.Restorer{Ledger: book, Orders: store, Checkouts: remembered}
	for range 2 { // it may be repeated
		report := restorer.Restore(ctx, sale, found, true)
		require.Equal(t, map[restore.Outcome]int{restore.Restored: 4}, report.Counts, "%+v", report.Items)
	}

	after, err := store.FindOrders(ctx, domain.OrderFilter{SaleID: sale.ID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, after, 4)
	for _, got := range after {
		want := before[got.ID]
		if got.ID == forgotten.ID {
			want.Email, want.PaidAt = "", got.PaidAt // the ledger's time
			require.WithinDuration(t, paidAt, got.PaidAt, time.Minute)
		}
		require.Equal(t, want, got)
	}
	counts, err := store.EventCounts(ctx, sale.ID)
	require.NoError(t, err)
	for _, c := range counts {
		require.Equal(t, c.Rows, c.Events, c.Event)
		require.Empty(t, c.Lone)
	}
	require.NoError(t, book.Return(ctx, &forgotten), "a restored order can be refunded")
}

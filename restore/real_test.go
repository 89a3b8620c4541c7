package restore_test

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"time"

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

// On the real database and a real ledger: what was recorded before all rows were lost is
// what is restored, except what no source knows any longer.
func TestRestoreOfWhatWasRecorded(t *testing.T) {
	ctx, url := t.Context(), orderstest.URL(t)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	store := records{orderstest.Open(t, url), keys}
	sale, err := store.CreateSale(ctx, &domain.Sale{
		ID: "conf", Name: "Conference", Currency: "EUR", BuyerLimit: 6, HoldTimeout: time.Minute,
		Classes: []domain.Class{{Name: "VIP", PriceMinor: 6500, Capacity: 10}, {Name: "early", PriceMinor: 3500, Capacity: 10}},
		Perk:    &domain.Perk{Name: "T-shirt", Capacity: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.MarkSaleOpen(ctx, sale.ID); err != nil {
		t.Fatal(err)
	}
	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	batcher := ledger.NewBatcher(engine)
	defer batcher.Close()
	book := ledger.NewBook(batcher)
	if err := book.OpenSale(ctx, sale); err != nil {
		t.Fatal(err)
	}

	remembered := make(memory)
	found := &audit.Report{SaleID: sale.ID}
	before := make(map[domain.OrderID]domain.SoldOrder)
	paidAt := time.Now().UTC().Truncate(time.Microsecond)
	sell := func(name string, booking domain.Booking, forgotten bool) (domain.SoldOrder, *audit.Lost) {
		o, err := domain.NewOrder(sale, keys, "0123456789-"+name, []domain.Item{{Class: "early", Quantity: 1}, {Class: "VIP", Quantity: 2}}, name+"@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if booking == domain.BookedByHold {
			_, err = book.Hold(ctx, &o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = book.Post(ctx, &o)
		} else {
			_, err = book.Rebook(ctx, &o)
		}
		if err != nil {
			t.Fatal(err)
		}
		perk, err := book.TakePerk(ctx, &o)
		if err != nil {
			t.Fatal(err)
		}
		capture := domain.Capture{Payment: "pay_" + name, Session: "ps_" + o.ID.String(), Order: o.ID, AmountMinor: o.AmountMinor, Currency: o.Currency, CapturedAt: paidAt}
		sold, err := store.Record(ctx, domain.Sold{Order: o, Capture: capture, Booking: booking, PerkTaken: perk, PaidAt: paidAt})
		if err != nil {
			t.Fatal(err)
		}
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
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Return(ctx, &refunded); err != nil {
		t.Fatal(err)
	}
	if err := store.FinishRefund(ctx, refunded.Capture.Payment, paidAt); err != nil {
		t.Fatal(err)
	}
	lost.Returned = []audit.Returned{{Payment: "pay_dee", AmountMinor: refunded.AmountMinor, Currency: "EUR", Reason: domain.RefundByOrganiser, At: paidAt}}
	all, err := store.FindOrders(ctx, domain.OrderFilter{SaleID: sale.ID, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 4 {
		t.Fatalf("%d in all, want 4: %+v", len(all), all)
	}
	for _, o := range all {
		before[o.ID] = o
	}

	if err := orderstest.Exec(ctx, url, `TRUNCATE outbox, refunds, tickets, order_lines, orders, payments`); err != nil {
		t.Fatal(err)
	}
	restorer := &restore.Restorer{Ledger: book, Orders: store, Checkouts: remembered}
	for range 2 { // it may be repeated
		report := restorer.Restore(ctx, sale, found, true)
		if want := map[restore.Outcome]int{restore.Restored: 4}; !reflect.DeepEqual(report.Counts, want) {
			t.Fatalf("report.Counts is %v, want %v: %+v", report.Counts, want, report.Items)
		}
	}

	after, err := store.FindOrders(ctx, domain.OrderFilter{SaleID: sale.ID, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != 4 {
		t.Fatalf("%d in after, want 4: %+v", len(after), after)
	}
	for _, got := range after {
		want := before[got.ID]
		if got.ID == forgotten.ID {
			want.Email, want.PaidAt = "", got.PaidAt // the ledger's time
			if got.PaidAt.Sub(paidAt).Abs() > time.Minute {
				t.Fatalf("got.PaidAt is %v, want %v, give or take %v", got.PaidAt, paidAt, time.Minute)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	counts, err := store.EventCounts(ctx, sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		if c.Events != c.Rows {
			t.Fatalf("c.Events is %v, want %v: %v", c.Events, c.Rows, c.Event)
		}
		if len(c.Lone) != 0 {
			t.Fatalf("c.Lone is %q, want nothing", c.Lone)
		}
	}
	if err := book.Return(ctx, &forgotten); err != nil {
		t.Fatalf("a restored order can be refunded: %v", err)
	}
}

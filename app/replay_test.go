package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// soldAndRefunded is a database with a sale and two orders, one of them refunded, whose
// events the view has taken in.
func soldAndRefunded(t *testing.T) (store *orders.Store, url string, order domain.OrderID) {
	t.Helper()
	ctx := t.Context()
	url = orderstest.URL(t)
	store = orderstest.Open(t, url)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	must(err)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sale, err := store.CreateSale(ctx, &domain.Sale{
		ID: "rock", Name: "Rock", Currency: "EUR", Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 100}},
		BuyerLimit: 6, HoldTimeout: 5 * time.Minute, CreatedAt: at, Provider: domain.DefaultProvider,
	})
	must(err)
	must(store.MarkSaleOpen(ctx, sale.ID))
	for _, key := range []string{"buyer-0001-0123456789", "buyer-0002-0123456789"} {
		o, err := domain.NewOrder(sale, keys, key, []domain.Item{{Class: "A", Quantity: 2}}, "somebody@example.com")
		must(err)
		_, err = store.Record(ctx, domain.Sold{
			Order: o, Booking: domain.BookedByHold, PaidAt: at,
			Capture: domain.Capture{Payment: "pay_" + key, Session: "ps", Order: o.ID, AmountMinor: o.AmountMinor, Currency: "EUR", CapturedAt: at},
		}, func(n int) string { return keys.TicketCode(o.ID, n) })
		must(err)
		order = o.ID
	}
	_, err = store.BeginOrderRefund(ctx, order, domain.RefundByOrganiser, at)
	must(err)
	must(store.FinishRefund(ctx, "pay_buyer-0002-0123456789", at))
	waitFor(t, "the events", func() bool {
		events, err := store.EventsAfter(ctx, domain.EventCursor{}, 100)
		must(err)
		if len(events) != 5 {
			return false
		}
		must(store.AddFigures(ctx, events))
		return true
	})
	return store, url, order
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for retry := time.NewTicker(10 * time.Millisecond); !done(); {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatal("not within half a minute: " + what)
		}
	}
}

func TestReplayProvesTheViewOrNamesWhatDiffers(t *testing.T) {
	store, url, _ := soldAndRefunded(t)
	run := func(mend bool) (string, error) {
		var out strings.Builder
		err := replayViews(t.Context(), &out, store, mend)
		return out.String(), err
	}
	if out, err := run(false); err != nil || !strings.Contains(out, "figures: 4 events of the log, from ") || !strings.HasSuffix(out, "0 differ\nequal\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := orderstest.Exec(t.Context(), url, `UPDATE sale_figures SET n = 5 WHERE figure = 'sold'`); err != nil {
		t.Fatal(err)
	}
	const named = "rock sold A EUR at 2026-03-01T12:00Z: the view has 5 (260.00 EUR), the log says 4 (260.00 EUR)\n"
	out, err := run(false)
	if err == nil || exitCode(err) != 1 || !strings.Contains(out, named) {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := run(true); err != nil || !strings.Contains(out, named) {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := run(false); err != nil || !strings.HasSuffix(out, "equal\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := replayViews(ended, &strings.Builder{}, store, false); exitCode(err) != exitBlind {
		t.Errorf("%v: want that it could not look", err)
	}
}

func TestReplayTellsStories(t *testing.T) {
	store, url, order := soldAndRefunded(t)
	has := func(out string, wanted ...string) {
		t.Helper()
		rest := out
		for _, want := range wanted { // in this order
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Fatalf("no %q where it belongs in\n%s", want, out)
			}
			rest = after
		}
		if strings.Contains(out, "example.com") {
			t.Errorf("it tells of the buyer:\n%s", out)
		}
	}
	tell := func(tell func(*strings.Builder) error) string {
		t.Helper()
		var out strings.Builder
		if err := tell(&out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	ofOrder := func(out *strings.Builder) error { return tellOrder(t.Context(), out, store, order) }
	has(tell(ofOrder), "paid: 2 A for 130.00 EUR, payment pay_buyer-0002", "refund begun (organiser)", "refunded (organiser)", "The log cannot know: when the tickets were held")
	has(tell(func(out *strings.Builder) error { return tellSale(t.Context(), out, store, "rock", false) }),
		`sale created: "Rock", 100 A at 65.00 EUR`, "up to here 2 × order.paid, 260.00 EUR", "1 × order.refund_begun, 130.00 EUR", "The log cannot know: holds")
	has(tell(func(out *strings.Builder) error { return tellSale(t.Context(), out, store, "rock", true) }),
		"sale created", "paid: 2 A", "order "+order.String(), "refunded")
	for _, err := range []error{
		tellOrder(t.Context(), &strings.Builder{}, store, domain.OrderID{1}), tellSale(t.Context(), &strings.Builder{}, store, "opera", false),
	} {
		if !errors.Is(err, errNoStory) || exitCode(err) != 1 {
			t.Errorf("%v", err)
		}
	}

	// The log drops its beginning.
	for _, sql := range []string{`UPDATE outbox SET created_at = created_at - interval '200 days' WHERE event = 'sale.created'`} {
		if err := orderstest.Exec(t.Context(), url, sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.DropEvents(t.Context(), 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	has(tell(ofOrder), "paid: 2 A", "The log does not begin at the beginning")
	var out strings.Builder
	if err := replayViews(t.Context(), &out, store, false); err != nil || !strings.Contains(out.String(), "it begins after ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestReplayTakesOnlyWhatItKnows(t *testing.T) {
	for _, args := range [][]string{{"order"}, {"order", "x"}, {"sale", "No Sale"}, {"tickets", "1"}, {"sale", "rock", "--orders"}} {
		if err := replay(t.Context(), args); exitCode(err) != 2 {
			t.Errorf("%q: %v", args, err)
		}
	}
}

package figures_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/notify/figures"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// A flaky store fails before or after it has added.
type flaky struct {
	*orders.Store
	mu     sync.Mutex
	random *rand.Rand
	failed int
}

func (f *flaky) AddFigures(ctx context.Context, events []domain.Event) error {
	f.mu.Lock()
	fate := f.random.IntN(3)
	if fate != 0 {
		f.failed++
	}
	f.mu.Unlock()
	if fate == 1 {
		return errors.New("away")
	}
	err := f.Store.AddFigures(ctx, events)
	if fate == 2 {
		return &domain.UnknownError{Op: "add", ID: "figures", Err: errors.New("the answer was lost")}
	}
	return err
}

// Whatever fails, and whichever node dies, before or after it has added: the figures are what
// is on record.
func TestFiguresSurviveWhateverFails(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ctx, url := t.Context(), orderstest.URL(t)
	store := orderstest.Open(t, url)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sale, err := store.CreateSale(ctx, &domain.Sale{
		ID: "rock", Name: "Rock", Currency: "EUR", Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 100}},
		BuyerLimit: 6, HoldTimeout: 5 * time.Minute, CreatedAt: now, Provider: domain.DefaultProvider,
	})
	if err == nil {
		err = store.MarkSaleOpen(ctx, sale.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	unsteady := &flaky{Store: store.Readers(), random: rand.New(rand.NewPCG(seed, 0))}
	start := func() (stop func()) {
		r, err := notify.New(unsteady, []notify.Reader{figures.NewReader(unsteady)}, notify.Options{
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Lease: 2 * time.Second, PollMin: 5 * time.Millisecond, PollMax: 20 * time.Millisecond,
			RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		return r.Start()
	}
	const sold = 40
	for n := range sold {
		stop := func() {}
		if n%10 == 0 {
			stop = start()
		}
		key := fmt.Sprintf("buyer-%04d-0123456789", n)
		order, err := domain.NewOrder(sale, keys, key, []domain.Item{{Class: "A", Quantity: 1}}, "a@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Record(ctx, domain.Sold{
			Order: order, Booking: domain.BookedByHold, PaidAt: now.Add(time.Duration(n) * 13 * time.Second),
			Capture: domain.Capture{Payment: "pay_" + key, Session: "ps", Order: order.ID, AmountMinor: order.AmountMinor, Currency: "EUR", CapturedAt: now},
		}, func(n int) string { return keys.TicketCode(order.ID, n) }); err != nil {
			t.Fatal(err)
		}
		stop()
	}
	stop := start()
	defer stop()
	deadline := time.After(time.Minute)
	for {
		check, err := store.CheckFigures(ctx, sale.ID)
		if err != nil {
			t.Fatal(err)
		}
		if check.Unread == 0 {
			if check.Different != 0 || check.Rows < 2 {
				t.Fatalf("%+v", check)
			}
			break
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%+v after a minute", check)
		}
	}
	if unsteady.failed == 0 {
		t.Error("nothing failed: the test shows nothing")
	}
	for _, state := range must(store.ReaderStates(ctx))(t) {
		if state.SetAside != 0 {
			t.Errorf("%+v: what failed was no fault of an event", state)
		}
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

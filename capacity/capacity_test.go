package capacity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"boxoffice/capacity"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// A box is a sale of ten tickets on a real database and a real ledger.
type box struct {
	t     *testing.T
	url   string
	store *orders.Store
	book  *ledger.Book
	sale  *domain.Sale
	keys  *domain.Keyring
	*capacity.Changes
}

func setup(t *testing.T) *box {
	t.Helper()
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	batcher := ledger.NewBatcher(engine)
	t.Cleanup(func() { _ = batcher.Close() })
	url := orderstest.URL(t)
	b := &box{t: t, url: url, store: orderstest.Open(t, url), book: ledger.NewBook(batcher), keys: keys}
	b.sale, err = b.store.CreateSale(t.Context(), &domain.Sale{
		ID: "conf", Name: "Conference", Currency: "EUR", BuyerLimit: 6, HoldTimeout: time.Minute,
		Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 10}, {Name: "B", PriceMinor: 3500, Capacity: 10}},
	})
	if err == nil {
		err = b.book.OpenSale(t.Context(), b.sale)
	}
	if err == nil {
		err = b.store.MarkSaleOpen(t.Context(), b.sale.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Changes = &capacity.Changes{Store: b.store, Ledger: b.book}
	return b
}

func (b *box) hold(buyer string, quantity int64) *domain.Order {
	b.t.Helper()
	o, err := domain.NewOrder(b.sale, b.keys, "0123456789-"+buyer, []domain.Item{{Class: "A", Quantity: quantity}}, buyer+"@example.com")
	if err != nil {
		b.t.Fatal(err)
	}
	if hold, err := b.book.Hold(b.t.Context(), &o); err != nil || hold.Outcome != domain.HoldHeld {
		b.t.Fatalf("hold: %+v, %v", hold, err)
	}
	return &o
}

func (b *box) change(key string, to int64) domain.Code {
	b.t.Helper()
	c, err := b.Change(b.t.Context(), b.sale.ID, "A", key, to)
	if err == nil && (c.After != to || c.Outcome != domain.CapacityChanged || c.SettledAt.IsZero()) {
		b.t.Errorf("changed to %d: %+v", to, c)
	}
	if err == nil {
		return ""
	}
	return domain.CodeOf(err)
}

// has checks that database and ledger agree about class A.
func (b *box) has(want int64) {
	b.t.Helper()
	sale, err := b.store.Sale(b.t.Context(), b.sale.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	booked, err := b.book.BookedCapacity(b.t.Context(), b.sale.Classes[0].Ledger)
	if err != nil {
		b.t.Fatal(err)
	}
	recorded, err := b.store.RecordedCapacities(b.t.Context(), b.sale.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	if sale.Classes[0].Capacity != want || booked.Now() != want || recorded[0].Capacity != want || recorded[0].Open != nil {
		b.t.Errorf("the sale has %d, the ledger %+v, the record %+v, want %d", sale.Classes[0].Capacity, booked, recorded[0], want)
	}
}

func want(t *testing.T, what string, got, want domain.Code) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestWhatAChangeAnswers(t *testing.T) {
	b := setup(t)
	held := b.hold("ann", 4)
	want(t, "raise", b.change("key-1", 15), "")
	want(t, "the same again", b.change("key-1", 15), "")
	b.has(15)
	want(t, "the same number under another key", b.change("key-2", 15), "")
	want(t, "another number under a used key", b.change("key-1", 16), domain.CodeKeyReused)
	want(t, "below what is held", b.change("key-3", 3), domain.CodeCapacityInUse)
	b.has(15)
	want(t, "to what is held", b.change("key-4", 4), "")
	b.has(4)
	if _, err := b.book.Void(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	want(t, "a refused key, once there is room", b.change("key-3", 3), domain.CodeCapacityInUse)
	want(t, "a new key", b.change("key-5", 3), "")
	b.has(3)
	want(t, "no tickets", b.change("key-6", 0), domain.CodeInvalid)
	want(t, "too many", b.change("key-6", domain.CapacityMax+1), domain.CodeInvalid)
	if _, err := b.Change(t.Context(), b.sale.ID, "Z", "key-6", 3); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("no such class: %v", err)
	}
	if _, err := b.Change(t.Context(), b.sale.ID, "B", "key-5", 3); domain.CodeOf(err) != domain.CodeKeyReused {
		t.Errorf("a used key for another class: %v", err)
	}
	again, err := b.store.CreateSale(t.Context(), &domain.Sale{
		ID: "conf", Name: "Conference", Currency: "EUR", BuyerLimit: 6, HoldTimeout: time.Minute,
		Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 10}, {Name: "B", PriceMinor: 3500, Capacity: 10}},
	})
	if err != nil || again.Classes[0].Capacity != 3 {
		t.Fatalf("the request that created the sale, again: %+v, %v", again, err)
	}
	if err := b.book.OpenSale(t.Context(), again); err != nil {
		t.Error(err)
	}
	if _, err := b.store.BeginCancellation(t.Context(), b.sale.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	want(t, "a canceled sale", b.change("key-7", 5), domain.CodeSaleCanceled)
}

// A crashing breaks off before or after one of its steps, once.
type crashing struct {
	*orders.Store
	*ledger.Book
	at string
}

var errCrash = errors.New("the process died here")

func (c *crashing) dies(at string) bool {
	if c.at != at {
		return false
	}
	c.at = ""
	return true
}

func (c *crashing) BeginCapacityChange(
	ctx context.Context,
	wanted domain.CapacityChange,
	booked func(ctx context.Context, ledger uint32) (domain.BookedCapacity, error),
) (domain.CapacityChange, error) {
	begun, err := c.Store.BeginCapacityChange(ctx, wanted, booked)
	if c.dies("noted") {
		return begun, errCrash
	}
	return begun, err
}

func (c *crashing) ChangeCapacity(ctx context.Context, change *domain.CapacityChange) (bool, error) {
	done, err := c.Book.ChangeCapacity(ctx, change)
	if c.dies("booked") {
		return false, &domain.UnknownError{Op: "change", ID: change.ID.String(), Err: errCrash}
	}
	return done, err
}

func (c *crashing) SettleCapacityChange(ctx context.Context, id domain.CapacityChangeID, outcome domain.CapacityOutcome, at time.Time) (domain.CapacityChange, error) {
	settled, err := c.Store.SettleCapacityChange(ctx, id, outcome, at)
	if c.dies("settled") {
		return settled, errCrash
	}
	return settled, err
}

// Wherever a change breaks off, whoever comes next finishes it, once.
func TestAChangeThatBrokeOffIsFinished(t *testing.T) {
	for _, at := range []string{"noted", "booked", "settled"} {
		for name, next := range map[string]struct {
			do   func(b *box)
			want int64
		}{
			"by repeating it":    {func(b *box) { want(b.t, "repeated", b.change("key-1", 14), "") }, 14},
			"by the next change": {func(b *box) { want(b.t, "the next", b.change("key-2", 12), "") }, 12},
			"by the upkeep": {func(b *box) {
				b.Now = func() time.Time { return time.Now().Add(time.Minute) }
				if err := b.SettleOpen(b.t.Context(), ""); err != nil {
					b.t.Error(err)
				}
			}, 14},
		} {
			t.Run(fmt.Sprintf("%s, %s", at, name), func(t *testing.T) {
				b := setup(t)
				breaks := &crashing{Store: b.store, Book: b.book, at: at}
				b.Changes = &capacity.Changes{Store: breaks, Ledger: breaks}
				if _, err := b.Change(t.Context(), b.sale.ID, "A", "key-1", 14); err == nil {
					t.Fatal("it did not break off")
				}
				next.do(b)
				b.has(next.want)
				want(t, "the first one, once more", b.change("key-1", 14), "")
				b.has(next.want)
			})
		}
	}
}

// The last drain of a canceled sale takes what a change adds that had begun before.
func TestACancellationFinishesChangesFirst(t *testing.T) {
	for _, at := range []string{"noted", "booked"} {
		t.Run(at, func(t *testing.T) {
			b := setup(t)
			breaks := &crashing{Store: b.store, Book: b.book, at: at}
			b.Changes = &capacity.Changes{Store: breaks, Ledger: breaks}
			if _, err := b.Change(t.Context(), b.sale.ID, "A", "key-1", 14); err == nil {
				t.Fatal("it did not break off")
			}
			if _, err := b.store.BeginCancellation(t.Context(), b.sale.ID, time.Now()); err != nil {
				t.Fatal(err)
			}
			levels, err := capacity.Drain{Changes: b.Changes, Drainer: b.book}.Drain(t.Context(), b.sale)
			if err != nil || levels[0].Available != 0 {
				t.Errorf("%+v, %v", levels, err)
			}
			b.has(14)
		})
	}
}

// Many change the same class at once, and others hold: each is counted from what the one
// before left.
func TestManyChangeAtOnce(t *testing.T) {
	b := setup(t)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			for { // as a client repeats a request
				_, err := b.Change(t.Context(), b.sale.ID, "A", fmt.Sprint("key-", i), 20+int64(i))
				if err == nil {
					return
				}
				if domain.CodeOf(err) != domain.CodeInFlight || t.Context().Err() != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	sale, err := b.store.Sale(t.Context(), b.sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := sale.Classes[0].Capacity; got < 20 || got > 25 {
		t.Errorf("capacity %d", got)
	}
	b.has(sale.Classes[0].Capacity)
}

// The database was put back to before a change. The ledger leads: the next change and
// restore-orders record what it says.
func TestAChangeThatTheDatabaseLost(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(b *box)
		want int64
	}{
		"the next change counts from the ledger": {func(b *box) { want(b.t, "raise", b.change("key-3", 13), "") }, 13},
		"the lost one again":                     {func(b *box) { want(b.t, "again", b.change("key-2", 12), "") }, 12},
		"another of its key": {func(b *box) {
			want(b.t, "a used key", b.change("key-1", 30), domain.CodeKeyReused)
			want(b.t, "and again", b.change("key-1", 30), domain.CodeKeyReused)
			want(b.t, "it keeps nobody up", b.change("key-4", 30), "")
		}, 30},
		"restored": {func(b *box) {
			for range 2 {
				if err := b.store.RestoreCapacity(b.t.Context(), b.sale.ID, "A", b.book.BookedCapacity); err != nil {
					b.t.Error(err)
				}
			}
		}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			want(t, "raise", b.change("key-1", 14), "")
			want(t, "lower", b.change("key-2", 12), "")
			for _, sql := range []string{`DELETE FROM capacity_changes`, `UPDATE sale_stocks SET capacity = 10 WHERE kind = 'class'`} {
				if err := orderstest.Exec(t.Context(), b.url, sql); err != nil {
					t.Fatal(err)
				}
			}
			test.do(b)
			b.has(test.want)
		})
	}
}

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"go.uber.org/goleak"

	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/tbtest"
)

// A backend is something to keep the books in. All tests share one batcher on
// it, as all goroutines of a process do; each has its own sale.
type backend struct {
	name    string
	batcher func(testing.TB) *ledger.Batcher
}

func backends() []backend {
	if otherBackends != nil {
		return otherBackends
	}
	return []backend{{"tigerbeetle", realBatcher}, {"embedded", embeddedBatcher}}
}

// otherBackends are instead of ours where these tests are compiled with a file more (go help
// build, -overlay), by a ledger kept elsewhere that wants to be held to them. lab/postgres does.
var otherBackends []backend

var realServer = sync.OnceValues(func() (*tbtest.Server, error) {
	dir, err := os.MkdirTemp("", "ledger-test-")
	if err != nil {
		return nil, err
	}
	s, err := tbtest.Start(dir)
	if err != nil {
		return nil, err
	}
	stopAtEnd(func() error { return errors.Join(s.Stop(), os.RemoveAll(dir)) })
	return s, nil
})

// startReal gives the one real server of this test binary, or skips the test.
func startReal(t testing.TB) *tbtest.Server {
	t.Helper()
	tbtest.Need(t)
	s, err := realServer()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dialReal(t testing.TB) tb.Client {
	t.Helper()
	client, err := ledger.Dial(t.Context(), ledger.Config{Addresses: []string{startReal(t).Address}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

var sharedReal struct {
	sync.Mutex
	*ledger.Batcher
}

func realBatcher(t testing.TB) *ledger.Batcher {
	t.Helper()
	sharedReal.Lock()
	defer sharedReal.Unlock()
	if sharedReal.Batcher == nil {
		sharedReal.Batcher = ledger.NewBatcher(dialReal(t), ledger.WithLogger(discard))
		stopAtEnd(sharedReal.Close)
	}
	return sharedReal.Batcher
}

var sharedEmbedded = sync.OnceValues(func() (*ledger.Batcher, error) {
	dir, err := os.MkdirTemp("", "ledger-test-")
	if err != nil {
		return nil, err
	}
	engine, err := embedded.Open(dir, embedded.Options{Logger: discard})
	if err != nil {
		return nil, err
	}
	b := ledger.NewBatcher(engine, ledger.WithLogger(discard))
	stopAtEnd(func() error { return errors.Join(b.Close(), os.RemoveAll(dir)) })
	return b, nil
})

func embeddedBatcher(t testing.TB) *ledger.Batcher {
	t.Helper()
	b, err := sharedEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var atEnd struct {
	sync.Mutex
	stops []func() error
}

func stopAtEnd(stop func() error) {
	atEnd.Lock()
	defer atEnd.Unlock()
	atEnd.stops = append(atEnd.stops, stop)
}

func TestMain(m *testing.M) {
	status := m.Run()
	slices.Reverse(atEnd.stops)
	for _, stop := range atEnd.stops {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	// The Postgres of who adds a backend ends with the binary.
	err := goleak.Find(goleak.IgnoreAnyFunction("os/exec.(*Cmd).writerDescriptor.func1"), goleak.IgnoreAnyFunction("boxoffice/deploy/pgtest.startServer.func1"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left over:", err)
		status = 1
	}
	os.Exit(status)
}

// onEvery runs a test on every backend, each with its own book and sale.
func onEvery(t *testing.T, test func(t *testing.T, b *box)) {
	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			test(t, openBox(t, be))
		})
	}
}

// A box is a small sale and everything to sell it.
type box struct {
	t       testing.TB
	ctx     context.Context
	batcher *ledger.Batcher
	book    *ledger.Book
	sale    *domain.Sale
	keys    *domain.Keyring
	orders  int
}

func openBox(t testing.TB, be backend, options ...ledger.BookOption) *box {
	t.Helper()
	return openBoxOf(t, be, newSale(), options...)
}

func openBoxOf(t testing.TB, be backend, sale *domain.Sale, options ...ledger.BookOption) *box {
	t.Helper()
	batcher := be.batcher(t)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	b := &box{
		t: t, ctx: context.Background(), batcher: batcher, keys: keys,
		book: ledger.NewBook(batcher, options...),
		sale: sale,
	}
	if err := b.book.OpenSale(b.ctx, b.sale); err != nil {
		t.Fatal(err)
	}
	return b
}

var lastLedger atomic.Uint32

// newSale has ten seats of class A, five of class B, two T-shirts, and six
// tickets a buyer.
func newSale() *domain.Sale {
	n := lastLedger.Add(10)
	return &domain.Sale{
		ID: fmt.Sprintf("sale-%d", n), Name: "A sale", Currency: "EUR",
		Classes: []domain.Class{
			{Name: "A", PriceMinor: 6500, Capacity: 10, Ledger: n + 1},
			{Name: "B", PriceMinor: 3500, Capacity: 5, Ledger: n + 2},
		},
		Perk:        &domain.Perk{Name: "T-shirt", Capacity: 2, Ledger: n + 3},
		QuotaLedger: n + 4,
		BuyerLimit:  6,
		HoldTimeout: 2 * time.Minute,
		CreatedAt:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// newSaleOfOneCheckout is a newSale in which a buyer has one open checkout.
func newSaleOfOneCheckout() *domain.Sale {
	s := newSale()
	s.OneCheckoutPerBuyer, s.CheckoutLedger = true, s.QuotaLedger+1
	return s
}

// order is a new order with these numbers of seats of A and B.
func (b *box) order(buyer string, seatsA, seatsB int64) *domain.Order {
	b.t.Helper()
	b.orders++
	var items []domain.Item
	if seatsA > 0 {
		items = append(items, domain.Item{Class: "A", Quantity: seatsA})
	}
	if seatsB > 0 {
		items = append(items, domain.Item{Class: "B", Quantity: seatsB})
	}
	o, err := domain.NewOrder(b.sale, b.keys, fmt.Sprintf("key-%d-%016d", b.orders, b.orders), items, buyer+"@example.com")
	if err != nil {
		b.t.Fatal(err)
	}
	return &o
}

func (b *box) hold(o *domain.Order, want domain.HoldOutcome) domain.Hold {
	b.t.Helper()
	got, err := b.book.Hold(b.ctx, o)
	if err != nil {
		b.t.Fatalf("hold: %v", err)
	}
	if got.Outcome != want {
		b.t.Fatalf("hold = %q, want %q", got.Outcome, want)
	}
	return got
}

func (b *box) post(o *domain.Order, want domain.PostOutcome) {
	b.t.Helper()
	got, err := b.book.Post(b.ctx, o)
	if err != nil || got != want {
		b.t.Fatalf("post = %q, %v, want %q", got, err, want)
	}
}

func (b *box) void(o *domain.Order, want domain.VoidOutcome) {
	b.t.Helper()
	got, err := b.book.Void(b.ctx, o)
	if err != nil || got != want {
		b.t.Fatalf("void = %q, %v, want %q", got, err, want)
	}
}

func (b *box) rebook(o *domain.Order, want domain.RebookOutcome) {
	b.t.Helper()
	got, err := b.book.Rebook(b.ctx, o)
	if err != nil || got != want {
		b.t.Fatalf("rebook = %q, %v, want %q", got, err, want)
	}
}

// unsell takes a sale back as one that the database refuses.
func (b *box) unsell(o *domain.Order, booking domain.Booking) error {
	_, err := b.book.Unsell(b.ctx, o, booking, domain.UnsoldUnrecordable)
	return err
}

func (b *box) perk(o *domain.Order, want bool) {
	b.t.Helper()
	got, err := b.book.TakePerk(b.ctx, o)
	if err != nil || got != want {
		b.t.Fatalf("perk = %v, %v, want %v", got, err, want)
	}
}

// sold is the order as the database would have it.
func sold(o *domain.Order, by domain.Booking) *domain.SoldOrder {
	return &domain.SoldOrder{ID: o.ID, SaleID: o.SaleID, Lines: o.Lines, Code: o.Code, Buyer: o.Buyer, QuotaLedger: o.QuotaLedger, Booking: by}
}

// level is a stock's held, sold and available.
type level struct{ held, sold, available int64 }

// stock checks the levels of A, B and the perk, and that each adds up to its
// capacity.
func (b *box) stock(want ...level) {
	b.t.Helper()
	levels, err := b.book.Stock(b.ctx, b.sale)
	if err != nil {
		b.t.Fatal(err)
	}
	capacities := []int64{b.sale.Classes[0].Capacity, b.sale.Classes[1].Capacity, b.sale.Perk.Capacity}
	names := []string{"A", "B", "T-shirt"}
	if len(levels) != len(capacities) {
		b.t.Fatalf("%d stocks, want %d", len(levels), len(capacities))
	}
	for i, l := range levels {
		if l.Name != names[i] || l.Capacity != capacities[i] || l.Held+l.Sold+l.Available != l.Capacity {
			b.t.Errorf("stock %+v: want %s of %d, which adds up", l, names[i], capacities[i])
		}
		if i < len(want) && (level{l.Held, l.Sold, l.Available}) != want[i] {
			b.t.Errorf("%s: held, sold, available = %d, %d, %d, want %v", l.Name, l.Held, l.Sold, l.Available, want[i])
		}
	}
}

// eventually waits for what the clock must bring about.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // between two looks at a condition
	}
}

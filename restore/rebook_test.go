package restore_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/orders/orderstest"
	"boxoffice/restore"
)

// hands is a clock that a test moves.
type hands struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hands) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(time.Microsecond)
	return h.now
}

func (h *hands) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// books are a ledger in a directory.
type books struct {
	*ledger.Book
	close func()
}

func openBooks(t *testing.T, dir string, clock *hands) books {
	t.Helper()
	engine, err := embedded.Open(dir, embedded.Options{Logger: slog.New(slog.DiscardHandler), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	batcher := ledger.NewBatcher(engine)
	return books{ledger.NewBook(batcher), func() {
		if err := batcher.Close(); err != nil {
			t.Error(err)
		}
		engine.Close()
	}}
}

// A box office on the real database and a real ledger, whose ledger is put back to an
// earlier moment.
type office struct {
	t     *testing.T
	store records
	sale  *domain.Sale
	clock *hands
	dir   string
	book  books
}

func newOffice(t *testing.T, capacity int64) *office {
	t.Helper()
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, store: records{orderstest.Open(t, orderstest.URL(t)), keys}, dir: t.TempDir(), clock: &hands{now: time.Now()}}
	o.sale, err = o.store.CreateSale(t.Context(), &domain.Sale{
		ID: "conf", Name: "Conference", Currency: "EUR", BuyerLimit: 4, HoldTimeout: time.Minute, OneCheckoutPerBuyer: true,
		Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: capacity}},
		Perk:    &domain.Perk{Name: "T-shirt", Capacity: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.store.MarkSaleOpen(t.Context(), o.sale.ID); err != nil {
		t.Fatal(err)
	}
	o.book = openBooks(t, o.dir, o.clock)
	if err := o.book.OpenSale(t.Context(), o.sale); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.book.close() })
	return o
}

// backup copies the closed ledger, and goes on with it.
func (o *office) backup() (dir string) {
	o.t.Helper()
	o.book.close()
	dir = o.t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "ledger"), os.DirFS(o.dir)); err != nil {
		o.t.Fatal(err)
	}
	o.book = openBooks(o.t, o.dir, o.clock)
	return filepath.Join(dir, "ledger")
}

// lose goes on with the ledger in another directory.
func (o *office) lose(dir string) {
	o.t.Helper()
	o.book.close()
	o.dir = dir
	o.book = openBooks(o.t, dir, o.clock)
}

func (o *office) order(name string, quantity int64) *domain.Order {
	o.t.Helper()
	order, err := domain.NewOrder(o.sale, o.store.keys, "0123456789-"+name, []domain.Item{{Class: "A", Quantity: quantity}}, name+"@example.com")
	if err != nil {
		o.t.Fatal(err)
	}
	return &order
}

func (o *office) hold(order *domain.Order) {
	o.t.Helper()
	if hold, err := o.book.Hold(o.t.Context(), order); err != nil || hold.Outcome != domain.HoldHeld {
		o.t.Fatalf("hold: %v, %v", hold.Outcome, err)
	}
}

// sell posts what the order holds, or else books it anew, and records it.
func (o *office) sell(order *domain.Order) domain.SoldOrder {
	o.t.Helper()
	ctx, booking := o.t.Context(), domain.BookedByHold
	posted, err := o.book.Post(ctx, order)
	if err != nil {
		o.t.Fatal(err)
	}
	if posted == domain.PostGone {
		booking = domain.BookedByRebook
		if rebooked, err := o.book.Rebook(ctx, order); err != nil || rebooked != domain.RebookBooked {
			o.t.Fatalf("rebook: %v, %v", rebooked, err)
		}
	}
	perk, err := o.book.TakePerk(ctx, order)
	if err != nil {
		o.t.Fatal(err)
	}
	at := time.Now().UTC()
	capture := domain.Capture{Payment: "pay_" + order.ID.String(), Session: "ps_" + order.ID.String(), Order: order.ID, AmountMinor: order.AmountMinor, Currency: "EUR", CapturedAt: at}
	sold, err := o.store.Record(ctx, domain.Sold{Order: *order, Capture: capture, Booking: booking, PerkTaken: perk, PaidAt: at})
	if err != nil {
		o.t.Fatal(err)
	}
	return sold
}

func (o *office) refund(sold *domain.SoldOrder) {
	o.t.Helper()
	ctx := o.t.Context()
	if _, err := o.store.BeginOrderRefund(ctx, sold.ID, domain.RefundByOrganiser, time.Now()); err != nil {
		o.t.Fatal(err)
	}
	if err := o.book.Return(ctx, sold); err != nil {
		o.t.Fatal(err)
	}
	if err := o.store.FinishRefund(ctx, sold.Capture.Payment, time.Now()); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) change(key string, to int64) {
	o.t.Helper()
	ctx := o.t.Context()
	id := domain.NewCapacityChangeID(o.sale.ID, key)
	c, err := o.store.BeginCapacityChange(ctx, domain.CapacityChange{ID: id, SaleID: o.sale.ID, Class: "A", After: to, AskedAt: time.Now()}, o.book.BookedCapacity)
	if err != nil {
		o.t.Fatal(err)
	}
	if done, err := o.book.ChangeCapacity(ctx, &c); err != nil || !done {
		o.t.Fatalf("change: %v, %v", done, err)
	}
	if _, err := o.store.SettleCapacityChange(ctx, id, domain.CapacityChanged, time.Now()); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) rebook(apply bool, tell func(string, ...any)) *restore.Rebooked {
	o.t.Helper()
	var all []*restore.Rebooked
	r := &restore.Rebooker{Ledger: o.book, Records: o.store, Tell: tell}
	if err := r.All(o.t.Context(), apply, func(done *restore.Rebooked) { all = append(all, done) }); err != nil {
		o.t.Fatal(err)
	}
	if len(all) != 1 {
		o.t.Fatalf("%d sales, want 1", len(all))
	}
	return all[0]
}

// rebookAll is rebook with several sales, by their ids.
func (o *office) rebookAll(apply bool) map[string]*restore.Rebooked {
	o.t.Helper()
	all := make(map[string]*restore.Rebooked)
	r := &restore.Rebooker{Ledger: o.book, Records: o.store}
	if err := r.All(o.t.Context(), apply, func(done *restore.Rebooked) { all[done.SaleID] = done }); err != nil {
		o.t.Fatal(err)
	}
	return all
}

func (o *office) level() domain.StockLevel {
	o.t.Helper()
	levels, err := o.book.Stock(o.t.Context(), o.sale)
	if err != nil {
		o.t.Fatal(err)
	}
	return levels[0]
}

// holdEnds is longer than a hold lives in the ledger.
const holdEnds = time.Minute + domain.HoldGraceDefault + time.Second

// Whatever an order was when the ledger's backup was made, it is afterwards what is on record.
func TestALedgerThatWasPutBackGetsWhatIsOnRecord(t *testing.T) {
	o := newOffice(t, 20)
	before, refundedSince := o.order("before", 1), o.order("refunded-since", 1)
	for _, order := range []*domain.Order{before, refundedSince} {
		o.hold(order)
	}
	soldBefore, soldAndReturned := o.sell(before), o.sell(refundedSince) // the two perks are theirs
	held, heldAndGone := o.order("held", 2), o.order("held-and-gone", 1)
	o.hold(held)
	heldAndVoided := o.order("held-and-voided", 1)
	o.hold(heldAndVoided)

	backup := o.backup()

	soldFromHold := o.sell(held)
	if _, err := o.book.Void(t.Context(), heldAndVoided); err != nil {
		t.Fatal(err)
	}
	soldAnew := o.sell(heldAndVoided) // its payment failed, and then came after all
	o.hold(heldAndGone)
	o.clock.move(holdEnds)
	soldLate := o.sell(heldAndGone)
	since, bothSince := o.order("since", 3), o.order("both-since", 1)
	o.hold(since)
	o.hold(bothSince)
	soldSince, refunded := o.sell(since), o.sell(bothSince)
	o.refund(&soldAndReturned)
	o.refund(&refunded)
	o.change("more", 30)
	o.change("fewer", 25)
	want := o.level()
	o.clock.move(-holdEnds) // so that the hold in the backup has not ended

	o.lose(backup)
	o.clock.move(time.Second)
	plan := o.rebook(false, nil)
	if plan.Posted != 2 || plan.Booked != 2 || plan.Returned != 1 || plan.Perks != 0 || len(plan.Lacking) != 0 {
		t.Errorf("the plan is %+v", plan)
	}
	waits := func(format string, args ...any) { t.Errorf("it waits: "+format, args...) }
	if done := o.rebook(true, waits); done.Posted != 1 || done.Booked != 3 || done.Returned != 1 || done.Recorded != 7 || len(done.Lacking) != 0 {
		t.Errorf("booked again: %+v", done)
	}
	if again := o.rebook(true, nil); again.Missing() {
		t.Errorf("the second time something was missing: %+v", again)
	}

	got := o.level()
	if got.Sold != want.Sold || got.Held != 0 || got.Available != 25-want.Sold {
		t.Errorf("the level is %+v, want %+v", got, want)
	}
	if capacity, err := o.book.BookedCapacity(t.Context(), o.sale.Classes[0].Ledger); err != nil || capacity.Now() != 25 {
		t.Errorf("the capacity is %+v, want 25: %v", capacity, err)
	}
	for _, sold := range []domain.SoldOrder{soldBefore, soldFromHold, soldAnew, soldLate, soldSince} {
		recorded, err := o.store.Order(t.Context(), sold.ID)
		if err != nil {
			t.Fatal(err)
		}
		booked, err := o.book.Booked(t.Context(), sold.ID)
		if err != nil || booked.Fate != domain.SeatsSold || booked.Booking != recorded.Booking || (booked.PerkLedger != 0) != recorded.PerkTaken {
			t.Errorf("the ledger has %+v of %+v: %v", booked, recorded, err)
		}
		if err := o.book.Return(t.Context(), &recorded); err != nil {
			t.Errorf("it can be refunded as any other: %v", err)
		}
	}
}

// A ledger that is new gets all of it, the perks too.
func TestANewLedgerGetsWhatIsOnRecord(t *testing.T) {
	o := newOffice(t, 10)
	var sold []domain.SoldOrder
	for i := range 4 {
		order := o.order(fmt.Sprint("buyer-", i), 2)
		o.hold(order)
		sold = append(sold, o.sell(order))
	}
	o.refund(&sold[3])
	o.lose(t.TempDir())
	if done := o.rebook(true, nil); done.Booked != 3 || done.Perks != 2 || len(done.Lacking) != 0 {
		t.Errorf("booked again: %+v", done)
	}
	if got := o.level(); got.Sold != 6 || got.Available != 4 {
		t.Errorf("the level is %+v", got)
	}
	levels, err := o.book.Stock(t.Context(), o.sale)
	if err != nil || levels[1].Sold != 2 {
		t.Errorf("the perk is %+v: %v", levels, err)
	}
}

// The last seat is on record, and a hold of the backup has it: it is booked once that ends.
func TestHoldsOfTheBackupAreWaitedFor(t *testing.T) {
	o := newOffice(t, 2)
	o.hold(o.order("gone", 2))
	backup := o.backup()
	o.clock.move(holdEnds)
	last := o.order("last", 2)
	o.hold(last)
	o.sell(last)
	o.clock.move(-holdEnds)

	o.lose(backup)
	told := 0
	done := o.rebook(true, func(string, ...any) {
		told++
		o.clock.move(2 * holdEnds)
	})
	if told != 1 || done.Booked != 1 || len(done.Lacking) != 0 {
		t.Errorf("told %d times; booked again: %+v", told, done)
	}
	if got := o.level(); got.Sold != 2 || got.Held != 0 {
		t.Errorf("the level is %+v", got)
	}
}

// Who sells before the ledger is brought up to date sells twice; that is said, and nobody
// who has a seat loses it.
func TestSeatsThatWereSoldSinceAreMissed(t *testing.T) {
	o := newOffice(t, 3)
	backup := o.backup()
	var first []domain.OrderID
	for _, name := range []string{"ann", "bob"} {
		order := o.order(name, 1)
		o.hold(order)
		first = append(first, o.sell(order).ID)
	}
	o.lose(backup)
	for _, name := range []string{"cyd", "dee"} { // too early
		order := o.order(name, 1)
		o.hold(order)
		o.sell(order)
	}
	done := o.rebook(true, nil)
	var lacking []domain.OrderID // one its seat, the other its perk: both perks went to the others too
	for _, item := range done.Lacking {
		lacking = append(lacking, item.Order)
	}
	slices.SortFunc(lacking, func(a, b domain.OrderID) int { return slices.Compare(a[:], b[:]) })
	slices.SortFunc(first, func(a, b domain.OrderID) int { return slices.Compare(a[:], b[:]) })
	if done.Booked != 1 || !slices.Equal(lacking, first) {
		t.Errorf("booked again: %+v", done)
	}
	fates, err := o.book.SeatFates(t.Context(), first)
	if got := slices.Sorted(maps.Values(fates)); err != nil || !reflect.DeepEqual(got, []domain.SeatFate{domain.SeatsNeverHeld, domain.SeatsSold}) {
		t.Errorf("the fates are %v: %v", got, err)
	}
}

var _ restore.Records = records{}

var _ restore.EmptyLedger = (*ledger.Book)(nil)

// It can be stopped anywhere: a context that ends is no answer of the ledger.
func TestRebookingEndsWithItsContext(t *testing.T) {
	o := newOffice(t, 1)
	o.hold(o.order("gone", 1))
	backup := o.backup()
	o.clock.move(holdEnds)
	last := o.order("last", 1)
	o.hold(last)
	sold := o.sell(last)
	o.clock.move(-holdEnds)
	o.lose(backup)

	ctx, stop := context.WithCancel(t.Context())
	r := &restore.Rebooker{Ledger: o.book, Records: o.store, Tell: func(string, ...any) { stop() }}
	if err := r.All(ctx, true, func(*restore.Rebooked) {}); err == nil {
		t.Fatal("no error")
	}
	o.clock.move(2 * holdEnds)
	if done := o.rebook(true, nil); done.Booked != 1 {
		t.Errorf("booked again: %+v", done)
	}
	if booked, err := o.book.Booked(t.Context(), sold.ID); err != nil || booked.Fate != domain.SeatsSold {
		t.Errorf("the ledger has %+v: %v", booked, err)
	}
}

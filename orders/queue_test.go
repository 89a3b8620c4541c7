package orders_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"

	"github.com/jackc/pgx/v5"
)

const heldUpTimeout = 2 * time.Minute

// A traffic is a store whose transactions are counted and can be held up.
type traffic struct {
	*bundle
	store *orders.Store

	mu      sync.Mutex
	batches []int
}

func newTraffic(t *testing.T, o orders.Options) *traffic {
	t.Helper()
	f := &traffic{bundle: setup(t)}
	// A test queues its calls one by one behind a lock. On a busy machine that takes
	// seconds, and an order that times out meanwhile is not what the test is about.
	o.StatementTimeout, o.CallTimeout = heldUpTimeout, heldUpTimeout
	o.Recorded = func(n int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.batches = append(f.batches, n)
	}
	var err error
	if f.store, err = orders.Open(f.ctx, f.url, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.store.Close)
	return f
}

func (f *traffic) sent() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.batches)
}

// holdUp lets no transaction on orders commit until release is called.
func (f *traffic) holdUp(t *testing.T) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(f.ctx, f.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(f.ctx, `BEGIN; LOCK TABLE orders IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(f.ctx, `COMMIT`); err != nil {
			t.Error(err)
		}
	}
}

// An answer is what Record returned.
type answer struct {
	order domain.SoldOrder
	err   error
}

func (f *traffic) recordLater(ctx context.Context, sold domain.Sold) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		order, err := f.store.Record(ctx, sold, f.codes(sold.Order.ID))
		answers <- answer{order, err}
	}()
	return answers
}

// held sends one order, which is held up, and then queues the others.
func (f *traffic) held(t *testing.T, sold []domain.Sold) []<-chan answer {
	t.Helper()
	answers := []<-chan answer{f.recordLater(f.ctx, sold[0])}
	waitFor(t, "a transaction that waits for the lock", func() bool { return f.waitingForLock(t) == 1 })
	for i, one := range sold[1:] {
		answers = append(answers, f.recordLater(f.ctx, one))
		waitFor(t, "the order in the queue", func() bool { return f.store.Queued() == i+1 })
	}
	return answers
}

// Only those of this test's schema: the other tests hold up theirs in the same database.
const lockWaiters = `FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted`

func (f *traffic) waitingForLock(t *testing.T) int {
	return f.count(t, `SELECT count(*) `+lockWaiters)
}

func (f *traffic) solds(t *testing.T, count int) []domain.Sold {
	t.Helper()
	all := make([]domain.Sold, count)
	for i := range all {
		all[i] = f.sold(t, keyOf(i))
	}
	return all
}

func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within half a minute: %s", what)
		}
	}
}

func TestRecordPutsAllWaitingOrdersIntoOneTransaction(t *testing.T) {
	f := newTraffic(t, orders.Options{})
	release := f.holdUp(t)
	sold := f.solds(t, 33)
	answers := f.held(t, sold)
	release()
	for i, c := range answers {
		a := <-c
		if a.err != nil {
			t.Fatalf("order %d: %v", i, a.err)
		}
		stored, err := f.bundle.store.Order(f.ctx, sold[i].Order.ID)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "the answer, and what is stored", a.order, stored)
	}
	wantEqual(t, "orders by transaction", f.sent(), []int{1, 32})
}

func TestRecordOneOrderATransaction(t *testing.T) {
	f := newTraffic(t, orders.Options{RecordOrdersMax: 1, RecordTransactionsMax: 4})
	release := f.holdUp(t)
	var answers []<-chan answer
	for _, sold := range f.solds(t, 4) {
		answers = append(answers, f.recordLater(f.ctx, sold))
	}
	waitFor(t, "a transaction each", func() bool { return f.waitingForLock(t) == 4 })
	release()
	for _, c := range answers {
		if a := <-c; a.err != nil {
			t.Error(a.err)
		}
	}
	wantEqual(t, "orders by transaction", f.sent(), []int{1, 1, 1, 1})
}

func TestABadOrderDoesNotTakeTheOthersWithIt(t *testing.T) {
	f := newTraffic(t, orders.Options{})
	sold := f.solds(t, 8)
	stored := f.record(t, sold[7])
	release := f.holdUp(t)
	batch := append(sold[:7:7],
		with(f.sold(t, keyOf(20)), func(s *domain.Sold) { s.Order.SaleID = "dropped" }),
		with(f.sold(t, keyOf(21)), func(s *domain.Sold) { s.Order.Email = "a\x00b" }),
		with(f.sold(t, keyOf(22)), func(s *domain.Sold) { s.Capture.AmountMinor-- }),
		sold[2], // the same again, in the same transaction
		with(f.sold(t, keyOf(23)), func(s *domain.Sold) { s.Capture.Payment = sold[3].Capture.Payment }),
		with(sold[4], func(s *domain.Sold) { s.Capture.Payment = "pay_second" }),
		sold[7], // stored before
		with(f.sold(t, keyOf(24)), func(s *domain.Sold) { s.PaidAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }), // JSON has no such year
	)
	answers := f.held(t, batch)
	release()
	var got []answer
	for _, c := range answers {
		got = append(got, <-c)
	}
	for i, a := range got[:7] {
		if a.err != nil || a.order.ID != sold[i].Order.ID {
			t.Errorf("good order %d: %v", i, a.err)
		}
	}
	if err := got[7].err; err == nil || domain.IsUnknown(err) || domain.CodeOf(err) != domain.CodeInternal {
		t.Errorf("an order of no sale: %v", err)
	}
	wantCode(t, got[8].err, domain.CodeInternal)
	wantCode(t, got[9].err, domain.CodeInvalid)
	if got[10].err != nil {
		t.Errorf("the same order twice at once: %v", got[10].err)
	}
	wantEqual(t, "the same order twice at once", got[10].order, got[2].order)
	wantCode(t, got[11].err, domain.CodeExists)
	wantCode(t, got[12].err, domain.CodeExists)
	wantEqual(t, "an order that was stored before", got[13].order, stored)
	wantCode(t, got[14].err, domain.CodeInternal)
	if n := f.count(t, `SELECT count(*) FROM orders`); n != 8 {
		t.Errorf("%d orders, want 8", n)
	}
}

func TestACallerThatGivesUpDoesNotDisturbOthers(t *testing.T) {
	f := newTraffic(t, orders.Options{})
	release := f.holdUp(t)
	sold := f.solds(t, 3)
	sentCtx, giveUpSent := context.WithCancel(f.ctx)
	sent := f.recordLater(sentCtx, sold[0])
	waitFor(t, "a transaction that waits for the lock", func() bool { return f.waitingForLock(t) == 1 })
	queuedCtx, giveUpQueued := context.WithCancel(f.ctx)
	queued := f.recordLater(queuedCtx, sold[1])
	stays := f.recordLater(f.ctx, sold[2])
	waitFor(t, "two in the queue", func() bool { return f.store.Queued() == 2 })

	giveUpQueued()
	wantCode(t, (<-queued).err, domain.CodeOverloaded) // definite: it was not sent
	giveUpSent()
	if a := <-sent; !domain.IsUnknown(a.err) || !errors.Is(a.err, context.Canceled) {
		t.Errorf("given up when sent: %v, want unknown", a.err)
	}
	release()
	if a := <-stays; a.err != nil {
		t.Errorf("who stayed: %v", a.err)
	}
	if n := f.count(t, `SELECT count(*) FROM orders WHERE id = ANY($1)`, [][16]byte{sold[0].Order.ID, sold[2].Order.ID}); n != 2 {
		t.Errorf("%d orders of the one that was sent and the one that stayed, want both", n)
	}
	if n := f.count(t, `SELECT count(*) FROM orders WHERE id = $1`, [16]byte(sold[1].Order.ID)); n != 0 {
		t.Error("an order was recorded whose caller was told that it was not sent")
	}
}

func TestAKilledTransactionIsUnknownToAllInIt(t *testing.T) {
	f := newTraffic(t, orders.Options{})
	sold := f.solds(t, 17)
	release := f.holdUp(t)
	answers := f.held(t, sold)
	f.killTransaction(t) // with the first
	f.killTransaction(t) // with all the others
	release()
	for i, c := range answers {
		if a := <-c; !domain.IsUnknown(a.err) {
			t.Errorf("order %d: %v, want unknown", i, a.err)
		}
	}
	wantEqual(t, "orders by transaction", f.sent(), []int{1, 16})
	for i, one := range sold {
		if _, err := f.store.Record(f.ctx, one, f.codes(one.Order.ID)); err != nil {
			t.Errorf("order %d again: %v", i, err)
		}
	}
	if n := f.count(t, `SELECT count(*) FROM outbox WHERE event = 'order.paid'`); n != len(sold) {
		t.Errorf("%d events, want one an order", n)
	}
}

// killTransaction ends the backend that waits for the lock, and returns when it
// is gone.
func (f *traffic) killTransaction(t *testing.T) {
	t.Helper()
	waitFor(t, "a transaction that waits for the lock", func() bool { return f.waitingForLock(t) == 1 })
	pid := f.count(t, `SELECT pid `+lockWaiters)
	f.count(t, `SELECT pg_terminate_backend($1)::int`, pid)
	waitFor(t, "its end", func() bool { return f.count(t, `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, pid) == 0 })
}

func TestTheRecordQueueIsBounded(t *testing.T) {
	f := newTraffic(t, orders.Options{})
	release := f.holdUp(t)
	sold := f.solds(t, 2)
	answers := f.held(t, sold[:1])
	for range orders.QueueOrdersMax {
		answers = append(answers, f.recordLater(f.ctx, sold[0])) // the same: what counts is the queue
	}
	waitFor(t, "a full queue", func() bool { return f.store.Queued() == orders.QueueOrdersMax })
	_, err := f.store.Record(f.ctx, sold[1], f.codes(sold[1].Order.ID))
	wantCode(t, err, domain.CodeOverloaded)
	release()
	for i, c := range answers {
		if a := <-c; a.err != nil {
			t.Fatalf("call %d: %v", i, a.err)
		}
	}
	if n := f.count(t, `SELECT count(*) FROM orders`); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
}

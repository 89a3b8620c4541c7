package orders_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"

	"github.com/jackc/pgx/v5"
)

const insertEvent = `INSERT INTO outbox (event, payload) VALUES ('audit.broken', jsonb_build_object('n', $1::int)) RETURNING id`

// A reader that follows ids loses the event of a transaction that began first and commits
// last. One that follows EventsAfter gets it.
func TestAReaderSkipsNoEventThatCommitsLate(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	slow, fast := b.connect(t), b.connect(t)
	var first, second int64
	tx := must(slow.Begin(b.ctx))
	if err := tx.QueryRow(b.ctx, insertEvent, 1).Scan(&first); err != nil {
		t.Fatal(err)
	}
	if err := fast.QueryRow(b.ctx, insertEvent, 2).Scan(&second); err != nil {
		t.Fatal(err)
	}

	const byID = `SELECT coalesce(max(id), 0) FROM outbox WHERE id > $1`
	cursor := b.count(t, byID, 0)
	if int64(cursor) != second || first > second {
		t.Fatalf("ids %d and %d, a reader by id is at %d: want it past the second", first, second, cursor)
	}
	events := must(b.store.EventsAfter(b.ctx, domain.EventCursor{}, 10))
	if len(events) != 0 {
		t.Errorf("%d events although an earlier transaction is open", len(events))
	}
	if err := tx.Commit(b.ctx); err != nil {
		t.Fatal(err)
	}
	if skipped := b.count(t, byID, cursor); skipped != 0 {
		t.Fatalf("the reader by id sees %d: this test shows nothing", skipped)
	}
	if got := numbers(t, b.awaitEvents(t, domain.EventCursor{}, 2)); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("events %v, want both", got)
	}
}

// Whatever writers do, and whatever the size of pages, every event comes once, and those of
// one writer in sequence.
func TestReadersSeeEveryEventOnceWhileOthersWrite(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	const writers, each = 4, 25
	var writing sync.WaitGroup
	for w := range writers {
		conn := b.connect(t)
		writing.Go(func() {
			for i := range each {
				err := pgx.BeginFunc(b.ctx, conn, func(tx pgx.Tx) error {
					for n := range 1 + i%3 {
						if _, err := tx.Exec(b.ctx, insertEvent, w*1000+i*10+n); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { writing.Wait(); close(ended) }()

	want := 0
	for i := range each {
		want += writers * (1 + i%3)
	}
	seen, last := map[int]bool{}, map[int]int{}
	var cursor domain.EventCursor
	read := func(limit int) {
		page := must(b.store.EventsAfter(b.ctx, cursor, limit))
		for i, n := range numbers(t, page) {
			if seen[n] || n <= last[n/1000] && n%1000 != 0 {
				t.Errorf("event %d, the writer's last was %d, seen before: %v", n, last[n/1000], seen[n])
			}
			seen[n], last[n/1000] = true, n
			// A cursor survives being kept as text.
			if cursor = must(domain.ParseEventCursor(page[i].Cursor.String())); cursor != page[i].Cursor {
				t.Fatalf("cursor %v, want %v", cursor, page[i].Cursor)
			}
		}
	}
	for limit := 1; ; limit = limit%7 + 1 {
		read(limit)
		select {
		case <-ended:
		default:
			continue
		}
		break
	}
	eventually(t, "all events are seen", func() bool { read(7); return len(seen) >= want })
	if len(seen) != want {
		t.Errorf("%d events, want %d", len(seen), want)
	}
}

// What an order's events tell other systems about it.
func TestEventsTellOfTheOrder(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	sold := b.sold(t, keyOf(1))
	b.record(t, sold)
	must(b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day))
	if err := b.store.FinishRefund(b.ctx, sold.Capture.Payment, day); err != nil {
		t.Fatal(err)
	}
	events := b.awaitEvents(t, domain.EventCursor{}, 3)
	for i, want := range []domain.EventType{domain.EventOrderPaid, domain.EventOrderRefundBegun, domain.EventOrderRefunded} {
		e := events[i]
		if e.Type != want || e.Order != sold.Order.ID || e.SaleID != b.sale.ID || e.Payment != sold.Capture.Payment || !json.Valid(e.Payload) || e.OccurredAt.IsZero() {
			t.Errorf("event %d: %+v, want %s of the order", i, e, want)
		}
	}
	if more := must(b.store.EventsAfter(b.ctx, events[2].Cursor, 10)); len(more) != 0 {
		t.Errorf("%d events after the last", len(more))
	}
}

// A dump from another server brings transaction ids that are ahead of this one's. After
// migration its events are read all the same, and a cursor from the old server is refused.
func TestEventsOfARestoredDump(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	conn := b.connect(t)
	const ahead = `UPDATE outbox SET transaction_id = (pg_current_xact_id()::text::bigint + 1000000 + id)::text::xid8`
	for n := range 3 {
		if _, err := conn.Exec(b.ctx, insertEvent, n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(b.ctx, ahead); err != nil {
		t.Fatal(err)
	}
	foreign := domain.EventCursor{Transaction: uint64(b.count(t, `SELECT min(transaction_id::text::bigint) FROM outbox`)), ID: 1}
	if err := b.store.Migrate(b.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(b.ctx, insertEvent, 3); err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, b.awaitEvents(t, domain.EventCursor{}, 4)); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("events %v, want those of the dump and then the new one", got)
	}
	_, err := b.store.EventsAfter(b.ctx, foreign, 10)
	wantCode(t, err, domain.CodeInvalid)
	if place := must(b.store.EventPlace(b.ctx, foreign)); place != (domain.EventPlace{}) {
		t.Errorf("%+v where the old server had an event: that cursor must not count here", place)
	}
	first := must(b.store.EventsAfter(b.ctx, domain.EventCursor{}, 1))[0]
	wantEqual(t, "the position of the first", must(b.store.EventPlace(b.ctx, first.Cursor)), domain.EventPlace{ID: first.ID})
}

// Events from before the log had an order are read in the order of their ids.
func TestEventsOfBeforeTheMigration(t *testing.T) {
	t.Parallel()
	url := orderstest.URL(t)
	const until = 7 // 0008 gives them their order
	for _, sql := range must(orders.Migrations())[:until] {
		if err := orderstest.Exec(t.Context(), url, sql); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		if err := orderstest.Exec(t.Context(), url, insertEvent, n); err != nil {
			t.Fatal(err)
		}
	}
	versions := `CREATE TABLE schema_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
		INSERT INTO schema_migrations VALUES (7)`
	if err := orderstest.Exec(t.Context(), url, versions); err != nil {
		t.Fatal(err)
	}
	b := &bundle{ctx: t.Context(), url: url, store: orderstest.Open(t, url)}
	if err := orderstest.Exec(b.ctx, url, insertEvent, 3); err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, b.awaitEvents(t, domain.EventCursor{}, 4)); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("events %v, want the old ones and then the new", got)
	}
}

func TestParseEventCursor(t *testing.T) {
	for _, text := range []string{"", "0", "1-", "-1", "1--2", "1-2-3", "+1-2", "01-2", "1-2 ", "18446744073709551616-1", "a-b"} {
		if c, err := domain.ParseEventCursor(text); err == nil {
			t.Errorf("%q is %v", text, c)
		}
	}
	if c, err := domain.ParseEventCursor("0-0"); err != nil || c != (domain.EventCursor{}) {
		t.Errorf("the beginning: %v, %v", c, err)
	}
}

// forgetEvents leaves only the events that the test writes.
func (b *bundle) forgetEvents(t *testing.T) {
	t.Helper()
	if err := orderstest.Exec(b.ctx, b.url, `DELETE FROM outbox`); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(b.ctx, b.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// awaitEvents reads until there are this many, because other tests have transactions open
// on the same server.
// awaitEvents waits until the log's reader sees as many events as there must be: another test's
// transaction may hold the horizon back for a moment. More are a mistake of the test, which would
// then fail now and then.
func (b *bundle) awaitEvents(t *testing.T, after domain.EventCursor, want int) (events []domain.Event) {
	t.Helper()
	eventually(t, "the events are there", func() bool {
		events = must(b.store.EventsAfter(b.ctx, after, orders.EventsPageMax))
		return len(events) >= want
	})
	if len(events) != want {
		t.Fatalf("%d events, and the test waits for %d: %+v", len(events), want, events)
	}
	return events
}

// awaitAll waits until the log's reader sees every event that was written.
func (b *bundle) awaitAll(t *testing.T) []domain.Event {
	t.Helper()
	return b.awaitEvents(t, domain.EventCursor{}, b.count(t, `SELECT count(*) FROM outbox`))
}

func numbers(t *testing.T, events []domain.Event) (all []int) {
	t.Helper()
	for _, e := range events {
		var payload struct{ N int }
		if err := json.Unmarshal(e.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		all = append(all, payload.N)
	}
	return all
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	deadline := time.After(30 * time.Second)
	for !done() {
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatal("did not happen: " + what)
		}
	}
}

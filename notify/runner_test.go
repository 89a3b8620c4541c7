package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// A log is one database's event log.
type log struct {
	*testing.T
	url   string
	store *orders.Store
}

func newLog(t *testing.T) *log {
	t.Parallel()
	url := orderstest.URL(t)
	return &log{T: t, url: url, store: orderstest.Open(t, url)}
}

// brisk are options for tests: as in production, but with short times.
func brisk() notify.Options {
	return notify.Options{
		Lease: 2 * time.Second, PollMin: 5 * time.Millisecond, PollMax: 20 * time.Millisecond,
		RetryMin: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond, RetryLaterMax: 20 * time.Millisecond,
		StopGrace: 5 * time.Second,
	}
}

func (l *log) start(o notify.Options, readers ...notify.Reader) (stop func()) {
	l.Helper()
	return l.startOn(l.store.Readers(), o, readers...)
}

func (l *log) startOn(store notify.Store, o notify.Options, readers ...notify.Reader) (stop func()) {
	l.Helper()
	o.Log = slog.New(slog.NewTextHandler(l.Output(), nil))
	r, err := notify.New(store, readers, o)
	if err != nil {
		l.Fatal(err)
	}
	stop = r.Start()
	l.Cleanup(stop)
	return stop
}

// write adds an event about a sale, which need not exist.
func (l *log) write(subject string, n int) {
	l.Helper()
	l.exec(`INSERT INTO outbox (event, sale_id, payload) VALUES ('audit.broken', $1, jsonb_build_object('n', $2::int))`, subject, n)
}

func (l *log) exec(sql string, args ...any) {
	l.Helper()
	if err := orderstest.Exec(context.Background(), l.url, sql, args...); err != nil {
		l.Fatal(err)
	}
}

func (l *log) count(sql string, args ...any) (n int) {
	l.Helper()
	conn, err := pgx.Connect(context.Background(), l.url)
	if err != nil {
		l.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		l.Fatal(err)
	}
	return n
}

func (l *log) eventually(what string, done func() bool) {
	l.Helper()
	deadline := time.After(30 * time.Second)
	for retry := time.NewTicker(5 * time.Millisecond); !done(); {
		select {
		case <-retry.C:
		case <-deadline:
			l.Logf("cursors: %s", l.text(`SELECT json_agg(c)::text FROM event_cursors c`))
			l.Logf("set aside: %s", l.text(`SELECT json_agg(a)::text FROM events_set_aside a`))
			l.Logf("log: %s", l.text(`SELECT json_agg(e)::text FROM (SELECT transaction_id, id, event, sale_id, payload FROM outbox) e`))
			l.Fatal("did not happen: " + what)
		}
	}
}

func (l *log) text(sql string) (text string) {
	l.Helper()
	conn, err := pgx.Connect(context.Background(), l.url)
	if err != nil {
		l.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql).Scan(&text); err != nil {
		l.Fatal(err)
	}
	return text
}

func (l *log) state(reader string) orders.ReaderState {
	l.Helper()
	states, err := l.store.ReaderStates(context.Background())
	if err != nil {
		l.Fatal(err)
	}
	for _, s := range states {
		if s.Reader == reader {
			return s
		}
	}
	return orders.ReaderState{}
}

// heard records the events that a reader was given.
type heard struct {
	mu     sync.Mutex
	events []domain.Event
}

func (h *heard) add(events ...domain.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, events...)
}

func (h *heard) all() []domain.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

func (h *heard) count() int { return len(h.all()) }

// of returns the payloads of a subject's events, in the order in which they came.
func (h *heard) of(subject string) (payloads []string) {
	for _, e := range h.all() {
		if e.Subject() == subject {
			payloads = append(payloads, strings.Trim(string(e.Payload), "{}n\": "))
		}
	}
	return payloads
}

func (h *heard) reader(name string) notify.Reader {
	return notify.Reader{Name: name, Handle: func(_ context.Context, events []domain.Event) error {
		h.add(events...)
		return nil
	}}
}

func TestAReaderGetsEveryEvent(t *testing.T) {
	l := newLog(t)
	l.write("a", 1)
	var all, some, fromNow heard
	filtered := some.reader("some")
	filtered.Types = []domain.EventType{domain.EventSaleOpened}
	l.start(brisk(), all.reader("all"), filtered)
	l.eventually("the event that was there", func() bool { return all.count() == 1 })
	// Only now: a reader begins before what is not read yet, and a transaction of another test holds events back.
	late := fromNow.reader("from-now")
	late.FromNow = true
	l.start(brisk(), late)
	l.eventually("the reader that begins now is there", func() bool { return l.state("from-now").Reader != "" })
	l.write("a", 2)
	l.exec(`INSERT INTO outbox (event, sale_id, payload) VALUES ('sale.opened', 'b', '{}')`)
	l.eventually("all events", func() bool { return all.count() == 3 && fromNow.count() == 2 && some.count() == 1 })
	if got, want := all.of("a"), []string{"1", "2"}; !reflect.DeepEqual(got, want) {
		t.Fatalf(`all.of("a") is %q, want %q`, got, want)
	}
	if got, want := fromNow.of("a"), []string{"2"}; !reflect.DeepEqual(got, want) {
		t.Fatalf(`fromNow.of("a") is %q, want %q: it began behind the first`, got, want)
	}
	if got := some.all()[0].Type; got != domain.EventSaleOpened {
		t.Fatalf("some.all()[0].Type is %q, want %q", got, domain.EventSaleOpened)
	}
	l.eventually("nobody lags", func() bool {
		return l.state("all").LagEvents == 0 && l.state("some").LagEvents == 0
	})
}

func TestAReaderResumesWhereItStopped(t *testing.T) {
	l := newLog(t)
	var first, second heard
	stop := l.start(brisk(), first.reader("r"))
	l.write("a", 1)
	l.eventually("the first", func() bool { return first.count() == 1 })
	stop()
	l.write("a", 2)
	l.start(brisk(), second.reader("r"))
	l.eventually("the second", func() bool { return second.count() == 1 })
	if got, want := second.of("a"), []string{"2"}; !reflect.DeepEqual(got, want) {
		t.Fatalf(`second.of("a") is %q, want %q`, got, want)
	}
}

// A database that is put back has cursors of earlier; nodes that run on read again from there, whether or not
// something new is written.
func TestADatabaseThatWasPutBackIsReadAgainFromThere(t *testing.T) {
	for name, tt := range map[string]struct {
		news int
		want []string
	}{
		"nothing new":   {0, []string{"1", "2", "3", "2", "3"}},
		"something new": {4, []string{"1", "2", "3", "2", "3", "4"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			var h heard
			l.start(brisk(), h.reader("r"))
			settled := func(n int) func() bool {
				return func() bool { return h.count() == n && l.state("r").LagEvents == 0 }
			}
			l.write("a", 1)
			l.eventually("the first is stored", settled(1))
			l.exec(`CREATE TABLE saved AS SELECT * FROM event_cursors`)
			l.write("a", 2)
			l.write("a", 3)
			l.eventually("the others are stored", settled(3))
			l.exec(`UPDATE event_cursors c SET transaction_id = s.transaction_id, id = s.id, holder = s.holder, lease = s.lease, leased_until = s.leased_until
				FROM saved s WHERE (s.reader, s.shard) = (c.reader, c.shard)`)
			if tt.news > 0 {
				l.write("a", tt.news)
			}
			l.eventually("all of it is read again and stored", func() bool {
				return h.count() >= len(tt.want) && l.state("r").LagEvents == 0
			})
			got := h.of("a")
			if tt.news > 0 { // it may come once before the node finds out
				got = slices.DeleteFunc(got, func(n string) bool { return n == "4" })
				got = append(got, "4")
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("the reader was given %q, want %q", h.of("a"), tt.want)
			}
		})
	}
}

// Events wait while the world is at fault, and then come in order. Other readers do not notice.
func TestAReaderThatFailsWaitsAndHoldsUpNobody(t *testing.T) {
	l := newLog(t)
	var ok, failing heard
	var away atomic.Bool
	away.Store(true)
	var calls atomic.Int64
	broken := failing.reader("failing")
	broken.BatchMax = 10
	broken.Handle = func(_ context.Context, events []domain.Event) error {
		calls.Add(1)
		if away.Load() {
			return errors.New("the relay is down")
		}
		failing.add(events...)
		return nil
	}
	l.start(brisk(), ok.reader("ok"), broken)
	for n := range 20 {
		l.write("a", n)
	}
	l.eventually("the other reader has all", func() bool { return ok.count() == 20 })
	l.eventually("it tried more often than an event is refused", func() bool { return calls.Load() > 2*notify.TriesMaxDefault })
	state := l.state("failing")
	if state.LagEvents != 20 {
		t.Fatalf("state.LagEvents is %v, want 20", state.LagEvents)
	}
	if state.Failing != 1 {
		t.Fatalf("state.Failing is %v, want 1", state.Failing)
	}
	if state.Error != "the relay is down" {
		t.Fatalf(`state.Error is %q, want "the relay is down"`, state.Error)
	}
	if state.SetAside != 0 {
		t.Fatalf("state.SetAside is %v, want zero: the world was at fault, no event", state.SetAside)
	}
	away.Store(false)
	l.eventually("all come", func() bool { return failing.count() >= 20 })
	if got, want := failing.of("a"), ok.of("a"); !reflect.DeepEqual(got, want) {
		t.Fatalf(`failing.of("a") is %q, want %q`, got, want)
	}
	l.eventually("it no longer fails", func() bool { return l.state("failing").Failing == 0 })
}

// An event that is at fault is set aside after some tries. Those of its subject wait,
// others pass, and all come in order once somebody asks.
func TestARefusedEventIsSetAside(t *testing.T) {
	for name, fault := range map[string]error{
		"refused":         notify.Refused(errors.New("no template for this")),
		"a definite no":   domain.Invalid("template", "must parse"),
		"a reader panics": nil,
	} {
		for _, batch := range []int{1, 10} {
			t.Run(fmt.Sprintf("%s, batches of %d", name, batch), func(t *testing.T) {
				l := newLog(t)
				var got heard
				var mended atomic.Bool
				var tried atomic.Int64
				reader := got.reader("r")
				reader.BatchMax = batch
				reader.Handle = func(_ context.Context, events []domain.Event) error {
					for _, e := range events {
						if e.SaleID == "bad" && string(e.Payload) == `{"n": 1}` && !mended.Load() {
							if len(events) == 1 {
								tried.Add(1)
							}
							if fault == nil {
								panic("index out of range")
							}
							return fault
						}
					}
					got.add(events...)
					return nil
				}
				for n := range 3 {
					l.write("bad", n)
					l.write("good", n)
				}
				l.start(brisk(), reader)
				l.eventually("others pass", func() bool { return len(got.of("good")) == 3 })
				l.eventually("it is set aside", func() bool { return l.state("r").Stuck == 1 })
				if got := tried.Load(); got != notify.TriesMaxDefault {
					t.Fatalf("tried.Load() is %v, want %v", got, notify.TriesMaxDefault)
				}
				l.eventually("and the one behind it", func() bool { return l.state("r").SetAside == 2 })
				if got, want := got.of("bad"), []string{"0"}; !reflect.DeepEqual(got, want) {
					t.Fatalf(`got.of("bad") is %q, want %q`, got, want)
				}
				rows, err := l.store.SetAside(t.Context(), "r", nil, 10)
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) != 2 {
					t.Fatalf("%d in rows, want 2: %+v", len(rows), rows)
				}
				if rows[0].Error == "" {
					t.Fatal("rows[0].Error is empty")
				}
				if rows[1].Error != "" {
					t.Fatalf("rows[1].Error is %q, want nothing", rows[1].Error)
				}

				l.write("bad", 3)
				l.eventually("so does a later one", func() bool { return l.state("r").SetAside == 3 })
				mended.Store(true)
				n, err := l.store.RetrySetAside(t.Context(), "r", rows[0].Event)
				if err != nil {
					t.Fatal(err)
				}
				if n != 1 {
					t.Fatalf("n is %v, want 1", n)
				}
				l.eventually("all come", func() bool { return len(got.of("bad")) == 4 })
				if got, want := got.of("bad"), []string{"0", "1", "2", "3"}; !reflect.DeepEqual(got, want) {
					t.Fatalf(`got.of("bad") is %q, want %q`, got, want)
				}
				l.eventually("none is left", func() bool { return l.state("r").SetAside == 0 })
				l.write("bad", 4)
				l.eventually("and it goes on as ever", func() bool { return len(got.of("bad")) == 5 })
			})
		}
	}
}

func TestASkippedEventLetsTheOthersPass(t *testing.T) {
	l := newLog(t)
	var got heard
	reader := got.reader("r")
	reader.Handle = func(_ context.Context, events []domain.Event) error {
		if string(events[0].Payload) == `{"n": 0}` {
			return notify.Refused(errors.New("never"))
		}
		got.add(events...)
		return nil
	}
	l.write("a", 0)
	l.write("a", 1)
	l.start(brisk(), reader)
	l.eventually("both are set aside", func() bool { return l.state("r").Stuck == 1 && l.state("r").SetAside == 2 })
	rows, err := l.store.SetAside(t.Context(), "", nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.store.SkipSetAside(t.Context(), "r", rows[0].Event); err != nil {
		t.Fatal(err)
	}
	if got := domain.CodeOf(l.store.SkipSetAside(t.Context(), "r", rows[0].Event)); got != domain.CodeNotFound {
		t.Fatalf(`domain.CodeOf(l.store.SkipSetAside(t.Context(), "r", rows[0].Event)) is %q, want %q`, got, domain.CodeNotFound)
	}
	l.eventually("the other comes", func() bool { return got.count() == 1 })
	l.eventually("none is left", func() bool { return l.state("r").SetAside == 0 })
}

// An event that cannot be handled now is retried without anybody asking, and only its
// subject waits.
func TestADeferredEventComesLater(t *testing.T) {
	l := newLog(t)
	var got heard
	var greylisted atomic.Int64
	reader := got.reader("r")
	reader.Handle = func(_ context.Context, events []domain.Event) error {
		if events[0].SaleID == "slow" && greylisted.Add(1) < 10 {
			return notify.Later(errors.New("450 try again"))
		}
		got.add(events...)
		return nil
	}
	for n := range 3 {
		l.write("slow", n)
		l.write("other", n)
	}
	l.start(brisk(), reader)
	l.eventually("others pass", func() bool { return len(got.of("other")) == 3 })
	l.eventually("it comes", func() bool { return len(got.of("slow")) == 3 })
	if got, want := got.of("slow"), []string{"0", "1", "2"}; !reflect.DeepEqual(got, want) {
		t.Fatalf(`got.of("slow") is %q, want %q`, got, want)
	}
	if got := greylisted.Load(); got < int64(10) {
		t.Fatalf("greylisted.Load() is %v, want at least %v: more often than an event is refused", got, int64(10))
	}
	l.eventually("none is left", func() bool { return l.state("r").SetAside == 0 })
}

// If everything is refused, the events are not at fault: the reader stops.
func TestNotEverythingIsSetAside(t *testing.T) {
	l := newLog(t)
	options := brisk()
	options.AsideMax, options.TriesMax = 3, 1
	l.start(options, notify.Reader{Name: "r", Handle: func(context.Context, []domain.Event) error { return notify.Refused(errors.New("no")) }})
	for n := range 10 {
		l.write("a", n)
	}
	l.eventually("it fails", func() bool { s := l.state("r"); return s.SetAside == 3 && s.Failing == 1 })
	if got := l.state("r").LagEvents; got != 7 {
		t.Fatalf(`l.state("r").LagEvents is %v, want 7`, got)
	}
}

// A paused node can store nothing once another node has its shards. Afterwards both share
// the work.
func TestAPausedNodeIsFencedOff(t *testing.T) {
	l := newLog(t)
	var paused, other heard
	gate := &gated{Store: l.store.Readers(), open: make(chan struct{})}
	reached, resume := make(chan struct{}), make(chan struct{})
	reader := paused.reader("r")
	reader.Handle = func(_ context.Context, events []domain.Event) error {
		paused.add(events...)
		close(reached)
		<-resume // whatever the context says
		return nil
	}
	options := brisk()
	options.Lease = 300 * time.Millisecond
	l.write("a", 1)
	l.startOn(gate, options, reader)
	<-reached
	gate.closed.Store(true) // it renews nothing

	l.start(options, other.reader("r"))
	l.eventually("the other node has its work, and it is done there", func() bool { return other.count() == 1 })
	l.write("a", 2)
	l.eventually("it goes on", func() bool { return other.count() == 2 })
	where := l.count(`SELECT max(id) FROM event_cursors WHERE reader = 'r'`)
	close(resume)
	close(gate.open)
	l.eventually("the first is back, with a share", func() bool {
		return l.count(`SELECT count(DISTINCT holder) FROM event_cursors WHERE reader = 'r'`) == 2
	})
	if got := l.count(`SELECT max(id) FROM event_cursors WHERE reader = 'r'`); got < where {
		t.Fatalf("got %v, want at least %v: nothing was moved back", got, where)
	}
	if got, want := other.of("a"), []string{"1", "2"}; !reflect.DeepEqual(got, want) {
		t.Fatalf(`other.of("a") is %q, want %q`, got, want)
	}
	if got := l.count(`SELECT count(*) FROM event_cursors WHERE reader = 'r' GROUP BY holder LIMIT 1`); got != 4 {
		t.Fatalf("got %v, want 4: half each", got)
	}
}

// A node whose release of surplus shards fails goes on working on them until it succeeds.
func TestTheWorkIsSplitEvenly(t *testing.T) {
	l := newLog(t)
	var got heard
	options := brisk()
	options.Lease = 200 * time.Millisecond
	hoarder := &stubborn{Store: l.store.Readers()}
	hoarder.deaf.Store(3)
	l.startOn(hoarder, options, got.reader("r"))
	l.eventually("one node has all", func() bool {
		return l.count(`SELECT count(*) FROM event_cursors WHERE leased_until > now()`) == domain.EventShards
	})
	l.start(options, got.reader("r"))
	l.eventually("two have half each", func() bool {
		return l.count(`SELECT count(*) FROM (SELECT FROM event_cursors WHERE leased_until > now() GROUP BY holder HAVING count(*) = 4) halves`) == 2
	})
	if got := hoarder.deaf.Load(); got > int64(0) {
		t.Fatalf("hoarder.deaf.Load() is %v, want at most %v", got, int64(0))
	}
	for n := range domain.EventShards * 4 {
		l.write(fmt.Sprint("s", n), n)
	}
	l.eventually("all is heard", func() bool { return got.count() == domain.EventShards*4 })
}

// stubborn is a node whose releases fail several times.
type stubborn struct {
	notify.Store
	deaf atomic.Int64
}

func (s *stubborn) ReleaseShards(ctx context.Context, node, reader string, shards []int) error {
	if s.deaf.Add(-1) >= 0 {
		return errors.New("the database is down")
	}
	return s.Store.ReleaseShards(ctx, node, reader, shards)
}

// A renewed lease does not end a call. Only the call's own bound does.
func TestACallMayTakeLongerThanALease(t *testing.T) {
	l := newLog(t)
	options := brisk()
	options.Lease = 100 * time.Millisecond
	var got heard
	reader := got.reader("r")
	reader.Timeout = time.Minute
	prolonged := &counting{Store: l.store.Readers()}
	reader.Handle = func(ctx context.Context, events []domain.Event) error {
		for until := prolonged.leases.Load() + 12; prolonged.leases.Load() < until; { // three leases long
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		got.add(events...)
		return nil
	}
	l.write("a", 1)
	l.write("a", 2)
	l.startOn(prolonged, options, reader)
	l.eventually("both", func() bool { return got.count() == 2 })
	l.eventually("kept", func() bool { return l.state("r").LagEvents == 0 })
}

// counting counts how often a node renewed its leases.
type counting struct {
	notify.Store
	leases atomic.Int64
}

func (c *counting) LeaseShards(ctx context.Context, l orders.Leasing) ([]orders.ReaderShard, map[string]int, error) {
	held, share, err := c.Store.LeaseShards(ctx, l)
	c.leases.Add(1)
	return held, share, err
}

// gated is a node's connection to the database, which a test may block.
type gated struct {
	notify.Store
	closed atomic.Bool
	open   chan struct{}
}

func (g *gated) LeaseShards(ctx context.Context, l orders.Leasing) ([]orders.ReaderShard, map[string]int, error) {
	if g.closed.Load() {
		<-g.open
	}
	return g.Store.LeaseShards(ctx, l)
}

func (g *gated) Events(ctx context.Context, q orders.EventQuery) (orders.EventPage, error) {
	if g.closed.Load() {
		<-g.open
	}
	return g.Store.Events(ctx, q)
}

// Whatever writers do and whenever readers die, every event arrives, and the first arrivals
// of a subject's events are in order.
func TestNothingIsSkippedOrReorderedWhateverDies(t *testing.T) {
	l := newLog(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const writers, subjects, each = 4, 12, 40
	var writing sync.WaitGroup
	for w := range writers {
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		conn, err := pgx.Connect(t.Context(), l.url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		writing.Go(func() {
			for n := range each {
				err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
					// Each subject has one writer, so its events follow one another.
					subject := fmt.Sprintf("s%d", w+writers*random.IntN(subjects/writers))
					for i := range 1 + random.IntN(2) {
						_, err := tx.Exec(t.Context(), `INSERT INTO outbox (event, sale_id, payload) VALUES ('audit.broken', $1, jsonb_build_object('n', $2::int))`,
							subject, 10*n+i)
						if err != nil {
							return err
						}
					}
					_, err := tx.Exec(t.Context(), `SELECT pg_sleep($1)`, random.Float64()*0.02) // others commit meanwhile
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()

	var got heard
	options := brisk()
	options.Lease = 200 * time.Millisecond
	options.PageMax = 7
	random := rand.New(rand.NewPCG(seed, 99))
	reader := func(node *dying) notify.Reader {
		fails := rand.New(rand.NewPCG(random.Uint64(), 1))
		var mu sync.Mutex
		return notify.Reader{Name: "r", BatchMax: 1 + random.IntN(4), Handle: func(_ context.Context, events []domain.Event) error {
			if node.dead.Load() {
				return errors.New("a dead node does nothing")
			}
			mu.Lock()
			chance := fails.IntN(20)
			mu.Unlock()
			switch chance {
			case 0:
				return errors.New("the world is at fault")
			case 1:
				return notify.Later(errors.New("not now"))
			case 2:
				return notify.Refused(errors.New("a try"))
			}
			got.add(events...)
			return nil
		}}
	}
	kill := func() *dying {
		node := &dying{Store: l.store.Readers()}
		node.after.Store(int64(5 + random.IntN(60)))
		l.startOn(node, options, reader(node))
		return node
	}
	nodes := []*dying{kill(), kill()}
	ended := false
	for !ended {
		select {
		case <-written:
			ended = true
		case <-time.After(20 * time.Millisecond):
			for i, node := range nodes {
				if node.dead.Load() {
					nodes[i] = kill()
				}
			}
		}
	}
	last := &dying{Store: l.store.Readers()}
	last.after.Store(1 << 40)
	l.startOn(last, options, reader(last))
	retry := func() { _, _ = l.store.RetrySetAside(context.Background(), "r", domain.EventID{}) }
	want := l.count(`SELECT count(*) FROM outbox`)
	l.eventually("all are heard", func() bool {
		retry()
		ids := make(map[domain.EventID]bool)
		for _, e := range got.all() {
			ids[e.ID] = true
		}
		return len(ids) == want
	})
	first := make(map[domain.EventID]bool)
	latest := make(map[string]domain.EventCursor)
	for _, e := range got.all() {
		if first[e.ID] {
			continue // again
		}
		first[e.ID] = true
		if got := e.Cursor.Compare(latest[e.SaleID]); got <= 0 {
			t.Fatalf("e.Cursor.Compare(latest[e.SaleID]) is %v, want more than 0: event %s of %s came after a later one", got, e.ID, e.SaleID)
		}
		latest[e.SaleID] = e.Cursor
	}
	t.Logf("%d events, %d arrivals", want, got.count())
}

// dying is a node that is killed before or after its n-th call to the database.
type dying struct {
	notify.Store
	after atomic.Int64
	dead  atomic.Bool
}

var errDead = errors.New("killed")

func (d *dying) before() error {
	if d.after.Add(-1) <= 0 {
		d.dead.Store(true)
	}
	if d.dead.Load() {
		return errDead
	}
	return nil
}

func (d *dying) LeaseShards(ctx context.Context, l orders.Leasing) ([]orders.ReaderShard, map[string]int, error) {
	if err := d.before(); err != nil {
		return nil, nil, err
	}
	return d.Store.LeaseShards(ctx, l)
}

func (d *dying) MoveShards(ctx context.Context, node, reader string, step orders.ReaderStep) (map[int]bool, error) {
	if err := d.before(); err != nil {
		return nil, err
	}
	moved, err := d.Store.MoveShards(ctx, node, reader, step)
	if again := d.before(); again != nil { // it was stored, and the caller is not told
		return nil, again
	}
	return moved, err
}

func (d *dying) Events(ctx context.Context, q orders.EventQuery) (orders.EventPage, error) {
	if err := d.before(); err != nil {
		return orders.EventPage{}, err
	}
	return d.Store.Events(ctx, q)
}

func (d *dying) LeaveReaders(ctx context.Context, node string) error {
	if d.dead.Load() {
		return errDead
	}
	return d.Store.LeaveReaders(ctx, node)
}

func TestInvalidReadersAreRefused(t *testing.T) {
	handle := func(context.Context, []domain.Event) error { return nil }
	for name, readers := range map[string][]notify.Reader{
		"no name":     {{Handle: handle}},
		"upper case":  {{Name: "Mail", Handle: handle}},
		"no function": {{Name: "mail"}},
		"two":         {{Name: "mail", Handle: handle}, {Name: "mail", Handle: handle}},
		"no type":     {{Name: "mail", Handle: handle, Types: []domain.EventType{"order.lost"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := notify.New(nil, readers, notify.Options{})
			if err == nil {
				t.Fatal("no error, want one")
			}
		})
	}
	none, err := notify.New(nil, nil, notify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	none.Start()() // nothing runs, so it needs no store
}

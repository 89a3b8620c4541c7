package notify_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/orders"
)

// An operator asks for an event to be retried while a try of it is under way. That try fails, and the request stays.
func TestARequestToRetryOutlivesATryUnderWay(t *testing.T) {
	l := newLog(t)
	var got heard
	var mended atomic.Bool
	var holds atomic.Pointer[chan struct{}] // the next try waits for it
	trying := make(chan struct{}, 1)
	reader := got.reader("r")
	reader.Handle = func(_ context.Context, events []domain.Event) error {
		if mended.Load() {
			got.add(events...)
			return nil
		}
		if release := holds.Swap(nil); release != nil {
			trying <- struct{}{}
			<-*release
		}
		return notify.Refused(errors.New("no template for this"))
	}
	l.write("bad", 1)
	l.start(brisk(), reader)
	l.eventually("it is set aside", func() bool { return l.state("r").Stuck == 1 })
	retry := func() {
		t.Helper()
		if n, err := l.store.RetrySetAside(t.Context(), "r", domain.EventID{}); err != nil || n > 1 {
			t.Fatalf("retried %d, %v", n, err)
		}
	}
	release := make(chan struct{})
	holds.Store(&release)
	retry()
	<-trying
	rows, err := l.store.SetAside(t.Context(), "r", nil, 10)
	if err != nil || len(rows) != 1 {
		t.Fatalf("set aside %v, %v", rows, err)
	}
	if n, err := l.store.RetrySetAside(t.Context(), "r", rows[0].Event); err != nil || n != 1 {
		t.Fatalf("asked again: %d, %v", n, err)
	}
	mended.Store(true) // what the operator mended, and the try under way does not know yet
	close(release)
	l.eventually("it is tried once more", func() bool { return got.count() == 1 })
	l.eventually("none is left", func() bool { return l.state("r").SetAside == 0 })
}

// safeBuffer is a log that many write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A reader that does not look at its context is named, and holds up neither the process's end nor another node's care for order: its
// lease is not given back.
func TestAReaderThatDoesNotReturnDoesNotKeepTheProcess(t *testing.T) {
	l := newLog(t)
	release := make(chan struct{})
	defer close(release)
	entered := make(chan struct{})
	var got heard
	stuck := notify.Reader{Name: "stuck", Handle: func(context.Context, []domain.Event) error {
		close(entered)
		<-release
		return nil
	}}
	var said safeBuffer
	o := brisk()
	o.StopGrace, o.Lease = 20*time.Millisecond, time.Minute
	o.Log = slog.New(slog.NewTextHandler(&said, nil))
	runner, err := notify.New(l.store.Readers(), []notify.Reader{stuck, got.reader("fine")}, o)
	if err != nil {
		t.Fatal(err)
	}
	stop := runner.Start()
	l.write("a", 1)
	<-entered
	l.eventually("the other reader has it", func() bool { return got.count() == 1 })
	stop()
	if log := said.String(); !strings.Contains(log, "does not stop") || !strings.Contains(log, "reader=stuck") || !strings.Contains(log, "event=evt_") {
		t.Errorf("the log does not say who hangs:\n%s", log)
	}
	if n := l.count(`SELECT count(*) FROM event_cursors WHERE reader = 'stuck' AND leased_until > clock_timestamp()`); n == 0 {
		t.Error("the leases of a reader that is still at it were given back")
	}
}

// away is a database that no node reaches while it is down.
type away struct {
	notify.Store
	down *atomic.Bool
}

var errDown = errors.New("connection refused")

func (a away) gone() error {
	if a.down.Load() {
		return errDown
	}
	return nil
}

func (a away) Events(ctx context.Context, q orders.EventQuery) (orders.EventPage, error) {
	if err := a.gone(); err != nil {
		return orders.EventPage{}, err
	}
	return a.Store.Events(ctx, q)
}

func (a away) EventHead(ctx context.Context) (domain.EventCursor, error) {
	if err := a.gone(); err != nil {
		return domain.EventCursor{}, err
	}
	return a.Store.EventHead(ctx)
}

func (a away) LeaseShards(ctx context.Context, l orders.Leasing) ([]orders.ReaderShard, map[string]int, error) {
	if err := a.gone(); err != nil {
		return nil, nil, err
	}
	return a.Store.LeaseShards(ctx, l)
}

func (a away) MoveShards(ctx context.Context, node, reader string, step orders.ReaderStep) (map[int]bool, error) {
	if err := a.gone(); err != nil {
		return nil, err
	}
	return a.Store.MoveShards(ctx, node, reader, step)
}

func (a away) SetAside(ctx context.Context, reader string, shards []int, limit int) ([]orders.AsideRow, error) {
	if err := a.gone(); err != nil {
		return nil, err
	}
	return a.Store.SetAside(ctx, reader, shards, limit)
}

// All nodes lose the database for longer than their leases. When it is back they go on by themselves: every event comes, each
// subject's in order, and what had been done and not kept comes again.
func TestAllNodesLoseTheDatabase(t *testing.T) {
	l := newLog(t)
	var down atomic.Bool
	var got heard
	o := brisk()
	o.Lease = 200 * time.Millisecond
	for range 2 {
		l.startOn(away{l.store.Readers(), &down}, o, got.reader("r"))
	}
	subjects := []string{"a", "b", "c", "d", "e"}
	write := func(n int) {
		for _, subject := range subjects {
			l.write(subject, n)
		}
	}
	write(0)
	l.eventually("both work", func() bool { return got.count() >= len(subjects) })
	down.Store(true)
	write(1)
	write(2)
	l.eventually("every lease has run out", func() bool {
		return l.count(`SELECT count(*) FROM event_cursors WHERE reader = 'r' AND leased_until < clock_timestamp()`) == domain.EventShards
	})
	down.Store(false)
	for _, subject := range subjects {
		l.eventually(subject+" has come to its end", func() bool { return slices.Contains(got.of(subject), "2") })
		var first []string
		for _, n := range got.of(subject) {
			if !slices.Contains(first, n) {
				first = append(first, n)
			}
		}
		if want := []string{"0", "1", "2"}; !slices.Equal(first, want) {
			t.Errorf("%s came as %v, want %v", subject, first, want)
		}
	}
	l.eventually("and is kept", func() bool { return l.state("r").LagEvents == 0 && l.state("r").Failing == 0 })
}

// After a release was rolled back its events are still there. They wait, and the error says what for.
func TestAnEventOfANewerReleaseWaitsAndSaysSo(t *testing.T) {
	l := newLog(t)
	var got heard
	reader := got.reader("r")
	reader.Handle = func(_ context.Context, events []domain.Event) error {
		if _, err := events[0].Data(); events[0].Type != domain.EventAuditBroken {
			return err
		}
		got.add(events...)
		return nil
	}
	l.exec(`INSERT INTO outbox (event, sale_id, payload) VALUES ('sale.moved', 'a', '{}')`)
	l.write("a", 1)
	l.start(brisk(), reader)
	l.eventually("it waits", func() bool { return l.state("r").Failing == 1 })
	state := l.state("r")
	if !strings.Contains(state.Error, "sale.moved") || !strings.Contains(state.Error, "run the release that wrote it") || state.SetAside != 0 {
		t.Errorf("%s, want it to name the type and what to do, and nothing set aside", strconv.Quote(state.Error))
	}
	if got.count() != 0 {
		t.Error("a later event of the sale came first")
	}
}

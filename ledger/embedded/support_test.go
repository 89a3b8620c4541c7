package embedded_test

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"go.uber.org/goleak"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/ledgertest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		realServer.stop()
		os.Exit(code)
	}))
}

// realServer is the TigerBeetle server that all tests of this binary share. It
// starts with the first test that asks for it.
var realServer shared

type shared struct {
	once    sync.Once
	server  *ledgertest.Server
	client  tb.Client
	dir     string
	failure error
}

// real returns a client of a real server, or skips the test where there is no
// server on PATH.
func real(t testing.TB) tb.Client {
	t.Helper()
	if _, err := exec.LookPath(ledgertest.Binary); err != nil {
		t.Skipf("SKIPPED: no %s program on PATH, so nothing was compared with a real TigerBeetle", ledgertest.Binary)
	}
	if a := os.Getenv("DBG_TB"); a != "" {
		realServer.once.Do(func() { realServer.client, realServer.failure = tb.NewClient(tb.ToUint128(0), []string{a}) })
		return realServer.client
	}
	realServer.once.Do(realServer.start)
	if realServer.failure != nil {
		t.Fatal(realServer.failure)
	}
	return realServer.client
}

func (s *shared) start() {
	if s.dir, s.failure = os.MkdirTemp("", "tigerbeetle"); s.failure != nil {
		return
	}
	if s.server, s.failure = ledgertest.Start(s.dir); s.failure != nil {
		return
	}
	s.client, s.failure = tb.NewClient(tb.ToUint128(0), []string{s.server.Address})
}

func (s *shared) stop() {
	if s.client != nil {
		s.client.Close()
	}
	if s.server != nil {
		_ = s.server.Stop()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// fakeClock stands still until a test moves it.
type fakeClock struct{ nanoseconds atomic.Int64 }

func newFakeClock() *fakeClock {
	c := &fakeClock{}
	c.nanoseconds.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *fakeClock) Now() time.Time          { return time.Unix(0, c.nanoseconds.Load()) }
func (c *fakeClock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// open opens an engine that is closed with the test.
func open(t testing.TB, dir string, options embedded.Options) *embedded.Engine {
	t.Helper()
	if options.Logger == nil {
		options.Logger = quiet
	}
	engine, err := embedded.Open(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}

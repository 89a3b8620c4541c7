package embedded_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"go.uber.org/goleak"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk/disktest"
	"boxoffice/ledger/embedded/tbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// tests stops the real server, if there is one, before leaks are looked for.
type tests struct{ *testing.M }

func (t tests) Run() int {
	defer realServer.stop()
	return t.M.Run()
}

// realServer is the TigerBeetle server that all tests of this binary share. It
// starts with the first test that asks for it.
var realServer shared

type shared struct {
	once    sync.Once
	server  *tbtest.Server
	client  tb.Client
	dir     string
	failure error
}

// real returns a client of a real server, or skips the test where there is no
// server on PATH.
func real(t testing.TB) tb.Client {
	t.Helper()
	tbtest.Need(t)
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
	if s.server, s.failure = tbtest.Start(s.dir); s.failure != nil {
		return
	}
	client, err := tb.NewClient(tb.ToUint128(0), []string{s.server.Address})
	s.client, s.failure = impatient{client}, err
}

// impatient ends the test binary when the server gives no answer. The client alone
// would wait for ever, and a server that meets what it did not expect is gone.
type impatient struct{ tb.Client }

const answerTimeout = 30 * time.Second

func within[Q, R any](question Q, ask func(Q) (R, error)) (R, error) {
	timer := time.AfterFunc(answerTimeout, func() {
		panic(fmt.Sprintf("the real TigerBeetle gave no answer within %v; it probably ended on this request: %s", answerTimeout, describe(question)))
	})
	defer timer.Stop()
	return ask(question)
}

func (c impatient) CreateAccounts(events []tb.Account) ([]tb.CreateAccountResult, error) {
	return within(events, c.Client.CreateAccounts)
}

func (c impatient) CreateTransfers(events []tb.Transfer) ([]tb.CreateTransferResult, error) {
	return within(events, c.Client.CreateTransfers)
}

func (c impatient) LookupAccounts(ids []tb.Uint128) ([]tb.Account, error) {
	return within(ids, c.Client.LookupAccounts)
}

func (c impatient) LookupTransfers(ids []tb.Uint128) ([]tb.Transfer, error) {
	return within(ids, c.Client.LookupTransfers)
}

func (c impatient) GetAccountTransfers(f tb.AccountFilter) ([]tb.Transfer, error) {
	return within(f, c.Client.GetAccountTransfers)
}

func (c impatient) GetAccountBalances(f tb.AccountFilter) ([]tb.AccountBalance, error) {
	return within(f, c.Client.GetAccountBalances)
}

func (c impatient) QueryAccounts(f tb.QueryFilter) ([]tb.Account, error) {
	return within(f, c.Client.QueryAccounts)
}

func (c impatient) QueryTransfers(f tb.QueryFilter) ([]tb.Transfer, error) {
	return within(f, c.Client.QueryTransfers)
}

func (c impatient) GetChangeEvents(f tb.ChangeEventsFilter) ([]tb.ChangeEvent, error) {
	return within(f, c.Client.GetChangeEvents)
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

var quiet = slog.New(slog.DiscardHandler)

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

// messages is a logger that remembers what was said.
type messages struct {
	mutex sync.Mutex
	said  []string
}

func (m *messages) logger() *slog.Logger { return slog.New(slog.NewTextHandler(m, nil)) }

func (m *messages) Write(line []byte) (int, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.said = append(m.said, string(line))
	return len(line), nil
}

// count is the number of lines with some words.
func (m *messages) count(words string) (count int) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, line := range m.said {
		if strings.Contains(line, words) {
			count++
		}
	}
	return count
}

func (m *messages) forget() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.said = nil
}

// sharedRoom is a disk where the log cannot grow while a snapshot is being written.
// The snapshot waits until that happens.
type sharedRoom struct {
	embedded.FileSystem
	snapshot atomic.Bool
	once     sync.Once
	refused  chan struct{}
}

func (d *sharedRoom) Create(name string) (embedded.File, error) {
	file, err := d.FileSystem.Create(name)
	if err == nil && strings.Contains(name, ".snapshot") {
		d.snapshot.Store(true)
	}
	return sharedFile{file, strings.TrimSuffix(name, ".tmp"), d}, err
}

func (d *sharedRoom) Remove(name string) error {
	if strings.Contains(name, ".snapshot") {
		d.snapshot.Store(false)
	}
	return d.FileSystem.Remove(name)
}

func (d *sharedRoom) Rename(from, to string) error {
	if strings.Contains(to, ".snapshot") {
		d.snapshot.Store(false)
	}
	return d.FileSystem.Rename(from, to)
}

type sharedFile struct {
	embedded.File
	name string
	disk *sharedRoom
}

func (f sharedFile) WriteAt(p []byte, at int64) (int, error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	switch {
	case strings.Contains(f.name, ".snapshot"):
		<-f.disk.refused
	case strings.HasSuffix(f.name, ".log") && at >= size && f.disk.snapshot.Load():
		f.disk.once.Do(func() { close(f.disk.refused) })
		return 0, disktest.ErrFull
	}
	return f.File.WriteAt(p, at)
}

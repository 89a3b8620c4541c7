package embedded_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk/disktest"
)

func TestASecondEngineOnTheDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, embedded.Options{})
	_, err := embedded.Open(dir, embedded.Options{Logger: quiet})
	if !errors.Is(err, embedded.ErrLocked) {
		t.Fatal(err)
	}
	if !containsAll(err.Error(), dir, fmt.Sprint(os.Getpid()), "stop that process") {
		t.Errorf("the message %q does not say what to do", err)
	}
	first.Close()
	open(t, dir, embedded.Options{})
}

func TestACorruptLogIsRefusedWithItsPlace(t *testing.T) {
	dir := t.TempDir()
	engine := open(t, dir, embedded.Options{})
	createAccounts(t, engine, 1)
	createAccounts(t, engine, 1)
	engine.Close()
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	content, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	content[4096+100] ^= 1
	if err := os.WriteFile(logs[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = embedded.Open(dir, embedded.Options{Logger: quiet})
	var corruption *embedded.CorruptionError
	if !errors.As(err, &corruption) || corruption.File != logs[0] || corruption.Offset != 4096 {
		t.Fatal(err)
	}
}

func TestATornTailIsClearedKeptAndReported(t *testing.T) {
	dir := t.TempDir()
	engine := open(t, dir, embedded.Options{})
	ids := createAccounts(t, engine, 1)
	engine.Close()
	if err := os.Remove(filepath.Join(dir, "CLOSED")); err != nil { // as if there had been a crash
		t.Fatal(err)
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	content, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	remains := content[2*4096 : 3*4096]
	remains[1000] = 1
	if err := os.WriteFile(logs[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	engine = open(t, dir, embedded.Options{})
	r := engine.Recovery()
	if r.TornBytes != int64(len(content))-2*4096 || r.TornFile != logs[0] || r.AccountsCount != 1 || r.Closed {
		t.Fatalf("%+v", r)
	}
	if kept, err := os.ReadFile(r.TornKept); err != nil || !bytes.Equal(kept, remains) {
		t.Fatalf("%d bytes were kept: %v", len(kept), err)
	}
	if found, err := engine.LookupAccounts(ids); err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	engine.Close()
	if r := open(t, dir, embedded.Options{}).Recovery(); r.TornBytes != 0 || !r.Closed {
		t.Fatalf("%+v", r)
	}
}

// TestASecondEngineIsRefusedWhateverBecomesOfTheLock removes what a second engine
// could take for the lock.
func TestASecondEngineIsRefusedWhateverBecomesOfTheLock(t *testing.T) {
	for name, change := range map[string]func(lock string) error{
		"removed":  os.Remove,
		"renamed":  func(lock string) error { return os.Rename(lock, lock+".old") },
		"replaced": func(lock string) error { return errors.Join(os.Remove(lock), os.WriteFile(lock, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := open(t, dir, embedded.Options{})
			if err := change(filepath.Join(dir, "LOCK")); err != nil {
				t.Fatal(err)
			}
			second, err := embedded.Open(dir, embedded.Options{Logger: quiet})
			if err == nil {
				second.Close()
			}
			if !errors.Is(err, embedded.ErrLocked) {
				t.Fatal(err)
			}
			first.Close()
			open(t, dir, embedded.Options{})
		})
	}
}

func TestAClosedEngineAnswersLikeAClosedClient(t *testing.T) {
	engine := open(t, t.TempDir(), embedded.Options{})
	engine.Close()
	engine.Close() // twice is no harm
	_, err := engine.CreateAccounts([]tb.Account{{}})
	_, err2 := engine.CreateTransfers(make([]tb.Transfer, embedded.BatchEventsMax+1))
	_, err3 := engine.LookupAccounts(nil)
	_, err4 := engine.QueryTransfers(tb.QueryFilter{Limit: 1})
	_, err5 := engine.GetChangeEvents(tb.ChangeEventsFilter{Limit: 1})
	for i, err := range []error{err, err2, err3, err4, err5, engine.Nop()} {
		if !errors.Is(err, tb.ErrClientClosed) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
}

func TestCloseAnswersWhatItHasTaken(t *testing.T) {
	engine := open(t, t.TempDir(), embedded.Options{})
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for {
				results, err := engine.CreateAccounts([]tb.Account{{ID: tb.ID(), Ledger: 1, Code: 1}})
				switch {
				case errors.Is(err, tb.ErrClientClosed):
					return
				case err != nil || results[0].Status != tb.AccountCreated:
					t.Error(results, err)
					return
				}
			}
		})
	}
	engine.Close()
	group.Wait()
}

func TestTimestampsGrowWhenTheClockStepsBackAcrossARestart(t *testing.T) {
	clock := newFakeClock()
	files := disktest.New()
	options := embedded.Options{Clock: clock, FileSystem: files}
	last := uint64(0)
	for range 5 {
		engine := open(t, "ledger", options)
		for range 3 {
			results, err := engine.CreateAccounts([]tb.Account{{ID: tb.ID(), Ledger: 1, Code: 1}, {}})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Timestamp <= last {
					t.Fatalf("timestamp %d after %d", r.Timestamp, last)
				}
				last = r.Timestamp
			}
			clock.advance(-time.Hour)
		}
		engine.Close()
	}
}

func TestHoldsExpireAtTheirDeadlineAlsoWhileTheEngineIsDown(t *testing.T) {
	for _, c := range []struct {
		name    string
		restart bool
	}{{"running", false}, {"down", true}} {
		t.Run(c.name, func(t *testing.T) {
			clock := newFakeClock()
			files := disktest.New()
			options := embedded.Options{Clock: clock, FileSystem: files, PulseInterval: time.Millisecond}
			engine := open(t, "ledger", options)
			ids := createAccounts(t, engine, 2)
			hold := func() (tb.Transfer, uint64) {
				transfer := tb.Transfer{
					ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(5),
					Ledger: 1, Code: 1, Flags: flagPending, Timeout: 600,
				}
				results, err := engine.CreateTransfers([]tb.Transfer{transfer})
				if err != nil || results[0].Status != tb.TransferCreated {
					t.Fatal(results, err)
				}
				return transfer, results[0].Timestamp
			}
			held, created := hold()
			if c.restart {
				engine.Close()
			}
			// A nanosecond before the deadline nothing expires; the request that looks
			// takes no timestamp.
			clock.nanoseconds.Store(int64(created) + 600e9 - 1)
			if c.restart {
				engine = open(t, "ledger", options)
			}
			if got := pendingOf(t, engine, ids[0]); got != 5 {
				t.Fatalf("pending %d before the deadline", got)
			}
			clock.nanoseconds.Store(int64(created) + 600e9)
			if got := pendingOf(t, engine, ids[0]); got != 0 {
				t.Fatalf("pending %d at the deadline", got)
			}
			results, err := engine.CreateTransfers([]tb.Transfer{{ID: tb.ID(), PendingID: held.ID, Amount: tb.AmountMax, Flags: flagPost}})
			if err != nil || results[0].Status != tb.TransferPendingTransferExpired {
				t.Fatal(results, err)
			}
		})
	}
}

func pendingOf(t *testing.T, client tb.Client, account tb.Uint128) uint64 {
	t.Helper()
	found, err := client.LookupAccounts([]tb.Uint128{account})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	pending, _ := found[0].DebitsPending.Uint64()
	return pending
}

// TestAnIdleEngineExpires sends no request at all after the hold: the log itself
// shows that it expired.
func TestAnIdleEngineExpires(t *testing.T) {
	clock := newFakeClock()
	files := disktest.New()
	options := embedded.Options{Clock: clock, FileSystem: files, PulseInterval: time.Millisecond}
	engine := open(t, "ledger", options)
	ids := createAccounts(t, engine, 2)
	if _, err := engine.CreateTransfers([]tb.Transfer{{
		ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(5), Ledger: 1, Code: 1, Flags: flagPending, Timeout: 1,
	}}); err != nil {
		t.Fatal(err)
	}
	flushed := make(chan struct{}, 16)
	files.FailAt(func(_ int, operation disktest.Operation, _ string) disktest.Fault {
		if operation == disktest.Sync {
			flushed <- struct{}{}
		}
		return disktest.None
	})
	clock.advance(2 * time.Second)
	select {
	case <-flushed:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was written")
	}
	files.FailAt(nil)
	engine.Close()
	if r := open(t, "ledger", options).Recovery(); r.TimestampHighest < uint64(clock.Now().UnixNano()) {
		t.Fatalf("the expiry is not in the log: %+v", r)
	}
}

func TestAPostAtTheDeadlineIsTooLateAndOneBeforeIsInTime(t *testing.T) {
	clock := newFakeClock()
	engine := open(t, "ledger", embedded.Options{Clock: clock, FileSystem: disktest.New()})
	ids := createAccounts(t, engine, 2)
	for _, c := range []struct {
		before int64
		want   tb.CreateTransferStatus
	}{{1, tb.TransferCreated}, {0, tb.TransferPendingTransferExpired}} {
		hold := tb.Transfer{
			ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(5), Ledger: 1, Code: 1, Flags: flagPending, Timeout: 1,
		}
		results, err := engine.CreateTransfers([]tb.Transfer{hold})
		if err != nil {
			t.Fatal(err)
		}
		clock.nanoseconds.Store(int64(results[0].Timestamp) + 1e9 - c.before)
		results, err = engine.CreateTransfers([]tb.Transfer{{ID: tb.ID(), PendingID: hold.ID, Amount: tb.AmountMax, Flags: flagPost}})
		if err != nil || results[0].Status != c.want {
			t.Fatalf("%d ns before: %v, %v", c.before, results, err)
		}
	}
}

// TestAPostBehindTheDeadlineWithinItsRequest is late by its own timestamp, though
// the request began before the deadline.
func TestAPostBehindTheDeadlineWithinItsRequest(t *testing.T) {
	clock := newFakeClock()
	engine := open(t, "ledger", embedded.Options{Clock: clock, FileSystem: disktest.New()})
	ids := createAccounts(t, engine, 2)
	hold := tb.Transfer{
		ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(5), Ledger: 1, Code: 1, Flags: flagPending, Timeout: 1,
	}
	results, err := engine.CreateTransfers([]tb.Transfer{hold})
	if err != nil {
		t.Fatal(err)
	}
	clock.nanoseconds.Store(int64(results[0].Timestamp) + 1e9 - 1)
	filler := tb.Transfer{ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Ledger: 1, Code: 1}
	results, err = engine.CreateTransfers([]tb.Transfer{filler, {ID: tb.ID(), PendingID: hold.ID, Amount: tb.AmountMax, Flags: flagPost}})
	if err != nil || results[1].Status != tb.TransferPendingTransferExpired {
		t.Fatal(results, err)
	}
}

// TestAllHoldsEndWhenMoreAreDueThanOnePulseTakes keeps sending requests meanwhile.
func TestAllHoldsEndWhenMoreAreDueThanOnePulseTakes(t *testing.T) {
	const batches = 3
	clock := newFakeClock()
	engine := open(t, "ledger", embedded.Options{Clock: clock, FileSystem: disktest.New(), PulseInterval: time.Hour})
	ids := createAccounts(t, engine, 2)
	for range batches {
		transfers := make([]tb.Transfer, embedded.BatchEventsMax)
		for i := range transfers {
			transfers[i] = tb.Transfer{
				ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(1), Ledger: 1, Code: 1, Flags: flagPending, Timeout: 60,
			}
		}
		if _, err := engine.CreateTransfers(transfers); err != nil {
			t.Fatal(err)
		}
	}
	clock.advance(time.Hour)
	waitFor(t, "all holds end", func() bool { return pendingOf(t, engine, ids[0]) == 0 })
}

func TestTheTimeoutOverflowsInTheFarFuture(t *testing.T) {
	clock := newFakeClock()
	clock.nanoseconds.Store(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	engine := open(t, "ledger", embedded.Options{Clock: clock, FileSystem: disktest.New()})
	ids := createAccounts(t, engine, 2)
	transfer := tb.Transfer{
		ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(5), Ledger: 1, Code: 1,
		Flags: flagPending, Timeout: 1<<32 - 1,
	}
	results, err := engine.CreateTransfers([]tb.Transfer{transfer})
	if err != nil || results[0].Status != tb.TransferOverflowsTimeout {
		t.Fatal(results, err)
	}
}

func TestAClockBeforeTheEpochIsNoTrouble(t *testing.T) {
	clock := newFakeClock()
	clock.nanoseconds.Store(-5)
	engine := open(t, "ledger", embedded.Options{Clock: clock, FileSystem: disktest.New()})
	createAccounts(t, engine, 2)
}

func TestBurntIDsStayBurntAcrossRestartsAndSnapshots(t *testing.T) {
	files := disktest.New()
	for _, snapshotAt := range []int64{1 << 30, 1} {
		options := embedded.Options{FileSystem: files, SnapshotLogBytes: snapshotAt}
		engine := open(t, "ledger", options)
		ids := createAccounts(t, engine, 2)
		transfer := tb.Transfer{ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: tb.ID(), Ledger: 1, Code: 1}
		for restart, want := range []tb.CreateTransferStatus{tb.TransferCreditAccountNotFound, tb.TransferIDAlreadyFailed, tb.TransferIDAlreadyFailed} {
			results, err := engine.CreateTransfers([]tb.Transfer{transfer})
			if err != nil || results[0].Status != want {
				t.Fatalf("restart %d: %v, %v, want %v", restart, results, err, want)
			}
			transfer.CreditAccountID = ids[1] // it would succeed now
			engine.Close()
			engine = open(t, "ledger", options)
		}
		engine.Close()
	}
}

// TestConcurrentRequestsShareAFlush holds up one flush: what arrives meanwhile is
// made durable by the next one, together.
func TestConcurrentRequestsShareAFlush(t *testing.T) {
	const callers = 50
	files := disktest.New()
	engine := open(t, "ledger", embedded.Options{FileSystem: files})
	ids := createAccounts(t, engine, 2)
	flushes := 0
	entered, release := make(chan struct{}), make(chan struct{})
	files.FailAt(func(_ int, operation disktest.Operation, _ string) disktest.Fault {
		if operation == disktest.Sync {
			if flushes++; flushes == 1 {
				close(entered)
				<-release
			}
		}
		return disktest.None
	})
	send := func() {
		results, err := engine.CreateTransfers([]tb.Transfer{{
			ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Ledger: 1, Code: 1,
		}})
		if err != nil || results[0].Status != tb.TransferCreated {
			t.Error(results, err)
		}
	}
	var group sync.WaitGroup
	group.Go(send)
	<-entered
	for range callers {
		group.Go(send)
	}
	waitFor(t, "all callers wait", func() bool { return embedded.Waiting(engine) == callers })
	close(release)
	group.Wait()
	files.FailAt(nil)
	if flushes != 2 {
		t.Errorf("%d flushes for %d requests", flushes, callers+1)
	}
}

// TestALongQueryHoldsUpNobody counts the requests that are answered one after the other
// while a query is under way that has to look at every record.
func TestALongQueryHoldsUpNobody(t *testing.T) {
	const meanwhile = 10
	engine := open(t, "ledger", embedded.Options{FileSystem: disktest.New()})
	ids := createAccounts(t, engine, 2)
	transfers := make([]tb.Transfer, embedded.BatchEventsMax)
	for i := range transfers {
		transfers[i] = tb.Transfer{
			ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Ledger: 1, Code: uint16(1 + i%2), UserData32: uint32(2 - i%2),
		}
	}
	if _, err := engine.CreateTransfers(transfers); err != nil {
		t.Fatal(err)
	}
	if err := embedded.StepRows(engine, 1); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a query lasts for some requests", func() bool {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			found, err := engine.QueryTransfers(tb.QueryFilter{Code: 1, UserData32: 1, Limit: 10})
			if err != nil || len(found) != 0 {
				t.Error(found, err)
			}
		}()
		for requests := 0; ; requests++ {
			transfer(t, engine, ids)
			select {
			case <-answered:
				return requests >= meanwhile
			default:
			}
		}
	})
}

// TestQueriesUnderWayAreAnsweredWhateverHappens closes the engine, and breaks its disk,
// while more queries are under way than go on in steps.
func TestQueriesUnderWayAreAnsweredWhateverHappens(t *testing.T) {
	const queries = 200
	for _, c := range []struct {
		name string
		want error
	}{{"closed", nil}, {"the disk fails", embedded.ErrStopped}} {
		t.Run(c.name, func(t *testing.T) {
			files := disktest.New()
			engine := open(t, "ledger", embedded.Options{FileSystem: files})
			ids := createAccounts(t, engine, 2)
			for range 500 {
				transfer(t, engine, ids)
			}
			if err := embedded.StepRows(engine, 1); err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			var answered, refused atomic.Int64
			for range queries {
				group.Go(func() {
					found, err := engine.QueryTransfers(tb.QueryFilter{Limit: 1000})
					switch {
					case err == nil && len(found) == 500:
						answered.Add(1)
					case errors.Is(err, tb.ErrClientClosed), c.want != nil && errors.Is(err, c.want):
						refused.Add(1)
					default:
						t.Error(len(found), err)
					}
				})
			}
			if c.want != nil {
				files.FailAt(func(int, disktest.Operation, string) disktest.Fault { return disktest.Fail })
				_, _ = engine.CreateAccounts([]tb.Account{{}})
			} else {
				engine.Close()
			}
			group.Wait()
			if answered.Load()+refused.Load() != queries {
				t.Errorf("%d answered, %d refused", answered.Load(), refused.Load())
			}
		})
	}
}

// TestAFullLedgerRefusesWhatMayNotFit answers everything else, and is the same after a
// restart.
func TestAFullLedgerRefusesWhatMayNotFit(t *testing.T) {
	files := disktest.New()
	engine := open(t, "ledger", embedded.Options{FileSystem: files})
	ids := createAccounts(t, engine, 2)
	if err := embedded.LimitRows(engine, 3); err != nil {
		t.Fatal(err)
	}
	move := func() tb.Transfer {
		return tb.Transfer{ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(1), Ledger: 1, Code: 1}
	}
	transfer(t, engine, ids)
	before := contents(engine)
	if _, err := engine.CreateTransfers([]tb.Transfer{move(), move(), move()}); !errors.Is(err, embedded.ErrFull) {
		t.Fatalf("three transfers, where two fit: %v", err)
	}
	if _, err := engine.CreateAccounts(make([]tb.Account, 2)); !errors.Is(err, embedded.ErrFull) {
		t.Fatalf("two accounts, where one fits: %v", err)
	}
	if after := contents(engine); after != before {
		t.Fatalf("before\n%s\nafter\n%s", before, after)
	}
	transfer(t, engine, ids)
	transfer(t, engine, ids)
	if _, err := engine.CreateTransfers([]tb.Transfer{move()}); !errors.Is(err, embedded.ErrFull) {
		t.Fatalf("one more: %v", err)
	}
	before = contents(engine)
	engine.Close()
	if after := contents(open(t, "ledger", embedded.Options{FileSystem: files})); after != before {
		t.Fatalf("before\n%s\nafter a restart\n%s", before, after)
	}
}

func containsAll(text string, words ...string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // between two looks at a condition
	}
}

func TestUnusableOptionsAreRefused(t *testing.T) {
	for _, options := range []embedded.Options{{SnapshotLogBytes: -1}, {PulseInterval: -1}} {
		if _, err := embedded.Open(t.TempDir(), options); err == nil {
			t.Errorf("%+v were accepted", options)
		}
	}
}

func TestADirectoryThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Open(filepath.Join(file, "ledger"), embedded.Options{Logger: quiet}); err == nil {
		t.Fatal("no error")
	}
}

// seeded returns a source of random numbers whose seed is in the test's log.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

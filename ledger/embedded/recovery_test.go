package embedded_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"pgregory.net/rapid"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk/disktest"
	"boxoffice/ledger/embedded/internal/model"
)

// TestCrashAnywhere runs random histories, and fails or crashes the machine at a
// random operation on the disk: a write, a flush, a rename, a removal, of the log
// or of a snapshot. What the next start finds must be exactly what had been
// acknowledged, and at most the request whose outcome was unknown besides. Then it
// goes on from there, several times.
func TestCrashAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newFakeClock()
		files := disktest.New()
		options := embedded.Options{Clock: clock, Logger: quiet, SnapshotLogBytes: 3 * 4096}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		g := &generator{t: t, base: power(64), ledger: 1, timeouts: []uint32{0, 1, 2}, exclusive: true}
		acknowledged := model.New(clock.Now)
		var engine *embedded.Engine
		defer func() {
			if engine != nil {
				engine.Close()
			}
		}()

		for cycle := range 4 {
			options.FileSystem = files
			engine = openAfterCrash(t, options)
			if cycle == 0 {
				(&comparison{t: t, g: g, left: acknowledged, right: engine}).createAccounts(g.firstAccounts())
			}
			failAt(files, rapid.IntRange(0, 40).Draw(t, "fail at"), rapid.SampledFrom(faults).Draw(t, "fault"))
			unknown := runUntilFailure(t, g, clock, engine, acknowledged)
			engine.Close()
			files = end(t, files, random)
			if rapid.IntRange(0, 3).Draw(t, "fail in recovery") == 0 {
				files = failInRecovery(t, files, options, random)
			}
			options.FileSystem = files
			engine = openAfterCrash(t, options)
			acknowledged = survivor(t, engine, acknowledged, unknown)
			engine.Close()
		}
	})
}

// end is the power cut, or just the end of the process.
func end(t *rapid.T, files *disktest.Disk, random *rand.Rand) *disktest.Disk {
	if rapid.Bool().Draw(t, "power cut") {
		files.Crash()
		return files.Reboot(random)
	}
	return files.Restart()
}

// failInRecovery starts the engine on a disk that fails while it recovers.
func failInRecovery(t *rapid.T, files *disktest.Disk, options embedded.Options, random *rand.Rand) *disktest.Disk {
	failAt(files, rapid.IntRange(0, 6).Draw(t, "fail at"), rapid.SampledFrom(faults).Draw(t, "fault"))
	options.FileSystem = files
	if engine, err := embedded.Open("ledger", options); err == nil {
		engine.Close()
	} else if errors.Is(err, embedded.ErrCorrupt) {
		t.Fatalf("a failing disk is not a corrupt one: %v", err)
	}
	return end(t, files, random)
}

var faults = []disktest.Fault{
	disktest.CrashBefore, disktest.CrashAfter, disktest.Fail, disktest.Partial,
}

// failAt makes the operations from a step on fail.
func failAt(files *disktest.Disk, at int, fault disktest.Fault) {
	files.FailAt(func(step int, _ disktest.Operation, _ string) disktest.Fault {
		if step < at {
			return disktest.None
		}
		return fault
	})
}

// openAfterCrash opens the ledger: whatever a crash left, that must succeed.
func openAfterCrash(t *rapid.T, options embedded.Options) *embedded.Engine {
	engine, err := embedded.Open("ledger", options)
	if err != nil {
		t.Fatalf("open after a crash: %v", err)
	}
	return engine
}

// runUntilFailure sends requests to the engine and, once acknowledged, to the
// model. It returns the model as it would be with the request that met the
// failure, or nil.
func runUntilFailure(t *rapid.T, g *generator, clock *fakeClock, engine *embedded.Engine, acknowledged *model.Ledger) (unknown *model.Ledger) {
	for range 30 {
		if rapid.IntRange(0, 9).Draw(t, "step") == 0 {
			clock.advance(g.step())
		}
		if err := settle(engine, acknowledged); err != nil {
			mustBeStopped(t, engine, err)
			return nil
		}
		events := g.createTransfers()
		got, err := engine.CreateTransfers(events)
		if errors.Is(err, embedded.ErrOutcomeUnknown) {
			unknown = acknowledged.Clone()
			_, _ = unknown.CreateTransfers(events)
			mustBeStopped(t, engine, nil)
			return unknown
		}
		if err != nil {
			mustBeStopped(t, engine, err)
			return nil
		}
		want, _ := acknowledged.CreateTransfers(events)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s\n got %v\nwant %v", describe(events), got, want)
		}
		for _, r := range got {
			g.saw(r.Timestamp)
			if r.Status == tb.TransferCreated {
				g.lastTransfer = max(g.lastTransfer, r.Timestamp)
			}
		}
	}
	return nil
}

// mustBeStopped checks that after a failure nothing succeeds any more.
func mustBeStopped(t *rapid.T, engine *embedded.Engine, err error) {
	if err != nil && !errors.Is(err, embedded.ErrStopped) {
		t.Fatalf("a failure of the disk answered %v", err)
	}
	if _, err := engine.CreateAccounts([]tb.Account{{ID: tb.ToUint128(1), Ledger: 1, Code: 1}}); !errors.Is(err, embedded.ErrStopped) {
		t.Fatalf("a write after the failure: %v", err)
	}
	if _, err := engine.LookupAccounts([]tb.Uint128{tb.ToUint128(1)}); !errors.Is(err, embedded.ErrStopped) {
		t.Fatalf("a read after the failure: %v", err)
	}
}

// survivor decides which of the possible states the engine is in.
func survivor(t *rapid.T, engine *embedded.Engine, acknowledged, unknown *model.Ledger) *model.Ledger {
	possible := []*model.Ledger{acknowledged}
	if unknown != nil {
		possible = append(possible, unknown)
	}
	if err := settle(engine, possible...); err != nil {
		t.Fatal(err)
	}
	got := dump(engine)
	for _, state := range possible {
		if got == dump(state) {
			return state
		}
	}
	t.Fatalf("after the crash\n got %s\nwant %s", got, dump(acknowledged))
	return nil
}

// dump is everything that a ledger answers about itself, and the timestamp that
// comes next: a request that changes nothing still takes some, one more shows them.
func dump(client tb.Client) string {
	all := contents(client)
	probe, err := client.CreateAccounts([]tb.Account{{}})
	return fmt.Sprintf("%v\n%v %v", all, probe, err)
}

// contents is everything that a ledger answers about itself.
func contents(client tb.Client) string {
	accounts, err := client.QueryAccounts(tb.QueryFilter{Limit: embedded.BatchEventsMax})
	transfers, err2 := client.QueryTransfers(tb.QueryFilter{Limit: embedded.BatchEventsMax})
	events, err3 := client.GetChangeEvents(tb.ChangeEventsFilter{Limit: embedded.ChangeEventsMax})
	if err := errors.Join(err, err2, err3); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%v\n%v\n%v", accounts, transfers, events)
}

// TestASnapshotChangesNothing works until snapshots have replaced the log a few
// times, then compares the ledger before and after a restart.
func TestASnapshotChangesNothing(t *testing.T) {
	const snapshots = 3
	files := disktest.New()
	var written atomic.Int32
	files.FailAt(func(_ int, operation disktest.Operation, name string) disktest.Fault {
		if operation == disktest.Rename && strings.HasSuffix(name, ".snapshot") {
			written.Add(1)
		}
		return disktest.None
	})
	options := embedded.Options{FileSystem: files, Logger: quiet, SnapshotLogBytes: 1}
	engine := open(t, "ledger", options)
	ids := createAccounts(t, engine, 2)
	for i := uint64(0); ; i++ {
		transfer := tb.Transfer{ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(i), Ledger: 1, Code: 1}
		if _, err := engine.CreateTransfers([]tb.Transfer{transfer}); err != nil {
			t.Fatal(err)
		}
		if int(written.Load()) >= snapshots {
			break
		}
	}
	before := contents(engine)
	engine.Close()
	if names := files.Names(); len(names) > 6 {
		t.Errorf("the snapshots did not replace the logs: %d files %v", len(names), names)
	}
	engine = open(t, "ledger", options)
	if engine.Recovery().Snapshot == "" {
		t.Fatal("no snapshot was loaded")
	}
	if after := contents(engine); after != before {
		t.Fatalf("before\n%s\nafter\n%s", before, after)
	}
}

func createAccounts(t testing.TB, client tb.Client, count int) []tb.Uint128 {
	t.Helper()
	accounts := make([]tb.Account, count)
	ids := make([]tb.Uint128, count)
	for i := range accounts {
		ids[i] = tb.ID()
		accounts[i] = tb.Account{ID: ids[i], Ledger: 1, Code: 1}
	}
	results, err := client.CreateAccounts(accounts)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Status != tb.AccountCreated {
			t.Fatal(r)
		}
	}
	return ids
}

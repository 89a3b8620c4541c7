package embedded_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk/disktest"
)

// aStoredLedger is a disk with a ledger of a snapshot and at least two logs, the second
// of several requests, and what the ledger contains: all, and all but the last request.
func aStoredLedger(t *testing.T) (files *disktest.Disk, want, before string) {
	t.Helper()
	files = disktest.New()
	options := embedded.Options{FileSystem: files, Clock: newFakeClock(), SnapshotLogBytes: 40 << 10}
	snapshots := 0
	files.FailAt(func(_ int, operation disktest.Operation, name string) disktest.Fault {
		switch {
		case operation == disktest.Rename && strings.HasSuffix(name, ".snapshot"):
			snapshots++
		case operation == disktest.Create && strings.Contains(name, ".snapshot") && snapshots > 0:
			return disktest.Fail // so that there are two logs behind the first
		}
		return disktest.None
	})
	engine := open(t, "ledger", options)
	ids := createAccounts(t, engine, 3)
	request := func(count int) {
		transfers := make([]tb.Transfer, count)
		for i := range transfers {
			transfers[i] = tb.Transfer{
				ID: tb.ID(), DebitAccountID: ids[i%2], CreditAccountID: ids[2], Amount: tb.ToUint128(uint64(i)), Ledger: 1, Code: 1,
			}
		}
		if _, err := engine.CreateTransfers(transfers); err != nil {
			t.Fatal(err)
		}
	}
	has := func(suffix string, count int) bool {
		names := slices.DeleteFunc(files.Names(), func(name string) bool { return !strings.HasSuffix(name, suffix) })
		return len(names) >= count
	}
	for i := 0; !has(".snapshot", 1) || !has(".log", 2); i++ {
		request(1 + i%37)
	}
	for i := range 9 {
		before = contents(engine)
		request(1 + i*11%37)
	}
	want = contents(engine)
	engine.Close()
	files.FailAt(nil)
	return files, want, before
}

// TestDamageIsFound damages stored ledgers at random, as disks and people do. What
// opens has all that was acknowledged; where no close was marked, as after a crash, at
// most the last request may be missing, for it may never have been acknowledged.
func TestDamageIsFound(t *testing.T) {
	random := seeded(t)
	files, want, before := aStoredLedger(t)
	const block, sector = 4096, 512
	ways := []struct {
		name   string
		damage func(b []byte, at int) []byte
	}{
		{"a bit", func(b []byte, at int) []byte { b[at] ^= 1 << random.IntN(8); return b }},
		{"a sector of zeros", func(b []byte, at int) []byte { clear(part(b, at, sector)); return b }},
		{"a block of zeros", func(b []byte, at int) []byte { clear(part(b, at, block)); return b }},
		{"a sector of anything", func(b []byte, at int) []byte {
			for i := range part(b, at, sector) {
				part(b, at, sector)[i] = byte(random.Uint32())
			}
			return b
		}},
		{"a block of another place", func(b []byte, at int) []byte {
			copy(part(b, at, block), slices.Clone(part(b, random.IntN(len(b)), block)))
			return b
		}},
		{"cut", func(b []byte, at int) []byte { return b[:at] }},
		{"a block gone", func(b []byte, at int) []byte {
			at = at / block * block
			return append(b[:at], b[min(at+block, len(b)):]...)
		}},
		{"all gone", func([]byte, int) []byte { return nil }},
	}
	counts := map[string]int{}
	for range 600 {
		damaged := files.Clone()
		closed := random.IntN(3) > 0
		if !closed {
			_ = damaged.Remove("ledger/CLOSED")
		}
		names := damaged.Names()
		name := names[random.IntN(len(names))]
		way := ways[random.IntN(len(ways))]
		content := damaged.Content(name)
		used := (len(strings.TrimRight(string(content), "\x00"))/block + 2) * block
		at := random.IntN(min(len(content), used))
		if changed := way.damage(content, at); changed == nil {
			_ = damaged.Remove(name)
		} else {
			damaged.SetContent(name, changed)
		}
		what := fmt.Sprintf("%s: %s at %d, closed %v", filepath.Base(name), way.name, at, closed)
		engine, err := embedded.Open("ledger", embedded.Options{FileSystem: damaged, Logger: quiet, Clock: newFakeClock()})
		switch {
		case errors.Is(err, embedded.ErrCorrupt), errors.Is(err, embedded.ErrNewerFormat):
			counts["refused"]++
			continue
		case err != nil:
			t.Fatalf("%s: refused, but not as corrupt: %v", what, err)
		}
		got := contents(engine)
		torn := engine.Recovery().TornBytes > 0
		engine.Close()
		switch {
		case got == want:
			counts["nothing lost"]++
		case got == before && !closed:
			counts["the last request lost"]++
			if !torn && way.name != "a block of zeros" && way.name != "a block of another place" {
				t.Errorf("%s: the last request is lost, and nothing says so", what)
			}
		default:
			t.Errorf("%s: opened, and something else is lost", what)
		}
	}
	t.Log(counts)
	if counts["refused"] == 0 || counts["nothing lost"] == 0 {
		t.Error("the test tests too little")
	}
}

// part is the block or sector that an offset is in.
func part(b []byte, at, size int) []byte {
	at = at / size * size
	return b[at:min(at+size, len(b))]
}

// TestNothingOfAShortenedLogIsTakenForTheWhole is the log of a ledger that nobody
// closed, cut off in a copy.
func TestNothingOfAShortenedLogIsTakenForTheWhole(t *testing.T) {
	dir := t.TempDir()
	engine := open(t, dir, embedded.Options{})
	ids := createAccounts(t, engine, 2)
	for range 100 {
		transfer(t, engine, ids)
	}
	engine.Close()
	if err := os.Remove(filepath.Join(dir, "CLOSED")); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "0000000000000001.log")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 3 * 4096, 3*4096 + 50, len(whole) - 4096, len(whole) - 1} {
		if err := os.WriteFile(name, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		var corruption *embedded.CorruptionError
		if _, err := embedded.Open(dir, embedded.Options{Logger: quiet}); !errors.As(err, &corruption) || corruption.File != name {
			t.Fatalf("cut to %d of %d bytes: %v", size, len(whole), err)
		}
		if left, err := os.ReadFile(name); err != nil || len(left) != size {
			t.Fatalf("cut to %d bytes: %d are left: %v", size, len(left), err)
		}
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := open(t, dir, embedded.Options{}).Recovery(); r.TransfersCount != 100 {
		t.Fatalf("%+v", r)
	}
}

func transfer(t testing.TB, engine *embedded.Engine, ids []tb.Uint128) {
	t.Helper()
	results, err := engine.CreateTransfers([]tb.Transfer{{
		ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Amount: tb.ToUint128(1), Ledger: 1, Code: 1,
	}})
	if err != nil || results[0].Status != tb.TransferCreated {
		t.Fatal(results, err)
	}
}

// TestALedgerWithoutItsNewestLogIsRefused has a snapshot given up in between, so that
// older logs are there that look complete; with and without a close in order.
func TestALedgerWithoutItsNewestLogIsRefused(t *testing.T) {
	for _, closed := range []bool{true, false} {
		files := disktest.New()
		files.FailAt(func(_ int, operation disktest.Operation, name string) disktest.Fault {
			if operation == disktest.Create && strings.Contains(name, ".snapshot") {
				return disktest.Fail
			}
			return disktest.None
		})
		options := embedded.Options{FileSystem: files, SnapshotLogBytes: 3 * 4096}
		engine := open(t, "ledger", options)
		ids := createAccounts(t, engine, 2)
		for range 8 {
			transfer(t, engine, ids)
		}
		engine.Close()
		logs := slices.DeleteFunc(files.Names(), func(name string) bool { return !strings.HasSuffix(name, ".log") })
		if len(logs) < 2 {
			t.Fatal(logs)
		}
		newest := logs[len(logs)-1]
		if !closed {
			if err := files.Remove("ledger/CLOSED"); err != nil {
				t.Fatal(err)
			}
		}
		lost := files.Content(newest)
		if err := files.Remove(newest); err != nil {
			t.Fatal(err)
		}
		var corruption *embedded.CorruptionError
		if _, err := embedded.Open("ledger", embedded.Options{FileSystem: files, Logger: quiet}); !errors.As(err, &corruption) || corruption.File != newest {
			t.Fatalf("closed %v: %v", closed, err)
		}
		files.SetContent(newest, lost)
		if r := open(t, "ledger", embedded.Options{FileSystem: files}).Recovery(); r.TransfersCount != 8 {
			t.Fatalf("%+v", r)
		}
	}
}

// roomFor is a disk without room for snapshots, while full says so.
type roomFor struct {
	embedded.FileSystem
	full func() bool
}

func (d roomFor) Create(name string) (embedded.File, error) {
	file, err := d.FileSystem.Create(name)
	if err == nil && strings.Contains(name, ".snapshot") {
		return fullFile{file, d}, nil
	}
	return file, err
}

type fullFile struct {
	embedded.File
	disk roomFor
}

func (f fullFile) WriteAt(p []byte, at int64) (int, error) {
	if at > 4096 && f.disk.full() {
		return 0, &fs.PathError{Op: "write", Path: "snapshot", Err: disktest.ErrFull}
	}
	return f.File.WriteAt(p, at)
}

// TestWithoutRoomForASnapshotTheLedgerGoesOn restarts a few times on a disk that has
// room for the log only, then gets room.
func TestWithoutRoomForASnapshotTheLedgerGoesOn(t *testing.T) {
	files := disktest.New()
	log := &messages{}
	var room bool
	options := embedded.Options{
		FileSystem: roomFor{files, func() bool { return !room }}, SnapshotLogBytes: 40 << 10, Logger: log.logger(),
	}
	engine := open(t, "ledger", options)
	ids := createAccounts(t, engine, 2)
	created := uint32(0)
	for range 3 {
		for range 200 {
			transfer(t, engine, ids)
			created++
		}
		waitFor(t, "it is said that there is no room", func() bool {
			transfer(t, engine, ids)
			created++
			return log.count("no snapshot could be written") > 0
		})
		engine.Close()
		log.forget()
		if slices.ContainsFunc(files.Names(), func(name string) bool { return strings.Contains(name, ".snapshot") }) {
			t.Fatalf("a part of a snapshot is left: %v", files.Names())
		}
		engine = open(t, "ledger", options)
		if r := engine.Recovery(); r.TransfersCount != created || !r.Closed {
			t.Fatalf("%d transfers were created: %+v", created, r)
		}
	}
	engine.Close()
	room = true
	engine = open(t, "ledger", options)
	waitFor(t, "a snapshot is written", func() bool {
		transfer(t, engine, ids)
		created++
		return log.count("snapshot written") > 0
	})
	engine.Close()
	if r := open(t, "ledger", options).Recovery(); r.TransfersCount != created || r.Snapshot == "" {
		t.Fatalf("%d transfers were created: %+v", created, r)
	}
}

// TestASnapshotIsTriedAgainWhileTheLogGrows counts the tries: one each time that the
// log has grown by a quarter of what is between snapshots, not one a request.
func TestASnapshotIsTriedAgainWhileTheLogGrows(t *testing.T) {
	const logBlocks, tries = 40, 5
	log := &messages{}
	engine := open(t, "ledger", embedded.Options{
		FileSystem: roomFor{disktest.New(), func() bool { return true }}, SnapshotLogBytes: logBlocks * 4096, Logger: log.logger(),
	})
	ids := createAccounts(t, engine, 2)
	blocks := 1
	waitFor(t, "some tries", func() bool {
		transfer(t, engine, ids)
		blocks++
		return log.count("no snapshot could be written") >= tries
	})
	if least := logBlocks + (tries-1)*logBlocks/4; blocks < least {
		t.Fatalf("%d tries in a log of %d blocks, want at least %d", tries, blocks, least)
	}
}

// TestASnapshotMakesWayForTheLog has room for one of them only: as the log grows, a
// snapshot under way is given up.
func TestASnapshotMakesWayForTheLog(t *testing.T) {
	files := disktest.New()
	shared := &sharedRoom{FileSystem: files, refused: make(chan struct{})}
	engine := open(t, "ledger", embedded.Options{FileSystem: shared, SnapshotLogBytes: 3 * 4096})
	ids := createAccounts(t, engine, 2)
	count := 0
	more := func() {
		transfer(t, engine, ids)
		count++
	}
	defer shared.once.Do(func() { close(shared.refused) }) // or a snapshot waits for ever
	for range 3 {
		more()
	}
	waitFor(t, "a snapshot is under way", shared.snapshot.Load)
	for refused := false; !refused && count < 1000; more() {
		select {
		case <-shared.refused:
			refused = true
		default:
		}
	}
	if count == 1000 {
		t.Fatal("the log never lacked room")
	}
	for range 200 {
		more()
	}
	engine.Close()
	if r := open(t, "ledger", embedded.Options{FileSystem: files}).Recovery(); int(r.TransfersCount) != count {
		t.Fatalf("%d transfers were created: %+v", count, r)
	}
}

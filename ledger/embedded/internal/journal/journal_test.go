package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"boxoffice/ledger/embedded/internal/disk"
	"boxoffice/ledger/embedded/internal/disk/disktest"
	"boxoffice/ledger/embedded/internal/journal"
)

const dir = "ledger"

// memory is a state that remembers what it was given.
type memory struct {
	snapshot []byte
	loaded   bool
	records  [][]byte
}

func (m *memory) Load(r io.Reader) (err error) {
	m.snapshot, err = io.ReadAll(r)
	m.loaded = err == nil
	return err
}

func (m *memory) Replay(record []byte) error {
	m.records = append(m.records, bytes.Clone(record))
	return nil
}

func open(t *testing.T, files disk.FileSystem) (*journal.Journal, *memory, journal.Recovery) {
	t.Helper()
	state := &memory{}
	j, recovery, err := journal.Open(files, dir, state)
	if err != nil {
		t.Fatal(err)
	}
	return j, state, recovery
}

// record number i: their sizes differ, one fills a block to the last byte, one
// is longer than a block, and one is empty.
func record(i int) []byte {
	sizes := []int{100, 4096 - 36, 0, 5000, 1, 300}
	return bytes.Repeat([]byte{byte(i)}, sizes[i%len(sizes)])
}

func records(from, to int) [][]byte {
	var all [][]byte
	for i := from; i < to; i++ {
		all = append(all, record(i))
	}
	return all
}

func equal(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func write(t *testing.T, j *journal.Journal, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := j.Append(record(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsComeBackInOrder(t *testing.T) {
	files := disktest.New()
	j, _, recovery := open(t, files)
	if !recovery.Created {
		t.Error("a new ledger must say that it was created")
	}
	write(t, j, 0, 10)
	j, state, recovery := open(t, files)
	if recovery.Created || recovery.RecordsCount != 10 || !equal(state.records, records(0, 10)) {
		t.Fatalf("%+v, %d records", recovery, len(state.records))
	}
	write(t, j, 10, 12)
	if _, state, _ = open(t, files); !equal(state.records, records(0, 12)) {
		t.Fatalf("%d records", len(state.records))
	}
}

func TestASnapshotReplacesTheLogBeforeIt(t *testing.T) {
	files := disktest.New()
	j, _, _ := open(t, files)
	write(t, j, 0, 5)
	at := j.Position()
	if err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	write(t, j, 5, 7) // beside the snapshot
	content := bytes.Repeat([]byte("state"), 100_000)
	if _, err := j.WriteSnapshot(at, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := j.Retire(at); err != nil {
		t.Fatal(err)
	}
	if names := files.Names(); len(names) != 3 {
		t.Fatalf("files %v, want one log, one snapshot and the mark", names)
	}
	_, state, recovery := open(t, files)
	if !bytes.Equal(state.snapshot, content) || !equal(state.records, records(5, 7)) || recovery.SequenceFirst != 6 {
		t.Fatalf("%d bytes of snapshot, %d records, %+v", len(state.snapshot), len(state.records), recovery)
	}
}

// logBytesMin is the size of a log with few records.
const logBytesMin = 4096 + 256<<10

// writtenLog is a disk with one log of n records, that was not closed, and the offsets
// where the records end.
func writtenLog(t testing.TB, n int) (files *disktest.Disk, name string, content []byte, ends []int) {
	t.Helper()
	const block = 4096
	files = disktest.New()
	j, _, err := journal.Open(files, dir, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	end := block
	for i := range n {
		if err := j.Append(record(i)); err != nil {
			t.Fatal(err)
		}
		end += (36 + len(record(i)) + block - 1) / block * block
		ends = append(ends, end)
	}
	name = files.Names()[0]
	return files, name, files.Content(name), ends
}

// asFormat1 makes a log one of the format before, which knew no sizes.
func asFormat1(content []byte) []byte {
	content = bytes.Clone(content)
	content[12] = 1
	binary.LittleEndian.PutUint32(content[44:], crc32.Checksum(content[:44], crc32.MakeTable(crc32.Castagnoli)))
	return content
}

// TestALogThatWasCutIsRefused cuts the log at every byte of its records, and at many
// of the rest. A crash never makes a log
// shorter, so nothing of it may be taken for the whole.
func TestALogThatWasCutIsRefused(t *testing.T) {
	for _, n := range []int{0, 1, 4} {
		_, name, content, _ := writtenLog(t, n)
		if len(content) != logBytesMin {
			t.Fatalf("a log of %d bytes", len(content))
		}
		for cut := 0; cut < len(content); cut++ {
			if cut > 8*4096 && cut%512 > 1 {
				continue
			}
			files := disktest.New()
			files.Lend(name, content[:cut:cut])
			if _, _, err := journal.Open(files, dir, &memory{}); !errors.Is(err, journal.ErrCorrupt) {
				t.Fatalf("%d records, cut at %d: %v", n, cut, err)
			}
		}
	}
}

// TestALogThatGrewAndWasCutIsRefused cuts a log that grew a few times at every block,
// and beside it: before, in and behind the records before which it grew.
func TestALogThatGrewAndWasCutIsRefused(t *testing.T) {
	const block = 4096
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, largest := range []int{block - 36, 3 * block, 40 * block, 400 * block} {
		files := disktest.New()
		j, _, _ := open(t, files)
		for j.LogBytes() < 600<<10 {
			// Those that fill blocks to the last byte end where the file ends.
			size := random.IntN(largest/block+1)*block + block - 36
			if err := j.Append(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		name := files.Names()[0]
		content := files.Content(name)
		for at := 0; at < len(content); at += block {
			for _, cut := range []int{at, at + 1} {
				files := disktest.New()
				files.Lend(name, content[:cut:cut])
				if _, _, err := journal.Open(files, dir, &memory{}); !errors.Is(err, journal.ErrCorrupt) {
					t.Fatalf("records of up to %d bytes: %d bytes cut to %d: %v", largest, len(content), cut, err)
				}
			}
		}
	}
}

// TestCutAtEveryByteOfFormat1 cuts a log of the format before at every offset: what
// is whole before the cut comes back, what is not is gone, and the log can be written
// on.
func TestCutAtEveryByteOfFormat1(t *testing.T) {
	_, name, content, ends := writtenLog(t, 4)
	content = asFormat1(content)[:ends[3]+4096]
	for cut := range len(content) {
		if cut%512 > 1 && cut%97 > 0 { // some are enough: opening rewrites the log
			continue
		}
		files := disktest.New()
		files.SetContent(name, content[:cut])
		state := &memory{}
		j, recovery, err := journal.Open(files, dir, state)
		if cut < 4096 {
			if !errors.Is(err, journal.ErrCorrupt) {
				t.Fatalf("cut at %d, inside the file's header: %v", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		if !equal(state.records, records(0, whole)) {
			t.Fatalf("cut at %d: %d records, want %d", cut, len(state.records), whole)
		}
		boundary := cut == 4096 || slices.Contains(ends, cut) || cut > ends[len(ends)-1]
		if torn := recovery.Torn != nil; torn == boundary && cut <= ends[len(ends)-1] {
			t.Fatalf("cut at %d: torn %v, want %v", cut, torn, !boundary)
		}
		write(t, j, whole, whole+1)
		if _, state, _ := open(t, files); !equal(state.records, records(0, whole+1)) {
			t.Fatalf("cut at %d: the record written afterwards is lost", cut)
		}
	}
}

// TestFlipEveryByte damages every byte of a log: it is refused and the place is
// named, or nothing is lost.
func TestFlipEveryByte(t *testing.T) {
	_, name, content, ends := writtenLog(t, 4)
	last := ends[len(ends)-1]
	for at := range last + 4096 {
		for i, flip := range []byte{1 << (at % 8), 0xff} {
			if i > 0 && at%16 > 0 {
				continue
			}
			files := disktest.New()
			content[at] ^= flip
			files.Lend(name, content)
			state := &memory{}
			_, _, err := journal.Open(files, dir, state)
			content[at] ^= flip
			var corruption *journal.CorruptionError
			switch {
			case err == nil && at >= last && equal(state.records, records(0, len(ends))):
				// Unused space: all records are there.
			case errors.As(err, &corruption) && corruption.File == name && corruption.Offset <= int64(at):
			case errors.Is(err, journal.ErrNewerFormat) && at >= 12 && at < 16:
			default:
				t.Fatalf("byte %d: %v, %d records", at, err, len(state.records))
			}
		}
	}
}

func TestFlipEveryByteOfASnapshot(t *testing.T) {
	files := disktest.New()
	j, _, _ := open(t, files)
	write(t, j, 0, 2)
	at := j.Position()
	if err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.WriteSnapshot(at, func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte{0, 1, 2}, 200))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := j.Retire(at); err != nil {
		t.Fatal(err)
	}
	names := files.Names()
	name := names[slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, ".snapshot") })]
	log := names[slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, ".log") })]
	content, logContent := files.Content(name), files.Content(log)
	for at := range content {
		damaged := lent(name, content, log, logContent)
		content[at] ^= 1 << (at % 8)
		_, _, err := journal.Open(damaged, dir, &memory{})
		content[at] ^= 1 << (at % 8)
		if !errors.Is(err, journal.ErrCorrupt) && !errors.Is(err, journal.ErrNewerFormat) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	for cut := range content {
		short := lent(name, content[:cut:cut], log, logContent)
		if _, _, err := journal.Open(short, dir, &memory{}); !errors.Is(err, journal.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

// lent is a disk with two files.
func lent(name string, content []byte, other string, otherContent []byte) *disktest.Disk {
	files := disktest.New()
	files.Lend(name, content)
	files.Lend(other, otherContent)
	return files
}

// TestEveryTornWrite writes a record, of whose sectors only some reach the disk.
// It was not confirmed, so it is cleared, whatever is left of it, and a copy is kept.
func TestEveryTornWrite(t *testing.T) {
	const sector = 512
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	_, name, content, ends := writtenLog(t, 4)
	start, end := ends[2], ends[3]
	sectors := (end - start) / sector
	for range 500 {
		torn := bytes.Clone(content)
		missing := 0
		for s := range sectors {
			if random.IntN(2) == 0 {
				clear(torn[start+s*sector : start+(s+1)*sector])
				missing++
			}
		}
		if missing == 0 {
			continue
		}
		files := disktest.New()
		files.SetContent(name, torn)
		j, state, recovery := open(t, files)
		if !equal(state.records, records(0, 3)) || (missing < sectors) != (recovery.Torn != nil) {
			t.Fatalf("%d of %d sectors missing: %d records, torn %+v", missing, sectors, len(state.records), recovery.Torn)
		}
		if recovery.Torn != nil {
			kept := files.Content(recovery.Torn.Kept)
			if !bytes.HasPrefix(torn[start:], kept) || !allZero(torn[start+len(kept):]) {
				t.Fatalf("%d of %d bytes were kept, or not those", len(kept), end-start)
			}
		}
		write(t, j, 3, 5)
		if _, state, _ = open(t, files); !equal(state.records, records(0, 5)) {
			t.Fatalf("%d records after writing on", len(state.records))
		}
	}
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// TestTheNewestTornTailsAreKept crashes at the same record again and again.
func TestTheNewestTornTailsAreKept(t *testing.T) {
	const crashes, kept = 20, 8
	_, name, content, ends := writtenLog(t, 2)
	files := disktest.New()
	files.SetContent(name, content)
	for i := range crashes {
		torn := files.Content(name)
		torn[ends[1]+512] = byte(i + 1)
		files.SetContent(name, torn)
		open(t, files)
	}
	var found []byte
	for _, file := range files.Names() {
		if strings.HasSuffix(file, ".torn") {
			found = append(found, files.Content(file)[512])
		}
	}
	want := []byte{13, 14, 15, 16, 17, 18, 19, 20}
	if len(want) != kept || !bytes.Equal(found, want) {
		t.Fatalf("kept %v, want %v", found, want)
	}
}

func TestAHoleBeforeARecordIsCorruption(t *testing.T) {
	for hole := range 3 {
		t.Run(fmt.Sprintf("record %d of 4", hole+1), func(t *testing.T) {
			_, name, content, ends := writtenLog(t, 4)
			start := 4096
			if hole > 0 {
				start = ends[hole-1]
			}
			for _, end := range []int{start + 512, ends[hole]} { // one sector, or all
				files := disktest.New()
				damaged := bytes.Clone(content)
				clear(damaged[start:end])
				files.SetContent(name, damaged)
				_, _, err := journal.Open(files, dir, &memory{})
				var corruption *journal.CorruptionError
				if !errors.As(err, &corruption) || corruption.Offset != int64(start) {
					t.Fatalf("hole from %d to %d: %v", start, end, err)
				}
			}
		})
	}
}

func TestFilesThatDoNotBelongTogetherAreRefused(t *testing.T) {
	two := func(t *testing.T) (files *disktest.Disk, names []string) {
		files = disktest.New()
		j, _, _ := open(t, files)
		write(t, j, 0, 2)
		if err := j.Rotate(); err != nil {
			t.Fatal(err)
		}
		write(t, j, 2, 4)
		return files, files.Names()
	}
	cases := []struct {
		name   string
		change func(t *testing.T, files *disktest.Disk, names []string)
	}{
		{"the first log is missing", func(t *testing.T, files *disktest.Disk, names []string) {
			if err := files.Remove(names[0]); err != nil {
				t.Fatal(err)
			}
		}},
		{"the first log was cut", func(_ *testing.T, files *disktest.Disk, names []string) {
			files.SetContent(names[0], files.Content(names[0])[:2*4096+100])
		}},
		{"the first log ends early", func(_ *testing.T, files *disktest.Disk, names []string) {
			files.SetContent(names[0], files.Content(names[0])[:2*4096])
		}},
		{"a log of another ledger", func(t *testing.T, files *disktest.Disk, names []string) {
			other, otherNames := two(t)
			files.SetContent(names[1], other.Content(otherNames[1]))
		}},
		{"a log with the name of another", func(_ *testing.T, files *disktest.Disk, names []string) {
			files.SetContent(names[1], files.Content(names[0]))
		}},
		{"the newest log is missing", func(t *testing.T, files *disktest.Disk, names []string) {
			if err := files.Remove(names[1]); err != nil {
				t.Fatal(err)
			}
		}},
		{"the end of the first log is not written", func(_ *testing.T, files *disktest.Disk, names []string) {
			first := files.Content(names[0])
			clear(first[3*4096 : 4*4096])
			files.SetContent(names[0], first)
		}},
		{"there is something behind the end of the first log", func(_ *testing.T, files *disktest.Disk, names []string) {
			first := files.Content(names[0])
			first[4*4096+512] = 1
			files.SetContent(names[0], first)
		}},
		{"a file of something else", func(_ *testing.T, files *disktest.Disk, names []string) {
			files.SetContent(names[1], []byte("hello"))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files, names := two(t)
			c.change(t, files, names)
			if _, _, err := journal.Open(files, dir, &memory{}); !errors.Is(err, journal.ErrCorrupt) {
				t.Fatal(err)
			}
		})
	}
}

// TestAMissingNewestLogIsRefused has logs that no snapshot has replaced, the newest
// of them with or without a record.
func TestAMissingNewestLogIsRefused(t *testing.T) {
	for records := range 2 {
		files := disktest.New()
		j, _, _ := open(t, files)
		write(t, j, 0, 2)
		if err := j.Rotate(); err != nil {
			t.Fatal(err)
		}
		write(t, j, 2, 2+records)
		newest := files.Names()[1]
		if err := files.Remove(newest); err != nil {
			t.Fatal(err)
		}
		_, _, err := journal.Open(files, dir, &memory{})
		var corruption *journal.CorruptionError
		if !errors.As(err, &corruption) || corruption.File != newest {
			t.Fatalf("%d records: %v", records, err)
		}
	}
}

// TestACrashBetweenTheStepsLosesNothing fails or crashes at every step of what takes
// several, with and without a power cut, then goes on until the next power cut.
func TestACrashBetweenTheStepsLosesNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	large := bytes.Repeat([]byte{7}, 300_000)
	for name, act := range map[string]func(j *journal.Journal) [][]byte{
		"a new log": func(j *journal.Journal) [][]byte {
			if j.Rotate() != nil || j.Append(large) != nil {
				return nil
			}
			return [][]byte{large}
		},
		"a log that grows": func(j *journal.Journal) [][]byte {
			if j.Append(large) != nil {
				return nil
			}
			return [][]byte{large}
		},
		"a close": func(j *journal.Journal) [][]byte {
			_ = j.Close()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, fault := range []disktest.Fault{disktest.Fail, disktest.Partial, disktest.CrashBefore, disktest.CrashAfter} {
				steps := 1
				for step := 0; step < steps; step++ {
					for again := range 6 {
						files := disktest.New()
						j, _, _ := open(t, files)
						write(t, j, 0, 3)
						files.FailAt(func(at int, _ disktest.Operation, _ string) disktest.Fault {
							if at >= step {
								return fault
							}
							return disktest.None
						})
						confirmed := append(records(0, 3), act(j)...)
						steps = max(steps, files.Steps())
						if again%2 == 0 {
							files.Crash()
							files = files.Reboot(random)
						} else {
							files = files.Restart()
						}
						j, state, _ := open(t, files)
						if !equal(state.records, confirmed) && !equal(state.records, append(records(0, 3), large)) {
							t.Fatalf("fault %d at step %d: %d records, want %d", fault, step, len(state.records), len(confirmed))
						}
						n := len(state.records)
						write(t, j, 0, 3)
						if err := j.Append(large); err != nil {
							t.Fatal(err)
						}
						files.Crash()
						if _, state, _ = open(t, files.Reboot(random)); len(state.records) != n+4 {
							t.Fatalf("fault %d at step %d: %d records after writing on, want %d", fault, step, len(state.records), n+4)
						}
					}
				}
			}
		})
	}
}

// TestARotationForWhichThereIsNoRoomChangesNothing lets the log be written on, and
// rotated once there is room.
func TestARotationForWhichThereIsNoRoomChangesNothing(t *testing.T) {
	files := disktest.New()
	j, _, _ := open(t, files)
	write(t, j, 0, 2)
	before := files.Names()
	for operation, fault := range map[disktest.Operation]disktest.Fault{
		disktest.Create: disktest.Fail, disktest.Write: disktest.Partial, disktest.Sync: disktest.Fail,
	} {
		files.FailAt(func(_ int, o disktest.Operation, name string) disktest.Fault {
			if o == operation && strings.HasSuffix(name, ".tmp") {
				return fault
			}
			return disktest.None
		})
		if err := j.Rotate(); err == nil || j.Broken() {
			t.Fatalf("%s: %v, broken %v", operation, err, j.Broken())
		}
		files.FailAt(nil)
		if after := files.Names(); !slices.Equal(after, before) {
			t.Fatalf("%s: files %v", operation, after)
		}
	}
	write(t, j, 2, 3)
	if err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	write(t, j, 3, 5)
	if _, state, _ := open(t, files); !equal(state.records, records(0, 5)) {
		t.Fatalf("%d records", len(state.records))
	}
}

// TestALogThatCannotGrowIsWhole refuses a record for which there is no room, and takes
// it once there is.
func TestALogThatCannotGrowIsWhole(t *testing.T) {
	files := disktest.New()
	j, _, _ := open(t, files)
	write(t, j, 0, 1)
	files.FailAt(func(_ int, operation disktest.Operation, _ string) disktest.Fault {
		if operation == disktest.Write {
			return disktest.Partial
		}
		return disktest.None
	})
	large := make([]byte, 2*logBytesMin)
	if err := j.Append(large); err == nil || j.Broken() {
		t.Fatalf("%v, broken %v", err, j.Broken())
	}
	files.FailAt(nil)
	if err := j.Append(large); err != nil {
		t.Fatal(err)
	}
	files.Crash()
	if _, state, _ := open(t, files.Reboot(rand.New(rand.NewPCG(1, 1)))); len(state.records) != 2 {
		t.Fatalf("%d records", len(state.records))
	}
}

// TestOneFlushARecord counts them: but for growth, a record costs one flush.
func TestOneFlushARecord(t *testing.T) {
	files := disktest.New()
	j, _, _ := open(t, files)
	flushes := 0
	files.FailAt(func(_ int, operation disktest.Operation, _ string) disktest.Fault {
		if operation == disktest.Sync {
			flushes++
		}
		return disktest.None
	})
	const count, growths = 1000, 5 // to 8 MiB
	write(t, j, 0, count)
	if flushes != count+growths {
		t.Errorf("%d flushes for %d records in a log of %d bytes", flushes, count, j.LogBytes())
	}
}

// closed is a disk with a ledger that was closed in order, of two logs.
func closed(t *testing.T) (files *disktest.Disk, logs []string, mark string) {
	t.Helper()
	files = disktest.New()
	j, _, _ := open(t, files)
	write(t, j, 0, 3)
	if err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	write(t, j, 3, 6)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	names := files.Names()
	return files, names[:2], names[2]
}

func TestALedgerThatWasClosedOpens(t *testing.T) {
	files, _, mark := closed(t)
	j, state, recovery := open(t, files)
	if !recovery.Closed || !equal(state.records, records(0, 6)) {
		t.Fatalf("%+v, %d records", recovery, len(state.records))
	}
	if slices.Contains(files.Names(), mark) {
		t.Error("the mark is there while the ledger is open")
	}
	write(t, j, 6, 7)
	if _, state, recovery := open(t, files); recovery.Closed || !equal(state.records, records(0, 7)) {
		t.Fatalf("%+v, %d records", recovery, len(state.records))
	}
}

// TestAfterACloseAnythingThatDiffersIsRefused changes what a crash could have left,
// had there been one.
func TestAfterACloseAnythingThatDiffersIsRefused(t *testing.T) {
	const block = 4096
	change := func(at int, change func(log, whole []byte)) func(*disktest.Disk, []string, string) {
		return func(files *disktest.Disk, logs []string, _ string) {
			content := files.Content(logs[at])
			change(content, content)
			files.SetContent(logs[at], content)
		}
	}
	// The second log has records 4, 5 and 6, of 5,000 bytes, of one and of 300.
	last := block + 4*block - block
	for name, change := range map[string]func(files *disktest.Disk, logs []string, mark string){
		"the first sector of the last record": change(1, func(log, _ []byte) { clear(log[last : last+512]) }),
		"the last record":                     change(1, func(log, _ []byte) { clear(log[last : last+block]) }),
		"all records of the log":              change(1, func(log, _ []byte) { clear(log[block:]) }),
		"a sector of an earlier record":       change(1, func(log, _ []byte) { clear(log[block+512 : block+1024]) }),
		"something behind the last record":    change(1, func(log, _ []byte) { log[last+block+600] = 1 }),
		"something at the end of the file":    change(1, func(log, _ []byte) { log[len(log)-1] = 1 }),
		"the end of the log before":           change(0, func(log, _ []byte) { clear(log[4*block : 5*block]) }),
		"a part of the end of the log before": change(0, func(log, _ []byte) { clear(log[4*block+512 : 4*block+1024]) }),
		"a log of an earlier time":            earlier,
		"the newest log":                      func(files *disktest.Disk, logs []string, _ string) { _ = files.Remove(logs[1]) },
		"the mark of another ledger":          otherMark,
		"a byte of the mark":                  func(files *disktest.Disk, _ []string, mark string) { flip(files, mark, 33) },
		"a byte behind what the mark says":    func(files *disktest.Disk, _ []string, mark string) { flip(files, mark, 4000) },
		"a part of the mark":                  func(files *disktest.Disk, _ []string, mark string) { files.SetContent(mark, files.Content(mark)[:100]) },
		"the mark with bytes more": func(files *disktest.Disk, _ []string, mark string) {
			files.SetContent(mark, append(files.Content(mark), 0))
		},
		"all files but the mark": func(files *disktest.Disk, logs []string, _ string) {
			_, _ = files.Remove(logs[0]), files.Remove(logs[1])
		},
	} {
		t.Run(name, func(t *testing.T) {
			files, logs, mark := closed(t)
			change(files, logs, mark)
			before := files.Clone()
			if _, _, err := journal.Open(files, dir, &memory{}); !errors.Is(err, journal.ErrCorrupt) {
				t.Fatal(err)
			}
			for _, file := range before.Names() {
				if !slices.Contains(files.Names(), file) || !bytes.Equal(files.Content(file), before.Content(file)) {
					t.Errorf("%s was touched", file)
				}
			}
		})
	}
}

func flip(files *disktest.Disk, name string, at int) {
	content := files.Content(name)
	content[at] ^= 1
	files.SetContent(name, content)
}

// earlier takes the newest log back to an earlier moment.
func earlier(files *disktest.Disk, logs []string, _ string) {
	content := files.Content(logs[1])
	clear(content[3*4096:])
	files.SetContent(logs[1], content)
}

func otherMark(files *disktest.Disk, _ []string, mark string) {
	other := disktest.New()
	j, _, err := journal.Open(other, dir, &memory{})
	for i := range 6 {
		err = errors.Join(err, j.Append(record(i)))
	}
	if err := errors.Join(err, j.Close()); err != nil {
		panic(err)
	}
	files.SetContent(mark, other.Content(mark))
}

// TestWhatWasThereAtTheLastStartIsThereAfterACrash takes away more than a crash can,
// from a ledger that was opened with three records, got three more and was not closed.
func TestWhatWasThereAtTheLastStartIsThereAfterACrash(t *testing.T) {
	const block = 4096
	const opened = dir + "/OPENED"
	clearFrom := func(files *disktest.Disk, log string, from int) {
		content := files.Content(log)
		clear(content[from:])
		files.SetContent(log, content)
	}
	for _, c := range []struct {
		name   string
		change func(files *disktest.Disk, log string)
		want   int // records, or refused
	}{
		{"nothing", func(*disktest.Disk, string) {}, 6},
		{"the last record", func(files *disktest.Disk, log string) { clearFrom(files, log, 8*block-block) }, 5},
		{"all records", func(files *disktest.Disk, log string) { clearFrom(files, log, block) }, -1},
		{"one record of before", func(files *disktest.Disk, log string) { clearFrom(files, log, 3*block) }, -1},
		{"the log", func(files *disktest.Disk, log string) { _ = files.Remove(log) }, -1},
		{"a byte of the mark", func(files *disktest.Disk, _ string) { flip(files, opened, 33) }, -1},
		{"the mark", func(files *disktest.Disk, _ string) { _ = files.Remove(opened) }, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := disktest.New()
			j, _, _ := open(t, files)
			write(t, j, 0, 3)
			j, _, _ = open(t, files)
			write(t, j, 3, 6)
			c.change(files, files.Names()[0])
			state := &memory{}
			_, _, err := journal.Open(files, dir, state)
			if c.want < 0 && !errors.Is(err, journal.ErrCorrupt) {
				t.Fatal(err)
			}
			if c.want >= 0 && (err != nil || !equal(state.records, records(0, c.want))) {
				t.Fatalf("%d records: %v", len(state.records), err)
			}
		})
	}
}

// TestWithoutRoomForAMarkTheLedgerOpens has no room for anything new.
func TestWithoutRoomForAMarkTheLedgerOpens(t *testing.T) {
	files := disktest.New()
	j, _, _ := open(t, files)
	write(t, j, 0, 3)
	files.FailAt(func(_ int, _ disktest.Operation, name string) disktest.Fault {
		if strings.HasSuffix(name, ".tmp") {
			return disktest.Fail
		}
		return disktest.None
	})
	j, state, _ := open(t, files)
	if !equal(state.records, records(0, 3)) {
		t.Fatalf("%d records", len(state.records))
	}
	write(t, j, 3, 5)
	if err := j.Close(); err == nil {
		t.Fatal("nothing is said of the mark that is missing")
	}
	files.FailAt(nil)
	if _, state, recovery := open(t, files); recovery.Closed || !equal(state.records, records(0, 5)) {
		t.Fatalf("%+v, %d records", recovery, len(state.records))
	}
}

func TestABrokenJournalIsNotMarkedAsClosed(t *testing.T) {
	files := disktest.New()
	j, _, _ := open(t, files)
	write(t, j, 0, 1)
	files.FailAt(func(_ int, operation disktest.Operation, _ string) disktest.Fault {
		if operation == disktest.Sync {
			return disktest.Fail
		}
		return disktest.None
	})
	if err := j.Append(record(1)); err == nil {
		t.Fatal("no error")
	}
	files.FailAt(nil)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, recovery := open(t, files.Restart()); recovery.Closed {
		t.Fatal("it is marked")
	}
}

// TestCrashAnywhere appends, rotates, writes snapshots and closes, and fails or
// crashes at a random step; records are large enough that logs grow. What comes back
// is what was confirmed, and at most one record more.
func TestCrashAnywhere(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	faults := []disktest.Fault{disktest.Fail, disktest.Partial, disktest.CrashBefore, disktest.CrashAfter}
	for range 25 {
		files := disktest.New()
		var confirmed [][]byte
		for cycle := range 5 {
			from, fault := random.IntN(60), faults[random.IntN(len(faults))]
			files.FailAt(func(step int, _ disktest.Operation, _ string) disktest.Fault {
				if step >= from {
					return fault
				}
				return disktest.None
			})
			unsure := confirmed
			j, _, err := journal.Open(files, dir, &memory{})
			if errors.Is(err, journal.ErrCorrupt) {
				t.Fatalf("cycle %d: %v", cycle, err)
			}
			if err == nil {
				confirmed, unsure = work(random, j, confirmed)
			}
			if random.IntN(2) == 0 {
				files.Crash()
				files = files.Reboot(random)
			} else {
				files = files.Restart()
			}
			state := &memory{}
			if _, _, err = journal.Open(files, dir, state); err != nil {
				t.Fatalf("cycle %d: %v", cycle, err)
			}
			switch found := state.all(); {
			case equal(found, confirmed):
			case equal(found, unsure):
				confirmed = unsure
			default:
				t.Fatalf("cycle %d: %d records, %d were confirmed", cycle, len(found), len(confirmed))
			}
		}
	}
}

// work uses a journal until it fails or for a while, and returns what was confirmed,
// and that with the record whose outcome is unknown.
func work(random *rand.Rand, j *journal.Journal, confirmed [][]byte) (sure, unsure [][]byte) {
	for range random.IntN(20) {
		switch random.IntN(8) {
		case 0:
			at, before := j.Position(), confirmed
			if j.Rotate() != nil {
				continue
			}
			if _, err := j.WriteSnapshot(at, func(w io.Writer) error {
				for _, record := range before {
					var length [4]byte
					binary.LittleEndian.PutUint32(length[:], uint32(len(record)))
					if _, err := w.Write(append(length[:], record...)); err != nil {
						return err
					}
				}
				return nil
			}); err == nil {
				_ = j.Retire(at)
			}
		default:
			record := make([]byte, random.IntN([]int{10, 5000, 100_000, 400_000}[random.IntN(4)]))
			for i := range record {
				record[i] = byte(random.Uint32())
			}
			if j.Append(record) != nil {
				return confirmed, append(slices.Clone(confirmed), record)
			}
			confirmed = append(slices.Clone(confirmed), record)
		}
	}
	if random.IntN(2) == 0 {
		_ = j.Close()
	}
	return confirmed, confirmed
}

// all is the records of the snapshot and those behind it.
func (m *memory) all() (all [][]byte) {
	for b := m.snapshot; len(b) > 0; {
		length := binary.LittleEndian.Uint32(b)
		all = append(all, b[4:4+length])
		b = b[4+length:]
	}
	return append(all, m.records...)
}

func TestAMissingLogBehindASnapshotIsRefused(t *testing.T) {
	files := disktest.New()
	j, _, _ := open(t, files)
	write(t, j, 0, 2)
	at := j.Position()
	if err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.WriteSnapshot(at, func(io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for _, name := range files.Names() {
		if strings.HasSuffix(name, ".log") {
			if err := files.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := journal.Open(files, dir, &memory{}); !errors.Is(err, journal.ErrCorrupt) {
		t.Fatal(err)
	}
}

func TestANewerFormatIsRefused(t *testing.T) {
	_, name, content, _ := writtenLog(t, 1)
	files := disktest.New()
	content[12] = journal.FormatVersion + 1
	files.SetContent(name, content)
	if _, _, err := journal.Open(files, dir, &memory{}); !errors.Is(err, journal.ErrNewerFormat) {
		t.Fatal(err)
	}
}

func TestAfterAFailureNothingIsWritten(t *testing.T) {
	for _, operation := range []disktest.Operation{disktest.Write, disktest.Sync} {
		t.Run(string(operation), func(t *testing.T) {
			files := disktest.New()
			j, _, _ := open(t, files)
			write(t, j, 0, 1)
			files.FailAt(func(_ int, o disktest.Operation, _ string) disktest.Fault {
				if o == operation {
					return disktest.Fail
				}
				return disktest.None
			})
			if err := j.Append(record(1)); !errors.Is(err, disktest.ErrInjected) {
				t.Fatal(err)
			}
			files.FailAt(nil)
			steps := files.Steps()
			if err := j.Append(record(1)); !errors.Is(err, disktest.ErrInjected) {
				t.Fatalf("the second try: %v", err)
			}
			if err := j.Rotate(); !errors.Is(err, disktest.ErrInjected) {
				t.Fatalf("rotate: %v", err)
			}
			if files.Steps() != steps {
				t.Fatal("the disk was touched after the failure")
			}
		})
	}
}

func TestARecordThatIsTooLongIsRefused(t *testing.T) {
	j, _, _ := open(t, disktest.New())
	if err := j.Append(make([]byte, journal.RecordBytesMax+1)); err == nil {
		t.Fatal("no error")
	}
	write(t, j, 0, 1)
}

// FuzzLog opens logs with arbitrary frames. Whatever they are, Open ends, and
// what it gives out once it gives out again.
func FuzzLog(f *testing.F) {
	files := disktest.New()
	j, _, err := journal.Open(files, dir, &memory{})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := j.Append(record(i)); err != nil {
			f.Fatal(err)
		}
	}
	name := files.Names()[0]
	content := files.Content(name)[:6*4096]
	f.Add(content)
	f.Add(asFormat1(content))
	f.Add(content[:4096])
	f.Add(content[:9000])
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 12 && content[12] > 1 && len(content) < logBytesMin { // else it is only found to be cut
			content = append(content, make([]byte, logBytesMin-len(content))...)
		}
		files := disktest.New()
		files.SetContent(name, content)
		first := &memory{}
		if _, _, err := journal.Open(files, dir, first); err != nil {
			return
		}
		_, second, recovery := open(t, files)
		if recovery.Torn != nil || !equal(first.records, second.records) {
			t.Fatalf("first %d records, then %d, torn %+v", len(first.records), len(second.records), recovery.Torn)
		}
	})
}

// FuzzSnapshot opens ledgers with an arbitrary snapshot. Whatever it is, Open ends
// and uses no more memory than the file's size calls for; what it gives out can be
// written and is given out again.
func FuzzSnapshot(f *testing.F) {
	for _, content := range [][]byte{nil, []byte("state"), bytes.Repeat([]byte{1, 2, 3}, 100_000)} {
		files, name := withSnapshot(f, content)
		f.Add(files.Content(name))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		files, name := withSnapshot(t, nil)
		files.SetContent(name, file)
		before := allocatedBytes()
		state := &memory{}
		// The log beside it belongs to another ledger, whose identity is random, so
		// Open refuses that in the end; the snapshot is read first.
		_, _, err := journal.Open(files, dir, state)
		if used := allocatedBytes() - before; used > 2<<20+16*uint64(len(file)) {
			t.Fatalf("%d bytes for a file of %d", used, len(file))
		}
		if !state.loaded {
			if err == nil {
				t.Fatal("no snapshot was read, and that is no error")
			}
			return
		}
		files, _ = withSnapshot(t, state.snapshot)
		if _, again, _ := open(t, files); !bytes.Equal(again.snapshot, state.snapshot) {
			t.Fatalf("first %d bytes of state, then %d", len(state.snapshot), len(again.snapshot))
		}
	})
}

// withSnapshot is a disk with a snapshot of one record, and the log behind it.
func withSnapshot(t testing.TB, content []byte) (files *disktest.Disk, name string) {
	t.Helper()
	files = disktest.New()
	j, _, err := journal.Open(files, dir, &memory{})
	if err == nil {
		err = errors.Join(j.Append(record(0)), j.Rotate())
	}
	if err == nil {
		_, err = j.WriteSnapshot(j.Position(), func(w io.Writer) error {
			_, err := w.Write(content)
			return err
		})
	}
	if err == nil {
		err = j.Retire(j.Position())
	}
	if err != nil {
		t.Fatal(err)
	}
	names := files.Names()
	return files, names[slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, ".snapshot") })]
}

// allocatedBytes is all that was ever allocated on the heap.
func allocatedBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

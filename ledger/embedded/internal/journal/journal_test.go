package journal_test

import (
	"bytes"
	"errors"
	"fmt"
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
	if names := files.Names(); len(names) != 2 {
		t.Fatalf("files %v, want one log and one snapshot", names)
	}
	_, state, recovery := open(t, files)
	if !bytes.Equal(state.snapshot, content) || !equal(state.records, records(5, 7)) || recovery.SequenceFirst != 6 {
		t.Fatalf("%d bytes of snapshot, %d records, %+v", len(state.snapshot), len(state.records), recovery)
	}
}

// writtenLog is a disk with one log of n records without the space allocated
// behind them, but for one block, and the offsets where the records end.
func writtenLog(t *testing.T, n int) (files *disktest.Disk, name string, content []byte, ends []int) {
	t.Helper()
	const block = 4096
	files = disktest.New()
	j, _, _ := open(t, files)
	end := block
	for i := range n {
		write(t, j, i, i+1)
		end += (36 + len(record(i)) + block - 1) / block * block
		ends = append(ends, end)
	}
	name = files.Names()[0]
	return files, name, files.Content(name)[:end+block], ends
}

// TestCutAtEveryByte cuts the log at every offset: what is whole before the cut
// comes back, what is not is gone, and the log can be written on.
func TestCutAtEveryByte(t *testing.T) {
	_, name, content, ends := writtenLog(t, 4)
	for cut := range len(content) {
		files := disktest.New()
		files.Lend(name, content[:cut:cut])
		if cut%64 == 0 {
			files.SetContent(name, content[:cut])
		}
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
		if cut%64 == 0 {
			write(t, j, whole, whole+1)
			if _, state, _ := open(t, files); !equal(state.records, records(0, whole+1)) {
				t.Fatalf("cut at %d: the record written afterwards is lost", cut)
			}
		}
	}
}

// TestFlipEveryByte damages every byte of a log: it is refused and the place is
// named, or nothing is lost.
func TestFlipEveryByte(t *testing.T) {
	_, name, content, ends := writtenLog(t, 4)
	last := ends[len(ends)-1]
	for at := range content {
		for _, flip := range []byte{1 << (at % 8), 0xff} {
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
	content := files.Content(name)
	for at := range content {
		damaged := files.Clone()
		content[at] ^= 1 << (at % 8)
		damaged.Lend(name, content)
		_, _, err := journal.Open(damaged, dir, &memory{})
		content[at] ^= 1 << (at % 8)
		if !errors.Is(err, journal.ErrCorrupt) && !errors.Is(err, journal.ErrNewerFormat) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	for cut := range content {
		short := files.Clone()
		short.Lend(name, content[:cut:cut])
		if _, _, err := journal.Open(short, dir, &memory{}); !errors.Is(err, journal.ErrCorrupt) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

// TestEveryTornWrite writes a record, of whose sectors only some reach the disk.
// It was not confirmed, so it is cut off, whatever is left of it.
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
		write(t, j, 3, 5)
		if _, state, _ = open(t, files); !equal(state.records, records(0, 5)) {
			t.Fatalf("%d records after writing on", len(state.records))
		}
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
	f.Add(content[:4096])
	f.Add(content[:9000])
	f.Fuzz(func(t *testing.T, content []byte) {
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

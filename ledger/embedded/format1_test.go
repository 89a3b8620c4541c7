package embedded_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk/disktest"
)

// format1 is what the release before wrote: directories, and what each contains.
//
//	log       one log
//	two-logs  two, the first ended by a snapshot that failed
//	snapshot  a snapshot and a log
func format1(t *testing.T) (dirs map[string]*disktest.Disk, contents map[string]string) {
	t.Helper()
	packed, err := os.Open("testdata/format1.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	dirs, contents = map[string]*disktest.Disk{}, map[string]string{}
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dirs, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if kind, ok := strings.CutSuffix(header.Name, ".contents"); ok {
			contents[kind] = string(content)
			continue
		}
		kind := path.Dir(header.Name)
		if dirs[kind] == nil {
			dirs[kind] = disktest.New()
		}
		dirs[kind].SetContent("ledger/"+path.Base(header.Name), content)
	}
}

// atTheTime is a clock that shows the time after which the old release wrote nothing.
func atTheTime(t *testing.T, files *disktest.Disk) *fakeClock {
	t.Helper()
	clock := newFakeClock()
	engine := open(t, "ledger", embedded.Options{FileSystem: files.Clone(), Clock: clock})
	clock.nanoseconds.Store(int64(engine.Recovery().TimestampHighest))
	engine.Close()
	return clock
}

// TestADirectoryOfTheReleaseBeforeOpens reads it, writes it on, and from then on
// accepts nothing less than all of it.
func TestADirectoryOfTheReleaseBeforeOpens(t *testing.T) {
	dirs, want := format1(t)
	if len(dirs) != 3 {
		t.Fatalf("%d directories", len(dirs))
	}
	for kind, files := range dirs {
		t.Run(kind, func(t *testing.T) {
			options := embedded.Options{FileSystem: files, Clock: atTheTime(t, files)}
			engine := open(t, "ledger", options)
			if got := contents(engine); got != want[kind] {
				t.Fatalf("got\n%s\nwant\n%s", got, want[kind])
			}
			ids := createAccounts(t, engine, 2)
			transfer(t, engine, ids)
			after := contents(engine)
			engine.Close()
			engine = open(t, "ledger", options)
			if got := contents(engine); got != after {
				t.Fatalf("after a restart\n%s\nwant\n%s", got, after)
			}
			engine.Close()

			if err := files.Remove("ledger/CLOSED"); err != nil {
				t.Fatal(err)
			}
			names := slices.DeleteFunc(files.Names(), func(name string) bool { return !strings.HasSuffix(name, ".log") })
			if err := files.Remove(names[len(names)-1]); err != nil {
				t.Fatal(err)
			}
			if _, err := embedded.Open("ledger", options); !errors.Is(err, embedded.ErrCorrupt) {
				t.Fatalf("without its newest log: %v", err)
			}
		})
	}
}

// TestACrashWhileADirectoryIsTakenOverLosesNothing fails or crashes at each step of the
// first start of this release.
func TestACrashWhileADirectoryIsTakenOverLosesNothing(t *testing.T) {
	random := seeded(t)
	dirs, want := format1(t)
	for kind, original := range dirs {
		clock := atTheTime(t, original)
		for _, fault := range faults {
			steps := 1
			for step := 0; step < steps; step++ {
				files := original.Clone()
				files.FailAt(func(at int, _ disktest.Operation, _ string) disktest.Fault {
					if at >= step {
						return fault
					}
					return disktest.None
				})
				options := embedded.Options{FileSystem: files, Clock: clock, Logger: quiet, PulseInterval: time.Hour}
				if engine, err := embedded.Open("ledger", options); err == nil {
					engine.Close()
				}
				steps = max(steps, files.Steps())
				files.Crash()
				options.FileSystem = files.Reboot(random)
				engine := open(t, "ledger", options)
				if got := contents(engine); got != want[kind] {
					t.Fatalf("%s, fault %d at step %d: got\n%s\nwant\n%s", kind, fault, step, got, want[kind])
				}
				if _, err := engine.CreateAccounts([]tb.Account{{ID: tb.ID(), Ledger: 1, Code: 1}}); err != nil {
					t.Fatal(err)
				}
				engine.Close()
			}
		}
	}
}

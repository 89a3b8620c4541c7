package embedded

import (
	"fmt"
	"log/slog"
	"time"

	"boxoffice/ledger/embedded/internal/disk"
)

// Options configure an Engine. The zero value is what a program needs.
type Options struct {
	// Clock gives the timestamps. Nil is the system's clock. If it steps back, timestamps
	// still grow.
	Clock Clock

	// Logger gets what an operator wants to know: start, recovery, failure. Nil is
	// slog.Default(). It never gets the contents of transfers.
	Logger *slog.Logger

	// FileSystem is where the directory lives. Nil is the operating system's, OS().
	FileSystem FileSystem

	// SnapshotLogBytes is the size of the log, in bytes, at which a snapshot is written.
	// The log may grow to the size of the last snapshot if that is larger, so that the
	// work for snapshots stays in proportion to the records. Zero is 64 MiB.
	SnapshotLogBytes int64

	// PulseInterval is the longest time between two looks at the clock while pending
	// transfers with a timeout exist. It limits how late an idle engine expires them when
	// the clock jumps. Zero is 100 ms, as in the reference.
	PulseInterval time.Duration
}

// Clock tells the time.
type Clock interface {
	Now() time.Time
}

// FileSystem and File are the seam to the disk, for tests that inject faults: they
// wrap OS().
type (
	FileSystem = disk.FileSystem
	File       = disk.File
)

// OS is the file system of the operating system.
func OS() FileSystem { return disk.OS() }

const (
	snapshotLogBytesDefault = 64 << 20
	pulseIntervalDefault    = 100 * time.Millisecond
)

func (o Options) withDefaults() (Options, error) {
	if o.SnapshotLogBytes < 0 || o.PulseInterval < 0 {
		return o, fmt.Errorf("embedded ledger: SnapshotLogBytes %d and PulseInterval %s must not be negative",
			o.SnapshotLogBytes, o.PulseInterval)
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.FileSystem == nil {
		o.FileSystem = disk.OS()
	}
	if o.SnapshotLogBytes == 0 {
		o.SnapshotLogBytes = snapshotLogBytesDefault
	}
	if o.PulseInterval == 0 {
		o.PulseInterval = pulseIntervalDefault
	}
	return o, nil
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

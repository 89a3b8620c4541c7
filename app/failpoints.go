package app

import (
	"time"

	"boxoffice/failpoint"
	"boxoffice/ledger/embedded"
)

// withFailpoints lets a fault test fill the embedded ledger's disk and move its clock.
// The engine knows about neither.
func withFailpoints(o embedded.Options) embedded.Options {
	if failpoint.Enabled {
		o.Clock, o.FileSystem = clockOf(failpoint.Clock("ledger")), failingDisk{embedded.OS()}
	}
	return o
}

type clockOf func() time.Time

// Now implements embedded.Clock.
func (c clockOf) Now() time.Time { return c() }

type failingDisk struct{ embedded.FileSystem }

// Create implements embedded.FileSystem.
func (d failingDisk) Create(name string) (embedded.File, error) {
	f, err := d.FileSystem.Create(name)
	return failingFile{f}, err
}

// Open implements embedded.FileSystem.
func (d failingDisk) Open(name string) (embedded.File, error) {
	f, err := d.FileSystem.Open(name)
	return failingFile{f}, err
}

type failingFile struct{ embedded.File }

// WriteAt implements embedded.File.
func (f failingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := failpoint.Fail("ledger", "disk"); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

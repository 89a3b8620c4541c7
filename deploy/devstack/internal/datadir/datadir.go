// Package datadir owns the directory that has everything the local stack must remember.
//
// It answers three questions before anything is written: is this directory ours, does
// this program know its format, and does another stack run on it. It knows the names of
// the files inside, not their contents: each component looks after its own.
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Format is the version of the directory's layout. A change that an older program would misread takes the next number.
const Format = 1

const (
	markerName = "boxoffice-data.json"
	lockName   = "lock"
)

// RunningError says that another process holds the directory.
type RunningError struct {
	Dir string
	PID int // 0 if the holder did not leave its number
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("a stack is already running on %s (process %d)", e.Dir, e.PID)
}

// ForeignError says that the directory has files of somebody else, or of a newer program.
type ForeignError struct {
	Dir    string
	Reason string
}

func (e *ForeignError) Error() string { return fmt.Sprintf("%s: %s", e.Dir, e.Reason) }

// Dir is an open data directory. Its holder is its only user until Close.
type Dir struct {
	Path string // absolute
	lock *os.File
}

type marker struct {
	Product string `json:"product"`
	Format  int    `json:"format"`
}

// Open takes the directory for this process, and creates it if it is missing or empty. It
// returns *ForeignError if the directory is not ours or has an unknown format, and
// *RunningError if another process holds it.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkOurs(abs); err != nil {
		return nil, err
	}
	// Traversable by others, so that a Postgres that runs as another user reaches its own folder; what is secret in
	// here carries its own mode.
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	d := &Dir{Path: abs}
	if err := d.takeLock(); err != nil {
		return nil, err
	}
	if err := d.writeMarker(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Close releases the directory.
func (d *Dir) Close() error { return d.lock.Close() }

// File joins names to a path inside the directory.
func (d *Dir) File(names ...string) string {
	return filepath.Join(append([]string{d.Path}, names...)...)
}

// Sub makes a folder inside the directory, for its owner only, and returns its path.
func (d *Dir) Sub(names ...string) (string, error) {
	path := d.File(names...)
	return path, os.MkdirAll(path, 0o700)
}

// checkOurs only reads: a foreign directory must stay as it was.
func checkOurs(path string) error {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &ForeignError{path, "it belongs to another user; run as that user, or choose another with --data"}
	case err != nil:
		return fmt.Errorf("data directory: %w", err)
	}
	// Root could open it, and would leave files in it that its owner cannot use any more.
	if owner := ownerOf(path); owner != os.Geteuid() && len(entries) > 0 {
		return &ForeignError{path, fmt.Sprintf("it belongs to another user (id %d); run as that user, or choose another with --data", owner)}
	}
	raw, err := os.ReadFile(filepath.Join(path, markerName))
	switch {
	case errors.Is(err, fs.ErrNotExist) && isBlank(entries):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &ForeignError{path, "it is not empty and was not made by this program; choose another with --data"}
	case err != nil:
		return fmt.Errorf("data directory: %w", err)
	}
	return checkMarker(path, raw)
}

func ownerOf(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// isBlank also accepts a lone lock file, left by a first start that was killed before it
// wrote the marker.
func isBlank(entries []fs.DirEntry) bool {
	return len(entries) == 0 || len(entries) == 1 && entries[0].Name() == lockName
}

func checkMarker(path string, raw []byte) error {
	var m marker
	if err := json.Unmarshal(raw, &m); err != nil || m.Product != "boxoffice" || m.Format < 1 {
		return &ForeignError{path, "its " + markerName + " is not one of this program; choose another with --data"}
	}
	if m.Format > Format {
		return &ForeignError{path, fmt.Sprintf("it was made by a newer release (format %d, this one reads %d); "+
			"update this checkout, or choose another with --data", m.Format, Format)}
	}
	return nil
}

func (d *Dir) takeLock() error {
	f, err := os.OpenFile(d.File(lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		return &ForeignError{d.Path, "it belongs to another user; run as that user, or choose another with --data"}
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	// The kernel drops this lock with its holder, so a killed stack leaves nothing to
	// clean up.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return &RunningError{Dir: d.Path, PID: readPID(d.File(lockName))}
		}
		return fmt.Errorf("lock %s: %w", d.Path, err)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		f.Close()
		return err
	}
	d.lock = f
	return nil
}

func (d *Dir) writeMarker() error {
	if _, err := os.Stat(d.File(markerName)); err == nil {
		return nil
	}
	raw, err := json.Marshal(marker{Product: "boxoffice", Format: Format})
	if err != nil {
		return err
	}
	return WriteFile(d.File(markerName), append(raw, '\n'), 0o644)
}

func readPID(path string) int {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0
	}
	return pid
}

// Holder returns the process that runs a stack on the directory, and false if none does.
func Holder(path string) (pid int, running bool) {
	f, err := os.Open(filepath.Join(path, lockName))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		return 0, false
	}
	return readPID(f.Name()), true
}

// WriteFile replaces a file in one step, so that neither a reader nor a crash ever sees half of it.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails, as it should, once renamed
	if err := writeAndSync(f, content, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

func writeAndSync(f *os.File, content []byte, mode fs.FileMode) error {
	_, err := f.Write(content)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

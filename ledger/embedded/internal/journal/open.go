package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"boxoffice/ledger/embedded/internal/disk"
)

// tornFilesMax is how many copies of torn tails are kept; a new one then replaces
// the oldest.
const tornFilesMax = 8

// State receives what Open reads: at most one snapshot, then records in order.
type State interface {
	// Load reads a snapshot to its end.
	Load(r io.Reader) error
	// Replay applies a record. The bytes are valid only during the call.
	Replay(record []byte) error
}

// Recovery says what Open found.
type Recovery struct {
	Created       bool   // there was no ledger in the directory
	Closed        bool   // the ledger had been closed in order
	Snapshot      string // the file that was loaded, if any
	SnapshotBytes int64  // its size
	OlderLogBytes int64  // size of the logs behind the snapshot, but for the newest
	RecordsCount  uint64 // records that were replayed
	Torn          *Torn  // the tail that was cleared, if any
	FilesRemoved  int    // unfinished or superfluous files
	SequenceFirst uint64 // the first record that was replayed
}

// Open reads the ledger in a directory into state, creates it if there is none, and returns
// the journal ready to append. It changes nothing in the directory before everything was
// read and found to be sound.
//
// The caller holds the lock on the directory. Errors wrap ErrCorrupt,
// ErrNewerFormat, or come from the file system or from state.
func Open(fs disk.FileSystem, dir string, state State) (*Journal, Recovery, error) {
	r := &recovering{journal: &Journal{fs: fs, dir: dir}, state: state}
	err := r.read()
	if err == nil {
		err = r.makeReady()
	}
	if err != nil {
		if r.journal.file != nil {
			err = errors.Join(err, r.journal.file.Close())
		}
		return nil, r.found, err
	}
	return r.journal, r.found, nil
}

// recovering is an Open under way.
type recovering struct {
	journal *Journal
	state   State
	found   Recovery

	files  files
	stale  []string // names of files that are unfinished or superfluous
	newest *logReader
	before *logReader // the log before the newest one, if there is one; it is closed
}

func (r *recovering) path(name string) string { return filepath.Join(r.journal.dir, name) }

// read reads and checks everything.
func (r *recovering) read() error {
	names, err := r.journal.fs.List(r.journal.dir)
	if err != nil {
		return err
	}
	r.files = sortFiles(names)
	r.stale = r.files.temporary
	if len(r.files.logs) == 0 && len(r.files.snapshots) == 0 {
		for _, mark := range []struct {
			there bool
			name  string
		}{{r.files.closed, closedName}, {r.files.opened, openedName}} {
			if mark.there {
				return corrupt(r.path(mark.name), 0, "there was a ledger here, but its logs and snapshots are missing")
			}
		}
		r.found.Created = true
		r.found.SequenceFirst = 1
		return nil
	}
	if err := r.loadNewest(); err != nil {
		return err
	}
	logs, err := r.relevant()
	if err != nil {
		return err
	}
	for i, first := range logs {
		if err := r.replay(first, i == len(logs)-1); err != nil {
			return err
		}
	}
	return errors.Join(r.checkClosed(), r.checkOpened())
}

// loadNewest loads the last snapshot. There are others if a crash came between writing it
// and removing the earlier ones.
func (r *recovering) loadNewest() error {
	snapshots := r.files.snapshots
	if len(snapshots) == 0 {
		return nil
	}
	newest := len(snapshots) - 1
	name := r.path(snapshotName(snapshots[newest]))
	h, bytes, err := readSnapshot(r.journal.fs, name, r.state.Load)
	if err != nil {
		return err
	}
	if h.sequence != snapshots[newest] {
		return corrupt(name, 0, "the snapshot is of record %d, its name says %d", h.sequence, snapshots[newest])
	}
	r.journal.identity, r.journal.sequence, r.journal.previous = h.identity, h.sequence, h.previous
	r.found.Snapshot, r.found.SnapshotBytes = name, bytes
	for _, sequence := range snapshots[:newest] {
		r.stale = append(r.stale, snapshotName(sequence))
	}
	return nil
}

// relevant returns the logs that the snapshot has not made superfluous. Logs start
// exactly where a snapshot was taken, so one either precedes it or follows it.
func (r *recovering) relevant() ([]uint64, error) {
	logs := r.files.logs
	for len(logs) > 0 && logs[0] <= r.journal.sequence {
		r.stale = append(r.stale, logName(logs[0]))
		logs = logs[1:]
	}
	if len(logs) == 0 {
		return nil, corrupt(r.path(logName(r.journal.sequence+1)), 0, "the log is missing")
	}
	r.found.SequenceFirst = r.journal.sequence + 1
	return logs, nil
}

// replay reads one log and, if it is the last, leaves it open for appending.
func (r *recovering) replay(first uint64, last bool) error {
	log, err := openLog(r.journal.fs, r.path(logName(first)))
	if err != nil {
		return err
	}
	err = r.replayRecords(log, first)
	if err == nil && r.before != nil {
		err = r.complete(r.before, last && log.offset == blockBytes && log.tail == nil)
	}
	if err == nil && log.tail != nil {
		err = log.measureTorn()
	}
	if err != nil {
		return errors.Join(err, log.file.Close())
	}
	if !last {
		r.found.OlderLogBytes += log.offset - blockBytes
		r.before = log
		return log.file.Close()
	}
	j := r.journal
	j.file, j.name, j.offset, j.allocated = log.file, log.name, log.offset, log.claimed
	if log.header.version == 1 {
		j.allocated = log.size
	}
	r.newest, r.found.Torn = log, log.tail
	if log.sealed {
		return corrupt(r.path(logName(j.sequence+1)), 0, "the log is missing: %s is complete with record %d and goes on there",
			log.name, j.sequence)
	}
	return nil
}

// complete checks the end of a log that another one follows. It may lack its seal, or a
// part of it, only if the other is the newest and still empty: see startLog.
func (r *recovering) complete(log *logReader, nextIsNew bool) error {
	interrupted := nextIsNew && !r.files.closed
	switch {
	case log.tail != nil && (!interrupted || log.tail.end > log.offset+blockBytes):
		return corrupt(log.name, log.offset, "%s, yet newer logs exist", log.tail.Reason)
	case log.tail == nil && !log.sealed && log.header.version > 1 && !interrupted:
		return corrupt(log.name, log.offset, "the log does not say that it is complete, yet newer logs exist")
	}
	return nil
}

func (r *recovering) replayRecords(log *logReader, first uint64) error {
	j := r.journal
	if j.sequence == 0 && r.found.Snapshot == "" {
		j.identity = log.header.identity // the very first log
	}
	switch {
	case log.header.sequence != first:
		return corrupt(log.name, 0, "the log starts with record %d, its name says %d", log.header.sequence, first)
	case log.header.identity != j.identity:
		return corrupt(log.name, 0, "the log belongs to another ledger")
	case log.header.sequence != j.sequence+1 || log.header.previous != j.previous:
		return corrupt(log.name, 0, "the log starts with record %d, but record %d comes next",
			log.header.sequence, j.sequence+1)
	}
	for {
		record, torn, err := log.next()
		if err != nil {
			return err
		}
		if record == nil {
			log.tail = torn
			return nil
		}
		if err := r.state.Replay(record); err != nil {
			return fmt.Errorf("record %d in %s: %w", log.sequence-1, log.name, err)
		}
		r.found.RecordsCount++
		j.sequence, j.previous = log.sequence-1, log.previous
	}
}

// checkClosed compares what was read with the mark of a proper close, if there is one.
func (r *recovering) checkClosed() error {
	if !r.files.closed {
		return nil
	}
	mark, err := r.readMark(closedName, kindClosed)
	if err != nil {
		return err
	}
	j := r.journal
	switch {
	case r.found.Torn != nil:
		return corrupt(r.found.Torn.File, r.found.Torn.Offset, "%s, yet the ledger was closed properly", r.found.Torn.Reason)
	case mark.sequence != j.sequence || mark.previous != j.previous:
		return corrupt(j.name, j.offset, "the log ends with record %d, but the ledger was closed properly with record %d",
			j.sequence, mark.sequence)
	}
	r.found.Closed = true
	return nil
}

// checkOpened compares what was read with what was there when the ledger was last opened:
// it cannot have become less.
func (r *recovering) checkOpened() error {
	if !r.files.opened {
		return nil
	}
	mark, err := r.readMark(openedName, kindOpened)
	if err != nil {
		return err
	}
	j := r.journal
	if mark.sequence > j.sequence || mark.sequence == j.sequence && mark.previous != j.previous {
		return corrupt(j.name, j.offset, "the log ends with record %d, but record %d was there when the ledger was last opened",
			j.sequence, mark.sequence)
	}
	return nil
}

func (r *recovering) readMark(name string, kind fileKind) (mark fileHeader, err error) {
	name = r.path(name)
	file, err := r.journal.fs.Open(name)
	if err != nil {
		return mark, err
	}
	mark, size, err := readFileHeader(file, name, kind)
	if err := errors.Join(err, file.Close()); err != nil {
		return mark, err
	}
	switch {
	case size != blockBytes:
		return mark, corrupt(name, blockBytes, "there are bytes after the end")
	case mark.identity != r.journal.identity:
		return mark, corrupt(name, 0, "the mark belongs to another ledger")
	}
	return mark, nil
}

// makeReady prepares the directory for appending, after everything was read and is sound.
func (r *recovering) makeReady() error {
	j := r.journal
	if r.files.closed {
		// Before anything is written: the mark must not outlive what it says.
		if err := j.fs.Remove(r.path(closedName)); err != nil {
			return err
		}
		if err := j.fs.SyncDir(j.dir); err != nil {
			return err
		}
	}
	for _, name := range r.stale {
		if err := j.fs.Remove(r.path(name)); err != nil {
			return err
		}
		r.found.FilesRemoved++
	}
	if err := r.repair(); err != nil {
		return err
	}
	// If there is no room for the mark, the previous one still holds.
	if placed, err := j.mark(openedName, kindOpened); placed {
		return err
	}
	return nil
}

// repair cleans up what a crash or the previous release has left.
func (r *recovering) repair() error {
	j := r.journal
	if r.found.Created {
		return r.create()
	}
	if r.found.Torn != nil {
		if err := r.clearTail(); err != nil {
			return err
		}
	}
	if err := r.flushAgain(); err != nil {
		return err
	}
	if err := r.sealBefore(); err != nil {
		return err
	}
	if r.newest.header.version < FormatVersion {
		r.found.OlderLogBytes += j.LogBytes()
		return j.startLog()
	}
	return nil
}

// create starts a new ledger.
func (r *recovering) create() error {
	for allZero(r.journal.identity[:]) {
		rand.Read(r.journal.identity[:]) // never fails (package crypto/rand)
	}
	return r.journal.startLog()
}

// clearTail overwrites the remains of an unfinished write with zeros, so that nothing
// of it can ever be taken for a record. Whether a write was unfinished is an inference
// from what is missing, so a copy of it is kept.
func (r *recovering) clearTail() error {
	j, torn := r.journal, r.found.Torn
	kept, err := r.keep(torn.end)
	if err != nil {
		return fmt.Errorf("keep a copy of the torn tail of %s: %w", j.name, err)
	}
	torn.Kept = kept
	if err := writeZeros(j.file, j.offset, torn.end); err != nil {
		return fmt.Errorf("clear the torn tail of %s: %w", j.name, err)
	}
	return nil // flushAgain flushes it
}

// keep copies the newest log from its last record up to end.
func (r *recovering) keep(end int64) (name string, err error) {
	j := r.journal
	for kept := r.files.torn; len(kept) >= tornFilesMax; kept = kept[1:] {
		if err := j.fs.Remove(r.path(kept[0])); err != nil {
			return "", err
		}
	}
	number := 1
	for slices.ContainsFunc(r.files.torn, func(name string) bool {
		return name >= tornName(r.newest.header.sequence, j.offset, number)
	}) {
		number++
	}
	name = r.path(tornName(r.newest.header.sequence, j.offset, number))
	file, _, err := createWhole(j.fs, j.dir, name, func(file disk.File) error {
		for at := j.offset; at < end; {
			part, err := r.newest.read(at, min(end-at, 1<<20))
			if err != nil {
				return err
			}
			if _, err := file.WriteAt(part, at-j.offset); err != nil {
				return err
			}
			at += int64(len(part))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return name, file.Close()
}

// flushAgain writes the last record once more and flushes it. If the process
// before this one stopped because its flush had failed, the record is in the
// operating system's memory but perhaps not on disk, and a flush alone would not
// write it (lwn.net, "PostgreSQL's fsync() surprise"). Those before it were
// flushed before it was written.
func (r *recovering) flushAgain() error {
	j, log := r.journal, r.newest
	if log.lastExtent > 0 {
		frame, err := log.read(log.lastOffset, log.lastExtent)
		if err != nil {
			return err
		}
		if _, err := j.file.WriteAt(frame, log.lastOffset); err != nil {
			return fmt.Errorf("flush the last record of %s: %w", j.name, err)
		}
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", j.name, err)
	}
	return j.fs.SyncDir(j.dir)
}

// sealBefore writes the seal of the log before an empty one, in case a crash or a
// failed flush came between the two.
func (r *recovering) sealBefore() error {
	log, j := r.before, r.journal
	if log == nil || j.LogBytes() > 0 {
		return nil
	}
	file, err := j.fs.Open(log.name)
	if err != nil {
		return err
	}
	header := frameHeader{sequence: j.sequence + 1, previous: j.previous, allocated: log.claimed}
	err = seal(file, j.identity, log.offset, header)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("end %s: %w", log.name, err)
	}
	return nil
}

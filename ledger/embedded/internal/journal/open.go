package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"boxoffice/ledger/embedded/internal/disk"
)

// State takes in what Open reads: at most one snapshot, then records in order.
type State interface {
	// Load takes in a snapshot, reading it to its end.
	Load(r io.Reader) error
	// Replay takes in a record. The bytes are only valid during the call.
	Replay(record []byte) error
}

// Recovery says what Open found.
type Recovery struct {
	Created       bool   // there was no ledger in the directory
	Snapshot      string // the file that was loaded, if any
	SnapshotBytes int64  // its size
	OlderLogBytes int64  // size of the logs behind the snapshot, but for the newest
	RecordsCount  uint64 // records that were replayed
	Torn          *Torn  // the tail that was cut off, if any
	FilesRemoved  int    // unfinished or superfluous files
	SequenceFirst uint64 // the first record that was replayed
}

// Open reads the ledger in a directory into state, creating it where there is
// none, and returns the journal ready to append.
//
// The caller holds the lock on the directory. Errors wrap ErrCorrupt,
// ErrNewerFormat, or come from the file system or from state.
func Open(fs disk.FileSystem, dir string, state State) (*Journal, Recovery, error) {
	j := &Journal{fs: fs, dir: dir}
	recovery, err := j.recover(state)
	if err != nil {
		if j.file != nil {
			err = errors.Join(err, j.file.Close())
		}
		return nil, recovery, err
	}
	return j, recovery, nil
}

func (j *Journal) recover(state State) (recovery Recovery, err error) {
	names, err := j.fs.List(j.dir)
	if err != nil {
		return recovery, err
	}
	found := sortFiles(names)
	if err := j.remove(found.temporary, &recovery); err != nil {
		return recovery, err
	}
	if len(found.logs) == 0 && len(found.snapshots) == 0 {
		recovery.Created = true
		recovery.SequenceFirst = 1
		return recovery, j.create()
	}
	if err := j.loadNewest(found.snapshots, state, &recovery); err != nil {
		return recovery, err
	}
	logs, err := j.relevant(found.logs, &recovery)
	if err != nil {
		return recovery, err
	}
	for i, first := range logs {
		last := i == len(logs)-1
		if err := j.replay(first, last, state, &recovery); err != nil {
			return recovery, err
		}
	}
	return recovery, nil
}

// create starts a new ledger.
func (j *Journal) create() error {
	for allZero(j.identity[:]) {
		rand.Read(j.identity[:]) // never fails (package crypto/rand)
	}
	return j.startLog()
}

func (j *Journal) remove(names []string, recovery *Recovery) error {
	for _, name := range names {
		if err := j.fs.Remove(filepath.Join(j.dir, name)); err != nil {
			return err
		}
		recovery.FilesRemoved++
	}
	return nil
}

// loadNewest loads the last snapshot and removes those before it: a crash may
// have come between the new one and the removal.
func (j *Journal) loadNewest(snapshots []uint64, state State, recovery *Recovery) error {
	if len(snapshots) == 0 {
		return nil
	}
	newest := len(snapshots) - 1
	name := filepath.Join(j.dir, snapshotName(snapshots[newest]))
	h, bytes, err := readSnapshot(j.fs, name, state.Load)
	if err != nil {
		return err
	}
	if h.sequence != snapshots[newest] {
		return corrupt(name, 0, "the snapshot is of record %d, its name says %d", h.sequence, snapshots[newest])
	}
	j.identity, j.sequence, j.previous = h.identity, h.sequence, h.previous
	recovery.Snapshot, recovery.SnapshotBytes = name, bytes
	for _, sequence := range snapshots[:newest] {
		if err := j.remove([]string{snapshotName(sequence)}, recovery); err != nil {
			return err
		}
	}
	return nil
}

// relevant drops the logs that the snapshot has made superfluous. Logs start
// exactly where a snapshot was taken, so one either precedes it or follows it.
func (j *Journal) relevant(logs []uint64, recovery *Recovery) ([]uint64, error) {
	for len(logs) > 0 && logs[0] <= j.sequence {
		if err := j.remove([]string{logName(logs[0])}, recovery); err != nil {
			return nil, err
		}
		logs = logs[1:]
	}
	if len(logs) == 0 {
		return nil, corrupt(filepath.Join(j.dir, logName(j.sequence+1)), 0, "the log is missing")
	}
	recovery.SequenceFirst = j.sequence + 1
	return logs, nil
}

// replay reads one log and, where it is the last, leaves it open for appending.
func (j *Journal) replay(first uint64, last bool, state State, recovery *Recovery) error {
	name := filepath.Join(j.dir, logName(first))
	r, err := openLog(j.fs, name)
	if err != nil {
		return err
	}
	if err := j.replayRecords(r, first, state, recovery); err != nil {
		return errors.Join(err, r.file.Close())
	}
	if !last {
		if recovery.Torn != nil {
			return errors.Join(
				corrupt(name, recovery.Torn.Offset, "%s, yet newer logs exist", recovery.Torn.Reason),
				r.file.Close())
		}
		recovery.OlderLogBytes += r.offset - blockBytes
		return r.file.Close()
	}
	j.file, j.name, j.offset, j.allocated = r.file, name, r.offset, r.size
	if recovery.Torn != nil {
		if err := j.cutTail(); err != nil {
			return err
		}
	}
	return j.flushAgain(r)
}

// flushAgain writes the last record once more and flushes it. If the process
// before this one stopped because its flush had failed, the record is in the
// operating system's memory but perhaps not on disk, and a flush alone would not
// write it (lwn.net, "PostgreSQL's fsync() surprise"). Those before it were
// flushed before it was written.
func (j *Journal) flushAgain(r *logReader) error {
	if r.lastExtent > 0 {
		frame, err := r.read(r.lastOffset, r.lastExtent)
		if err != nil {
			return err
		}
		if _, err := j.file.WriteAt(frame, r.lastOffset); err != nil {
			return fmt.Errorf("flush the last record of %s: %w", j.name, err)
		}
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", j.name, err)
	}
	return j.fs.SyncDir(j.dir)
}

func (j *Journal) replayRecords(r *logReader, first uint64, state State, recovery *Recovery) error {
	if j.sequence == 0 && recovery.Snapshot == "" {
		j.identity = r.header.identity // the very first log
	}
	switch {
	case r.header.sequence != first:
		return corrupt(r.name, 0, "the log starts with record %d, its name says %d", r.header.sequence, first)
	case r.header.identity != j.identity:
		return corrupt(r.name, 0, "the log belongs to another ledger")
	case r.header.sequence != j.sequence+1 || r.header.previous != j.previous:
		return corrupt(r.name, 0, "the log starts with record %d, but record %d comes next",
			r.header.sequence, j.sequence+1)
	}
	for {
		record, torn, err := r.next()
		if err != nil {
			return err
		}
		if record == nil {
			recovery.Torn = torn
			return nil
		}
		if err := state.Replay(record); err != nil {
			return fmt.Errorf("record %d in %s: %w", r.sequence-1, r.name, err)
		}
		recovery.RecordsCount++
		j.sequence, j.previous = r.sequence-1, r.previous
	}
}

// cutTail removes the remains of an unfinished write, so that nothing of it can
// ever be taken for a record.
func (j *Journal) cutTail() error {
	if err := j.file.Truncate(j.offset); err != nil {
		return fmt.Errorf("cut the torn tail of %s: %w", j.name, err)
	}
	j.allocated = j.offset
	return nil
}

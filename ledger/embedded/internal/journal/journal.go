package journal

import (
	"errors"
	"fmt"
	"path/filepath"

	"boxoffice/ledger/embedded/internal/disk"
)

const (
	allocateBytesMin = 256 << 10
	allocateBytesMax = 16 << 20
	// logBytesMin is the initial size of a log.
	logBytesMin = blockBytes + allocateBytesMin
)

// Journal is an open log, ready to append to. Its methods are for one goroutine,
// but WriteSnapshot and Retire may run in another one meanwhile.
type Journal struct {
	fs       disk.FileSystem
	dir      string
	identity identity

	file   disk.File
	name   string
	offset int64 // of the next frame
	// allocated is the size of the file that is on disk, as zeros from offset on.
	// At least one block of it is free, or the log is of format 1.
	allocated int64

	sequence uint64 // of the last record
	previous uint32 // checksum of the last frame
	buffer   []byte
	failed   error
}

// Sequence is the number of the last record: 0 before the first.
func (j *Journal) Sequence() uint64 { return j.sequence }

// LogBytes is the size of the records that the newest log holds, in bytes.
func (j *Journal) LogBytes() int64 { return j.offset - blockBytes }

// Broken reports whether the journal can no longer be written: what a failed write or flush
// left on disk is unknown until the log is read again. If Append or Rotate fail and the
// journal is not broken, they have changed nothing.
func (j *Journal) Broken() bool { return j.failed != nil }

// Append writes a record and returns once it is on stable storage. If the disk has no room,
// it may be tried again. After any other error the journal is broken, and every further
// call returns an error.
func (j *Journal) Append(record []byte) error {
	if j.failed != nil {
		return j.failed
	}
	if len(record) > RecordBytesMax {
		return fmt.Errorf("record of %d bytes: at most %d", len(record), RecordBytesMax)
	}
	if err := j.allocate(j.offset + frameExtent(len(record)) + blockBytes); err != nil {
		return err
	}
	if err := j.append(record); err != nil {
		return j.fail("write record %d to %s: %w", j.sequence+1, j.name, err)
	}
	return nil
}

func (j *Journal) fail(format string, args ...any) error {
	j.failed = fmt.Errorf(format, args...)
	return j.failed
}

func (j *Journal) append(record []byte) error {
	header := frameHeader{sequence: j.sequence + 1, previous: j.previous, allocated: j.allocated}
	frame, checksum := encodeFrame(j.buffer, j.identity, header, record)
	j.buffer = frame
	if _, err := j.file.WriteAt(frame, j.offset); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.offset += int64(len(frame))
	j.sequence++
	j.previous = checksum
	return nil
}

// allocate makes sure that the file on disk has room up to end: in steps that
// double, so that a small ledger stays small and a busy one is seldom held up. A
// disk that is nearly full gives only what is needed.
func (j *Journal) allocate(end int64) error {
	if end <= j.allocated {
		return nil
	}
	target := max(end, j.allocated+min(max(j.allocated, allocateBytesMin), allocateBytesMax))
	err := writeZeros(j.file, j.allocated, target)
	if err != nil && target > end {
		target = end
		err = writeZeros(j.file, j.allocated, target)
	}
	if err != nil {
		return fmt.Errorf("make room in %s: %w", j.name, err)
	}
	// Before any frame names this size.
	if err := j.file.Sync(); err != nil {
		return j.fail("make room in %s: %w", j.name, err)
	}
	j.allocated = target
	return nil
}

func writeZeros(file disk.File, from, to int64) error {
	if from >= to {
		return nil
	}
	zeros := make([]byte, min(to-from, 1<<20))
	for from < to {
		part := zeros[:min(int64(len(zeros)), to-from)]
		if _, err := file.WriteAt(part, from); err != nil {
			return err
		}
		from += int64(len(part))
	}
	return nil
}

// Rotate starts a new log after the last record, so that a snapshot taken now makes the
// earlier logs superfluous.
func (j *Journal) Rotate() error {
	if j.failed != nil {
		return j.failed
	}
	if j.LogBytes() == 0 {
		return nil
	}
	return j.startLog()
}

// startLog creates the log for the records after j.sequence, seals the one before
// it, if there is one, and makes the new one current.
func (j *Journal) startLog() error {
	name := filepath.Join(j.dir, logName(j.sequence+1))
	header := fileHeader{kind: kindLog, identity: j.identity, sequence: j.sequence + 1, previous: j.previous}
	file, placed, err := createWhole(j.fs, j.dir, name, func(file disk.File) error {
		if _, err := file.WriteAt(header.encode(), 0); err != nil {
			return err
		}
		return writeZeros(file, blockBytes, logBytesMin)
	})
	switch {
	case err != nil && placed:
		return j.fail("start a new log: %w", err)
	case err != nil:
		return fmt.Errorf("start a new log: %w", err)
	}
	if j.file != nil {
		err = errors.Join(j.sealOld(name), j.file.Close())
	}
	j.file, j.name = file, name
	j.offset, j.allocated = blockBytes, logBytesMin
	if err != nil {
		return j.fail("end the log before %s: %w", name, err)
	}
	return nil
}

// sealOld seals the current log, unless the new one takes its place.
func (j *Journal) sealOld(newName string) error {
	if j.name == newName {
		return nil
	}
	return seal(j.file, j.identity, j.offset, frameHeader{sequence: j.sequence + 1, previous: j.previous, allocated: j.allocated})
}

// seal writes after the last record of a log that it is complete. There is room, because a
// block is always free.
func seal(file disk.File, id identity, offset int64, h frameHeader) error {
	h.seal = true
	frame, _ := encodeFrame(nil, id, h, nil)
	if _, err := file.WriteAt(frame, offset); err != nil {
		return err
	}
	return file.Sync()
}

// createWhole writes a file under a temporary name and gives it its name once it is on
// disk: a crash leaves the whole file or none. After an error, placed reports whether the
// file may have its name; if not, nothing is left of it.
func createWhole(fs disk.FileSystem, dir, name string, write func(disk.File) error) (file disk.File, placed bool, err error) {
	temporary := name + temporarySuffix
	if file, err = fs.Create(temporary); err != nil {
		return nil, false, err
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		file.Close()
		_ = fs.Remove(temporary) // best effort, to free the room; Open removes what is left
		return nil, false, err
	}
	if err = fs.Rename(temporary, name); err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		file.Close()
		return nil, true, err
	}
	return file, true, nil
}

// Close releases the log. Confirmed records are on disk. Unless the journal is broken,
// Close marks that the ledger was closed properly, so that the next Open accepts nothing
// else.
func (j *Journal) Close() error {
	err := j.file.Close()
	if j.failed != nil {
		return err
	}
	if _, markErr := j.mark(closedName, kindClosed); markErr != nil {
		return errors.Join(err, fmt.Errorf("mark that the ledger was closed properly: %w", markErr))
	}
	return err
}

// mark writes a mark that names the last record. For placed see createWhole.
func (j *Journal) mark(name string, kind fileKind) (placed bool, err error) {
	header := fileHeader{kind: kind, identity: j.identity, sequence: j.sequence, previous: j.previous}
	file, placed, err := createWhole(j.fs, j.dir, filepath.Join(j.dir, name), func(file disk.File) error {
		_, err := file.WriteAt(header.encode(), 0)
		return err
	})
	if err != nil {
		return placed, err
	}
	return true, file.Close()
}

package journal

import (
	"fmt"
	"path/filepath"

	"boxoffice/ledger/embedded/internal/disk"
)

const (
	allocateBytesMin = 256 << 10
	allocateBytesMax = 16 << 20
)

// Journal is an open log, ready to append to. Its methods are for one goroutine,
// but WriteSnapshot and Retire may run in another one meanwhile.
type Journal struct {
	fs       disk.FileSystem
	dir      string
	identity identity

	file      disk.File
	name      string
	offset    int64 // of the next frame
	allocated int64 // up to here the file is on disk, as zeros after offset

	sequence uint64 // of the last record
	previous uint32 // checksum of the last frame
	buffer   []byte
	failed   error
}

// Sequence is the number of the last record: 0 before the first.
func (j *Journal) Sequence() uint64 { return j.sequence }

// LogBytes is the size of the records that the newest log holds, in bytes.
func (j *Journal) LogBytes() int64 { return j.offset - blockBytes }

// Append writes a record and returns once it is on stable storage. After an
// error the journal is broken, and every further call returns an error: what a
// failed flush left on disk is unknown until the log is read again.
func (j *Journal) Append(record []byte) error {
	if j.failed != nil {
		return j.failed
	}
	if len(record) > RecordBytesMax {
		return fmt.Errorf("record of %d bytes: at most %d", len(record), RecordBytesMax)
	}
	if err := j.append(record); err != nil {
		j.failed = fmt.Errorf("write record %d to %s: %w", j.sequence+1, j.name, err)
		return j.failed
	}
	return nil
}

func (j *Journal) append(record []byte) error {
	frame, checksum := encodeFrame(j.buffer, j.identity, j.sequence+1, j.previous, record)
	j.buffer = frame
	if err := j.allocate(j.offset + int64(len(frame))); err != nil {
		return err
	}
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

// allocate makes sure that the file has room up to end: in steps that double, so
// that a small ledger stays small and a busy one is seldom held up.
func (j *Journal) allocate(end int64) error {
	if end <= j.allocated {
		return nil
	}
	step := min(max(j.allocated, allocateBytesMin), allocateBytesMax)
	zeros := make([]byte, min(step, 1<<20))
	for target := max(end, j.allocated+step); j.allocated < target; {
		part := zeros[:min(int64(len(zeros)), target-j.allocated)]
		if _, err := j.file.WriteAt(part, j.allocated); err != nil {
			return fmt.Errorf("allocate: %w", err)
		}
		j.allocated += int64(len(part))
	}
	return nil
}

// Rotate starts a new log behind the last record, so that a snapshot taken now
// makes the logs before it superfluous.
func (j *Journal) Rotate() error {
	if j.failed != nil {
		return j.failed
	}
	if j.LogBytes() == 0 {
		return nil
	}
	if err := j.startLog(); err != nil {
		j.failed = fmt.Errorf("start a new log: %w", err)
		return j.failed
	}
	return nil
}

// startLog creates the log for the records after j.sequence and makes it the
// current one.
func (j *Journal) startLog() error {
	name := filepath.Join(j.dir, logName(j.sequence+1))
	header := fileHeader{kind: kindLog, identity: j.identity, sequence: j.sequence + 1, previous: j.previous}
	file, err := createWhole(j.fs, j.dir, name, func(file disk.File) error {
		_, err := file.WriteAt(header.encode(), 0)
		return err
	})
	if err != nil {
		return err
	}
	if j.file != nil {
		if err := j.file.Close(); err != nil {
			file.Close()
			return err
		}
	}
	j.file, j.name = file, name
	j.offset, j.allocated = blockBytes, blockBytes
	return nil
}

// createWhole writes a file under a temporary name and gives it its name once it
// is on disk: a crash leaves the whole file or none.
func createWhole(fs disk.FileSystem, dir, name string, write func(disk.File) error) (disk.File, error) {
	file, err := fs.Create(name + temporarySuffix)
	if err != nil {
		return nil, err
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = fs.Rename(name+temporarySuffix, name)
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Close releases the log. It writes nothing: what was confirmed is on disk.
func (j *Journal) Close() error { return j.file.Close() }

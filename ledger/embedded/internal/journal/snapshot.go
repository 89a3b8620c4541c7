package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"

	"boxoffice/ledger/embedded/internal/disk"
)

const (
	chunkBytesMax    = 256 << 10
	chunkHeaderBytes = 8
)

// Position is a place between two records.
type Position struct {
	Sequence uint64 // of the last record before it
	previous uint32
}

// Position is the end of the log.
func (j *Journal) Position() Position { return Position{j.sequence, j.previous} }

// WriteSnapshot writes what encode produces as the state at a position, and returns once it
// is on stable storage.
func (j *Journal) WriteSnapshot(at Position, encode func(io.Writer) error) (bytes int64, err error) {
	name := filepath.Join(j.dir, snapshotName(at.Sequence))
	w := &chunkWriter{offset: blockBytes}
	file, _, err := createWhole(j.fs, j.dir, name, func(file disk.File) error {
		w.file = file
		header := fileHeader{kind: kindSnapshot, identity: j.identity, sequence: at.Sequence, previous: at.previous}
		if _, err := file.WriteAt(header.encode(), 0); err != nil {
			return err
		}
		if err := encode(w); err != nil {
			return err
		}
		return w.finish()
	})
	if err != nil {
		return 0, fmt.Errorf("write snapshot %s: %w", name, err)
	}
	return w.offset, file.Close()
}

// Retire removes the logs and snapshots that a snapshot at a position has made
// superfluous.
func (j *Journal) Retire(at Position) error {
	names, err := j.fs.List(j.dir)
	if err != nil {
		return err
	}
	f := sortFiles(names)
	var stale []string
	for _, sequence := range f.snapshots {
		if sequence < at.Sequence {
			stale = append(stale, snapshotName(sequence))
		}
	}
	for _, first := range f.logs {
		if first <= at.Sequence {
			stale = append(stale, logName(first))
		}
	}
	for _, name := range stale {
		if err := j.fs.Remove(filepath.Join(j.dir, name)); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return j.fs.SyncDir(j.dir)
}

// chunkWriter splits a stream into chunks with checksums.
type chunkWriter struct {
	file   disk.File
	offset int64
	number uint64
	buffer []byte
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), chunkBytesMax-len(w.buffer))
		w.buffer = append(w.buffer, p[:n]...)
		p = p[n:]
		if len(w.buffer) == chunkBytesMax {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (w *chunkWriter) flush() error {
	header := make([]byte, 0, chunkHeaderBytes)
	header = binary.LittleEndian.AppendUint32(header, uint32(len(w.buffer)))
	header = binary.LittleEndian.AppendUint32(header, chunkChecksum(w.number, w.buffer))
	if _, err := w.file.WriteAt(header, w.offset); err != nil {
		return err
	}
	if _, err := w.file.WriteAt(w.buffer, w.offset+chunkHeaderBytes); err != nil {
		return err
	}
	w.offset += chunkHeaderBytes + int64(len(w.buffer))
	w.number++
	w.buffer = w.buffer[:0]
	return nil
}

func (w *chunkWriter) finish() error {
	if len(w.buffer) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return w.flush() // an empty chunk ends the file
}

func chunkChecksum(number uint64, content []byte) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], number)
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, content)
}

// chunkReader is the stream that a chunkWriter wrote. It returns no byte before its
// checksum was compared.
type chunkReader struct {
	file   disk.File
	name   string
	size   int64
	offset int64
	number uint64
	rest   []byte
	buffer []byte
	err    error
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil {
		r.err = r.fill()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fill reads the next chunk; io.EOF means the whole file was read and is sound.
func (r *chunkReader) fill() error {
	var header [chunkHeaderBytes]byte
	if err := r.readChunk(header[:]); err != nil {
		return err
	}
	length := binary.LittleEndian.Uint32(header[:])
	if length > chunkBytesMax {
		return corrupt(r.name, r.offset, "chunk %d has an impossible length", r.number)
	}
	if r.buffer == nil {
		r.buffer = make([]byte, chunkBytesMax)
	}
	start := r.offset
	r.offset += chunkHeaderBytes
	content := r.buffer[:length]
	if err := r.readChunk(content); err != nil {
		return err
	}
	if chunkChecksum(r.number, content) != binary.LittleEndian.Uint32(header[4:]) {
		return corrupt(r.name, start, "the checksum of chunk %d does not match", r.number)
	}
	r.offset += int64(length)
	r.number++
	r.rest = content
	switch {
	case length > 0:
		return nil
	case r.offset != r.size:
		return corrupt(r.name, r.offset, "there are bytes after the end")
	}
	return io.EOF
}

func (r *chunkReader) readChunk(b []byte) error {
	if r.offset+int64(len(b)) > r.size {
		return corrupt(r.name, r.offset, "the file is too short")
	}
	return readAt(r.file, b, r.offset)
}

// readSnapshot passes the content of a snapshot to load, which must read all of
// it, and returns the size of the file.
func readSnapshot(fs disk.FileSystem, name string, load func(io.Reader) error) (h fileHeader, size int64, err error) {
	file, err := fs.Open(name)
	if err != nil {
		return h, 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if h, size, err = readFileHeader(file, name, kindSnapshot); err != nil {
		return h, 0, err
	}
	r := &chunkReader{file: file, name: name, size: size, offset: blockBytes}
	if err := load(r); err != nil {
		return h, 0, fmt.Errorf("snapshot %s: %w", name, err)
	}
	return h, size, nil
}

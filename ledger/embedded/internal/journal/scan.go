package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"boxoffice/ledger/embedded/internal/disk"
)

// logReader reads the frames of one log in order.
type logReader struct {
	file   disk.File
	name   string
	size   int64
	header fileHeader

	offset   int64 // of the next frame
	claimed  int64 // the size that the file has had on disk, as its frames say
	sealed   bool  // a seal was read: the log goes on in the next
	tail     *Torn // what follows the last record, if that is not the end
	sequence uint64
	previous uint32
	buffer   []byte

	// lastOffset and lastExtent are the place of the last record, 0 for none.
	lastOffset, lastExtent int64
}

// Torn describes the remains of a write that a crash cut short. They were never
// confirmed.
type Torn struct {
	File   string
	Offset int64  // where the log ends now
	Bytes  int64  // behind it, of which some were written
	Kept   string // the copy of what was written there
	Reason string
	end    int64 // of what was written there
}

func openLog(fs disk.FileSystem, name string) (*logReader, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	r := &logReader{file: file, name: name, offset: blockBytes}
	if r.header, r.size, err = readFileHeader(file, name, kindLog); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	r.sequence, r.previous = r.header.sequence, r.header.previous
	if r.header.version > 1 {
		err = r.claim(logBytesMin)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// claim refuses a file that was once longer.
func (r *logReader) claim(size int64) error {
	r.claimed = size
	if r.size < size {
		return corrupt(r.name, r.size, "the file ends here, but it had %d bytes when record %d was written: it was cut", size, r.sequence)
	}
	return nil
}

// next returns the next record, valid until the call after. At the end of the log, record
// is nil; torn is not nil if the end is the remains of a write.
func (r *logReader) next() (record []byte, torn *Torn, err error) {
	remaining := r.size - r.offset
	if remaining < blockBytes {
		return nil, r.shortTail(remaining), nil
	}
	block, err := r.read(r.offset, blockBytes)
	if err != nil {
		return nil, nil, err
	}
	if allZero(block[:sectorBytes]) {
		torn, err = r.unwritten()
		return nil, torn, err
	}
	h, ok := decodeFrameHeader(block)
	switch {
	case !ok:
		return nil, nil, corrupt(r.name, r.offset, "the header of record %d is damaged", r.sequence)
	case h.sequence != r.sequence:
		return nil, nil, corrupt(r.name, r.offset, "found record %d instead of %d", h.sequence, r.sequence)
	case h.previous != r.previous:
		return nil, nil, corrupt(r.name, r.offset, "record %d does not follow the one before it", h.sequence)
	case r.header.version > 1 && (h.allocated < r.claimed || h.allocated < r.offset+h.extent()+blockBytes && !h.seal):
		return nil, nil, corrupt(r.name, r.offset, "record %d names an impossible size of the file", h.sequence)
	}
	if r.header.version > 1 {
		if err := r.claim(h.allocated); err != nil {
			return nil, nil, err
		}
	}
	if h.extent() > remaining {
		return nil, r.torn("record %d is cut off by the end of the file", h.sequence), nil
	}
	frame, err := r.read(r.offset, h.extent())
	if err != nil {
		return nil, nil, err
	}
	if crc32.Checksum(frame[frameHeaderBytes:], castagnoli) != h.checksum {
		torn, err = r.damaged(h, frame)
		return nil, torn, err
	}
	if h.seal {
		return nil, nil, r.seal()
	}
	whiten(frame[frameHeaderBytes:], r.header.identity)
	r.lastOffset, r.lastExtent = r.offset, h.extent()
	r.offset += h.extent()
	r.sequence++
	r.previous = h.checksum
	return frame[frameHeaderBytes : frameHeaderBytes+int(h.length)], nil, nil
}

// seal ends the log: nothing was ever written after it.
func (r *logReader) seal() error {
	r.sealed = true
	end, err := r.written()
	if err == nil && end > r.offset+blockBytes {
		err = corrupt(r.name, r.offset+blockBytes, "there are bytes after the end of the log")
	}
	return err
}

// measureTorn finds out how far the remains of a write reach.
func (r *logReader) measureTorn() (err error) {
	r.tail.end, err = r.written()
	return err
}

// written is where the last block after the last record ends that is not all zeros.
func (r *logReader) written() (end int64, err error) {
	for offset := r.offset; offset < r.size; offset += blockBytes {
		block, err := r.read(offset, min(blockBytes, r.size-offset))
		if err != nil {
			return 0, err
		}
		if !allZero(block) {
			end = offset + int64(len(block))
		}
	}
	return end, nil
}

// shortTail is what follows the last whole block of a file that was cut.
func (r *logReader) shortTail(remaining int64) *Torn {
	if remaining <= 0 {
		return nil
	}
	return r.torn("%d bytes after the last whole block", remaining)
}

// unwritten decides what a block that starts with an unwritten sector means: the
// end of the log, the remains of a write that never reached its first sector, or
// a hole, where confirmed records follow.
func (r *logReader) unwritten() (*Torn, error) {
	clean := true
	for offset := r.offset; offset < r.size; offset += blockBytes {
		block, err := r.read(offset, min(blockBytes, r.size-offset))
		if err != nil {
			return nil, err
		}
		if err := r.refuseRecord(block, offset); err != nil {
			return nil, err
		}
		clean = clean && allZero(block)
	}
	if clean {
		return nil, nil
	}
	return r.torn("the first sector of record %d was never written", r.sequence), nil
}

// damaged decides what a frame with a wrong checksum means. If a sector of it was never
// written and nothing follows, it is torn, because each record is flushed before the next
// is written. Otherwise its bytes changed after they were written.
func (r *logReader) damaged(h frameHeader, frame []byte) (*Torn, error) {
	missing := false
	for at := sectorBytes; at < len(frame); at += sectorBytes {
		missing = missing || allZero(frame[at:at+sectorBytes])
	}
	if !missing {
		return nil, corrupt(r.name, r.offset, "the checksum of record %d does not match", h.sequence)
	}
	for offset := r.offset + h.extent(); offset < r.size; offset += blockBytes {
		block, err := r.read(offset, min(blockBytes, r.size-offset))
		if err != nil {
			return nil, err
		}
		if err := r.refuseRecord(block, offset); err != nil {
			return nil, err
		}
	}
	return r.torn("record %d was only written in part", h.sequence), nil
}

// refuseRecord reports a record that follows a missing one.
func (r *logReader) refuseRecord(block []byte, offset int64) error {
	if len(block) < frameHeaderBytes {
		return nil
	}
	if later, ok := decodeFrameHeader(block); ok && later.sequence > r.sequence {
		return corrupt(r.name, r.offset, "record %d is missing or damaged, yet record %d follows at offset %d",
			r.sequence, later.sequence, offset)
	}
	return nil
}

func (r *logReader) torn(format string, args ...any) *Torn {
	return &Torn{File: r.name, Offset: r.offset, Bytes: r.size - r.offset, Reason: fmt.Sprintf(format, args...)}
}

func (r *logReader) read(offset, length int64) ([]byte, error) {
	if int64(cap(r.buffer)) < length {
		r.buffer = make([]byte, max(length, 4*blockBytes))
	}
	b := r.buffer[:length]
	return b, readAt(r.file, b, offset)
}

// readAt reads all of b.
func readAt(file disk.File, b []byte, offset int64) error {
	n, err := file.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

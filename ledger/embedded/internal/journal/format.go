package journal

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"boxoffice/ledger/embedded/internal/disk"
)

// FormatVersion is the version of the files that this release writes. It also reads older
// ones, but no newer ones.
const FormatVersion = 2

const (
	blockBytes  = 4096 // the unit of writes: a page, and a sector of today's disks
	sectorBytes = 512  // the unit that a disk writes whole or not at all

	fileHeaderBytes  = 48
	frameHeaderBytes = 36
	identityBytes    = 16

	// RecordBytesMax bounds a record, and so the allocation that a damaged length can cause.
	RecordBytesMax = 16 << 20
)

var (
	fileMagic  = [8]byte([]byte("boxledgr"))
	frameMagic = [4]byte([]byte("frm1"))
	sealMagic  = [4]byte([]byte("end1"))
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

type fileKind uint32

const (
	kindLog      fileKind = 1
	kindSnapshot fileKind = 2
	kindClosed   fileKind = 3
	kindOpened   fileKind = 4
)

type identity [identityBytes]byte

// fileHeader starts every file.
type fileHeader struct {
	kind     fileKind
	version  uint32 // set by decodeFileHeader; what is written has the newest
	identity identity
	sequence uint64
	previous uint32
}

func (h fileHeader) encode() []byte {
	b := make([]byte, 0, blockBytes)
	b = append(b, fileMagic[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.kind))
	b = binary.LittleEndian.AppendUint32(b, FormatVersion)
	b = append(b, h.identity[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.sequence)
	b = binary.LittleEndian.AppendUint32(b, h.previous)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:blockBytes]
}

// decodeFileHeader reads the first bytes of a file. The version is looked at
// first: a newer format may place everything else differently.
func decodeFileHeader(file string, b []byte, kind fileKind) (fileHeader, error) {
	if len(b) < fileHeaderBytes || !bytes.Equal(b[:8], fileMagic[:]) {
		return fileHeader{}, corrupt(file, 0, "this is not a file of the embedded ledger")
	}
	version := binary.LittleEndian.Uint32(b[12:])
	if version > FormatVersion {
		return fileHeader{}, fmt.Errorf("%w: %s has format %d, this release reads up to %d; start the release that wrote it",
			ErrNewerFormat, file, version, FormatVersion)
	}
	if crc32.Checksum(b[:44], castagnoli) != binary.LittleEndian.Uint32(b[44:]) {
		return fileHeader{}, corrupt(file, 0, "the checksum of the file header does not match")
	}
	h := fileHeader{
		kind:     fileKind(binary.LittleEndian.Uint32(b[8:])),
		version:  version,
		identity: identity(b[16:32]),
		sequence: binary.LittleEndian.Uint64(b[32:]),
		previous: binary.LittleEndian.Uint32(b[40:]),
	}
	if h.kind != kind || version == 0 {
		return fileHeader{}, corrupt(file, 0, "the file is of another kind than its name says")
	}
	return h, nil
}

// readFileHeader reads and checks the first block of a file.
func readFileHeader(file disk.File, name string, kind fileKind) (h fileHeader, size int64, err error) {
	if size, err = file.Size(); err != nil {
		return h, 0, err
	}
	b := make([]byte, min(size, blockBytes))
	if err := readAt(file, b, 0); err != nil {
		return h, 0, err
	}
	if h, err = decodeFileHeader(name, b, kind); err != nil {
		return h, 0, err
	}
	if len(b) < blockBytes || !allZero(b[fileHeaderBytes:]) {
		return h, 0, corrupt(name, fileHeaderBytes, "the block of the file header is damaged")
	}
	return h, size, nil
}

// frameHeader starts every frame of a log.
type frameHeader struct {
	seal     bool   // no record: the log is complete and continues in the next one
	sequence uint64 // of a seal: of the first record of the next log
	length   uint32
	checksum uint32
	previous uint32
	// allocated is the size of the file that was on disk before the frame was
	// written. In a log of format 1 it is zero.
	allocated int64
}

// extent is the number of bytes of the whole frame.
func (h frameHeader) extent() int64 { return frameExtent(int(h.length)) }

func frameExtent(recordBytes int) int64 {
	blocks := (frameHeaderBytes + int64(recordBytes) + blockBytes - 1) / blockBytes
	return blocks * blockBytes
}

// encodeFrame builds a frame in buffer, which it may grow, and returns it with its
// checksum. The header's length and checksum are those of the record.
func encodeFrame(buffer []byte, id identity, h frameHeader, record []byte) (frame []byte, checksum uint32) {
	extent := int(frameExtent(len(record)))
	if cap(buffer) < extent {
		buffer = make([]byte, extent)
	}
	frame = buffer[:extent]
	clear(frame[copy(frame[frameHeaderBytes:], record)+frameHeaderBytes:])
	body := frame[frameHeaderBytes:]
	whiten(body, id)
	checksum = crc32.Checksum(body, castagnoli)

	magic := frameMagic
	if h.seal {
		magic = sealMagic
	}
	copy(frame, magic[:])
	binary.LittleEndian.PutUint64(frame[8:], h.sequence)
	binary.LittleEndian.PutUint32(frame[16:], uint32(len(record)))
	binary.LittleEndian.PutUint32(frame[20:], checksum)
	binary.LittleEndian.PutUint32(frame[24:], h.previous)
	binary.LittleEndian.PutUint64(frame[28:], uint64(h.allocated))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[8:frameHeaderBytes], castagnoli))
	return frame, checksum
}

// decodeFrameHeader reports whether b starts with a whole frame header.
func decodeFrameHeader(b []byte) (h frameHeader, ok bool) {
	seal := bytes.Equal(b[:4], sealMagic[:])
	if !seal && !bytes.Equal(b[:4], frameMagic[:]) ||
		crc32.Checksum(b[8:frameHeaderBytes], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return frameHeader{}, false
	}
	h = frameHeader{
		seal:      seal,
		sequence:  binary.LittleEndian.Uint64(b[8:]),
		length:    binary.LittleEndian.Uint32(b[16:]),
		checksum:  binary.LittleEndian.Uint32(b[20:]),
		previous:  binary.LittleEndian.Uint32(b[24:]),
		allocated: int64(binary.LittleEndian.Uint64(b[28:])),
	}
	return h, h.length <= RecordBytesMax && (!seal || h.length == 0)
}

// whiten combines b with the identity, repeated; twice gives b again.
func whiten(b []byte, id identity) {
	var pattern [sectorBytes]byte
	for filled := copy(pattern[:], id[:]); filled < len(pattern); filled *= 2 {
		copy(pattern[filled:], pattern[:filled])
	}
	for len(b) > 0 {
		n := subtle.XORBytes(b, b, pattern[:])
		b = b[n:]
	}
}

var zeros [blockBytes]byte

func allZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeros))
		if !bytes.Equal(b[:n], zeros[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// Package journal keeps the ledger's records on disk: a write-ahead log of frames, and
// snapshots that let the old log go. It does not know accounts and transfers: a record is
// bytes.
//
// Append returns nil only when the record is on stable storage. After a crash, Open gives
// back every record that Append had confirmed, in order, and at most one more, whole. It
// tells a torn tail (a write that the crash cut short: it is cleared, and a copy is kept)
// from corruption (bytes that changed after they were confirmed, or are gone: Open refuses
// and says where).
//
// # Files
//
// All integers are little-endian, checksums are CRC-32C. Both kinds of file
// start with a block of 4096 bytes whose first bytes are:
//
//	 0  8  magic "boxledgr"
//	 8  4  kind: 1 log, 2 snapshot, 3 mark of a close, 4 of an opening
//	12  4  format version: 2
//	16 16  identity of the ledger: random, the same in all its files
//	32  8  sequence: of the first record (log), of the last included (snapshot, marks)
//	40  4  checksum of the record before the first, or of the last
//	44  4  checksum of bytes 0 to 43
//
// A log "<sequence>.log" continues with frames, one per record, each a whole number
// of blocks, so that no byte of a confirmed record is ever written again:
//
//	 0  4  magic "frm1"; "end1" in a seal
//	 4  4  checksum of bytes 8 to 35
//	 8  8  sequence
//	16  4  length of the record in bytes
//	20  4  checksum of everything after the header, padding included
//	24  4  checksum (field 20) of the frame before
//	28  8  size of the file that was on disk before this frame was written
//	36  n  the record, then zeros up to the end of the last block
//
// Everything after a frame's header is combined with the identity by exclusive or.
// That makes a sector of zeros mean one thing only: it was never written. Space
// is allocated ahead with zeros, because a flush into allocated space is several
// times faster; the log ends where a block starts with zeros.
//
// A log starts with 260 KiB and never gets shorter. It grows, and the new size is
// flushed, before the last block is needed: so the first block of every frame lies
// within the size that the frame before it knows, and names the size that holds the
// rest. Wherever a log is cut, what is left of it shows that more was there.
//
// A seal is a frame without a record. It says that the log is complete and goes on in the
// next one, "<sequence of the seal>.log". That is created first and used only once the seal
// is on disk. So a crash between the two leaves an empty log after one without a seal; a
// seal without its next log means that a file is missing.
//
// The mark "CLOSED" is one block. It says that the ledger was closed properly, and names
// the last record; Open checks it and removes it, before anything is written. While it is
// there nothing can be torn: what differs is damage. The mark "OPENED" names the last
// record that was there when the ledger was last opened. It stays, and so does that record.
//
// The remains of an unfinished write are copied to "<log>-<offset>-<number>.torn"
// before they are overwritten with zeros. The newest of these copies are kept.
//
// Format 1 had no seals, no marks and no sizes. Its logs are read, and the log that is
// written to is at once replaced by one of format 2.
//
// A snapshot "<sequence>.snapshot" continues with chunks: length (4 bytes), checksum
// of chunk number (8 bytes) and content (4 bytes), content. An empty chunk ends it.
// Files are written as "<name>.tmp" and renamed when they are complete.
package journal

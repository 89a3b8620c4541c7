// Package journal keeps the ledger's records on disk: a write-ahead log of
// frames, and snapshots that let the old log go. It knows nothing of accounts
// and transfers; a record is bytes.
//
// What it promises: Append returns nil only when the record is on stable
// storage. After a crash, Open gives back every record that Append had confirmed,
// in order, and at most one more, whole. It tells a torn tail (a write that the
// crash cut short: it is cut off and reported) from corruption (bytes that
// changed after they were confirmed: Open refuses and says where).
//
// # Files
//
// All integers are little-endian, checksums are CRC-32C. Both kinds of file
// start with a block of 4096 bytes whose first bytes are:
//
//	 0  8  magic "boxledgr"
//	 8  4  kind: 1 log, 2 snapshot
//	12  4  format version
//	16 16  identity of the ledger: random, the same in all its files
//	32  8  sequence: of the first record (log), of the last included (snapshot)
//	40  4  checksum of the record before the first
//	44  4  checksum of bytes 0 to 43
//
// A log "<sequence>.log" goes on with frames, one per record, each a whole number
// of blocks, so that no byte of a confirmed record is ever written again:
//
//	 0  4  magic "frm1"
//	 4  4  checksum of bytes 8 to 35
//	 8  8  sequence
//	16  4  length of the record in bytes
//	20  4  checksum of everything after the header, padding included
//	24  4  checksum (field 20) of the frame before
//	28  8  zero
//	36  n  the record, then zeros up to the end of the last block
//
// Everything after a frame's header is combined with the identity by exclusive or.
// That makes a sector of zeros mean one thing only: it was never written. Space
// is allocated ahead with zeros, because a flush into allocated space is several
// times faster; the log ends where a block starts with zeros.
//
// A snapshot "<sequence>.snapshot" goes on with chunks: length (4 bytes), checksum
// of chunk number (8 bytes) and content (4 bytes), content. An empty chunk ends it.
// Files are written as "<name>.tmp" and renamed when they are complete.
package journal

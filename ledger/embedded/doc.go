// Package embedded is a ledger with TigerBeetle's semantics inside one process: an engine
// behind the official Go client's interface (tigerbeetle_go.Client, release 0.17.9) that
// answers every request as a server of that release does, and keeps what it answered on
// disk.
//
// It is for tests, and for machines without a cluster. It is not a database for
// production: one process, one disk, no replication. A lost disk is a lost ledger. To
// move to a cluster, use Export. Start with README.md; docs/reference.md has everything.
//
// # How it is built
//
//	embedded           orders requests, commits them in groups, keeps time
//	internal/machine   the rules: pure, deterministic, in memory
//	internal/journal   the write-ahead log and the snapshots
//	internal/disk      the seam to the file system
//
// One goroutine owns the ledger. It takes the requests that wait, executes them in order,
// writes those that change something as one record of the log, and answers them all after
// one flush. While it flushes, the next group collects. No answer, not even to a read,
// shows what is not yet on disk.
package embedded

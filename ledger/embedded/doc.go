// Package embedded is a ledger with TigerBeetle's semantics inside one process:
// an engine behind the official Go client's interface (tigerbeetle_go.Client,
// release 0.17.9) that answers every request as a server of that release does,
// and keeps what it answered on disk.
//
// It is for tests, and for machines without a cluster. It is not a database for
// production: one process, one disk, no replication. A lost disk is a lost ledger.
// Moving to a cluster is Export. README.md has the beginning, docs/reference.md
// everything.
//
// # How it is built
//
//	embedded           orders requests, commits them in groups, keeps time
//	internal/machine   the rules: pure, deterministic, in memory
//	internal/journal   the write-ahead log and the snapshots
//	internal/disk      the seam to the file system
//
// One goroutine owns the ledger. It takes the requests that wait, executes them
// in order, writes those that change something as one record of the log, and
// answers them all after one flush. While it flushes, the next group collects.
// No answer, to a read either, shows what is not yet on disk.
package embedded

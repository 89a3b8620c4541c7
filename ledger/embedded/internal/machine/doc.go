// Package machine is the ledger as a pure, deterministic state machine: accounts, transfers
// and the rules of TigerBeetle 0.17 about them. The same requests with the same timestamps
// always give the same answers and the same state. That makes it possible to replay a log,
// and to compare with a model or a real server.
//
// It does no I/O, reads no clock, starts no goroutine and is not safe for
// concurrent use: package embedded owns it, orders the requests and makes them
// durable.
//
// The authority for every rule is TigerBeetle's own state machine
// (github.com/tigerbeetle/tigerbeetle, src/state_machine.zig, release 0.17.9)
// and its reference documentation (docs.tigerbeetle.com, "Reference").
// Function names follow it where they mean the same thing.
package machine

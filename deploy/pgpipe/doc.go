// Package pgpipe is an execution store for Temporal's history service that sends each
// state transition to Postgres as one pipelined transaction.
//
// Temporal's own SQL store needs a dozen round trips for a transition: begin, lock the
// shard, lock the current execution, and so on. Each waits for the answer to the one
// before. This store knows the answers that a healthy transition gets, writes them into
// the statements as conditions, and sends all statements at once with a single Sync.
// Postgres runs what comes before one Sync as one implicit transaction
// (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING),
// so it commits as a whole or not at all. Schema, tools, backups and the rows are
// Temporal's own.
//
// What can happen to a pipeline, and what follows:
//
//   - It commits. The transition is done.
//   - Postgres reports an error: a condition did not hold, or a row already existed. All
//     of it was rolled back. The official store runs the same request and gives its own
//     typed error, or succeeds.
//   - Nothing was sent: there is no connection. The official store runs, as above.
//   - There is no answer. Whether it committed is unknown, so the error is
//     *serviceerror.Unavailable, like the official store's for an unanswered COMMIT.
//     History then acquires the shard again with a higher range id. The pipeline locks
//     the shard's row FOR SHARE and checks the range id, so after that nothing older can
//     commit.
//
// A request of any other shape goes to the official store at once: transition.go says
// which shapes are known. A guard turns the fast way off, with a warning, if the server's
// release, its request types or the schema's version are not those that it was written
// for.
package pgpipe

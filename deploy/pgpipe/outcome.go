package pgpipe

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/server/common/metrics"
)

// An Outcome says how a request went. Outcomes are the values of the tag "outcome" of the
// counter CounterName.
type outcome string

const (
	// Fast: one pipeline committed, or one pipeline read the state.
	Fast outcome = "fast"
	// Cached: the state had just been created, and nothing was read.
	Cached outcome = "cached"
	// Slow: a kind of request that is left to the official store.
	Slow outcome = "slow"
	// Fallback: Postgres rolled the pipeline back or never got it, and the official store
	// ran the request.
	Fallback outcome = "fallback"
	// Unknown: no answer came, so nobody knows whether it committed.
	Unknown outcome = "unknown"
)

// CounterName is the counter of requests, with the tags "operation" (create, update, load) and "outcome".
const CounterName = "pgpipe_requests"

// outcomes counts requests, in the server's metrics and for Stats.
type outcomes struct {
	handler metrics.Handler
	counts  *Stats
}

func (o outcomes) note(operation string, came outcome) {
	o.counts.add(operation, came)
	o.handler.Counter(CounterName).Record(1, metrics.StringTag("operation", operation), metrics.StringTag("outcome", string(came)))
}

// A verdict is what we know about a pipeline that was sent.
type verdict int

const (
	committed verdict = iota
	// rolledBack: the server said so, or got nothing of it.
	rolledBack
	// unanswered: it may have committed.
	unanswered
)

// judge reads the error of a pipeline. An ERROR aborts the implicit transaction, whatever
// happens to the connection after it. A FATAL is not a verdict: the server may end a
// session between a commit and its answer.
func judge(err error) verdict {
	if err == nil {
		return committed
	}
	var reported *pgconn.PgError
	if errors.As(err, &reported) && reported.SeverityUnlocalized == "ERROR" {
		return rolledBack
	}
	if pgconn.SafeToRetry(err) { // nothing was sent
		return rolledBack
	}
	return unanswered
}

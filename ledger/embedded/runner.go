package embedded

import (
	"errors"
	"log/slog"
	"time"

	"boxoffice/ledger/embedded/internal/journal"
	"boxoffice/ledger/embedded/internal/machine"
)

const (
	// callsQueueMax bounds the requests that wait; more callers wait to queue.
	callsQueueMax = 4096
	// groupEventsMax bounds the events of a group, and so the size of a record:
	// at most 4 requests of full size.
	groupEventsMax = 4 * BatchEventsMax
	// pulseExpiriesMax bounds the expiries between two groups, as in the reference.
	pulseExpiriesMax = BatchEventsMax

	pulseWaitMin = time.Millisecond

	// scanRowsMax bounds the records that a query looks at before other requests run: about a
	// millisecond.
	scanRowsMax = 1 << 15
	// scansMax bounds the queries that run in steps at the same time. Any more run to their
	// end at once.
	scansMax = 64

	// timestampNowMax leaves room for the events of many groups after the greatest time that
	// the clock may show.
	timestampNowMax = machine.TimestampMax - 1<<40
)

// runner is the goroutine that owns the ledger: only it touches the machine and the journal.
type runner struct {
	engine  *Engine
	machine *machine.Machine
	journal *journal.Journal
	logger  *slog.Logger

	group  []*call
	record []byte
	timer  *time.Timer
	// scans are queries under way; the first is next.
	scans    []*call
	scanRows int // scanRowsMax

	snapshot snapshotter
	// failure is the first error of the disk. From then on every request is
	// refused: memory may be ahead of what is on disk.
	failure error
}

func newRunner(e *Engine, m *machine.Machine, j *journal.Journal, found journal.Recovery) runner {
	return runner{
		engine:   e,
		machine:  m,
		journal:  j,
		logger:   e.logger,
		scanRows: scanRowsMax,
		snapshot: newSnapshotter(j, found, e.options.SnapshotLogBytes),
	}
}

// run serves requests until the queue is closed and empty.
func (r *runner) run() {
	r.timer = time.NewTimer(r.pulseWait())
	defer r.timer.Stop()
	for open := true; open; {
		r.timer.Reset(r.pulseWait())
		if len(r.scans) > 0 {
			open = r.serveNow()
			r.scan()
			continue
		}
		select {
		case c, ok := <-r.engine.calls:
			open = r.serve(c, ok)
		case <-r.timer.C:
			r.commit()
		case result := <-r.snapshot.results:
			r.snapshotDone(result)
		}
	}
	for len(r.scans) > 0 {
		r.scan()
	}
	r.close()
}

// serve commits a group that starts with a call, if there is one: ok is false once the
// queue is closed.
func (r *runner) serve(c *call, ok bool) (open bool) {
	if ok {
		r.collect(c)
		r.commit()
	}
	return ok
}

// serveNow does what run does, but without waiting.
func (r *runner) serveNow() (open bool) {
	select {
	case c, ok := <-r.engine.calls:
		return r.serve(c, ok)
	case <-r.timer.C:
		r.commit()
	case result := <-r.snapshot.results:
		r.snapshotDone(result)
	default:
	}
	return true
}

// scan runs one step of a query, and answers it when it is done.
func (r *runner) scan() {
	c := r.scans[0]
	r.scans = r.scans[1:]
	switch {
	case r.failure != nil:
		c.done <- failure(ErrStopped, r.failure)
	case c.operation.(stepped).step(r.scanRows):
		c.done <- nil
	default:
		r.scans = append(r.scans, c)
	}
}

// stepped is an operation that may need several steps.
type stepped interface {
	step(rowsMax int) (done bool)
}

// collect puts the requests that wait behind the first into one group.
func (r *runner) collect(first *call) {
	r.group = append(r.group, first)
	events := first.operation.eventsCount()
	for events < groupEventsMax-BatchEventsMax && len(r.group) < callsQueueMax {
		select {
		case c, ok := <-r.engine.calls:
			if !ok {
				return // run sees it too
			}
			r.group = append(r.group, c)
			events += c.operation.eventsCount()
		default:
			return
		}
	}
}

// commit executes the group and whatever is due, makes it durable, and answers.
func (r *runner) commit() {
	defer func() {
		clear(r.group)
		r.group = r.group[:0]
	}()
	if r.failure != nil {
		r.answer(failure(ErrStopped, r.failure), failure(ErrStopped, r.failure))
		return
	}
	r.record = r.record[:0]
	now := r.now()
	r.pulse(now)
	for _, c := range r.group {
		r.execute(c, now)
	}
	if len(r.record) > 0 {
		if err := r.append(); err != nil {
			r.fail(err)
			r.answer(failure(ErrOutcomeUnknown, err), failure(ErrStopped, err))
			return
		}
	}
	r.answer(nil, nil)
	if err := r.snapshot.startIfDue(r.machine); err != nil {
		r.snapshotFailed(err)
	}
}

// append makes the group's record durable. If a running snapshot has taken the last room on
// the disk, it cancels the snapshot.
func (r *runner) append() error {
	err := r.journal.Append(r.record)
	if err == nil || r.journal.Broken() {
		return err
	}
	result, running := r.snapshot.cancel()
	if !running {
		return err
	}
	r.snapshotDone(result)
	return r.journal.Append(r.record)
}

// answer answers every call of the group: writes with one error, reads with the other.
// Queries that need steps come last.
func (r *runner) answer(writes, reads error) {
	for _, c := range r.group {
		_, needsSteps := c.operation.(stepped)
		switch {
		case c.refused != nil:
			c.done <- c.refused
		case c.operation.eventsCount() > 0:
			c.done <- writes
		case !needsSteps || reads != nil:
			c.done <- reads
		}
	}
	if reads != nil {
		return
	}
	for _, c := range r.group {
		if query, ok := c.operation.(stepped); ok {
			r.search(c, query)
		}
	}
}

// search runs the first step of a query, or all steps if many queries are under way.
func (r *runner) search(c *call, query stepped) {
	for done := query.step(r.scanRows); !done; done = query.step(r.scanRows) {
		if len(r.scans) < scansMax {
			r.scans = append(r.scans, c)
			return
		}
	}
	c.done <- nil
}

func (r *runner) execute(c *call, now uint64) {
	o := c.operation
	if !o.fits(r.machine) {
		c.refused = ErrFull
		return
	}
	events := o.eventsCount()
	timestamp := r.nextTimestamp(now) + uint64(events) - 1
	o.execute(r.machine, timestamp)
	if events > 0 {
		r.record = o.encode(r.record, timestamp)
	}
}

// pulse expires what is due, in bounded portions. It happens before the requests
// of a group, so that they see the balances without what expired.
func (r *runner) pulse(now uint64) {
	timestamp := r.nextTimestamp(now)
	due, ok := r.machine.NextExpiry()
	if !ok || due > timestamp {
		return
	}
	if expired := r.machine.ExpirePending(timestamp, pulseExpiriesMax); expired > 0 {
		r.record = appendPulse(r.record, timestamp, expired)
	}
}

// pulseWait is how long the engine may sleep before the next expiry.
func (r *runner) pulseWait() time.Duration {
	const forever = time.Duration(1<<63 - 1)
	due, ok := r.machine.NextExpiry()
	if !ok || r.failure != nil {
		return forever
	}
	now := r.now()
	if due <= now {
		return 0
	}
	wait := min(time.Duration(due-now), r.engine.options.PulseInterval)
	return max(wait, pulseWaitMin)
}

// now is the clock's time in nanoseconds since the epoch, within the range of
// timestamps.
func (r *runner) now() uint64 {
	return uint64(min(max(r.engine.options.Clock.Now().UnixNano(), 1), timestampNowMax))
}

// nextTimestamp is the clock's time or, if the clock stepped back or did not move, the
// nanosecond after the last timestamp.
func (r *runner) nextTimestamp(now uint64) uint64 { return max(now, r.machine.Timestamp()+1) }

func (r *runner) fail(err error) {
	r.failure = err
	r.logger.Error("the disk failed; the embedded ledger stops and refuses every request from now on",
		slog.Any("error", err))
}

func (r *runner) snapshotDone(result snapshotResult) {
	r.snapshot.finished(result)
	switch {
	case errors.Is(result.err, errSnapshotCanceled):
		return
	case result.err != nil:
		r.snapshotFailed(result.err)
		return
	case result.retire != nil:
		r.logger.Warn("a snapshot was written, but the files that it replaces could not be removed; the next one tries again",
			slog.Any("error", result.retire))
	}
	r.logger.Info("snapshot written", slog.Uint64("record", result.at.Sequence),
		slog.Int64("bytes", result.bytes), slog.Duration("took", result.duration))
}

// snapshotFailed goes on without a snapshot as long as the log is sound, because everything
// acknowledged is in it.
func (r *runner) snapshotFailed(err error) {
	if r.journal.Broken() {
		r.fail(err)
		return
	}
	r.logger.Warn("no snapshot could be written; the ledger goes on, and its log grows until one succeeds: is there room on the disk?",
		slog.Any("error", err), slog.Int64("log_bytes", r.snapshot.logBytes()),
		slog.Int64("next_try_at_log_bytes", r.snapshot.notBefore))
}

func (r *runner) close() {
	if result, running := r.snapshot.cancel(); running {
		r.snapshotDone(result)
	}
	if err := r.journal.Close(); err != nil {
		r.logger.Error("closing the ledger failed; everything acknowledged is on disk all the same", slog.Any("error", err))
	}
}

package embedded

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded/internal/journal"
	"boxoffice/ledger/embedded/internal/machine"
)

const lockName = "LOCK"

// Engine is an open ledger. It is safe for concurrent use; a request blocks its
// caller until its outcome is on disk.
type Engine struct {
	options  Options
	logger   *slog.Logger
	lock     io.Closer
	recovery Recovery

	// calls hands requests to the goroutine that runs the ledger. It is closed,
	// under the mutex, by Close.
	mutex   sync.RWMutex
	calls   chan *call
	closed  bool
	stopped chan struct{} // closed when the goroutine has ended

	runner runner
}

// Recovery says what Open found in the directory.
type Recovery struct {
	Created          bool          // there was no ledger, a new one was made
	Snapshot         string        // the snapshot that was loaded, if any
	RecordsReplayed  uint64        // groups of requests executed again from the log
	Closed           bool          // it had been closed in order: nothing may differ since then
	TornBytes        int64         // after the last record: remains of an unfinished write, which were cleared
	TornFile         string        // where they were
	TornKept         string        // a copy of them
	AccountsCount    uint32        // in the ledger
	TransfersCount   uint32        // in the ledger
	BurntIDsCount    uint32        // transfer ids that can never be used again
	Duration         time.Duration // that it took
	UnfinishedFiles  int           // snapshots and logs that a crash left, removed
	TimestampHighest uint64        // nanoseconds since the epoch; new ones are greater
}

// Open opens the ledger in a directory, and creates both if they do not exist. It returns
// once everything that was ever acknowledged is back in memory.
//
// Errors wrap ErrLocked if another process uses the directory, ErrCorrupt (as a
// CorruptionError) if its files are damaged, ErrNewerFormat if a newer release wrote
// them; others come from the file system. Close releases the directory.
func Open(dir string, options Options) (*Engine, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	fs := options.FileSystem
	if err := fs.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("embedded ledger: %w", err)
	}
	lock, err := fs.Lock(filepath.Join(dir, lockName))
	switch {
	case errors.Is(err, ErrLocked):
		return nil, fmt.Errorf("embedded ledger: %s is in use: %w; "+
			"stop that process, or give this one another directory", dir, err)
	case err != nil:
		return nil, fmt.Errorf("embedded ledger: %w", err)
	}
	replay := &replayer{machine: machine.New()}
	log, found, err := journal.Open(fs, dir, replay)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded ledger: open %s: %w", dir, err), lock.Close())
	}

	e := &Engine{
		options:  options,
		logger:   options.Logger.With(slog.String("ledger", "embedded"), slog.String("dir", dir)),
		lock:     lock,
		recovery: recoveryOf(found, replay.machine, time.Since(started)),
		calls:    make(chan *call, callsQueueMax),
		stopped:  make(chan struct{}),
	}
	e.logRecovery()
	e.runner = newRunner(e, replay.machine, log, found)
	go func() {
		defer close(e.stopped)
		e.runner.run()
	}()
	return e, nil
}

func recoveryOf(found journal.Recovery, m *machine.Machine, duration time.Duration) Recovery {
	r := Recovery{
		Created:          found.Created,
		Closed:           found.Closed,
		Snapshot:         found.Snapshot,
		RecordsReplayed:  found.RecordsCount,
		AccountsCount:    m.AccountsCount(),
		TransfersCount:   m.TransfersCount(),
		BurntIDsCount:    m.BurntIDsCount(),
		Duration:         duration,
		UnfinishedFiles:  found.FilesRemoved,
		TimestampHighest: m.Timestamp(),
	}
	if found.Torn != nil {
		r.TornBytes, r.TornFile, r.TornKept = found.Torn.Bytes, found.Torn.File, found.Torn.Kept
	}
	return r
}

func (e *Engine) logRecovery() {
	r := e.recovery
	if r.TornBytes > 0 {
		e.logger.Warn("the end of the log is an unfinished write, as a crash leaves it, never acknowledged; it was cleared, a copy is kept",
			slog.String("file", r.TornFile), slog.String("copy", r.TornKept))
	}
	e.logger.Info("embedded ledger is open: one process, one disk, no replication; for production use a TigerBeetle cluster",
		slog.Bool("created", r.Created),
		slog.Bool("closed_in_order", r.Closed),
		slog.Uint64("accounts", uint64(r.AccountsCount)),
		slog.Uint64("transfers", uint64(r.TransfersCount)),
		slog.Uint64("records_replayed", r.RecordsReplayed),
		slog.Duration("took", r.Duration))
}

// Recovery says what Open found.
func (e *Engine) Recovery() Recovery { return e.recovery }

// Close answers the requests that it has accepted, refuses new ones with
// tigerbeetle_go.ErrClientClosed, stops, and releases the directory. It may be called
// more than once.
func (e *Engine) Close() {
	e.mutex.Lock()
	first := !e.closed
	e.closed = true
	if first {
		close(e.calls)
	}
	e.mutex.Unlock()

	<-e.stopped
	if !first {
		return
	}
	if err := e.lock.Close(); err != nil {
		e.logger.Error("release the lock", slog.Any("error", err))
	}
}

// call is a request on its way through the engine.
type call struct {
	operation operation
	refused   error      // it was not executed
	done      chan error // gets exactly one value
}

// do executes an operation and waits for its outcome.
func (e *Engine) do(o operation, count, countMax int) error {
	c := &call{operation: o, done: make(chan error, 1)}
	if err := e.submit(c, count, countMax); err != nil {
		return err
	}
	return <-c.done
}

// submit hands a call over. The order of the checks is the client's: a closed
// client first.
func (e *Engine) submit(c *call, count, countMax int) error {
	e.mutex.RLock()
	defer e.mutex.RUnlock()
	switch {
	case e.closed:
		return tb.ErrClientClosed
	case count > countMax:
		return tb.ErrTooMuchData
	}
	e.calls <- c
	return nil
}

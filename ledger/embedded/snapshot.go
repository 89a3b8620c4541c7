package embedded

import (
	"errors"
	"io"
	"time"

	"boxoffice/ledger/embedded/internal/journal"
	"boxoffice/ledger/embedded/internal/machine"
)

var errSnapshotCanceled = errors.New("snapshot canceled")

// snapshotter writes snapshots beside the requests, one at a time. Its methods
// belong to the runner's goroutine.
type snapshotter struct {
	journal       *journal.Journal
	logBytesMin   int64
	olderLogBytes int64 // of the logs behind the last snapshot, but for the newest
	lastBytes     int64 // size of the last snapshot
	running       bool
	results       chan snapshotResult
	cancelSignal  chan struct{}
}

type snapshotResult struct {
	at       journal.Position
	bytes    int64
	duration time.Duration
	err      error
}

func newSnapshotter(j *journal.Journal, found journal.Recovery, logBytesMin int64) snapshotter {
	return snapshotter{
		journal:       j,
		logBytesMin:   logBytesMin,
		olderLogBytes: found.OlderLogBytes,
		lastBytes:     found.SnapshotBytes,
		results:       make(chan snapshotResult, 1),
		cancelSignal:  make(chan struct{}),
	}
}

// startIfDue starts a snapshot when the log has grown enough since the last. The
// log is cut here, so the snapshot covers all the logs before the current one.
func (s *snapshotter) startIfDue(m *machine.Machine) error {
	if s.running || s.olderLogBytes+s.journal.LogBytes() < max(s.logBytesMin, s.lastBytes) {
		return nil
	}
	at := s.journal.Position()
	s.olderLogBytes += s.journal.LogBytes()
	if err := s.journal.Rotate(); err != nil {
		return err
	}
	image := m.Image()
	s.running = true
	go func() { s.results <- s.write(at, image) }()
	return nil
}

func (s *snapshotter) write(at journal.Position, image *machine.Image) snapshotResult {
	started := time.Now()
	bytes, err := s.journal.WriteSnapshot(at, func(w io.Writer) error {
		return image.Encode(cancelableWriter{w, s.cancelSignal})
	})
	if err == nil {
		err = s.journal.Retire(at)
	}
	return snapshotResult{at: at, bytes: bytes, duration: time.Since(started), err: err}
}

func (s *snapshotter) finished(result snapshotResult) {
	s.running = false
	if result.err == nil {
		s.lastBytes = result.bytes
		s.olderLogBytes = 0
	}
}

// cancel gives up a running snapshot and waits for its end. What it leaves behind
// has a temporary name; the logs it would have replaced are still there.
func (s *snapshotter) cancel() (result snapshotResult, running bool) {
	close(s.cancelSignal)
	if !s.running {
		return snapshotResult{}, false
	}
	return <-s.results, true
}

// cancelableWriter fails once it is canceled.
type cancelableWriter struct {
	io.Writer
	canceled <-chan struct{}
}

func (w cancelableWriter) Write(p []byte) (int, error) {
	select {
	case <-w.canceled:
		return 0, errSnapshotCanceled
	default:
		return w.Writer.Write(p)
	}
}

package embedded

import (
	"errors"
	"io"
	"time"

	"boxoffice/ledger/embedded/internal/journal"
	"boxoffice/ledger/embedded/internal/machine"
)

// snapshotRetryPart is the part of the log's growth between two snapshots after which a
// failed one is retried.
const snapshotRetryPart = 4

var errSnapshotCanceled = errors.New("snapshot canceled")

// snapshotter writes snapshots beside the requests, one at a time. Its methods
// belong to the runner's goroutine.
type snapshotter struct {
	journal       *journal.Journal
	logBytesMin   int64
	olderLogBytes int64 // of the logs behind the last snapshot, but for the newest
	lastBytes     int64 // size of the last snapshot
	notBefore     int64 // size of all these logs at which a failed snapshot is retried
	running       bool
	results       chan snapshotResult
	cancelSignal  chan struct{} // of the running snapshot
}

type snapshotResult struct {
	at       journal.Position
	bytes    int64
	duration time.Duration
	err      error // there is no new snapshot; the logs are all there
	retire   error // there is one, but what it replaces could not be removed
}

func newSnapshotter(j *journal.Journal, found journal.Recovery, logBytesMin int64) snapshotter {
	return snapshotter{
		journal:       j,
		logBytesMin:   logBytesMin,
		olderLogBytes: found.OlderLogBytes,
		lastBytes:     found.SnapshotBytes,
		results:       make(chan snapshotResult, 1),
	}
}

// logBytes is the size of the records behind the last snapshot.
func (s *snapshotter) logBytes() int64 { return s.olderLogBytes + s.journal.LogBytes() }

// interval is how much the logs grow between two snapshots.
func (s *snapshotter) interval() int64 { return max(s.logBytesMin, s.lastBytes) }

// startIfDue starts a snapshot when the log has grown enough since the last. The
// log is cut here, so the snapshot covers all the logs before the current one.
func (s *snapshotter) startIfDue(m *machine.Machine) error {
	if s.running || s.logBytes() < max(s.interval(), s.notBefore) {
		return nil
	}
	at, older := s.journal.Position(), s.logBytes()
	if err := s.journal.Rotate(); err != nil {
		s.postpone()
		return err
	}
	s.olderLogBytes = older
	image, canceled := m.Image(), make(chan struct{})
	s.running, s.cancelSignal = true, canceled
	go func() { s.results <- s.write(at, image, canceled) }()
	return nil
}

func (s *snapshotter) write(at journal.Position, image *machine.Image, canceled <-chan struct{}) snapshotResult {
	started := time.Now()
	bytes, err := s.journal.WriteSnapshot(at, func(w io.Writer) error {
		return image.Encode(cancelableWriter{w, canceled})
	})
	result := snapshotResult{at: at, bytes: bytes, err: err}
	if err == nil {
		result.retire = s.journal.Retire(at)
	}
	result.duration = time.Since(started)
	return result
}

func (s *snapshotter) finished(result snapshotResult) {
	s.running = false
	if result.err != nil {
		s.postpone()
		return
	}
	s.lastBytes = result.bytes
	s.olderLogBytes = 0
	s.notBefore = 0
}

// postpone lets the log grow by a part before the next try: often enough that there is soon
// a snapshot once there is room, and seldom enough that failed tries cost little.
func (s *snapshotter) postpone() { s.notBefore = s.logBytes() + s.interval()/snapshotRetryPart }

// cancel cancels a running snapshot and waits for its end. What it has written is removed;
// the logs that it would have replaced are still there.
func (s *snapshotter) cancel() (result snapshotResult, running bool) {
	if !s.running {
		return snapshotResult{}, false
	}
	close(s.cancelSignal)
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

package mockpay

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"boxoffice/failpoint"
)

const (
	storeFile     = "mockpay.db"
	storeFormat   = "mockpay/1"
	lockTimeout   = 2 * time.Second // a predecessor that is just ending gets this long
	writesMax     = 4096            // writes that may wait for a commit
	batchWriteMax = 512             // writes of one commit
)

// The buckets. Lists have a sequence number as their key, 8 bytes big-endian, so that
// they read oldest first and a key is a cursor.
var (
	metaBucket         = []byte("meta")
	sessionsBucket     = []byte("sessions")     // order id → payments.Session
	capturesBucket     = []byte("captures")     // sequence → domain.Capture
	capturedBucket     = []byte("captured")     // payment id → sequence in captures
	refundsBucket      = []byte("refunds")      // sequence → payments.Refund
	refundedBucket     = []byte("refunded")     // refundKey → sequence in refunds
	disputesBucket     = []byte("disputes")     // sequence → domain.Reversal
	disputedBucket     = []byte("disputed")     // payment id → sequence in disputes
	pendingBucket      = []byte("pending")      // sequence → payments.Delivery
	acknowledgedBucket = []byte("acknowledged") // sequence → payments.Delivery
	abandonedBucket    = []byte("abandoned")    // sequence → payments.Delivery
	lostBucket         = []byte("lost")         // sequence → payments.Delivery
	mischiefBucket     = []byte("mischief")     // order id, or generalKey → policy

	authorizationsBucket = []byte("authorizations") // sequence → domain.Capture, neither captured nor released
	authorizedBucket     = []byte("authorized")     // payment id → sequence in authorizations

	formatKey = []byte("format")
)

var (
	errStoreBusy   = errors.New("too many writes are waiting for the disk")
	errStoreClosed = errors.New("the store is closed")
)

// store keeps the provider's state in one bbolt file. It commits writes in groups: while
// one commit is on its way to the disk, the next one collects, so the time of one fsync
// does not limit the throughput. (bbolt's own Batch waits for a fixed time instead, which
// on a slow disk queues up commits of hardly more than one write.)
type store struct {
	db     *bbolt.DB
	writes chan write
	done   chan struct{} // closed when the last commit has ended

	mu     sync.RWMutex // guards closed and the sends on writes
	closed bool

	// durable is held for writing during a commit: bbolt shows a transaction to readers
	// shortly before it is synced, and nobody may be told what a power cut could still
	// undo.
	durable sync.RWMutex

	broken chan struct{} // closed by the first failed commit
	cause  error         // why; belongs to commitLoop until broken or done is closed
}

// write is one caller's share of a commit.
type write struct {
	apply func(*bbolt.Tx) error
	done  chan error
}

// openStore opens the state in dir, or creates it, and locks it until close.
func openStore(dir string, log *slog.Logger) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	path := filepath.Join(dir, storeFile)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, explainOpen(path, err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), db.Update(prepare), syncDir(dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), db.Close())
	}
	s := &store{db: db, writes: make(chan write, writesMax), done: make(chan struct{}), broken: make(chan struct{})}
	go s.commitLoop(log)
	return s, nil
}

func explainOpen(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s is in use by another mockpay: stop that one, or set MOCKPAY_DATA_DIR to a directory of its own", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return fmt.Errorf("%s is not a store of mockpay, or is damaged (%w): move it away to start afresh", path, err)
	default:
		return fmt.Errorf("open %s: %w", path, err)
	}
}

func prepare(tx *bbolt.Tx) error {
	for _, name := range [][]byte{
		metaBucket, sessionsBucket, capturesBucket, capturedBucket, refundsBucket, refundedBucket,
		disputesBucket, disputedBucket, pendingBucket, acknowledgedBucket, abandonedBucket, lostBucket, mischiefBucket,
		authorizationsBucket, authorizedBucket,
	} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	switch format := string(meta.Get(formatKey)); format {
	case storeFormat:
		return nil
	case "":
		return meta.Put(formatKey, []byte(storeFormat))
	default:
		return fmt.Errorf("its format is %q and this mockpay knows %q: use the release that wrote it, or another MOCKPAY_DATA_DIR", format, storeFormat)
	}
}

// syncDir makes a new file's name durable; syncing the file does not.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// update runs apply in a transaction and returns once it is on disk. apply must fail only
// if the store cannot go on: its error, like the disk's, breaks the store for good,
// because what follows a failed fsync cannot be trusted. errStoreBusy and errStoreClosed
// mean that nothing was done.
func (s *store) update(apply func(*bbolt.Tx) error) error {
	w := write{apply: apply, done: make(chan error, 1)}
	if err := s.enqueue(w); err != nil {
		return err
	}
	return <-w.done
}

func (s *store) enqueue(w write) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errStoreClosed
	}
	select {
	case s.writes <- w:
		return nil
	default:
		return errStoreBusy
	}
}

// view runs read in a transaction that sees only what is on disk.
func (s *store) view(read func(*bbolt.Tx) error) error {
	s.durable.RLock()
	defer s.durable.RUnlock()
	return s.db.View(read)
}

func (s *store) commitLoop(log *slog.Logger) {
	defer close(s.done)
	for first := range s.writes {
		batch := s.collect(first)
		err := s.cause
		if err == nil {
			err = s.commit(batch)
		}
		if err != nil && s.cause == nil {
			log.Error("the store failed; nothing more is accepted", "error", err)
			s.cause = err
			close(s.broken)
		}
		for _, w := range batch {
			w.done <- err
		}
	}
}

// collect takes whatever else is waiting, without waiting for more.
func (s *store) collect(first write) []write {
	batch := []write{first}
	for len(batch) < batchWriteMax {
		select {
		case w, ok := <-s.writes:
			if !ok {
				return batch
			}
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

func (s *store) commit(batch []write) error {
	s.durable.Lock()
	defer s.durable.Unlock()
	failpoint.Before("mockpay", "commit")
	defer failpoint.After("mockpay", "commit")
	return s.db.Update(func(tx *bbolt.Tx) error {
		if err := failpoint.Fail("mockpay", "disk"); err != nil {
			return err
		}
		for _, w := range batch {
			if err := w.apply(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// close commits what is waiting, refuses what comes after, and releases the lock. If the
// store broke, the error says why.
func (s *store) close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.writes)
	s.mu.Unlock()
	<-s.done
	var failure error
	if s.cause != nil {
		failure = fmt.Errorf("the store failed: %w", s.cause)
	}
	return errors.Join(failure, s.db.Close())
}

// put stores a value as JSON.
func put(b *bbolt.Bucket, key []byte, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return b.Put(key, raw)
}

// get reads a value; false if there is none.
func get[T any](b *bbolt.Bucket, key []byte) (value T, ok bool, err error) {
	raw := b.Get(key)
	if raw == nil {
		return value, false, nil
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return value, false, fmt.Errorf("read %x: %w", key, err)
	}
	return value, true, nil
}

// add appends a value to a list and returns its key.
func add(b *bbolt.Bucket, value any) ([]byte, error) {
	sequence, err := b.NextSequence()
	if err != nil {
		return nil, err
	}
	key := sequenceKey(sequence)
	return key, put(b, key, value)
}

func sequenceKey(sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, sequence)
}

// page reads a list: at most limit values after a sequence number, and the number of the
// last one if there are more.
func page[T any](b *bbolt.Bucket, after uint64, limit int) (values []T, next uint64, err error) {
	values = []T{} // an empty list is [] in JSON
	cursor := b.Cursor()
	var last uint64
	for key, raw := cursor.Seek(sequenceKey(after + 1)); key != nil; key, raw = cursor.Next() {
		if len(values) == limit {
			return values, last, nil
		}
		var value T
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, 0, fmt.Errorf("read %x: %w", key, err)
		}
		values, last = append(values, value), binary.BigEndian.Uint64(key)
	}
	return values, 0, nil
}

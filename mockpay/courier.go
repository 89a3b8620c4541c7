package mockpay

import (
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"boxoffice/payments/mockpay"
)

// The schedule of webhooks: at once, then after half a second, doubling up to ten
// minutes, for a day. Anything but a 2xx is tried again, even a 4xx: 401 may be a secret
// in rotation, 404 a node behind the others or another program on the port, and a capture
// must not go unreported because of that.
const (
	retryFirst     = 500 * time.Millisecond
	retryMax       = 10 * time.Minute
	deliveryWindow = 24 * time.Hour

	deliveriesAtOnceMax = 64
	// drainTimeout is how long attempts under way may go on after the end.
	drainTimeout = 5 * time.Second
	loadPageMax  = 1000
)

// A parcel is a webhook that waits for its next attempt. Its content stays in the store,
// so that a million of them fit into memory.
type parcel struct {
	key     uint64 // in the pending list
	due     time.Time
	attempt int // attempts made
}

// courier delivers webhooks until they are acknowledged. The store has what is
// undelivered, and the next process resumes it with attempts and delays counted from
// zero: after a restart the other side is most likely back.
type courier struct {
	store   *store
	sender  Sender
	log     *slog.Logger
	now     func() time.Time
	backoff func(attempt int) time.Duration
	meter   *meter

	mu      sync.Mutex
	waiting parcels
	total   int  // waiting and under way
	failing bool // whether the last attempt failed, for the log

	wake chan struct{} // capacity 1: something may be due earlier
}

func newCourier(s *store, sender Sender, log *slog.Logger) *courier {
	return &courier{store: s, sender: sender, log: log, now: time.Now, backoff: retryDelay, meter: newMeter(), wake: make(chan struct{}, 1)}
}

// retryDelay is exponential, half of it at random, so that webhooks that failed together
// do not come back together.
func retryDelay(attempt int) time.Duration {
	delay := retryMax
	if shift := attempt - 1; shift < 16 {
		delay = min(retryFirst<<shift, retryMax)
	}
	return delay/2 + rand.N(delay/2)
}

// load resumes what earlier processes left undelivered. Call it before the first add.
func (c *courier) load() error {
	return c.store.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(pendingBucket).ForEach(func(key, _ []byte) error {
			c.add(parcel{key: binary.BigEndian.Uint64(key), due: c.now()})
			return nil
		})
	})
}

// add schedules a parcel that is in the store's pending list.
func (c *courier) add(p parcel) {
	c.mu.Lock()
	c.total++
	heap.Push(&c.waiting, p)
	c.mu.Unlock()
	c.nudge()
}

// undelivered is how many webhooks are not acknowledged yet.
func (c *courier) undelivered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

func (c *courier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run delivers until ctx ends, then waits at most drainTimeout for the attempts under
// way.
func (c *courier) run(ctx context.Context) {
	attempts, cancelAttempts := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelAttempts()
	var underWay sync.WaitGroup
	slots := make(chan struct{}, deliveriesAtOnceMax)
	for {
		p, ok := c.next(ctx)
		if !ok {
			break
		}
		slots <- struct{}{} // bounded: attempts end within sendTimeout
		underWay.Go(func() {
			defer func() { <-slots }()
			c.deliver(attempts, p)
		})
	}
	stop := time.AfterFunc(drainTimeout, cancelAttempts)
	defer stop.Stop()
	underWay.Wait()
}

// next waits for the next parcel that is due. It returns false if ctx has ended.
func (c *courier) next(ctx context.Context) (parcel, bool) {
	for ctx.Err() == nil {
		p, wait := c.take()
		if wait == 0 {
			return p, true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return parcel{}, false
}

// take removes the earliest parcel if it is due, else returns how long to wait.
func (c *courier) take() (parcel, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return parcel{}, retryMax // add nudges
	}
	if wait := c.waiting[0].due.Sub(c.now()); wait > 0 {
		return parcel{}, wait
	}
	return heap.Pop(&c.waiting).(parcel), 0
}

// deliver makes one attempt and decides what happens to the parcel.
func (c *courier) deliver(ctx context.Context, p parcel) {
	p.attempt++
	delivery, err := c.read(p.key)
	if err != nil {
		c.log.Error("read an undelivered webhook; it stays for the next start", "key", p.key, "error", err)
		return
	}
	answer := c.send(ctx, p, delivery)
	c.meter.attempted(answer)
	c.report(delivery, answer)
	delivery.HTTPStatus = answer.HTTPStatus
	delay := max(c.backoff(p.attempt), min(answer.RetryAfter, retryMax))
	switch {
	case answer.Acknowledged():
		delivery.State = mockpay.DeliveryAcknowledged
		c.finish(p, delivery, acknowledgedBucket)
	case c.now().Add(delay).Sub(delivery.OccurredAt) > deliveryWindow && ctx.Err() == nil:
		delivery.State = mockpay.DeliveryAbandoned
		c.finish(p, delivery, abandonedBucket)
		c.log.Error("webhook abandoned: nobody acknowledged it for a day", "event", delivery.Event.ID, "session", delivery.Event.Session, "type", delivery.Event.Type)
	default:
		p.due = c.now().Add(delay)
		c.putBack(p)
	}
}

func (c *courier) send(ctx context.Context, p parcel, d mockpay.Delivery) Answer {
	body, err := mockpay.EncodeEvent(d.Event, d.OccurredAt)
	if err != nil {
		return Answer{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return c.sender.Send(ctx, Message{Event: d.Event, Attempt: p.attempt, Body: body})
}

func (c *courier) read(key uint64) (mockpay.Delivery, error) {
	var delivery mockpay.Delivery
	err := c.store.view(func(tx *bbolt.Tx) (err error) {
		var ok bool
		delivery, ok, err = get[mockpay.Delivery](tx.Bucket(pendingBucket), sequenceKey(key))
		if err == nil && !ok {
			err = errors.New("it is not in the pending list")
		}
		return err
	})
	return delivery, err
}

func (c *courier) putBack(p parcel) {
	c.mu.Lock()
	heap.Push(&c.waiting, p)
	c.mu.Unlock()
	c.nudge()
}

// finish moves a delivery to its final list. If the process dies first, it is delivered
// once more, and the box office deduplicates it by event id.
func (c *courier) finish(p parcel, d mockpay.Delivery, list []byte) {
	d.EndedAt = c.now().UTC()
	err := c.store.update(func(tx *bbolt.Tx) error {
		if err := tx.Bucket(pendingBucket).Delete(sequenceKey(p.key)); err != nil {
			return err
		}
		_, err := add(tx.Bucket(list), d)
		return err
	})
	if errors.Is(err, errStoreBusy) {
		p.due = c.now().Add(retryFirst)
		c.putBack(p)
		return
	}
	if err != nil {
		c.log.Error("note a delivery; it is repeated after the next start", "event", d.Event.ID, "error", err)
	}
	c.mu.Lock()
	c.total--
	c.mu.Unlock()
}

// report logs when the box office stops or starts acknowledging, instead of every
// attempt.
func (c *courier) report(d mockpay.Delivery, answer Answer) {
	ok := answer.Acknowledged()
	c.log.Debug("webhook sent", "event", d.Event.ID, "session", d.Event.Session, "status", answer.HTTPStatus, "acknowledged", ok, "error", answer.Err)
	c.mu.Lock()
	changed, total := c.failing == ok, c.total
	c.failing = !ok
	c.mu.Unlock()
	switch {
	case changed && ok:
		c.log.Info("webhooks are acknowledged again", "undelivered", total)
	case changed:
		c.log.Warn("a webhook was not acknowledged; repeating for a day", "event", d.Event.ID, "status", answer.HTTPStatus, "error", answer.Err, "undelivered", total)
	}
}

// parcels is a heap by due time; of equal ones, the older parcel goes first.
type parcels []parcel

func (p parcels) Len() int { return len(p) }
func (p parcels) Less(i, j int) bool {
	if p[i].due.Equal(p[j].due) {
		return p[i].key < p[j].key
	}
	return p[i].due.Before(p[j].due)
}
func (p parcels) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *parcels) Push(x any)   { *p = append(*p, x.(parcel)) }
func (p *parcels) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	*p = (*p)[:last]
	return x
}

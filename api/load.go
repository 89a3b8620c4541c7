package api

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

const (
	// loadWindow is how far back latencies are looked at: long enough for a few at a
	// slow door.
	loadWindow = 2 * time.Second
	// loadSamples are enough to judge by. At more a second the window is shorter, so that
	// a fast door sees at once what its last move did.
	loadSamples    = 64
	loadPercentile = 90
	// countBuckets of loadWindow count the holds. It is not shorter at many a second: what
	// comes back all at once after a pause is not what the engine does.
	countBuckets = 20
)

// load is what the doors of the waiting rooms go by: how this node's checkouts
// fare. The adaptive bound measures for itself, in windows of its own: it has to know
// when its last move shows, and the doors that nothing is older than loadWindow.
type load struct {
	overloaded atomic.Int64 // answers overloaded or unknown, since they were last asked for
	verdicts   counter      // on holds
	holds      latencies
	webhooks   latencies
}

// held notes how long the ledger's verdict on a hold took. One that did not come
// counts as well: the time until it was given up is the least that it takes.
func (l *load) held(ctx context.Context, began time.Time, err error) {
	if err != nil && !domain.IsUnknown(err) && !isOutOfTime(err) || ctx.Err() == context.Canceled {
		return // no hold was asked for, or its buyer left
	}
	now := time.Now()
	l.holds.add(began, now)
	if err == nil {
		l.verdicts.add(now)
	}
}

// answered notes a problem that was answered, where it says something of this node:
// a client that left, or sent its body so slowly that no time was left, is not
// turned away by the engine, and must not shut a door to all the others. Nor does what
// was answered before the engine was asked.
func (l *load) answered(ctx context.Context, route string, code domain.Code, why error) {
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(why, errNoTimeLeft) || errors.As(why, new(beforeEngine)) {
		return
	}
	if route == checkoutsRoute && (code == domain.CodeOverloaded || code == domain.CodeUnknown || code == domain.CodeClocksDiffer) {
		l.overloaded.Add(1)
	}
}

// A beforeEngine is an error of what comes before the engine is asked: of connections, the
// waiting room, the catalog. It says nothing of how the checkouts fare.
type beforeEngine struct{ error }

func (e beforeEngine) Unwrap() error { return e.error }

// latencies are the newest of one kind, a ring. The zero value has none.
type latencies struct {
	mu      sync.Mutex
	samples [loadSamples]latency
	next    int
}

type latency struct {
	at   time.Time // of the answer; zero: none yet
	took time.Duration
}

func (l *latencies) add(began, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples[l.next] = latency{now, now.Sub(began)}
	l.next = (l.next + 1) % loadSamples
}

// recent is the 90th percentile of the recent ones, 0 without any.
func (l *latencies) recent(now time.Time) time.Duration {
	took := make([]time.Duration, 0, loadSamples)
	l.mu.Lock()
	for _, s := range l.samples {
		if !s.at.IsZero() && now.Sub(s.at) < loadWindow {
			took = append(took, s.took)
		}
	}
	l.mu.Unlock()
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[(len(took)*loadPercentile-1)/100]
}

// counter counts over the last loadWindow. The zero value has counted nothing.
type counter struct {
	mu      sync.Mutex
	began   time.Time // of the first
	newest  int64     // bucket since then
	buckets [countBuckets]int
}

func (c *counter) add(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.began.IsZero() {
		c.began = now
	}
	c.turn(now)
	c.buckets[c.newest%countBuckets]++
}

// perSecond counts the bucket that has only begun in full.
func (c *counter) perSecond(now time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(now)
	sum := 0
	for _, n := range c.buckets {
		sum += n
	}
	return float64(sum) / loadWindow.Seconds()
}

// turn empties the buckets that are over.
func (c *counter) turn(now time.Time) {
	if c.began.IsZero() {
		return
	}
	at := int64(now.Sub(c.began) / (loadWindow / countBuckets))
	for range min(at-c.newest, countBuckets) {
		c.newest++
		c.buckets[c.newest%countBuckets] = 0
	}
	c.newest = max(c.newest, at)
}

// Load is how the checkouts of this node fare; Rooms is to be given it. It has one
// caller: what it counts starts anew with each call.
func (s *Server) Load() waitingroom.Load {
	limit, inFlight, _ := s.adaptive.state()
	now := time.Now()
	return waitingroom.Load{
		InFlight: inFlight, InFlightMax: limit,
		HoldLatency: s.load.holds.recent(now), WebhookLatency: s.load.webhooks.recent(now), HoldsPerSecond: s.load.verdicts.perSecond(now),
		Overloaded: s.load.overloaded.Swap(0),
	}
}

// Package clocks watches how far the clocks of the ledger, Temporal and Postgres are from
// this node's, and so from each other.
//
// Two clocks can never be read at the same moment. All we know is that a clock showed a
// time at some moment between a question and its answer. So a reading is a range, as wide
// as the round trip, and only a difference that no round trip explains counts against a
// clock. A clock that could not be read, or not for a while, is unknown: neither right
// nor wrong.
package clocks

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
	"boxoffice/pace"
)

// The clocks. The others are compared with the node's.
const (
	Ledger   = "ledger"
	Temporal = "temporal"
	Postgres = "postgres"
	node     = "node"
)

const (
	// Every so often each clock is read.
	Interval = 10 * time.Second
	// askTimeout limits one reading. One that takes longer proves nothing.
	askTimeout = 5 * time.Second
	// freshFor is how long a reading counts.
	freshFor = 3 * Interval
)

// A Source asks for the time by another clock.
type Source func(context.Context) (time.Time, error)

// A Watch remembers the last readings. A nil Watch watches nothing. It is safe for
// concurrent use.
type Watch struct {
	log     *slog.Logger
	now     func() time.Time     // this node's clock, which somebody may set
	elapsed func() time.Duration // the monotonic clock, which nobody sets

	mu       sync.Mutex
	readings map[string]reading
	differs  bool // as last logged
	refusal  atomic.Pointer[domain.Error]
}

// A reading says how far a clock is ahead of the node's: at least and at most.
type reading struct {
	least, most time.Duration
	at          time.Time // by this node's clock
	elapsed     time.Duration
}

func (r reading) middle() time.Duration { return (r.least + r.most) / 2 }

// New returns a watch that has read nothing yet.
func New(log *slog.Logger) *Watch {
	began := time.Now()
	return &Watch{
		log: log, readings: make(map[string]reading),
		now:     func() time.Time { return time.Now().Round(0) }, // without the monotonic clock
		elapsed: func() time.Duration { return time.Since(began) },
	}
}

// Start reads the clocks at once and then repeatedly until stop, which waits for readings
// under way.
func (w *Watch) Start(sources map[string]Source) (stop func()) {
	return pace.Every(Interval, func(ctx context.Context) { w.readAll(ctx, sources) })
}

func (w *Watch) readAll(ctx context.Context, sources map[string]Source) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var asked sync.WaitGroup
	for clock, ask := range sources {
		asked.Go(func() {
			sent := w.now()
			at, err := ask(ctx)
			if err == nil {
				w.Note(clock, sent, at, w.now())
			}
		})
	}
	asked.Wait()
	w.judge() // what is too old no longer counts
}

// Note records that a clock showed a time between a question and its answer.
func (w *Watch) Note(clock string, sent, at, received time.Time) {
	if w == nil {
		return
	}
	w.mu.Lock()
	sent, at, received = sent.Round(0), at.Round(0), received.Round(0)
	w.readings[clock] = reading{least: at.Sub(received), most: at.Sub(sent), at: w.now(), elapsed: w.elapsed()}
	w.mu.Unlock()
	w.judge()
}

// fresh returns the readings that count, and the node itself. Hold the lock.
func (w *Watch) fresh() map[string]reading {
	now, elapsed := w.now(), w.elapsed()
	fresh := map[string]reading{node: {}}
	for clock, r := range w.readings {
		age := elapsed - r.elapsed
		// Readings from before this node's own clock was set mean nothing any more.
		set := now.Sub(r.at) - age
		if age <= freshFor && set.Abs() < time.Second {
			fresh[clock] = r
		}
	}
	return fresh
}

// Skews returns, for each known clock, how far it is ahead of the node's.
func (w *Watch) Skews() map[string]time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	skews := make(map[string]time.Duration)
	for clock, r := range w.fresh() {
		if clock != node {
			skews[clock] = r.middle()
		}
	}
	return skews
}

// A difference is how much two clocks differ at least.
type difference struct {
	ahead, behind string
	by            time.Duration
}

// largest of all pairs. Ranges that overlap do not differ.
func largest(readings map[string]reading) (d difference) {
	for ahead, a := range readings {
		for behind, b := range readings {
			if by := a.least - b.most; ahead != behind && by > d.by {
				d = difference{ahead, behind, by}
			}
		}
	}
	return d
}

func (d difference) String() string {
	return fmt.Sprintf("%s is %s ahead of %s or more", names[d.ahead], d.by.Round(100*time.Millisecond), names[d.behind])
}

var names = map[string]string{
	Ledger: "the ledger's clock", Temporal: "Temporal's", Postgres: "the database's", node: "this node's",
}

// judge decides whether anything may be sold.
func (w *Watch) judge() {
	w.mu.Lock()
	d := largest(w.fresh())
	differs := d.by > domain.ClockSkewMax
	changed := differs != w.differs
	w.differs = differs
	if differs {
		w.refusal.Store(&domain.Error{
			Code: domain.CodeClocksDiffer, RetryAfter: Interval, Err: fmt.Errorf("clocks: %s", d),
			Detail: "The clocks of the box office differ by more than it tolerates, so nothing is sold for now. Nothing was done: repeat the request.",
		})
	} else {
		w.refusal.Store(nil)
	}
	w.mu.Unlock()
	switch {
	case changed && differs:
		w.log.Error("clocks differ too much: nothing is sold until they agree", "clocks", d.String(), "tolerated", domain.ClockSkewMax.String())
	case changed:
		w.log.Info("clocks agree, or are not known any more: what is on sale is sold")
	}
}

// MaySell says why nothing may be sold now: a *domain.Error with CodeClocksDiffer. It
// returns nil if nothing is known against selling. It costs nothing.
func (w *Watch) MaySell() error {
	if w == nil {
		return nil
	}
	if refusal := w.refusal.Load(); refusal != nil {
		return refusal
	}
	return nil
}

// Agree says which clocks differ by more than they should.
func (w *Watch) Agree(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := largest(w.fresh())
	switch {
	case d.by > domain.ClockSkewMax:
		return fmt.Errorf("%s: nothing is sold", d)
	case d.by > domain.ClockSkewWarn:
		return fmt.Errorf("%s: above %s nothing is sold", d, domain.ClockSkewMax)
	default:
		return nil
	}
}

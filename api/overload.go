package api

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"boxoffice/domain"
)

// How the bound on checkouts follows the engine: additive increase while it is used
// and things go well, multiplicative decrease when holds or webhooks get slow.
const (
	// CheckoutsInFlightMin is the floor: so many are always let in, or nothing
	// would tell when things are well again.
	CheckoutsInFlightMin = 64

	// holdLatencyTarget is what nine of ten holds may take. By Little's law the
	// bound then stays at what the engine does in that time, and whoever is let in
	// is answered long before requestTimeout.
	holdLatencyTarget = 500 * time.Millisecond
	// webhookLatencyTarget is what all but one of a hundred webhooks may take. They
	// share the engine with checkouts and go first: they are of buyers who have paid.
	webhookLatencyTarget = 250 * time.Millisecond

	// boundWindow is how often the bound moves: long enough to see what the last
	// move did.
	boundWindow    = 500 * time.Millisecond
	boundDecrease  = 0.7
	boundStep      = 16
	boundStart     = 64  // of a fresh node, which may begin in the middle of a rush: more would only make each other wait
	samplesMax     = 512 // latencies kept of a window, the newest
	boundUsedShare = 0.8 // of the bound, from which it counts as used: an idle node has proved nothing
	// turnedAwayWaitMax bounds how long those are sent away who met a full bound. At
	// 20,000 a second even saying no takes a core, which the checkouts under way need.
	// Longer, and a seat that is free waits for its buyer.
	turnedAwayWaitMax = 6 * time.Second
	// webhooksSlowMin is how many slow webhooks of a window say something: one may
	// have met a pause of anything.
	webhooksSlowMin = 2
)

// An adaptiveBound is the number of checkouts that may wait for the engine at a
// time, between a floor and a ceiling. It knows no clock: callers say when it is.
// It is safe for concurrent use.
type adaptiveBound struct {
	floor, ceiling float64

	mu       sync.Mutex
	limit    float64
	inFlight int

	// of this window
	windowEnds   time.Time
	peak         int // of inFlight
	holds        samples
	webhooks     int
	webhooksSlow int
	done         int // who left
	turnedAway   int // who met a full bound

	// of the last window
	holdP90                      time.Duration // of the last that had holds
	doneBefore, turnedAwayBefore int
}

func newAdaptiveBound(floor, ceiling int) *adaptiveBound {
	floor = min(floor, ceiling)
	return &adaptiveBound{
		floor: float64(floor), ceiling: float64(ceiling),
		limit: float64(min(max(floor, boundStart), ceiling)),
	}
}

// enter reports whether one more may wait; who was let in must leave.
func (b *adaptiveBound) enter(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	if b.inFlight >= int(b.limit) {
		b.peak = max(b.peak, b.inFlight)
		b.turnedAway++
		return false
	}
	b.inFlight++
	b.peak = max(b.peak, b.inFlight)
	return true
}

// turnAway reports whether the bound is reached, for those who can be told before
// anything is made of their request.
func (b *adaptiveBound) turnAway(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	if b.inFlight < int(b.limit) {
		return false
	}
	b.peak = max(b.peak, b.inFlight)
	b.turnedAway++
	return true
}

// retryAfter is how long to stay away from a full bound: until all who were turned
// away would have had their turn, or until the seats that are left are taken, when
// the gate has an answer for everybody. Seats below zero: it is not known how many.
func (b *adaptiveBound) retryAfter(seats int64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	ahead := int64(b.turnedAwayBefore)
	if seats >= 0 {
		ahead = min(ahead, seats)
	}
	wait := boundWindow * time.Duration(ahead) / time.Duration(max(b.doneBefore, 1))
	return min(max(wait, checkoutsOverloadedWait), turnedAwayWaitMax)
}

// leave tells how long a hold took. Where counts is false it says nothing about the
// engine, as when the client went away.
func (b *adaptiveBound) leave(now time.Time, took time.Duration, counts bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	b.done++
	if counts {
		b.holds.add(took)
	}
	b.turn(now)
}

// webhook tells how long a webhook took.
func (b *adaptiveBound) webhook(now time.Time, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.webhooks++
	if took > webhookLatencyTarget {
		b.webhooksSlow++
	}
	b.turn(now)
}

// turn moves the bound at the end of a window.
func (b *adaptiveBound) turn(now time.Time) {
	if b.windowEnds.IsZero() {
		b.windowEnds = now.Add(boundWindow)
	}
	if now.Before(b.windowEnds) {
		return
	}
	if b.holds.n > 0 {
		b.holdP90 = b.holds.quantile(0.9)
	}
	isUsed := float64(b.peak) >= boundUsedShare*b.limit
	switch {
	case b.isCongested(isUsed):
		b.limit = max(b.floor, b.limit*boundDecrease)
	case isUsed:
		b.limit = min(b.ceiling, b.limit+boundStep)
	}
	b.doneBefore, b.turnedAwayBefore = b.done, b.turnedAway
	b.holds.n, b.webhooks, b.webhooksSlow, b.done, b.turnedAway = 0, 0, 0, 0, 0
	b.peak = b.inFlight
	b.windowEnds = now.Add(boundWindow)
}

// isCongested: holds are slow, or webhooks are, or all slots are taken and nothing
// came back, in which case there is no latency to judge by.
func (b *adaptiveBound) isCongested(isUsed bool) bool {
	switch {
	case b.webhooksSlow >= webhooksSlowMin && b.webhooksSlow*100 > b.webhooks:
		return true
	case b.holds.n > 0:
		return b.holdP90 > holdLatencyTarget
	default:
		return isUsed && b.inFlight > 0
	}
}

// state is the bound, how much of it is used, and the 90th percentile of the last
// holds.
func (b *adaptiveBound) state() (limit, inFlight int, holdP90 time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.limit), b.inFlight, b.holdP90
}

// samples are the newest latencies of a window.
type samples struct {
	n      int // so many were added
	newest [samplesMax]time.Duration
}

func (s *samples) add(d time.Duration) {
	s.newest[s.n%samplesMax] = d
	s.n++
}

// quantile of at least one sample.
func (s *samples) quantile(q float64) time.Duration {
	sorted := slices.Clone(s.newest[:min(s.n, samplesMax)])
	slices.Sort(sorted)
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// admit lets a checkout to the engine, or refuses it at once: where the bound is
// reached, and where its time is nearly up, as after a body that came slowly.
// Whoever is let in calls leave with the outcome.
func (s *Server) admit(ctx context.Context) (leave func(error), err error) {
	began := time.Now()
	_, _, expected := s.adaptive.state()
	if deadline, ok := ctx.Deadline(); ok && deadline.Sub(began) < max(expected, holdLatencyTarget) {
		return nil, s.refuseCheckout("deadline", errNoTimeLeft, seatsUnknown)
	}
	if !s.adaptive.enter(began) {
		return nil, s.refuseCheckout("bound", errBoundReached, seatsUnknown)
	}
	return func(err error) {
		now := time.Now()
		took := now.Sub(began)
		if err != nil && isAway(err) {
			took = max(took, 2*holdLatencyTarget) // a quick "no room" is no sign of speed
		}
		s.adaptive.leave(now, took, !errors.Is(ctx.Err(), context.Canceled) && !isRefusedUnasked(err))
	}, nil
}

const seatsUnknown = -1

// Why a checkout is not admitted.
var (
	errNoTimeLeft   = errors.New("the request has no time left for a hold")
	errBoundReached = errors.New("the adaptive bound of checkouts is reached")
)

func (s *Server) refuseCheckout(by string, why error, seats int64) error {
	s.metrics.notAdmitted.WithLabelValues(by).Inc()
	return &domain.Error{Code: domain.CodeOverloaded, RetryAfter: s.adaptive.retryAfter(seats), Err: why}
}

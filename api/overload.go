package api

import (
	"container/list"
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
	CheckoutsInFlightMin = 8
	// CheckoutsInLineMax is how many wait for a turn: half of the connections.
	CheckoutsInLineMax = ConnectionsMax / 2

	// holdLatencyTarget is what nine of ten holds may take. By Little's law the
	// bound then stays at what the engine does in that time, and whoever is let in
	// is answered long before requestTimeout.
	holdLatencyTarget = 500 * time.Millisecond
	// webhookLatencyTarget is what all but one of a hundred webhooks may take. They
	// share the engine with checkouts and go first: they are of buyers who have paid.
	webhookLatencyTarget = 250 * time.Millisecond
	// webhookLatencyRise times what they took when they were quickest, up to
	// webhookLatencyTargetMax, is allowed too: an engine far away is not a slow one. What
	// was quickest grows e-fold in quietLife.
	webhookLatencyRise      = 3
	webhookLatencyTargetMax = 750 * time.Millisecond
	quietLife               = time.Minute

	// boundWindow is how often the bound moves: long enough to see what the last
	// move did.
	boundWindow    = 500 * time.Millisecond
	boundDecrease  = 0.7
	boundStep      = 4     // it rises by so much,
	boundGrowth    = 0.125 // or by this part of itself: 512 are reached in 15 s
	boundStart     = 16    // of a fresh node, which may begin in the middle of a rush: more would only make each other wait
	samplesMax     = 512   // latencies kept of a window, the newest
	boundUsedShare = 0.8   // of the bound, from which it counts as used: an idle node has proved nothing
	// lineWaitMax is how long a checkout waits for its turn. In a rush most wait in vain,
	// but to tell them at once, again and again, that it is full takes more of the
	// processor than the checkouts do (docs/lab/performance-notebook.md).
	lineWaitMax = time.Second
	// turnedAwayWaitMax bounds how long those are sent away who had no turn. Longer, and
	// a seat that is free waits for its buyer.
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
	lineMax        int

	mu       sync.Mutex
	limit    float64
	inFlight int
	line     list.List // of *waiter: who comes first has the next turn

	// of this window
	windowEnds   time.Time
	peak         int // of inFlight
	holds        samples
	webhooks     int
	webhookMin   time.Duration // 0: none yet
	webhooksSlow int
	done         int // who left
	turnedAway   int // who had no turn

	// of the last window
	holdP90                      time.Duration // of the last that had holds
	doneBefore, turnedAwayBefore int

	quietWebhook time.Duration // the quickest of late; 0: not known
}

// A waiter is a checkout in the line.
type waiter struct {
	turn  chan struct{} // closed when it has a slot
	place *list.Element // nil once it left the line
}

func newAdaptiveBound(floor, ceiling, lineMax int) *adaptiveBound {
	floor = min(floor, ceiling)
	return &adaptiveBound{
		floor: float64(floor), ceiling: float64(ceiling), lineMax: lineMax,
		limit: float64(min(max(floor, boundStart), ceiling)),
	}
}

// enter lets one more in, who must leave, or gives them a place in the line, where
// they wait or give up. Not ok: the line is full too.
func (b *adaptiveBound) enter(now time.Time) (w *waiter, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	switch {
	case b.hasRoom(): // then nobody waits
		b.letIn()
		return nil, true
	case b.line.Len() < b.lineMax:
		b.peak = max(b.peak, b.inFlight)
		w = &waiter{turn: make(chan struct{})}
		w.place = b.line.PushBack(w)
		return w, true
	default:
		b.peak = max(b.peak, b.inFlight)
		b.turnedAway++
		return nil, false
	}
}

// turnAway reports whether the bound is reached and the line full, for those who can
// be told before anything is made of their request.
func (b *adaptiveBound) turnAway(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	if b.hasRoom() || b.line.Len() < b.lineMax {
		return false
	}
	b.peak = max(b.peak, b.inFlight)
	b.turnedAway++
	return true
}

// giveUp leaves the line, after having waited in vain or because the client left, unless
// it is the waiter's turn: then they must leave as whoever was let in.
func (b *adaptiveBound) giveUp(w *waiter, inVain bool) (gaveUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.place == nil {
		return false
	}
	b.line.Remove(w.place)
	w.place = nil
	if inVain {
		b.turnedAway++
	}
	return true
}

func (b *adaptiveBound) hasRoom() bool { return b.inFlight < int(b.limit) }

func (b *adaptiveBound) letIn() {
	b.inFlight++
	b.peak = max(b.peak, b.inFlight)
}

// moveUp lets in the first of the line, as many as there is room for.
func (b *adaptiveBound) moveUp() {
	for b.hasRoom() && b.line.Len() > 0 {
		w := b.line.Remove(b.line.Front()).(*waiter)
		w.place = nil
		b.letIn()
		close(w.turn)
	}
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
	b.moveUp()
}

// webhook tells how long a webhook took.
func (b *adaptiveBound) webhook(now time.Time, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.webhooks++
	if b.webhookMin == 0 || took < b.webhookMin {
		b.webhookMin = took
	}
	if took > b.webhookTarget() {
		b.webhooksSlow++
	}
	b.turn(now)
}

func (b *adaptiveBound) webhookTarget() time.Duration {
	return min(max(webhookLatencyRise*b.quietWebhook, webhookLatencyTarget), webhookLatencyTargetMax)
}

// learnQuiet takes in a window in which webhooks came. What was quickest before is
// forgotten slowly.
func (b *adaptiveBound) learnQuiet() {
	if b.webhookMin == 0 {
		return
	}
	b.quietWebhook += b.quietWebhook / (quietLife / boundWindow)
	if b.quietWebhook == 0 || b.webhookMin < b.quietWebhook {
		b.quietWebhook = b.webhookMin
	}
	b.webhookMin = 0
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
		b.limit = min(b.ceiling, b.limit+max(boundStep, boundGrowth*b.limit))
	}
	b.doneBefore, b.turnedAwayBefore = b.done, b.turnedAway
	b.learnQuiet()
	b.holds.n, b.webhooks, b.webhooksSlow, b.done, b.turnedAway = 0, 0, 0, 0, 0
	b.peak = b.inFlight
	b.windowEnds = now.Add(boundWindow)
	b.moveUp()
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

func (b *adaptiveBound) inLine() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.line.Len()
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

// A turn is a place among the checkouts under way. Whoever has it leaves once, with
// what the hold took and its outcome.
type turn func(took time.Duration, err error)

// admit lets a checkout to the engine, at once or in its turn, or refuses it: where
// the line is full too, where it waited in vain, where its time is nearly up, as after a
// body that came slowly, and where the engine is away, which nobody need wait to hear.
// Waited: what was known before may be outdated.
func (s *Server) admit(ctx context.Context, order *domain.Order) (leave turn, waited bool, err error) {
	if err := s.limitBuyer(order.Buyer); err != nil {
		return nil, false, err
	}
	if err := s.breakers.checkouts.refusesAll(); err != nil {
		return nil, false, err
	}
	patience := s.patience(ctx)
	if patience < 0 {
		return nil, false, s.refuseCheckout("deadline", errNoTimeLeft, seatsUnknown)
	}
	w, ok := s.adaptive.enter(time.Now())
	switch {
	case !ok:
		return nil, false, s.refuseCheckout("bound", errBoundReached, s.gate.left(order.SaleID, order.Lines))
	case w != nil && !s.await(ctx, w, patience):
		return nil, false, s.refuseCheckout("turn", errNoTurn, s.gate.left(order.SaleID, order.Lines))
	}
	return func(took time.Duration, err error) {
		if err != nil && isAway(err) {
			took = max(took, 2*holdLatencyTarget) // a quick "no room" is no sign of speed
		}
		saysNothing := errors.Is(ctx.Err(), context.Canceled) || isRefusedUnasked(err) || errors.Is(err, errTurnNotTaken)
		s.adaptive.leave(time.Now(), took, !saysNothing)
	}, w != nil, nil
}

// patience is how long a checkout may wait for its turn and have time for its hold;
// below zero where it has none now.
func (s *Server) patience(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return lineWaitMax
	}
	_, _, expected := s.adaptive.state()
	// What one hold took, which had all the time there is, must not keep all others out:
	// then nothing would ever tell that the engine is well again.
	expected = min(max(expected, holdLatencyTarget), requestTimeout/2)
	return min(time.Until(deadline)-expected, lineWaitMax)
}

// await reports whether it became the waiter's turn.
func (s *Server) await(ctx context.Context, w *waiter, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.turn:
		return true
	case <-timer.C:
		return !s.adaptive.giveUp(w, true)
	case <-ctx.Done():
		return !s.adaptive.giveUp(w, false)
	}
}

const seatsUnknown = -1

// Why a checkout is not admitted; errTurnNotTaken: why one that was asks for nothing.
var (
	errTurnNotTaken = errors.New("refused before anything was asked of the engine")
	errNoTimeLeft   = errors.New("the request has no time left for a hold")
	errBoundReached = errors.New("the adaptive bound of checkouts is reached, and as many wait for a turn as may")
	errNoTurn       = errors.New("the adaptive bound of checkouts is reached, and it waited for its turn in vain")
)

func (s *Server) refuseCheckout(by string, why error, seats int64) error {
	s.metrics.notAdmitted.WithLabelValues(by).Inc()
	return &domain.Error{Code: domain.CodeOverloaded, RetryAfter: s.adaptive.retryAfter(seats), Err: why}
}

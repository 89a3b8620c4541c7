package admission

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// How the limit on checkouts follows the engine: it grows step by step while it is used
// and things go well, and shrinks by a factor when holds or webhooks get slow.
const (
	// InFlightMax is the ceiling.
	InFlightMax = 512
	// InFlightMin is the floor: this many are always let in, or nothing would show that
	// things are well again.
	InFlightMin = 8

	// holdLatencyTarget is how long nine of ten holds may take. By Little's law the limit
	// then stays at what the engine does in that time, and everybody let in is answered
	// long before RequestTimeout.
	holdLatencyTarget = 500 * time.Millisecond
	// webhookLatencyTarget is how long all but one of a hundred webhooks may take. They
	// share the engine with checkouts and go first: their buyers have paid.
	webhookLatencyTarget = 250 * time.Millisecond
	// webhookLatencyRise times the quickest recent time, up to webhookLatencyTargetMax, is
	// allowed too: an engine far away is not a slow one. The quickest time decays: it grows
	// e-fold in quietLife.
	webhookLatencyRise      = 3
	webhookLatencyTargetMax = 750 * time.Millisecond
	quietLife               = time.Minute

	// boundWindow is how often the limit moves: long enough to see what the last move
	// did.
	boundWindow    = 500 * time.Millisecond
	boundDecrease  = 0.7
	boundStep      = 4     // it rises by this much,
	boundGrowth    = 0.125 // or by this part of itself: 512 are reached in 15 s
	boundStart     = 16    // for a fresh node, which may start in the middle of a rush: more would only make each other wait
	samplesMax     = 512   // latencies kept of a window, the newest
	boundUsedShare = 0.8   // share of the limit from which it counts as used: an idle node has proved nothing
	// retryAfterMin and retryAfterMax limit how long refused checkouts are sent away. If
	// they stay away longer, a free seat waits for its buyer.
	retryAfterMin = time.Second
	retryAfterMax = 6 * time.Second
	// webhooksSlowMin is how many slow webhooks in a window mean something: a single one
	// may have met any pause.
	webhooksSlowMin = 2
)

// An adaptiveBound is how many checkouts may wait for the engine at a time, between a
// floor and a ceiling. It has no clock: callers pass the time. It is safe for concurrent
// use.
type adaptiveBound struct {
	floor, ceiling float64
	lineMax        int

	mu       sync.Mutex
	limit    float64
	inFlight int
	line     list.List // of *waiter: first come, first let in

	// of this window
	windowEnds   time.Time
	peak         int // of inFlight
	holds        samples
	webhooks     int
	webhookMin   time.Duration // 0: none yet
	webhooksSlow int
	done         int // checkouts that left
	refused      int // checkouts that were not let in

	// of the last window
	holdP90                   time.Duration // of the last that had holds
	doneBefore, refusedBefore int

	quietWebhook time.Duration // the quickest recent one; 0: not known
}

// A waiter is a checkout in the line.
type waiter struct {
	letIn chan struct{} // closed when it is
	place *list.Element // nil once it left the line
}

func newAdaptiveBound(floor, ceiling, lineMax int) *adaptiveBound {
	floor = min(floor, ceiling)
	return &adaptiveBound{
		floor: float64(floor), ceiling: float64(ceiling), lineMax: lineMax,
		limit: float64(min(max(floor, boundStart), ceiling)),
	}
}

// enter lets one more in, who must leave later, or gives it a place in the line, where it
// waits or gives up. Not ok: the line is full too.
func (b *adaptiveBound) enter(now time.Time) (w *waiter, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endWindow(now)
	switch {
	case b.hasRoom(): // then nobody waits
		b.takePermit()
		return nil, true
	case b.line.Len() < b.lineMax:
		b.peak = max(b.peak, b.inFlight)
		w = &waiter{letIn: make(chan struct{})}
		w.place = b.line.PushBack(w)
		return w, true
	default:
		b.peak = max(b.peak, b.inFlight)
		b.refused++
		return nil, false
	}
}

// refuses reports whether the limit is reached and the line full, so that a request can
// be refused before it is processed. It counts as refused.
func (b *adaptiveBound) refuses(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endWindow(now)
	if b.hasRoom() || b.line.Len() < b.lineMax {
		return false
	}
	b.peak = max(b.peak, b.inFlight)
	b.refused++
	return true
}

// giveUp leaves the line, after waiting in vain or because the client left. If the waiter
// was let in just then, it must leave like anybody else.
func (b *adaptiveBound) giveUp(w *waiter, inVain bool) (gaveUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.place == nil {
		return false
	}
	b.line.Remove(w.place)
	w.place = nil
	if inVain {
		b.refused++
	}
	return true
}

func (b *adaptiveBound) hasRoom() bool { return b.inFlight < int(b.limit) }

func (b *adaptiveBound) takePermit() {
	b.inFlight++
	b.peak = max(b.peak, b.inFlight)
}

// moveUp lets in the first of the line, as many as fit.
func (b *adaptiveBound) moveUp() {
	for b.hasRoom() && b.line.Len() > 0 {
		w := b.line.Remove(b.line.Front()).(*waiter)
		w.place = nil
		b.takePermit()
		close(w.letIn)
	}
}

// retryAfter is how long to stay away from a full limit: until all who were refused would
// have been let in, or until the seats that are left are taken, when the gate can answer
// everybody. Negative seats: it is not known how many are left.
func (b *adaptiveBound) retryAfter(seats int64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	ahead := int64(b.refusedBefore)
	if seats >= 0 {
		ahead = min(ahead, seats)
	}
	wait := boundWindow * time.Duration(ahead) / time.Duration(max(b.doneBefore, 1))
	return min(max(wait, retryAfterMin), retryAfterMax)
}

// leave records how long a hold took. If counts is false, the hold says nothing about the
// engine, for example because the client went away.
func (b *adaptiveBound) leave(now time.Time, took time.Duration, counts bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	b.done++
	if counts {
		b.holds.add(took)
	}
	b.endWindow(now)
	b.moveUp()
}

// webhook records how long a webhook took.
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
	b.endWindow(now)
}

func (b *adaptiveBound) webhookTarget() time.Duration {
	return min(max(webhookLatencyRise*b.quietWebhook, webhookLatencyTarget), webhookLatencyTargetMax)
}

// learnQuiet learns from a window with webhooks. It forgets the quickest time slowly.
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

// endWindow moves the limit if the window is over.
func (b *adaptiveBound) endWindow(now time.Time) {
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
	b.doneBefore, b.refusedBefore = b.done, b.refused
	b.learnQuiet()
	b.holds.n, b.webhooks, b.webhooksSlow, b.done, b.refused = 0, 0, 0, 0, 0
	b.peak = b.inFlight
	b.windowEnds = now.Add(boundWindow)
	b.moveUp()
}

// isCongested: holds are slow, or webhooks are, or all permits are taken and nothing came
// back, so that there is no latency to judge by.
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

// state is the limit, how much of it is used, and the 90th percentile of the last holds.
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
	n      int // how many were added
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

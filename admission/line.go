package admission

import (
	"context"
	"errors"
	"time"

	"boxoffice/domain"
)

const (
	// InLineMax is how many wait for a permit: half of a listener's connections.
	InLineMax = 4096
	// lineWaitMax is how long a checkout waits for a permit. In a rush most wait in vain,
	// but telling them at once, again and again, that it is full takes more of the
	// processor than the checkouts do (docs/lab/performance-notebook.md).
	lineWaitMax = time.Second
)

// A permit is the right of one checkout to use the engine. Its holder leaves it once,
// with the hold's time and outcome.
type permit func(took time.Duration, err error)

// admit gives a checkout a permit, at once or after a wait in the line, or refuses it. It
// refuses if the line is full too, if the checkout waited in vain, if its time is nearly
// up (its body may have come slowly), and if the engine is down, because then there is no
// point in waiting. Waited: what was known before may be outdated.
func (a *Admission) admit(ctx context.Context, order *domain.Order) (leave permit, waited bool, err error) {
	if err := a.limitBuyer(order.Buyer); err != nil {
		return nil, false, err
	}
	e := a.in(order.Cell)
	if err := e.Breakers.Checkouts.refusesAll(); err != nil {
		return nil, false, err
	}
	patience := e.patience(ctx)
	if patience < 0 {
		return nil, false, a.notAdmitted(e, byDeadline, errNoTimeLeft, seatsUnknown)
	}
	w, ok := e.bound.enter(time.Now())
	switch {
	case !ok:
		return nil, false, a.notAdmitted(e, byBound, errBoundReached, a.gate.left(order.SaleID, order.Lines))
	case w != nil && !e.await(ctx, w, patience):
		return nil, false, a.notAdmitted(e, byLine, errWaitedInVain, a.gate.left(order.SaleID, order.Lines))
	}
	return func(took time.Duration, err error) {
		if err != nil && isAway(err) {
			took = max(took, 2*holdLatencyTarget) // a quick "no room" does not mean that the engine is fast
		}
		saysNothing := errors.Is(ctx.Err(), context.Canceled) || isRefusedUnasked(err) || errors.Is(err, errPermitNotUsed)
		e.bound.leave(time.Now(), took, !saysNothing)
	}, w != nil, nil
}

// patience is how long a checkout may wait for a permit and still have time for its hold;
// negative if it has none left now.
func (e *engine) patience(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return lineWaitMax
	}
	_, _, expected := e.bound.state()
	// If one hold took all the time there is, that must not keep all others out: nothing
	// would ever show that the engine is well again.
	expected = min(max(expected, holdLatencyTarget), RequestTimeout/2)
	return min(time.Until(deadline)-expected, lineWaitMax)
}

// await reports whether the waiter was let in.
func (e *engine) await(ctx context.Context, w *waiter, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.letIn:
		return true
	case <-timer.C:
		return !e.bound.giveUp(w, true)
	case <-ctx.Done():
		return !e.bound.giveUp(w, false)
	}
}

const seatsUnknown = -1

// Why a checkout is not admitted. errPermitNotUsed: an admitted one asks for nothing.
var (
	errPermitNotUsed = errors.New("refused before anything was asked of the engine")
	errNoTimeLeft    = errors.New("the request has no time left for a hold")
	errBoundReached  = errors.New("the adaptive bound of checkouts is reached, and the line is full")
	errWaitedInVain  = errors.New("the adaptive bound of checkouts is reached, and it waited in line in vain")
)

// Their names in boxoffice_checkouts_not_admitted_total.
const (
	byDeadline = "deadline"
	byBound    = "bound"
	byLine     = "turn"
)

func (a *Admission) notAdmitted(e *engine, by string, why error, seats int64) error {
	a.metrics.notAdmitted.WithLabelValues(by).Inc()
	return &domain.Error{Code: domain.CodeOverloaded, RetryAfter: e.bound.retryAfter(seats), Err: why}
}

// limitBuyer refuses what a buyer tries too often. It binds no key.
func (a *Admission) limitBuyer(buyer domain.BuyerID) error {
	wait := a.byBuyer.Take(buyer, time.Now())
	if wait == 0 {
		return nil
	}
	a.metrics.rateLimited.Inc()
	return &domain.Error{
		Code: domain.CodeRateLimited, Detail: "This buyer asks too often. Nothing was done: repeat with the same key.", RetryAfter: wait,
	}
}

package admission

import (
	"context"
	"errors"
	"sync"
	"time"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// load tells the doors of the waiting rooms how this node's checkouts do. The adaptive
// bound measures for itself, in windows of its own: it has to know when its last move
// shows, while the doors need what all nodes counted in the same windows.
type load struct {
	meter waitingroom.Meter
	once  sync.Once
	began time.Time // of the meter's time
}

func (l *load) since(at time.Time) time.Duration {
	l.once.Do(func() { l.began = at })
	return at.Sub(l.began)
}

// held records how long the ledger's verdict on a hold took. A verdict that did not come
// counts as well: the time until we gave up is the least that it takes. The same goes if
// the buyer left, or a proxy that waits less long than we do. But somebody who leaves
// before a hold counts as slow says nothing.
func (l *load) held(ctx context.Context, sale *domain.Sale, began time.Time, err error) {
	if err != nil && !domain.IsUnknown(err) && !isOutOfTime(err) {
		return // no hold was requested
	}
	now := time.Now()
	if err != nil && ctx.Err() == context.Canceled && now.Sub(began) < holdLatencyTarget {
		return
	}
	l.meter.Held(l.since(now), now.Sub(began), err == nil)
	if err == nil && !sale.WaitingRoom {
		l.meter.Direct(l.since(now), sale.ID)
	}
}

// refused records a checkout that failed at the gate or later, if that says something
// about this node. A client that left, or sent its body so slowly that no time was left,
// was not refused by the engine, and must not shut a door to all others.
func (l *load) refused(ctx context.Context, err error) {
	if _, isNo := err.(gateRefusal); isNo { //nolint:errorlint // Nobody wraps it before Hold, most errors are one, and errors.As allocates.
		return
	}
	switch domain.CodeOf(err) {
	case domain.CodeOverloaded, domain.CodeUnknown, domain.CodeClocksDiffer:
	case domain.CodeInternal:
		if !isOutOfTime(err) || errors.As(err, new(*domain.Error)) {
			return
		}
	default:
		return
	}
	if !errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, errNoTimeLeft) {
		l.meter.Refused(l.since(time.Now()))
	}
}

// Opened records what became of a buyer's wish to pay: whether the provider of the sale gave
// a page, or takes no more at the moment. It is for the doors of that provider's sales.
func (a *Admission) Opened(ctx context.Context, provider string, err error) {
	switch domain.CodeOf(err) {
	case domain.CodeOverloaded, domain.CodeUnknown:
		if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
			a.load.meter.Open(a.load.since(time.Now()), provider, false)
		}
	default:
		if err == nil {
			a.load.meter.Open(a.load.since(time.Now()), provider, true)
		}
	}
}

func isOutOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// settled records how long a webhook took.
func (l *load) settled(began, now time.Time) { l.meter.Webhook(l.since(now), now.Sub(began)) }

func (l *load) windows() [len(waitingroom.LoadWindows)]waitingroom.LoadWindow {
	return l.meter.Windows(l.since(time.Now()))
}

// Load is how the checkouts of this node do. Give it to Rooms.
func (a *Admission) Load() waitingroom.Load {
	limit, inFlight := a.state()
	now := a.load.since(time.Now())
	return waitingroom.Load{
		InFlight: inFlight, InFlightMax: limit, Windows: a.load.windows(), Direct: a.load.meter.Directs(now), Opens: a.load.meter.Opens(now),
	}
}

package api

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

const (
	// loadWindow is how far back the latency of holds is looked at: long enough for a
	// few holds at a slow door, short enough to follow it.
	loadWindow = 2 * time.Second
	// loadSamplesMax bounds the memory and the sorting; at more holds a second the window
	// is shorter.
	loadSamplesMax = 512
	loadPercentile = 90
)

// load is what the doors of the waiting rooms go by: how this node's checkouts
// fare.
type load struct {
	overloaded atomic.Int64 // answers overloaded or unknown, since they were last asked for

	mu    sync.Mutex
	holds [loadSamplesMax]holdSample // a ring
	next  int
}

type holdSample struct {
	at   time.Time // of the answer; zero: none yet
	took time.Duration
}

// held notes how long the ledger's verdict on a hold took. One that did not come
// counts as well: the time until it was given up is the least that it takes.
func (l *load) held(ctx context.Context, began time.Time, err error) {
	if err != nil && !domain.IsUnknown(err) && !isOutOfTime(err) || ctx.Err() == context.Canceled {
		return // no hold was asked for, or its buyer left
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds[l.next] = holdSample{now, now.Sub(began)}
	l.next = (l.next + 1) % loadSamplesMax
}

// answered notes a problem that was answered.
func (l *load) answered(route string, code domain.Code) {
	if route == checkoutsRoute && (code == domain.CodeOverloaded || code == domain.CodeUnknown) {
		l.overloaded.Add(1)
	}
}

// latency is the 90th percentile of the recent holds, 0 without any.
func (l *load) latency(now time.Time) time.Duration {
	recent := make([]time.Duration, 0, loadSamplesMax)
	l.mu.Lock()
	for _, s := range l.holds {
		if !s.at.IsZero() && now.Sub(s.at) < loadWindow {
			recent = append(recent, s.took)
		}
	}
	l.mu.Unlock()
	if len(recent) == 0 {
		return 0
	}
	slices.Sort(recent)
	return recent[(len(recent)*loadPercentile-1)/100]
}

// Load is how the checkouts of this node fare; Rooms is to be given it. It has one
// caller: what it counts starts anew with each call.
func (s *Server) Load() waitingroom.Load {
	limit, inFlight, _ := s.adaptive.state()
	return waitingroom.Load{
		InFlight:    inFlight,
		InFlightMax: limit,
		HoldLatency: s.load.latency(time.Now()),
		Overloaded:  s.load.overloaded.Swap(0),
	}
}

package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Run makes the load of a plan and returns what was measured, when the last
// request has been answered. The error says that the plan cannot be, or that the
// context ended before it was done; requests that fail are part of the result.
func Run(ctx context.Context, p Plan, step Step) (Measured, error) {
	if err := p.Validate(); err != nil {
		return Measured{}, err
	}
	g := newGenerator(p, step)
	var sending sync.WaitGroup
	if p.RatePerSecond > 0 {
		sending.Go(func() { g.open(ctx, &sending) })
	} else {
		for range p.Clients {
			sending.Go(func() { g.client(ctx) })
		}
	}
	sent := make(chan struct{})
	go func() { sending.Wait(); close(sent) }()
	g.watch(ctx, sent)
	<-sent
	if err := ctx.Err(); err != nil {
		return Measured{}, err
	}
	return g.recorder.measured(), nil
}

type generator struct {
	Plan
	step     Step
	recorder *recorder
	started  time.Time
	planned  window // the recorder's may end sooner

	next     atomic.Int64
	stopOnce sync.Once
	stopping chan struct{} // closed: no new requests
}

func newGenerator(p Plan, step Step) *generator {
	if p.InFlightMax == 0 {
		p.InFlightMax = inFlightDefault
	}
	if p.Timeout == 0 {
		p.Timeout = timeoutDefault
	}
	if p.Progress == nil {
		p.Progress = &Progress{}
	}
	started := time.Now()
	w := window{begin: started.Add(p.Warmup)}
	if p.Duration > 0 {
		w.end = w.begin.Add(p.Duration)
	}
	return &generator{Plan: p, step: step, recorder: newRecorder(w), started: started, planned: w, stopping: make(chan struct{})}
}

// watch marks the two ends of the measured time.
func (g *generator) watch(ctx context.Context, sent <-chan struct{}) {
	if !g.sleepUntil(ctx, g.planned.begin) {
		return
	}
	call(g.Begin)
	if g.Duration > 0 {
		g.sleepUntil(ctx, g.planned.end)
	} else {
		select {
		case <-sent:
		case <-g.stopping:
		}
	}
	g.recorder.finish(time.Now())
	call(g.End)
	if g.RatePerSecond == 0 {
		g.stop()
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func (g *generator) stop() { g.stopOnce.Do(func() { close(g.stopping) }) }

// sleepUntil returns false when there is nothing left to wait for.
func (g *generator) sleepUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.stopping:
	case <-ctx.Done():
	}
	return false
}

// client asks, waits for the answer, asks again.
func (g *generator) client(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-g.stopping:
			return
		default:
		}
		n := g.next.Add(1) - 1
		if g.Requests > 0 && n >= g.Requests {
			return
		}
		if ok := g.request(ctx, n, time.Now()); !ok {
			g.sleepUntil(ctx, time.Now().Add(errorPause))
		}
	}
}

// open sends each request when it is due. The schedule never waits for answers;
// if all places are taken it falls behind, and what it owes is sent as soon
// as places come free, with its wait counted.
func (g *generator) open(ctx context.Context, sending *sync.WaitGroup) {
	places := make(chan struct{}, g.InFlightMax)
	late, giveUp := context.WithDeadline(ctx, g.planned.end.Add(drainTimeout))
	defer giveUp()
	for due := range g.arrivals() {
		if !g.sleepUntil(ctx, due) {
			return
		}
		select {
		case places <- struct{}{}:
		case <-late.Done():
			g.recorder.notSent(due)
			continue // the rest of the schedule is counted, not sent
		}
		n := g.next.Add(1) - 1
		sending.Go(func() {
			defer func() { <-places }()
			g.request(ctx, n, due)
		})
	}
}

// arrivals are the times at which requests are due, up to the end.
func (g *generator) arrivals() func(yield func(time.Time) bool) {
	random := rand.New(rand.NewPCG(g.Seed, 0))
	return func(yield func(time.Time) bool) {
		for due := g.started; ; {
			gap := 1 / g.RatePerSecond
			if !g.Even {
				gap *= random.ExpFloat64()
			}
			due = due.Add(time.Duration(gap * float64(time.Second)))
			if !due.Before(g.planned.end) || !yield(due) {
				return
			}
		}
	}
}

// request makes one, and records it from when it was due.
func (g *generator) request(ctx context.Context, n int64, due time.Time) bool {
	bounded, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	r := &Request{N: n, last: due}
	err := g.step(bounded, r)
	switch {
	case errors.Is(err, ErrExhausted):
		g.stop()
		return true
	case err != nil && ctx.Err() != nil:
		return false // we gave up, not the target
	}
	g.recorder.record(due, time.Now(), r.laps, err)
	if err != nil {
		g.Progress.Failed.Add(1)
		return false
	}
	g.Progress.Done.Add(1)
	return true
}

package load

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A Step is one request, or a sequence of them that counts as one. It must check
// the answer: nil means that all of it was as expected. It is called from many
// goroutines.
type Step func(ctx context.Context, r *Request) error

// A Request is one call of a Step.
type Request struct {
	N int64 // from 0, in the order of their start

	last time.Time // when the part under way began, or was meant to
	laps []lap
}

type lap struct {
	name string
	took time.Duration
}

// Lap ends a part of the step, which is measured separately, in addition to the whole. The
// first part begins when the request was meant to be sent.
func (r *Request) Lap(name string) {
	now := time.Now()
	r.laps = append(r.laps, lap{name, now.Sub(r.last)})
	r.last = now
}

// Bounds of a Plan, and what its zero values mean.
const (
	ClientsMax      = 16_384
	RateMax         = 1_000_000.0
	inFlightDefault = 4_096
	timeoutDefault  = 30 * time.Second

	// errorPause keeps a closed loop from turning into a loop of refused
	// connections. It is far above what an answer takes and counts as time in
	// which nothing was done.
	errorPause = 50 * time.Millisecond
	// drainTimeout is how long an open loop that has fallen behind goes on
	// sending what was due.
	drainTimeout = 15 * time.Second
)

// A Plan says how much load, and for how long. Either Clients or RatePerSecond
// is set, and either Duration or Requests.
type Plan struct {
	// Clients makes a closed loop of this many.
	Clients int
	// RatePerSecond makes an open loop: this many arrivals on average, independent
	// of each other (a Poisson process), or exactly spaced if Even.
	RatePerSecond float64
	Even          bool
	Seed          uint64 // of the arrivals
	// InFlightMax bounds the requests of an open loop that are out. Arrivals
	// beyond it wait, and their wait counts as latency. 0: 4,096.
	InFlightMax int

	// Warmup goes before the measured Duration and is not counted.
	Warmup, Duration time.Duration
	// Requests ends a closed loop after this many, all of them measured.
	Requests int64

	// Timeout bounds one request. 0: 30 s.
	Timeout time.Duration

	// Begin and End are called when the measured time begins and ends, with load
	// on: what they read is of that time. They may be nil.
	Begin, End func()
	// Progress may be read while the plan runs; it may be nil.
	Progress *Progress
}

// Progress counts from the start of the warm-up.
type Progress struct{ Done, Failed atomic.Int64 }

// Validate says what of a plan cannot be.
func (p Plan) Validate() error {
	switch {
	case (p.Clients > 0) == (p.RatePerSecond > 0):
		return errors.New("load: either clients or a rate")
	case p.Clients < 0 || p.Clients > ClientsMax:
		return errors.New("load: clients must be 1–16384")
	case p.RatePerSecond < 0 || p.RatePerSecond > RateMax:
		return errors.New("load: the rate must be above 0 and at most 1000000 a second")
	case (p.Duration > 0) == (p.Requests > 0):
		return errors.New("load: either a duration or a number of requests")
	case p.Requests > 0 && p.Clients == 0:
		return errors.New("load: a number of requests needs clients")
	case p.Duration < 0 || p.Requests < 0 || p.Warmup < 0:
		return errors.New("load: durations and numbers must not be negative")
	}
	return nil
}

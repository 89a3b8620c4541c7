package waitingroom

import (
	"math"
	"sync"
	"time"
)

const (
	// passedStep and passedMax bound what is remembered of when the door passed whom.
	passedStep = 250 * time.Millisecond
	passedMax  = 2048
	// comersLife is how long those who came count, e-fold.
	comersLife = 20 * time.Second
)

// arrivals is what a node sees of the people of one sale between the door and the
// checkout. It is safe for concurrent use.
type arrivals struct {
	mu     sync.Mutex
	passed []passage // the newest last
	came   comers
	at     time.Duration // until which came has decayed
}

// A passage is how far the door was at a time of the node's clock.
type passage struct {
	at       time.Duration
	admitted int64
}

// comers are those who came of those who were let in, decayed by comersLife.
type comers struct {
	people float64
	after  time.Duration // all of them together, since they were let in
}

// moved notes how far the door is.
func (a *arrivals) moved(now time.Duration, admitted int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.passed); n > 0 && (a.passed[n-1].admitted >= admitted || now-a.passed[n-1].at < passedStep) {
		return
	}
	if len(a.passed) >= passedMax {
		a.passed = append(a.passed[:0], a.passed[passedMax/2:]...)
	}
	a.passed = append(a.passed, passage{now, admitted})
}

// arrived counts somebody's first checkout. Who was let in before this node looked is
// not counted: it does not know how long ago that was.
func (a *arrivals) arrived(now time.Duration, place int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := 0
	for low, high := 0, len(a.passed); ; { // the first passage beyond the place
		if low >= high {
			at = low
			break
		}
		if middle := (low + high) / 2; a.passed[middle].admitted > place {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if at == 0 || at == len(a.passed) && now-a.passed[at-1].at > passedStep+time.Second {
		return
	}
	let := now
	if at < len(a.passed) {
		let = a.passed[at].at
	}
	if now-let > lagMost {
		return // late, and let in again: it says nothing of those who come
	}
	a.decay(now)
	a.came.people++
	a.came.after += now - let
}

func (a *arrivals) lately(now time.Duration) comers {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.decay(now)
	return a.came
}

func (a *arrivals) decay(now time.Duration) {
	left := math.Exp(-(now - a.at).Seconds() / comersLife.Seconds())
	a.at = now
	a.came.people *= left
	a.came.after = time.Duration(left * float64(a.came.after))
}

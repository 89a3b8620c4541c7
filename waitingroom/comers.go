package waitingroom

import (
	"math"
	"sync"
	"time"
)

const (
	// passedStep and passedMax limit what is remembered of when the door passed whom.
	passedStep = 250 * time.Millisecond
	passedMax  = 2048
	// recentMax limits how many people who came are remembered one by one. The door
	// assumes that earlier ones may not know yet that they were let in.
	recentMax = 4096
	// comersLife is how long those who came count, e-fold.
	comersLife = 20 * time.Second
	// Who comes is known of those let in within cohortSpan, so long ago as one of
	// cohortAges. A cohort is ripe where no more than ripeShare of those who came took more
	// than three quarters as long, one more counted for chance: then hardly anybody is still on the way.
	cohortSpan = 20 * time.Second
	ripeShare  = 0.05
)

// cohortAges double, from what people take who come at once to twice what is assumed.
var cohortAges = [...]time.Duration{
	4 * time.Second,
	8 * time.Second,
	16 * time.Second,
	32 * time.Second,
	64 * time.Second,
	128 * time.Second,
	256 * time.Second,
}

// arrivals is what a node sees of one sale's people between the door and the checkout. It
// is safe for concurrent use.
type arrivals struct {
	mu     sync.Mutex
	passed []passage // newest last
	came   comers
	at     time.Duration // the time up to which came has decayed
	recent []comer       // newest last
}

// A comer is somebody who came to a checkout, and their place.
type comer struct {
	at    time.Duration
	place int64
}

// A passage is how far the door was at a time of the node's clock, how many it had let in,
// and who came of those it let in since the passage before.
type passage struct {
	at                time.Duration
	admitted, entered int64
	came              [2*len(cohortAges) + 1]int32 // by the time they took: up to three quarters of each of cohortAges, up to it, and longer
}

// comers are those who came out of those who were let in, decayed by comersLife.
type comers struct {
	people float64
	after  time.Duration // all of them together, since they were let in
}

// A cohort is of people let in, and how many came of them, within three quarters of its age and in all.
type cohort struct{ entered, soon, came int64 }

type cohorts [len(cohortAges)]cohort

// add counts those who came at another node, out of the same people let in.
func (c *cohorts) add(other *cohorts) {
	for i := range c {
		c[i].entered = max(c[i].entered, other[i].entered)
		c[i].soon += other[i].soon
		c[i].came += other[i].came
	}
}

// absent is the share of those let in who never come, by the latest cohort for which that
// is known; 0 if there is none.
func (c *cohorts) absent() float64 {
	for _, of := range c {
		if of.entered < answersEnough || of.came < answersMin || float64(of.came-of.soon+1) > ripeShare*float64(of.came) {
			continue
		}
		share := 1 - float64(of.came+1)/float64(of.entered)
		if share < absentLeast {
			return 0
		}
		return min(share, absentMost)
	}
	return 0
}

// moved records how far the door is, and how many it let in.
func (a *arrivals) moved(now time.Duration, admitted, entered int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.passed); n > 0 && (a.passed[n-1].admitted >= admitted || now-a.passed[n-1].at < passedStep) {
		return
	}
	if len(a.passed) >= passedMax {
		a.passed = append(a.passed[:0], a.passed[passedMax/2:]...)
	}
	a.passed = append(a.passed, passage{at: now, admitted: admitted, entered: entered})
}

// arrived counts somebody's first checkout. It does not count people let in before this
// node looked, because it does not know how long ago that was.
func (a *arrivals) arrived(now time.Duration, place int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.recent) >= recentMax {
		a.recent = append(a.recent[:0], a.recent[recentMax/2:]...)
	}
	a.recent = append(a.recent, comer{now, place})
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
		// Late, and let in again: that says nothing about how long people take.
		a.passed[len(a.passed)-1].came[0]++
		return
	}
	if at < len(a.passed) {
		class := 0
		for class < len(cohortAges) && now-let > cohortAges[class] {
			class++
		}
		if class *= 2; class < 2*len(cohortAges) && now-let > cohortAges[class/2]*3/4 {
			class++
		}
		a.passed[at].came[class]++
	}
	a.decay(now)
	a.came.people++
	a.came.after += now - let
}

// known counts who came until a time, of the places from one on.
func (a *arrivals) known(from int64, until time.Duration) (n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.recent {
		if c.at > until {
			break
		}
		if c.place >= from {
			n++
		}
	}
	return n
}

func (a *arrivals) lately(now time.Duration) comers {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.decay(now)
	return a.came
}

// cohorts counts who came.
func (a *arrivals) cohorts(now time.Duration) (all cohorts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.passed) - 1; i > 0; i-- {
		p, came := &a.passed[i], int64(0)
		for class, age := range cohortAges {
			soon := came + int64(p.came[2*class])
			came = soon + int64(p.came[2*class+1])
			if since := now - p.at; since >= age && since < age+cohortSpan {
				c := &all[class]
				c.entered += p.entered - a.passed[i-1].entered
				c.soon += soon
				c.came += came
			}
		}
	}
	return all
}

func (a *arrivals) decay(now time.Duration) {
	left := math.Exp(-(now - a.at).Seconds() / comersLife.Seconds())
	a.at = now
	a.came.people *= left
	a.came.after = time.Duration(left * float64(a.came.after))
}

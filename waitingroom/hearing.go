package waitingroom

import (
	"math"
	"time"

	"boxoffice/domain"
)

// People learn that they were let in when they ask the next time, at the time that they
// were told. Until then nobody behind them may take the last seats. So among those let in
// so recently that they may not know it yet, there are never more than there are free
// seats. With many seats that limits nothing. With few, asking more often than told gains
// nothing.
const (
	// heardIn is how long it takes to learn of it, and to be counted. A client at the
	// door is told to ask within retryMin and may add to that; a stream tells as fast.
	// Then it checks out, and the ledger's answer about the seats counts it. The age of
	// that answer is added.
	heardIn = retryMin + retryMin/4 + holdIn
	holdIn  = 350 * time.Millisecond
	// countMax limits how old an answer about the seats is assumed to be.
	countMax = 30 * time.Second
	// addedShare is how much clients may add to what they are told.
	addedShare = 0.25
	// seatsEachMax limits how many seats are kept for each person who may not know yet,
	// as long as nobody has come. If there are more, the next person's seats are at stake
	// if everybody takes more. After that, what people took decides, plus takenMargin
	// standard deviations for chance.
	seatsEachMax = 4
	takenMargin  = 2
	cameEnough   = 48
)

// drawHeardAfter is how long after the draw everybody who was told when to ask has done
// so.
func drawHeardAfter(drawn int64) time.Duration {
	told := drawWindow(drawn) + ExchangeInterval + 2*retryMin // whole seconds, and at least one
	return time.Duration(float64(told) * (1 + addedShare))
}

// An entryCount is how many were let in until a moment of the node's monotonic clock, and
// how far the door was.
type entryCount struct {
	at                time.Duration
	entered, admitted int64
}

// mayEnter is how many of those present may be let in now. It is called once in each
// exchange, before the turn.
func (r *room) mayEnter(q *domain.Queue, seats freeSeats, mono time.Duration) int64 {
	unheard := r.unheard(q, seats, mono)
	came := float64(q.Door.Entered - unheard)
	if seats.came >= cameEnough {
		came = max(came, seats.came) // some learn sooner, and most do after a draw
	}
	return max(seats.peopleFor(came), 1) - unheard
}

// peopleFor is for how many people the free seats are enough, judged by what those who came
// took. Each person who takes any takes one to limit. So if the average is one, all take
// one. Otherwise nobody knows how unequal they are, and we assume the largest possible
// variance (Bhatia and Davis). There are never more people than seats.
func (f *freeSeats) peopleFor(came float64) int64 {
	limit, available := float64(max(f.limit, 1)), float64(f.available)
	first := min(limit, seatsEachMax)
	if came <= 0 {
		return int64(available / first)
	}
	mean := (float64(f.taken) + first) / (came + 1) // as if one more person had taken what is kept for the first
	comes := 1 - f.absent
	takes := min(max(mean/comes, 1), limit)
	mean = comes * takes
	variance := comes*((limit-takes)*(takes-1)+takes*takes) - mean*mean
	spread := takenMargin / 2 * math.Sqrt(max(variance, 0))
	root := (math.Sqrt(spread*spread+mean*available) - spread) / mean // n × mean + takenMargin × √(n × variance) = available
	return int64(math.Round(min(root*root, available)))
}

// unheard counts the people who were let in so recently that they may not know it yet. It
// does not count those who came, once the answer about the seats includes what they took. A
// node that has not watched for that long assumes the most that is possible.
func (r *room) unheard(q *domain.Queue, seats freeSeats, mono time.Duration) int64 {
	within := heardIn + min(max(mono-seats.at, 0), countMax)
	entered := q.Door.Entered
	n := len(r.entries)
	if n > 0 && r.entries[n-1].entered > entered { // a database that lost a moment
		r.entries, n = r.entries[:0], 0
	}
	if n == 0 || r.entries[n-1].entered != entered {
		r.entries = append(r.entries, entryCount{mono, entered, q.Door.Admitted})
	}
	for len(r.entries) > 1 && mono-r.entries[1].at >= heardIn+countMax {
		r.entries = r.entries[1:]
	}
	if age(q.Now, q.DrawnAt) < drawHeardAfter(q.Drawn) {
		return max(entered-r.arrivals.known(0, seats.at-holdIn), 0)
	}
	first := r.entries[0]
	for _, e := range r.entries {
		if mono-e.at < within {
			break
		}
		first = e
	}
	unheard := entered - first.entered - r.arrivals.known(first.admitted, seats.at-holdIn)
	if mono-first.at < within {
		unheard += min(first.entered, int64(math.Ceil(q.Settings.RateCeiling*within.Seconds())))
	}
	return max(unheard, 0)
}

// freeSeats are a sale's free seats, and what decides for how many people they are enough.
type freeSeats struct {
	available, taken int64
	limit            int64         // for one buyer
	at               time.Duration // when the ledger was asked, on the node's monotonic clock
	absent           float64       // the share of those let in that never comes
	came             float64       // people who had come to a checkout by then, without those of long ago
}

package domain

import (
	"fmt"
	"slices"
	"time"
)

// Bounds and defaults of a waiting room's door, in admissions a second. The
// default ceiling is twice what one node of two cores sustains
// (docs/lab/performance-notebook.md): the door finds the rate itself, below it.
const (
	QueueRateMin            = 0.1
	QueueRateMax            = 10_000
	QueueRateFloorDefault   = 1
	QueueRateCeilingDefault = 200
)

// QueueSettings are what an organiser sets of a waiting room.
type QueueSettings struct {
	RateFloor   float64 // admissions a second, however slow the checkouts are; 0: the default
	RateCeiling float64 // admissions a second, however fast they are; 0: the default
	Paused      bool    // the door stands; who was admitted stays admitted
}

// WithDefaults fills in the rates that were not set.
func (s QueueSettings) WithDefaults() QueueSettings {
	if s.RateCeiling == 0 {
		s.RateCeiling = max(QueueRateCeilingDefault, s.RateFloor)
	}
	if s.RateFloor == 0 {
		s.RateFloor = min(QueueRateFloorDefault, s.RateCeiling)
	}
	return s
}

// Validate checks settings whose defaults are filled in. The error is an *Error
// with CodeInvalid that names the field. NaN is refused.
func (s QueueSettings) Validate() error {
	for _, rate := range []struct {
		field string
		value float64
	}{{"queue.rate_floor", s.RateFloor}, {"queue.rate_ceiling", s.RateCeiling}} {
		if !(rate.value >= QueueRateMin && rate.value <= QueueRateMax) {
			return Invalid(rate.field, fmt.Sprintf("must be %g–%d admissions a second", QueueRateMin, QueueRateMax))
		}
	}
	if s.RateFloor > s.RateCeiling {
		return Invalid("queue.rate_floor", "must not exceed rate_ceiling")
	}
	return nil
}

// QueueUndrawn is Queue.Drawn before the opening.
const QueueUndrawn = -1

// A Queue is the state of a sale's waiting room that its nodes share, as it
// stands inside one exchange. All times are the database's: no other clock
// decides anything about a queue.
type Queue struct {
	SaleID        string
	OpensAt       time.Time
	CanceledAt    time.Time // zero: never
	Settings      QueueSettings
	Seed          []byte    // of the draw; secret until it is drawn, see QueueDraw.Secret
	Joined        int64     // join indexes given out, over all nodes
	Drawn         int64     // how many of them take part in the draw, or QueueUndrawn
	DrawnAt       time.Time // zero: not drawn yet, or by a release that did not write it
	Draw          QueueDraw
	Epoch         int          // of the database that answers; 0: it does not tell
	Epochs        []QueueEpoch // of those that gave out join indexes, oldest first
	Door          QueueDoor
	EnteredBefore int64       // of the places below all were let in, by a release that kept no entries
	EntriesTo     int64       // of the places below it is kept who was let in; the door of a release that keeps none goes on beyond it
	Entered       []int64     // out: the places that a turn let in
	Nodes         []QueueNode // the other nodes, as they were at their last exchange
	Now           time.Time
}

// A QueueEpoch is the time of one database, or of one between two failovers: one that
// takes over without the last joins gives out their indexes again.
type QueueEpoch struct {
	Epoch int   // tells it from all others: 1…QueueEpochMax
	From  int64 // the first join index that it gave out
}

const (
	// QueueEpochMax is the largest epoch: its 16 bits are in every token.
	QueueEpochMax = 1<<16 - 1
	// queueEpochsMax bounds what is kept of a queue.
	queueEpochsMax = 32
)

// BeginEpoch notes which database gives out the indexes from now on. Call it before any is
// given out.
func (q *Queue) BeginEpoch() {
	n := len(q.Epochs)
	if q.Epoch == 0 || n > 0 && q.Epochs[n-1].Epoch == q.Epoch {
		return
	}
	q.Epochs = append(slices.Clone(q.Epochs), QueueEpoch{Epoch: q.Epoch, From: q.Joined})
	if n >= queueEpochsMax { // the first stays: tokens are numbered from it
		q.Epochs = slices.Delete(q.Epochs, 1, 2)
	}
}

// EpochNumber is what a token says of the epoch that it is of: 0 for the first one,
// which is also what tokens say that are older than all epochs.
func (q *Queue) EpochNumber() int {
	n := len(q.Epochs)
	if n == 0 {
		return 0
	}
	return q.Epochs[n-1].Epoch ^ q.Epochs[0].Epoch
}

// HasLost reports whether a join index that a database of an epoch number gave out is one
// that a later one did not know of. Then it may be somebody else's.
func (q *Queue) HasLost(epochNumber int, index int64) bool {
	if len(q.Epochs) == 0 {
		return false
	}
	of := slices.IndexFunc(q.Epochs, func(e QueueEpoch) bool { return e.Epoch^q.Epochs[0].Epoch == epochNumber })
	for _, e := range q.Epochs[max(of, 0)+1:] { // one that was itself lost counts as the first
		if index >= e.From {
			return true
		}
	}
	return false
}

// KnowsEpoch reports whether a token's epoch number is of one that is kept.
func (q *Queue) KnowsEpoch(epochNumber int) bool {
	return slices.ContainsFunc(q.Epochs, func(e QueueEpoch) bool { return e.Epoch^q.Epochs[0].Epoch == epochNumber })
}

// A QueueDoor is a watermark: who has a place below Admitted may check out.
type QueueDoor struct {
	Admitted int64     // never falls
	Entered  int64     // how many were let in who were present
	Rate     float64   // of people who are present, a second
	Credit   float64   // admissions saved up: the fraction that a turn leaves
	MovedAt  time.Time // the last turn
	CutAt    time.Time // when the rate was last cut; zero: never
	Goal     float64   // of checkouts that come, a second
	Coming   float64   // of those let in, whose checkouts are due now, a second
}

// A QueueNode is what one node knows and the others do not.
type QueueNode struct {
	Node      string
	SeenAt    time.Time
	Base      int64  // the place that the first bit of Present stands for; QueueUndrawn: none before the draw
	Present   []byte // a bit a place, lowest first: its token was heard of here
	Congested bool   // the checkouts are slow, full or refused
	Load      []byte // how its checkouts fare, as package waitingroom writes it; empty: it does not say
}

// A QueueTurn decides, inside the exchange's transaction, what becomes of a
// queue: it may draw, move the door, and returns its own node's row. It must be
// quick and ask nobody. Queue.Joined already counts the exchange's own joins,
// whose first index is given.
type QueueTurn func(q *Queue, first int64) QueueNode

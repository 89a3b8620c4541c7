package domain

import (
	"fmt"
	"slices"
	"time"
)

// Limits and defaults of a waiting room's door, in admissions a second. The default
// ceiling is twice what one node of two cores sustains
// (docs/lab/performance-notebook.md). The door finds the actual rate below it.
const (
	QueueRateMin            = 0.1
	QueueRateMax            = 10_000
	QueueRateFloorDefault   = 1
	QueueRateCeilingDefault = 200
)

// QueueSettings are the settings of a waiting room that an organiser may change.
type QueueSettings struct {
	RateFloor   float64 // admissions a second, however slow the checkouts are; 0: the default
	RateCeiling float64 // admissions a second, however fast they are; 0: the default
	Paused      bool    // the door lets nobody in; those admitted stay admitted
}

// WithDefaults fills in the rates that are not set.
func (s QueueSettings) WithDefaults() QueueSettings {
	if s.RateCeiling == 0 {
		s.RateCeiling = max(QueueRateCeilingDefault, s.RateFloor)
	}
	if s.RateFloor == 0 {
		s.RateFloor = min(QueueRateFloorDefault, s.RateCeiling)
	}
	return s
}

// Validate checks settings whose defaults are filled in, and refuses NaN. The error is an
// *Error with CodeInvalid that names the field.
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

// A Queue is the state of a sale's waiting room that its nodes share, as one exchange
// sees it. All times are the database's: no other clock decides anything about a queue.
type Queue struct {
	SaleID        string
	OpensAt       time.Time
	ClosesAt      time.Time // when the sale closes, or its organiser ended it; zero: never
	CanceledAt    time.Time // zero: never
	Settings      QueueSettings
	Seed          []byte    // of the draw; secret until it is drawn, see QueueDraw.Secret
	Joined        int64     // join indexes given out, over all nodes
	Drawn         int64     // how many of them take part in the draw, or QueueUndrawn
	DrawnAt       time.Time // zero: not drawn yet, or drawn by a release that did not write it
	Draw          QueueDraw
	Epoch         int          // of the database that answers; 0: it does not say
	Epochs        []QueueEpoch // of the databases that gave out join indexes, oldest first
	Door          QueueDoor
	EnteredBefore int64       // a release that kept no entries let in everybody below this place
	EntriesTo     int64       // entries are kept for places below this; beyond it, the door belongs to a release that keeps none
	Entered       []int64     // out: the places that this turn let in
	Nodes         []QueueNode // the other nodes, as they were at their last exchange
	Now           time.Time
}

// IsClosed reports whether the sale has closed at a time.
func (q *Queue) IsClosed(now time.Time) bool { return hasPassed(q.ClosesAt, now) }

// A QueueEpoch is the reign of one database, between two failovers. A database that takes
// over without the last joins gives out their indexes again.
type QueueEpoch struct {
	Epoch int   // differs from all others: 1…QueueEpochMax
	From  int64 // the first join index that it gave out
}

const (
	// QueueEpochMax is the largest epoch: tokens have 16 bits for it.
	QueueEpochMax = 1<<16 - 1
	// queueEpochsMax limits how many epochs a queue keeps.
	queueEpochsMax = 32
)

// BeginEpoch records which database gives out the indexes from now on. Call it before it
// gives out any.
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

// EpochNumber is what a token says about its epoch. It is 0 for the first one; tokens
// older than all epochs say 0 too.
func (q *Queue) EpochNumber() int {
	n := len(q.Epochs)
	if n == 0 {
		return 0
	}
	return q.Epochs[n-1].Epoch ^ q.Epochs[0].Epoch
}

// HasLost reports whether a later database did not know a join index that an earlier one,
// with this epoch number, gave out. That index may be somebody else's now.
func (q *Queue) HasLost(epochNumber int, index int64) bool {
	if len(q.Epochs) == 0 {
		return false
	}
	of := slices.IndexFunc(q.Epochs, func(e QueueEpoch) bool { return e.Epoch^q.Epochs[0].Epoch == epochNumber })
	for _, e := range q.Epochs[max(of, 0)+1:] { // a lost epoch counts as the first
		if index >= e.From {
			return true
		}
	}
	return false
}

// KnowsEpoch reports whether the queue still keeps the epoch with this number.
func (q *Queue) KnowsEpoch(epochNumber int) bool {
	return slices.ContainsFunc(q.Epochs, func(e QueueEpoch) bool { return e.Epoch^q.Epochs[0].Epoch == epochNumber })
}

// A QueueDoor is a watermark: everybody with a place below Admitted may check out.
type QueueDoor struct {
	Admitted int64     // never falls
	Entered  int64     // how many people let in were present
	Rate     float64   // people who are present, a second
	Credit   float64   // admissions saved up: the fraction that a turn leaves
	MovedAt  time.Time // the last turn
	CutAt    time.Time // when the rate was last cut; zero: never
	Goal     float64   // checkouts that should come, a second
	Coming   float64   // checkouts due now from those let in, a second
}

// A QueueNode is what one node knows and the others do not.
type QueueNode struct {
	Node      string
	SeenAt    time.Time
	Base      int64  // the place of Present's first bit; QueueUndrawn: none before the draw
	Present   []byte // one bit a place, lowest first: this node saw its token
	Congested bool   // the checkouts are slow, full or refused
	Load      []byte // how its checkouts do, as package waitingroom encodes it; empty: it does not say
}

// A QueueTurn decides, inside the exchange's transaction, what happens to a queue. It may
// draw, moves the door, and returns its own node's row. It must be quick and call
// nothing. Queue.Joined already counts the exchange's own joins; it gets their first
// index.
type QueueTurn func(q *Queue, first int64) QueueNode

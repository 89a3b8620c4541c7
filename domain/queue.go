package domain

import (
	"fmt"
	"time"
)

// Bounds and defaults of a waiting room's door, in admissions a second. The
// default ceiling is twice what one node of two cores sustains
// (docs/performance.md): the door finds the rate itself, below it.
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
	SaleID     string
	OpensAt    time.Time
	CanceledAt time.Time // zero: never
	Settings   QueueSettings
	Seed       []byte // of the draw; secret until it is drawn
	Joined     int64  // join indexes given out, over all nodes
	Drawn      int64  // how many of them take part in the draw, or QueueUndrawn
	Door       QueueDoor
	Nodes      []QueueNode // the other nodes, as they were at their last exchange
	Now        time.Time
}

// A QueueDoor is a watermark: who has a place below Admitted may check out.
type QueueDoor struct {
	Admitted int64     // never falls
	Rate     float64   // of people who are present, a second
	Credit   float64   // admissions saved up: the fraction that a turn leaves
	MovedAt  time.Time // the last turn
	CutAt    time.Time // when the rate was last cut; zero: never
}

// A QueueNode is what one node knows and the others do not.
type QueueNode struct {
	Node      string
	SeenAt    time.Time
	Base      int64  // the place that the first bit of Present stands for; QueueUndrawn: none before the draw
	Present   []byte // a bit a place, lowest first: its token was heard of here
	Congested bool   // its checkouts are slow, full or refused
}

// A QueueTurn decides, inside the exchange's transaction, what becomes of a
// queue: it may draw, move the door, and returns its own node's row. It must be
// quick and ask nobody. Queue.Joined already counts the exchange's own joins,
// whose first index is given.
type QueueTurn func(q *Queue, first int64) QueueNode

package waitingroom

import (
	"cmp"
	"math"
	"time"

	"boxoffice/domain"
)

// How the door behaves. docs/waiting-room.md explains why.
const (
	// TurnInterval is how often the door moves at most.
	TurnInterval = 100 * time.Millisecond
	// turnMax limits how much time one turn makes up for: after an outage nobody storms
	// in.
	turnMax = 250 * time.Millisecond
	// PresenceTimeout is how long a token counts as present after it was last heard from,
	// three times the longest RetryAfter.
	PresenceTimeout = 90 * time.Second
	// windowPlaces is how far ahead of the door nodes report who is present, and so how
	// many absent people it can pass in one turn.
	windowPlaces = 2048
	// nodeLive is how long the door waits for a node's report on places that its last one
	// did not cover.
	nodeLive = 3 * time.Second
	// congestedLife is how long a node's report that it is congested counts.
	congestedLife = time.Second

	// clockStep is how far the database's clock may be from where a node expects it, by
	// its own monotonic one, before it counts as set. After that, all rows of nodes look
	// silent until they are written again, and a door that moved would pass everybody. So
	// for restExchanges, about a second, the node leaves the door alone.
	clockStep     = time.Second
	restExchanges = 10

	// startPortion of the ceiling is the first rate.
	startPortion = 0.1
	// idleRate is what the rate decays to while it is not used, e-fold in idleTime: what
	// the engine did long ago says nothing of what it does in a crowd. The ceiling bounds
	// the first rate, not this one.
	idleRate = 20
	idleTime = 10 * time.Second
	// idleAfter no turn nobody waited.
	idleAfter = time.Second
	// doubleTime is the shortest time in which the goal doubles.
	doubleTime = 2 * time.Second
	// calmGrowth of the goal a second is added for calmTime after a cut, near where the
	// engine was found to be; then growthGain more with each second.
	calmGrowth = 0.03
	calmTime   = 10 * time.Second
	growthGain = 0.02
	// lagGrowth bounds the growth by the time until it shows: e-fold in so many times it.
	lagGrowth     = 1.0
	lagCalmGrowth = 0.8
	// idleGrowth is added where next to nothing waits, idlePressed of the operations: the
	// engine was found when it was slower.
	idlePressed   = 0.03
	idleGrowth    = 0.1
	lagIdleGrowth = 0.25
	// pressedShare of the operations may wait for the engine; where more do, the goal falls.
	pressedShare = 0.6
	// cameShare of what is due has to come for the goal to grow in proportion. Else those
	// who are let in are slow, or few of them want anything, and only creeping is safe.
	cameShare = 0.45
	// nearShare and nearFull of the goal have to come, once the engine's rate was found.
	nearShare, nearFull = 0.7, 0.85
	// paceLeast of the growth is creeping.
	paceLeast = 0.1
	// drainShare of what a congested engine does is let in, and what chance may have kept it
	// from, chanceOf standard deviations. Between cutMost and cutLeast of the goal are left by a cut: what the
	// engine does may be for other sales, or for people let in long ago.
	drainShare = 0.93
	// fewLeast checkouts a second are so few that a congested engine is let have
	// fewDrainShare of what it does: in the longest window chance moves them by more than
	// drainShare leaves free, and it also leaves the engine the pauses in which it works
	// off what waits. From fewMost on drainShare counts, in between in proportion.
	fewLeast, fewMost = 5, 20
	fewDrainShare     = 1.03
	cutMost           = 0.5
	cutLeast          = 0.97
	chanceOf          = 0.5
	// roomLeast of the goal may come, however much waits.
	roomLeast = 0.01
	// claimGrowth a second is how a door comes to its part of what sales without one take.
	claimGrowth = 0.1
	// directShare of the engine in the hands of sales without a door is much.
	directShare = 0.1
	// drainTime and half of the lag are in what time what waits for a congested engine is
	// worked off.
	drainTime = 2 * time.Second
	// cutInterval is how long a cut takes to show, in addition to the lag of those on the
	// way.
	cutInterval = time.Second
	// lagLeast is from the door's move to the checkout of who comes at once.
	lagLeast = time.Second
	// lagMost limits how long people are believed to take.
	lagMost = 2 * time.Minute
	// Fewer than absentLeast who never come are noise.
	absentLeast = 0.1
	absentMost  = 0.7
	// drainGain is how much the rate is below the goal, where more are due than that.
	drainGain = 4
)

// draw ends the wait for the opening: everybody who had joined before this exchange takes
// part. It reports whether it did so now.
func draw(q *domain.Queue, first int64) bool {
	if q.Drawn != domain.QueueUndrawn || q.Now.Before(q.OpensAt) {
		return false
	}
	q.Drawn, q.DrawnAt = first, q.Now
	q.Door.MovedAt = q.Now
	return true
}

// isOpen reports whether the door lets people in, and some wait for it.
func isOpen(q *domain.Queue, seats bool) bool { return mayOpen(q, seats) && q.Door.Admitted < q.Joined }

// mayOpen reports whether the door would let people in.
func mayOpen(q *domain.Queue, seats bool) bool {
	return q.Drawn != domain.QueueUndrawn && !q.Settings.Paused && q.CanceledAt.IsZero() && !q.IsClosed(q.Now) && seats
}

// moveDoor is one turn. own is the row of the node that makes it; part is what
// this sale has of the engine, see part; seats says whether the ledger has any, e whom it may let
// in; it keeps whom it did.
func moveDoor(q *domain.Queue, own *domain.QueueNode, part float64, direct bool, seats bool, e *entering) (turned bool) {
	d := &q.Door
	passed := age(q.Now, d.MovedAt)
	if !isOpen(q, seats) && (len(e.late) == 0 || !mayOpen(q, seats)) || passed < TurnInterval {
		return false
	}
	nodes := append(others(q, own.Node), *own)
	limit, covered := coverage(q, nodes)
	if !covered {
		return false
	}
	d.MovedAt = q.Now
	all, old := words(nodes, q.Now)
	engine := engineOf(&all, old, part)
	engine.direct = direct
	engine.idle = rest(d, &q.Settings, passed, engine.lag)
	passed = min(passed, turnMax)
	adapt(q, &engine, passed)
	d.Credit = min(d.Credit+d.Rate*passed.Seconds(), 1+d.Rate*turnMax.Seconds())
	before := d.Entered
	known := silenceSays(nodes, q.Now)
	e.enter(d, limit, func(place int64) bool { return place >= known || isPresent(nodes, place) })
	d.Coming = d.Coming*math.Exp(-passed.Seconds()/engine.lag.Seconds()) + float64(d.Entered-before)/engine.lag.Seconds()
	return true
}

// rest lets the rate decay if the last turn let in all who waited, or if there was none:
// the rate was more than is used.
func rest(d *domain.QueueDoor, s *domain.QueueSettings, passed, lag time.Duration) (idle bool) {
	idle = d.Credit >= 1 || passed > idleAfter
	least := min(s.RateCeiling*startPortion, idleRate)
	if idle && d.Goal > least {
		d.Goal = least + (d.Goal-least)*math.Exp(-passed.Seconds()/idleTime.Seconds())
	}
	if missed := passed - turnMax; missed > 0 {
		d.Coming *= math.Exp(-missed.Seconds() / lag.Seconds())
	}
	return idle
}

// An engineState is what all nodes together say about the engine, and this sale's share
// of it.
type engineState struct {
	idle      bool          // the door let in all who waited
	direct    bool          // sales without a door have much of it
	congested bool          // the checkouts are more than it can do
	pressed   float64       // the share of the operations that wait for it
	perSecond float64       // checkouts that it does for this sale, where all have equal parts
	over      time.Duration // by what it did in so long
	drain     float64       // the share of what it does that is let in while it is congested
	backlog   float64       // checkouts of this sale that wait for it (Little's law)
	absent    float64       // the share of those let in who never come
	lag       time.Duration // from the door to the checkout, on average
}

func engineOf(all *word, old bool, part float64) engineState {
	perSecond, over := all.perSecond()
	e := engineState{
		congested: all.congested() || old, pressed: all.pressed(), absent: all.let.absent(), lag: lagLeast,
		perSecond: part * perSecond, over: over, drain: drainOf(perSecond), backlog: part * perSecond * all.waits().Seconds(),
	}
	if all.opensCongested() {
		// The provider is part of the engine of its sales, and the slower one.
		opened, over := all.opensPerSecond()
		e.congested, e.perSecond, e.over = true, min(e.perSecond, opened), over
		e.drain = drainOf(e.perSecond)
	}
	if n := all.came.people; n > 0 {
		e.lag = min(max(time.Duration(float64(all.came.after)/n), lagLeast), lagMost)
	}
	return e
}

// drainOf is what share of what a congested engine does is let in.
func drainOf(perSecond float64) float64 {
	many := min(max((perSecond-fewLeast)/(fewMost-fewLeast), 0), 1)
	return fewDrainShare - (fewDrainShare-drainShare)*many
}

// adapt finds what the engine sustains and stays close below. It steers what comes, the
// goal, and not what is let in: who is let in comes later, and what is on the way is
// counted.
func adapt(q *domain.Queue, e *engineState, passed time.Duration) {
	d, s := &q.Door, q.Settings
	first := s.RateCeiling * startPortion
	sinceCut := age(q.Now, d.CutAt)
	if d.Goal == 0 {
		d.Goal = cmp.Or(d.Rate, first)
	}
	come := 1 - e.absent
	switch {
	case !e.congested && e.idle:
	case !e.congested:
		d.Goal *= math.Exp(pace(d, e, first) * growth(sinceCut, e) * passed.Seconds())
	case sinceCut >= cutInterval && d.Goal > e.drain*e.perSecond:
		likely := e.perSecond + chanceOf*math.Sqrt(d.Goal/e.over.Seconds())
		d.Goal = min(max(e.drain*likely, cutMost*d.Goal), cutLeast*d.Goal)
		d.CutAt = q.Now
	case sinceCut >= cutInterval+e.lag/2 && !e.direct:
		d.Goal *= cutLeast
		d.CutAt = q.Now
	}
	if own := drainShare * e.perSecond; e.direct && d.Goal < own {
		// What others take without a door must not shut this one.
		d.Goal = min(d.Goal*math.Exp(claimGrowth*passed.Seconds()), own)
	}
	d.Goal = min(max(d.Goal, s.RateFloor), s.RateCeiling)
	d.Rate = d.Goal / come
	room := d.Goal
	if e.congested && !e.direct { // what waits there already is worked off
		room = max(d.Goal-e.backlog/(drainTime+e.lag/2).Seconds(), roomLeast*d.Goal)
		d.Rate *= room / d.Goal
	}
	if over := come*d.Coming/room - 1; over > 0 {
		d.Rate *= max(0, 1-drainGain*over)
	}
	d.Rate = min(max(d.Rate, s.RateFloor), s.RateCeiling)
}

// pace is the part of the growth that arrivals allow: a goal that is not reached yet is
// not known to be too low.
func pace(d *domain.QueueDoor, e *engineState, first float64) float64 {
	if d.CutAt.IsZero() {
		share := min(max(e.perSecond, first)/d.Goal, 1)
		return max(paceLeast, (share-cameShare)/(1-cameShare))
	}
	return min(max(paceLeast, (e.perSecond/d.Goal-nearShare)/(nearFull-nearShare)), 1)
}

// growth of the goal a second, as an exponent: the most until the engine is pressed
// (slow start), and again long after a cut; less than nothing where many wait for it.
func growth(sinceCut time.Duration, e *engineState) float64 {
	calm := min(calmGrowth, lagCalmGrowth/e.lag.Seconds())
	free := 1 - e.pressed/pressedShare
	if free < 0 {
		return max(free, -1) * calm
	}
	fast := min(math.Ln2/doubleTime.Seconds(), lagGrowth/e.lag.Seconds(), calm+growthGain*max(0, sinceCut-calmTime).Seconds())
	if e.pressed < idlePressed {
		fast = max(fast, min(idleGrowth, lagIdleGrowth/e.lag.Seconds()))
	}
	return free * free * max(fast, calm)
}

// others are the rows that still mean something.
func others(q *domain.Queue, own string) []domain.QueueNode {
	nodes := make([]domain.QueueNode, 0, len(q.Nodes)+1)
	for _, n := range q.Nodes {
		if n.Node != own && age(q.Now, n.SeenAt) <= PresenceTimeout {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// age is how long ago something was written, by the database's clock. Something from its
// future is from before the clock was set back, and is no fresher for that: waiting until
// the clock gets there would shut the door, and keep a dead node's report, for as long.
func age(now, then time.Time) time.Duration { return now.Sub(then).Abs() }

// coverage is the place up to which all live nodes have reported who is present; not
// covered: one has not reported since the draw. Without this limit the door would pass
// people whom only a slower node knows.
func coverage(q *domain.Queue, nodes []domain.QueueNode) (limit int64, covered bool) {
	limit = q.Joined
	for _, n := range nodes {
		if age(q.Now, n.SeenAt) > nodeLive {
			continue
		}
		if n.Base == domain.QueueUndrawn {
			return 0, false
		}
		limit = min(limit, n.Base+windowPlaces)
	}
	return limit, true
}

// silenceSays is the place below which people not heard from have left. Beyond it silence
// says nothing: no live node has listened for as long as people may be silent, or a node
// that listened is gone with what it heard about places that its last report did not
// cover.
func silenceSays(nodes []domain.QueueNode, now time.Time) (below int64) {
	below = math.MaxInt64
	listened := false
	for i := range nodes {
		n := &nodes[i]
		switch {
		case age(now, n.SeenAt) <= nodeLive:
			w, ok := readWord(n.Load)
			listened = listened || !ok || w.listened // an old release does not say
		case n.Base == domain.QueueUndrawn:
			below = 0
		default:
			below = min(below, n.Base+windowPlaces)
		}
	}
	if !listened {
		return 0
	}
	return below
}

func isPresent(nodes []domain.QueueNode, place int64) bool {
	for i := range nodes {
		bit := place - nodes[i].Base
		if nodes[i].Base >= 0 && bit >= 0 && bit>>3 < int64(len(nodes[i].Present)) && nodes[i].Present[bit>>3]&(1<<(bit&7)) != 0 {
			return true
		}
	}
	return false
}

package waitingroom

import (
	"math"
	"time"

	"boxoffice/domain"
)

// How the door behaves. docs/waiting-room.md says why.
const (
	// TurnInterval is how often the door moves at most.
	TurnInterval = 100 * time.Millisecond
	// turnMax bounds what one turn makes up for: after an outage nobody storms in.
	turnMax = 250 * time.Millisecond
	// PresenceTimeout is how long a token counts as present after it was heard of,
	// three times the longest RetryAfter.
	PresenceTimeout = 90 * time.Second
	// windowPlaces is how far ahead of the door nodes say who is present, and so how
	// many leavers it can pass in one turn.
	windowPlaces = 2048
	// nodeLive is how long the door waits for a node's word on places that its last
	// one did not cover.
	nodeLive = 3 * time.Second
	// congestedLife is how long a node's word that it is congested is heeded.
	congestedLife = time.Second

	// clockStep is how far the database's clock may be from where a node expects it,
	// by its own monotonic one, until it counts as set. After that all rows of nodes
	// look silent until they are written again, and a door that moved would pass
	// everybody: for restExchanges, about a second, the node leaves it where it is.
	clockStep     = time.Second
	restExchanges = 10

	// startPortion of the ceiling is the first rate.
	startPortion = 0.1
	// doubleTime is how fast the rate doubles at most.
	doubleTime = 2 * time.Second
	// calmGrowth of the rate a second is added for calmTime after a cut, near where the
	// engine was found to be; then growthGain more with each second.
	calmGrowth = 0.03
	calmTime   = 10 * time.Second
	growthGain = 0.02
	// cameShare of the rate has to come for it to grow in proportion. Else those who
	// are let in are slow, or few of them want anything, and only creeping is safe.
	cameShare = 0.5
	// creepTime is how long creeping takes from nothing to the ceiling.
	creepTime = 500 * time.Second
	// drainShare of what a congested engine does is let in, so that what waits for it
	// becomes less. Between cutMost and cutLeast of the rate are left by a cut: what the
	// engine does may be for other sales, or for people let in long ago.
	drainShare = 0.8
	cutMost    = 0.5
	cutLeast   = 0.97
	// cutInterval is how long a cut takes to show.
	cutInterval = time.Second
)

// draw ends the waiting for the opening: who had joined before this exchange
// takes part. It reports whether it was now.
func draw(q *domain.Queue, first int64) bool {
	if q.Drawn != domain.QueueUndrawn || q.Now.Before(q.OpensAt) {
		return false
	}
	q.Drawn, q.DrawnAt = first, q.Now
	q.Door.MovedAt = q.Now
	return true
}

// isOpen reports whether the door lets people in, and some wait for it.
func isOpen(q *domain.Queue, seats bool) bool {
	return q.Drawn != domain.QueueUndrawn && !q.Settings.Paused && q.CanceledAt.IsZero() && seats && q.Door.Admitted < q.Joined
}

// moveDoor is one turn. own is the row of the node that makes it; checkouts is this
// sale's part of how they fare there; seats says whether the ledger has any, people how
// many may be let in, see room.mayEnter.
func moveDoor(q *domain.Queue, own *domain.QueueNode, checkouts engineState, seats bool, people int64) (turned bool) {
	d := &q.Door
	passed := age(q.Now, d.MovedAt)
	if !isOpen(q, seats) || passed < TurnInterval {
		return false
	}
	nodes := append(others(q, own.Node), *own)
	limit, covered := coverage(q, nodes)
	if !covered {
		return false
	}
	passed = min(passed, turnMax)
	d.MovedAt = q.Now
	adapt(q, nodes, checkouts, passed)
	d.Credit = min(d.Credit+d.Rate*passed.Seconds(), max(1, d.Rate*turnMax.Seconds()))
	for d.Admitted < limit {
		if isPresent(nodes, d.Admitted) {
			if d.Credit < 1 || people < 1 {
				break
			}
			d.Credit--
			d.Entered++
			people--
		}
		d.Admitted++
	}
	return true
}

// adapt finds the rate that the engine sustains and stays close below. What this node
// does, times the number of nodes, is what the engine does, right on average because
// all of them turn the door alike.
func adapt(q *domain.Queue, nodes []domain.QueueNode, checkouts engineState, passed time.Duration) {
	d, s := &q.Door, q.Settings
	first := s.RateCeiling * startPortion
	came := checkouts.perSecond * float64(live(nodes, q.Now))
	sinceCut := age(q.Now, d.CutAt)
	switch {
	case d.Rate == 0:
		d.Rate = first
	case !congested(nodes, q.Now):
		share := min((came+first)/d.Rate, 1)
		pace := max(0, share-cameShare) / (1 - cameShare)
		d.Rate += s.RateCeiling * passed.Seconds() / creepTime.Seconds()
		d.Rate *= math.Exp(pace * growth(sinceCut, checkouts.pressed) * passed.Seconds())
	case sinceCut >= cutInterval:
		d.Rate = min(max(drainShare*came, cutMost*d.Rate), cutLeast*d.Rate)
		d.CutAt = q.Now
	}
	d.Rate = min(max(d.Rate, s.RateFloor), s.RateCeiling)
}

// growth of the rate a second, as an exponent: the most until the engine is pressed
// (slow start), and again long after a cut.
func growth(sinceCut time.Duration, pressed bool) float64 {
	if pressed {
		return calmGrowth
	}
	return min(math.Ln2/doubleTime.Seconds(), calmGrowth+growthGain*max(0, sinceCut-calmTime).Seconds())
}

// live counts the nodes that exchange.
func live(nodes []domain.QueueNode, now time.Time) (n int) {
	for _, node := range nodes {
		if age(now, node.SeenAt) <= nodeLive {
			n++
		}
	}
	return n
}

func congested(nodes []domain.QueueNode, now time.Time) bool {
	for _, n := range nodes {
		if n.Congested && age(now, n.SeenAt) <= congestedLife {
			return true
		}
	}
	return false
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

// age is how long ago something was written, by the database's clock. What is from
// its future is from before it was set back, and no fresher for it: waiting until
// the clock gets there would shut the door, and keep a dead node's word, for as long.
func age(now, then time.Time) time.Duration { return now.Sub(then).Abs() }

// coverage is the place up to which all live nodes have said who is present;
// not covered: one has yet to say anything after the draw. Without the bound the
// door would pass people of whom only a slower node knows.
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

func isPresent(nodes []domain.QueueNode, place int64) bool {
	for i := range nodes {
		bit := place - nodes[i].Base
		if nodes[i].Base >= 0 && bit >= 0 && bit>>3 < int64(len(nodes[i].Present)) && nodes[i].Present[bit>>3]&(1<<(bit&7)) != 0 {
			return true
		}
	}
	return false
}

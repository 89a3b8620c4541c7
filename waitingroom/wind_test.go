package waitingroom

import (
	"context"
	"math"
	"testing"
	"time"

	"boxoffice/domain"
)

// After ten minutes in which hardly anybody came, a crowd finds the door's rate near its
// first one, whatever the ceiling allows.
func TestTheRateDecaysToWhatIsUsed(t *testing.T) {
	const quiet, capacity, soon = 10 * time.Minute, 190, 2
	for _, ceiling := range []float64{200, 2000, 10_000} {
		sale := &simulatedSale{joins: 3, settings: domain.QueueSettings{RateCeiling: ceiling}}
		s := &simulation{
			seed: 1, nodes: oneNode, base: 15 * time.Millisecond, forTime: quiet + 40*time.Second,
			capacity: always(capacity), sales: []*simulatedSale{sale},
		}
		var before, after int64
		s.after(0, quiet, func() {
			before = sale.q.Door.Admitted
			for range 30_000 {
				place := sale.q.Joined
				sale.q.Joined++
				first := quiet + time.Duration(s.random.Float64()*2*float64(time.Second))
				s.after(0, first, func() { s.poll(first, sale, place) })
			}
		})
		s.after(0, quiet+soon*time.Second, func() { after = sale.q.Door.Admitted })
		s.run()
		t.Logf("ceiling %.0f: %d let in within %d s of the crowd, the engine does %d; webhooks p90 %v",
			ceiling, after-before, soon, soon*capacity, s.webhook(0.9, quiet, s.forTime).Round(time.Millisecond))
		if n := after - before; n > soon*capacity || n < soon*idleRate/2 {
			t.Errorf("ceiling %.0f: %d let in within %d s, want %d–%d", ceiling, n, soon, soon*idleRate/2, soon*capacity)
		}
	}
}

// The rate decays while nobody waits as well as while a few do.
func TestTheRateDecaysWhileNobodyWaits(t *testing.T) {
	d := domain.QueueDoor{Goal: 5000, Coming: 100}
	set := domain.QueueSettings{RateCeiling: 10_000}
	rest(&d, &set, time.Minute, 2*time.Second)
	if d.Goal > 2*idleRate || d.Coming > 1 {
		t.Errorf("%+v after a minute, want a goal near %d and nobody on the way", d, idleRate)
	}
	d = domain.QueueDoor{Goal: 3, Credit: 1}
	rest(&d, &set, time.Hour, time.Second)
	if d.Goal != 3 {
		t.Errorf("a goal below is %.1f, want 3", d.Goal)
	}
}

// People wait while all nodes restart, or one of two dies, so that nobody hears them
// meanwhile. The door passes nobody.
func TestSilenceSaysNothingAfterARestart(t *testing.T) {
	for _, c := range []struct {
		name string
		away time.Duration // until the new node's first exchange
		also bool          // another node has listened all the time
		want bool          // people whom no node has heard count as gone
	}{
		{"at once", time.Second, false, false},
		{"after minutes", 10 * time.Minute, false, false},
		{"one of two died", 4 * time.Second, true, false},
		{"one of two died, long ago", PresenceTimeout + time.Second, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newMemory(0)
			store.q.Settings = domain.QueueSettings{RateFloor: 1, RateCeiling: 200}
			died, _ := sitting(t, store, 20_000)
			other := newNode(t, store, "b", free)
			other.ages(time.Hour)
			if c.also {
				other.tick()
			}
			died.tick()
			store.pass(c.away)
			after := newNode(t, store, "c", free)
			if c.also {
				after = other
				after.ages(c.away)
			}
			before := store.q.Door.Admitted
			for range 20 {
				after.tick()
				store.pass(100 * time.Millisecond)
			}
			passed := store.q.Door.Admitted - before
			t.Logf("%d passed within two seconds", passed)
			if gone := passed > 3000; gone != c.want {
				t.Errorf("%d passed within two seconds at 20 a second", passed)
			}
		})
	}
}

// A poll that is answered 503 still counts as a sign of life.
func TestARefusedPollIsASignOfLife(t *testing.T) {
	store := newMemory(0)
	_, tokens := sitting(t, store, 10)
	n := newNode(t, store, "b", free) // it has not heard from the database yet
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it would wait a second for it
	if _, err := n.Place(ctx, tokens[3]); err == nil {
		t.Fatal("it knows the place")
	}
	c, _ := verify(n.o.Keys, tokens[3])
	if !n.of.present(c.index, n.mono()) {
		t.Error("it was not heard")
	}
}

// A sale without a waiting room gets checkouts at a fixed rate, from people who give up
// when refused. It gets what it needs up to an equal part, and the sale with a door gets
// the rest.
func TestASaleWithoutARoomLeavesTheOthersTheirPart(t *testing.T) {
	const from, settled = 60 * time.Second, 120 * time.Second
	for _, c := range []struct{ capacity, offered, least float64 }{
		{95, 20, 0.6}, {95, 95, 0.35}, {95, 300, 0.35},
	} {
		for _, nodes := range []int{1, 3} {
			sale, other := &simulatedSale{settings: domain.QueueSettings{RateCeiling: 4 * c.capacity}}, &simulatedSale{direct: true}
			s := &simulation{
				seed: 1, nodes: func(time.Duration) int { return nodes }, base: 15 * time.Millisecond, forTime: 180 * time.Second,
				capacity: always(c.capacity), sales: []*simulatedSale{sale},
			}
			var come func(now time.Duration)
			come = func(now time.Duration) {
				if n := s.at[s.random.IntN(nodes)]; n.inFlight < simulatedSlots {
					s.checkoutAt(now, other, n)
				} else {
					n.meter.Refused(now)
				}
				next := time.Duration(s.random.ExpFloat64() / c.offered * float64(time.Second))
				s.after(now, next, func() { come(now + next) })
			}
			s.after(0, from, func() { come(from) })
			s.run()
			share, others := sale.paid.perSecond(settled, s.forTime)/c.capacity, other.paid.perSecond(settled, s.forTime)/c.capacity
			t.Logf("engine %.0f/s, %d nodes, %.0f/s without a door: the sale with a door has %.0f%%, the other %.0f%%; webhooks p90 %v",
				c.capacity, nodes, c.offered, 100*share, 100*others, s.webhook(0.9, settled, s.forTime).Round(time.Millisecond))
			if share < c.least {
				t.Errorf("want at least %.0f%%", 100*c.least)
			}
		}
	}
}

func TestThePartOfADoor(t *testing.T) {
	for _, c := range []struct {
		direct []float64
		doors  int
		want   float64
	}{
		{nil, 1, 1}, {nil, 4, 0.25}, {nil, 0, 1}, {[]float64{0.05}, 1, 0.95}, {[]float64{0.99}, 1, 0.5},
		{[]float64{0.9, 0.1}, 1, 0.45}, {[]float64{0.3, 0.3, 0.4}, 1, 0.25}, {[]float64{0.9}, 2, 1. / 3},
	} {
		if got := part(c.direct, c.doors); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v beside %d doors: %v, want %v", c.direct, c.doors, got, c.want)
		}
	}
}

package waitingroom

import (
	"fmt"
	"os"
	"testing"
	"time"

	"boxoffice/domain"
)

// A cell is one row of the table in docs/waiting-room.md.
type cell struct {
	capacity float64
	shape    string // "" always the same; "step" to a third and back; "ramp" from two fifths up
	think    time.Duration
	nodes    int
	tail     float64 // of the operations take 200 ms longer

	share float64       // at least, of the capacity, once 80 % of it were reached
	p90   time.Duration // at most, of webhooks, from then on
}

// figures are what a cell shows.
type figures struct {
	share     float64
	p90       time.Duration
	within    time.Duration // until 80 % of the capacity
	overshoot float64       // the most that came in five seconds, of the capacity
}

func (c cell) at(now, end time.Duration) float64 {
	switch {
	case c.shape == "step" && now >= end/3 && now < end*2/3:
		return c.capacity / 3
	case c.shape == "ramp":
		return c.capacity * min(0.4+0.6*now.Seconds()/(end/2).Seconds(), 1)
	}
	return c.capacity
}

func (c cell) run(seed uint64) (f figures) {
	end := 60*time.Second + 3*c.think
	if c.shape != "" {
		end = 3 * (40*time.Second + 2*c.think)
	}
	ceiling := min(max(4*c.capacity, domain.QueueRateMin), domain.QueueRateMax)
	if c.capacity == 95 {
		ceiling = domain.QueueRateCeilingDefault
	}
	s := &simulation{
		seed: seed, base: 15 * time.Millisecond, forTime: end, tail: c.tail, tailTook: 200 * time.Millisecond,
		capacity: func(now time.Duration) float64 { return c.at(now, end) }, nodes: func(time.Duration) int { return c.nodes },
		sales: []*simulatedSale{{think: c.think, settings: domain.QueueSettings{RateCeiling: ceiling}}},
	}
	s.run()
	f.within = s.reached(0.8*c.at(0, end), 0)
	from := max(10*time.Second, min(f.within, end/2))
	const step = 5 * time.Second
	could, did := 0.0, 0
	came := make([]int, end/step+1)
	for _, at := range s.asked {
		came[at/step]++
	}
	for at := from; at < end; at += time.Second {
		could += c.at(at, end)
	}
	for _, at := range s.paid {
		if at >= from && at < end {
			did++
		}
	}
	for i, n := range came {
		f.overshoot = max(f.overshoot, float64(n)/step.Seconds()/c.at(time.Duration(i)*step, end))
	}
	f.share, f.p90 = float64(did)/could, s.webhook(0.9, from, end)
	return f
}

func (c cell) String() string {
	name := fmt.Sprintf("%.0f", c.capacity)
	switch c.shape {
	case "step":
		name += ", to a third and back"
	case "ramp":
		name = fmt.Sprintf("%.0f, growing to %.0f", 0.4*c.capacity, c.capacity)
	}
	return fmt.Sprintf("%s | %.0f s | %d | %.0f %%", name, c.think.Seconds(), c.nodes, 100*c.tail)
}

// TestTheTableOfTheDoor holds the table in docs/waiting-room.md, and prints it.
// BOXOFFICE_DOOR_SWEEP=1 runs each combination, which takes minutes.
func TestTheTableOfTheDoor(t *testing.T) {
	const second, ms = time.Second, time.Millisecond
	cells := []cell{
		{5, "", 0, 1, 0, 0.65, 1500 * ms},
		{5, "", 20 * second, 3, 0.05, 0.6, 2500 * ms},
		{20, "", 0, 1, 0, 0.8, 350 * ms},
		{20, "", 20 * second, 3, 0.05, 0.78, 900 * ms},
		{20, "", 60 * second, 20, 0, 0.75, 2000 * ms},
		{95, "", 0, 1, 0, 0.84, 250 * ms},
		{95, "", 0, 1, 0.05, 0.83, 250 * ms},
		{95, "", 0, 3, 0.03, 0.83, 250 * ms},
		{95, "", 0, 20, 0.1, 0.82, 300 * ms},
		{95, "", 5 * second, 3, 0, 0.83, 250 * ms},
		{95, "", 20 * second, 3, 0, 0.83, 450 * ms},
		{95, "", 30 * second, 3, 0, 0.83, 250 * ms},
		{95, "", 60 * second, 3, 0.05, 0.83, 250 * ms},
		{95, "", 120 * second, 20, 0, 0.82, 250 * ms},
		{500, "", 0, 1, 0.05, 0.88, 250 * ms},
		{500, "", 0, 20, 0, 0.88, 250 * ms},
		{500, "", 20 * second, 3, 0, 0.85, 450 * ms},
		{2000, "", 0, 3, 0.03, 0.88, 250 * ms},
		{95, "step", 0, 3, 0, 0.75, 400 * ms},
		{95, "ramp", 0, 3, 0, 0.82, 250 * ms},
		{95, "step", 20 * second, 3, 0, 0.65, 4000 * ms},
		{95, "ramp", 20 * second, 3, 0, 0.8, 350 * ms},
	}
	sweep := os.Getenv("BOXOFFICE_DOOR_SWEEP") != ""
	if sweep {
		cells = nil
		for _, capacity := range []float64{5, 20, 95, 500, 2000} {
			for _, think := range []time.Duration{0, 20 * second, 60 * second, 120 * second} {
				for _, nodes := range []int{1, 3, 20} {
					for _, tail := range []float64{0, 0.05} {
						if capacity*think.Seconds() <= 20_000 {
							cells = append(cells, cell{capacity: capacity, think: think, nodes: nodes, tail: tail, p90: time.Hour})
						}
					}
				}
			}
		}
	}
	for _, c := range cells {
		f := c.run(1)
		t.Logf("| %v | %.0f %% | %d ms | %.0f s | %.2f |", c, 100*f.share, f.p90.Milliseconds(), f.within.Seconds(), f.overshoot)
		if f.share < c.share || f.p90 > c.p90 {
			t.Errorf("want at least %.0f %%, webhooks p90 %v at most", 100*c.share, c.p90)
		}
	}
}

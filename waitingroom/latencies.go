package waitingroom

import (
	"math"
	"time"
)

// Latencies are a histogram. The first bin is everything up to a millisecond; every eight
// more bins double the time.
type Latencies [latencyBins]uint32

const (
	latencyBins    = 8*14 + 2
	binsOfDoubling = 8
)

// Add counts one.
func (h *Latencies) Add(took time.Duration) { h[binOf(took)]++ }

// AddAll adds another histogram.
func (h *Latencies) AddAll(other *Latencies) {
	for i, n := range other {
		h[i] += n
	}
}

// Count is how many there are.
func (h *Latencies) Count() (n int) { return h.from(0) }

// Above is how many took longer, to within a bin.
func (h *Latencies) Above(took time.Duration) int { return h.from(binOf(took) + 1) }

// beyond is by how much all that took longer than a time exceeded base, in total.
func (h *Latencies) beyond(above, base time.Duration) (sum time.Duration) {
	for i := binOf(above) + 1; i < len(h); i++ {
		if n := h[i]; n > 0 {
			sum += time.Duration(n) * (endOf(i) - base)
		}
	}
	return sum
}

func endOf(bin int) time.Duration {
	return time.Duration(math.Exp2(float64(bin)/binsOfDoubling) * float64(time.Millisecond))
}

func (h *Latencies) from(bin int) (n int) {
	for _, count := range h[min(bin, len(h)):] {
		n += int(count)
	}
	return n
}

// Median is the end of the middle one's bin; 0 if there are none.
func (h *Latencies) Median() time.Duration {
	middle := (h.Count() + 1) / 2
	if middle == 0 {
		return 0
	}
	for i, n := range h {
		if middle -= int(n); middle <= 0 {
			return endOf(i)
		}
	}
	return 0
}

func binOf(took time.Duration) int {
	if took <= time.Millisecond {
		return 0
	}
	return min(int(math.Ceil(math.Log2(float64(took)/float64(time.Millisecond))*binsOfDoubling)), latencyBins-1)
}

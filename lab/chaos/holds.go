package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"boxoffice/client"
)

// holds notes how long buyers wait for their seats, and how often they have to ask again. nil notes nothing.
type holds struct {
	mu   sync.Mutex
	list []holdTaken
}

// A holdTaken is what became of one buyer's wish to hold seats, with all its repeats.
type holdTaken struct {
	asked, answered time.Time
	err             error // of the last answer
	overloaded      int   // answers before it: certainly not sent, come again
	unknown         int   // answers before it, or none in time: it may be in the books
}

// again notes an answer that is not the last.
func (h *holdTaken) again(err error) {
	switch {
	case client.IsDefinite(err):
	case client.CodeOf(err) == "overloaded":
		h.overloaded++
	default:
		h.unknown++
	}
}

func (h *holds) add(one holdTaken) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, one)
}

// within are those that were asked for, or under way, between two moments.
func (h *holds) within(from, to time.Time) []holdTaken {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.list), func(one holdTaken) bool { return one.answered.Before(from) || one.asked.After(to) })
}

// An effect is what buyers noticed between two moments.
type effect struct {
	Held       int     `json:"held"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
	Silence    float64 `json:"longest_without_a_hold_ms"`
	Refused    int     `json:"refused"` // for good, such as sold out
	Overloaded int     `json:"asked_again_overloaded"`
	Unknown    int     `json:"asked_again_unknown"`
	GaveUp     int     `json:"gave_up"`
}

// effectOf sums up what was asked between two moments. Those who gave up are those whom nobody answered for longer than a buyer
// waits.
func effectOf(list []holdTaken, from, to time.Time) effect {
	var e effect
	var took []time.Duration
	moments := []time.Time{from, to}
	for _, one := range list {
		e.Overloaded += one.overloaded
		e.Unknown += one.unknown
		switch {
		case one.err == nil:
			took = append(took, one.answered.Sub(one.asked))
			if one.answered.After(from) && one.answered.Before(to) {
				moments = append(moments, one.answered)
			}
		case client.IsDefinite(one.err):
			e.Refused++
		default:
			e.GaveUp++
		}
	}
	e.Held = len(took)
	slices.Sort(took)
	e.P50, e.P99, e.Max = milliseconds(quantile(took, 0.5)), milliseconds(quantile(took, 0.99)), milliseconds(quantile(took, 1))
	slices.SortFunc(moments, time.Time.Compare)
	for i := 1; i < len(moments); i++ {
		e.Silence = max(e.Silence, milliseconds(moments[i].Sub(moments[i-1])))
	}
	return e
}

// quantile is the smallest value that at least this share is not above.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	n := int(share * float64(len(sorted)))
	if float64(n) < share*float64(len(sorted)) {
		n++
	}
	return sorted[max(n, 1)-1]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// heldBetween counts seats that were asked for and held between two moments.
func heldBetween(list []holdTaken, from, to time.Time) (n int) {
	for _, one := range list {
		if one.err == nil && one.asked.After(from) && one.answered.Before(to) {
			n++
		}
	}
	return n
}

// askedBetween counts those who asked for seats between two moments, whatever became of it.
func askedBetween(list []holdTaken, from, to time.Time) (n int) {
	for _, one := range list {
		if one.asked.After(from) && one.asked.Before(to) {
			n++
		}
	}
	return n
}

// inWords is a time as people say it.
func inWords(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.0f s", ms/1000)
	case ms >= 1000:
		return fmt.Sprintf("%.1f s", ms/1000)
	default:
		return fmt.Sprintf("%.0f ms", ms)
	}
}

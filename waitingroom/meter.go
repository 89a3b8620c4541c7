package waitingroom

import (
	"sync"
	"time"
)

const (
	meterStep    = 100 * time.Millisecond
	meterBuckets = int(8*time.Second/meterStep) + 1
)

// A Meter counts what a node's checkouts do, in LoadWindows. It is safe for
// concurrent use; the zero value has counted nothing. Times are since any moment, as
// long as it is the same.
type Meter struct {
	mu      sync.Mutex
	newest  int64 // the bucket that counts now
	buckets [meterBuckets]LoadWindow
	sums    [len(LoadWindows)]LoadWindow
}

// Held counts a verdict on a hold, or the time after which one was given up.
func (m *Meter) Held(now, took time.Duration, verdict bool) {
	m.count(now, func(w *LoadWindow) {
		w.Holds.Add(took)
		if verdict {
			w.Verdicts++
		}
	})
}

// Webhook counts the answer to one.
func (m *Meter) Webhook(now, took time.Duration) {
	m.count(now, func(w *LoadWindow) { w.Webhooks.Add(took) })
}

// Refused counts an answer overloaded or unknown.
func (m *Meter) Refused(now time.Duration) { m.count(now, func(w *LoadWindow) { w.Refused++ }) }

func (m *Meter) count(now time.Duration, one func(*LoadWindow)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	one(&m.buckets[m.newest%int64(meterBuckets)])
	for i := range m.sums {
		one(&m.sums[i])
	}
}

// Windows are the counts of each.
func (m *Meter) Windows(now time.Duration) [len(LoadWindows)]LoadWindow {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	return m.sums
}

// turn takes what is over from the windows. A time before the newest counts as now.
func (m *Meter) turn(now time.Duration) {
	at := int64(now / meterStep)
	if at-m.newest >= int64(meterBuckets) {
		m.buckets, m.sums = [meterBuckets]LoadWindow{}, [len(LoadWindows)]LoadWindow{}
		m.newest = at
	}
	for m.newest < at {
		m.newest++
		for i, window := range LoadWindows {
			if gone := m.newest - int64(window/meterStep); gone >= 0 {
				m.sums[i].subtract(&m.buckets[gone%int64(meterBuckets)])
			}
		}
		m.buckets[m.newest%int64(meterBuckets)] = LoadWindow{}
	}
}

func (w *LoadWindow) subtract(other *LoadWindow) {
	for i := range w.Holds {
		w.Holds[i] -= other.Holds[i]
		w.Webhooks[i] -= other.Webhooks[i]
	}
	w.Verdicts -= other.Verdicts
	w.Refused -= other.Refused
}

package waitingroom

import (
	"math"
	"sync"
	"time"
)

const (
	meterStep    = 100 * time.Millisecond
	meterBuckets = int(8*time.Second/meterStep) + 1
)

// A Meter counts what a node's checkouts do, in LoadWindows. It is safe for concurrent
// use; the zero value has counted nothing. All times count from the same moment,
// whichever it is.
type Meter struct {
	mu      sync.Mutex
	newest  int64 // the bucket that counts now
	buckets [meterBuckets]LoadWindow
	sums    [len(LoadWindows)]LoadWindow
	direct  map[string]float64 // verdicts of sales without a waiting room, e-fold in directLife
	all     float64            // of all sales
	until   time.Duration      // it has decayed
}

const (
	directLife = 8 * time.Second
	// directMax limits the sales that are counted separately: with more, none has much of
	// the engine.
	directMax = 64
)

// Direct records a verdict for a sale without a waiting room.
func (m *Meter) Direct(now time.Duration, sale string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.decay(now)
	if _, known := m.direct[sale]; !known && len(m.direct) >= directMax {
		for other, n := range m.direct {
			if n < 1 {
				delete(m.direct, other)
			}
		}
		if len(m.direct) >= directMax {
			return
		}
	}
	if m.direct == nil {
		m.direct = map[string]float64{}
	}
	m.direct[sale]++
}

// Directs are the recent shares of all verdicts that belong to sales without a waiting
// room.
func (m *Meter) Directs(now time.Duration) (shares []float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.decay(now)
	if m.all < 1 {
		return nil
	}
	for _, n := range m.direct {
		shares = append(shares, n/m.all)
	}
	return shares
}

func (m *Meter) decay(now time.Duration) {
	left := math.Exp(-(now - m.until).Seconds() / directLife.Seconds())
	m.until = now
	m.all *= left
	for sale, n := range m.direct {
		if n *= left; n < 0.01 {
			delete(m.direct, sale)
		} else {
			m.direct[sale] = n
		}
	}
}

// Held counts a verdict on a hold, or the time after which a hold was given up.
func (m *Meter) Held(now, took time.Duration, verdict bool) {
	if verdict {
		m.mu.Lock()
		m.decay(now)
		m.all++
		m.mu.Unlock()
	}
	m.count(now, func(w *LoadWindow) {
		w.Holds.Add(took)
		if verdict {
			w.Verdicts++
		}
	})
}

// Webhook counts the answer to a webhook.
func (m *Meter) Webhook(now, took time.Duration) {
	m.count(now, func(w *LoadWindow) { w.Webhooks.Add(took) })
}

// Refused counts an overloaded or unknown answer.
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

// turn drops what is no longer in the windows. A time before the newest counts as now.
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

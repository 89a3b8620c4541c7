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
	opens   map[string]*openMeter // by payment provider
	direct  map[string]float64    // verdicts of sales without a waiting room, e-fold in directLife
	all     float64               // of all sales
	until   time.Duration         // it has decayed
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

// An openMeter counts the payment pages of a provider, as a Meter counts checkouts.
type openMeter struct {
	newest  int64
	buckets [meterBuckets]OpenWindow
}

// providersMax limits the payment providers that are counted separately.
const providersMax = 16

// Open counts a buyer who asked for the page of a payment provider: it was there, or it was
// refused as overloaded or unknown.
func (m *Meter) Open(now time.Duration, provider string, opened bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.opens[provider]
	if of == nil {
		if len(m.opens) >= providersMax {
			return
		}
		if m.opens == nil {
			m.opens = make(map[string]*openMeter)
		}
		of = new(openMeter)
		m.opens[provider] = of
	}
	of.turn(now)
	if bucket := &of.buckets[of.newest%int64(meterBuckets)]; opened {
		bucket.Opened++
	} else {
		bucket.Refused++
	}
}

// Opens are the counts of each provider.
func (m *Meter) Opens(now time.Duration) map[string][len(LoadWindows)]OpenWindow {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string][len(LoadWindows)]OpenWindow, len(m.opens))
	for provider, of := range m.opens {
		of.turn(now)
		var windows [len(LoadWindows)]OpenWindow
		for i, window := range LoadWindows {
			for back := range min(int64(window/meterStep), of.newest+1) {
				bucket := &of.buckets[(of.newest-back)%int64(meterBuckets)]
				windows[i].Opened += bucket.Opened
				windows[i].Refused += bucket.Refused
			}
		}
		all[provider] = windows
	}
	return all
}

func (m *openMeter) turn(now time.Duration) {
	at := int64(now / meterStep)
	if at-m.newest >= int64(meterBuckets) {
		m.buckets, m.newest = [meterBuckets]OpenWindow{}, at
	}
	for m.newest < at {
		m.newest++
		m.buckets[m.newest%int64(meterBuckets)] = OpenWindow{}
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

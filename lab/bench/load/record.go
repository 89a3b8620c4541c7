package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms count microseconds up to latencyMax with three significant digits:
// about 200 KiB each, however many requests there are. Longer times count as
// latencyMax.
const (
	latencyMax        = 5 * time.Minute
	significantDigits = 3
	// codesMax bounds how many error codes are counted separately.
	codesMax = 64
	codeRest = "other"
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMax.Microseconds(), significantDigits)
}

// Measured is what a run measured.
type Measured struct {
	Seconds float64 `json:"seconds"` // measured, the warm-up left out
	// Done were answered as expected within that time: the rate is made of them.
	Done int64 `json:"done"`
	// Requests were due within that time; all of them are in Latency or Errors.
	Requests int64            `json:"requests"`
	Errors   map[string]int64 `json:"errors,omitempty"`
	// Samples is one error of each code.
	Samples map[string]string `json:"error_samples,omitempty"`
	// Latency is of requests that were answered as expected.
	Latency Latency            `json:"latency"`
	Laps    map[string]Latency `json:"laps,omitempty"`
}

// PerSecond is the rate.
func (m Measured) PerSecond() float64 {
	if m.Seconds <= 0 {
		return 0
	}
	return float64(m.Done) / m.Seconds
}

// Latency sums a histogram up, in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	milliseconds := func(us int64) float64 { return float64(us) / 1000 }
	return Latency{
		Count: h.TotalCount(), Mean: h.Mean() / 1000, Max: milliseconds(h.Max()),
		P50: milliseconds(h.ValueAtQuantile(50)), P99: milliseconds(h.ValueAtQuantile(99)), P999: milliseconds(h.ValueAtQuantile(99.9)),
	}
}

// A window is the measured time; a zero end is not known yet.
type window struct{ begin, end time.Time }

func (w window) holds(t time.Time) bool {
	return !t.Before(w.begin) && (w.end.IsZero() || t.Before(w.end))
}

// recorder is shared by all goroutines of a run.
type recorder struct {
	mu       sync.Mutex
	window   window
	done     int64
	requests int64
	errors   map[string]int64
	samples  map[string]string
	whole    *hdrhistogram.Histogram
	laps     map[string]*hdrhistogram.Histogram
	// seconds is set when the measured time is over.
	seconds float64
}

func newRecorder(w window) *recorder {
	return &recorder{
		window: w, errors: map[string]int64{}, samples: map[string]string{},
		whole: newHistogram(), laps: map[string]*hdrhistogram.Histogram{},
	}
}

// record takes a request by both its ends: latency belongs to the time in which
// it was due, or the slowest would fall out of every window; the rate counts what
// was answered.
func (r *recorder) record(due, answered time.Time, laps []lap, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && r.window.holds(answered) {
		r.done++
	}
	if !r.window.holds(due) {
		return
	}
	r.requests++
	if err != nil {
		r.fail(CodeOf(err), err.Error())
		return
	}
	observe(r.whole, answered.Sub(due))
	for _, l := range laps {
		h, ok := r.laps[l.name]
		if !ok {
			h = newHistogram()
			r.laps[l.name] = h
		}
		observe(h, l.took)
	}
}

func observe(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d, 0), latencyMax).Microseconds()) // within its bounds: never an error
}

// notSent is an arrival that never got a place.
func (r *recorder) notSent(due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.window.holds(due) {
		r.requests++
		r.fail(CodeNotSent, "no place came free until long after the end")
	}
}

func (r *recorder) fail(code, sample string) {
	if _, known := r.errors[code]; !known && len(r.errors) >= codesMax {
		code = codeRest
	}
	r.errors[code]++
	if _, known := r.samples[code]; !known {
		r.samples[code] = sample
	}
}

// finish ends the measured time. Where its end was planned, it was then.
func (r *recorder) finish(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.window.end.IsZero() || at.Before(r.window.end) {
		r.window.end = at
	}
	r.seconds = r.window.end.Sub(r.window.begin).Seconds()
}

func (r *recorder) measured() Measured {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := Measured{
		Seconds: r.seconds, Done: r.done, Requests: r.requests, Errors: r.errors, Samples: r.samples,
		Latency: latencyOf(r.whole), Laps: map[string]Latency{},
	}
	for name, h := range r.laps {
		m.Laps[name] = latencyOf(h)
	}
	return m
}

// Times are latencies that are measured outside of a Run. They are safe for
// concurrent use.
type Times struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
}

// NewTimes has none yet.
func NewTimes() *Times { return &Times{histogram: newHistogram()} }

// Observe adds one.
func (t *Times) Observe(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	observe(t.histogram, d)
}

// Latency sums them up.
func (t *Times) Latency() Latency {
	t.mu.Lock()
	defer t.mu.Unlock()
	return latencyOf(t.histogram)
}

package worker

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
)

// Metrics are those of the Temporal SDK (docs.temporal.io, "SDK metrics reference"), with the names that its own
// Prometheus reporters give them: counters end in _total (once), timers are histograms that end in _seconds.
//
// The SDK asks for a handler with tags, and for each metric by name, on every call to the server and on every task. So
// what is asked for is kept, and asking again is one look into a map: BenchmarkMetrics has the figures.
type Metrics struct {
	series sync.Map // of seriesKey: counter, gauge or timer
	count  atomic.Int64
}

// seriesMax is far above what the box office's own workflows need. Names of workflow types come from the server, so somebody
// who starts workflows of any name on our task queue could make any number of series.
const seriesMax = 5_000

var (
	// Durations of calls and tasks, from a local one to the longest poll.
	taskBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	// Durations of whole workflows: a checkout lasts as long as its hold.
	workflowBuckets = []float64{.1, 1, 10, 60, 120, 300, 600, 900, 1800, 3600, 14400, 86400}
)

const workflowDuration = "temporal_workflow_endtoend_latency"

// NewMetrics makes a collector to register, with nothing to show before the first client.
func NewMetrics() *Metrics { return &Metrics{} }

// WithMetrics has the client, and the workers that use it, count here.
func WithMetrics(m *Metrics) DialOption {
	return func(o *client.Options) { o.MetricsHandler = m.Handler() }
}

// Handler is what a client of the SDK counts with.
func (m *Metrics) Handler() client.MetricsHandler { return tagged{metrics: m} }

// Describe implements prometheus.Collector. It names nothing in advance, because the SDK decides what there is.
func (*Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.series.Range(func(_, series any) bool {
		series.(prometheus.Collector).Collect(to)
		return true
	})
}

// tagNames are the labels that the SDK gives, but client_name, which is always the same.
var tagNames = [...]string{
	"namespace", "task_queue", "worker_type", "poller_type", "workflow_type", "activity_type", "operation", "status_code", "failure_reason", "cause",
}

// tags are their values. Those that the SDK has not set are empty, and not shown.
type tags [len(tagNames)]string

// none is how the SDK says that a tag does not apply.
const none = "none"

func (t tags) labels() prometheus.Labels {
	labels := prometheus.Labels{}
	for i, value := range t {
		if value != "" && value != none {
			labels[tagNames[i]] = value
		}
	}
	return labels
}

// seriesKey names a series.
type seriesKey struct {
	name string
	tags tags
}

// tagged implements client.MetricsHandler.
type tagged struct {
	metrics *Metrics
	tags    tags
}

// WithTags implements client.MetricsHandler.
func (t tagged) WithTags(more map[string]string) client.MetricsHandler {
	for i, name := range tagNames {
		if value, ok := more[name]; ok {
			t.tags[i] = value
		}
	}
	return t
}

// Counter implements client.MetricsHandler.
func (t tagged) Counter(name string) client.MetricsCounter {
	return seriesOf(t, name, client.MetricsNopHandler.Counter(name), func(help string, labels prometheus.Labels) client.MetricsCounter {
		return counter{prometheus.NewCounter(prometheus.CounterOpts{Name: strings.TrimSuffix(name, "_total") + "_total", Help: help, ConstLabels: labels})}
	})
}

// Gauge implements client.MetricsHandler.
func (t tagged) Gauge(name string) client.MetricsGauge {
	return seriesOf(t, name, client.MetricsNopHandler.Gauge(name), func(help string, labels prometheus.Labels) client.MetricsGauge {
		return gauge{prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})}
	})
}

// Timer implements client.MetricsHandler.
func (t tagged) Timer(name string) client.MetricsTimer {
	return seriesOf(t, name, client.MetricsNopHandler.Timer(name), func(help string, labels prometheus.Labels) client.MetricsTimer {
		buckets := taskBuckets
		if name == workflowDuration {
			buckets = workflowBuckets
		}
		return timer{prometheus.NewHistogram(prometheus.HistogramOpts{Name: name + "_seconds", Help: help, ConstLabels: labels, Buckets: buckets})}
	})
}

// seriesOf returns the series that t's tags name, and makes it the first time. Beyond the most it counts nothing.
func seriesOf[T any](t tagged, name string, full T, create func(help string, labels prometheus.Labels) T) T {
	key := seriesKey{name, t.tags}
	if found, ok := t.metrics.series.Load(key); ok {
		return found.(T)
	}
	if t.metrics.count.Load() >= seriesMax {
		return full
	}
	series, existed := t.metrics.series.LoadOrStore(key, create(helpOf(name), t.tags.labels()))
	if !existed {
		t.metrics.count.Add(1)
	}
	return series.(T)
}

// helpOf is the same for all series of a name, as Prometheus wants it. The SDK brings no texts.
func helpOf(name string) string {
	return "Temporal SDK: " + strings.ReplaceAll(strings.TrimPrefix(name, "temporal_"), "_", " ") + "."
}

type counter struct{ prometheus.Counter }

// Inc implements client.MetricsCounter.
func (c counter) Inc(n int64) { c.Add(float64(n)) }

type gauge struct{ prometheus.Gauge }

// Update implements client.MetricsGauge.
func (g gauge) Update(value float64) { g.Set(value) }

type timer struct{ prometheus.Histogram }

// Record implements client.MetricsTimer.
func (t timer) Record(took time.Duration) { t.Observe(took.Seconds()) }

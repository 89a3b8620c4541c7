package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/pace"
)

const (
	lookInterval = 5 * time.Second
	lookTimeout  = 2 * time.Second
)

// A look keeps the database's answer to a question. It asks at its own pace, so reading
// /metrics, however often, asks nobody. If the database is down, the last answer stays,
// and its age shows that.
type look[T any] struct {
	ask func(context.Context) (T, error)
	now func() time.Time

	mu   sync.Mutex
	last T
	at   time.Time // zero: it never answered
}

func newLook[T any](ask func(context.Context) (T, error)) *look[T] {
	return &look[T]{ask: ask, now: time.Now}
}

// start asks at once and then repeatedly until stop, which waits for the last question.
func (l *look[T]) start() (stop func()) { return pace.Every(lookInterval, l.refresh) }

func (l *look[T]) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	at := l.now() // the answer is no newer than the question
	found, err := l.ask(ctx)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.at = found, at
}

// found returns the last answer, and when it was asked for.
func (l *look[T]) found() (last T, at time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.at, !l.at.IsZero()
}

// metricsOf shows in /metrics what a look found, and how old that is. Before the
// database's first answer it shows nothing. What is found is the database's, so every
// process shows the same.
func metricsOf[T any](l *look[T], of string, show func(found T, gauge gauge), shown ...*prometheus.Desc) prometheus.Collector {
	age := prometheus.NewDesc("boxoffice_look_age_seconds", "Age of the last database read for this process's metrics.",
		nil, prometheus.Labels{"of": of})
	return &lookMetrics[T]{l, show, age, append(shown, age)}
}

// A gauge shows one value.
type gauge func(d *prometheus.Desc, value float64, labels ...string)

type lookMetrics[T any] struct {
	look  *look[T]
	show  func(T, gauge)
	age   *prometheus.Desc
	shown []*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (m *lookMetrics[T]) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range m.shown {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (m *lookMetrics[T]) Collect(values chan<- prometheus.Metric) {
	found, at, ok := m.look.found()
	if !ok {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(m.age, m.look.now().Sub(at).Seconds())
	m.show(found, gauge)
}

// oldest is how long the oldest of some has waited; 0 if there is none.
func oldest(now, since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(now.Sub(since), 0).Seconds()
}

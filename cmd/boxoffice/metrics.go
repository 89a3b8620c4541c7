package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"boxoffice/ledger"
)

// metrics of the process, and the batcher's observer.
type metrics struct {
	registry   *prometheus.Registry
	batches    *prometheus.HistogramVec
	requests   *prometheus.HistogramVec
	queueWaits *prometheus.HistogramVec
	refused    *prometheus.CounterVec
	unanswered *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boxoffice_ledger_batch_events", Help: "Events carried by one request to the ledger.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 14),
		}, []string{"op"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boxoffice_ledger_request_seconds", Help: "Time of one request to the ledger.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"op", "result"}),
		queueWaits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boxoffice_ledger_queue_seconds", Help: "How long the oldest unit of a request waited to be sent.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}, []string{"op"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_ledger_refused_total", Help: "Units that were not sent: the queue was full or the caller's time was up.",
		}, []string{"op"}),
		unanswered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_ledger_unanswered_total", Help: "Units whose outcome is unknown: the answer did not come in time.",
		}, []string{"op"}),
	}
	m.registry.MustRegister(m.batches, m.requests, m.queueWaits, m.refused, m.unanswered,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Answered implements ledger.Observer.
func (m *metrics) Answered(r ledger.Request) {
	result := "ok"
	if r.Err != nil {
		result = "error"
	}
	op := string(r.Op)
	m.batches.WithLabelValues(op).Observe(float64(r.Events))
	m.requests.WithLabelValues(op, result).Observe(r.Took.Seconds())
	m.queueWaits.WithLabelValues(op).Observe(r.QueueWait.Seconds())
}

// Refused implements ledger.Observer.
func (m *metrics) Refused(op ledger.Op) { m.refused.WithLabelValues(string(op)).Inc() }

// Unanswered implements ledger.Observer.
func (m *metrics) Unanswered(op ledger.Op) { m.unanswered.WithLabelValues(string(op)).Inc() }

package app

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/orders"
	"boxoffice/payments"
	"boxoffice/worker"
)

// metrics are the process's metrics, and the batcher's observer.
type metrics struct {
	registry   *prometheus.Registry
	batches    *prometheus.HistogramVec
	requests   *prometheus.HistogramVec
	queueWaits *prometheus.HistogramVec
	refused    *prometheus.CounterVec
	unanswered *prometheus.CounterVec
	recorded   prometheus.Histogram
	flagged    *prometheus.CounterVec
	limits     *prometheus.CounterVec
	info       *prometheus.GaugeVec
	stages     stages
	temporal   *worker.Metrics
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
		recorded: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "boxoffice_orders_batch_size", Help: "Sold orders recorded by one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		flagged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_flagged_total", Help: "Orders that ended well for the buyer but need an operator's attention; the log says which.",
		}, []string{"what"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_provider_rate_limits_total", Help: "Answers of a payment provider that it was asked too often. Calls to it are held back then.",
		}, []string{"provider"}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "boxoffice_info", Help: "What this process is, as labels; always 1.",
		}, []string{"ledger", "go"}),
	}
	for _, flag := range activities.Flags {
		m.flagged.WithLabelValues(string(flag)) // so that it shows 0 before the first one
	}
	for _, op := range ledger.Ops { // likewise: an alert sees an increase only of what was there before
		m.refused.WithLabelValues(string(op))
		m.unanswered.WithLabelValues(string(op))
	}
	m.stages = newStages(m.registry)
	m.temporal = worker.NewMetrics()
	m.registry.MustRegister(m.info, m.batches, m.requests, m.queueWaits, m.refused, m.unanswered, m.recorded, m.flagged, m.limits, m.temporal, buildInfo(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// LedgerMeter observes a batcher as serve observes its own, for the commands of a custom
// build.
func LedgerMeter() (ledger.Observer, *prometheus.Registry) {
	m := newMetrics()
	return m, m.registry
}

var (
	refundsOwed = prometheus.NewDesc("boxoffice_refunds_owed", "Refunds that the provider has not made yet, in the whole database.", nil, nil)
	refundsAge  = prometheus.NewDesc("boxoffice_refunds_owed_oldest_seconds", "How long the oldest of them has been owed; 0 if there is none.", nil, nil)
)

// refundMetrics shows the money that still has to go back.
func refundMetrics(l *look[orders.Owed]) prometheus.Collector {
	return metricsOf(l, "refunds_owed", func(owed orders.Owed, gauge gauge) {
		gauge(refundsOwed, float64(owed.Refunds))
		gauge(refundsAge, oldest(l.now(), owed.Oldest))
	}, refundsOwed, refundsAge)
}

var (
	disputesOpen       = prometheus.NewDesc("boxoffice_disputes_open", "Disputes that are not decided, in the whole database.", nil, nil)
	disputesUnanswered = prometheus.NewDesc("boxoffice_disputes_unanswered", "Those of them that wait for the organiser's answer.", nil, nil)
	disputesRespondBy  = prometheus.NewDesc("boxoffice_disputes_respond_by_timestamp_seconds",
		"Until when the most urgent of these can be answered; 0 if there is none.", nil, nil)
)

// disputeMetrics shows what buyers' banks ask back.
func disputeMetrics(l *look[domain.Disputes]) prometheus.Collector {
	return metricsOf(l, "disputes", func(d domain.Disputes, gauge gauge) {
		gauge(disputesOpen, float64(d.Open))
		gauge(disputesUnanswered, float64(d.Unanswered))
		respondBy := 0.0
		if !d.RespondBy.IsZero() {
			respondBy = float64(d.RespondBy.Unix())
		}
		gauge(disputesRespondBy, respondBy)
	}, disputesOpen, disputesUnanswered, disputesRespondBy)
}

// watch counts the rate limits of payment providers.
func (m *metrics) watch(providers *payments.Set) {
	for _, name := range providers.Names() {
		m.limits.WithLabelValues(name) // so that it shows 0 before the first one
	}
	providers.Limited = func(name string) { m.limits.WithLabelValues(name).Inc() }
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// runsOn says which kind of ledger the process uses.
func (m *metrics) runsOn(ledgerKind string) {
	m.info.WithLabelValues(ledgerKind, runtime.Version()).Set(1)
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

// ordersRecorded is called for every transaction that records sold orders.
func (m *metrics) ordersRecorded(count int) { m.recorded.Observe(float64(count)) }

// Refused implements ledger.Observer.
func (m *metrics) Refused(op ledger.Op) { m.refused.WithLabelValues(string(op)).Inc() }

// Unanswered implements ledger.Observer.
func (m *metrics) Unanswered(op ledger.Op) { m.unanswered.WithLabelValues(string(op)).Inc() }

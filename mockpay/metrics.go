package mockpay

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.etcd.io/bbolt"

	"boxoffice/payments/mockpay"
)

// MetricsPath is where a Prometheus reads.
const MetricsPath = "/metrics"

const scrapesAtOnceMax = 4

// How attempts to deliver a webhook end.
const (
	attemptAcknowledged = "acknowledged"
	attemptRefused      = "refused"    // another status than 2xx
	attemptUnanswered   = "unanswered" // no status at all, or an answer that broke off
)

// meter counts what happens in this process. What is on disk is counted there, see storeMetrics.
type meter struct {
	attempts *prometheus.CounterVec
	declines prometheus.Counter
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	problems *prometheus.CounterVec
}

func newMeter() *meter {
	m := &meter{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mockpay_webhook_attempts_total", Help: "Attempts to deliver a webhook to the box office, by how they ended.",
		}, []string{"result"}),
		declines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mockpay_declines_total", Help: "Attempts to pay that were declined, since the start.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mockpay_http_requests_total", Help: "HTTP requests by route and status.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mockpay_http_request_duration_seconds", Help: "How long requests took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mockpay_http_problems_total", Help: "Problems answered, by code: refunds that were refused, failures by mischief.",
		}, []string{"method", "route", "code"}),
	}
	for _, result := range []string{attemptAcknowledged, attemptRefused, attemptUnanswered} { // so that it shows 0 before the first one
		m.attempts.WithLabelValues(result)
	}
	return m
}

// attempted counts an attempt to deliver a webhook.
func (m *meter) attempted(a Answer) {
	result := attemptRefused
	switch {
	case a.Acknowledged():
		result = attemptAcknowledged
	case a.Err != nil:
		result = attemptUnanswered
	}
	m.attempts.WithLabelValues(result).Inc()
}

// failed counts a problem that a request is answered with.
func (m *meter) failed(r *http.Request, code string) {
	method, route := routeOf(r)
	m.problems.WithLabelValues(method, route, code).Inc()
}

// observe counts and times the requests of next.
func (m *meter) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		answered := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(answered, r)
		method, route := routeOf(r)
		m.requests.WithLabelValues(method, route, strconv.Itoa(cmp.Or(answered.status, http.StatusOK))).Inc()
		m.duration.WithLabelValues(method, route).Observe(time.Since(began).Seconds())
	})
}

// routeOf is the pattern that the request matched. A path has ids, and strangers choose methods.
func routeOf(r *http.Request) (method, route string) {
	method, route, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		return "none", "none"
	}
	return method, route
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// metricsHandler shows everything in Prometheus's format.
func metricsHandler(b *bank) http.Handler {
	m, registry := b.courier.meter, prometheus.NewRegistry()
	registry.MustRegister(m.attempts, m.declines, m.requests, m.duration, m.problems, storeMetrics{b},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry, MaxRequestsInFlight: scrapesAtOnceMax})
}

// storeMetrics shows what is on disk. A list's sequence number is how many entries it ever had, so these counters go on
// where the last process ended, and no scrape reads a list.
type storeMetrics struct{ *bank }

var (
	descUndelivered = prometheus.NewDesc("mockpay_webhooks_undelivered", "Webhooks that the box office has not acknowledged yet.", nil, nil)
	descOldest      = prometheus.NewDesc("mockpay_webhooks_undelivered_oldest_seconds", "Age of the oldest of them; 0 if there is none.", nil, nil)
	descSettled     = prometheus.NewDesc("mockpay_webhooks_total",
		"Webhooks in their last state: acknowledged, abandoned after a day, or lost on purpose.", []string{"state"}, nil)
	descCaptures   = prometheus.NewDesc("mockpay_captures_total", "Payments taken.", nil, nil)
	descAuthorized = prometheus.NewDesc("mockpay_authorizations_total", "Payments authorised, to be captured or released.", nil, nil)
	descRefunds    = prometheus.NewDesc("mockpay_refunds_total", "Refunds made, by whomever.", nil, nil)
	descDisputes   = prometheus.NewDesc("mockpay_disputes_total", "Payments that a buyer's bank disputed.", nil, nil)
	descTricks     = prometheus.NewDesc("mockpay_tricks_total", "Tricks of mischief that were played, since the start.", []string{"trick"}, nil)
	descWrongly    = prometheus.NewDesc("mockpay_webhooks_wrongly_accepted_total",
		"Forged and stale webhooks that the box office accepted, since the start: anything but 0 is a security hole.", nil, nil)
)

// lists are the lists whose entries are counted.
var lists = []struct {
	bucket []byte
	desc   *prometheus.Desc
	labels []string
}{
	{capturesBucket, descCaptures, nil},
	{authorizationsBucket, descAuthorized, nil},
	{refundsBucket, descRefunds, nil},
	{disputesBucket, descDisputes, nil},
	{acknowledgedBucket, descSettled, []string{string(mockpay.DeliveryAcknowledged)}},
	{abandonedBucket, descSettled, []string{string(mockpay.DeliveryAbandoned)}},
	{lostBucket, descSettled, []string{string(DeliveryLost)}},
}

// Describe implements prometheus.Collector.
func (storeMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descUndelivered, descOldest, descSettled, descCaptures, descAuthorized, descRefunds, descDisputes, descTricks, descWrongly,
	} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (s storeMetrics) Collect(values chan<- prometheus.Metric) {
	tell := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	err := s.store.view(func(tx *bbolt.Tx) error {
		for _, l := range lists {
			tell(l.desc, prometheus.CounterValue, float64(tx.Bucket(l.bucket).Sequence()), l.labels...)
		}
		age, err := oldestAge(tx, s.now())
		tell(descOldest, prometheus.GaugeValue, age.Seconds())
		return err
	})
	if err != nil {
		values <- prometheus.NewInvalidMetric(descOldest, fmt.Errorf("read the store: %w", err))
	}
	tell(descUndelivered, prometheus.GaugeValue, float64(s.courier.undelivered()))
	report := s.trickster.report()
	for trick, n := range report.Played {
		tell(descTricks, prometheus.CounterValue, float64(n), string(trick))
	}
	tell(descWrongly, prometheus.CounterValue, float64(report.WronglyAccepted))
}

// oldestAge is how old the first of the undelivered webhooks is.
func oldestAge(tx *bbolt.Tx, now time.Time) (time.Duration, error) {
	key, _ := tx.Bucket(pendingBucket).Cursor().First()
	if key == nil {
		return 0, nil
	}
	delivery, _, err := get[mockpay.Delivery](tx.Bucket(pendingBucket), sequenceKey(binary.BigEndian.Uint64(key)))
	if err != nil {
		return 0, err
	}
	return max(0, now.Sub(delivery.OccurredAt)), nil
}

package api

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests                       *prometheus.CounterVec
	duration                       *prometheus.HistogramVec
	problems                       *prometheus.CounterVec
	eventsIgnored                  prometheus.Counter
	paymentChecks                  *prometheus.CounterVec
	policyViolations               *prometheus.CounterVec
	addressLimited, guessesLimited prometheus.Counter // buyers are counted by package admission
}

// newMetrics registers what this package counts. The error says which name is
// taken.
func newMetrics(meter prometheus.Registerer, s *Server) (metrics, error) {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_http_requests_total", Help: "HTTP requests by route and status.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boxoffice_http_request_duration_seconds", Help: "How long requests took, event streams left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_http_problems_total", Help: "Problems answered by our handlers, by code.",
		}, []string{"route", "code"}),
		eventsIgnored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "boxoffice_webhook_events_ignored_total", Help: "Signed events of the payment provider of a type that we do not use.",
		}),
		paymentChecks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_payment_checks_total", Help: "Buyers who came back from paying before the webhook, by what the provider said.",
		}, []string{"answer"}),
		policyViolations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_policy_violations_total", Help: "What browsers report that our pages' Content-Security-Policy forbade, by directive.",
		}, []string{"directive"}),
		addressLimited: newRateLimited("address"),
		guessesLimited: newRateLimited("guess"),
	}
	m.policyViolations.WithLabelValues("other") // shown from the start
	all := []prometheus.Collector{
		m.requests, m.duration, m.problems, m.eventsIgnored, m.paymentChecks, m.policyViolations, m.addressLimited, m.guessesLimited,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_event_streams", Help: "Open event streams.",
		}, func() float64 { return float64(s.hub.open()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_place_streams", Help: "Open streams of places in queues.",
		}, func() float64 { return float64(s.placeHub.count()) }),
	}
	for _, b := range s.bounds {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_requests_in_flight", Help: "Requests under way, by the bound that they count towards.",
			ConstLabels: prometheus.Labels{"bound": b.name},
		}, func() float64 { return float64(len(b.permits)) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_requests_in_flight_max", Help: "How many requests a bound lets in at a time.",
			ConstLabels: prometheus.Labels{"bound": b.name},
		}, func() float64 { return float64(cap(b.permits)) }))
	}
	for _, c := range all {
		if err := meter.Register(c); err != nil {
			return metrics{}, fmt.Errorf("api: register metrics: %w", err)
		}
	}
	return m, nil
}

func newRateLimited(per string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "boxoffice_rate_limited_total", Help: "Requests refused because their address or their buyer asks too often.",
		ConstLabels: prometheus.Labels{"per": per},
	})
}

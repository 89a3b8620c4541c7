package api

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests                 *prometheus.CounterVec
	duration                 *prometheus.HistogramVec
	problems                 *prometheus.CounterVec
	soldOut                  *prometheus.CounterVec
	lookups, eventsIgnored   prometheus.Counter
	rateLimited, notAdmitted *prometheus.CounterVec
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
		soldOut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_sold_out_refusals_total", Help: "Checkouts refused as sold out: by the gate, without a workflow, or by the ledger.",
		}, []string{"by"}),
		lookups: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "boxoffice_gate_lookups_total", Help: "Refusals of the gate that had to look their key up in the ledger.",
		}),
		eventsIgnored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "boxoffice_webhook_events_ignored_total", Help: "Signed events of the payment provider whose type is none of ours.",
		}),
		rateLimited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_rate_limited_total", Help: "Requests refused because their address or their buyer asks too often.",
		}, []string{"per"}),
		notAdmitted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_checkouts_not_admitted_total", Help: "Checkouts refused as overloaded: the line is full (bound), they waited for their turn in vain (turn), or their deadline is too near.",
		}, []string{"by"}),
	}
	all := []prometheus.Collector{
		m.requests, m.duration, m.problems, m.soldOut, m.lookups, m.eventsIgnored, m.rateLimited, m.notAdmitted,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_gate_takings", Help: "Orders that the gate remembers of sales that have run short.",
		}, func() float64 { return float64(s.gate.remembered.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_event_streams", Help: "Open event streams.",
		}, func() float64 { return float64(s.hub.open()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_place_streams", Help: "Open streams of places in queues.",
		}, func() float64 { return float64(s.placeHub.count()) }),
	}
	all = append(all, protectionMetrics(s)...)
	for _, b := range s.bounds {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_requests_in_flight", Help: "Requests under way, by the bound that they count towards.",
			ConstLabels: prometheus.Labels{"bound": b.name},
		}, func() float64 { return float64(len(b.slots)) }))
	}
	for _, c := range all {
		if err := meter.Register(c); err != nil {
			return metrics{}, fmt.Errorf("api: register metrics: %w", err)
		}
	}
	return m, nil
}

// protectionMetrics are the adaptive bound and the breakers, where there are any:
// a process of probes has none.
func protectionMetrics(s *Server) []prometheus.Collector {
	if s.adaptive == nil {
		return nil
	}
	all := []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_checkouts_waiting", Help: "Checkouts that wait for the verdict on their hold.",
		}, func() float64 { _, inFlight, _ := s.adaptive.state(); return float64(inFlight) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_checkouts_in_line", Help: "Checkouts that wait for their turn under the bound.",
		}, func() float64 { return float64(s.adaptive.inLine()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_checkouts_bound", Help: "Checkouts that the engine is given at a time: falls when holds or webhooks get slow.",
		}, func() float64 { limit, _, _ := s.adaptive.state(); return float64(limit) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_hold_latency_seconds", Help: "90th percentile of the last half second that had holds.",
		}, func() float64 { _, _, p90 := s.adaptive.state(); return p90.Seconds() }),
	}
	for _, b := range s.breakers.all() {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_circuit_open", Help: "1 while a part does not answer and requests for it are refused at once.",
			ConstLabels: prometheus.Labels{"part": b.name},
		}, func() float64 {
			if b.isOpen() {
				return 1
			}
			return 0
		}))
	}
	return all
}

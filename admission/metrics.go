package admission

import (
	"cmp"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	soldOut, notAdmitted *prometheus.CounterVec
	lookups, rateLimited prometheus.Counter
}

// What refuses a checkout as sold out.
const (
	soldOutByGate = "gate"
	soldOutByDesk = "ledger"
)

// newMetrics registers what this package counts. The error says which name is
// taken.
func newMetrics(meter prometheus.Registerer, a *Admission) (metrics, error) {
	m := metrics{
		soldOut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_sold_out_refusals_total", Help: "Checkouts refused as sold out: by the gate, without a workflow, or by the ledger.",
		}, []string{"by"}),
		lookups: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "boxoffice_gate_lookups_total", Help: "Refusals of the gate that had to look their key up in the ledger.",
		}),
		rateLimited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "boxoffice_rate_limited_total", Help: "Requests refused because their address or their buyer asks too often.",
			ConstLabels: prometheus.Labels{"per": "buyer"},
		}),
		notAdmitted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_checkouts_not_admitted_total",
			Help: "Checkouts refused as overloaded: the line is full (bound), they waited in it in vain (turn), or their deadline is too near.",
		}, []string{"by"}),
	}
	// An alert sees an increase only of what was there before.
	for _, by := range []string{soldOutByGate, soldOutByDesk} {
		m.soldOut.WithLabelValues(by)
	}
	for _, by := range []string{byBound, byLine, byDeadline} {
		m.notAdmitted.WithLabelValues(by)
	}
	all := []prometheus.Collector{
		m.soldOut, m.lookups, m.rateLimited, m.notAdmitted,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_gate_takings", Help: "Orders that the gate remembers of sales that have run short.",
		}, func() float64 { return float64(a.gate.remembered.Load()) }),
	}
	for _, e := range a.engines() {
		all = append(all, e.gauges(len(a.others) > 0)...)
	}
	for _, b := range a.AllBreakers() {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "boxoffice_circuit_open", Help: "1 while a part does not answer and requests for it are refused at once.",
			ConstLabels: prometheus.Labels{"part": b.name},
		}, func() float64 {
			if b.IsOpen() {
				return 1
			}
			return 0
		}))
	}
	for _, c := range all {
		if err := meter.Register(c); err != nil {
			return metrics{}, fmt.Errorf("admission: register metrics: %w", err)
		}
	}
	return m, nil
}

// gauges show one engine. Where there are several, a label tells them apart.
func (e *engine) gauges(several bool) []prometheus.Collector {
	var labels prometheus.Labels
	if several {
		labels = prometheus.Labels{"cell": cmp.Or(e.cell, "default")}
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	return []prometheus.Collector{
		gauge("boxoffice_checkouts_waiting", "Checkouts that wait for the verdict on their hold.",
			func() float64 { _, inFlight, _ := e.bound.state(); return float64(inFlight) }),
		gauge("boxoffice_checkouts_in_line", "Checkouts that wait in line for room under the bound.",
			func() float64 { return float64(e.bound.inLine()) }),
		gauge("boxoffice_checkouts_bound", "Checkouts that the engine is given at a time: falls when holds or webhooks get slow.",
			func() float64 { limit, _, _ := e.bound.state(); return float64(limit) }),
		gauge("boxoffice_hold_latency_seconds", "90th percentile of the last half second that had holds.",
			func() float64 { _, _, p90 := e.bound.state(); return p90.Seconds() }),
	}
}

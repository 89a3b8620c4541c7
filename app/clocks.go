package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"boxoffice/api"
	"boxoffice/clocks"
)

// watchClocks starts reading the clocks of the ledger and the database. Temporal's clock
// is read where checkouts are started: nothing else tells it.
func (s *service) watchClocks(p *parts) {
	s.later(p.clocks.Start(map[string]clocks.Source{clocks.Ledger: p.book.Now, clocks.Postgres: p.store.Now}))
	p.meter.registry.MustRegister(clockCollector{p.clocks})
}

// clockCheck is what /readyz says about the clocks. It never makes a node unready: if the
// servers share one wrong clock, every node would seem to be the wrong one, and payments
// and pages would go down as well as sales.
func clockCheck(w *clocks.Watch) api.Check {
	return api.Check{Name: "clocks", Advisory: true, Probe: w.Agree}
}

type clockCollector struct{ watch *clocks.Watch }

var clockSkew = prometheus.NewDesc(
	"boxoffice_clock_skew_seconds",
	"How far a clock is ahead of this node's; missing while it is not known.",
	[]string{"clock"},
	nil,
)

// Describe implements prometheus.Collector.
func (clockCollector) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- clockSkew }

// Collect implements prometheus.Collector.
func (c clockCollector) Collect(values chan<- prometheus.Metric) {
	for clock, skew := range c.watch.Skews() {
		values <- prometheus.MustNewConstMetric(clockSkew, prometheus.GaugeValue, skew.Seconds(), clock)
	}
}

// temporalClock reads Temporal's clock. No call answers with the time, but Temporal
// records when a workflow started, by the clock that its timers use. That was between the
// call that started it and the answer. It looks at one start per interval, after the
// start was answered.
type temporalClock struct {
	watch  *clocks.Watch
	name   string       // clocks.Temporal, or another cell's
	asked  atomic.Int64 // when it last looked, in Unix nanoseconds
	client client.Client
}

const describeTimeout = 5 * time.Second

// started is called with a workflow that was started between two moments.
func (c *temporalClock) started(run client.WorkflowRun, sent, received time.Time) {
	last := c.asked.Load()
	if received.UnixNano()-last < int64(clocks.Interval) || !c.asked.CompareAndSwap(last, received.UnixNano()) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), describeTimeout)
		defer cancel()
		about, err := c.client.DescribeWorkflowExecution(ctx, run.GetID(), run.GetRunID())
		if at := about.GetWorkflowExecutionInfo().GetStartTime(); err == nil && at.IsValid() {
			c.watch.Note(c.name, sent, at.AsTime(), received)
		}
	}()
}

package app

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/notify/webhooks"
)

// webhookReader sends events to the endpoints that the organiser registered. It also starts
// the deliveries' worker in this process.
func (s *service) webhookReader(p *parts, fail func(error)) (notify.Reader, error) {
	attempts := newWebhookAttempts(p.meter.registry)
	d := webhooks.NewDeliverer(p.store.Readers(), s.Payloads, s.WebhookNetworks, attempts.tell, s.isBusy, s.log)
	d.Tracer = s.tracer
	// An endpoint hears of all sales, so its deliveries are in no sale's cell.
	err := s.runWorkers(p.links[:1], "webhook worker", fail, func(temporal client.Client, onFatal func(error)) startStopper {
		return webhooks.NewWorker(temporal, d, s.Version.Options(), onFatal)
	})
	if err != nil {
		return notify.Reader{}, err
	}
	s.later(webhooks.StartUpkeep(p.store.Readers(), p.temporal(), s.log))
	return webhooks.NewReader(p.store.Readers(), p.temporal(), s.isBusy), nil
}

// webhookEndpoints manages the endpoints for the API.
func (s *service) webhookEndpoints(p *parts) *webhooks.Endpoints {
	return webhooks.NewEndpoints(p.store.Readers(), s.Payloads, p.temporal(), s.WebhookNetworks)
}

type webhookAttempts struct {
	attempts *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newWebhookAttempts(registry prometheus.Registerer) webhookAttempts {
	a := webhookAttempts{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_webhook_attempts_total", Help: "Attempts to send an event to an endpoint, by outcome.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "boxoffice_webhook_attempt_seconds", Help: "Duration of one attempt.", Buckets: prometheus.ExponentialBuckets(0.005, 3, 9),
		}),
	}
	for _, outcome := range webhooks.Outcomes {
		a.attempts.WithLabelValues(string(outcome)) // so that it shows 0 before the first one
	}
	registry.MustRegister(a.attempts, a.seconds)
	return a
}

func (a webhookAttempts) tell(outcome webhooks.Outcome, took time.Duration) {
	a.attempts.WithLabelValues(string(outcome)).Inc()
	a.seconds.Observe(took.Seconds())
}

var (
	webhookLag = prometheus.NewDesc("boxoffice_webhook_lag_seconds",
		"Age of the oldest pending delivery.", nil, nil)
	webhookPending   = prometheus.NewDesc("boxoffice_webhook_pending", "Deliveries that no endpoint has accepted yet.", nil, nil)
	webhookGivenUp   = prometheus.NewDesc("boxoffice_webhook_given_up", "Deliveries that were given up in the last day.", nil, nil)
	webhookEndpoints = prometheus.NewDesc("boxoffice_webhook_endpoints",
		"Endpoints: those that accepted the last attempt (ok), those that did not (failing), and disabled ones.", []string{"state"}, nil)
)

// webhookMetrics shows endpoints and deliveries by state.
func webhookMetrics(l *look[domain.WebhookCounts]) prometheus.Collector {
	return metricsOf(l, "webhooks", func(c domain.WebhookCounts, gauge gauge) {
		gauge(webhookLag, c.Lag.Seconds())
		gauge(webhookPending, float64(c.Pending))
		gauge(webhookGivenUp, float64(c.GivenUp))
		gauge(webhookEndpoints, float64(c.Enabled-c.Failing), "ok")
		gauge(webhookEndpoints, float64(c.Failing), "failing")
		gauge(webhookEndpoints, float64(c.Disabled), "disabled")
	}, webhookLag, webhookPending, webhookGivenUp, webhookEndpoints)
}

// readNetworks reads prefixes, separated by commas.
func readNetworks(name string) (networks []netip.Prefix, err error) {
	text := env(name, "")
	if text == "" {
		return nil, nil
	}
	for entry := range strings.SplitSeq(text, ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(entry))
		if err != nil || network != network.Masked() {
			return nil, fmt.Errorf("%s: want networks such as 127.0.0.0/8, separated by commas", name)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

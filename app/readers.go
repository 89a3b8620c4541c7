package app

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/notify"
	"boxoffice/notify/figures"
	"boxoffice/notify/mail"
	"boxoffice/orders"
)

// readers returns the configured readers of the event log. To add one, put an adapter into
// its own package under notify and a line here. All nodes run the same readers.
func (s *service) readers(p *parts, fail func(error)) ([]notify.Reader, error) {
	webhooks, err := s.webhookReader(p, fail)
	if err != nil {
		return nil, err
	}
	readers := append(slices.Clone(s.program.Readers), figures.NewReader(p.store.Readers()), webhooks)
	if p.mails != nil {
		readers = append(readers, mail.NewReader(p.store.Readers()))
	}
	if s.Kafka != nil {
		reader, err := s.openKafka(p.meter.registry)
		if err != nil {
			return nil, err
		}
		readers = append(readers, reader)
	}
	for i := range readers {
		readers[i] = traced(s.tracer, readers[i])
	}
	return readers, nil
}

// openReaders starts the readers if this process is a worker, shows how far they are, and
// drops old events.
func (s *service) openReaders(p *parts, fail func(error)) error {
	store := p.store.Readers()
	states := newLook(store.ReaderStates)
	s.later(states.start())
	webhooks := newLook(store.WebhookCounts)
	s.later(webhooks.start())
	p.meter.registry.MustRegister(readerMetrics(states), webhookMetrics(webhooks))
	if s.role == roleAPI {
		return nil
	}
	calls := newReaderCalls(p.meter.registry)
	readers, err := s.readers(p, fail)
	if err != nil {
		return err
	}
	runner, err := notify.New(store, readers, notify.Options{Log: s.log, Handled: calls.handled})
	if err != nil {
		return err
	}
	s.later(runner.Start())
	s.later(notify.StartRetention(store, s.EventsKept, s.log))
	s.later(mail.StartForgetting(store, s.log)) // whether mail is on or not
	s.later(notify.StartSales(store, p.book, s.log))
	s.later(s.keeper(p).Start())
	return nil
}

// readerCalls counts the calls of this process's readers.
type readerCalls struct {
	events  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newReaderCalls(registry prometheus.Registerer) readerCalls {
	c := readerCalls{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_reader_events_total", Help: "Events that a reader was given, by result.",
		}, []string{"reader", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "boxoffice_reader_call_seconds", Help: "Duration of one call of a reader.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"reader"}),
	}
	registry.MustRegister(c.events, c.seconds)
	return c
}

func (c readerCalls) handled(reader string, events int, result notify.Result, took time.Duration) {
	c.events.WithLabelValues(reader, string(result)).Add(float64(events))
	c.seconds.WithLabelValues(reader).Observe(took.Seconds())
}

var (
	readerLagEvents = prometheus.NewDesc("boxoffice_reader_lag_events",
		"Events that the slowest shard of a reader has not read, at most 10,000.", []string{"reader"}, nil)
	readerLagSeconds = prometheus.NewDesc("boxoffice_reader_lag_seconds",
		"Age of the oldest of them.", []string{"reader"}, nil)
	readerFailing = prometheus.NewDesc("boxoffice_reader_failing",
		"Shards of a reader's work that are stuck, of 8.", []string{"reader"}, nil)
	readerUnheld = prometheus.NewDesc("boxoffice_reader_unheld",
		"Shards of a reader's work that no process holds, of 8.", []string{"reader"}, nil)
	readerSetAside = prometheus.NewDesc("boxoffice_reader_set_aside",
		"Events that a reader set aside: waiting ones are retried without anybody asking, stuck ones on request.", []string{"reader", "state"}, nil)
)

// readerMetrics shows how far the readers are.
func readerMetrics(l *look[[]orders.ReaderState]) prometheus.Collector {
	return metricsOf(l, "readers", func(states []orders.ReaderState, gauge gauge) {
		for _, s := range states {
			gauge(readerLagEvents, float64(s.LagEvents), s.Reader)
			gauge(readerLagSeconds, s.Lag.Seconds(), s.Reader)
			gauge(readerFailing, float64(s.Failing), s.Reader)
			gauge(readerUnheld, float64(s.Unheld), s.Reader)
			gauge(readerSetAside, float64(s.SetAside-s.Stuck), s.Reader, "waiting")
			gauge(readerSetAside, float64(s.Stuck), s.Reader, "stuck")
		}
	}, readerLagEvents, readerLagSeconds, readerFailing, readerUnheld, readerSetAside)
}

// Bounds of BOXOFFICE_EVENTS_KEPT.
const (
	eventsKeptDefault = 90 * 24 * time.Hour
	eventsKeptMin     = 24 * time.Hour
	eventsKeptMax     = 10 * 365 * 24 * time.Hour
)

var _ notify.Store = (*orders.Store)(nil)

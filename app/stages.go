package app

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"

	"boxoffice/activities"
	"boxoffice/admission"
	"boxoffice/api"
	"boxoffice/domain"
	"boxoffice/tracing"
)

// The stages of a checkout in boxoffice_stage_seconds.
// boxoffice_http_request_duration_seconds has the HTTP requests around them,
// boxoffice_ledger_*_seconds the ledger's queue and requests.
const (
	stageDesk   = "desk"           // from asking for a hold to its answer: start, workflow task and hold
	stageStart  = "start"          // the call that starts the workflow
	stageHold   = "hold"           // the ledger step that holds the seats
	stageVerify = "webhook_verify" // signature and body of a webhook
	stageUpdate = "update"         // round trip of an Update: workflow task, settlement and answer
	stagePost   = "post"           // the ledger step that sells the seats
	stagePerk   = "perk"           // the ledger step that takes the perk
	stageVoid   = "void"           // the ledger step that gives the seats back
	stageRecord = "record"         // order, tickets and event in Postgres
)

// stages measures the parts of a checkout. It wraps the interfaces between the packages,
// so that none of them has to know that it is measured. Failures count with the time that
// they took.
type stages struct{ seconds *prometheus.HistogramVec }

func newStages(meter prometheus.Registerer) stages {
	s := stages{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "boxoffice_stage_seconds", Help: "Time of one stage of a checkout.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18),
	}, []string{"stage"})}
	meter.MustRegister(s.seconds)
	return s
}

// start starts the span of a stage, if what it is part of has one.
func (s stages) start(ctx context.Context, stage string) (context.Context, trace.Span) {
	return tracing.Start(ctx, stage, trace.SpanKindInternal)
}

// ended is since for a stage with a span.
func (s stages) ended(stage string, began time.Time, span trace.Span, err *error) {
	s.since(stage, began)
	tracing.End(span, *err)
}

// since is for defer, with the time at which the stage began.
func (s stages) since(stage string, began time.Time) {
	s.seconds.WithLabelValues(stage).Observe(time.Since(began).Seconds())
}

type timedLedger struct {
	activities.Ledger
	stages
}

func (l timedLedger) Hold(ctx context.Context, order *domain.Order) (outcome domain.Hold, err error) {
	ctx, span := l.start(ctx, stageHold)
	defer l.ended(stageHold, time.Now(), span, &err)
	return l.Ledger.Hold(ctx, order)
}

func (l timedLedger) Post(ctx context.Context, order *domain.Order) (outcome domain.PostOutcome, err error) {
	ctx, span := l.start(ctx, stagePost)
	defer l.ended(stagePost, time.Now(), span, &err)
	return l.Ledger.Post(ctx, order)
}

func (l timedLedger) Void(ctx context.Context, order *domain.Order) (outcome domain.VoidOutcome, err error) {
	ctx, span := l.start(ctx, stageVoid)
	defer l.ended(stageVoid, time.Now(), span, &err)
	return l.Ledger.Void(ctx, order)
}

func (l timedLedger) TakePerk(ctx context.Context, order *domain.Order) (outcome bool, err error) {
	ctx, span := l.start(ctx, stagePerk)
	defer l.ended(stagePerk, time.Now(), span, &err)
	return l.Ledger.TakePerk(ctx, order)
}

type timedOrders struct {
	activities.Orders
	stages
}

func (o timedOrders) Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	defer o.since(stageRecord, time.Now())
	return o.Orders.Record(ctx, sold)
}

type timedProviders struct {
	api.Providers
	stages
}

func (p timedProviders) Event(ctx context.Context, provider string, header http.Header, body []byte) (domain.PaymentEvent, error) {
	defer p.since(stageVerify, time.Now())
	return p.Providers.Event(ctx, provider, header, body)
}

type timedDesk struct {
	admission.Desk
	stages
}

func (d timedDesk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	defer d.since(stageDesk, time.Now())
	return d.Desk.Start(tracing.Begin(ctx, order.ID), order)
}

func (d timedDesk) Pay(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	return d.Desk.Pay(tracing.Join(ctx, event.Order), event)
}

// timedTemporal is the desk's client; a worker needs the real one.
type timedTemporal struct {
	client.Client
	stages
	clock *temporalClock
}

func (t timedTemporal) ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	began := time.Now()
	defer t.since(stageStart, began)
	run, err := t.Client.ExecuteWorkflow(ctx, options, workflow, args...)
	if err == nil {
		t.clock.started(run, began, time.Now())
	}
	return run, err
}

func (t timedTemporal) UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	defer t.since(stageUpdate, time.Now())
	return t.Client.UpdateWorkflow(ctx, options)
}

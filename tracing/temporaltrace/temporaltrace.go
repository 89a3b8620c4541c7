// Package temporaltrace makes the spans of workflows and activities that are about an order,
// with the names and attributes of Temporal's own instrumentation.
//
// Temporal's own interceptor makes a new span for a workflow each time that it is replayed,
// and ends it when the workflow leaves the cache. Here a workflow has one span, with an id
// that derives from the workflow's: it is recorded when the workflow ends, by the worker that
// it ends on. Until then it is the parent of what happens meanwhile, on whichever worker.
package temporaltrace

import (
	"context"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/tracing"
)

// HeaderKey is where Temporal's SDKs keep the span of whoever starts or asks a workflow.
const HeaderKey = "_tracer-data"

// Attributes, as Temporal's SDKs name them, and the attempt, for which they have no name.
const (
	workflowIDKey = attribute.Key("temporalWorkflowID")
	runIDKey      = attribute.Key("temporalRunID")
	activityIDKey = attribute.Key("temporalActivityID")
	updateIDKey   = attribute.Key("temporalUpdateID")
	attemptKey    = attribute.Key("boxoffice.activity.attempt")
	localKey      = attribute.Key("boxoffice.activity.local")
)

// New makes an interceptor for a client. The workers on that client have it too.
func New(t *tracing.Tracer) interceptor.Interceptor { return &spans{tracer: t} }

type spans struct {
	interceptor.InterceptorBase
	tracer *tracing.Tracer
}

// InterceptClient implements interceptor.ClientInterceptor.
func (s *spans) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	c := &clientSpans{}
	c.Next = next
	return c
}

type clientSpans struct {
	interceptor.ClientOutboundInterceptorBase
}

// ExecuteWorkflow implements interceptor.ClientOutboundInterceptor.
func (c *clientSpans) ExecuteWorkflow(ctx context.Context, in *interceptor.ClientExecuteWorkflowInput) (run client.WorkflowRun, err error) {
	ctx, span := startCall(ctx, "StartWorkflow:", in.WorkflowType, in.Options.ID)
	defer func() { tracing.End(span, err) }()
	return c.Next.ExecuteWorkflow(ctx, in)
}

// UpdateWorkflow implements interceptor.ClientOutboundInterceptor.
func (c *clientSpans) UpdateWorkflow(ctx context.Context, in *interceptor.ClientUpdateWorkflowInput) (update client.WorkflowUpdateHandle, err error) {
	ctx, span := startCall(ctx, "UpdateWorkflow:", in.UpdateName, in.WorkflowID)
	defer func() { tracing.End(span, err) }()
	return c.Next.UpdateWorkflow(ctx, in)
}

// SignalWorkflow implements interceptor.ClientOutboundInterceptor.
func (c *clientSpans) SignalWorkflow(ctx context.Context, in *interceptor.ClientSignalWorkflowInput) (err error) {
	ctx, span := startCall(ctx, "SignalWorkflow:", in.SignalName, in.WorkflowID)
	defer func() { tracing.End(span, err) }()
	return c.Next.SignalWorkflow(ctx, in)
}

// startCall starts the span of a call, if there is one around it, and puts it into the call's header.
func startCall(ctx context.Context, operation, name, workflowID string) (context.Context, trace.Span) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return tracing.Start(ctx, "", trace.SpanKindClient)
	}
	ctx, span := tracing.Start(ctx, operation+name, trace.SpanKindClient)
	span.SetAttributes(workflowIDKey.String(workflowID))
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	// A span's ids are no secret: as in Temporal's SDKs, they are in the clear.
	if payload, err := converter.GetDefaultDataConverter().ToPayload(map[string]string(carrier)); err == nil {
		interceptor.Header(ctx)[HeaderKey] = payload
	}
	return ctx, span
}

// callerIn is the span in a header; not valid if there is none.
func callerIn(header map[string]*commonpb.Payload) trace.SpanContext {
	payload := header[HeaderKey]
	if payload == nil {
		return trace.SpanContext{}
	}
	var carrier map[string]string
	if converter.GetDefaultDataConverter().FromPayload(payload, &carrier) != nil {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier(carrier)))
}

// orderOf reads the order from a workflow's id, such as checkout/<order> or late/<order>/<payment>.
func orderOf(workflowID string) (domain.OrderID, bool) {
	kind, rest, _ := strings.Cut(workflowID, "/")
	order, _, _ := strings.Cut(rest, "/")
	if kind == "" || len(order) != 2*len(domain.OrderID{}) {
		return domain.OrderID{}, false
	}
	id, err := domain.ParseOrderID(order)
	return id, err == nil
}

// spanOf is the id of a workflow's span. A checkout has one run, and its span is known from
// its order alone. The others may run again.
func spanOf(order domain.OrderID, run workflow.Execution) trace.SpanID {
	if strings.HasPrefix(run.ID, "checkout/") {
		return tracing.CheckoutSpan(order)
	}
	return tracing.SpanOf(run.ID + " " + run.RunID)
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (s *spans) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	a := &activitySpans{tracer: s.tracer}
	a.Next = next
	return a
}

type activitySpans struct {
	interceptor.ActivityInboundInterceptorBase
	tracer *tracing.Tracer
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (a *activitySpans) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (result any, err error) {
	info := activity.GetInfo(ctx)
	order, known := orderOf(info.WorkflowExecution.ID)
	if !known || !a.tracer.Samples(order) {
		return a.Next.ExecuteActivity(ctx, in)
	}
	ctx, span := a.tracer.StartBelow(ctx, spanOf(order, info.WorkflowExecution), order, "RunActivity:"+info.ActivityType.Name, trace.SpanKindInternal)
	span.SetAttributes(workflowIDKey.String(info.WorkflowExecution.ID), runIDKey.String(info.WorkflowExecution.RunID),
		activityIDKey.String(info.ActivityID), attemptKey.Int(int(info.Attempt)), localKey.Bool(info.IsLocalActivity))
	defer func() { tracing.End(span, err) }()
	return a.Next.ExecuteActivity(ctx, in)
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (s *spans) InterceptWorkflow(ctx workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	info := workflow.GetInfo(ctx)
	order, known := orderOf(info.WorkflowExecution.ID)
	if !known || !s.tracer.Samples(order) {
		return next
	}
	w := &workflowSpans{tracer: s.tracer, order: order, info: info, id: spanOf(order, info.WorkflowExecution)}
	w.Next = next
	return w
}

type workflowSpans struct {
	interceptor.WorkflowInboundInterceptorBase
	tracer *tracing.Tracer
	order  domain.OrderID
	info   *workflow.Info
	id     trace.SpanID
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (w *workflowSpans) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	o := &workflowLogs{of: w}
	o.Next = outbound
	return w.Next.Init(o)
}

// ExecuteWorkflow implements interceptor.WorkflowInboundInterceptor. A workflow that leaves
// the cache does not return from the next call.
func (w *workflowSpans) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	result, err := w.Next.ExecuteWorkflow(ctx, in)
	if workflow.IsReplaying(ctx) {
		return result, err // it was recorded when this happened
	}
	span := tracing.Told{ID: w.id, Parent: w.parent(interceptor.WorkflowHeader(ctx)), Name: "RunWorkflow:" + w.info.WorkflowType.Name}
	w.tell(span, w.info.WorkflowStartTime, err)
	return result, err
}

// parent is who started the workflow. Without a header it is the checkout, or nobody.
func (w *workflowSpans) parent(header map[string]*commonpb.Payload) trace.SpanID {
	caller := callerIn(header)
	checkout := tracing.CheckoutSpan(w.order)
	switch {
	case caller.IsValid() && caller.TraceID() == trace.TraceID(w.order):
		return caller.SpanID()
	case w.id == checkout:
		return trace.SpanID{}
	default:
		return checkout
	}
}

// ExecuteUpdate implements interceptor.WorkflowInboundInterceptor.
func (w *workflowSpans) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	began, header := workflow.Now(ctx), interceptor.WorkflowHeader(ctx)
	result, err := w.Next.ExecuteUpdate(ctx, in)
	caller := callerIn(header)
	if workflow.IsReplaying(ctx) || caller.TraceID() != trace.TraceID(w.order) {
		return result, err
	}
	span := tracing.Told{Parent: caller.SpanID(), Name: "HandleUpdate:" + in.Name}
	if update := workflow.GetCurrentUpdateInfo(ctx); update != nil {
		span.Options = append(span.Options, trace.WithAttributes(updateIDKey.String(update.ID)))
	}
	w.tell(span, began, err)
	return result, err
}

func (w *workflowSpans) tell(span tracing.Told, began time.Time, err error) {
	span.Order, span.Kind = w.order, trace.SpanKindServer
	span.Options = append(span.Options, trace.WithTimestamp(began), trace.WithAttributes(
		workflowIDKey.String(w.info.WorkflowExecution.ID), runIDKey.String(w.info.WorkflowExecution.RunID)))
	tracing.End(w.tracer.Tell(span), err)
}

// workflowLogs adds the ids of the workflow's span to what it logs.
type workflowLogs struct {
	interceptor.WorkflowOutboundInterceptorBase
	of *workflowSpans
}

// GetLogger implements interceptor.WorkflowOutboundInterceptor.
func (l *workflowLogs) GetLogger(ctx workflow.Context) log.Logger {
	return log.With(l.Next.GetLogger(ctx), tracing.LogTraceID, l.of.order.String(), tracing.LogSpanID, l.of.id.String())
}

package variant

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// plainStarter starts every workflow without an eager first task.
type plainStarter struct{ client.Client }

// ExecuteWorkflow implements client.Client.
func (c plainStarter) ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, run any, args ...any) (client.WorkflowRun, error) {
	options.EnableEagerStart = false
	return c.Client.ExecuteWorkflow(ctx, options, run, args...)
}

// signaller turns the payment's Update into a signal and a wait for the result.
type signaller struct{ client.Client }

// UpdateWorkflow implements client.Client.
func (c signaller) UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	if options.UpdateName != workflows.PaymentUpdate {
		return c.Client.UpdateWorkflow(ctx, options)
	}
	if len(options.Args) != 1 {
		return nil, fmt.Errorf("a payment with %d arguments, want its event", len(options.Args))
	}
	if err := c.SignalWorkflow(ctx, options.WorkflowID, options.RunID, workflows.PaymentSignal, options.Args[0]); err != nil {
		return nil, err
	}
	return signalled{WorkflowRun: c.GetWorkflow(ctx, options.WorkflowID, options.RunID), update: options.UpdateID}, nil
}

// signalled answers as the Update would, once the checkout has ended.
type signalled struct {
	client.WorkflowRun
	update string
}

// WorkflowID implements client.WorkflowUpdateHandle.
func (s signalled) WorkflowID() string { return s.GetID() }

// RunID implements client.WorkflowUpdateHandle.
func (s signalled) RunID() string { return s.GetRunID() }

// UpdateID implements client.WorkflowUpdateHandle.
func (s signalled) UpdateID() string { return s.update }

// Get implements client.WorkflowUpdateHandle.
func (s signalled) Get(ctx context.Context, value any) error {
	answer, ok := value.(*workflows.PaymentAnswer)
	if !ok {
		return fmt.Errorf("a payment is answered by a %T, not a %T", answer, value)
	}
	var state domain.CheckoutState
	if err := s.WorkflowRun.Get(ctx, &state); err != nil {
		return err
	}
	answer.Status = state.Status
	return nil
}

// regularAttemptTimeout is one attempt of a step: as the product's own regular
// steps have it.
const regularAttemptTimeout = 20 * time.Second

// regularActivities runs what a workflow wants as a local activity as a regular
// one.
type regularActivities struct {
	interceptor.WorkerInterceptorBase
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (*regularActivities) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	i := &regularInbound{}
	i.Next = next
	return i
}

type regularInbound struct {
	interceptor.WorkflowInboundInterceptorBase
}

// Init implements interceptor.WorkflowInboundInterceptor.
func (i *regularInbound) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	o := &regularOutbound{}
	o.Next = outbound
	return i.Next.Init(o)
}

type regularOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase
}

// ExecuteLocalActivity implements interceptor.WorkflowOutboundInterceptor.
func (o *regularOutbound) ExecuteLocalActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: regularAttemptTimeout})
	return o.Next.ExecuteActivity(ctx, activityType, args...)
}

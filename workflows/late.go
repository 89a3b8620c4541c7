package workflows

import (
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
)

// LateInput is a captured payment that its checkout can not use any more.
type LateInput struct {
	Capture domain.Capture `json:"capture"`
	// Order is what the money was for; nil when the order is unknown here.
	Order *domain.Order `json:"order,omitempty"`
	// Rebook lets it buy seats if some are left.
	Rebook bool `json:"rebook"`
	// Reason of the refund, should it come to one.
	Reason domain.RefundReason `json:"reason"`
}

// LateTerms decides what a capture is worth to a checkout that has ended; late
// is false when it is the very payment the order was settled with. The caller
// adds the order.
func LateTerms(state *domain.CheckoutState, capture domain.Capture) (input LateInput, late bool) {
	input = LateInput{Capture: capture}
	switch {
	case state.Payment == capture.Payment:
		return input, false
	case state.Payment != "":
		input.Reason = domain.RefundSecondCapture
	case capture.AmountMinor != state.AmountMinor || capture.Currency != state.Currency:
		input.Reason = domain.RefundWrongAmount
	case state.Status == domain.OrderCanceled:
		input.Reason = domain.RefundCanceled
	default:
		input.Rebook, input.Reason = true, domain.RefundNoneLeft
	}
	return input, true
}

// Late deals with money after the end: it buys the seats again if that is still
// wanted and some are left, else it goes back. Its result has status paid or
// refunded.
func Late(ctx workflow.Context, input LateInput) (domain.CheckoutState, error) {
	state := domain.CheckoutState{
		Order:       input.Capture.Order,
		Status:      domain.OrderPending,
		AmountMinor: input.Capture.AmountMinor,
		Currency:    input.Capture.Currency,
		Payment:     input.Capture.Payment,
	}
	if err := workflow.SetQueryHandler(ctx, StateQuery, func() (domain.CheckoutState, error) { return state, nil }); err != nil {
		return state, err
	}
	if input.Order != nil {
		state.SaleID, state.Lines = input.Order.SaleID, input.Order.Lines
	}
	if input.Rebook && input.Order != nil {
		rebooked, err := rebook(ctx, &input)
		if err != nil {
			return state, err
		}
		if rebooked.Sold {
			state.Status, state.PerkTaken, state.Ended = domain.OrderPaid, rebooked.PerkTaken, workflow.Now(ctx)
			workflow.SetCurrentDetails(ctx, "**rebooked**: seats were left for the late payment")
			return state, nil
		}
	}
	state.Status = domain.OrderRefunding
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**refunding** %s: %s", money(state.AmountMinor, state.Currency), input.Reason))
	if err := refundPayment(ctx, &input); err != nil {
		return state, err
	}
	state.Status, state.Ended = domain.OrderRefunded, workflow.Now(ctx)
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**refunded** %s: %s", money(state.AmountMinor, state.Currency), input.Reason))
	return state, workflow.UpsertTypedSearchAttributes(ctx, EndingAttribute.ValueSet(string(state.Status)))
}

func rebook(ctx workflow.Context, input *LateInput) (activities.Settled, error) {
	settlement := activities.Settlement{
		Order: *input.Order, Capture: input.Capture, Booking: domain.BookedByRebook, PaidAt: workflow.Now(ctx),
	}
	var settled activities.Settled
	if err := step(ctx, "take seats again, take the perk, record the order", acts.Settle, settlement, &settled); err != nil {
		return settled, fmt.Errorf("rebook order %s: %w", input.Order.ID, err)
	}
	return settled, nil
}

// refundPayment notes the debt, pays it, and notes that it is paid: in that
// order, so that money which is due is visible for as long as it is.
func refundPayment(ctx workflow.Context, input *LateInput) error {
	refund := domain.Refund{Capture: input.Capture, Reason: input.Reason, RequestedAt: workflow.Now(ctx)}
	if input.Order != nil {
		refund.SaleID = input.Order.SaleID
	}
	if err := owed(ctx, "note the refund as due", acts.RecordRefundDue, refund, nil); err != nil {
		return err
	}
	if err := owed(ctx, "give the money back", acts.RefundPayment, refund, nil); err != nil {
		return err
	}
	done := activities.RefundDone{Payment: refund.Capture.Payment, At: workflow.Now(ctx)}
	return owed(ctx, "note the refund as done", acts.RecordRefundDone, done, nil)
}

// lateOptions: the child outlives its checkout, and one payment is dealt with
// once, whoever starts it.
func (c *checkout) lateOptions(ctx workflow.Context, capture domain.Capture) workflow.Context {
	return workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            LateID(c.order.ID, capture.Payment),
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:         "late payment · " + Summary(&c.order),
	})
}

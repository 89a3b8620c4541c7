package workflows

import (
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
)

// RefundInput asks for the refund of a paid order.
type RefundInput struct {
	Order  domain.OrderID      `json:"order"`
	Reason domain.RefundReason `json:"reason"`
}

// Refund gives a paid order's money back, then its seats to others. The money goes first:
// seats are sold again only once the buyer has been paid.
func Refund(ctx workflow.Context, input RefundInput) (domain.OrderStatus, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx) // a debt cannot be canceled
	due := activities.OrderRefund{Order: input.Order, Reason: input.Reason, At: workflow.Now(ctx)}
	var sold domain.SoldOrder
	if err := owed(ctx, "note the refund as due", acts.RecordOrderRefundDue, due, &sold); err != nil {
		return "", err
	}
	refund := domain.Refund{Capture: sold.Capture, SaleID: sold.SaleID, Reason: input.Reason, RequestedAt: due.At}
	call := activities.RefundCall{Refund: refund, Confirmed: true} // it bought tickets
	if err := owed(ctx, "give the money back", acts.RefundPayment, call, nil); err != nil {
		return "", err
	}
	if err := step(ctx, "put the seats back on sale", acts.ReturnSeats, sold, nil); err != nil {
		return "", err
	}
	done := activities.RefundDone{Payment: sold.Capture.Payment, At: workflow.Now(ctx)}
	if err := owed(ctx, "note the refund as done", acts.RecordRefundDone, done, nil); err != nil {
		return "", err
	}
	return domain.OrderRefunded, nil
}

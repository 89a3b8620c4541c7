package checkouts

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// Reversals records disputes, and refunds that the box office did not ask for.
type Reversals interface {
	// RecordReversal returns an UnknownError while the payment is not on record.
	RecordReversal(ctx context.Context, r domain.Reversal) (domain.NotedReversal, error)
}

// Reverse takes the news of a reversal: it records it and tells an operator. Tickets stay
// valid: the organiser decides whether to refund the order. If money came back that a
// refund of ours left to a dispute, its rest goes back now. It fails like Pay.
func (d *Desk) Reverse(ctx context.Context, r domain.Reversal) (domain.PayResult, error) {
	return d.reverse(ctx, r, d.refundRest)
}

// reverse is Reverse with the refund of the rest where the order's workflows are.
func (d *Desk) reverse(ctx context.Context, r domain.Reversal, refundRest func(context.Context, *domain.NotedReversal) error) (domain.PayResult, error) {
	if d.Reversals == nil {
		return domain.PayResult{}, &domain.UnknownError{Op: "record reversal", ID: r.ID, Err: errors.New("this process does not record reversals")}
	}
	noted, err := d.Reversals.RecordReversal(ctx, r)
	if err != nil {
		return domain.PayResult{}, err
	}
	if noted.Changed && d.Flagged != nil {
		flag := activities.FlagDisputed
		if r.Kind == domain.ReversalRefund {
			flag = activities.FlagRefundedElsewhere
		}
		d.Flagged(flag, noted.Order, fmt.Errorf("%s %s of payment %s is %s: %s", r.Kind, r.ID, r.Payment, r.State, domain.FormatMoney(r.AmountMinor, r.Currency)))
	}
	if noted.Reopens(&r) {
		err = refundRest(ctx, &noted)
	}
	return domain.PayResult{Status: noted.Status, Settled: err == nil}, err
}

// refundRest runs a refund again that was done. Its steps may be repeated, and the
// provider is asked for what is left of the payment.
func (d *Desk) refundRest(ctx context.Context, noted *domain.NotedReversal) error {
	if noted.Status != "" {
		return d.startRefund(ctx, noted.Order, noted.SaleID, noted.Refund.Reason)
	}
	input := workflows.LateInput{Capture: noted.Refund.Capture, SaleID: noted.SaleID, Reason: noted.Refund.Reason}
	_, err := d.startLateAs(ctx, workflows.LateID(noted.Order, noted.Refund.Capture.Payment), input, unlessOpen)
	return err
}

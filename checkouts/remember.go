package checkouts

import (
	"context"
	"errors"

	"boxoffice/domain"
	"boxoffice/workflows"
)

// Remember returns what Temporal still knows about an order, for when its record is lost:
// what was asked for, and which payment bought it. What Temporal has forgotten is left
// out. The error is a *domain.UnknownError, or a *domain.Error if what Temporal knows
// cannot be read.
func (d *Desk) Remember(ctx context.Context, id domain.OrderID, payments []string) (domain.RememberedOrder, error) {
	look, err := d.Look(ctx, workflows.CheckoutID(id))
	if err != nil || look.Open {
		return domain.RememberedOrder{Open: look.Open}, err
	}
	var known domain.RememberedOrder
	if known.Order, err = d.placedOrder(ctx, id); err != nil && !isNotFound(err) {
		return domain.RememberedOrder{}, err
	}
	ids := []string{workflows.CheckoutID(id)}
	for _, payment := range payments {
		ids = append(ids, workflows.LateID(id, payment))
	}
	for _, workflowID := range ids {
		state, err := d.ending(ctx, workflowID)
		if err != nil {
			return domain.RememberedOrder{}, err
		}
		if state.Status == domain.OrderPaid {
			known.Payment, known.PaidAt = state.Payment, state.Ended
			known.Session = (&domain.Order{ID: id, Provider: state.Provider, Session: state.Session}).PaymentSession()
			break
		}
	}
	return known, nil
}

// ending returns a workflow's result, or nothing if it has none or is not known.
func (d *Desk) ending(ctx context.Context, workflowID string) (domain.CheckoutState, error) {
	look, err := d.Look(ctx, workflowID)
	if err != nil || look.Open || look.ClosedAt.IsZero() {
		return domain.CheckoutState{}, err
	}
	state, err := d.result(ctx, workflowID)
	if isNotFound(err) || errors.Is(err, errBrokeOff) || domain.CodeOf(err) == domain.CodeKeyReused {
		return domain.CheckoutState{}, nil
	}
	return state, err
}

package activities

import (
	"context"

	"boxoffice/domain"
)

// Where the money is only authorised when the buyer pays (domain.CaptureAfterSeats), an
// order is sold in three steps: BookSeats, CapturePayment, Settle. Each may be repeated
// from any point. If the capture is refused for good, ReturnUncaptured takes the place of
// Settle.

// BookSeats sells the order's seats in the ledger, and records nothing: the money is still
// to be captured. It answers SettleBooked, SettleNoSeats, or SettleSold and
// SettleSoldBefore if a payment has bought the order. So nobody is charged for an order
// that is already paid, or while the database is away.
func (a *Activities) BookSeats(ctx context.Context, s Settlement) (Settled, error) {
	if unsold, areSold, err := a.sellSeats(ctx, &s); err != nil || !areSold {
		return unsold, err
	}
	sold, err := a.Orders.Order(ctx, s.Order.ID)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		return Settled{Outcome: SettleBooked}, nil
	case err != nil:
		return Settled{}, a.whileOwed(s.Order.ID, err)
	case sold.Capture.Payment == s.Capture.Payment:
		return Settled{Outcome: SettleSold, PerkTaken: sold.PerkTaken, Payment: sold.Capture.Payment}, nil
	default:
		return Settled{Outcome: SettleSoldBefore, PerkTaken: sold.PerkTaken, Payment: sold.Capture.Payment}, nil
	}
}

// CapturePayment takes the money that is authorised in a session, unless that is not
// possible any more. The provider decides which, for good. One that does not know the
// session will never take anything in it.
func (a *Activities) CapturePayment(ctx context.Context, session Session) (domain.ExpireOutcome, error) {
	return decided(a.Provider.CaptureAuthorized(ctx, string(session)))
}

// ReleasePayment gives up what is authorised in a session, unless it was captured before.
// It may be called for what bought nothing only: an order's own payment is captured before
// anything is recorded.
func (a *Activities) ReleasePayment(ctx context.Context, session Session) (domain.ExpireOutcome, error) {
	return decided(a.Provider.ReleaseAuthorized(ctx, string(session)))
}

func decided(outcome domain.ExpireOutcome, err error) (domain.ExpireOutcome, error) {
	if err != nil && domain.CodeOf(err) == domain.CodeNotFound {
		return domain.ExpireOutcome{}, nil
	}
	return outcome, fromProvider(err)
}

// Uncaptured asks to give back seats that were sold for money which could not be captured.
type Uncaptured struct {
	EndRequest
	Booking domain.Booking `json:"booking"`
}

// ReturnUncaptured gives back the seats of an order whose payment could not be captured.
// It answers SettleUncaptured, or SettleSoldBefore if a payment has bought the order.
func (a *Activities) ReturnUncaptured(ctx context.Context, u Uncaptured) (Settled, error) {
	settled, err := a.undo(ctx, &Settlement{Order: u.Order, Booking: u.Booking}, domain.UnsoldUncaptured)
	if err != nil || settled.Outcome == SettleSoldBefore {
		return settled, err
	}
	return Settled{Outcome: SettleUncaptured}, a.whileOwed(u.ID, a.tellEnding(ctx, &u.EndRequest))
}

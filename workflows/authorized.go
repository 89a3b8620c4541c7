package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
)

// settleAuthorized sells the order to a payment that is only authorised. Seats come first,
// then the money, then the tickets: so money that comes too late, or twice, is never
// taken. If the seats are gone and none is left, or the money cannot be captured, nothing
// was taken and nothing is owed.
func (c *checkout) settleAuthorized(ctx workflow.Context, authorized domain.Capture) error {
	c.state.Authorized = true
	workflow.SetCurrentDetails(ctx, c.details())
	sale, err := sellAuthorized(ctx, &c.order, authorized, c.holdLeft(ctx), domain.BookedByHold, domain.BookedByRebook)
	if err != nil {
		return err
	}
	c.state.Authorized = false
	switch sale.Outcome {
	case activities.SettleUncaptured:
		c.enter(ctx, domain.OrderFailed)
		return nil
	case activities.SettleNoSeats, activities.SettleRefunding, activities.SettleUnrecordable:
		if sale.capture.Authorized {
			return c.giveUpAuthorized(ctx, authorized)
		}
	case activities.SettleSold, activities.SettleSoldBefore:
	case activities.SettleUnpaid, activities.SettleBooked: // answers to other requests
		leaveToOthers("sale to an authorised payment", sale.Outcome)
	}
	return c.conclude(ctx, sale.capture, sale.Settled)
}

// giveUpAuthorized ends a checkout that has no seats for its payment.
func (c *checkout) giveUpAuthorized(ctx workflow.Context, authorized domain.Capture) error {
	if err := c.handOver(ctx, LateInput{Capture: authorized, Reason: domain.RefundNoneLeft}); err != nil {
		return err
	}
	var end domain.VoidOutcome // the hold is gone: this tells those who want to know
	request := activities.EndRequest{Order: c.order, Ending: domain.OrderExpired}
	if err := step(ctx, "give the seats back", acts.Release, request, &end); err != nil {
		return fmt.Errorf("release order %s: %w", c.order.ID, err)
	}
	c.enter(ctx, domain.OrderExpired)
	return nil
}

// A sale says what became of an authorised payment. Its capture is what was taken, or is
// still authorised.
type sale struct {
	activities.Settled
	capture domain.Capture
}

// sellAuthorized sells an order's seats, takes the money, and records the order. Each step
// may be repeated. The bookings are tried one after the other. The answer is never
// SettleBooked: the seats are sold and recorded, or they went back.
func sellAuthorized(ctx workflow.Context, order *domain.Order, authorized domain.Capture, left time.Duration, bookings ...domain.Booking) (sale, error) {
	settled := activities.Settled{Outcome: activities.SettleNoSeats}
	var booking domain.Booking
	for _, booking = range bookings {
		request := activities.Settlement{Order: *order, Capture: authorized, Booking: booking, PaidAt: workflow.Now(ctx)}
		settled = activities.Settled{}
		if err := stepInTime(ctx, bookingSummary(booking), left, acts.BookSeats, request, &settled); err != nil {
			return sale{}, fmt.Errorf("book the seats of order %s: %w", order.ID, err)
		}
		if settled.Outcome != activities.SettleNoSeats {
			break
		}
		left = 0
	}
	if settled.Outcome != activities.SettleBooked {
		return sale{settled, authorized}, nil
	}
	var taken domain.ExpireOutcome
	capture := callProvider(ctx, "capture the money", acts.CapturePayment, activities.Session(authorized.Session))
	if err := capture.Get(ctx, &taken); err != nil {
		return sale{}, fmt.Errorf("capture the payment of order %s: %w", order.ID, err)
	}
	if !taken.Captured {
		return returnUncaptured(ctx, order, authorized, booking)
	}
	settled, err := sell(ctx, order, taken.Capture, booking, 0)
	return sale{settled, taken.Capture}, err
}

func bookingSummary(booking domain.Booking) string {
	if booking == domain.BookedByRebook {
		return "take seats again"
	}
	return "post the seats"
}

// returnUncaptured gives seats back whose money could not be captured.
func returnUncaptured(ctx workflow.Context, order *domain.Order, authorized domain.Capture, booking domain.Booking) (sale, error) {
	request := activities.Uncaptured{EndRequest: activities.EndRequest{Order: *order, Ending: domain.OrderFailed}, Booking: booking}
	var settled activities.Settled
	if err := step(ctx, "give back seats whose money could not be captured", acts.ReturnUncaptured, request, &settled); err != nil {
		return sale{}, fmt.Errorf("give back the seats of order %s: %w", order.ID, err)
	}
	return sale{settled, authorized}, nil
}

// buyAuthorized is buy for a payment that is only authorised. Only what the provider shows
// takes seats. It reports whether the payment is dealt with.
func (l *late) buyAuthorized(ctx workflow.Context) error {
	if !l.confirmed {
		return nil
	}
	bookings := []domain.Booking{domain.BookedByRebook}
	if l.HoldMayStand {
		bookings = []domain.Booking{domain.BookedByHold, domain.BookedByRebook}
	}
	sale, err := sellAuthorized(ctx, l.Order, l.Capture, 0, bookings...)
	if err != nil {
		return err
	}
	l.Capture = sale.capture
	switch sale.Outcome {
	case activities.SettleSold:
		l.state.PerkTaken = sale.PerkTaken
		l.enter(ctx, domain.OrderPaid)
	case activities.SettleUncaptured:
		l.enterReleased(ctx)
	case activities.SettleSoldBefore, activities.SettleUnrecordable:
		_, l.Reason = settlement(sale.Outcome)
	case activities.SettleRefunding, activities.SettleNoSeats:
	case activities.SettleUnpaid, activities.SettleBooked: // answers to other requests
		leaveToOthers("sale to an authorised payment", sale.Outcome)
	default:
		leaveToOthers("settlement", sale.Outcome)
	}
	return nil
}

// giveUp releases a payment that is only authorised. If it was captured before, it is a
// debt like any other, and stays for giveBack.
func (l *late) giveUp(ctx workflow.Context) error {
	var outcome domain.ExpireOutcome
	if err := owed(ctx, "release the authorised payment", acts.ReleasePayment, activities.Session(l.Capture.Session), &outcome); err != nil {
		return err
	}
	if outcome.Captured {
		l.Capture, l.confirmed = outcome.Capture, true
		return nil
	}
	if err := l.freeSeats(ctx); err != nil {
		return err
	}
	l.enterReleased(ctx)
	return nil
}

// freeSeats gives back what a checkout that broke off may have left: a hold, or seats that
// it sold before it captured their money.
func (l *late) freeSeats(ctx workflow.Context) error {
	if !l.HoldMayStand || l.Order == nil {
		return nil
	}
	var outcome domain.VoidOutcome
	if err := step(ctx, "give the seats back", acts.Release, activities.EndRequest{Order: *l.Order}, &outcome); err != nil {
		return err
	}
	if outcome != domain.VoidPosted {
		return nil
	}
	_, err := returnUncaptured(ctx, l.Order, l.Capture, domain.BookedByHold)
	return err
}

// enterReleased ends a payment of which nothing was taken.
func (l *late) enterReleased(ctx workflow.Context) {
	l.enter(ctx, domain.OrderFailed)
	l.state.Released = true
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**released**: %s were authorised, and nothing was taken (%s)",
		domain.FormatMoney(l.Capture.AmountMinor, l.Capture.Currency), l.Reason))
}

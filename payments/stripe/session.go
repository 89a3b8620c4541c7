package stripe

import (
	"fmt"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v84"

	"boxoffice/domain"
	"boxoffice/payments"
)

// sessionOf translates a session whose payment is expanded.
func sessionOf(s *stripe.CheckoutSession, order domain.OrderID) (payments.Session, error) {
	status, err := statusOf(s)
	if err != nil {
		return payments.Session{}, err
	}
	read := payments.Session{Session: s.ID, Order: order, Status: status, Visited: true}
	if status != payments.SessionCaptured && status != payments.SessionAuthorized {
		return read, nil
	}
	capture, err := captureOf(s, order)
	if err != nil {
		return payments.Session{}, err
	}
	if s.PaymentIntent.LatestCharge == nil || s.PaymentIntent.LatestCharge.Created == 0 {
		return payments.Session{}, fmt.Errorf("session %s is paid, and has no charge", s.ID)
	}
	capture.Authorized = status == payments.SessionAuthorized
	capture.CapturedAt = time.Unix(s.PaymentIntent.LatestCharge.Created, 0).UTC()
	read.Capture = &capture
	return read, nil
}

// statusOf reads a session whose payment is expanded where it is complete.
func statusOf(s *stripe.CheckoutSession) (payments.SessionStatus, error) {
	switch s.Status {
	case stripe.CheckoutSessionStatusOpen:
		return payments.SessionOpen, nil
	case stripe.CheckoutSessionStatusExpired:
		return payments.SessionExpired, nil
	case stripe.CheckoutSessionStatusComplete:
		return completeStatus(s)
	default:
		return "", fmt.Errorf("session %s has status %q", s.ID, s.Status)
	}
}

// completeStatus: the buyer is done, and the money has come, or is on its way, or did not come.
func completeStatus(s *stripe.CheckoutSession) (payments.SessionStatus, error) {
	switch {
	case s.PaymentIntent != nil && s.PaymentIntent.Status == stripe.PaymentIntentStatusRequiresCapture:
		return payments.SessionAuthorized, nil
	case s.PaymentStatus == stripe.CheckoutSessionPaymentStatusPaid, isCapturedByUs(s.PaymentIntent):
		return payments.SessionCaptured, nil
	case s.PaymentIntent == nil:
		return "", fmt.Errorf("session %s is complete, payment status %q, and has no payment", s.ID, s.PaymentStatus)
	}
	switch s.PaymentIntent.Status {
	case stripe.PaymentIntentStatusProcessing, stripe.PaymentIntentStatusRequiresAction, stripe.PaymentIntentStatusSucceeded:
		return payments.SessionProcessing, nil
	case stripe.PaymentIntentStatusRequiresPaymentMethod, stripe.PaymentIntentStatusCanceled:
		return payments.SessionFailed, nil // the session is over, so nobody can give it another card
	default:
		return "", fmt.Errorf("session %s is complete, and its payment is %q", s.ID, s.PaymentIntent.Status)
	}
}

// captureOf reads the money of a paid session, as an event has it: without the time.
func captureOf(s *stripe.CheckoutSession, order domain.OrderID) (domain.Capture, error) {
	currency := strings.ToUpper(string(s.Currency))
	amount, err := fromStripe(s.AmountTotal, currency)
	switch {
	case err != nil:
		return domain.Capture{}, fmt.Errorf("session %s: %w", s.ID, err)
	case s.PaymentIntent == nil || !domain.ValidPaymentID(s.PaymentIntent.ID):
		return domain.Capture{}, fmt.Errorf("session %s is paid, and names no payment", s.ID)
	}
	return domain.Capture{Payment: s.PaymentIntent.ID, Session: s.ID, Order: order, AmountMinor: amount, Currency: currency}, nil
}

package stripe

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v84"

	"boxoffice/domain"
	"boxoffice/payments"
)

// capturable lists the methods whose payment can be authorised first and captured later: those for which a Checkout
// Session takes payment_method_options.*.capture_method, of the immediate ones.
var capturable = map[string]bool{
	"card": true, "link": true, "paypal": true, "cashapp": true, "amazon_pay": true, "revolut_pay": true, "mobilepay": true,
	"klarna": true, "kr_card": true, "kakao_pay": true, "naver_pay": true, "payco": true, "samsung_pay": true,
}

// authorizedFor is longer than any method's authorisation lasts; a card's is seven days
// (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method). After that Stripe cancels the payment.
const authorizedFor = 31 * 24 * time.Hour

var _ payments.Authorizer = (*Provider)(nil)

// isCapturedByUs: what was authorised, and captured since. The session itself may say so later.
func isCapturedByUs(p *stripe.PaymentIntent) bool {
	return p != nil && p.CaptureMethod == stripe.PaymentIntentCaptureMethodManual && p.Status == stripe.PaymentIntentStatusSucceeded
}

// isReleased: nothing was ever taken of a canceled payment. Stripe may write down what its charge held as refunded.
func isReleased(p *stripe.PaymentIntent) bool {
	return p.Status == stripe.PaymentIntentStatusCanceled
}

// Authorizes implements payments.Authorizer.
func (p *Provider) Authorizes() bool { return len(p.authorizing) > 0 }

// CaptureAuthorized implements payments.Authorizer. Where the bank refuses, the payment is canceled: no later try may
// take the money of an order that has ended.
func (p *Provider) CaptureAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return p.decide(ctx, "capture session", session, func(ctx context.Context, payment string) (*stripe.PaymentIntent, error) {
		captured, err := p.client.V1PaymentIntents.Capture(ctx, payment, nil)
		if isRefusedByBank(err) {
			return p.client.V1PaymentIntents.Cancel(ctx, payment, nil)
		}
		return captured, err
	})
}

func isRefusedByBank(err error) bool {
	var answer *stripe.Error
	return errors.As(err, &answer) && answer.Type == stripe.ErrorTypeCard && answer.HTTPStatusCode == http.StatusPaymentRequired
}

// ReleaseAuthorized implements payments.Authorizer.
func (p *Provider) ReleaseAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return p.decide(ctx, "release session", session, func(ctx context.Context, payment string) (*stripe.PaymentIntent, error) {
		return p.client.V1PaymentIntents.Cancel(ctx, payment, nil)
	})
}

// decide captures or cancels the payment of a session. A payment leaves requires_capture once, so its next status is
// the answer. Where Stripe refuses because that has happened already, the session says what it became.
func (p *Provider) decide(
	ctx context.Context, op, session string, how func(ctx context.Context, payment string) (*stripe.PaymentIntent, error),
) (domain.ExpireOutcome, error) {
	ctx, cancel := context.WithTimeout(ctx, payments.CallTimeout)
	defer cancel()
	outcome, err := p.settled(ctx, op, session)
	if errors.Is(err, errOpen) {
		outcome, err = p.Expire(ctx, session)
	}
	if err != nil || !outcome.Authorized {
		return outcome, err
	}
	call := called(op, session)
	payment, err := how(ctx, outcome.Capture.Payment)
	switch {
	case err == nil && payment.Status == stripe.PaymentIntentStatusSucceeded:
		outcome.Captured, outcome.Authorized, outcome.Capture.Authorized = true, false, false
		return outcome, nil
	case err == nil && payment.Status == stripe.PaymentIntentStatusCanceled:
		return domain.ExpireOutcome{}, nil
	case err == nil:
		return domain.ExpireOutcome{}, call.unknown(errors.New("its payment is " + string(payment.Status)))
	case domain.IsUnknown(call.failed(err)):
		return domain.ExpireOutcome{}, call.unknown(err)
	}
	if outcome, settleErr := p.settled(ctx, op, session); settleErr != nil || !outcome.Authorized {
		return outcome, settleErr
	}
	return domain.ExpireOutcome{}, call.unknown(err)
}

// authorizedEvent reads what became of a session whose payment was only authorised: the event does not say.
func (p *Provider) authorizedEvent(ctx context.Context, id, session string, ignored domain.PaymentEvent) (domain.PaymentEvent, error) {
	found, err := p.Session(ctx, session)
	switch {
	case err != nil && !domain.IsUnknown(err):
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event's session cannot be read.", Err: err}
	case err != nil:
		return domain.PaymentEvent{}, err
	case found.Capture == nil: // processed, or given up since
		return ignored, nil
	default:
		return found.Capture.Event(id), nil
	}
}

// Authorizations implements payments.Authorizer, the latest first.
func (p *Provider) Authorizations(ctx context.Context) iter.Seq2[domain.Capture, error] {
	since := p.hooks.now().Add(-authorizedFor)
	if p.since.After(since) {
		since = p.since
	}
	list := &stripe.CheckoutSessionListParams{
		Status:       stripe.String(string(stripe.CheckoutSessionStatusComplete)),
		Expand:       []*string{stripe.String("data.payment_intent.latest_charge")},
		CreatedRange: createdSince(since),
	}
	list.Limit = stripe.Int64(pageMax)
	return translated(called("list", "authorisations"), p.client.V1CheckoutSessions.List(ctx, list), p.authorization)
}

// authorization reads one item. It returns false for what is not ours, or not authorised.
func (p *Provider) authorization(s *stripe.CheckoutSession) (domain.Capture, bool, error) {
	order, ours, err := p.orderOf(s.Metadata)
	if !ours || err != nil {
		return domain.Capture{}, false, err
	}
	read, err := sessionOf(s, order)
	if err != nil || read.Capture == nil || !read.Capture.Authorized {
		return domain.Capture{}, false, err
	}
	return *read.Capture, true, nil
}

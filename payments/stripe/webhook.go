package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v84"
	"github.com/stripe/stripe-go/v84/webhook"

	"boxoffice/domain"
	"boxoffice/payments"
)

// signatureHeader carries a time and one signature for each of Stripe's secrets
// (https://docs.stripe.com/webhooks/signature).
const signatureHeader = "Stripe-Signature"

// tolerance is how old, or how far ahead, a signature's time may be.
const tolerance = 5 * time.Minute

type hooks struct {
	secrets []string
	now     func() time.Time
}

func newHooks(secrets []string, now func() time.Time) hooks {
	if now == nil {
		now = time.Now
	}
	return hooks{secrets: secrets, now: now}
}

// verify checks the signature of the raw body with each of the secrets.
func (h hooks) verify(header http.Header, body []byte) error {
	signature := header.Get(signatureHeader)
	var errs []error
	for _, secret := range h.secrets {
		err := webhook.ValidatePayloadIgnoringTolerance(body, signature, secret)
		if err == nil {
			return h.timely(signature)
		}
		errs = append(errs, err)
	}
	return &domain.Error{Code: domain.CodeForged, Detail: "The signature is not valid.", Err: errors.Join(errs...)}
}

// timely is called once the signature, and so its time, is known to be Stripe's.
func (h hooks) timely(signature string) error {
	for part := range strings.SplitSeq(signature, ",") {
		var seconds int64
		if _, err := fmt.Sscanf(part, "t=%d", &seconds); err != nil {
			continue
		}
		if age := h.now().Sub(time.Unix(seconds, 0)); age.Abs() <= tolerance {
			return nil
		}
	}
	return &domain.Error{Code: domain.CodeForged, Detail: "The signature is too old. Check this server's clock."}
}

// used says which events tell us something. Others are acknowledged and ignored. One that a session expired is among
// those: it was we who expired it, or Stripe long after the hold's end.
var used = map[stripe.EventType]domain.PaymentEventType{
	stripe.EventTypeCheckoutSessionCompleted:             domain.PaymentSucceeded, // if it is paid
	stripe.EventTypeCheckoutSessionAsyncPaymentSucceeded: domain.PaymentSucceeded,
	stripe.EventTypeCheckoutSessionAsyncPaymentFailed:    domain.PaymentFailed,
	stripe.EventTypePaymentIntentPaymentFailed:           domain.PaymentDeclined, // if its session may still be paid, or was
	// A dispute's state says whether the money is there, so its events about funds are not needed.
	stripe.EventTypeChargeDisputeCreated: domain.PaymentReversed,
	stripe.EventTypeChargeDisputeUpdated: domain.PaymentReversed,
	stripe.EventTypeChargeDisputeClosed:  domain.PaymentReversed,
	stripe.EventTypeRefundCreated:        domain.PaymentReversed, // if we did not ask for it
	stripe.EventTypeRefundFailed:         domain.PaymentReversed,
}

// Event implements payments.Provider. It calls nobody where the event has the whole session.
func (p *Provider) Event(ctx context.Context, header http.Header, body []byte) (domain.PaymentEvent, error) {
	if len(body) > payments.EventBytesMax {
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeTooLarge, Detail: "The event is too large."}
	}
	if err := p.hooks.verify(header, body); err != nil {
		return domain.PaymentEvent{}, err
	}
	var event stripe.Event
	if err := json.Unmarshal(body, &event); err != nil {
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event is not JSON.", Err: err}
	}
	ignored := domain.PaymentEvent{Type: domain.PaymentEventType(event.Type)}
	kind, isUsed := used[event.Type]
	switch {
	case !isUsed || event.Account != "": // of a connected account, whose sessions we never open
		return ignored, nil
	case event.Livemode != p.live:
		return domain.PaymentEvent{}, domain.Invalid("livemode", "is not that of the key: test and live must not be mixed")
	case event.Data == nil:
		return domain.PaymentEvent{}, domain.Invalid("data", "is missing")
	case !sameMajorVersion(event.APIVersion):
		return domain.PaymentEvent{}, domain.Invalid("api_version", fmt.Sprintf("is %s: give the webhook endpoint version %s", event.APIVersion, stripe.APIVersion))
	}
	switch kind {
	case domain.PaymentDeclined:
		return p.declined(ctx, &event)
	case domain.PaymentReversed:
		return p.reversed(ctx, &event)
	default:
	}
	var session stripe.CheckoutSession
	if err := json.Unmarshal(event.Data.Raw, &session); err != nil {
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event's session cannot be read.", Err: err}
	}
	if kind == domain.PaymentSucceeded && session.Metadata[metaShop] == p.shop && session.Metadata[metaCapture] != "" {
		return p.authorizedEvent(ctx, event.ID, session.ID, ignored)
	}
	if kind == domain.PaymentSucceeded && session.PaymentStatus != stripe.CheckoutSessionPaymentStatusPaid {
		return ignored, nil // it is being processed; another event will say how that ended
	}
	return p.paymentEvent(event.ID, kind, &session)
}

// declined reads an attempt that came to nothing. Its event has the payment, with the metadata that we gave it, and not
// the session, so Stripe is asked for that. In one session all attempts have one payment.
func (p *Provider) declined(ctx context.Context, event *stripe.Event) (domain.PaymentEvent, error) {
	var payment stripe.PaymentIntent
	if err := json.Unmarshal(event.Data.Raw, &payment); err != nil {
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event's payment cannot be read.", Err: err}
	}
	switch _, ours, err := p.orderOf(payment.Metadata); {
	case err != nil:
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event's payment names no order.", Err: err}
	case !ours:
		return domain.PaymentEvent{Type: "other_shop"}, nil
	case !domain.ValidPaymentID(payment.ID):
		return domain.PaymentEvent{}, domain.Invalid("data", "names no payment")
	}
	session, err := p.sessionOfPayment(ctx, payment.ID)
	if err != nil {
		return domain.PaymentEvent{}, err
	}
	if session.Status == stripe.CheckoutSessionStatusComplete && session.PaymentStatus != stripe.CheckoutSessionPaymentStatusPaid {
		return domain.PaymentEvent{Type: domain.PaymentEventType(event.Type)}, nil // no card: the session's own event says how that ended
	}
	session.PaymentIntent = &payment
	return p.paymentEvent(event.ID, domain.PaymentDeclined, session)
}

func (p *Provider) sessionOfPayment(ctx context.Context, payment string) (*stripe.CheckoutSession, error) {
	call := called("find the session of payment", payment)
	ctx, cancel := context.WithTimeout(ctx, payments.CallTimeout)
	defer cancel()
	list := &stripe.CheckoutSessionListParams{PaymentIntent: stripe.String(payment)}
	list.Limit, list.Single = stripe.Int64(1), true
	for session, err := range p.client.V1CheckoutSessions.List(ctx, list) {
		if err != nil {
			return nil, call.unknown(err)
		}
		return session, nil
	}
	return nil, call.unknown(errors.New("there is none yet"))
}

func (p *Provider) paymentEvent(id string, kind domain.PaymentEventType, session *stripe.CheckoutSession) (domain.PaymentEvent, error) {
	order, ours, err := p.orderOf(session.Metadata)
	switch {
	case err != nil:
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event's session names no order.", Err: err}
	case !ours: // of another program, or another box office, in the same account
		return domain.PaymentEvent{Type: "other_shop"}, nil
	}
	capture, err := captureOf(session, order)
	if err != nil {
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event's session cannot be used.", Err: err}
	}
	return domain.PaymentEvent{
		ID: id, Type: kind, Session: capture.Session, Order: order, Payment: capture.Payment,
		AmountMinor: capture.AmountMinor, Currency: capture.Currency,
	}, nil
}

// sameMajorVersion: within a named release, such as clover, Stripe only adds
// (https://docs.stripe.com/api/versioning).
func sameMajorVersion(version string) bool {
	_, major, _ := strings.Cut(version, ".")
	return major == stripe.APIMajorVersion
}

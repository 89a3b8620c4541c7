package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v84"

	"boxoffice/domain"
	"boxoffice/payments"
)

// A call names what is asked, for errors.
type call struct{ op, id string }

func called(op, id string) call { return call{op, id} }

func (c call) unknown(err error) error {
	why := fmt.Errorf("stripe: %w", brief(err))
	if after, isLimit := rateLimit(err); isLimit {
		why = &payments.RateLimitedError{RetryAfter: after, Err: why}
	}
	return &domain.UnknownError{Op: c.op, ID: c.id, Err: why}
}

// rateLimit reports whether Stripe was asked too often (https://docs.stripe.com/rate-limits), and when to ask again. A
// lock_timeout has the same status, and is about one object that two wanted at once.
func rateLimit(err error) (after time.Duration, isLimit bool) {
	var answer *stripe.Error
	if !errors.As(err, &answer) || answer.HTTPStatusCode != http.StatusTooManyRequests || answer.Code == stripe.ErrorCodeLockTimeout {
		return 0, false
	}
	if answer.LastResponse != nil {
		after = payments.RetryAfter(answer.LastResponse.Header)
	}
	return after, true
}

// failed sorts an error into the two kinds. Stripe said no only where it says so itself, in an answer that it
// understood: status 400 or 402, or 404 for an id that it does not have. A key that may not do this (401, 403) is our
// fault and will be mended; a rate limit (429) and a conflict (409) pass.
func (c call) failed(err error) error {
	var answer *stripe.Error
	if !errors.As(err, &answer) {
		return c.unknown(err)
	}
	switch {
	case answer.HTTPStatusCode == http.StatusNotFound && answer.Code == stripe.ErrorCodeResourceMissing:
		return &domain.Error{Code: domain.CodeNotFound, Detail: "Stripe does not have " + c.id + ".", Err: brief(err)}
	case answer.Type == stripe.ErrorTypeIdempotency:
		return c.unknown(err) // the key came before with other parameters, or comes now from somebody else
	case answer.Type == stripe.ErrorTypeInvalidRequest && answer.HTTPStatusCode == http.StatusBadRequest,
		answer.Type == stripe.ErrorTypeCard && answer.HTTPStatusCode == http.StatusPaymentRequired:
		return &domain.Error{Code: domain.CodeInvalid, Detail: "Stripe refused to " + c.op + ".", Err: brief(err)}
	default:
		return c.unknown(err)
	}
}

// brief keeps of Stripe's answer what helps an operator: not the whole object, which may name the buyer.
func brief(err error) error {
	var answer *stripe.Error
	if !errors.As(err, &answer) {
		return err
	}
	return fmt.Errorf("status %d, type %q, code %q, parameter %q, request %s: %s",
		answer.HTTPStatusCode, answer.Type, answer.Code, answer.Param, answer.RequestID, answer.Msg)
}

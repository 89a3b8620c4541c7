package stripe

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v84"

	"boxoffice/domain"
	"boxoffice/payments"
)

// pageMax is the largest page that Stripe gives.
const pageMax = 100

// Since implements payments.Dated. Stripe lists by the time at which something was created.
func (p *Provider) Since(moment time.Time) payments.Provider {
	since := *p
	since.since = moment
	return &since
}

// createdSince is nil for lists from the beginning.
func createdSince(moment time.Time) *stripe.RangeQueryParams {
	if moment.IsZero() {
		return nil
	}
	return &stripe.RangeQueryParams{GreaterThanOrEqual: moment.Unix()}
}

// Captures implements payments.Provider: Stripe's own list of paid sessions, the latest first.
func (p *Provider) Captures(ctx context.Context) iter.Seq2[domain.Capture, error] {
	list := &stripe.CheckoutSessionListParams{
		Status:       stripe.String(string(stripe.CheckoutSessionStatusComplete)),
		CreatedRange: createdSince(p.since),
		Expand:       []*string{stripe.String("data.payment_intent.latest_charge")},
	}
	list.Limit = stripe.Int64(pageMax)
	return translated(called("list", "captures"), p.client.V1CheckoutSessions.List(ctx, list), p.capture)
}

// capture reads one item. It returns false for what is not ours, or not paid.
func (p *Provider) capture(s *stripe.CheckoutSession) (domain.Capture, bool, error) {
	order, ours, err := p.orderOf(s.Metadata)
	if !ours || err != nil {
		return domain.Capture{}, false, err
	}
	read, err := sessionOf(s, order)
	if err != nil || read.Capture == nil || read.Capture.Authorized {
		return domain.Capture{}, false, err
	}
	return *read.Capture, true, nil
}

// Refunds implements payments.Provider: every refund of a payment of ours, also one that somebody made in Stripe's
// dashboard, the latest first.
func (p *Provider) Refunds(ctx context.Context) iter.Seq2[payments.Refunded, error] {
	list := &stripe.RefundListParams{CreatedRange: createdSince(p.since), Expand: []*string{stripe.String("data.payment_intent")}}
	list.Limit = stripe.Int64(pageMax)
	return translated(called("list", "refunds"), p.client.V1Refunds.List(ctx, list), p.refunded)
}

func (p *Provider) refunded(r *stripe.Refund) (payments.Refunded, bool, error) {
	if r.PaymentIntent == nil || r.PaymentIntent.Metadata[metaShop] != p.shop || !returned(r) || isReleased(r.PaymentIntent) {
		return payments.Refunded{}, false, nil
	}
	read, err := refundedOf(r)
	return read, err == nil, err
}

// refundedOf translates a refund of ours, whose payment is expanded.
func refundedOf(r *stripe.Refund) (payments.Refunded, error) {
	currency := strings.ToUpper(string(r.Currency))
	amount, err := fromStripe(r.Amount, currency)
	read := payments.Refunded{
		ID: r.ID, Payment: r.PaymentIntent.ID, AmountMinor: amount, Currency: currency, At: time.Unix(r.Created, 0).UTC(),
		Reason: domain.RefundReason(r.Metadata[metaReason]), Elsewhere: r.Metadata[metaRefund] == "",
	}
	if read.Elsewhere {
		read.Reason = domain.RefundReason(brieflySaid(string(r.Reason)))
	}
	return read, err
}

// translated ends at the first error, which is always unknown: a list has no answer that says no.
func translated[From, To any](c call, list stripe.Seq2[*From, error], translate func(*From) (To, bool, error)) iter.Seq2[To, error] {
	return func(yield func(To, error) bool) {
		for item, err := range list {
			var to To
			wanted := false
			if err == nil {
				to, wanted, err = translate(item)
			}
			if err != nil {
				var none To
				yield(none, c.unknown(err))
				return
			}
			if wanted && !yield(to, nil) {
				return
			}
		}
	}
}

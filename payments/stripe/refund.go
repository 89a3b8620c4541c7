package stripe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stripe/stripe-go/v84"

	"boxoffice/domain"
	"boxoffice/payments"
)

// refundsMax limits the refunds of one payment that Refund looks through, in pages of 100.
const refundsMax = 1000

// Refund implements payments.Provider. Stripe forgets an idempotency key after a day, and a refund may be asked for
// again after weeks. So what has gone back is looked for first: a part by its key, which is also in the refund's
// metadata, and the whole by its sum.
func (p *Provider) Refund(ctx context.Context, r payments.Refund) error {
	call := called("refund payment", r.Payment)
	if !strings.HasPrefix(r.Payment, "pi_") || !domain.ValidPaymentID(r.Payment) {
		return domain.NotFound("payment")
	}
	amount, err := toStripe(r.AmountMinor, r.Currency)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, payments.CallTimeout)
	defer cancel()
	payment, err := p.client.V1PaymentIntents.Retrieve(ctx, r.Payment, &stripe.PaymentIntentRetrieveParams{Expand: []*string{stripe.String("latest_charge")}})
	if err != nil {
		return call.failed(err)
	}
	if _, ours, _ := p.orderOf(payment.Metadata); !ours {
		return domain.NotFound("payment")
	}
	if !strings.EqualFold(string(payment.Currency), r.Currency) {
		return domain.Invalid("currency", "is not that of the payment")
	}
	if r.Key != r.Payment {
		done, _, err := p.refundsOf(ctx, r, amount)
		if done || err != nil {
			return err
		}
		return p.createRefund(ctx, r, amount, r.Key)
	}
	return p.refundRest(ctx, r, payment, amount)
}

// refundRest gives back what is left of amount. Stripe does not let a payment go back beyond its sum, but what a dispute
// takes does not count there: it would have gone twice. What had gone before is part of the idempotency key, so that two
// who ask at once refund once, and one who asks after a dispute was won refunds what that had taken.
func (p *Provider) refundRest(ctx context.Context, r payments.Refund, payment *stripe.PaymentIntent, amount int64) error {
	_, gone, err := p.refundsOf(ctx, r, amount)
	if err != nil {
		return err
	}
	isOpen := false
	if payment.LatestCharge != nil && payment.LatestCharge.Disputed {
		taken, open, err := p.takenByDisputes(ctx, r.Payment)
		if err != nil {
			return err
		}
		gone, isOpen = gone+taken, open
	}
	if gone >= amount {
		return nil
	}
	key := r.Key
	if gone > 0 {
		key = fmt.Sprintf("%s/%d", r.Key, gone)
	}
	err = p.createRefund(ctx, r, amount-gone, key)
	if isOpen && domain.CodeOf(err) == domain.CodeInvalid {
		return called("refund payment", r.Payment).unknown(fmt.Errorf("a dispute is open, and keeps the rest: %w", err))
	}
	return err
}

// refundsOf looks through the refunds of a payment: for the one with this key, and for the sum of all.
func (p *Provider) refundsOf(ctx context.Context, r payments.Refund, amount int64) (done bool, sum int64, err error) {
	list := &stripe.RefundListParams{PaymentIntent: stripe.String(r.Payment)}
	list.Limit = stripe.Int64(pageMax)
	seen := 0
	for earlier, err := range p.client.V1Refunds.List(ctx, list) {
		switch seen++; {
		case err != nil:
			return false, 0, called("refund payment", r.Payment).failed(err)
		case seen > refundsMax:
			return false, 0, called("refund payment", r.Payment).unknown(fmt.Errorf("it has more than %d refunds", refundsMax))
		case !returned(earlier):
			continue
		case earlier.Metadata[metaRefund] == r.Key && r.Key != r.Payment && earlier.Amount != amount:
			return false, 0, domain.Invalid("amount", "differs from that of the first refund with this key")
		case earlier.Metadata[metaRefund] == r.Key:
			done = true
		}
		sum += earlier.Amount
	}
	return done, sum, nil
}

// takenByDisputes adds up what disputes have taken of a payment, and says whether one is open.
func (p *Provider) takenByDisputes(ctx context.Context, payment string) (taken int64, isOpen bool, err error) {
	list := &stripe.DisputeListParams{PaymentIntent: stripe.String(payment)}
	list.Limit = stripe.Int64(pageMax)
	for d, err := range p.client.V1Disputes.List(ctx, list) {
		if err != nil {
			return 0, false, called("refund payment", payment).failed(err)
		}
		state, err := disputeState(d.Status)
		if err != nil {
			return 0, false, called("refund payment", payment).unknown(err)
		}
		if state.Terms().Takes {
			taken += d.Amount
		}
		isOpen = isOpen || !state.Terms().Ended
	}
	return taken, isOpen, nil
}

func (p *Provider) createRefund(ctx context.Context, r payments.Refund, amount int64, key string) error {
	params := &stripe.RefundCreateParams{
		PaymentIntent: stripe.String(r.Payment),
		Amount:        stripe.Int64(amount),
		Metadata: map[string]string{
			metaShop: p.shop, metaOrder: r.Order.String(), metaRefund: r.Key, metaReason: string(r.Reason),
		},
	}
	if r.Reason.OfOrder() {
		params.Reason = stripe.String(string(stripe.RefundReasonRequestedByCustomer))
	}
	params.SetIdempotencyKey(fmt.Sprintf("%s/%s/%s/%d", p.shop, r.Payment, key, amount))
	refund, err := p.client.V1Refunds.Create(ctx, params)
	if err != nil {
		return called("refund payment", r.Payment).failed(err)
	}
	if !returned(refund) {
		return called("refund payment", r.Payment).unknown(errors.New("the refund is " + string(refund.Status)))
	}
	return nil
}

// returned: the money goes back, or has gone. A refund that failed has come back to the account.
func returned(r *stripe.Refund) bool {
	return r.Status != stripe.RefundStatusFailed && r.Status != stripe.RefundStatusCanceled
}

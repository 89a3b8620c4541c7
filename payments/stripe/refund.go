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
// again after weeks. So the key is also in the refund's metadata, and is looked for there first.
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
	payment, err := p.client.V1PaymentIntents.Retrieve(ctx, r.Payment, nil)
	if err != nil {
		return call.failed(err)
	}
	if _, ours, _ := p.orderOf(payment.Metadata); !ours {
		return domain.NotFound("payment")
	}
	if !strings.EqualFold(string(payment.Currency), r.Currency) {
		return domain.Invalid("currency", "is not that of the payment")
	}
	done, err := p.refundDone(ctx, r, amount)
	if done || err != nil {
		return err
	}
	return p.createRefund(ctx, r, amount)
}

// refundDone looks for the refund with this key.
func (p *Provider) refundDone(ctx context.Context, r payments.Refund, amount int64) (bool, error) {
	list := &stripe.RefundListParams{PaymentIntent: stripe.String(r.Payment)}
	list.Limit = stripe.Int64(pageMax)
	seen := 0
	for earlier, err := range p.client.V1Refunds.List(ctx, list) {
		switch seen++; {
		case err != nil:
			return false, called("refund payment", r.Payment).failed(err)
		case seen > refundsMax:
			return false, called("refund payment", r.Payment).unknown(fmt.Errorf("it has more than %d refunds", refundsMax))
		case earlier.Metadata[metaRefund] != r.Key || !returned(earlier):
		case earlier.Amount != amount:
			return false, domain.Invalid("amount", "differs from that of the first refund with this key")
		default:
			return true, nil
		}
	}
	return false, nil
}

func (p *Provider) createRefund(ctx context.Context, r payments.Refund, amount int64) error {
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
	params.SetIdempotencyKey(fmt.Sprintf("%s/%s/%s/%d", p.shop, r.Payment, r.Key, amount))
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

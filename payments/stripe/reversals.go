package stripe

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v84"

	"boxoffice/domain"
	"boxoffice/payments"
)

// disputeStates translates Stripe's states. Stripe takes the money when a dispute opens and gives it back when it is won;
// it does not for an inquiry, whose states begin with warning_ (https://docs.stripe.com/disputes/how-disputes-work). One that
// was prevented ended in a refund, which is told by itself.
var disputeStates = map[stripe.DisputeStatus]domain.ReversalState{
	stripe.DisputeStatusWarningNeedsResponse: domain.DisputeInquiry,
	stripe.DisputeStatusWarningUnderReview:   domain.DisputeInquiry,
	stripe.DisputeStatusWarningClosed:        domain.DisputeDropped,
	stripe.DisputeStatusPrevented:            domain.DisputeDropped,
	stripe.DisputeStatusNeedsResponse:        domain.DisputeOpen,
	stripe.DisputeStatusUnderReview:          domain.DisputeOpen,
	stripe.DisputeStatusWon:                  domain.DisputeWon,
	stripe.DisputeStatusLost:                 domain.DisputeLost,
}

func disputeState(status stripe.DisputeStatus) (domain.ReversalState, error) {
	state, isKnown := disputeStates[status]
	if !isKnown {
		return "", fmt.Errorf("a dispute is %q, which this release does not know", status)
	}
	return state, nil
}

// Disputes implements payments.Provider: every dispute of a payment of ours, the latest first.
func (p *Provider) Disputes(ctx context.Context) iter.Seq2[domain.Reversal, error] {
	list := &stripe.DisputeListParams{CreatedRange: createdSince(p.since), Expand: []*string{stripe.String("data.payment_intent")}}
	list.Limit = stripe.Int64(pageMax)
	return translated(called("list", "disputes"), p.client.V1Disputes.List(ctx, list), func(d *stripe.Dispute) (domain.Reversal, bool, error) {
		reversal, _, ours, err := p.dispute(d)
		return reversal, ours, err
	})
}

// dispute translates a dispute whose payment is expanded. It returns false for what is not ours.
func (p *Provider) dispute(d *stripe.Dispute) (r domain.Reversal, order domain.OrderID, ours bool, err error) {
	if d.PaymentIntent == nil {
		return r, order, false, nil
	}
	if order, ours, err = p.orderOf(d.PaymentIntent.Metadata); err != nil || !ours {
		return r, order, false, err
	}
	currency := strings.ToUpper(string(d.Currency))
	r = domain.Reversal{
		ID: d.ID, Kind: domain.ReversalDispute, Payment: d.PaymentIntent.ID, Currency: currency,
		Reason: brieflySaid(string(d.Reason)), At: time.Unix(d.Created, 0).UTC(),
	}
	if r.AmountMinor, err = fromStripe(d.Amount, currency); err != nil {
		return r, order, true, err
	}
	if r.State, err = disputeState(d.Status); err != nil {
		return r, order, true, err
	}
	waits := d.Status == stripe.DisputeStatusNeedsResponse || d.Status == stripe.DisputeStatusWarningNeedsResponse
	if waits && d.EvidenceDetails != nil && d.EvidenceDetails.DueBy > 0 {
		r.RespondBy = time.Unix(d.EvidenceDetails.DueBy, 0).UTC()
	}
	return r, order, true, nil
}

func brieflySaid(reason string) string { return reason[:min(len(reason), domain.ReversalReasonMaxLen)] }

// reversed reads an event about a dispute, or about a refund that we did not ask for. Such events may come in another
// order than they happened, and do not have our metadata. So Stripe is asked how it is now.
func (p *Provider) reversed(ctx context.Context, event *stripe.Event) (domain.PaymentEvent, error) {
	ignored := domain.PaymentEvent{Type: domain.PaymentEventType(event.Type)}
	var named struct {
		ID       string            `json:"id"`
		Metadata map[string]string `json:"metadata"`
	}
	err := json.Unmarshal(event.Data.Raw, &named)
	switch isRefund := strings.HasPrefix(string(event.Type), "refund."); {
	case err != nil || !domain.ValidPaymentID(named.ID):
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event's object cannot be read.", Err: err}
	case isRefund && named.Metadata[metaRefund] != "":
		return ignored, nil // a box office asked for it, and knows
	}
	ctx, cancel := context.WithTimeout(ctx, payments.CallTimeout)
	defer cancel()
	reversal, order, ours, err := p.readReversal(ctx, event.Type, named.ID)
	switch {
	case err != nil:
		return domain.PaymentEvent{}, called("read", named.ID).unknown(err)
	case !ours:
		return domain.PaymentEvent{Type: "other_shop"}, nil
	}
	return domain.PaymentEvent{
		ID: event.ID, Type: domain.PaymentReversed, Order: order, Payment: reversal.Payment, AmountMinor: reversal.AmountMinor, Currency: reversal.Currency,
		Reversal: reversal,
	}, nil
}

func (p *Provider) readReversal(ctx context.Context, kind stripe.EventType, id string) (domain.Reversal, domain.OrderID, bool, error) {
	expand := []*string{stripe.String("payment_intent")}
	if !strings.HasPrefix(string(kind), "refund.") {
		d, err := p.client.V1Disputes.Retrieve(ctx, id, &stripe.DisputeRetrieveParams{Expand: expand})
		if err != nil {
			return domain.Reversal{}, domain.OrderID{}, false, err
		}
		return p.dispute(d)
	}
	r, err := p.client.V1Refunds.Retrieve(ctx, id, &stripe.RefundRetrieveParams{Expand: expand})
	if err != nil || r.PaymentIntent == nil {
		return domain.Reversal{}, domain.OrderID{}, false, err
	}
	order, ours, err := p.orderOf(r.PaymentIntent.Metadata)
	if err != nil || !ours || isReleased(r.PaymentIntent) {
		return domain.Reversal{}, order, false, err
	}
	done, err := refundedOf(r)
	reversal := done.Reversal()
	if !returned(r) {
		reversal.State = domain.RefundFailed
	}
	return reversal, order, true, err
}

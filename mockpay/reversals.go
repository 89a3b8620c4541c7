package mockpay

import (
	"encoding/binary"
	"net/http"
	"time"

	"go.etcd.io/bbolt"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// respondWithin is how long the organiser has to answer a dispute.
const respondWithin = 7 * 24 * time.Hour

// Which states follow another in a dispute's life. None is the first.
var disputeCourse = map[domain.ReversalState][]domain.ReversalState{
	"":                    {domain.DisputeInquiry, domain.DisputeOpen},
	domain.DisputeInquiry: {domain.DisputeOpen, domain.DisputeDropped},
	domain.DisputeOpen:    {domain.DisputeWon, domain.DisputeLost},
}

func (a *api) dispute(w http.ResponseWriter, r *http.Request) {
	var request mockpay.DisputeRequest
	answerDeed(a, w, r, &request, func(order domain.OrderID) (domain.Reversal, error) { return a.bank.dispute(order, request) })
}

func (a *api) refundElsewhere(w http.ResponseWriter, r *http.Request) {
	var request mockpay.RefundElsewhereRequest
	answerDeed(a, w, r, &request, func(order domain.OrderID) (mockpay.Refund, error) { return a.bank.refundElsewhere(order, request) })
}

// answerDeed does what a person does to a session, as the body says.
func answerDeed[T any](a *api, w http.ResponseWriter, r *http.Request, request any, do func(domain.OrderID) (T, error)) {
	order, err := orderOf(r)
	if err == nil {
		err = readStrictJSON(r, request)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	done, err := do(order)
	a.answer(w, r, done, err)
}

// dispute is what the buyer's bank does to the payment of a session. The same state again
// changes nothing.
func (b *bank) dispute(order domain.OrderID, request mockpay.DisputeRequest) (domain.Reversal, error) {
	return reverse(b, order, func(tx *bbolt.Tx, capture domain.Capture, now time.Time) (done domain.Reversal, isNews bool, refused *refusal, err error) {
		d, isOpen, err := indexed[domain.Reversal](tx, disputedBucket, disputesBucket, capture.Payment)
		switch {
		case err != nil:
			return d, false, nil, err
		case isOpen && d.State == request.State && (request.AmountMinor == 0 || request.AmountMinor == d.AmountMinor):
			return d, false, nil, nil
		case !follows(request.State, d.State):
			return d, false, refuse(refusedDispute, "A dispute that is %q cannot become %q.", d.State, request.State), nil
		case isOpen && request.AmountMinor != 0 && request.AmountMinor != d.AmountMinor:
			return d, false, refuse(refusedDispute, "The dispute is about %d %s.", d.AmountMinor, d.Currency), nil
		}
		if !isOpen {
			d = domain.Reversal{
				ID: "dp_" + capture.Payment, Kind: domain.ReversalDispute, Payment: capture.Payment, AmountMinor: request.AmountMinor,
				Currency: capture.Currency, Reason: request.Reason, At: now,
			}
			if d.AmountMinor == 0 {
				d.AmountMinor = capture.AmountMinor
			}
		}
		if d.AmountMinor < 1 || d.AmountMinor > capture.AmountMinor || len(d.Reason) > domain.ReversalReasonMaxLen {
			return d, false, refuse(refusedInvalid, "The amount must be 1–%d minor units, and the reason short.", capture.AmountMinor), nil
		}
		d.State, d.RespondBy = request.State, time.Time{}
		if !d.State.Terms().Ended {
			d.RespondBy = d.At.Add(respondWithin)
		}
		if isOpen {
			return d, true, nil, put(tx.Bucket(disputesBucket), tx.Bucket(disputedBucket).Get([]byte(capture.Payment)), d)
		}
		return d, true, nil, addIndexed(tx, disputedBucket, disputesBucket, capture.Payment, d)
	}, func(d domain.Reversal) domain.Reversal { return d })
}

func follows(state, before domain.ReversalState) bool {
	for _, next := range disputeCourse[before] {
		if next == state {
			return true
		}
	}
	return false
}

// refundElsewhere gives back part of a session's payment, as a person does.
func (b *bank) refundElsewhere(order domain.OrderID, request mockpay.RefundElsewhereRequest) (mockpay.Refund, error) {
	return reverse(b, order, func(tx *bbolt.Tx, capture domain.Capture, now time.Time) (done mockpay.Refund, isNews bool, refused *refusal, err error) {
		if !domain.ValidPaymentID(request.Key) {
			return done, false, refuse(refusedInvalid, "The key must have 1–%d letters, digits or any of ._:-.", domain.PaymentIDMaxLen), nil
		}
		of := mockpay.RefundRequest{Payment: capture.Payment, Key: "elsewhere:" + request.Key, AmountMinor: request.AmountMinor, Currency: capture.Currency}
		_, isThere, err := indexed[mockpay.Refund](tx, refundedBucket, refundsBucket, refundKey(of))
		if err != nil {
			return done, false, nil, err
		}
		done, refused, err = refundAs(tx, of, true, now)
		return done, !isThere, refused, err
	}, func(r mockpay.Refund) domain.Reversal {
		return domain.Reversal{
			ID: r.ID, Kind: domain.ReversalRefund, Payment: r.Payment, AmountMinor: r.AmountMinor, Currency: r.Currency, State: domain.RefundMade, At: r.RefundedAt,
		}
	})
}

// reverse does something to the payment of a session after it was taken, and reports it
// in the same transaction.
func reverse[T any](
	b *bank, order domain.OrderID, do func(*bbolt.Tx, domain.Capture, time.Time) (done T, isNews bool, refused *refusal, err error),
	reversal func(T) domain.Reversal,
) (T, error) {
	var none, done T
	if err := b.checkUndelivered(); err != nil {
		return none, err
	}
	events, err := newEventIDs()
	if err != nil {
		return none, err
	}
	var refused *refusal
	var told *ended
	err = b.store.update(func(tx *bbolt.Tx) error {
		s, isThere, err := loadSession(tx, order)
		if err != nil {
			return err
		}
		if !isThere || s.Capture == nil {
			refused = refuse(refusedNotFound, "Nothing was captured in session %s.", mockpay.SessionID(order))
			return nil
		}
		now := b.now().UTC()
		var isNews bool
		if done, isNews, refused, err = do(tx, *s.Capture, now); err != nil || refused != nil || !isNews {
			return err
		}
		r := reversal(done)
		key, err := add(tx.Bucket(pendingBucket), mockpay.Delivery{OccurredAt: now, State: mockpay.DeliveryPending, Event: domain.PaymentEvent{
			ID: events[0], Type: domain.PaymentReversed, Session: s.Session, Order: s.Order,
			Payment: r.Payment, AmountMinor: r.AmountMinor, Currency: r.Currency, Reversal: r,
		}})
		if err == nil {
			told = &ended{parcels: []parcel{{key: binary.BigEndian.Uint64(key), due: now}}}
		}
		return err
	})
	if err != nil {
		return none, err
	}
	if refused != nil {
		return none, refused
	}
	b.announce(told)
	return done, nil
}

// goneSum is what of a payment the box office has not any more: what was given back, and
// what a dispute has taken.
func goneSum(tx *bbolt.Tx, payment string) (returned, taken int64, err error) {
	if returned, err = refundedSum(tx, payment); err != nil {
		return 0, 0, err
	}
	d, _, err := indexed[domain.Reversal](tx, disputedBucket, disputesBucket, payment)
	return returned, d.Taken(), err
}

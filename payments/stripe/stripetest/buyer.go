package stripetest

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stripe/stripe-go/v84"
	"github.com/stripe/stripe-go/v84/webhook"
)

// ErrClosed says that a buyer's deed has no effect: the session is not open any more.
var ErrClosed = errors.New("the session is closed")

// Pay pays in a session, by card.
func (s *Server) Pay(id string) error {
	return s.act(id, "open", func(one *session) {
		if one.manual { // the money is held, and not taken yet
			s.begin(one, "requires_capture")
			one.payment.chargedAt = s.Now()
			s.emit("checkout.session.completed", s.sessionObject(one, false))
			return
		}
		s.begin(one, "succeeded")
		s.capture(one, "checkout.session.completed")
	})
}

// Decline is a card that the bank declines. The session stays open; its payment is there from the first attempt on.
func (s *Server) Decline(id string) error {
	return s.act(id, "open", func(one *session) {
		s.attempt(one, "requires_payment_method")
		s.emitFailed(one)
	})
}

// emitFailed tells of an attempt that failed, as Stripe does of a card and of a transfer.
func (s *Server) emitFailed(one *session) {
	failed := paymentObject(one.payment)
	failed["last_payment_error"] = object{"type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": "Your card was declined."}
	s.emit("payment_intent.payment_failed", failed)
}

// Transfer begins a payment that takes days; Arrive and Bounce end it.
func (s *Server) Transfer(id string) error {
	return s.act(id, "open", func(one *session) {
		s.begin(one, "processing")
		s.emit("checkout.session.completed", s.sessionObject(one, false))
	})
}

// delayed are methods whose money takes days, as far as tests go.
var delayed = []string{"sepa_debit", "us_bank_account", "boleto"}

// Debit is Transfer by a method whose money takes days, if the session offers one.
func (s *Server) Debit(id string) error {
	s.mu.Lock()
	one := s.session(id)
	isOffered := one != nil && slices.ContainsFunc(one.methods, func(method string) bool { return slices.Contains(delayed, method) })
	s.mu.Unlock()
	if !isOffered {
		return ErrClosed
	}
	return s.Transfer(id)
}

// Arrive is the money of a transfer.
func (s *Server) Arrive(id string) error {
	return s.act(id, "complete", func(one *session) {
		one.payment.status = "succeeded"
		s.capture(one, "checkout.session.async_payment_succeeded")
	})
}

// Bounce is a transfer whose money does not come.
func (s *Server) Bounce(id string) error {
	return s.act(id, "complete", func(one *session) {
		one.payment.status = "requires_payment_method"
		s.emitFailed(one)
		s.emit("checkout.session.async_payment_failed", s.sessionObject(one, false))
	})
}

// PaymentStatus is the status of a session's payment; empty before the first attempt.
func (s *Server) PaymentStatus(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.sessions[id]; one != nil && one.payment != nil {
		return one.payment.status
	}
	return ""
}

// RefuseCaptures makes the cards' banks refuse to capture what they have authorised.
func (s *Server) RefuseCaptures(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = refuse
}

// RefundInDashboard gives part of a payment back, as a person at Stripe's dashboard does.
func (s *Server) RefundInDashboard(payment string, amount int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.createRefund(map[string][]string{"payment_intent": {payment}, "amount": {fmt.Sprint(amount)}})
	if a.status != http.StatusOK {
		return errors.New(string(a.body))
	}
	return nil
}

// Dispute is the buyer's bank, which asks the payment of a session back: it opens a dispute (state needs_response, or
// warning_needs_response for an inquiry), or changes the one that there is.
func (s *Server) Dispute(id, status string) error { return s.DisputePart(id, status, 0) }

// DisputePart is Dispute about a part of the payment; 0: all of it.
func (s *Server) DisputePart(id, status string, amount int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.session(id)
	if one == nil || one.payment == nil || one.payment.chargedAt.IsZero() {
		return ErrClosed
	}
	i := slices.IndexFunc(s.disputes, func(d *dispute) bool { return d.payment == one.payment })
	if i < 0 {
		i = len(s.disputes)
		s.disputes = append(s.disputes, &dispute{
			id: "du_" + rand.Text(), reason: "fraudulent", payment: one.payment, amount: cmp.Or(amount, one.payment.amount), created: s.Now(),
		})
	}
	d := s.disputes[i]
	was := *d
	d.status = status
	of := func() object { return disputeObject(d, false) }
	switch isEnd := status == "won" || status == "lost" || status == "warning_closed"; {
	case was.status == "":
		s.emit("charge.dispute.created", of())
	case isEnd:
		s.emit("charge.dispute.closed", of())
	default:
		s.emit("charge.dispute.updated", of())
	}
	switch {
	case d.takes() && !was.takes():
		s.emit("charge.dispute.funds_withdrawn", of())
	case was.takes() && !d.takes():
		s.emit("charge.dispute.funds_reinstated", of())
	}
	return nil
}

// PaymentOf is the payment of a session.
func (s *Server) PaymentOf(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.session(id); one != nil && one.payment != nil {
		return one.payment.id
	}
	return ""
}

// Refunded is what was given back of a payment.
func (s *Server) Refunded(payment string) (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.refunds {
		if r.payment.id == payment && r.status != "failed" {
			sum += r.amount
		}
	}
	return sum
}

// FailRefund is a refund that the buyer's bank sends back: its money is the organiser's again.
func (s *Server) FailRefund(payment string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.Backward(s.refunds) {
		if r.payment.id == payment && r.status != "failed" {
			r.status = "failed"
			s.emit("refund.failed", refundObject(r, false))
			return nil
		}
	}
	return ErrClosed
}

// Sessions lists the ids of all sessions, oldest first.
func (s *Server) Sessions() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.opened {
		ids = append(ids, one.id)
	}
	return ids
}

func (s *Server) act(id, status string, do func(*session)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.session(id)
	if one == nil || one.status != status || status == "complete" && one.payment.status != "processing" {
		return ErrClosed
	}
	do(one)
	return nil
}

func (s *Server) begin(one *session, status string) {
	one.status = "complete"
	s.attempt(one, status)
}

func (s *Server) attempt(one *session, status string) {
	if one.payment == nil {
		one.payment = &payment{id: "pi_" + rand.Text(), currency: one.currency, amount: one.amount, metadata: one.paymentMetadata, manual: one.manual}
		s.payments[one.payment.id] = one.payment
	}
	one.payment.status = status
}

func (s *Server) capture(one *session, event string) {
	one.paymentStatus = "paid"
	one.payment.chargedAt = s.Now()
	s.emit(event, s.sessionObject(one, false))
}

// emit is called with the lock held.
func (s *Server) emit(kind string, of object) {
	s.number++
	body, err := json.Marshal(object{
		"id": fmt.Sprintf("evt_%06d%s", s.number, rand.Text()), "object": "event", "type": kind, "api_version": stripe.APIVersion,
		"created": s.Now().Unix(), "livemode": false, "data": object{"object": of},
	})
	if err != nil {
		panic(err)
	}
	hook := s.Signed(body)
	s.webhooks = append(s.webhooks, hook)
	if s.Deliver != nil {
		s.Deliver(hook.Header, hook.Body)
	}
}

// Signed is a body as a webhook of this Stripe.
func (s *Server) Signed(body []byte) Webhook { return s.SignedAt(s.Now(), body) }

// SignedAt is a body as a webhook that was sent at a time.
func (s *Server) SignedAt(at time.Time, body []byte) Webhook {
	header := http.Header{}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(webhook.ComputeSignature(at, body, WebhookSecret))))
	return Webhook{Header: header, Body: body}
}

// Webhooks lists all webhooks so far, oldest first.
func (s *Server) Webhooks() []Webhook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.webhooks)
}

// ForgetKeys forgets all idempotency keys, as Stripe does after a day.
func (s *Server) ForgetKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.answered)
}

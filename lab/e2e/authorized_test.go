package e2e

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/domain"
	server "boxoffice/mockpay"
	"boxoffice/payments/mockpay"
	"boxoffice/payments/stripe"
)

// Endings of sales whose money is captured once the seats are sold.

func (s *stack) seatsFirstSale(t *testing.T, provider string, capacity, holdSeconds int) string {
	t.Helper()
	id := "seats-" + uuid.NewString()[:8]
	sale, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: id, Name: "Seats first", Currency: "EUR", Provider: provider, HoldSeconds: new(int64(holdSeconds)), BuyerLimit: new(int64(4)),
		Capture: string(domain.CaptureAfterSeats), Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: int64(capacity)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if sale.Capture != string(domain.CaptureAfterSeats) {
		t.Fatalf("the sale captures %q", sale.Capture)
	}
	return id
}

// mustHaveTaken says what MockPay did with an order's payment: captured it, or nothing. It is never still authorised.
func (s *stack) mustHaveTaken(t *testing.T, o order, want bool) {
	t.Helper()
	provider := s.mockpay()
	session, err := provider.Session(t.Context(), o.PaymentSession)
	if err != nil {
		t.Fatal(err)
	}
	if taken := session.Status == mockpay.SessionCaptured; taken != want || session.Status == mockpay.SessionAuthorized {
		t.Errorf("the session is %s; captured: want %t", session.Status, want)
	}
	for _, payment := range s.refundedPayments(t) {
		if strings.HasPrefix(payment, o.PaymentSession) {
			t.Errorf("payment %s was refunded", payment)
		}
	}
}

func endsCapturedAfterSeats(t *testing.T, s *stack) string {
	sale := s.seatsFirstSale(t, "", 10, longHold)
	o := s.hold(t, sale, items{"A": 2})
	s.pay(t, o, "succeeded")
	if paid := s.awaitStatus(t, o, "paid"); len(paid.Tickets) != 2 {
		t.Fatalf("%d tickets", len(paid.Tickets))
	}
	s.awaitStock(t, sale, "A", level{Sold: 2, Available: 8})
	s.awaitAcknowledged(t, o)
	s.mustHaveTaken(t, o, true)
	return "checkout/" + o.Order
}

// endsCaptureRefused: the bank does not give what it has authorised. Somebody else gets the seat.
func endsCaptureRefused(t *testing.T, s *stack) string {
	sale := s.seatsFirstSale(t, "", 1, longHold)
	o := s.hold(t, sale, items{"A": 1})
	s.misbehave(t, o, server.TrickRefuseCapture)
	s.pay(t, o, "succeeded")
	if failed := s.awaitStatus(t, o, "failed"); len(failed.Tickets) != 0 {
		t.Fatalf("%d tickets of an order that nobody paid", len(failed.Tickets))
	}
	s.awaitStock(t, sale, "A", level{Available: 1})
	s.mustHaveTaken(t, o, false)
	s.sellOut(t, sale)
	return "checkout/" + o.Order
}

// endsAuthorisedThenCanceled: the buyer changes their mind before the box office has heard of the payment.
func endsAuthorisedThenCanceled(t *testing.T, s *stack) string {
	sale := s.seatsFirstSale(t, "", 10, longHold)
	o := s.hold(t, sale, items{"A": 1})
	s.misbehave(t, o, server.TrickLose)
	s.pay(t, o, "succeeded")
	s.cancel(t, o)
	s.awaitStatus(t, o, "canceled")
	s.awaitClosed(t, lateID(o))
	s.mustHaveTaken(t, o, false)
	s.awaitStock(t, sale, "A", level{Available: 10})
	return "checkout/" + o.Order
}

// endsLateReleased: the provider said that the session has expired, and a payment is authorised in it all the same.
// Seats are left, but nobody wants them.
func endsLateReleased(t *testing.T, s *stack) string {
	sale := s.seatsFirstSale(t, "", 10, longHold)
	o := s.hold(t, sale, items{"A": 1})
	s.misbehave(t, o, server.TrickCaptureLate)
	s.visit(t, o)
	s.cancel(t, o)
	s.awaitAcknowledged(t, o)
	s.awaitClosed(t, lateID(o))
	s.mustHaveTaken(t, o, false)
	s.awaitStatus(t, o, "canceled")
	s.awaitStock(t, sale, "A", level{Available: 10})
	return lateID(o)
}

// testStripeSeatsFirst is the same at a double of Stripe.
func testStripeSeatsFirst(t *testing.T, s *stack) {
	double := stripeDouble()
	t.Run("authorised, captured, and refunded", func(t *testing.T) {
		b := s.stripeBuyer(t, s.seatsFirstSale(t, stripe.Name, 10, longHold))
		if err := double.Pay(b.session); err != nil {
			t.Fatal(err)
		}
		b.deliver(2)
		if paid := s.awaitStatus(t, b.order, "paid"); len(paid.Tickets) != 1 {
			t.Errorf("%d tickets, want one", len(paid.Tickets))
		}
		b.mustBe("succeeded")
		s.refund(t, b.order)
	})
	t.Run("the webhook is lost: found at the deadline", func(t *testing.T) {
		b := s.stripeBuyer(t, s.seatsFirstSale(t, stripe.Name, 10, shortHold))
		if err := double.Pay(b.session); err != nil {
			t.Fatal(err)
		}
		s.awaitStatus(t, b.order, "paid")
		b.mustBe("succeeded")
	})
	t.Run("the buyer comes back before the webhook", func(t *testing.T) {
		b := s.stripeBuyer(t, s.seatsFirstSale(t, stripe.Name, 10, longHold))
		if err := double.Pay(b.session); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the order is paid", func() bool { _, view := s.checkPayment(t, b.order); return view.Status == "paid" })
		b.mustBe("succeeded")
	})
	t.Run("canceled after it was authorised: released", func(t *testing.T) {
		b := s.stripeBuyer(t, s.seatsFirstSale(t, stripe.Name, 10, longHold))
		if err := double.Pay(b.session); err != nil {
			t.Fatal(err)
		}
		s.cancel(t, b.order)
		s.awaitStatus(t, b.order, "canceled")
		eventually(t, "the payment is released", func() bool { return double.PaymentStatus(b.session) == "canceled" })
		b.deliver(1) // too late
		s.awaitStatus(t, b.order, "canceled")
	})
}

func (b *stripeBuyer) mustBe(status string) {
	b.Helper()
	if got := stripeDouble().PaymentStatus(b.session); got != status {
		b.Errorf("the payment of session %s is %s, want %s", b.session, got, status)
	}
}

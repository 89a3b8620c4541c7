package e2e

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/payments/mockpay"
	"boxoffice/payments/stripe"
)

// A sale of one ticket, whose seats are kept while a payment is being processed.
func (s *stack) delayedSale(t *testing.T, provider string, processingSeconds int) string {
	t.Helper()
	id := "delayed-" + uuid.NewString()[:8]
	sale, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: id, Name: "Paid later", Currency: "EUR", Provider: provider, HoldSeconds: new(int64(shortHold)), BuyerLimit: new(int64(4)),
		ProcessingSeconds: new(int64(processingSeconds)), Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if sale.ProcessingSeconds == nil || *sale.ProcessingSeconds != int64(processingSeconds) {
		t.Fatalf("the sale keeps its seats for %v s", sale.ProcessingSeconds)
	}
	return id
}

// longProcessing is longer than any test.
const longProcessing = 3600

// awaitProcessing waits until the checkout has heard, at its deadline, that the payment is being processed.
func (s *stack) awaitProcessing(t *testing.T, o order) {
	t.Helper()
	eventually(t, "order "+o.Order+" waits for its payment after its deadline", func() bool {
		processing := s.state(t, o).Processing
		return processing != nil && *processing
	})
	if state := s.state(t, o); state.Status != "held" || state.SeatsKeptUntil == nil || !state.SeatsKeptUntil.After(*state.HoldExpiresAt) {
		t.Errorf("%+v", state)
	}
}

// testDelayed is the endings of payments by delayed methods, at a double of Stripe and at MockPay. The buyers wait for
// their deadlines together.
func testDelayed(t *testing.T, s *stack) {
	double := stripeDouble()
	debit := func(processingSeconds int) (*stripeBuyer, string) {
		sale := s.delayedSale(t, stripe.Name, processingSeconds)
		b := s.stripeBuyer(t, sale)
		if err := double.Debit(b.session); err != nil {
			t.Fatal(err)
		}
		return b, sale
	}
	arrives, arrivesSale := debit(longProcessing)
	bounces, bouncesSale := debit(longProcessing)
	neverEnds, neverEndsSale := debit(shortHold)
	atMockPay := s.hold(t, s.delayedSale(t, mockpay.Name, longProcessing), items{"A": 1})
	s.pay(t, atMockPay, mockpay.OutcomeProcessing)

	t.Run("paid after the deadline", func(t *testing.T) {
		s.awaitProcessing(t, arrives.order)
		if _, view := s.checkPayment(t, arrives.order); view.Status != "held" || view.Payment == "none" {
			t.Errorf("the buyer is told %+v", view)
		}
		s.awaitStock(t, arrivesSale, "A", level{Held: 1})
		_, err := s.boxOffice().CancelOrder(t.Context(), arrives.order.Order, arrives.order.Token)
		if refused := new(client.Refusal); !errors.As(err, &refused) || refused.Code != "payment_processing" {
			t.Errorf("a cancel meanwhile: %v", err)
		}
		if err := double.Arrive(arrives.session); err != nil {
			t.Fatal(err)
		}
		arrives.deliver(2)
		if paid := s.awaitStatus(t, arrives.order, "paid"); len(paid.Tickets) != 1 {
			t.Errorf("%d tickets, want one", len(paid.Tickets))
		}
		s.refund(t, arrives.order)
	})
	t.Run("it did not go through: the ticket is on sale again", func(t *testing.T) {
		s.awaitProcessing(t, bounces.order)
		if err := double.Bounce(bounces.session); err != nil {
			t.Fatal(err)
		}
		bounces.deliver(2)
		s.awaitStatus(t, bounces.order, "failed")
		s.awaitStock(t, bouncesSale, "A", level{Available: 1})
	})
	t.Run("it never ends in time: the ticket is sold to somebody else, and the money goes back", func(t *testing.T) {
		s.awaitStatus(t, neverEnds.order, "expired")
		s.awaitStock(t, neverEndsSale, "A", level{Available: 1})
		other := s.stripeBuyer(t, neverEndsSale)
		if err := double.Pay(other.session); err != nil {
			t.Fatal(err)
		}
		other.deliver(1)
		s.awaitStatus(t, other.order, "paid")
		if err := double.Arrive(neverEnds.session); err != nil {
			t.Fatal(err)
		}
		neverEnds.deliver(1)
		s.awaitStatus(t, neverEnds.order, "refunded")
		payment := double.PaymentOf(neverEnds.session)
		eventually(t, "Stripe has given the money back", func() bool { return double.Refunded(payment) == 6500 })
	})
	t.Run("at MockPay, and the webhook is not needed", func(t *testing.T) {
		s.awaitProcessing(t, atMockPay)
		s.pay(t, atMockPay, "succeeded")
		s.awaitStatus(t, atMockPay, "paid")
	})
	t.Run("where the seats are not kept nobody is offered such a method", func(t *testing.T) {
		b := s.stripeBuyer(t, s.stripeSale(t, longHold))
		if err := double.Debit(b.session); err == nil {
			t.Error("a delayed method was offered")
		}
		o := s.hold(t, s.sale(t, 1, longHold, 5), items{"A": 1})
		s.visit(t, o)
		if _, err := s.mockpay().Pay(t.Context(), o.PaymentSession, "", mockpay.OutcomeProcessing); err == nil {
			t.Error("MockPay processes a payment for which no seat is kept")
		}
	})
}

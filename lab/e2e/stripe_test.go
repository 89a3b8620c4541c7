package e2e

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/domain"
	"boxoffice/payments/stripe"
	"boxoffice/payments/stripe/stripetest"
)

// stripeDouble lives as long as the test process: a stack that starts again finds what was paid before.
var stripeDouble = sync.OnceValue(func() *stripetest.Server {
	double := stripetest.New()
	double.Trouble = func(r *http.Request) stripetest.Trouble {
		if stripeOpensNothing.Load() && r.Method == http.MethodPost && r.URL.Path == "/v1/checkout/sessions" {
			return stripetest.RateLimit
		}
		return stripetest.None
	}
	return double
})

// stripeOpensNothing: Stripe answers with its rate limit when a session is to be opened.
var stripeOpensNothing atomic.Bool

// stripeVariables make every stack's box office one with two payment providers. All stacks share the account, and each
// has a shop of its own there: that of its directory.
func stripeVariables(dir string) map[string]string {
	return map[string]string{
		"BOXOFFICE_PAYMENT_PROVIDERS": "mockpay,stripe",
		"STRIPE_API_KEY":              stripetest.Key,
		"STRIPE_WEBHOOK_SECRET":       stripetest.WebhookSecret,
		"STRIPE_SHOP":                 fmt.Sprintf("shop-%x", sha256.Sum256([]byte(dir)))[:20],
		"STRIPE_URL":                  stripeDouble().URL,
		"STRIPE_DELAYED_METHODS":      "sepa_debit",
	}
}

// A stripeBuyer is one checkout of a sale that is paid at Stripe.
type stripeBuyer struct {
	*stack
	*testing.T
	order   order
	session string // of Stripe's
	before  int    // webhooks that Stripe had sent when the buyer came: of others, and perhaps too old to be believed
}

func (s *stack) stripeSale(t *testing.T, holdSeconds int) string {
	t.Helper()
	id := "stripe-" + uuid.NewString()[:8]
	_, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: id, Name: "Paid at Stripe", Currency: "EUR", Provider: stripe.Name, HoldSeconds: new(int64(holdSeconds)), BuyerLimit: new(int64(4)),
		Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// stripeBuyer holds a ticket, and goes to Stripe's page.
func (s *stack) stripeBuyer(t *testing.T, sale string) *stripeBuyer {
	t.Helper()
	b := &stripeBuyer{stack: s, T: t, order: s.hold(t, sale, items{"A": 1}), before: len(stripeDouble().Webhooks())}
	b.session = b.toPay()
	return b
}

// toPay presses pay, and returns the session of the page that the buyer comes to.
func (b *stripeBuyer) toPay() string {
	b.Helper()
	link, err := url.Parse(b.order.PaymentURL)
	if err != nil {
		b.Fatal(err)
	}
	page, err := b.boxOffice().OpenPayment(b.Context(), b.order.Order, link.Query().Get("key"))
	if err != nil {
		b.Fatal(err)
	}
	return path.Base(page)
}

// deliver brings what Stripe has had to tell since the buyer came to the box office, as often as Stripe may.
func (b *stripeBuyer) deliver(times int) {
	b.Helper()
	for range times {
		for _, hook := range stripeDouble().Webhooks()[b.before:] {
			if _, err := b.boxOffice().DeliverEvent(b.Context(), stripe.Name, hook.Header, hook.Body); err != nil {
				b.Fatalf("deliver %s: %v", hook.Body, err)
			}
		}
	}
}

// testStripe is whole checkouts at a double of Stripe, through the box office's own routes.
func testStripe(t *testing.T, s *stack) {
	double := stripeDouble()
	long, short := s.stripeSale(t, longHold), s.stripeSale(t, 5)

	t.Run("paid, told three times, and refunded", func(t *testing.T) {
		b := s.stripeBuyer(t, long)
		if again := b.toPay(); again != b.session {
			t.Errorf("pressing pay again leads to session %s, and before to %s", again, b.session)
		}
		if err := double.Pay(b.session); err != nil {
			t.Fatal(err)
		}
		b.deliver(3)
		if paid := s.awaitStatus(t, b.order, "paid"); len(paid.Tickets) != 1 {
			t.Errorf("tickets: %v, want one", paid.Tickets)
		}
		s.refund(t, b.order)
	})
	t.Run("a declined card keeps the ticket, and another one pays", func(t *testing.T) {
		b := s.stripeBuyer(t, long)
		for n := range 2 {
			if err := double.Decline(b.session); err != nil {
				t.Fatal(err)
			}
			b.deliver(2) // each event counts once
			s.awaitDeclines(t, b.order, n+1)
		}
		if again := b.toPay(); again != b.session {
			t.Errorf("after declines pay leads to session %s, and before to %s", again, b.session)
		}
		if err := double.Pay(b.session); err != nil {
			t.Fatal(err)
		}
		b.deliver(1)
		s.awaitStatus(t, b.order, "paid")
	})
	t.Run("declined too often: the session is expired, and the ticket is on sale again", func(t *testing.T) {
		b := s.stripeBuyer(t, long)
		for range domain.DeclinesMax {
			if err := double.Decline(b.session); err != nil {
				t.Fatal(err)
			}
		}
		b.deliver(1)
		s.awaitStatus(t, b.order, "failed")
		if err := double.Pay(b.session); err == nil {
			t.Error("a session was paid after its order failed")
		}
	})
	t.Run("paid, and the webhook is lost", func(t *testing.T) {
		b := s.stripeBuyer(t, short)
		if err := double.Pay(b.session); err != nil {
			t.Fatal(err)
		}
		s.awaitStatus(t, b.order, "paid")
	})
	t.Run("paid, and the buyer comes back before the webhook", func(t *testing.T) {
		o := s.hold(t, long, items{"A": 1})
		if _, view := s.checkPayment(t, o); view.Payment != "none" {
			t.Fatalf("before anybody went to pay: %+v", view)
		}
		b := &stripeBuyer{stack: s, T: t, order: o, before: len(double.Webhooks())}
		b.session = b.toPay()
		if err := double.Transfer(b.session); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the buyer is told that the payment is being processed", func() bool {
			_, view := s.checkPayment(t, o)
			if view.Payment == "none" {
				t.Fatal("a buyer whose payment is being processed was told that nothing was paid")
			}
			return view.Payment == "processing"
		})
		if err := double.Arrive(b.session); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the order is paid", func() bool { _, view := s.checkPayment(t, o); return view.Status == "paid" })
		b.deliver(2) // at last, and twice
		if paid := s.state(t, o); paid.Status != "paid" || len(paid.Tickets) != 1 {
			t.Errorf("%s, %d tickets", paid.Status, len(paid.Tickets))
		}
	})
	t.Run("not paid: the session is expired with the hold", func(t *testing.T) {
		b := s.stripeBuyer(t, short)
		s.awaitStatus(t, b.order, "expired")
		if err := double.Pay(b.session); err == nil {
			t.Error("a session was paid after its order expired")
		}
	})
	t.Run("given back: the session takes no money", func(t *testing.T) {
		b := s.stripeBuyer(t, long)
		if _, err := s.boxOffice().CancelOrder(t.Context(), b.order.Order, b.order.Token); err != nil {
			t.Fatal(err)
		}
		s.awaitStatus(t, b.order, "canceled")
		if err := double.Pay(b.session); err == nil {
			t.Error("a session was paid after its order was canceled")
		}
	})
	t.Run("a transfer under way holds the deadline up", func(t *testing.T) {
		b := s.stripeBuyer(t, short)
		if err := double.Transfer(b.session); err != nil {
			t.Fatal(err)
		}
		b.deliver(1)
		if err := double.Arrive(b.session); err != nil {
			t.Fatal(err)
		}
		b.deliver(1)
		s.awaitStatus(t, b.order, "paid")
	})
}

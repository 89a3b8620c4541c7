package e2e

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/payments/stripe"
)

// testStripeLimits is what Stripe does not do: take every amount, and open sessions as fast as anybody likes.
func testStripeLimits(t *testing.T, s *stack) {
	t.Run("prices that Stripe cannot take are refused with their field", func(t *testing.T) {
		body := func(currency string, price, maxPerOrder int64) *client.CreateSaleBody {
			return &client.CreateSaleBody{
				ID: "prices-" + uuid.NewString()[:8], Name: "Dear", Currency: currency, Provider: stripe.Name, BuyerLimit: new(int64(4)),
				Classes: []client.CreateClassBody{{Class: "A", Price: price, Capacity: 10, MaxPerOrder: new(maxPerOrder)}},
			}
		}
		for name, sale := range map[string]*client.CreateSaleBody{
			"a digit that no dinar has at Stripe": body("KWD", 6501, 4), "too much in one order": body("EUR", 30_000_000, 4),
		} {
			_, err := s.boxOffice().CreateSale(t.Context(), sale)
			mustRefuseField(t, name, err, "classes[0].price")
			if _, err := s.boxOffice().GetSale(t.Context(), sale.ID); err == nil {
				t.Errorf("%s: the sale is there", name)
			}
		}
		within := body("EUR", 30_000_000, 3)
		sale, err := s.boxOffice().CreateSale(t.Context(), within)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.boxOffice().ChangeSale(t.Context(), within.ID, client.ChangeSaleParams{IfMatch: strconv.Quote(strconv.FormatInt(sale.Version, 10))},
			&client.ChangeSaleBody{Classes: []client.ChangeClassBody{{Class: "A", MaxPerOrder: new(int64(4))}}})
		mustRefuseField(t, "more in one order, later", err, "classes[0].max_per_order")
	})
	t.Run("at the rate limit the ticket stays held, and is paid once it is over", func(t *testing.T) {
		double := stripeDouble()
		b := &stripeBuyer{stack: s, T: t, order: s.hold(t, s.stripeSale(t, longHold), items{"A": 1}), before: len(double.Webhooks())}
		link, err := url.Parse(b.order.PaymentURL)
		if err != nil {
			t.Fatal(err)
		}
		key := link.Query().Get("key")
		stripeOpensNothing.Store(true)
		t.Cleanup(func() { stripeOpensNothing.Store(false) })
		_, err = s.boxOffice().OpenPayment(t.Context(), b.order.Order, key)
		if refused := new(client.Refusal); !errors.As(err, &refused) || refused.HTTPStatus != http.StatusServiceUnavailable {
			t.Errorf("at the rate limit pay answers %v", err)
		}
		if state := s.state(t, b.order); state.Status != "held" {
			t.Errorf("the order is %s", state.Status)
		}
		stripeOpensNothing.Store(false)
		eventually(t, "the buyer comes to Stripe's page", func() bool {
			page, err := s.boxOffice().OpenPayment(t.Context(), b.order.Order, key)
			b.session = path.Base(page)
			return err == nil
		})
		if err := double.Pay(b.session); err != nil {
			t.Fatal(err)
		}
		b.deliver(1)
		s.awaitStatus(t, b.order, "paid")
	})
}

func mustRefuseField(t *testing.T, name string, err error, field string) {
	t.Helper()
	refused := new(client.Refusal)
	if !errors.As(err, &refused) || refused.HTTPStatus != http.StatusUnprocessableEntity || !strings.Contains(err.Error(), field) {
		t.Errorf("%s: %v, want a 422 that names %s", name, err, field)
	}
}

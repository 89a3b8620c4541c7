package demo

import (
	"context"
	"errors"
	"net/http"
	"time"

	"boxoffice/client"
	"boxoffice/lab/mockpayclient"
	"boxoffice/payments/mockpay"
)

// A buyers asks the box office, and the provider.
type buyers struct {
	api     *client.Client
	mockpay *mockpayclient.MockPay
}

func newBuyers(o Options) *buyers {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Buyers
	c := &http.Client{Timeout: 30 * time.Second, Transport: transport}
	return &buyers{
		api:     &client.Client{URL: o.BoxOfficeURL, AdminURL: o.AdminURL, AdminToken: o.AdminToken, HTTP: c},
		mockpay: mockpayclient.New(o.MockPayURL, c),
	}
}

func (c *buyers) openSale(ctx context.Context, id string, classes []client.CreateClassBody, perks int64, hold time.Duration) error {
	holdSeconds, limit := int64(hold.Seconds()), int64(2)
	_, err := c.api.CreateSale(ctx, &client.CreateSaleBody{
		ID: id, Name: "Demo on-sale", Currency: "EUR", Classes: classes, HoldSeconds: &holdSeconds, BuyerLimit: &limit,
		Perk: &client.CreatePerkBody{Name: "T-shirt", Capacity: perks},
	})
	return err
}

func (c *buyers) placeOrder(ctx context.Context, sale, key, class, email string) (client.CheckoutView, error) {
	return c.api.CreateCheckout(ctx, sale, client.CreateCheckoutParams{IdempotencyKey: key}, &client.CheckoutBody{
		Items: []client.CheckoutItem{{Class: class, Quantity: 1}}, Buyer: client.CheckoutBuyer{Email: email},
	})
}

// pay opens the provider's page, as a browser would, and gives the outcome.
func (c *buyers) pay(ctx context.Context, placed client.CheckoutView, outcome mockpay.Outcome) error {
	if err := c.mockpay.Visit(ctx, placed.PaymentURL); err != nil {
		return err
	}
	_, err := c.mockpay.Pay(ctx, placed.PaymentSession, "", outcome)
	return err
}

func (c *buyers) status(ctx context.Context, placed client.CheckoutView) (string, error) {
	order, err := c.api.GetOrder(ctx, placed.Order, placed.Token)
	return order.Status, err
}

// again reports whether an error says nothing definite: the same request must
// be repeated, after a wait.
func again(err error) (wait time.Duration, ok bool) {
	var r *client.Refusal
	if !errors.As(err, &r) {
		return 200 * time.Millisecond, err != nil // no answer at all: a restart, a reset
	}
	if r.HTTPStatus/100 == 5 || r.Code == "in_flight" {
		return max(r.RetryAfter, 200*time.Millisecond), true
	}
	return 0, false
}

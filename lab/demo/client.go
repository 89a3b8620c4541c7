package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"boxoffice/client"
)

// answerMaxBytes bounds what is read of the provider's answers.
const answerMaxBytes = 1 << 20

// A buyers speaks the contract of the box office, and of the provider.
type buyers struct {
	api     *client.Client
	http    *http.Client
	mockpay string
}

func newBuyers(o Options) *buyers {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Buyers
	c := &http.Client{Timeout: 30 * time.Second, Transport: transport}
	return &buyers{
		api:     &client.Client{URL: o.BoxOfficeURL, AdminURL: o.AdminURL, AdminToken: o.AdminToken, HTTP: c},
		http:    c,
		mockpay: strings.TrimRight(o.MockPayURL, "/"),
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
func (c *buyers) pay(ctx context.Context, placed client.CheckoutView, outcome string) error {
	if err := c.visit(ctx, placed.PaymentURL); err != nil {
		return err
	}
	return c.send(ctx, http.MethodPost, c.mockpay+"/v1/sessions/"+placed.PaymentSession+"/pay", fmt.Sprintf(`{"outcome":%q}`, outcome))
}

func (c *buyers) visit(ctx context.Context, url string) error {
	return c.send(ctx, http.MethodGet, url, "")
}

// send asks the provider, whose answer says nothing but that it took it.
func (c *buyers) send(ctx context.Context, method, url, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, answerMaxBytes))
	if err == nil && response.StatusCode/100 != 2 {
		return &client.Refusal{HTTPStatus: response.StatusCode, Problem: client.Problem{Detail: "the payment provider"}}
	}
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

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerMaxBytes bounds what is read of any answer.
const answerMaxBytes = 1 << 20

// A client speaks the contract of the box office and of the provider.
type client struct {
	http                      *http.Client
	boxoffice, admin, mockpay string
	adminToken                string
}

func newClient(o Options) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Buyers
	return &client{
		http:       &http.Client{Timeout: 30 * time.Second, Transport: transport},
		boxoffice:  strings.TrimRight(o.BoxOfficeURL, "/"),
		admin:      strings.TrimRight(o.AdminURL, "/"),
		mockpay:    strings.TrimRight(o.MockPayURL, "/"),
		adminToken: o.AdminToken,
	}
}

// A refusal is an answer other than 2xx.
type refusal struct {
	Status     int    `json:"-"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Held       int64  `json:"held"`
	retryAfter time.Duration
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail)
}

// call sends JSON and reads JSON. The error is a *refusal for an answer that is
// not 2xx, anything else when there was no answer.
func (c *client) call(ctx context.Context, method, url string, header http.Header, body, answer any) error {
	var payload io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return err
	}
	if header != nil {
		request.Header = header
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, answerMaxBytes))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		r := &refusal{Status: response.StatusCode}
		_ = json.Unmarshal(content, r) // a proxy may answer something else: the status speaks
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
			r.retryAfter = time.Duration(seconds) * time.Second
		}
		return r
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

type saleClass struct {
	Class    string `json:"class"`
	Price    int64  `json:"price"`
	Capacity int64  `json:"capacity"`
}

func (c *client) openSale(ctx context.Context, id string, classes []saleClass, perks int64, hold time.Duration) error {
	return c.call(ctx, http.MethodPost, c.admin+"/v1/sales", http.Header{"Authorization": {"Bearer " + c.adminToken}}, map[string]any{
		"id": id, "name": "Demo on-sale", "currency": "EUR", "classes": classes,
		"perk":         map[string]any{"name": "T-shirt", "capacity": perks},
		"hold_seconds": int(hold.Seconds()), "buyer_limit": 2,
	}, nil)
}

// checkout is the answer to a placed order.
type checkout struct {
	Order      string `json:"order"`
	Token      string `json:"token"`
	PaymentURL string `json:"payment_url"`
	Session    string `json:"payment_session"`
}

func (c *client) placeOrder(ctx context.Context, sale, key, class, email string) (checkout, error) {
	var placed checkout
	err := c.call(ctx, http.MethodPost, c.boxoffice+"/v1/sales/"+sale+"/checkouts", http.Header{"Idempotency-Key": {`"` + key + `"`}},
		map[string]any{"items": []map[string]any{{"class": class, "quantity": 1}}, "buyer": map[string]any{"email": email}}, &placed)
	return placed, err
}

// pay opens the provider's page, as a browser would, and gives the outcome.
func (c *client) pay(ctx context.Context, placed checkout, outcome string) error {
	if err := c.visit(ctx, placed.PaymentURL); err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, c.mockpay+"/v1/sessions/"+placed.Session+"/pay", nil, map[string]any{"outcome": outcome}, nil)
}

func (c *client) visit(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, answerMaxBytes))
	if err == nil && response.StatusCode/100 != 2 {
		return &refusal{Status: response.StatusCode, Detail: "the payment page"}
	}
	return err
}

func (c *client) status(ctx context.Context, placed checkout) (string, error) {
	var order struct {
		Status string `json:"status"`
	}
	err := c.call(ctx, http.MethodGet, c.boxoffice+"/v1/orders/"+placed.Order, http.Header{"Authorization": {"Bearer " + placed.Token}}, nil, &order)
	return order.Status, err
}

// again reports whether an error says nothing definite: the same request must
// be repeated, after a wait.
func again(err error) (wait time.Duration, ok bool) {
	var r *refusal
	if !errors.As(err, &r) {
		return 200 * time.Millisecond, err != nil // no answer at all: a restart, a reset
	}
	if r.Status/100 == 5 || r.Code == "in_flight" {
		return max(r.retryAfter, 200*time.Millisecond), true
	}
	return 0, false
}

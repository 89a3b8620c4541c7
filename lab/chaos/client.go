package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	callTimeout    = 15 * time.Second
	auditTimeout   = time.Minute // it looks twice, 16 s apart, and waits for who does not answer
	answerMaxBytes = 4 << 20
	// retryPause is how long a client waits before it repeats what may or may not have happened.
	retryPause = 250 * time.Millisecond
)

// A client speaks the contracts of the box office and of MockPay, as a buyer, an organiser and a tester.
type client struct {
	http    *http.Client
	fronts  []string // nodes, through their proxies
	admin   string
	mockpay string
	token   string
}

func newClient(fronts []string, env map[string]string) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 64
	return &client{
		http: &http.Client{Transport: transport}, fronts: fronts,
		admin: env["BOXOFFICE_ADMIN_URL"], mockpay: env["MOCKPAY_URL"], token: env["BOXOFFICE_ADMIN_TOKEN"],
	}
}

// A refusal is an answer other than 2xx.
type refusal struct {
	Status int    `json:"-"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail) }

// codeOf is the code of a refusal; empty for anything else.
func codeOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

// isDefinite reports whether an answer says what happened. No answer at all, a 5xx and "still working on it" do not.
func isDefinite(err error) bool {
	var r *refusal
	return err == nil || errors.As(err, &r) && r.Status/100 == 4 && r.Code != "in_flight" && r.Status != http.StatusTooManyRequests ||
		codeOf(err) == "limit_reached"
}

func (c *client) call(ctx context.Context, method, target string, header map[string]string, body, answer any) error {
	return c.callWithin(ctx, callTimeout, method, target, header, body, answer)
}

func (c *client) callWithin(ctx context.Context, timeout time.Duration, method, target string, header map[string]string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		request.Header.Set(name, value)
	}
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
		_ = json.Unmarshal(content, r)
		return r
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

// insist repeats a call until its answer is definite or the context ends.
func (c *client) insist(ctx context.Context, call func(context.Context) error) error {
	for {
		err := call(ctx)
		if isDefinite(err) {
			return err
		}
		if pause(ctx, retryPause) != nil {
			return err
		}
	}
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// A saleTerms is what is sold.
type saleTerms struct {
	id                  string
	a, b, perks         int
	holdSeconds, limits int
	oneCheckout         bool // a buyer
}

func (c *client) openSale(ctx context.Context, s saleTerms) error {
	return c.insist(ctx, func(ctx context.Context) error {
		return c.call(ctx, http.MethodPost, c.admin+"/v1/sales", bearer(c.token), map[string]any{
			"id": s.id, "name": "Chaos", "currency": "EUR", "hold_seconds": s.holdSeconds, "buyer_limit": s.limits, "one_checkout_per_buyer": s.oneCheckout,
			"classes": []map[string]any{{"class": "A", "price": 6500, "capacity": s.a}, {"class": "B", "price": 3500, "capacity": s.b}},
			"perk":    map[string]any{"name": "T-shirt", "capacity": s.perks},
		}, nil)
	})
}

// placed is the answer to a checkout whose seats are held.
type placed struct {
	Order     string    `json:"order"`
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"hold_expires_at"`
	Amount    int64     `json:"amount"`
	PayURL    string    `json:"payment_url"`
	Session   string    `json:"payment_session"`
}

// An ask is what a buyer wants.
type ask struct {
	sale, key, email string
	class            string
	quantity         int
}

func newKey() string { return uuid.Must(uuid.NewV7()).String() }

func (c *client) checkout(ctx context.Context, front string, a ask) (p placed, err error) {
	err = c.call(ctx, http.MethodPost, front+"/v1/sales/"+a.sale+"/checkouts", map[string]string{"Idempotency-Key": `"` + a.key + `"`},
		map[string]any{"items": []map[string]any{{"class": a.class, "quantity": a.quantity}}, "buyer": map[string]any{"email": a.email}}, &p)
	return p, err
}

// pay opens the pay page, as a browser does, and gives the outcome; it returns the session's status.
func (c *client) pay(ctx context.Context, p placed, outcome string) (status string, err error) {
	if err := c.visit(ctx, p); err != nil {
		return "", err
	}
	var session struct {
		Status string `json:"status"`
	}
	err = c.call(ctx, http.MethodPost, c.mockpay+"/v1/sessions/"+p.Session+"/pay", nil, map[string]any{"outcome": outcome}, &session)
	return session.Status, err
}

// visit opens the pay page; the first visit opens the session.
func (c *client) visit(ctx context.Context, p placed) error {
	link, err := url.Parse(p.PayURL)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodGet, c.mockpay+link.RequestURI(), nil, nil, nil)
}

// capture takes money whatever the session's state; nth tells a second one from the first.
func (c *client) capture(ctx context.Context, p placed, nth int) error {
	return c.call(ctx, http.MethodPost, c.mockpay+"/v1/sessions/"+p.Session+"/capture", nil,
		map[string]any{"nth": nth, "amount": p.Amount, "currency": "EUR"}, nil)
}

func (c *client) cancel(ctx context.Context, front string, p placed) (string, error) {
	var answer orderState
	err := c.call(ctx, http.MethodPost, front+"/v1/orders/"+p.Order+"/cancel", bearer(p.Token), nil, &answer)
	return answer.Status, err
}

// orderState is what a buyer is told of an order.
type orderState struct {
	Status  string `json:"status"`
	Tickets []struct {
		Code string `json:"code"`
	} `json:"tickets"`
}

func (s orderState) codes() string {
	var codes []string
	for _, t := range s.Tickets {
		codes = append(codes, t.Code)
	}
	return strings.Join(codes, " ")
}

func (c *client) order(ctx context.Context, front string, p placed) (s orderState, err error) {
	return s, c.call(ctx, http.MethodGet, front+"/v1/orders/"+p.Order, bearer(p.Token), nil, &s)
}

func (c *client) refund(ctx context.Context, p placed) (string, error) {
	var answer orderState
	err := c.call(ctx, http.MethodPost, c.admin+"/v1/orders/"+p.Order+"/refund", bearer(c.token), nil, &answer)
	return answer.Status, err
}

// callOff cancels a whole sale; it is over once calledOff says so.
func (c *client) callOff(ctx context.Context, sale string) error {
	return c.insist(ctx, func(ctx context.Context) error {
		return c.call(ctx, http.MethodPost, c.admin+"/v1/sales/"+sale+"/cancel", bearer(c.token), nil, nil)
	})
}

func (c *client) calledOff(ctx context.Context, sale string) (finished bool, err error) {
	var progress struct{ Stage string }
	err = c.call(ctx, http.MethodGet, c.admin+"/v1/sales/"+sale+"/cancel", bearer(c.token), nil, &progress)
	return progress.Stage == "finished", err
}

// misbehave tells MockPay how; nil ends it.
func (c *client) misbehave(ctx context.Context, mischief map[string]any) error {
	return c.insist(ctx, func(ctx context.Context) error {
		if mischief == nil {
			return c.call(ctx, http.MethodDelete, c.mockpay+"/v1/mischief", nil, nil, nil)
		}
		return c.call(ctx, http.MethodPost, c.mockpay+"/v1/mischief", nil, mischief, nil)
	})
}

// wronglyAccepted is how many forged webhooks MockPay saw accepted since it was started.
func (c *client) wronglyAccepted(ctx context.Context) (int64, error) {
	var report struct {
		WronglyAccepted int64 `json:"wrongly_accepted"`
		Tally           struct {
			WronglyAccepted int64 `json:"wrongly_accepted"`
		} `json:"tally"`
	}
	err := c.call(ctx, http.MethodGet, c.mockpay+"/v1/mischief", nil, nil, &report)
	return report.WronglyAccepted + report.Tally.WronglyAccepted, err
}

func (c *client) undelivered(ctx context.Context) (int, error) {
	var health struct {
		Undelivered int `json:"undelivered"`
	}
	return health.Undelivered, c.call(ctx, http.MethodGet, c.mockpay+"/healthz", nil, nil, &health)
}

// An auditReport is the part of GET /v1/sales/{sale}/audit that decides.
type auditReport struct {
	Sale    string        `json:"sale"`
	Verdict string        `json:"verdict"`
	Results []auditResult `json:"results"`
}

type auditResult struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Says    string `json:"says"`
	Left    struct {
		Value int64 `json:"value"`
	} `json:"left"`
	Verdict   string `json:"verdict"`
	Offenders []struct {
		ID      string `json:"id"`
		Verdict string `json:"verdict"`
		What    string `json:"what"`
	} `json:"offenders"`
}

func (c *client) audit(ctx context.Context, sale string) (r auditReport, err error) {
	err = c.callWithin(ctx, auditTimeout, http.MethodGet, c.admin+"/v1/sales/"+sale+"/audit", bearer(c.token), nil, &r)
	return r, err
}

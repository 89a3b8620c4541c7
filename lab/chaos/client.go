package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/domain"
	"boxoffice/lab/mockpayclient"
	server "boxoffice/mockpay"
	"boxoffice/pace"
	"boxoffice/payments/mockpay"
)

const (
	callTimeout  = 15 * time.Second
	auditTimeout = time.Minute // it looks twice, 16 s apart, and waits for parts that do not answer
	// retryPause is how long a client waits before it repeats what may or may not have happened.
	retryPause = 250 * time.Millisecond
)

// A caller calls the box office and MockPay, as a buyer, an organiser and a tester. Deliberately broken requests are not
// sent with it, but by hand: forge.
type caller struct {
	http      *http.Client
	fronts    []string // nodes, through their proxies
	organiser *client.Client
	auditor   *client.Client // the organiser with more patience
	mockpay   *mockpayclient.MockPay
	counts    *requestCounts
}

// requestCounts counts the requests of buyers and the organiser, and what came of them.
type requestCounts struct {
	http.RoundTripper
	sent, unanswered, failed atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *requestCounts) RoundTrip(request *http.Request) (*http.Response, error) {
	c.sent.Add(1)
	response, err := c.RoundTripper.RoundTrip(request)
	switch {
	case err != nil:
		c.unanswered.Add(1)
	case response.StatusCode >= http.StatusInternalServerError:
		c.failed.Add(1)
	}
	return response, err
}

// A requestCount is what was counted until a moment.
type requestCount struct{ sent, unanswered, failed int64 }

func (c *requestCounts) snapshot() requestCount {
	return requestCount{c.sent.Load(), c.unanswered.Load(), c.failed.Load()}
}

func (c *requestCounts) String() string { return c.snapshot().String() }

func (c requestCount) since(b requestCount) requestCount {
	return requestCount{c.sent - b.sent, c.unanswered - b.unanswered, c.failed - b.failed}
}

func (c requestCount) String() string {
	return fmt.Sprintf("%d requests, of which %d had no answer and %d a 5xx; clients repeated those", c.sent, c.unanswered, c.failed)
}

func newCaller(fronts []string, env map[string]string) *caller {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 64
	counts := &requestCounts{RoundTripper: transport}
	c := &http.Client{Transport: counts, Timeout: callTimeout}
	organiser := client.Client{URL: env["BOXOFFICE_URL"], AdminURL: env["BOXOFFICE_ADMIN_URL"], AdminToken: env["BOXOFFICE_ADMIN_TOKEN"], HTTP: c}
	auditor := organiser
	auditor.HTTP = &http.Client{Transport: transport, Timeout: auditTimeout}
	return &caller{http: c, fronts: fronts, organiser: &organiser, auditor: &auditor, mockpay: mockpayclient.New(env["MOCKPAY_URL"], c), counts: counts}
}

// at asks one node.
func (c *caller) at(front string) *client.Client { return &client.Client{URL: front, HTTP: c.http} }

// insist repeats a call until its answer is definite or the context ends.
func insist(ctx context.Context, call func(context.Context) error) error {
	for {
		err := call(ctx)
		if client.IsDefinite(err) {
			return err
		}
		if pace.Pause(ctx, retryPause) != nil {
			return err
		}
	}
}

// saleTerms say what is sold.
type saleTerms struct {
	id                  string
	a, b, free, perks   int64 // how many there are of each class
	holdSeconds, limits int64
	oneCheckout         bool // a buyer
	seatsFirst          bool // the money is captured after them
}

// classFree costs nothing.
const classFree = "C"

func (c *caller) openSale(ctx context.Context, s saleTerms) error {
	sale := &client.CreateSaleBody{
		ID: s.id, Name: "Chaos", Currency: "EUR", HoldSeconds: &s.holdSeconds, BuyerLimit: &s.limits, OneCheckoutPerBuyer: &s.oneCheckout,
		Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: s.a}, {Class: "B", Price: 3500, Capacity: s.b}},
		Perk:    &client.CreatePerkBody{Name: "T-shirt", Capacity: s.perks},
	}
	if s.free > 0 {
		sale.Classes = append(sale.Classes, client.CreateClassBody{Class: classFree, Price: 0, Capacity: s.free})
	}
	if s.seatsFirst {
		sale.Capture = string(domain.CaptureAfterSeats)
	}
	return insist(ctx, func(ctx context.Context) error {
		_, err := c.organiser.CreateSale(ctx, sale)
		return err
	})
}

// An ask is what a buyer wants.
type ask struct {
	sale, key, email string
	class            string
	quantity         int64
}

func newKey() string { return uuid.Must(uuid.NewV7()).String() }

func (c *caller) checkout(ctx context.Context, front string, a ask) (client.CheckoutView, error) {
	return c.at(front).CreateCheckout(ctx, a.sale, client.CreateCheckoutParams{IdempotencyKey: `"` + a.key + `"`},
		&client.CheckoutBody{Items: []client.CheckoutItem{{Class: a.class, Quantity: a.quantity}}, Buyer: client.CheckoutBuyer{Email: a.email}})
}

// pay opens the pay page, as a browser does, and gives the outcome; it returns the session's status.
func (c *caller) pay(ctx context.Context, p client.CheckoutView, outcome mockpay.Outcome) (mockpay.SessionStatus, error) {
	if err := c.mockpay.Visit(ctx, p.PaymentURL); err != nil {
		return "", err
	}
	return c.mockpay.Pay(ctx, p.PaymentSession, "", outcome)
}

// decline makes the nth attempt in a session, which is declined, once.
func (c *caller) decline(ctx context.Context, p client.CheckoutView, nth int) error {
	if err := c.mockpay.Visit(ctx, p.PaymentURL); err != nil {
		return err
	}
	return c.mockpay.Decline(ctx, p.PaymentSession, nth)
}

// capture takes money whatever the session's state; nth tells a second one from the first.
func (c *caller) capture(ctx context.Context, p client.CheckoutView, nth int) error {
	return c.mockpay.Capture(ctx, p.PaymentSession, server.CaptureRequest{Nth: nth, AmountMinor: &p.Amount, Currency: "EUR"})
}

func (c *caller) order(ctx context.Context, front string, p client.CheckoutView) (client.OrderView, error) {
	return c.at(front).GetOrder(ctx, p.Order, p.Token)
}

// codes are those of an order's tickets.
func codes(o client.OrderView) string {
	var all []string
	for _, t := range o.Tickets {
		all = append(all, t.Code)
	}
	return strings.Join(all, " ")
}

// callOff cancels a whole sale; it is over once calledOff says so.
func (c *caller) callOff(ctx context.Context, sale string) error {
	return insist(ctx, func(ctx context.Context) error {
		_, err := c.organiser.CancelSale(ctx, sale)
		return err
	})
}

func (c *caller) calledOff(ctx context.Context, sale string) (finished bool, err error) {
	progress, err := c.organiser.GetSaleCancellation(ctx, sale)
	return progress.Stage == "finished", err
}

// misbehave sets MockPay's mischief; nil ends it.
func (c *caller) misbehave(ctx context.Context, mischief *server.Mischief) error {
	return insist(ctx, func(ctx context.Context) error { return c.mockpay.Misbehave(ctx, "", mischief) })
}

// wronglyAccepted is how many forged webhooks MockPay saw accepted since it was started.
func (c *caller) wronglyAccepted(ctx context.Context) (int64, error) {
	report, err := c.mockpay.Mischief(ctx)
	return report.WronglyAccepted, err
}

// whatIsNotReady is the box office's own word.
func (c *caller) whatIsNotReady(ctx context.Context) string {
	var raw client.Answer
	err := c.organiser.Do(client.Recording(ctx, &raw), client.Request{Method: http.MethodGet, Path: "/readyz"}, nil)
	if raw.Status == 0 {
		return fmt.Sprintf("/readyz: %v", err)
	}
	return "/readyz: " + string(raw.Body)
}

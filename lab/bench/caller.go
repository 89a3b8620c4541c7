package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"

	"boxoffice/domain"
	"boxoffice/lab/bench/load"
	"boxoffice/payments/mockpay"
)

const (
	answerMaxBytes = 1 << 20
	ticketClass    = "A"
	priceMinor     = 6500
	currency       = "EUR"
	// holdTimeout outlasts every bench: what is held and not yet paid must not
	// expire in the middle of another measurement.
	holdTimeout = 2 * time.Hour
	buyerLimit  = 4
	// askTimeout bounds every question outside of a load, whose requests have a
	// bound of their own: who has not answered by then is away.
	askTimeout = 30 * time.Second
)

// caller speaks HTTP with the box office and MockPay. Every answer is checked:
// one that is not what was asked for is a *load.Failure.
type caller struct {
	http                   *http.Client
	fronts                 []string // the box office's nodes
	admin                  string
	adminToken, mockPayURL string
	signer                 *mockpay.Signer
}

func newCaller(o Options) *caller {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the stack is near; a proxy would be measured
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, load.ClientsMax
	transport.DisableCompression = true
	return &caller{
		http:   &http.Client{Transport: transport}, // each request has its own deadline
		fronts: []string{o.URL}, admin: o.AdminURL, adminToken: o.AdminToken, mockPayURL: o.MockPayURL, signer: o.Signer,
	}
}

// front is the node that the next request goes to, as behind a load balancer: a
// webhook may come to another node than its checkout did. Taken in turn, one
// client's holds would all come to one node and its webhooks to the other.
func (c *caller) front() string { return c.fronts[rand.IntN(len(c.fronts))] }

// held is an order that can be paid for.
type held struct {
	order      domain.OrderID
	token      string
	amount     int64
	paymentURL string
	expires    time.Time // when the checkout gives up
}

// openSale puts a sale on offer that never sells out.
func (c *caller) openSale(ctx context.Context, id string) error {
	return c.offer(ctx, id, domain.CapacityMax, map[string]any{"perk": map[string]any{"name": "T-shirt", "capacity": domain.CapacityMax}})
}

// offer puts so many tickets on offer.
func (c *caller) offer(ctx context.Context, id string, tickets int64, more map[string]any) error {
	body := map[string]any{
		"id": id, "name": "Bench", "currency": currency,
		"classes":      []map[string]any{{"class": ticketClass, "price": priceMinor, "capacity": tickets}},
		"hold_seconds": int(holdTimeout.Seconds()), "buyer_limit": buyerLimit,
	}
	maps.Copy(body, more)
	header := http.Header{"Authorization": {"Bearer " + c.adminToken}}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return c.call(ctx, http.MethodPost, c.admin+"/v1/sales", header, body, http.StatusCreated, nil)
}

// pauseQueue shuts the door of a sale's waiting room, or opens it.
func (c *caller) pauseQueue(ctx context.Context, sale string, paused bool) error {
	header := http.Header{"Authorization": {"Bearer " + c.adminToken}}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return c.call(ctx, http.MethodPatch, c.admin+"/v1/sales/"+sale+"/queue", header, map[string]any{"paused": paused}, http.StatusOK, nil)
}

// placeOrder holds one ticket for a buyer who never came before.
func (c *caller) placeOrder(ctx context.Context, sale string) (held, error) {
	return c.placeOrderOf(ctx, sale, uuid.Must(uuid.NewV7()).String())
}

// placeOrderOf does so under an Idempotency-Key, which is also the buyer's name.
func (c *caller) placeOrderOf(ctx context.Context, sale, key string) (held, error) {
	header := http.Header{"Idempotency-Key": {`"` + key + `"`}}
	body := checkoutBody{Items: []domain.Item{{Class: ticketClass, Quantity: 1}}}
	body.Buyer.Email = key + "@bench.example"
	var answer struct {
		Order      domain.OrderID     `json:"order"`
		Token      string             `json:"token"`
		Status     domain.OrderStatus `json:"status"`
		Amount     int64              `json:"amount"`
		Currency   string             `json:"currency"`
		PaymentURL string             `json:"payment_url"`
		Expires    time.Time          `json:"hold_expires_at"`
	}
	err := c.call(ctx, http.MethodPost, c.front()+"/v1/sales/"+sale+"/checkouts", header, body, http.StatusCreated, &answer)
	if err != nil {
		return held{}, err
	}
	if answer.Order.IsZero() || answer.Token == "" || answer.Status != domain.OrderHeld || answer.Amount != priceMinor || answer.Currency != currency {
		return held{}, wrong("checkout", fmt.Sprintf("%+v", answer))
	}
	return held{answer.Order, answer.Token, answer.Amount, answer.PaymentURL, answer.Expires}, nil
}

type checkoutBody struct {
	Items []domain.Item `json:"items"`
	Buyer struct {
		Email string `json:"email"`
	} `json:"buyer"`
}

// payByWebhook reports the payment as the provider does. Only an answer that the
// order is paid counts: 202 means that it is not settled yet.
func (c *caller) payByWebhook(ctx context.Context, h held) error {
	event := domain.PaymentEvent{
		ID: "evt_" + h.order.String(), Type: domain.PaymentSucceeded, Order: h.order, Session: mockpay.SessionID(h.order),
		AmountMinor: h.amount, Currency: currency,
	}.Normalized("")
	now := time.Now()
	body, err := mockpay.EncodeEvent(event, now)
	if err != nil {
		return err
	}
	header, err := c.signer.Headers(event.ID, now, body)
	if err != nil {
		return err
	}
	var answer struct {
		Order  domain.OrderID     `json:"order"`
		Status domain.OrderStatus `json:"status"`
	}
	if err := c.call(ctx, http.MethodPost, c.front()+"/v1/webhooks/mockpay", header, json.RawMessage(body), http.StatusOK, &answer); err != nil {
		return err
	}
	if answer.Order != h.order || answer.Status != domain.OrderPaid {
		return wrong("webhook", fmt.Sprintf("%+v", answer))
	}
	return nil
}

// mockPayPoll is how often an order is looked at that MockPay reports.
const mockPayPoll = 5 * time.Millisecond

// payAtMockPay pays on the provider's page and waits until its webhook has made
// the order paid.
func (c *caller) payAtMockPay(ctx context.Context, h held) error {
	request := mockpay.PayRequest{Outcome: mockpay.OutcomeSucceeded, Link: h.paymentURL}
	var session mockpay.Session
	url := c.mockPayURL + mockpay.SessionsPath + mockpay.SessionID(h.order) + "/pay"
	if err := c.call(ctx, http.MethodPost, url, nil, request, http.StatusOK, &session); err != nil {
		return err
	}
	if session.Status != mockpay.SessionCaptured {
		return wrong("mockpay", fmt.Sprintf("session is %s", session.Status))
	}
	for {
		status, _, err := c.readOrder(ctx, h)
		if err != nil || status == domain.OrderPaid {
			return err
		}
		if err := pause(ctx, mockPayPoll); err != nil {
			return err
		}
	}
}

// readOrder asks how an order stands.
func (c *caller) readOrder(ctx context.Context, h held) (status domain.OrderStatus, tickets int, err error) {
	var answer struct {
		Order   domain.OrderID     `json:"order"`
		Status  domain.OrderStatus `json:"status"`
		Tickets []json.RawMessage  `json:"tickets"`
	}
	header := http.Header{"Authorization": {"Bearer " + h.token}}
	if err := c.call(ctx, http.MethodGet, c.front()+"/v1/orders/"+h.order.String(), header, nil, http.StatusOK, &answer); err != nil {
		return "", 0, err
	}
	if answer.Order != h.order {
		return "", 0, wrong("order", fmt.Sprintf("%+v", answer))
	}
	return answer.Status, len(answer.Tickets), nil
}

// seats are how those of one or more sales stand, by the ledger's word.
type seats struct {
	Capacity  int64 `json:"capacity"`
	Held      int64 `json:"held"`
	Available int64 `json:"available"`
}

func (s seats) plus(o seats) seats {
	return seats{s.Capacity + o.Capacity, s.Held + o.Held, s.Available + o.Available}
}

// seats asks for those of a sale of the bench's only class.
func (c *caller) seats(ctx context.Context, sale string) (seats, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var answer struct {
		Classes []seats `json:"classes"`
	}
	if err := c.call(ctx, http.MethodGet, c.front()+"/v1/sales/"+sale, nil, nil, http.StatusOK, &answer); err != nil {
		return seats{}, err
	}
	if len(answer.Classes) != 1 {
		return seats{}, wrong("sale", fmt.Sprintf("%+v", answer))
	}
	return answer.Classes[0], nil
}

func wrong(what, got string) error {
	return &load.Failure{Code: "wrong_answer", Detail: what + " answered " + got}
}

// call sends JSON and reads JSON. Any status but the expected one is a
// *load.Failure with the status and the problem's code.
func (c *caller) call(ctx context.Context, method, url string, header http.Header, body any, want int, answer any) error {
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
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
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
	if response.StatusCode != want {
		var problem struct {
			Code   string `json:"code"`
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(content, &problem) // a proxy may answer something else: the status speaks
		return &load.Failure{Code: fmt.Sprintf("%d %s", response.StatusCode, problem.Code), Detail: method + " " + request.URL.Path + ": " + problem.Detail}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return wrong(method+" "+request.URL.Path, err.Error())
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

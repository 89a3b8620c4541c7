package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"boxoffice/client"
	"boxoffice/payments/mockpay"
)

// answer is what came back over HTTP.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t *testing.T, target any) {
	t.Helper()
	if err := json.Unmarshal(a.body, target); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
}

// code is the stable code of a problem; it fails the test for anything that is
// not one.
func (a answer) code(t *testing.T) string {
	t.Helper()
	if got := strings.Split(a.header.Get("Content-Type"), ";")[0]; got != "application/problem+json" {
		t.Fatalf(`strings.Split(a.header.Get("Content-Type"), ";")[0] is %q, want "application/problem+json": %d %s`, got, a.status, a.body)
	}
	var problem struct{ Code string }
	a.into(t, &problem)
	return problem.Code
}

// asked makes an API call and returns the answer, even of a refusal.
func asked(t *testing.T, call func(context.Context) error) answer {
	t.Helper()
	var raw client.Answer
	err := call(client.Recording(t.Context(), &raw))
	if raw.Status == 0 {
		t.Fatalf("raw.Status is zero: no answer: %v", err)
	}
	return answer{raw.Status, raw.Header, raw.Body}
}

// request sends a body as it is, or a value as JSON: for deliberately broken requests, which a client cannot send, and
// for pages and files. Everything else goes through package client.
func (s *stack) request(t *testing.T, method, url string, header map[string]string, body any) answer {
	t.Helper()
	var payload []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		payload = b
	case string:
		payload = []byte(b)
	default:
		var err error
		payload, err = json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := s.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, content}
}

// at is a client of one node, or of the proxy before it.
func (s *stack) at(url string) *client.Client {
	return &client.Client{URL: url, AdminURL: s.env["BOXOFFICE_ADMIN_URL"], AdminToken: s.env["BOXOFFICE_ADMIN_TOKEN"], HTTP: s.http}
}

// boxOffice is the client of buyers and the organiser.
func (s *stack) boxOffice() *client.Client { return s.at(s.env["BOXOFFICE_URL"]) }

func (s *stack) api(path string) string   { return s.env["BOXOFFICE_URL"] + path }
func (s *stack) admin() map[string]string { return bearer(s.env["BOXOFFICE_ADMIN_TOKEN"]) }
func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// sale opens a sale for a test. Bytes and people order its two classes
// differently.
func (s *stack) sale(t *testing.T, capacity, holdSeconds, buyerLimit int) string {
	t.Helper()
	id := "e2e-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	_, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: id, Name: "End to end", Currency: "EUR", HoldSeconds: new(int64(holdSeconds)), BuyerLimit: new(int64(buyerLimit)),
		Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: int64(capacity)}, {Class: "a", Price: 3500, Capacity: int64(capacity)}},
		Perk:    &client.CreatePerkBody{Name: "T-shirt", Capacity: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// order is what a buyer knows of theirs.
type order = client.CheckoutView

type items map[string]int

func checkoutBody(want items, email string) *client.CheckoutBody {
	body := &client.CheckoutBody{Buyer: client.CheckoutBuyer{Email: email}}
	for _, class := range []string{"A", "a"} {
		if want[class] > 0 {
			body.Items = append(body.Items, client.CheckoutItem{Class: class, Quantity: int64(want[class])})
		}
	}
	return body
}

var buyers atomic.Int64

// newBuyer is an address nobody used before.
func newBuyer() string { return fmt.Sprintf("buyer-%d@example.com", buyers.Add(1)) }

func newKey() string { return uuid.Must(uuid.NewV7()).String() }

func (s *stack) checkout(t *testing.T, sale, key string, want items, email string) answer {
	t.Helper()
	return asked(t, func(ctx context.Context) error {
		_, err := s.boxOffice().CreateCheckout(ctx, sale, client.CreateCheckoutParams{IdempotencyKey: `"` + key + `"`}, checkoutBody(want, email))
		return err
	})
}

// hold places an order that must be held.
func (s *stack) hold(t *testing.T, sale string, want items) order {
	t.Helper()
	a := s.checkout(t, sale, newKey(), want, newBuyer())
	if a.status != http.StatusCreated {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusCreated, a.body)
	}
	var o order
	a.into(t, &o)
	if o.Status != "held" {
		t.Fatalf(`o.Status is %q, want "held"`, o.Status)
	}
	return o
}

// visit opens the pay page as a browser does.
func (s *stack) visit(t *testing.T, o order) {
	t.Helper()
	if err := s.mockpay().Visit(t.Context(), o.PaymentURL); err != nil {
		t.Fatal(err)
	}
}

// pay opens the pay page and chooses an outcome.
func (s *stack) pay(t *testing.T, o order, outcome mockpay.Outcome) {
	t.Helper()
	s.visit(t, o)
	_, err := s.mockpay().Pay(t.Context(), o.PaymentSession, "", outcome)
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stack) state(t *testing.T, o order) client.OrderView {
	t.Helper()
	state, err := s.boxOffice().GetOrder(t.Context(), o.Order, o.Token)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func (s *stack) awaitStatus(t *testing.T, o order, want string) client.OrderView {
	t.Helper()
	var state client.OrderView
	eventually(t, "order "+o.Order+" becomes "+want, func() bool {
		state = s.state(t, o)
		return state.Status == want
	})
	return state
}

// event is a webhook's body for an order; change edits its data.
func event(kind string, o order, change map[string]any) map[string]any {
	data := map[string]any{"session": o.PaymentSession, "order": o.Order, "amount": o.Amount, "currency": o.Currency}
	for name, value := range change {
		data[name] = value
	}
	return map[string]any{"type": kind, "data": data}
}

// webhook signs an event as the provider does, and delivers it.
func (s *stack) webhook(t *testing.T, id string, at time.Time, body any) answer {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := standardwebhooks.NewWebhook(s.env["BOXOFFICE_WEBHOOK_SECRET"])
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(id, at, payload)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {fmt.Sprint(at.Unix())}, "Webhook-Signature": {signature}}
	return asked(t, func(ctx context.Context) error {
		_, err := s.boxOffice().DeliverEvent(ctx, "mockpay", header, payload)
		return err
	})
}

// webhookStatus delivers an event that must be processed, and returns the status
// it was answered with.
func (s *stack) webhookStatus(t *testing.T, body any) string {
	t.Helper()
	a := s.webhook(t, "evt_"+uuid.NewString(), time.Now(), body)
	if got := []int{http.StatusOK, http.StatusAccepted}; !slices.Contains(got, a.status) {
		t.Fatalf("no %v in %v: %s", a.status, got, a.body)
	}
	var settled struct{ Status string }
	a.into(t, &settled)
	return settled.Status
}

// level is how a class of a sale stands.
type level struct{ Held, Sold, Available int64 }

func (s *stack) stock(t *testing.T, sale, class string) level {
	t.Helper()
	view, err := s.boxOffice().GetSale(t.Context(), sale)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range view.Classes {
		if c.Class == class {
			return level{c.Held, c.Sold, c.Available}
		}
	}
	t.Fatalf("sale %s has no class %s", sale, class)
	return level{}
}

// awaitStock waits until a class has these numbers, because the answer may be 100 ms old.
func (s *stack) awaitStock(t *testing.T, sale, class string, want level) {
	t.Helper()
	var got level
	eventually(t, fmt.Sprintf("class %s of %s stands at %+v", class, sale, want), func() bool {
		got = s.stock(t, sale, class)
		return got == want
	})
}

package mockpay

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

const testHost = "127.0.0.1:8090"

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func testSecrets(t testing.TB) mockpay.Secrets {
	t.Helper()
	s, err := mockpay.ParseSecrets(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// orderNumber makes the n-th order id of a test.
func orderNumber(n int) domain.OrderID {
	id, err := domain.ParseOrderID(fmt.Sprintf("0197a3b4%022x00", n+1))
	if err != nil {
		panic(err)
	}
	return id
}

func linkTo(order domain.OrderID, expiresAt time.Time) mockpay.PayLink {
	return mockpay.PayLink{
		Order: order, AmountMinor: 6500, Currency: "EUR", ExpiresAt: expiresAt.Truncate(time.Millisecond).UTC(),
		ReturnURL: "http://127.0.0.1:8080/orders/" + order.String() + "?x=1#token", Description: "1 × A <b>",
	}
}

// fakeSender answers what the test says and remembers every message.
type fakeSender struct {
	mu       sync.Mutex
	messages []Message
	answer   func(Message) Answer // nil: 200
}

func (f *fakeSender) Send(_ context.Context, m Message) Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.messages = append(f.messages, m)
	if f.answer == nil {
		return Answer{HTTPStatus: http.StatusOK}
	}
	return f.answer(m)
}

func (f *fakeSender) sent() []Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Message(nil), f.messages...)
}

// bundle is a bank with its own store, behind its HTTP API, with a clock
// that the test sets. Nothing is delivered.
type bundle struct {
	t       *testing.T
	dir     string
	bank    *bank
	links   *mockpay.PayLinks
	handler http.Handler

	mu  sync.Mutex
	now time.Time
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, dir: t.TempDir(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.open()
	t.Cleanup(func() { _ = b.bank.store.close() })
	return b
}

func (b *bundle) open() {
	store, err := openStore(b.dir, quiet())
	if err != nil {
		b.t.Fatal(err)
	}
	courier := newCourier(store, &fakeSender{}, quiet())
	if err := courier.load(); err != nil {
		b.t.Fatal(err)
	}
	trickster, err := newTrickster(store, quiet())
	if err != nil {
		b.t.Fatal(err)
	}
	trickster.now = b.clock
	b.bank = &bank{store: store, courier: courier, trickster: trickster, now: b.clock}
	b.links, err = mockpay.NewPayLinks("http://127.0.0.1:8090", testSecrets(b.t))
	if err != nil {
		b.t.Fatal(err)
	}
	b.handler = newHandler(b.bank, b.links, quiet())
}

func (b *bundle) reopen() {
	if err := b.bank.store.close(); err != nil {
		b.t.Fatal(err)
	}
	b.open()
}

func (b *bundle) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bundle) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// link is a pay link of the n-th order, good for ten minutes.
func (b *bundle) link(n int) mockpay.PayLink {
	return linkTo(orderNumber(n), b.clock().Add(10*time.Minute))
}

func (b *bundle) payURL(link mockpay.PayLink) string {
	u, err := b.links.URL(link)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimPrefix(u, "http://127.0.0.1:8090")
}

// ask makes a request; a body that begins with { is JSON, any other is a form.
func (b *bundle) ask(method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = testHost
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func (b *bundle) pay(link mockpay.PayLink, outcome mockpay.Outcome) *httptest.ResponseRecorder {
	body, err := json.Marshal(mockpay.PayRequest{Outcome: outcome, Link: b.payURL(link)})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.ask("POST", "/v1/sessions/"+link.Session()+"/pay", string(body))
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) (value T) {
	t.Helper()
	if err := json.NewDecoder(w.Body).Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// requireProblem checks status, code and media type of a refusal.
func requireProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if w.Code != status {
		t.Fatalf("w.Code is %v, want %v: %s", w.Code, status, body)
	}
	if got := w.Header().Get("Content-Type"); got != mockpay.ProblemContentType {
		t.Fatalf(`w.Header().Get("Content-Type") is %q, want %q`, got, mockpay.ProblemContentType)
	}
	var p mockpay.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatal(err)
	}
	if p.Code != code {
		t.Fatalf("p.Code is %q, want %q", p.Code, code)
	}
	if p.Status != status {
		t.Fatalf("p.Status is %v, want %v", p.Status, status)
	}
	if p.Detail == "" {
		t.Fatal("p.Detail is empty")
	}
}

func (b *bundle) captures() []domain.Capture {
	values, _, err := list[domain.Capture](b.bank, capturesBucket, 0, mockpay.ListLimitMax)
	if err != nil {
		b.t.Fatal(err)
	}
	return values
}

func (b *bundle) pending() []mockpay.Delivery {
	values, _, err := list[mockpay.Delivery](b.bank, pendingBucket, 0, mockpay.ListLimitMax)
	if err != nil {
		b.t.Fatal(err)
	}
	return values
}

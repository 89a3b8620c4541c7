package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"boxoffice/admission"
	"boxoffice/domain"
)

const (
	testAdminToken = "test-admin-token-0123"
	testKey        = "0198c0de-0000-7000-8000-000000000001"
)

// bundle is one Server over one world, with a sale of classes A and B on offer.
type bundle struct {
	t     testing.TB
	world *world
	sale  *domain.Sale
	api   *Server
	log   *bytes.Buffer
	meter *prometheus.Registry
}

func setup(t testing.TB, change ...func(*Options)) *bundle {
	t.Helper()
	return setupAdmission(t, func(*admission.Options) {}, change...)
}

// setupAdmission is setup with another Admission. Its Desk is that of the Options.
func setupAdmission(t testing.TB, admit func(*admission.Options), change ...func(*Options)) *bundle {
	t.Helper()
	keys, err := domain.NewKeyring(bytes.Repeat([]byte{7}, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(keys)
	sale := w.AddSale(&domain.Sale{
		ID: "conference", Name: "Conference", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute,
		Classes:   []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 5}, {Name: "B", PriceMinor: 3500, Capacity: 50}},
		Perk:      &domain.Perk{Name: "T-shirt", Capacity: 3},
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	soon := w.AddSale(&domain.Sale{
		ID: "soon", Name: "Soon", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute,
		Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 5}}, OpensAt: time.Now().Add(90 * time.Minute),
	})
	w.Opened[sale.ID], w.Opened[soon.ID] = true, true

	registry := prometheus.NewRegistry()
	log := &bytes.Buffer{}
	options := Options{
		Desk: w, Orders: w, Books: w, Catalog: admission.NewCatalog(w, w), Keys: keys, Providers: w, Auditor: w, Capacities: w,
		PayPage: func(o domain.Order, _ domain.Hold) (domain.PayPage, error) {
			return domain.PayPage{Session: o.PaymentSession(), URL: "https://pay.example/" + o.ID.String()}, nil
		},
		PayWish:    func(domain.Order, domain.Hold) domain.PayWish { return domain.PayWish{} },
		AdminToken: testAdminToken,
		Metrics:    promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		Meter:      registry,
		Log:        slog.New(slog.NewJSONHandler(&lockedWriter{w: log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&options)
	}
	admitting := admission.Options{
		Desk: options.Desk.(admission.Desk), Catalog: options.Catalog, Books: w, Keys: keys, InLineMax: admission.InLineMax,
		Meter: registry, Log: options.Log,
	}
	if options.Rooms != nil {
		admitting.Rooms = options.Rooms.(admission.Rooms)
	}
	if books, ok := options.Books.(admission.Books); ok {
		admitting.Books = books
	}
	admit(&admitting)
	if options.Admission, err = admission.New(admitting); err != nil {
		t.Fatal(err)
	}
	server, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	server.orderViews.ttl = 0 // the world changes without the server knowing
	return &bundle{t: t, world: w, sale: sale, api: server, log: log, meter: registry}
}

type request struct {
	method, path, body string
	header             map[string]string
}

func (b *bundle) do(r request) *httptest.ResponseRecorder {
	req := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	b.api.Public().ServeHTTP(w, req)
	return w
}

func (b *bundle) checkout(key, body string) *httptest.ResponseRecorder {
	return b.do(checkoutRequest(key, body))
}

func checkoutRequest(key, body string) request {
	return request{"POST", "/v1/sales/conference/checkouts", body, map[string]string{
		"Content-Type": "application/json", "Idempotency-Key": key,
	}}
}

func wish(class string, quantity int) string {
	return fmt.Sprintf(`{"items":[{"class":%q,"quantity":%d}],"buyer":{"email":"buyer-7@example.org"}}`, class, quantity)
}

func wishOf(email string, quantity int64) string {
	return fmt.Sprintf(`{"items":[{"class":"A","quantity":%d}],"buyer":{"email":%q}}`, quantity, email)
}

// held makes an order and returns its id and token.
func (b *bundle) held(key string) (id domain.OrderID, token string) {
	b.t.Helper()
	w := b.checkout(key, wish("A", 2))
	if w.Code != http.StatusCreated {
		b.t.Fatalf("checkout: %d %s", w.Code, w.Body)
	}
	var view CheckoutView
	decode(b.t, w, &view)
	return view.Order, view.Token
}

func decode(t testing.TB, w *httptest.ResponseRecorder, into any) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
}

func fields(t *testing.T, w *httptest.ResponseRecorder) []string {
	t.Helper()
	var body map[string]any
	decode(t, w, &body)
	return slices.Sorted(maps.Keys(body))
}

func bearerOf(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// wantProblem checks everything that a problem always has.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code domain.Code) Problem {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	var p Problem
	decode(t, w, &p)
	if p.Code != code || p.Status != status || p.Title == "" || p.Type != "/problems/"+string(code) {
		t.Errorf("problem %+v, want code %s and status %d", p, code, status)
	}
	if p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("request id %q in the body, %q in the header", p.RequestID, w.Header().Get("X-Request-Id"))
	}
	return p
}

func TestBadInputIsAClearProblem(t *testing.T) {
	good := wish("A", 1)
	unknownOrder := "019" + strings.Repeat("a", 27) + "00"
	webhook := func(signature, body string) request {
		return request{"POST", "/v1/webhooks/mockpay", body, map[string]string{"Webhook-Signature": signature, "Webhook-Id": "evt_1"}}
	}
	with := func(r request, name, value string) request {
		r.header = maps.Clone(r.header)
		r.header[name] = value
		return r
	}
	admin := func(method, path, body, token string) request {
		return request{method, path, body, map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"}}
	}
	tests := []struct {
		name   string
		r      request
		status int
		code   domain.Code
		field  string
	}{
		{"malformed JSON", checkoutRequest(testKey, `{"items":`), 422, domain.CodeInvalid, "items"},
		{"two JSON values", checkoutRequest(testKey, good+good), 422, domain.CodeInvalid, "body"},
		{"JSON of another shape", checkoutRequest(testKey, `[]`), 422, domain.CodeInvalid, "body"},
		{"null", checkoutRequest(testKey, `null`), 422, domain.CodeInvalid, "body"},
		{"not UTF-8", checkoutRequest(testKey, "{\"items\":\xff}"), 400, codeMalformed, ""},
		{"no body", checkoutRequest(testKey, ``), 422, domain.CodeInvalid, ""},
		{"oversized body", checkoutRequest(testKey, `{"items":"`+strings.Repeat("x", CheckoutBodyBytesMax)+`"}`), 413, domain.CodeTooLarge, ""},
		{"another media type", with(checkoutRequest(testKey, good), "Content-Type", "text/plain"), 415, codeMediaType, ""},
		{"unknown field", checkoutRequest(testKey, `{"items":[{"class":"A","quantity":1}],"buyer":{"email":"a@example.com"},"price":1}`), 422, domain.CodeInvalid, "body"},
		{"no items", checkoutRequest(testKey, `{"items":[],"buyer":{"email":"buyer-7@example.org"}}`), 422, domain.CodeInvalid, "items"},
		{"no buyer", checkoutRequest(testKey, `{"items":[{"class":"A","quantity":1}]}`), 422, domain.CodeInvalid, "body"},
		{"unknown class", checkoutRequest(testKey, wish("Z", 1)), 422, domain.CodeInvalid, "items[0].class"},
		{"quantity 0", checkoutRequest(testKey, wish("A", 0)), 422, domain.CodeInvalid, "items[0].quantity"},
		{"quantity below 0", checkoutRequest(testKey, wish("A", -1)), 422, domain.CodeInvalid, "items[0].quantity"},
		{"quantity above any limit", checkoutRequest(testKey, wish("B", 101)), 422, domain.CodeInvalid, "items[0].quantity"},
		{"quantity beyond 64 bits", checkoutRequest(testKey, `{"items":[{"class":"A","quantity":1e30}],"buyer":{"email":"buyer-7@example.org"}}`), 422, domain.CodeInvalid, "items[0].quantity"},
		{"quantity with a fraction", checkoutRequest(testKey, `{"items":[{"class":"A","quantity":1.5}],"buyer":{"email":"buyer-7@example.org"}}`), 422, domain.CodeInvalid, "items[0].quantity"},
		{"quantity as text", checkoutRequest(testKey, `{"items":[{"class":"A","quantity":"1"}],"buyer":{"email":"buyer-7@example.org"}}`), 422, domain.CodeInvalid, "items[0].quantity"},
		{"quantity above the buyer's limit", checkoutRequest(testKey, wish("B", 11)), 429, domain.CodeLimitReached, ""},
		{"bad e-mail", checkoutRequest(testKey, `{"items":[{"class":"A","quantity":1}],"buyer":{"email":"not an address"}}`), 422, domain.CodeInvalid, "buyer.email"},
		{"no key", checkoutRequest("", good), 400, domain.CodeKeyMissing, ""},
		{"short key", checkoutRequest("123456789012345", good), 400, domain.CodeKeyMissing, ""},
		{"long key", checkoutRequest(strings.Repeat("k", KeyLenMax+1), good), 400, domain.CodeKeyMissing, ""},
		{"key with a broken quote", checkoutRequest(`"0123456789abcdef`, good), 400, domain.CodeKeyMissing, ""},
		{"unknown sale", request{"POST", "/v1/sales/nope/checkouts", good, checkoutRequest(testKey, "").header}, 404, domain.CodeNotFound, ""},
		{"impossible sale", request{"POST", "/v1/sales/NO%20PE/checkouts", good, checkoutRequest(testKey, "").header}, 404, domain.CodeNotFound, ""},
		{"sale not open yet", request{"POST", "/v1/sales/soon/checkouts", good, checkoutRequest(testKey, "").header}, 409, domain.CodeNotOpen, ""},
		{"get unknown sale", request{method: "GET", path: "/v1/sales/nope"}, 404, domain.CodeNotFound, ""},
		{"watch unknown sale", request{method: "GET", path: "/v1/sales/nope/events"}, 404, domain.CodeNotFound, ""},

		{"unknown order", request{method: "GET", path: "/v1/orders/" + unknownOrder, header: bearerOf("AAAAAAAAAAAAAAAAAAAAAA")}, 404, domain.CodeNotFound, ""},
		{"impossible order", request{method: "GET", path: "/v1/orders/xyz", header: bearerOf("AAAAAAAAAAAAAAAAAAAAAA")}, 404, domain.CodeNotFound, ""},
		{"cancel an unknown order", request{method: "POST", path: "/v1/orders/" + unknownOrder + "/cancel", header: bearerOf("x")}, 404, domain.CodeNotFound, ""},
		{"ticket of an unknown order", request{method: "GET", path: "/v1/orders/" + unknownOrder + "/tickets/1/qr", header: bearerOf("x")}, 404, domain.CodeNotFound, ""},
		{"ticket without a number", request{method: "GET", path: "/v1/orders/" + unknownOrder + "/tickets/one/qr"}, 422, domain.CodeInvalid, "n"},

		{"forged webhook", webhook("bad", unknownOrder), 401, domain.CodeForged, ""},
		{"webhook without a signature", webhook("", unknownOrder), 401, domain.CodeForged, ""},
		{"webhook without a body", webhook("good", ""), 422, domain.CodeInvalid, ""},
		{"webhook that is signed and garbled", webhook("good but garbled", "{"), 422, domain.CodeInvalid, ""},
		{"webhook for an unknown order", webhook("good", unknownOrder), 404, domain.CodeNotFound, ""},
		{"oversized webhook", webhook("good", strings.Repeat("x", BodyBytesMax+1)), 413, domain.CodeTooLarge, ""},

		{"no admin token", request{method: "GET", path: "/v1/sales/conference/orders"}, 401, domain.CodeUnauthorized, ""},
		{"wrong admin token", admin("GET", "/v1/sales/conference/audit", "", "test-admin-token-0124"), 401, domain.CodeUnauthorized, ""},
		{"create a sale unauthorized", admin("POST", "/v1/sales", `{"id":"x"}`, "no"), 401, domain.CodeUnauthorized, ""},
		{"create a sale of nothing", admin("POST", "/v1/sales", `{"id":"x","name":"X","currency":"EUR","classes":[]}`, testAdminToken), 422, domain.CodeInvalid, "classes"},
		{"create a sale in no currency", admin("POST", "/v1/sales", `{"id":"x","name":"X","currency":"euro","classes":[{"class":"A","price":1,"capacity":1}]}`, testAdminToken), 422, domain.CodeInvalid, "currency"},
		{"create a sale that opens never", admin("POST", "/v1/sales", `{"id":"x","name":"X","currency":"EUR","opens_at":"tomorrow","classes":[{"class":"A","price":1,"capacity":1}]}`, testAdminToken), 422, domain.CodeInvalid, "opens_at"},
		{"create another sale of that id", admin("POST", "/v1/sales", `{"id":"conference","name":"X","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}]}`, testAdminToken), 409, domain.CodeExists, ""},
		{"orders of an unknown sale", admin("GET", "/v1/sales/nope/orders", "", testAdminToken), 404, domain.CodeNotFound, ""},
		{"orders after nothing", admin("GET", "/v1/sales/conference/orders?after=x", "", testAdminToken), 422, domain.CodeInvalid, "after"},
		{"too many orders a page", admin("GET", "/v1/sales/conference/orders?limit=501", "", testAdminToken), 422, domain.CodeInvalid, "limit"},
		{"refund of an unknown order", admin("POST", "/v1/orders/"+unknownOrder+"/refund", "", testAdminToken), 404, domain.CodeNotFound, ""},
		{"refund of an impossible order", admin("POST", "/v1/orders/xyz/refund", "", testAdminToken), 404, domain.CodeNotFound, ""},

		{"unknown route", request{method: "GET", path: "/v1/nope"}, 404, domain.CodeNotFound, ""},
		{"unknown path", request{method: "GET", path: "/nope"}, 404, domain.CodeNotFound, ""},
		{"unknown method", request{method: "DELETE", path: "/v1/sales"}, 405, codeMethodNotAllowed, ""},
		{"unknown problem", request{method: "GET", path: "/problems/nope"}, 404, domain.CodeNotFound, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := wantProblem(t, b.do(test.r), test.status, test.code)
			if test.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != test.field) {
				t.Errorf("errors %+v, want field %q", p.Errors, test.field)
			}
			if b.world.Starts != 0 {
				t.Errorf("%d checkouts were started by a bad request", b.world.Starts)
			}
			if strings.Contains(b.log.String(), "buyer-7") {
				t.Errorf("an address got into the log: %s", b.log)
			}
		})
	}
}

func TestBrokenBodyIsNotAnError500(t *testing.T) {
	b := setup(t)
	r := httptest.NewRequest("POST", "/v1/sales/conference/checkouts", io.MultiReader(strings.NewReader("{"), brokenReader{}))
	r.Header.Set("Idempotency-Key", testKey)
	w := httptest.NewRecorder()
	b.api.Public().ServeHTTP(w, r)
	wantProblem(t, w, 422, domain.CodeInvalid)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("chunk of a wrong length") }

func TestCheckoutContract(t *testing.T) {
	b := setup(t)
	first := b.checkout(testKey, wish("A", 2))
	if first.Code != http.StatusCreated {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	want := []string{"amount", "currency", "hold_expires_at", "order", "payment_session", "payment_url", "status", "token"}
	if got := fields(t, first); !slices.Equal(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	var v CheckoutView
	decode(t, first, &v)
	if v.Status != domain.OrderHeld || v.Amount != 13000 || v.Currency != "EUR" || v.PaymentSession != "ps_"+v.Order.String() ||
		v.PaymentURL != "https://pay.example/"+v.Order.String() || v.Token != b.world.Keys.OrderToken(v.Order) || v.HoldExpiresAt.IsZero() {
		t.Errorf("answer %+v", v)
	}
	if first.Header().Get("Location") != "/v1/orders/"+v.Order.String() || first.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", first.Header())
	}

	t.Run("the same key gets the same answer", func(t *testing.T) {
		for _, key := range []string{testKey, `"` + testKey + `"`} {
			again := b.checkout(key, wish("A", 2))
			if again.Code != http.StatusCreated || again.Body.String() != first.Body.String() {
				t.Errorf("%d %s, want %s", again.Code, again.Body, first.Body)
			}
			if again.Header().Get("Idempotent-Replayed") != "true" {
				t.Error("the header Idempotent-Replayed is missing")
			}
		}
	})
	t.Run("the same key for another body is refused", func(t *testing.T) {
		wantProblem(t, b.checkout(testKey, wish("B", 1)), 422, domain.CodeKeyReused)
	})
	t.Run("two keys in one request are refused", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/v1/sales/conference/checkouts", strings.NewReader(wish("A", 1)))
		r.Header.Add("Idempotency-Key", testKey)
		r.Header.Add("Idempotency-Key", testKey)
		w := httptest.NewRecorder()
		b.api.Public().ServeHTTP(w, r)
		wantProblem(t, w, 400, domain.CodeKeyMissing)
	})
}

func TestCheckoutFailuresOfTheDesk(t *testing.T) {
	tests := []struct {
		name       string
		err        error
		status     int
		code       domain.Code
		retryAfter string
	}{
		{"in flight", &domain.Error{Code: domain.CodeInFlight}, 409, domain.CodeInFlight, "1"},
		{"overloaded", &domain.Error{Code: domain.CodeOverloaded, RetryAfter: 2500 * time.Millisecond}, 503, domain.CodeOverloaded, "3"},
		{"unknown", &domain.UnknownError{Op: "hold", ID: "x", Err: errors.New("secret host")}, 503, domain.CodeUnknown, "1"},
		{"out of time", fmt.Errorf("wrapped: %w", context.DeadlineExceeded), 503, domain.CodeUnknown, "1"},
		{"a bug of ours", errors.New("secret host"), 500, domain.CodeInternal, ""},
		{"a code without a mapping", &domain.Error{Code: "brand_new", Detail: "secret host"}, 500, domain.CodeInternal, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := setup(t)
			b.world.StartErr = test.err
			w := b.checkout(testKey, wish("A", 1))
			wantProblem(t, w, test.status, test.code)
			if got := w.Header().Get("Retry-After"); got != test.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, test.retryAfter)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the answer shows internals: %s", w.Body)
			}
		})
	}
}

func TestCheckoutsInFlightAreBounded(t *testing.T) {
	b := setupAdmission(t, func(o *admission.Options) { o.InFlightMax = 1 })
	b.world.StartBlock = make(chan struct{})
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- b.checkout(testKey, wish("A", 1)) }()
	waitFor(t, func() bool { b.world.Mu.Lock(); defer b.world.Mu.Unlock(); return b.world.Starts == 1 })

	refused := b.checkout(testKey+"-2", wish("A", 1))
	wantProblem(t, refused, 503, domain.CodeOverloaded)
	if refused.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(b.world.StartBlock)
	if w := <-done; w.Code != http.StatusCreated {
		t.Errorf("the first one: %d %s", w.Code, w.Body)
	}
}

func TestOrderStatus(t *testing.T) {
	tests := []struct {
		name    string
		change  func(b *bundle, id domain.OrderID)
		status  domain.OrderStatus
		present []string
		absent  []string
	}{
		{"held", func(*bundle, domain.OrderID) {}, domain.OrderHeld,
			[]string{"hold_expires_at", "payment_url", "payment_session"}, []string{"tickets", "paid_at", "declines", "attempts_left"}},
		{"held, after a declined attempt", func(b *bundle, id domain.OrderID) { b.world.States[id].Declines = 1 }, domain.OrderHeld,
			[]string{"hold_expires_at", "payment_url", "declines", "attempts_left"}, []string{"tickets"}},
		{"failed, after too many of them", func(b *bundle, id domain.OrderID) {
			b.world.States[id].Status, b.world.States[id].Declines = domain.OrderFailed, domain.DeclinesMax
		}, domain.OrderFailed, []string{"declines"}, []string{"attempts_left", "payment_url"}},
		{"paid", func(b *bundle, id domain.OrderID) { b.world.pay(b.world.States[id]) }, domain.OrderPaid,
			[]string{"tickets", "perk", "paid_at"}, []string{"payment_url", "hold_expires_at"}},
		{"paid, its checkout long gone", func(b *bundle, id domain.OrderID) {
			b.world.pay(b.world.States[id])
			delete(b.world.States, id)
		}, domain.OrderPaid, []string{"tickets"}, nil},
		{"failed", func(b *bundle, id domain.OrderID) { b.world.States[id].Status = domain.OrderFailed }, domain.OrderFailed,
			nil, []string{"tickets", "payment_url"}},
		{"expired", func(b *bundle, id domain.OrderID) { b.world.States[id].Status = domain.OrderExpired }, domain.OrderExpired, nil, nil},
		{"expired, late money on its way back", func(b *bundle, id domain.OrderID) {
			b.world.States[id].Status = domain.OrderExpired
			b.world.refunds[id] = []domain.Refund{{RequestedAt: time.Now()}}
		}, domain.OrderRefunding, nil, []string{"refunded_at", "tickets"}},
		{"canceled, late money given back", func(b *bundle, id domain.OrderID) {
			b.world.States[id].Status = domain.OrderCanceled
			b.world.refunds[id] = []domain.Refund{{RequestedAt: time.Now(), RefundedAt: time.Now()}}
		}, domain.OrderRefunded, []string{"refunded_at"}, []string{"tickets"}},
		{"paid when nothing was left, given back", func(b *bundle, id domain.OrderID) {
			b.world.States[id].Status = domain.OrderRefunding
			b.world.refunds[id] = []domain.Refund{{RequestedAt: time.Now(), RefundedAt: time.Now()}}
		}, domain.OrderRefunded, []string{"refunded_at"}, []string{"tickets"}},
		{"the same, before the refund is recorded", func(b *bundle, id domain.OrderID) {
			b.world.States[id].Status = domain.OrderRefunding
		}, domain.OrderRefunding, nil, []string{"refunded_at", "tickets"}},
		{"held, a wrong amount refunded", func(b *bundle, id domain.OrderID) {
			b.world.refunds[id] = []domain.Refund{{RequestedAt: time.Now(), RefundedAt: time.Now()}}
		}, domain.OrderHeld, []string{"payment_url"}, nil},
		{"refunded by the organiser", func(b *bundle, id domain.OrderID) {
			b.world.pay(b.world.States[id])
			b.world.sold[id].Status = domain.OrderRefunded
		}, domain.OrderRefunded, []string{"paid_at"}, []string{"tickets"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := setup(t)
			id, token := b.held(testKey)
			test.change(b, id)
			w := b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)})
			if w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			var v OrderView
			decode(t, w, &v)
			if v.AttemptsLeft != 0 && v.Declines+v.AttemptsLeft != domain.DeclinesMax {
				t.Errorf("%d declines and %d attempts left, want %d together", v.Declines, v.AttemptsLeft, domain.DeclinesMax)
			}
			if v.Status != test.status || v.SaleName != "Conference" || v.Amount != 13000 {
				t.Errorf("answer %+v, want status %s", v, test.status)
			}
			got := fields(t, w)
			for _, name := range test.present {
				if !slices.Contains(got, name) {
					t.Errorf("field %s is missing in %v", name, got)
				}
			}
			for _, name := range test.absent {
				if slices.Contains(got, name) {
					t.Errorf("field %s is there: %s", name, w.Body)
				}
			}
		})
	}
}

func TestOrderNeedsItsOwnToken(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	_, other := b.held(testKey + "-other")
	for name, header := range map[string]map[string]string{
		"none": nil, "another order's": bearerOf(other), "cut": bearerOf(token[:len(token)-1]),
		"another scheme": {"Authorization": "Basic " + token}, "the admin's": bearerOf(testAdminToken),
	} {
		for _, r := range []request{
			{method: "GET", path: "/v1/orders/" + id.String()},
			{method: "POST", path: "/v1/orders/" + id.String() + "/cancel"},
			{method: "GET", path: "/v1/orders/" + id.String() + "/tickets/1/qr"},
		} {
			r.header = header
			t.Run(name+" "+r.method+" "+r.path, func(t *testing.T) { wantProblem(t, b.do(r), 404, domain.CodeNotFound) })
		}
	}
	if b.world.States[id].Status != domain.OrderHeld {
		t.Error("a stranger canceled the order")
	}
}

// A buyer who comes back from paying in another browser has only the key in the provider's link.
func TestTheWayBackKeyGetsTheOrdersToken(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	other, _ := b.held(testKey + "-other")
	key := b.world.Keys.WayBackKey(id, time.Now().Add(time.Hour))
	ask := func(key string) *httptest.ResponseRecorder {
		return b.do(request{method: "POST", path: "/v1/orders/" + id.String() + "/token", header: bearerOf(key)})
	}
	w := ask(key)
	var got TokenView
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got != (TokenView{id, token}) {
		t.Fatalf("HTTP %d: %s", w.Code, w.Body)
	}
	for name, wrong := range map[string]string{
		"too old": b.world.Keys.WayBackKey(id, time.Now()), "another order's": b.world.Keys.WayBackKey(other, time.Now().Add(time.Hour)),
		"cut": key[1:], "none": "", "the organiser's token": testAdminToken,
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, ask(wrong), 404, domain.CodeNotFound) })
	}
	t.Run("the key itself reads no order", func(t *testing.T) {
		wantProblem(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(key)}), 404, domain.CodeNotFound)
	})
}

func TestOrderThatNeverWas(t *testing.T) {
	for status, want := range map[domain.OrderStatus]struct {
		status int
		code   domain.Code
	}{
		domain.OrderPending:      {409, domain.CodeInFlight},
		domain.OrderSoldOut:      {404, domain.CodeNotFound},
		domain.OrderLimitReached: {404, domain.CodeNotFound},
	} {
		t.Run(string(status), func(t *testing.T) {
			b := setup(t)
			id, token := b.held(testKey)
			b.world.States[id].Status = status
			wantProblem(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)}), want.status, want.code)
		})
	}
}

func TestCancel(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	cancel := request{method: "POST", path: "/v1/orders/" + id.String() + "/cancel", header: bearerOf(token)}

	w := b.do(cancel)
	if want := `{"order":"` + id.String() + `","status":"canceled"}`; w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	b.world.pay(b.world.States[id])
	wantProblem(t, b.do(cancel), 409, domain.CodeAlreadyPaid)
	delete(b.world.States, id) // past retention
	wantProblem(t, b.do(cancel), 409, domain.CodeAlreadyPaid)
}

func TestTicketQR(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	get := func(number, accept string) *httptest.ResponseRecorder {
		header := bearerOf(token)
		header["Accept"] = accept
		return b.do(request{method: "GET", path: "/v1/orders/" + id.String() + "/tickets/" + number + "/qr", header: header})
	}
	wantProblem(t, get("1", ""), 404, domain.CodeNotFound) // not paid yet
	b.world.pay(b.world.States[id])
	for _, test := range []struct{ accept, contentType, start string }{
		{"", "image/svg+xml", "<svg "}, {"image/*", "image/svg+xml", "<svg "}, {"image/png", "image/png", "\x89PNG"},
	} {
		w := get("2", test.accept)
		if w.Code != 200 || w.Header().Get("Content-Type") != test.contentType || !strings.HasPrefix(w.Body.String(), test.start) {
			t.Errorf("Accept %q: %d %s %.20q", test.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	wantProblem(t, get("3", ""), 404, domain.CodeNotFound)
	b.world.sold[id].Status = domain.OrderRefunded
	wantProblem(t, get("1", ""), 404, domain.CodeNotFound)
}

func TestWebhook(t *testing.T) {
	for event, want := range map[string]int{"evt_1": http.StatusOK, "evt_slow": http.StatusAccepted} {
		t.Run(event, func(t *testing.T) {
			b := setup(t)
			id, _ := b.held(testKey)
			w := b.do(request{"POST", "/v1/webhooks/mockpay", id.String(), map[string]string{"Webhook-Signature": "good", "Webhook-Id": event}})
			if body := `{"order":"` + id.String() + `","status":"paid"}`; w.Code != want || strings.TrimSpace(w.Body.String()) != body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, want, body)
			}
		})
	}
}

func TestSaleContract(t *testing.T) {
	b := setup(t)
	b.held(testKey)
	w := b.do(request{method: "GET", path: "/v1/sales/conference"})
	want := `{"id":"conference","name":"Conference","version":1,"currency":"EUR","state":"open","open":true,"hold_seconds":60,"buyer_limit":10,"waiting_room":false,` +
		`"one_checkout_per_buyer":false,"fold_email_aliases":false,"capture":"automatic",` +
		`"classes":[{"class":"A","price":6500,"capacity":5,"held":2,"sold":0,"available":3,"open":true},{"class":"B","price":3500,"capacity":50,"held":0,"sold":0,"available":50,"open":true}],` +
		`"perk":{"name":"T-shirt","capacity":3,"available":3}}`
	if w.Code != 200 || !jsonEqual(t, w.Body.Bytes(), []byte(want)) {
		// The gate's look at the stock, before the hold, may be shown for StockMaxAge.
		waitFor(t, func() bool {
			w = b.do(request{method: "GET", path: "/v1/sales/conference"})
			return jsonEqual(t, w.Body.Bytes(), []byte(want))
		})
	}
	list := b.do(request{method: "GET", path: "/v1/sales"})
	var sales SalesView
	decode(t, list, &sales)
	if list.Code != 200 || len(sales.Sales) != 2 {
		t.Errorf("%d %s", list.Code, list.Body)
	}
	b.world.StockErr = errors.New("down")
	waitFor(t, func() bool { return b.do(request{method: "GET", path: "/v1/sales/conference"}).Code == 503 })
	wantProblem(t, b.do(request{method: "GET", path: "/v1/sales/conference"}), 503, domain.CodeOverloaded)
}

func jsonEqual(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func TestOrganiser(t *testing.T) {
	b := setup(t)
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "application/json"
	body := `{"id":"gala","name":"Gala","currency":"EUR","classes":[{"class":"A","price":100,"capacity":7}],"perk":{"name":"Pin","capacity":2}}`

	for range 2 { // repeating it changes nothing
		w := b.do(request{"POST", "/v1/sales", body, header})
		var v SaleView
		decode(t, w, &v)
		if w.Code != 201 || !v.Open || v.HoldSeconds != 600 || v.BuyerLimit != DefaultBuyerLimit || v.Classes[0].Available != 7 || v.Perk.Available != 2 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	id, _ := b.held(testKey)
	refund := request{"POST", "/v1/orders/" + id.String() + "/refund", "", header}
	b.world.refundErr = &domain.Error{Code: domain.CodeNotPaid}
	wantProblem(t, b.do(refund), 409, domain.CodeNotPaid)
	b.world.refundErr = nil
	b.world.pay(b.world.States[id])

	orders := b.do(request{method: "GET", path: "/v1/sales/conference/orders?limit=1", header: header})
	var page OrdersView
	decode(t, orders, &page)
	if orders.Code != 200 || len(page.Orders) != 1 || page.Orders[0].Email == "" || page.Orders[0].Payment != "pay_1" || page.Next != id.String() {
		t.Errorf("%d %s", orders.Code, orders.Body)
	}
	if w := b.do(refund); w.Code != 202 || !strings.Contains(w.Body.String(), `"refunding"`) {
		t.Errorf("refund: %d %s", w.Code, w.Body)
	}
	if w := b.do(request{method: "GET", path: "/v1/sales/conference/audit", header: header}); w.Code != 200 || !strings.Contains(w.Body.String(), `"verdict":"ok"`) {
		t.Errorf("audit: %d %s", w.Code, w.Body)
	}
}

// If absent, it follows waiting_room, so tools that know neither create the same sales as before.
func TestOneCheckoutPerBuyerOfANewSale(t *testing.T) {
	b := setup(t)
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "application/json"
	for i, test := range []struct {
		body string
		want bool
	}{
		{``, false},
		{`,"waiting_room":true`, true},
		{`,"one_checkout_per_buyer":true`, true},
		{`,"waiting_room":true,"one_checkout_per_buyer":false`, false},
	} {
		body := fmt.Sprintf(`{"id":"gala-%d","name":"Gala","currency":"EUR","classes":[{"class":"A","price":100,"capacity":7}]%s}`, i, test.body)
		w := b.do(request{"POST", "/v1/sales", body, header})
		var v SaleView
		decode(t, w, &v)
		if w.Code != 201 || v.OneCheckoutPerBuyer != test.want {
			t.Errorf("%s: %d %s, want one checkout a buyer: %v", test.body, w.Code, w.Body, test.want)
		}
	}
}

// If absent, every address is its own buyer, so tools that do not know it create the same sales as
// before.
func TestFoldedAliasesOfANewSale(t *testing.T) {
	b := setup(t)
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "application/json"
	for i, test := range []struct {
		body string
		want bool
	}{
		{``, false},
		{`,"waiting_room":true`, false},
		{`,"fold_email_aliases":true`, true},
	} {
		body := fmt.Sprintf(`{"id":"gala-%d","name":"Gala","currency":"EUR","classes":[{"class":"A","price":100,"capacity":7}]%s}`, i, test.body)
		w := b.do(request{"POST", "/v1/sales", body, header})
		var v SaleView
		decode(t, w, &v)
		if w.Code != 201 || v.FoldEmailAliases != test.want {
			t.Errorf("%s: %d %s, want aliases folded: %v", test.body, w.Code, w.Body, test.want)
		}
	}
}

// Anybody who knows an address may ask for tickets in its name, so only the owner's browser is
// told what the owner has.
func TestALimitRefusalTellsOnlyTheOwnersBrowser(t *testing.T) {
	const origin = "https://example.com" // the Host of httptest
	b := setup(t)
	tries := 0
	fromBrowser := func(cookies ...*http.Cookie) *httptest.ResponseRecorder {
		tries++
		r := checkoutRequest(fmt.Sprintf("%s-%d", testKey, tries), wish("A", 1))
		r.header["Origin"] = origin
		for _, cookie := range cookies {
			r.header["Cookie"] = cookie.Name + "=" + cookie.Value
		}
		return b.do(r)
	}
	first := fromBrowser()
	var own CheckoutView
	decode(t, first, &own)
	cookies := first.Result().Cookies()
	if len(cookies) != 2 || cookies[1].Name != domain.HoldingCookieName("conference") || cookies[1].Value != "1" || cookies[1].HttpOnly || cookies[1].MaxAge != cookies[0].MaxAge {
		t.Errorf("cookies %v, want one beside the order's that says no more than that there is one", cookies)
	}
	if !cookies[0].HttpOnly || !cookies[0].Secure || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].MaxAge < 1 || cookies[0].MaxAge > 60 {
		t.Fatalf("cookies %v, want one that lasts as long as the hold and is HttpOnly", cookies)
	}
	forged := *cookies[0]
	forged.Value = own.Order.String() + ".AAAAAAAAAAAAAAAAAAAAAA"
	foreign := *cookies[0]
	foreign.Name = domain.HeldCookieName("soon")

	b.world.LimitReached = true
	var strangers []string
	for _, open := range []bool{false, true} {
		b.world.CheckoutOpen = open
		for name, cookies := range map[string][]*http.Cookie{"without a cookie": nil, "with a forged one": {&forged}, "with another sale's": {&foreign}} {
			t.Run(fmt.Sprintf("%s, checkout open %t", name, open), func(t *testing.T) {
				var p Problem
				decode(t, fromBrowser(cookies...), &p)
				if p.Code != domain.CodeLimitReached || p.Own != nil {
					t.Errorf("%+v, want limit_reached and nobody's order", p)
				}
				strangers = append(strangers, p.Detail)
			})
		}
		t.Run(fmt.Sprintf("with its own, checkout open %t", open), func(t *testing.T) {
			var p Problem
			decode(t, fromBrowser(cookies[0]), &p)
			if p.Code != domain.CodeLimitReached || p.Own == nil || *p.Own != (TokenView{own.Order, own.Token}) || slices.Contains(strangers, p.Detail) {
				t.Errorf("%+v, want limit_reached, the order %s and its own detail", p, own.Order)
			}
		})
	}
	t.Run("with its own among malformed cookies", func(t *testing.T) {
		var p Problem
		decode(t, fromBrowser(&http.Cookie{Name: `settings={"theme":"dark"}; flag; ` + cookies[0].Name, Value: cookies[0].Value}), &p)
		if p.Own == nil || *p.Own != (TokenView{own.Order, own.Token}) {
			t.Errorf("%+v, want the order %s", p, own.Order)
		}
	})
	if slices.Sort(strangers); len(slices.Compact(strangers)) != 1 {
		t.Errorf("strangers learn which limit it was: %q", strangers)
	}
}

func TestOnlyBrowsersGetACookie(t *testing.T) {
	b := setup(t)
	if cookies := b.checkout(testKey, wish("A", 1)).Result().Cookies(); len(cookies) != 0 {
		t.Errorf("cookies %v", cookies)
	}
}

func TestSeparateAdminListener(t *testing.T) {
	b := setup(t, func(o *Options) { o.SeparateAdmin = true })
	for _, r := range []request{
		{method: "GET", path: "/v1/sales/conference/orders", header: bearerOf(testAdminToken)},
		{method: "GET", path: "/metrics"},
	} {
		wantProblem(t, b.do(r), 404, domain.CodeNotFound)
		w := httptest.NewRecorder()
		req := httptest.NewRequest(r.method, r.path, nil)
		for k, v := range r.header {
			req.Header.Set(k, v)
		}
		b.api.Admin().ServeHTTP(w, req)
		if w.Code != 200 {
			t.Errorf("%s on the admin's listener: %d %s", r.path, w.Code, w.Body)
		}
	}
}

func TestReadySaysWhyNot(t *testing.T) {
	var failure, warning error
	b := setup(t, func(o *Options) {
		o.Checks = []Check{
			{Name: "postgres", Advisory: true, Probe: func(context.Context) error { return warning }},
			{Name: "temporal", Probe: func(context.Context) error { return failure }},
		}
	})
	if w := b.do(request{method: "GET", path: "/readyz"}); w.Code != 200 || !strings.Contains(w.Body.String(), `"ready"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	warning = errors.New("away")
	if w := b.do(request{method: "GET", path: "/readyz"}); w.Code != 200 || !strings.Contains(w.Body.String(), `"degraded"`) {
		t.Errorf("an advisory check: %d %s", w.Code, w.Body)
	}
	failure = errors.New("no connection")
	p := wantProblem(t, b.do(request{method: "GET", path: "/readyz"}), 503, domain.CodeOverloaded)
	if len(p.Errors) != 1 || p.Errors[0] != (FieldError{"temporal", "no connection"}) {
		t.Errorf("errors %+v", p.Errors)
	}
	if w := b.do(request{method: "GET", path: "/healthz"}); w.Code != 200 {
		t.Errorf("healthz %d", w.Code)
	}
}

func TestPanicIsAProblemAndLogged(t *testing.T) {
	b := setup(t, func(o *Options) {
		o.PayPage = func(domain.Order, domain.Hold) (domain.PayPage, error) { panic("a bug") }
	})
	p := wantProblem(t, b.checkout(testKey, wish("A", 1)), 500, domain.CodeInternal)
	if strings.Contains(fmt.Sprint(p), "a bug") || !strings.Contains(b.log.String(), "a bug") {
		t.Errorf("shown %+v, logged %s", p, b.log)
	}
}

// A shared read runs in its own goroutine.
func TestAPanicInASharedReadIsAProblemAndLogged(t *testing.T) {
	isBroken := false
	b := setup(t, func(o *Options) {
		payPage := o.PayPage
		o.PayPage = func(order domain.Order, hold domain.Hold) (domain.PayPage, error) {
			if isBroken {
				panic("a bug")
			}
			return payPage(order, hold)
		}
	})
	id, token := b.held(testKey)
	isBroken = true
	p := wantProblem(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)}), 500, domain.CodeInternal)
	if strings.Contains(fmt.Sprint(p), "a bug") || !strings.Contains(b.log.String(), "a bug") {
		t.Errorf("shown %+v, logged %s", p, b.log)
	}
}

func TestPagesAnswerWhatIsNotTheAPI(t *testing.T) {
	b := setup(t, func(o *Options) {
		o.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page ", r.URL.Path) })
	})
	if w := b.do(request{method: "GET", path: "/sales/x"}); w.Code != 200 || w.Body.String() != "page /sales/x" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, b.do(request{method: "GET", path: "/v1/sales/x/y"}), 404, domain.CodeNotFound)
	wantProblem(t, b.do(request{method: "POST", path: "/sales/x"}), 404, domain.CodeNotFound)
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"} // from a browser without JavaScript
	if w := b.do(request{method: "POST", path: "/sales/x", body: "a=b", header: form}); w.Code != 200 || w.Body.String() != "page /sales/x" {
		t.Errorf("a form: %d %s", w.Code, w.Body)
	}
	wantProblem(t, b.do(request{method: "POST", path: "/v1/nope", body: "a=b", header: form}), 404, domain.CodeNotFound)
}

func TestMetricsCount(t *testing.T) {
	b := setup(t)
	b.checkout(testKey, wish("A", 1))
	b.checkout("short", wish("A", 1))
	w := b.do(request{method: "GET", path: "/metrics", header: bearerOf(testAdminToken)})
	for _, line := range []string{
		`boxoffice_http_requests_total{method="POST",route="/v1/sales/:sale/checkouts",status="201"} 1`,
		`boxoffice_http_problems_total{code="key_missing",route="/v1/sales/:sale/checkouts"} 1`,
		`boxoffice_http_request_duration_seconds_count{route="/v1/sales/:sale/checkouts"} 2`,
	} {
		if !strings.Contains(w.Body.String(), line) {
			t.Errorf("%s is missing in\n%s", line, w.Body)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := New(Options{AdminToken: testAdminToken})
	if err == nil || !strings.Contains(err.Error(), "Desk") || !strings.Contains(err.Error(), "Providers") {
		t.Errorf("error %v", err)
	}
}

// awayAfter is a database that finds no order at the first query and is down at the next.
type awayAfter struct {
	Orders
	asked atomic.Int64
}

func (o *awayAfter) Order(context.Context, domain.OrderID) (domain.SoldOrder, error) {
	if o.asked.Add(1) == 1 {
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	return domain.SoldOrder{}, &domain.Error{Code: domain.CodeOverloaded, Detail: "The orders database does not answer."}
}

// A paid order has tickets, and must not be shown as paid without them: neither if the database goes away between the two
// questions, nor if it was put back to a moment before the record.
func TestAPaidOrderIsNotShownWithoutItsTickets(t *testing.T) {
	for _, name := range []string{"the database went away", "the record is lost"} {
		t.Run(name, func(t *testing.T) {
			away := &awayAfter{}
			b := setup(t, func(o *Options) {
				if away.Orders = o.Orders; name == "the database went away" {
					o.Orders = away
				}
			})
			id, token := b.held(testKey)
			b.world.Mu.Lock()
			state := b.world.States[id]
			state.Status = domain.OrderPaid
			b.world.States[id] = state
			b.world.Mu.Unlock()
			away.asked.Store(0)
			wantProblem(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)}), 503, domain.CodeOverloaded)
		})
	}
}

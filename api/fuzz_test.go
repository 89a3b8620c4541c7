package api

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"boxoffice/domain"
)

// FuzzRequest: no request makes us fail, and every refusal is a problem that repeats
// nothing of the request.
func FuzzRequest(f *testing.F) {
	b := setup(f)
	id, token := b.held(testKey)
	order := "/v1/orders/" + id.String()
	for _, seed := range [][3]string{
		{"GET", "/v1/sales", ""},
		{"GET", "/v1/sales/conference", ""},
		{"POST", "/v1/sales/conference/checkouts", wish("A", 1)},
		{"GET", order, ""},
		{"POST", order + "/cancel", "{}"},
		{"GET", order + "/tickets/1/qr", ""},
		{"GET", order + "/tickets/-1/qr", ""},
		{"GET", "/v1/sales/conference/orders?limit=500&after=" + id.String(), ""},
		{"GET", "/v1/sales/conference/orders?limit=1e9&after=%ff", ""},
		{"POST", "/v1/sales", `{"id":"a-1","name":"A","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}],"hold_seconds":5}`},
		{"POST", "/v1/sales", `{"id":"a-2","name":"A","currency":"EUR","classes":[{"class":"A","price":-1,"capacity":9223372036854775807}],"opens_at":"9999-12-31T23:59:60Z"}`},
		{"POST", "/v1/webhooks/mockpay", id.String()},
		{"POST", order + "/refund", ""},
		{"GET", "/problems/%2e%2e", ""},
		{"OPTIONS", "*", ""},
	} {
		for _, authorization := range []string{"", "Bearer " + token, "bearer  " + testAdminToken, "Basic YTpi"} {
			f.Add(seed[0], seed[1], authorization, "application/json", testKey, seed[2])
		}
	}
	f.Fuzz(func(t *testing.T, method, target, authorization, contentType, key, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || method == "" || strings.Contains(u.Path, "/events") { // a stream has no end
			t.Skip()
		}
		r, err := http.NewRequest(method, "http://boxoffice", strings.NewReader(body))
		if err != nil {
			t.Skip() // net/http refuses such a method
		}
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.RequestURI = u.Path, u.RawPath, u.RawQuery, target
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Idempotency-Key", key)
		r.Header.Set("Webhook-Signature", "good but garbled")
		r.Header.Set("X-Request-Id", key)
		w := httptest.NewRecorder()
		b.api.Public().ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code >= 400 {
			if got := w.Header().Get("Content-Type"); got != problemType {
				t.Fatalf("%d of type %q: %s", w.Code, got, w.Body)
			}
			if len(authorization) > 20 && strings.Contains(w.Body.String(), authorization) {
				t.Fatalf("the answer repeats the token: %s", w.Body)
			}
		}
		b.forget()
	})
}

// forget keeps the fakes small over a million requests.
func (b *bundle) forget() {
	b.world.Mu.Lock()
	defer b.world.Mu.Unlock()
	for id := range b.world.SalesByID {
		if id != "conference" && id != "soon" {
			delete(b.world.SalesByID, id)
			delete(b.world.Opened, id)
		}
	}
	b.log.Reset()
}

// FuzzOrderToken: only one token opens the order, however it is sent.
func FuzzOrderToken(f *testing.F) {
	b := setup(f)
	id, token := b.held(testKey)
	other := b.world.Keys.OrderToken(domain.OrderID{2})
	for _, seed := range []string{
		"Bearer " + token, "bearer " + token, "Bearer  " + token + " ", "Bearer " + other, "Bearer " + token[:21], "Bearer " + token + "A",
		"Bearer " + token + "=", "Basic " + token, "Bearer", "Bearer " + testAdminToken, token,
	} {
		f.Add(id.String(), seed)
		f.Add(strings.ToUpper(id.String()), seed)
	}
	f.Fuzz(func(t *testing.T, order, authorization string) {
		got, err := b.api.authorize(order, authorization)
		sent := bearer(authorization)
		switch {
		case err == nil && (order != id.String() || got != id || sent != token) && !b.world.Keys.ValidOrderToken(got, sent):
			t.Fatalf("%q opens %q", authorization, order)
		case err != nil && domain.CodeOf(err) != domain.CodeNotFound:
			t.Fatalf("%v", err)
		case err != nil && order == id.String() && sent == token:
			t.Fatalf("%q is refused", authorization)
		}
	})
}

// FuzzRawHTTP: bytes as they come from a socket, as far as net/http lets them
// through.
func FuzzRawHTTP(f *testing.F) {
	b := setup(f)
	for _, seed := range []string{
		"GET /v1/sales HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /v1/sales/conference/checkouts HTTP/1.1\r\nHost: a\r\nIdempotency-Key: 0123456789abcdef\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"POST /v1/webhooks/mockpay HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"POST /v1/webhooks/mockpay HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
		"GET http://b/v1/sales?%zz HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil || strings.Contains(r.URL.Path, "/events") {
			t.Skip()
		}
		w := httptest.NewRecorder()
		b.api.Public().ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		b.log.Reset()
	})
}

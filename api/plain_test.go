package api

import (
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// bothWays sends a checkout twice: once so that it may be refused at once, and once so that
// it goes the ordinary way.
func (b *bundle) bothWays(sale, key, accept, body string) (atOnce, ordinary *httptest.ResponseRecorder) {
	send := func(contentType string) *httptest.ResponseRecorder {
		return b.do(request{"POST", "/v1/sales/" + sale + "/checkouts", body, map[string]string{
			"Content-Type": contentType, "Idempotency-Key": key, "X-Request-Id": "0123456789", "Accept": accept,
		}})
	}
	return send("application/json"), send("application/json; charset=utf-8")
}

func sameAnswer(t *testing.T, atOnce, ordinary *httptest.ResponseRecorder) {
	t.Helper()
	if atOnce.Code != ordinary.Code || atOnce.Body.String() != ordinary.Body.String() {
		t.Errorf("%d %s\nthe ordinary way %d %s", atOnce.Code, atOnce.Body, ordinary.Code, ordinary.Body)
	}
	if !maps.EqualFunc(atOnce.Header(), ordinary.Header(), func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }) {
		t.Errorf("headers %v\nthe ordinary way %v", atOnce.Header(), ordinary.Header())
	}
}

func plainlyRead(body string) (CheckoutBody, bool) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Content-Type", "application/json")
	r.Body = &wholeBody{bytes: []byte(body)}
	return plainCheckout(r)
}

// All sales are sold out, canceled or not open, so that no answer depends on the previous one.
func setupRefusing(t testing.TB) *bundle {
	b := setup(t)
	b.stockOf(0, 2, 3)
	b.stockOf(1, 0, 50)
	canceled := b.world.AddSale(&domain.Sale{
		ID: "canceled", Name: "Canceled", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute, CanceledAt: time.Now(),
		Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 5}},
	})
	b.world.Opened[canceled.ID] = true
	for _, sale := range []string{"conference", "soon", "canceled"} { // into memory
		b.do(request{method: "GET", path: "/v1/sales/" + sale})
	}
	return b
}

var refusedWishes = []string{
	wish("A", 1),
	` { "buyer" : {"email":"Ann@Example.com"} , "items" : [ {"quantity":2,"class":"B"},{"class":"A","quantity":1} ] } `,
	`{"items":[{"class":"A","quantity":10}],"buyer":{"email":"a@b.c"}}`,
	`{"items":[{"class":"A","quantity":11}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":{"cart":"4711","a.b-c_d":" x "}}`,
	`{"items":[{"class":"A","quantity":101}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":0}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":-1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":1.0}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":1e0}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":01}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":"1"}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"\u0041","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"Å","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"C","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A"}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":1,"price":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","class":"B","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"Items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":1,"Quantity":9}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"cla\u017fs":"A","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com","Email":"bob@example.com"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"m\ud800@example.com"}}`,
	"{\"items\":[{\"class\":\"A\",\"quantity\":1}],\"buyer\":{\"email\":\"m\xfcller@example.com\"}}",
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@127.0.0.1"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@xn--a.example"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":{}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":null}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":{"cart":""}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":{"cart":" "}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":{"a cart":"1"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":{"cart":"1","cart":"2"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":{"cart":1}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"metadata":{"cart":"` + strings.Repeat("x", 501) + `"}}`,
	`{"items":[],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":1},],"buyer":{"email":"ann@example.com"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"an"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"` + strings.Repeat("a", 250) + `@b.c"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"buyer":{"email":"bob@example.com"}}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"},"note":null}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"}}{}`,
	`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"}`,
	`{"items":[` + strings.Repeat(`{"class":"A","quantity":1},`, 12) + `{"class":"A","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	`{"items":null,"buyer":null}`, `[]`, `null`, ``, "\xff",
}

func TestBothWaysRefuseAlike(t *testing.T) {
	b := setupRefusing(t)
	for _, body := range refusedWishes {
		for _, sale := range []string{"conference", "soon", "canceled", "none"} {
			t.Run(sale+" "+body[:min(len(body), 80)], func(t *testing.T) {
				atOnce, ordinary := b.bothWays(sale, testKey, "", body)
				sameAnswer(t, atOnce, ordinary)
			})
		}
	}
	for _, key := range []string{"", "short", `"` + testKey + `"`, `"` + testKey, testKey + "\x7f"} {
		atOnce, ordinary := b.bothWays("conference", key, "", wish("A", 1))
		sameAnswer(t, atOnce, ordinary)
	}
	for _, accept := range []string{"*/*", "application/json", "application/cbor", "text/html;q=0.9, */*;q=0.1", "\x00"} {
		atOnce, ordinary := b.bothWays("conference", testKey, accept, wish("A", 1))
		sameAnswer(t, atOnce, ordinary)
	}
}

// Plain requests must take the short way, or nothing is gained.
func TestPlainCheckoutsAreRefusedAtOnce(t *testing.T) {
	b := setupRefusing(t)
	for i, body := range refusedWishes {
		got, plain := plainlyRead(body)
		if want := i < 5; plain != want && (want || strings.Contains(body, "\\")) {
			t.Errorf("%s: plain %v", body, plain)
		}
		if plain && (len(got.Items) == 0 || got.Buyer.Email == "") {
			t.Errorf("%s: %+v", body, got)
		}
	}
	allocations := func(contentType string) float64 {
		r := checkoutRequest(testKey, wish("A", 1))
		r.header["Content-Type"] = contentType
		return testing.AllocsPerRun(100, func() { b.do(r) })
	}
	if atOnce, ordinary := allocations("application/json"), allocations("application/json; charset=utf-8"); atOnce > 0.75*ordinary {
		t.Errorf("%.0f allocations at once, %.0f the ordinary way", atOnce, ordinary)
	}
}

// FuzzRefusedAtOnce: both ways give the same answer to every body.
func FuzzRefusedAtOnce(f *testing.F) {
	b := setupRefusing(f)
	for _, body := range refusedWishes {
		f.Add(testKey, body)
	}
	f.Fuzz(func(t *testing.T, key, body string) {
		atOnce, ordinary := b.bothWays("conference", key, "", body)
		sameAnswer(t, atOnce, ordinary)
	})
}

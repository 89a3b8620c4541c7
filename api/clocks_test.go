package api

import (
	"strings"
	"testing"
	"time"

	"boxoffice/admission"
	"boxoffice/domain"
)

// While the clocks differ too much, nothing new is sold, whichever way a checkout goes.
// Existing orders are served, and refusals stay the same.
func TestNothingIsSoldWhileTheClocksDiffer(t *testing.T) {
	var differ error
	b := setupAdmission(t, func(o *admission.Options) { o.MaySell = func() error { return differ } })
	b.stockOf(0, 0, 5) // class A is sold out
	b.stockOf(1, 0, 0)
	w := b.checkout(testKey, wish("B", 1))
	if w.Code != 201 {
		t.Fatalf("checkout: %d %s", w.Code, w.Body)
	}
	var view CheckoutView
	decode(t, w, &view)

	differ = &domain.Error{Code: domain.CodeClocksDiffer, RetryAfter: 10 * time.Second, Detail: "The clocks differ."}
	starts := b.startsNow()
	const key = "another-idempotency-key"
	for _, body := range []string{wish("B", 1), `{"items":[{"class":"B","quantity":1}],"buyer":{"email":"b\u0062@example.com"}}`} {
		atOnce, ordinary := b.bothWays("conference", key, "", body)
		sameAnswer(t, atOnce, ordinary)
		p := wantProblem(t, atOnce, 503, domain.CodeClocksDiffer)
		if p.Detail != "The clocks differ." || atOnce.Header().Get("Retry-After") != "10" {
			t.Errorf("%+v, Retry-After %s", p, atOnce.Header().Get("Retry-After"))
		}
	}
	wantProblem(t, b.checkout(key, wish("A", 1)), 409, domain.CodeSoldOut)
	if now := b.startsNow(); now != starts {
		t.Errorf("%d checkouts were started", now-starts)
	}
	if w := b.do(request{"GET", "/v1/orders/" + view.Order.String(), "", map[string]string{"Authorization": "Bearer " + view.Token}}); w.Code != 200 || !strings.Contains(w.Body.String(), `"held"`) {
		t.Errorf("the order: %d %s", w.Code, w.Body)
	}

	differ = nil
	if w := b.checkout(key, wish("B", 1)); w.Code != 201 {
		t.Errorf("once they agree: %d %s", w.Code, w.Body)
	}
}

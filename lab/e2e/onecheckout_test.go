package e2e

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"boxoffice/client"
)

// A buyer has one open checkout: only its end, however it comes, allows the
// next.
func testOneCheckoutPerBuyer(t *testing.T, s *stack) {
	sale := s.saleOfOneCheckout(t)
	buyer := newBuyer()
	held := func(a answer) (o order) {
		t.Helper()
		if a.status != http.StatusCreated {
			t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusCreated, a.body)
		}
		a.into(t, &o)
		return o
	}
	refused := func(key string) {
		t.Helper()
		a := s.checkout(t, sale, key, items{"a": 1}, buyer)
		if a.status != http.StatusTooManyRequests {
			t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusTooManyRequests, a.body)
		}
		if got := a.code(t); got != "limit_reached" {
			t.Fatalf(`a.code(t) is %q, want "limit_reached"`, got)
		}
		if !strings.Contains(string(a.body), "a checkout that still waits for its payment") {
			t.Fatalf("no %q in %s", "a checkout that still waits for its payment", string(a.body))
		}
	}
	next := func() order { t.Helper(); return held(s.checkout(t, sale, newKey(), items{"A": 1}, buyer)) }

	first, key := next(), newKey()
	refused(key)
	refused(newKey())
	held(s.checkout(t, sale, newKey(), items{"A": 1}, newBuyer())) // another buyer's checkout does not matter
	s.cancel(t, first)
	refused(key) // the key's answer stays

	second := next()
	s.pay(t, second, "failed")
	s.awaitStatus(t, second, "failed")

	third := next()
	refused(newKey())
	s.pay(t, third, "succeeded")
	s.awaitStatus(t, third, "paid")

	var won atomic.Int64
	var tabs sync.WaitGroup
	for range 8 { // all at once
		tabs.Go(func() {
			a := s.checkout(t, sale, newKey(), items{"A": 1}, buyer)
			if a.status == http.StatusCreated {
				won.Add(1)
				return
			}
			if a.status != http.StatusTooManyRequests {
				t.Errorf("a.status is %v, want %v: %s", a.status, http.StatusTooManyRequests, a.body)
			}
		})
	}
	tabs.Wait()
	if got := won.Load(); got != 1 {
		t.Fatalf("won.Load() is %v, want 1: checkouts of one buyer that were held at once", got)
	}
}

func (s *stack) saleOfOneCheckout(t *testing.T) string {
	t.Helper()
	id := "e2e-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	_, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: id, Name: "One checkout a buyer", Currency: "EUR", OneCheckoutPerBuyer: new(true), HoldSeconds: new(int64(longHold)),
		Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: 100}, {Class: "a", Price: 3500, Capacity: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

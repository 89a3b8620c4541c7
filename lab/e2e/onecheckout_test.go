package e2e

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A buyer has one open checkout: whatever ends it, and nothing else, allows the
// next.
func testOneCheckoutPerBuyer(t *testing.T, s *stack) {
	sale := s.saleOfOneCheckout(t)
	buyer := newBuyer()
	held := func(a answer) (o order) {
		t.Helper()
		require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
		a.into(t, &o)
		return o
	}
	refused := func(key string) {
		t.Helper()
		a := s.checkout(t, sale, key, items{"a": 1}, buyer)
		require.Equal(t, http.StatusTooManyRequests, a.status, "%s", a.body)
		require.Equal(t, "limit_reached", a.code(t))
		require.Contains(t, string(a.body), "a checkout that still waits for its payment")
	}
	next := func() order { t.Helper(); return held(s.checkout(t, sale, newKey(), items{"A": 1}, buyer)) }

	first, key := next(), newKey()
	refused(key)
	refused(newKey())
	held(s.checkout(t, sale, newKey(), items{"A": 1}, newBuyer())) // another buyer's is none of it
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
			assert.Equal(t, http.StatusTooManyRequests, a.status, "%s", a.body)
		})
	}
	tabs.Wait()
	require.EqualValues(t, 1, won.Load(), "checkouts of one buyer that were held at once")
}

func (s *stack) saleOfOneCheckout(t *testing.T) string {
	t.Helper()
	id := "e2e-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	a := s.request(t, http.MethodPost, s.env["BOXOFFICE_ADMIN_URL"]+"/v1/sales", s.admin(), map[string]any{
		"id": id, "name": "One checkout a buyer", "currency": "EUR", "one_checkout_per_buyer": true, "hold_seconds": longHold,
		"classes": []map[string]any{{"class": "A", "price": 6500, "capacity": 100}, {"class": "a", "price": 3500, "capacity": 100}},
	})
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	return id
}

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

	"boxoffice/client"
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
	_, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: id, Name: "One checkout a buyer", Currency: "EUR", OneCheckoutPerBuyer: new(true), HoldSeconds: new(int64(longHold)),
		Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: 100}, {Class: "a", Price: 3500, Capacity: 100}},
	})
	require.NoError(t, err)
	return id
}

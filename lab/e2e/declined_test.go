package e2e

import (
	"html"
	"net/http"
	"sync"
	"testing"

	server "boxoffice/mockpay"
)

// testDeclinedInARush: far more people than seats, and the bank declines some who hold one. Their seats stay theirs while
// everybody else is refused, and they pay with another card. One leaves the provider's page, which gives nothing back,
// and then gives the seat back, which somebody else gets.
func testDeclinedInARush(t *testing.T, s *stack) {
	const seats, buyers = 8, 60
	sale := s.sale(t, seats, longHold, 1)
	// Every first payment is declined by itself, of whoever comes.
	if err := s.mockpay().Misbehave(t.Context(), "", &server.Mischief{Seed: 1, Rates: map[server.Trick]float64{server.TrickDecline: 1}}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.mockpay().Misbehave(t.Context(), "", nil); err != nil {
			t.Error(err)
		}
	}()
	rush := func(n int) (held []order) {
		t.Helper()
		var mu sync.Mutex
		var requests sync.WaitGroup
		for range n {
			requests.Go(func() {
				a := s.checkout(t, sale, newKey(), items{"A": 1}, newBuyer())
				switch {
				case a.status == http.StatusCreated:
					var o order
					a.into(t, &o)
					mu.Lock()
					defer mu.Unlock()
					held = append(held, o)
				case a.status != http.StatusConflict || a.code(t) != "sold_out":
					t.Errorf("a buyer was answered %d %s, want 409 sold_out", a.status, a.body)
				}
			})
		}
		requests.Wait()
		return held
	}
	held := rush(buyers)
	if len(held) != seats {
		t.Fatalf("%d orders are held, want %d", len(held), seats)
	}
	for _, o := range held {
		s.pay(t, o, "succeeded") // and it is declined
	}
	for _, o := range held {
		s.awaitDeclines(t, o, 1)
	}
	s.awaitStock(t, sale, "A", level{Held: seats})
	if got := rush(buyers); len(got) != 0 {
		t.Fatalf("%d got a seat of somebody who was declined", len(got))
	}

	leaves, stay := held[0], held[1:]
	for _, o := range stay {
		s.pay(t, o, "succeeded")
		s.awaitStatus(t, o, "paid")
	}
	b := newPlainBrowser(t)
	if got := b.open(leaves.PaymentURL); got != http.StatusOK {
		t.Fatalf("MockPay's page is answered %d, want 200", got)
	}
	back := cancelLink.FindStringSubmatch(b.page)
	if back == nil {
		t.Fatalf("no way back in %s", b.page)
	}
	if got := b.open(html.UnescapeString(back[1])); got != http.StatusOK || b.at.Path != "/orders/"+leaves.Order {
		t.Fatalf("cancel leads to %s (%d), want the order's page", b.at, got)
	}
	s.awaitDeclines(t, leaves, 1) // held as it was
	s.awaitStock(t, sale, "A", level{Held: 1, Sold: seats - 1})
	s.cancel(t, leaves)
	s.awaitStatus(t, leaves, "canceled")
	s.awaitStock(t, sale, "A", level{Sold: seats - 1, Available: 1})
	var last order
	eventually(t, "somebody else gets the seat", func() bool {
		got := rush(1)
		if len(got) == 1 {
			last = got[0]
		}
		return len(got) == 1
	})
	s.pay(t, last, "succeeded")
	s.awaitDeclines(t, last, 1)
	s.pay(t, last, "succeeded")
	s.awaitStatus(t, last, "paid")
	s.awaitStock(t, sale, "A", level{Sold: seats})
}

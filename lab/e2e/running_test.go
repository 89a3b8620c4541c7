package e2e

import (
	"net/http"
	"testing"

	"boxoffice/client"
)

// What an organiser may do while a sale runs: a class gets more and fewer tickets, the sale is
// ended early and opened again. The audit agrees with all of it.
func TestARunningSaleIsChanged(t *testing.T) {
	for _, ledger := range ledgers(t) {
		t.Run(ledger, func(t *testing.T) {
			s := startStack(t, dataDir(t), ledger)
			t.Run("capacity", func(t *testing.T) { testCapacity(t, s) })
			t.Run("ended early", func(t *testing.T) { testEndedEarly(t, s) })
			t.Run("verify", func(t *testing.T) { testVerify(t, s) })
		})
	}
}

func (s *stack) refused(t *testing.T, sale string, want items, code string) {
	t.Helper()
	a := s.checkout(t, sale, newKey(), want, newBuyer())
	if a.status != http.StatusConflict || a.code(t) != code {
		t.Fatalf("%d %s, want %s", a.status, a.body, code)
	}
}

func testCapacity(t *testing.T, s *stack) {
	sale := s.sale(t, 2, longHold, 5)
	change := func(key string, to int64) (client.CapacityView, error) {
		return s.boxOffice().ChangeCapacity(t.Context(), sale, "A", client.ChangeCapacityParams{IdempotencyKey: key}, &client.CapacityBody{Capacity: to})
	}
	paid := s.hold(t, sale, items{"A": 2})
	s.refused(t, sale, items{"A": 1}, "sold_out")
	raise := newKey()
	for range 2 { // once
		if c, err := change(raise, 5); err != nil || c.Before != 2 || c.Capacity != 5 {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	s.awaitStock(t, sale, "A", level{Held: 2, Available: 3})
	var held order
	eventually(t, "what was added is on sale", func() bool { // with the gate's next answer
		a := s.checkout(t, sale, newKey(), items{"A": 1}, newBuyer())
		if a.status == http.StatusCreated {
			a.into(t, &held)
		}
		return a.status == http.StatusCreated
	})
	if _, err := change(newKey(), 2); err == nil {
		t.Fatal("fewer than are held")
	}
	if c, err := change(newKey(), 3); err != nil || c.Before != 5 {
		t.Fatalf("%+v, %v", c, err)
	}
	s.refused(t, sale, items{"A": 1}, "sold_out")
	s.pay(t, paid, "succeeded")
	s.awaitStatus(t, paid, "paid")
	s.pay(t, held, "succeeded")
	s.awaitStatus(t, held, "paid")
	s.awaitStock(t, sale, "A", level{Sold: 3})
}

func testEndedEarly(t *testing.T, s *stack) {
	sale := s.sale(t, 5, longHold, 5)
	held := s.hold(t, sale, items{"A": 1})
	if v, err := s.boxOffice().EndSale(t.Context(), sale); err != nil || v.State != "closed" {
		t.Fatalf("%+v, %v", v, err)
	}
	s.refused(t, sale, items{"A": 1}, "sale_closed")
	s.pay(t, held, "succeeded")
	s.awaitStatus(t, held, "paid")
	if v, err := s.boxOffice().ReopenSale(t.Context(), sale); err != nil || v.State != "open" {
		t.Fatalf("%+v, %v", v, err)
	}
	s.pay(t, s.hold(t, sale, items{"A": 1}), "succeeded")
}

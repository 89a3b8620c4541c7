package e2e

import (
	"net/http"
	"syscall"
	"testing"

	"boxoffice/client"
	server "boxoffice/mockpay"
)

// An organiser calls a whole sale off, on every ledger: whatever state its orders
// are in, nothing stays held or sold, and all the money goes back.
func TestCancelSale(t *testing.T) {
	for _, ledger := range ledgers(t) {
		t.Run(ledger, func(t *testing.T) {
			s := startStack(t, dataDir(t), ledger)
			t.Run("one order", func(t *testing.T) { testCancelOrder(t, s) })
			t.Run("late money of a canceled sale", func(t *testing.T) { testLateMoneyOfCanceledSale(t, s) })
			t.Run("a whole sale", func(t *testing.T) { testCancelSale(t, s) })
			t.Run("verify", func(t *testing.T) { testVerify(t, s) })
		})
	}
}

func (s *stack) progress(t *testing.T, sale string) client.CancellationView {
	t.Helper()
	c, err := s.boxOffice().GetSaleCancellation(t.Context(), sale)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// callOff has the organiser cancel a sale.
func (s *stack) callOff(t *testing.T, sale string) client.CancellationView {
	t.Helper()
	c, err := s.boxOffice().CancelSale(t.Context(), sale)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// awaitFinished waits for the end of a sale's cancellation, during which the
// service may be away for a moment.
func (s *stack) awaitFinished(t *testing.T, sale string) client.CancellationView {
	t.Helper()
	s.awaitClosed(t, "cancel-sale/"+sale)
	c := s.progress(t, sale)
	if c.Stage != "finished" {
		t.Fatalf(`c.Stage is %q, want "finished"`, c.Stage)
	}
	if c.FinishedAt == nil {
		t.Fatal("c.FinishedAt is nil")
	}
	return c
}

func testCancelOrder(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 5)
	held, paid, unheard := s.hold(t, sale, items{"A": 1}), s.hold(t, sale, items{"A": 2}), s.hold(t, sale, items{"A": 1})
	s.pay(t, paid, "succeeded")
	s.awaitStatus(t, paid, "paid")
	s.misbehave(t, unheard, "lose") // captured, and nobody told us
	s.pay(t, unheard, "succeeded")
	for _, end := range []struct {
		order  order
		status string
	}{{held, "canceled"}, {paid, "refunded"}, {unheard, "refunded"}} {
		for range 2 { // repeating it changes nothing
			_, err := s.boxOffice().CancelOrderOfSale(t.Context(), sale, end.order.Order)
			if err != nil {
				t.Fatal(err)
			}
		}
		s.awaitStatus(t, end.order, end.status)
	}
	s.awaitStock(t, sale, "A", level{Available: 10}) // the seats are on sale again
}

func testLateMoneyOfCanceledSale(t *testing.T, s *stack) {
	sale := s.sale(t, 10, shortHold, 5)
	o := s.expired(t, sale)
	s.callOff(t, sale)
	s.awaitFinished(t, sale)
	s.capture(t, o, nil) // ten seats would have been left
	if got := s.awaitStatus(t, o, "refunded").Tickets; len(got) != 0 {
		t.Fatalf(`s.awaitStatus(t, o, "refunded").Tickets is %+v, want nothing`, got)
	}
	s.awaitStock(t, sale, "A", level{})
}

func testCancelSale(t *testing.T, s *stack) {
	const heldOrders, paidOrders = 3, 6
	sale := s.sale(t, 40, longHold, 5)
	var held, paid []order
	for range heldOrders {
		held = append(held, s.hold(t, sale, items{"A": 1, "a": 1}))
	}
	for range paidOrders {
		o := s.hold(t, sale, items{"A": 2})
		s.pay(t, o, "succeeded")
		paid = append(paid, o)
	}
	for _, o := range paid {
		s.awaitStatus(t, o, "paid")
	}
	failed := s.hold(t, sale, items{"a": 1})
	s.pay(t, failed, "failed")
	s.awaitStatus(t, failed, "failed")
	// Captured, and nobody told us. Its session's own mischief lets refunds through.
	unheard := s.hold(t, sale, items{"A": 1})
	s.misbehave(t, unheard, "lose")
	s.pay(t, unheard, "succeeded")
	paid = append(paid, unheard)

	if err := s.mockpay().Misbehave(t.Context(), "", &server.Mischief{RefuseRefundsSeconds: 600}); err != nil {
		t.Fatal(err)
	}
	s.callOff(t, sale)

	// From here on nothing is sold.
	refused := s.checkout(t, sale, newKey(), items{"A": 1}, newBuyer())
	if refused.status != http.StatusConflict {
		t.Fatalf("refused.status is %v, want %v: %s", refused.status, http.StatusConflict, refused.body)
	}
	if got := refused.code(t); got != "sale_canceled" {
		t.Fatalf(`refused.code(t) is %q, want "sale_canceled"`, got)
	}

	// The provider refuses: every refund is begun, waits, and says why.
	var c client.CancellationView
	t.Cleanup(func() { t.Logf("last progress: %+v", c) })
	eventually(t, "all refunds wait for the provider, with the reason", func() bool {
		c = s.progress(t, sale)
		return c.Stage == "refunding" && c.Orders.Refunding == paidOrders && c.Orders.Refunded == 1 && len(c.Waiting) > 0 && c.Waiting[0].Reason != ""
	})
	t.Logf("waiting: %+v", c.Waiting)
	victim := s.pid("boxoffice")
	if victim == 0 {
		t.Fatal("victim is zero")
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := s.mockpay().Misbehave(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is started again", func() bool {
		pid := s.pid("boxoffice")
		return pid != 0 && pid != victim && s.ready()
	})

	c = s.awaitFinished(t, sale)
	if c.Orders.Refunded != int64(len(paid)) {
		t.Fatalf("%d orders are refunded, want %d", c.Orders.Refunded, len(paid))
	}
	if c.Checkouts.Canceled != heldOrders {
		t.Fatalf("c.Checkouts.Canceled is %v, want heldOrders", c.Checkouts.Canceled)
	}
	for _, o := range held {
		if got := s.state(t, o).Status; got != "canceled" {
			t.Fatalf(`s.state(t, o).Status is %q, want "canceled"`, got)
		}
	}
	for _, o := range paid {
		if got := s.awaitStatus(t, o, "refunded").Tickets; len(got) != 0 {
			t.Fatalf(`s.awaitStatus(t, o, "refunded").Tickets is %+v, want nothing`, got)
		}
	}
	for _, class := range []string{"A", "a"} {
		s.awaitStock(t, sale, class, level{})
	}
	// Asked again: it is over, and nothing happens.
	if got := s.callOff(t, sale).Stage; got != "finished" {
		t.Fatalf(`s.callOff(t, sale).Stage is %q, want "finished"`, got)
	}

	requireSealed(t, s.history(t, "cancel-sale/"+sale))
}

// ready asks as a load balancer does; no answer is a no.
func (s *stack) ready() bool {
	response, err := s.http.Get(s.api("/readyz"))
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

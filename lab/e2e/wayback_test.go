package e2e

import (
	"context"
	"net/http"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"

	"boxoffice/client"
	server "boxoffice/mockpay"
)

// checkPayment asks as the page does to which a buyer comes back.
func (s *stack) checkPayment(t *testing.T, o order) (answer, client.PaymentCheckView) {
	t.Helper()
	var view client.PaymentCheckView
	a := asked(t, func(ctx context.Context) (err error) {
		view, err = s.boxOffice().CheckPayment(ctx, o.Order, o.Token)
		return err
	})
	return a, view
}

// testWayBack is about buyers who come back from paying long before the webhook.
func testWayBack(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 5)
	t.Run("paid, and the webhook takes an hour", func(t *testing.T) {
		o := s.hold(t, sale, items{"A": 2})
		s.setMischief(t, o, &server.Mischief{Rates: map[server.Trick]float64{server.TrickDelay: 1}, DelaySeconds: 3600})
		if a, view := s.checkPayment(t, o); a.status != http.StatusOK || view.Payment != "none" || view.Status != "held" {
			t.Fatalf("before anybody paid: %d %s", a.status, a.body)
		}
		s.pay(t, o, "succeeded")
		var view client.PaymentCheckView
		eventually(t, "the provider is asked again, and the order is paid", func() bool {
			_, view = s.checkPayment(t, o)
			if view.Payment == "none" {
				t.Fatal("the buyer of a paid order was told that nothing was paid")
			}
			return view.Status == "paid"
		})
		if paid := s.state(t, o); paid.Status != "paid" || len(paid.Tickets) != 2 {
			t.Fatalf("%s, %d tickets", paid.Status, len(paid.Tickets))
		}
		accepted := 0
		for _, event := range s.history(t, "checkout/"+o.Order).Events {
			if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("the checkout was told %d times, want once, as by the webhook", accepted)
		}
		if got := s.webhookStatus(t, event("payment.succeeded", o, nil)); got != "paid" {
			t.Errorf("the webhook that comes at last is answered %q", got)
		}
		if got := s.state(t, o); got.Status != "paid" || len(got.Tickets) != 2 {
			t.Errorf("after the webhook: %s, %d tickets", got.Status, len(got.Tickets))
		}
	})
	t.Run("failed, and the webhook takes an hour", func(t *testing.T) {
		o := s.hold(t, sale, items{"A": 1})
		s.setMischief(t, o, &server.Mischief{Rates: map[server.Trick]float64{server.TrickDelay: 1}, DelaySeconds: 3600})
		s.pay(t, o, "failed")
		if a, view := s.checkPayment(t, o); view.Status != "failed" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	t.Run("the provider fails while it is asked", func(t *testing.T) {
		o := s.hold(t, sale, items{"A": 1})
		s.setMischief(t, o, &server.Mischief{Rates: map[server.Trick]float64{server.TrickErrors: 1, server.TrickLose: 1}, ErrorsEach: 1})
		s.pay(t, o, "succeeded")
		if a, view := s.checkPayment(t, o); a.status != http.StatusAccepted || view.Payment != "unknown" || a.header.Get("Retry-After") == "" {
			t.Fatalf("%d %v %s, want that nobody knows", a.status, a.header, a.body)
		}
		eventually(t, "the order is paid", func() bool { _, view := s.checkPayment(t, o); return view.Status == "paid" })
	})
}

package e2e

import (
	"net/http"
	"slices"
	"testing"

	"boxoffice/lab/mockpayclient"
	server "boxoffice/mockpay"
	"boxoffice/payments/mockpay"
)

// What the tests let MockPay do, and what it knows.

func (s *stack) mockpay() *mockpayclient.MockPay {
	return mockpayclient.New(s.env["MOCKPAY_URL"], s.http)
}

// misbehave has MockPay play tricks on an order's session.
func (s *stack) misbehave(t *testing.T, o order, tricks ...server.Trick) {
	t.Helper()
	rates := make(map[server.Trick]float64, len(tricks))
	for _, trick := range tricks {
		rates[trick] = 1
	}
	s.setMischief(t, o, &server.Mischief{Rates: rates})
}

func (s *stack) setMischief(t *testing.T, o order, mischief *server.Mischief) {
	t.Helper()
	if err := s.mockpay().Misbehave(t.Context(), o.PaymentSession, mischief); err != nil {
		t.Fatal(err)
	}
}

// mischief is what MockPay did so far, to all.
func (s *stack) mischief(t *testing.T) server.MischiefReport {
	t.Helper()
	report, err := s.mockpay().Mischief(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// capture takes the order's money whatever was promised; change is nil, or edits the request.
func (s *stack) capture(t *testing.T, o order, change func(*server.CaptureRequest)) {
	t.Helper()
	request := server.CaptureRequest{AmountMinor: &o.Amount, Currency: o.Currency}
	if change != nil {
		change(&request)
	}
	if err := s.mockpay().Capture(t.Context(), o.PaymentSession, request); err != nil {
		t.Fatal(err)
	}
}

// awaitReturned waits until the provider gave a payment back.
func (s *stack) awaitReturned(t *testing.T, payment string) {
	t.Helper()
	eventually(t, "payment "+payment+" is given back", func() bool { return slices.Contains(s.refundedPayments(t), payment) })
}

// refundedPayments is what the provider has given back.
func (s *stack) refundedPayments(t *testing.T) []string {
	t.Helper()
	page, err := s.mockpay().Refunds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	payments := []string{}
	for _, r := range page.Items {
		payments = append(payments, r.Payment)
	}
	return sorted(payments...)
}

// awaitAcknowledged waits until a webhook of the order was answered 2xx.
func (s *stack) awaitAcknowledged(t *testing.T, o order) {
	t.Helper()
	eventually(t, "a webhook of order "+o.Order+" is acknowledged", func() bool {
		page, err := s.mockpay().Acknowledged(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(page.Items, func(d mockpay.Delivery) bool { return d.Event.Session == o.PaymentSession })
	})
}

// metrics is what an operator's Prometheus reads.
func (s *stack) metrics(t *testing.T) string {
	t.Helper()
	return s.metricsAt(t, s.env["BOXOFFICE_ADMIN_URL"], s.admin())
}

// mockpayMetrics needs no token.
func (s *stack) mockpayMetrics(t *testing.T) string {
	t.Helper()
	return s.metricsAt(t, s.env["MOCKPAY_URL"], nil)
}

func (s *stack) metricsAt(t *testing.T, base string, header map[string]string) string {
	t.Helper()
	a := s.request(t, http.MethodGet, base+"/metrics", header, nil)
	if a.status != http.StatusOK {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusOK, a.body)
	}
	return string(a.body)
}

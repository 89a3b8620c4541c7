package e2e

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the tests have MockPay do, and what it knows.

func (s *stack) atProvider(t *testing.T, method, path string, body any) answer {
	t.Helper()
	return s.request(t, method, s.env["MOCKPAY_URL"]+path, nil, body)
}

// misbehave has MockPay play tricks on an order's session.
func (s *stack) misbehave(t *testing.T, o order, tricks ...string) {
	t.Helper()
	rates := make(map[string]any, len(tricks))
	for _, trick := range tricks {
		rates[trick] = 1
	}
	s.setMischief(t, o, map[string]any{"rates": rates})
}

func (s *stack) setMischief(t *testing.T, o order, mischief map[string]any) {
	t.Helper()
	a := s.atProvider(t, http.MethodPost, "/v1/sessions/"+o.Session+"/mischief", mischief)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
}

// mischief is what MockPay did so far, to all.
func (s *stack) mischief(t *testing.T) (report struct {
	Played          map[string]int64 `json:"played"`
	WronglyAccepted int64            `json:"wrongly_accepted"`
}) {
	t.Helper()
	s.atProvider(t, http.MethodGet, "/v1/mischief", nil).into(t, &report)
	return report
}

// capture takes the order's money whatever was promised; change edits the request.
func (s *stack) capture(t *testing.T, o order, change map[string]any) {
	t.Helper()
	request := map[string]any{"amount": o.Amount, "currency": o.Currency}
	for name, value := range change {
		request[name] = value
	}
	a := s.atProvider(t, http.MethodPost, "/v1/sessions/"+o.Session+"/capture", request)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
}

// awaitReturned waits until the provider gave a payment back.
func (s *stack) awaitReturned(t *testing.T, payment string) {
	t.Helper()
	eventually(t, "payment "+payment+" is given back", func() bool {
		var refunds struct{ Items []struct{ Payment string } }
		s.atProvider(t, http.MethodGet, "/v1/refunds?limit=1000", nil).into(t, &refunds)
		return slices.ContainsFunc(refunds.Items, func(r struct{ Payment string }) bool { return r.Payment == payment })
	})
}

// awaitAcknowledged waits until a webhook of the order was answered 2xx.
func (s *stack) awaitAcknowledged(t *testing.T, o order) {
	t.Helper()
	type delivery struct{ Event struct{ Session string } }
	eventually(t, "a webhook of order "+o.ID+" is acknowledged", func() bool {
		var deliveries struct{ Items []delivery }
		s.atProvider(t, http.MethodGet, "/v1/deliveries?state=acknowledged&limit=1000", nil).into(t, &deliveries)
		return slices.ContainsFunc(deliveries.Items, func(d delivery) bool { return d.Event.Session == o.Session })
	})
}

// metrics is what an operator's Prometheus reads.
func (s *stack) metrics(t *testing.T) string {
	t.Helper()
	a := s.request(t, http.MethodGet, s.env["BOXOFFICE_ADMIN_URL"]+"/metrics", s.admin(), nil)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	return string(a.body)
}

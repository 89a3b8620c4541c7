package stripetest

import (
	"context"
	"net/http"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/paymentstest"
)

// Subject is an adapter at this double, for package paymentstest. Call it before the first request.
func (s *Server) Subject(provider payments.Provider, network *paymentstest.Network) *paymentstest.Subject {
	hooks := make(paymentstest.Webhooks, 1000) // more than a test causes
	s.Deliver = func(header http.Header, body []byte) { hooks <- paymentstest.Webhook{Header: header, Body: body} }
	return &paymentstest.Subject{
		Provider: provider,
		SetAway:  network.SetAway, SetLimited: network.SetLimited,
		Processes: true,
		Cannot:    []paymentstest.Deed{paymentstest.Fail, paymentstest.Abandon},
		Amounts:   map[string]int64{"EUR": 50, "JPY": 6500, "KWD": 6_500_010, "USD": 99_999_999},
		Do: func(_ context.Context, page domain.PayPage, deed paymentstest.Deed) error {
			return map[paymentstest.Deed]func(string) error{
				paymentstest.Pay: s.Pay, paymentstest.Transfer: s.Transfer, paymentstest.Arrive: s.Arrive, paymentstest.Bounce: s.Bounce,
				paymentstest.Decline: s.Decline, paymentstest.Debit: s.Debit,
				paymentstest.Dispute: func(id string) error { return s.Dispute(id, "needs_response") },
				paymentstest.Win:     func(id string) error { return s.Dispute(id, "won") },
				paymentstest.Lose:    func(id string) error { return s.Dispute(id, "lost") },
				paymentstest.RefundElsewhere: func(id string) error {
					return s.RefundInDashboard(s.PaymentOf(id), paymentstest.ElsewhereMinor)
				},
			}[deed](page.Session)
		},
		RefuseCaptures: s.RefuseCaptures,
		Webhook:        hooks.Next,
		Foreign: func() (paymentstest.Webhook, error) {
			hook := s.Signed([]byte(`{"id":"evt_1","object":"event","type":"payout.paid","data":{"object":{"id":"po_1","object":"payout"}}}`))
			return paymentstest.Webhook{Header: hook.Header, Body: hook.Body}, nil
		},
	}
}

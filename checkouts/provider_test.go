package checkouts_test

import (
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/mocks"

	"boxoffice/checkouts"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// What one provider says of another one's order sells nothing after the checkout either: if
// money was taken it goes back.
func TestALatePaymentAtAnotherProviderIsNotRebooked(t *testing.T) {
	own := "ps_" + order.ID.String()
	for _, tt := range []struct {
		name, provider, ownSession, session string
		rebook                              bool
	}{
		{"of before orders named their provider", "", "", own, true},
		{"the same, at another provider", "", "", "other/cs_1", false},
		{"in its own session", domain.DefaultProvider, own, own, true},
		{"its session is derived, at another provider", domain.DefaultProvider, own, "other/cs_1", false},
		{"in a session that its provider assigned", "other", "", "other/cs_1", true},
		{"its session is assigned, at another provider", "other", "", own, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, broke := range []bool{false, true} {
				var ended any = domain.CheckoutState{Order: order.ID, Status: domain.OrderExpired, AmountMinor: 6500, Currency: "EUR"}
				if broke {
					ended = brokeOff
				}
				report := event(domain.PaymentSucceeded, "")
				report.Session, report.Payment = tt.session, tt.session
				d, c, _ := desk(t, temporalSays{update: noSuchWorkflow, result: map[string]any{
					checkoutID: ended, workflows.LateID(order.ID, report.Payment): domain.CheckoutState{Status: domain.OrderRefunded},
				}}, records{})
				placed := order
				placed.Provider, placed.Session = tt.provider, tt.ownSession
				startedWithOrder(t, c, payloads, placed)
				_, err := d.Pay(t.Context(), report)
				if err != nil {
					t.Fatal(err)
				}
				c.AssertCalled(t, "ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything,
					mock.MatchedBy(func(late workflows.LateInput) bool { return late.Rebook == tt.rebook && late.Order != nil }))
			}
		})
	}
}

// The checkout is started with the session that its provider derives, and with none where
// the provider assigns it. Of a sale whose provider is not there nothing is held.
func TestACheckoutStartsWithItsSession(t *testing.T) {
	for provider, want := range map[string]string{
		domain.DefaultProvider: "ps_" + order.ID.String(),
		"other":                "",
		"away":                 "not started",
	} {
		t.Run(provider, func(t *testing.T) {
			c, started := mocks.NewClient(t), "not started"
			c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
				started = args.Get(3).(domain.Order).Session
			}).Return(nil, &domain.UnknownError{}).Maybe()
			placed := order
			placed.Provider = provider
			_, err := checkouts.NewDesk(c, payloads, nil, records{}, records{}, records{}).Start(t.Context(), placed)
			if started != want {
				t.Fatalf("started is %q, want %q", started, want)
			}
			if got := domain.CodeOf(err) == domain.CodeOverloaded; got != (provider == "away") {
				t.Fatalf("domain.CodeOf(err) == domain.CodeOverloaded is %v, want %v: %v", got, provider == "away", err)
			}
		})
	}
}

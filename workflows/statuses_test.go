package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"boxoffice/activities"
	"boxoffice/domain"
)

func TestEveryStatusHasDetails(t *testing.T) {
	for _, status := range domain.OrderStatuses {
		t.Run(string(status), func(t *testing.T) {
			c := newCheckout(domain.Order{})
			c.state.Status = status
			require.NotPanics(t, func() { require.NotEmpty(t, c.details()) }, "workflows/details.go: details says nothing of %s", status)
		})
	}
	c := newCheckout(domain.Order{})
	c.state.Status = "disputed"
	require.Panics(t, func() { c.details() }, "nothing is said of a status that is not known")
}

// A step's answer that this release does not know fails the workflow task and ends
// nothing: the seats stay, no money goes back, and a newer release goes on.
func TestAnAnswerThatIsNotKnownDecidesNothing(t *testing.T) {
	held := domain.Hold{Outcome: domain.HoldHeld}
	paid := domain.PaymentEvent{ID: "1", Type: domain.PaymentSucceeded, Currency: "EUR", AmountMinor: 6500}
	failed := domain.PaymentEvent{ID: "1", Type: domain.PaymentFailed, Currency: "EUR", AmountMinor: 6500}
	for _, tt := range []struct {
		name    string
		hold    domain.HoldOutcome
		settled activities.SettleOutcome
		void    domain.VoidOutcome
		event   domain.PaymentEvent
		status  domain.OrderStatus
	}{
		{name: "to a hold", hold: "on_loan", status: domain.OrderPending},
		{name: "none to a hold", hold: "", status: domain.OrderPending},
		{name: "to a settlement", hold: held.Outcome, settled: "in_part", event: paid, status: domain.OrderHeld},
		{name: "to a settlement, of another question", hold: held.Outcome, settled: activities.SettleUnpaid, event: paid, status: domain.OrderHeld},
		{name: "to a void", hold: held.Outcome, void: "in_part", event: failed, status: domain.OrderHeld},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestWorkflowEnvironment()
			order := domain.Order{ID: domain.OrderID{1}, AmountMinor: 6500, Currency: "EUR", HoldTimeout: time.Minute}
			env.RegisterActivity(&activities.Activities{})
			env.OnActivity(acts.Hold, mock.Anything, mock.Anything).Return(domain.Hold{Outcome: tt.hold, ExpiresAt: env.Now().Add(time.Minute)}, nil)
			env.OnActivity(acts.Settle, mock.Anything, mock.Anything).Return(activities.Settled{Outcome: tt.settled}, nil).Maybe()
			env.OnActivity(acts.Release, mock.Anything, mock.Anything).Return(tt.void, nil).Maybe()
			// Whatever else would be done is not mocked: it would fail otherwise.
			if tt.event.ID != "" {
				tt.event.Order = order.ID
				env.RegisterDelayedCallback(func() { env.SignalWorkflow(PaymentSignal, tt.event) }, time.Second)
			}
			env.ExecuteWorkflow(Checkout, order)
			require.ErrorContains(t, env.GetWorkflowError(), "this release does not know")
			state, err := env.QueryWorkflow(StateQuery)
			require.NoError(t, err)
			var got domain.CheckoutState
			require.NoError(t, state.Get(&got))
			require.Equal(t, tt.status, got.Status)
		})
	}
}

func TestEverySettlementHasAnEnding(t *testing.T) {
	type ending struct {
		status domain.OrderStatus
		reason domain.RefundReason
	}
	for outcome, want := range map[activities.SettleOutcome]ending{
		activities.SettleSold:         {domain.OrderPaid, ""},
		activities.SettleSoldBefore:   {domain.OrderPaid, domain.RefundSecondCapture},
		activities.SettleNoSeats:      {domain.OrderRefunding, domain.RefundNoneLeft},
		activities.SettleRefunding:    {domain.OrderRefunding, domain.RefundNoneLeft},
		activities.SettleUnrecordable: {domain.OrderRefunding, domain.RefundUnrecordable},
	} {
		status, reason := settlement(outcome)
		require.Equal(t, want, ending{status, reason}, "%s", outcome)
	}
}

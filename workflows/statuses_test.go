package workflows

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/testsuite"

	"boxoffice/activities"
	"boxoffice/domain"
)

func TestEveryStatusHasDetails(t *testing.T) {
	for _, status := range domain.OrderStatuses {
		t.Run(string(status), func(t *testing.T) {
			c := newCheckout(domain.Order{})
			c.state.Status = status
			said := ""
			if panics(func() { said = c.details() }) || said == "" {
				t.Fatalf("workflows/details.go: details says nothing of %s", status)
			}
		})
	}
	c := newCheckout(domain.Order{})
	c.state.Status = "disputed"
	if !panics(func() { c.details() }) {
		t.Fatal("no panic: nothing is said of a status that is not known")
	}
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
			// Other activities are not mocked, so calling one would fail the test.
			if tt.event.ID != "" {
				tt.event.Order = order.ID
				env.RegisterDelayedCallback(func() { env.SignalWorkflow(PaymentSignal, tt.event) }, time.Second)
			}
			env.ExecuteWorkflow(Checkout, order)
			if err := env.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "this release does not know") {
				t.Fatalf("the error is %v, want %q in it", err, "this release does not know")
			}
			state, err := env.QueryWorkflow(StateQuery)
			if err != nil {
				t.Fatal(err)
			}
			var got domain.CheckoutState
			if err := state.Get(&got); err != nil {
				t.Fatal(err)
			}
			if got.Status != tt.status {
				t.Fatalf("got.Status is %q, want %q", got.Status, tt.status)
			}
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
		if got := (ending{status, reason}); got != want {
			t.Fatalf("ending{status, reason} is %+v, want %+v: %s", got, want, outcome)
		}
	}
}

func panics(f func()) (does bool) {
	defer func() { does = recover() != nil }()
	f()
	return false
}

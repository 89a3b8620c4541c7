package checkouts_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/client"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// reversals records what it is told, as the database would.
type reversals struct {
	noted domain.NotedReversal
	err   error
	got   []domain.Reversal
}

func (r *reversals) RecordReversal(_ context.Context, reversal domain.Reversal) (domain.NotedReversal, error) {
	r.got = append(r.got, reversal)
	return r.noted, r.err
}

func reversedEvent(state domain.ReversalState) domain.PaymentEvent {
	e := event(domain.PaymentReversed, "pay_1")
	e.Reversal = domain.Reversal{
		ID: "dp_1", Kind: state.Terms().Kind, Payment: "pay_1", AmountMinor: 6500, Currency: "EUR", State: state, At: time.Unix(1, 0).UTC(),
	}
	return e
}

// A reversal is recorded and flagged, once. Only where a refund of ours is done, and money came back that it had left, is
// a workflow started: the refund once more.
func TestWhatFollowsFromAReversal(t *testing.T) {
	done := &domain.Refund{Capture: domain.Capture{Payment: "pay_1", Order: order.ID}, SaleID: "conf", Reason: domain.RefundByOrganiser, RefundedAt: time.Unix(2, 0)}
	due := &domain.Refund{Capture: done.Capture, SaleID: "conf", Reason: domain.RefundByOrganiser}
	for name, tt := range map[string]struct {
		state   domain.ReversalState
		noted   domain.NotedReversal
		err     error
		flagged []activities.Flag
		started string
		settled bool
	}{
		"a dispute":                           {domain.DisputeOpen, domain.NotedReversal{Status: domain.OrderPaid, Changed: true}, nil, []activities.Flag{activities.FlagDisputed}, "", true},
		"told again":                          {domain.DisputeOpen, domain.NotedReversal{Status: domain.OrderPaid}, nil, nil, "", true},
		"a refund made elsewhere":             {domain.RefundMade, domain.NotedReversal{Status: domain.OrderPaid, Changed: true}, nil, []activities.Flag{activities.FlagRefundedElsewhere}, "", true},
		"won, and the tickets stand":          {domain.DisputeWon, domain.NotedReversal{Status: domain.OrderPaid, Changed: true}, nil, []activities.Flag{activities.FlagDisputed}, "", true},
		"won, and the order is refunded":      {domain.DisputeWon, domain.NotedReversal{Status: domain.OrderRefunded, Changed: true, Refund: done}, nil, []activities.Flag{activities.FlagDisputed}, workflows.RefundID(order.ID), true},
		"the same, told again":                {domain.DisputeWon, domain.NotedReversal{Status: domain.OrderRefunded, Refund: done}, nil, nil, workflows.RefundID(order.ID), true},
		"won, and the payment bought nothing": {domain.DisputeWon, domain.NotedReversal{Changed: true, Refund: done}, nil, []activities.Flag{activities.FlagDisputed}, workflows.LateID(order.ID, "pay_1"), true},
		"won, and its refund is under way":    {domain.DisputeWon, domain.NotedReversal{Status: domain.OrderRefunding, Changed: true, Refund: due}, nil, []activities.Flag{activities.FlagDisputed}, "", true},
		"lost, and the order is refunded":     {domain.DisputeLost, domain.NotedReversal{Status: domain.OrderRefunded, Changed: true, Refund: done}, nil, []activities.Flag{activities.FlagDisputed}, "", true},
		"a refund elsewhere that failed":      {domain.RefundFailed, domain.NotedReversal{Status: domain.OrderRefunded, Changed: true, Refund: done}, nil, []activities.Flag{activities.FlagRefundedElsewhere}, workflows.RefundID(order.ID), true},
		"the database is away":                {domain.DisputeOpen, domain.NotedReversal{}, &domain.UnknownError{Op: "record"}, nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			d, c, _ := desk(t, temporalSays{}, records{})
			tt.noted.Order, tt.noted.SaleID = order.ID, "conf"
			has := &reversals{noted: tt.noted, err: tt.err}
			var flagged []activities.Flag
			d.Reversals = has
			d.Flagged = func(flag activities.Flag, id domain.OrderID, why error) {
				if flagged = append(flagged, flag); id != order.ID || why == nil {
					t.Errorf("flagged order %s: %v", id, why)
				}
			}
			e := reversedEvent(tt.state)
			result, err := d.Pay(t.Context(), e)
			if (err == nil) != tt.settled || result.Settled != tt.settled || err != nil && !domain.IsUnknown(err) {
				t.Errorf("%+v, %v", result, err)
			}
			if len(has.got) != 1 || has.got[0] != e.Reversal {
				t.Errorf("recorded %+v", has.got)
			}
			if len(flagged) != len(tt.flagged) || len(flagged) > 0 && flagged[0] != tt.flagged[0] {
				t.Errorf("flagged %q, want %q", flagged, tt.flagged)
			}
			started := ""
			for _, call := range c.Calls {
				if call.Method == "ExecuteWorkflow" {
					started = call.Arguments.Get(1).(client.StartWorkflowOptions).ID
				}
			}
			if started != tt.started {
				t.Errorf("started %q, want %q", started, tt.started)
			}
			c.AssertNotCalled(t, "UpdateWorkflow", mock.Anything, mock.Anything)
		})
	}
}

func TestAReversalIsUnknownWhereNobodyRecordsIt(t *testing.T) {
	d, _, _ := desk(t, temporalSays{}, records{})
	if result, err := d.Pay(t.Context(), reversedEvent(domain.DisputeOpen)); !domain.IsUnknown(err) {
		t.Errorf("%+v, %v; want an unknown error", result, err)
	}
}

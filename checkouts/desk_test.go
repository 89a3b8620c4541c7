package checkouts_test

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/mock"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/mocks"
	"go.temporal.io/sdk/temporal"

	"boxoffice/activities"
	"boxoffice/checkouts"
	"boxoffice/codec"
	"boxoffice/domain"
	"boxoffice/workflows"
)

var order = domain.Order{ID: domain.OrderID{1}, SaleID: "conf", Fingerprint: "f00d", AmountMinor: 6500, Currency: "EUR"}

func event(kind domain.PaymentEventType, payment string) domain.PaymentEvent {
	return domain.PaymentEvent{
		ID: "e1", Type: kind, Session: "ps_" + order.ID.String(), Order: order.ID,
		Payment: payment, AmountMinor: order.AmountMinor, Currency: order.Currency,
	}
}

// records answers for Postgres and the provider.
type records struct {
	sold     map[domain.OrderID]domain.SoldOrder
	refunds  []domain.Refund
	captured *domain.Capture
	down     error
	fate     domain.SeatFate // of the order's seats; empty: never held
	noLedger error
}

func (r records) Order(_ context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	if sold, ok := r.sold[id]; ok {
		return sold, nil
	}
	return domain.SoldOrder{}, domain.NotFound("order")
}

func (r records) RefundsOfOrder(context.Context, domain.OrderID) ([]domain.Refund, error) {
	return r.refunds, r.down
}

func (r records) Capture(context.Context, string) (domain.Capture, bool, error) {
	if r.captured == nil {
		return domain.Capture{}, false, r.down
	}
	return *r.captured, true, r.down
}

func (r records) Has(provider string) bool { return provider != "away" }

func (r records) SessionOf(provider string, order domain.OrderID) (string, bool) {
	return "ps_" + order.String(), provider == domain.DefaultProvider
}

func (r records) SeatFate(context.Context, domain.OrderID) (domain.SeatFate, error) {
	return cmp.Or(r.fate, domain.SeatsNeverHeld), r.noLedger
}

// temporalSays scripts Temporal.
type temporalSays struct {
	start  error
	again  error // of the second start; nil: as the first
	update error // of any update; nil: it answers `answer`
	answer any
	signal error
	result map[string]any        // by workflow id: a value, or an error
	sold   bool                  // the database has the order
	open   *domain.CheckoutState // the state of a checkout that runs
	closed bool                  // it has closed, if somebody asks
}

// payloads is a converter as the worker's client has it: what Temporal stores is
// sealed.
var payloads = func() converter.DataConverter {
	c, err := codec.New([]codec.Key{{ID: "k", Secret: make([]byte, codec.KeyLen)}})
	if err != nil {
		panic(err)
	}
	return c.DataConverter()
}()

func desk(t *testing.T, says temporalSays, has records) (*checkouts.Desk, *mocks.Client, *activities.HoldNotices) {
	t.Helper()
	c := mocks.NewClient(t)
	if says.again != nil {
		c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(nil, says.start).Once()
		says.start = says.again
	}
	c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(nil, says.start).Maybe()
	handle := mocks.NewWorkflowUpdateHandle(t)
	handle.On("Get", mock.Anything, mock.Anything).Run(func(args mock.Arguments) { assign(args.Get(1), says.answer) }).Return(nil).Maybe()
	c.On("UpdateWorkflow", mock.Anything, mock.Anything).Return(handle, says.update).Maybe()
	c.On("SignalWorkflow", mock.Anything, mock.Anything, mock.Anything, workflows.PaymentSignal, mock.Anything).Return(says.signal).Maybe()
	for id, result := range says.result {
		run := mocks.NewWorkflowRun(t)
		err, failed := result.(error)
		if !failed {
			err = nil
		}
		run.On("Get", mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
			if !failed {
				assign(args.Get(1), result)
			}
		}).Return(err).Maybe()
		c.On("GetWorkflow", mock.Anything, id, "").Return(run).Maybe()
	}
	if says.open != nil || says.closed {
		standing := enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
		if says.open != nil {
			standing = enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
			state := mocks.NewEncodedValue(t)
			state.On("Get", mock.Anything).Run(func(args mock.Arguments) { assign(args.Get(0), *says.open) }).Return(nil)
			c.On("QueryWorkflow", mock.Anything, checkoutID, "", workflows.StateQuery).Return(state, nil)
		}
		c.On("DescribeWorkflowExecution", mock.Anything, checkoutID, "").Return(&workflowservice.DescribeWorkflowExecutionResponse{
			WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: standing},
		}, nil)
	}
	notFound := mocks.NewWorkflowRun(t)
	notFound.On("Get", mock.Anything, mock.Anything).Return(serviceerror.NewNotFound("no such workflow")).Maybe()
	c.On("GetWorkflow", mock.Anything, mock.Anything, "").Return(notFound).Maybe()
	notices := activities.NewHoldNotices()
	return checkouts.NewDesk(c, payloads, notices, has, has, has), c, notices
}

func assign(target, value any) {
	switch target := target.(type) {
	case *domain.Hold:
		*target = value.(domain.Hold)
	case *domain.CheckoutState:
		*target = value.(domain.CheckoutState)
	case *workflows.PaymentAnswer:
		*target = value.(workflows.PaymentAnswer)
	case *domain.OrderStatus:
		*target = value.(domain.OrderStatus)
	}
}

var (
	held           = domain.Hold{Outcome: domain.HoldHeld}
	alreadyStarted = serviceerror.NewWorkflowExecutionAlreadyStarted("", "", "")
	noSuchWorkflow = serviceerror.NewNotFound("workflow execution already completed")
	noWorker       = client.NewWorkflowUpdateServiceTimeoutOrCanceledError(context.DeadlineExceeded)
	brokeOff       = &temporal.WorkflowExecutionError{}
	checkoutID     = workflows.CheckoutID(order.ID)
)

func refusedWith(code domain.Code) error {
	return temporal.NewNonRetryableApplicationError("refused", string(code), nil)
}

func TestStart(t *testing.T) {
	other := domain.CheckoutState{Fingerprint: "beef", Hold: held, Status: domain.OrderHeld}
	tests := []struct {
		name     string
		says     temporalSays
		hold     domain.Hold
		replayed bool
		code     domain.Code
	}{
		{"answered by the workflow", temporalSays{answer: held}, held, false, ""},
		{"a repeated key gets the same answer", temporalSays{start: alreadyStarted, answer: held}, held, true, ""},
		{"a repeated key of a closed checkout too", temporalSays{start: alreadyStarted, update: noSuchWorkflow,
			result: map[string]any{checkoutID: domain.CheckoutState{Fingerprint: "f00d", Hold: held, Status: domain.OrderPaid}}}, held, true, ""},
		{"another body under the same key", temporalSays{start: alreadyStarted, update: refusedWith(domain.CodeKeyReused)}, domain.Hold{}, true, domain.CodeKeyReused},
		{"another body under the key of a closed checkout", temporalSays{start: alreadyStarted, update: noSuchWorkflow,
			result: map[string]any{checkoutID: other}}, domain.Hold{}, true, domain.CodeKeyReused},
		{"a repeated key whose first request has no answer", temporalSays{start: alreadyStarted, update: noWorker}, domain.Hold{}, true, domain.CodeInFlight},
		{"no answer from the ledger in time", temporalSays{update: noWorker}, domain.Hold{}, false, domain.CodeUnknown},
		{"no word whether it was started", temporalSays{start: serviceerror.NewUnavailable("away")}, domain.Hold{}, false, domain.CodeUnknown},
		{"an answer that this release does not know", temporalSays{answer: domain.Hold{Outcome: "on_loan"}}, domain.Hold{}, false, domain.CodeUnknown},
		{"such an answer to a repeated key", temporalSays{start: alreadyStarted, answer: domain.Hold{Outcome: "on_loan"}}, domain.Hold{}, true, domain.CodeInFlight},
		{"refused for load: certainly not started", temporalSays{start: &serviceerror.ResourceExhausted{}}, domain.Hold{}, false, domain.CodeOverloaded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, _, _ := desk(t, tt.says, records{})
			answer, err := d.Start(t.Context(), order)
			if tt.code != "" {
				if got := domain.CodeOf(err); got != tt.code {
					t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, tt.code, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := (domain.HoldAnswer{Hold: tt.hold, Replayed: tt.replayed}); !reflect.DeepEqual(answer, want) {
				t.Fatalf("answer is %+v, want %+v", answer, want)
			}
		})
	}
}

func TestPay(t *testing.T) {
	late := workflows.LateID(order.ID, "pay_1")
	closed := func(status domain.OrderStatus, payment string) map[string]any {
		return map[string]any{
			checkoutID: domain.CheckoutState{Order: order.ID, Status: status, Payment: payment, AmountMinor: 6500, Currency: "EUR"},
			late:       domain.CheckoutState{Status: domain.OrderRefunded},
		}
	}
	capture := event(domain.PaymentSucceeded, "pay_1").Capture()
	tests := []struct {
		name  string
		says  temporalSays
		has   records
		event domain.PaymentEvent
		want  domain.PayResult
		code  domain.Code
		calls []string // that must have been made
	}{
		{"settled by the checkout", temporalSays{answer: workflows.PaymentAnswer{Status: domain.OrderPaid}}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", nil},
		{"no worker: left as a durable signal", temporalSays{update: noWorker}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderHeld}, "", []string{"SignalWorkflow"}},
		{"neither update nor signal: not acknowledged", temporalSays{update: noWorker, signal: serviceerror.NewUnavailable("away")}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{}, domain.CodeUnknown, nil},
		{"the checkout closed before the signal", temporalSays{update: noWorker, signal: noSuchWorkflow, result: closed(domain.OrderPaid, "pay_1")}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", nil},
		{"again, after it was paid by it", temporalSays{update: noSuchWorkflow, result: closed(domain.OrderPaid, "pay_1")}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", nil},
		{"a failure after it was paid", temporalSays{update: noSuchWorkflow, result: closed(domain.OrderPaid, "pay_1")}, records{},
			event(domain.PaymentFailed, "pay_1"), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", nil},
		{"a failure after it expired", temporalSays{update: noSuchWorkflow, result: closed(domain.OrderExpired, "")}, records{},
			event(domain.PaymentFailed, "pay_1"), domain.PayResult{Status: domain.OrderExpired, Settled: true}, "", nil},
		{"a decline, and the order stays held", temporalSays{answer: workflows.PaymentAnswer{Status: domain.OrderHeld}}, records{},
			event(domain.PaymentDeclined, "pay_1"), domain.PayResult{Status: domain.OrderHeld, Settled: true}, "", nil},
		{"a decline after it was paid", temporalSays{update: noSuchWorkflow, result: closed(domain.OrderPaid, "pay_1")}, records{},
			event(domain.PaymentDeclined, "pay_1"), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", nil},
		{"a decline of an unknown order", temporalSays{update: noSuchWorkflow}, records{captured: &capture},
			event(domain.PaymentDeclined, "pay_1"), domain.PayResult{}, domain.CodeNotFound, nil},
		{"a second payment of a paid order goes back; the order stays paid", temporalSays{update: noSuchWorkflow, result: closed(domain.OrderPaid, "pay_0")}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", []string{"ExecuteWorkflow"}},
		{"after the buyer canceled", temporalSays{update: noSuchWorkflow, result: closed(domain.OrderCanceled, "")}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderRefunded, Settled: true}, "", []string{"ExecuteWorkflow"}},
		{"being dealt with already", temporalSays{start: alreadyStarted, update: noSuchWorkflow, result: closed(domain.OrderCanceled, "")}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderRefunded, Settled: true}, "", nil},
		{"beyond Temporal's retention the database knows", temporalSays{update: noSuchWorkflow},
			records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderPaid, Capture: capture}}},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", nil},
		{"an unknown order that the provider captured: refunded", temporalSays{update: noSuchWorkflow, result: map[string]any{late: context.DeadlineExceeded}}, records{captured: &capture},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderRefunding}, "", []string{"ExecuteWorkflow"}},
		{"an unknown order and session", temporalSays{update: noSuchWorkflow}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{}, domain.CodeNotFound, nil},
		{"an unknown order, and the provider is down", temporalSays{update: noSuchWorkflow}, records{down: &domain.UnknownError{Err: errors.New("away")}},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{}, domain.CodeUnknown, nil},
		{"an unknown order that failed", temporalSays{update: noSuchWorkflow}, records{captured: &capture},
			event(domain.PaymentFailed, "pay_1"), domain.PayResult{}, domain.CodeNotFound, nil},
		{"sold after its checkout had expired: the database knows better", temporalSays{update: noSuchWorkflow, result: closed(domain.OrderExpired, "")},
			records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderPaid, Capture: domain.Capture{Payment: "pay_0"}}}},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderPaid, Settled: true}, "", []string{"ExecuteWorkflow"}},
		{"a late payment whose workflow broke off is delivered again", temporalSays{update: noSuchWorkflow, result: map[string]any{
			checkoutID: domain.CheckoutState{Status: domain.OrderCanceled}, late: brokeOff}}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{}, domain.CodeUnknown, nil},
		{"an update that broke off is not a no", temporalSays{update: errors.New("the workflow failed"), signal: serviceerror.NewUnavailable("away")}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{}, domain.CodeUnknown, nil},
		{"an ending that this release does not know is not acknowledged", temporalSays{update: noSuchWorkflow, result: closed("disputed", "")}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{}, domain.CodeUnknown, nil},
		{"nor an answer to the update: left as a durable signal", temporalSays{answer: workflows.PaymentAnswer{Status: "disputed"}}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{Status: domain.OrderHeld}, "", []string{"SignalWorkflow"}},
		{"too many events", temporalSays{update: refusedWith(domain.CodeOverloaded)}, records{},
			event(domain.PaymentSucceeded, "pay_1"), domain.PayResult{}, domain.CodeOverloaded, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, c, _ := desk(t, tt.says, tt.has)
			got, err := d.Pay(t.Context(), tt.event)
			if tt.code != "" {
				if got := domain.CodeOf(err); got != tt.code {
					t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, tt.code, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
			for _, call := range tt.calls {
				c.AssertCalled(t, call, anything(call)...)
			}
		})
	}
}

// Money for an order that neither Temporal nor the database knows goes back only
// where the ledger says that nothing was sold to it.
func TestPayOfAnUnknownOrderAsksTheLedger(t *testing.T) {
	capture := event(domain.PaymentSucceeded, "pay_1").Capture()
	for _, tt := range []struct {
		name string
		has  records
		code domain.Code // empty: it goes back
	}{
		{"never held", records{fate: domain.SeatsNeverHeld}, ""},
		{"released", records{fate: domain.SeatsReleased}, ""},
		{"sold and returned", records{fate: domain.SeatsReturned}, ""},
		{"sold: its record is lost", records{fate: domain.SeatsSold}, domain.CodeUnknown},
		{"held: it may still be sold", records{fate: domain.SeatsHeld}, domain.CodeUnknown},
		{"a fate of a later release", records{fate: "lent"}, domain.CodeUnknown},
		{"the ledger does not answer", records{noLedger: &domain.UnknownError{Err: errors.New("away")}}, domain.CodeUnknown},
		{"the ledger is overloaded", records{noLedger: &domain.Error{Code: domain.CodeOverloaded}}, domain.CodeOverloaded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.has.captured = &capture
			d, c, _ := desk(t, temporalSays{update: noSuchWorkflow, result: map[string]any{
				workflows.LateID(order.ID, "pay_1"): domain.CheckoutState{Status: domain.OrderRefunded},
			}}, tt.has)
			_, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := calls(c, "ExecuteWorkflow"); len(got) != 1 {
					t.Fatalf(`%d in calls(c, "ExecuteWorkflow"), want 1: %+v`, len(got), got)
				}
				return
			}
			if got := domain.CodeOf(err); got != tt.code {
				t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, tt.code, err)
			}
			if got := calls(c, "ExecuteWorkflow"); len(got) != 0 {
				t.Fatalf(`calls(c, "ExecuteWorkflow") is %+v, want nothing: nothing is started, and the event is delivered again`, got)
			}
		})
	}
}

// anything matches every argument of a call of the mocked client.
func anything(call string) []any {
	n := map[string]int{"ExecuteWorkflow": 4, "SignalWorkflow": 5}[call]
	args := make([]any, n)
	for i := range args {
		args[i] = mock.Anything
	}
	return args
}

// A late payment is rebooked by what the closed checkout was started with, which
// stands in its history: sealed, or in the clear from before a key was set.
func TestALatePaymentIsRebookedFromTheHistory(t *testing.T) {
	for name, stored := range map[string]converter.DataConverter{"sealed": payloads, "in the clear": converter.GetDefaultDataConverter()} {
		t.Run(name, func(t *testing.T) {
			expired := domain.CheckoutState{Order: order.ID, Status: domain.OrderExpired, AmountMinor: 6500, Currency: "EUR"}
			d, c, _ := desk(t, temporalSays{update: noSuchWorkflow, result: map[string]any{
				checkoutID: expired, workflows.LateID(order.ID, "pay_1"): domain.CheckoutState{Status: domain.OrderPaid},
			}}, records{})
			startedWith(t, c, stored)

			_, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
			if err != nil {
				t.Fatal(err)
			}
			c.AssertCalled(t, "ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything,
				mock.MatchedBy(func(late workflows.LateInput) bool {
					return late.Rebook && !late.HoldMayStand && late.Order != nil && late.Order.Fingerprint == order.Fingerprint
				}))
		})
	}
}

// startedWith gives the closed checkout a history.
func startedWith(t *testing.T, c *mocks.Client, stored converter.DataConverter) {
	t.Helper()
	startedWithOrder(t, c, stored, order)
}

func startedWithOrder(t *testing.T, c *mocks.Client, stored converter.DataConverter, placed domain.Order) {
	t.Helper()
	input, err := stored.ToPayloads(placed)
	if err != nil {
		t.Fatal(err)
	}
	events := mocks.NewHistoryEventIterator(t)
	events.On("HasNext").Return(true)
	events.On("Next").Return(&historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
		WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{Input: input},
	}}, nil)
	c.On("GetWorkflowHistory", mock.Anything, checkoutID, "", false, mock.Anything).Return(events)
}

// A checkout that broke off gave nothing back: its hold may still be there, and is
// looked for before other seats are.
func TestALatePaymentOfACheckoutThatBrokeOff(t *testing.T) {
	d, c, _ := desk(t, temporalSays{update: noSuchWorkflow, result: map[string]any{
		checkoutID: brokeOff, workflows.LateID(order.ID, "pay_1"): domain.CheckoutState{Status: domain.OrderPaid},
	}}, records{})
	startedWith(t, c, payloads)
	got, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (domain.PayResult{Status: domain.OrderPaid, Settled: true}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	c.AssertCalled(t, "ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything,
		mock.MatchedBy(func(late workflows.LateInput) bool { return late.Rebook && late.HoldMayStand }))
}

// A checkout of which Temporal has deleted the history cannot be rebooked, and is no
// reason to panic: the provider delivers again, and is told that the order is unknown.
func TestALatePaymentOfACheckoutWithoutHistory(t *testing.T) {
	d, c, _ := desk(t, temporalSays{update: noSuchWorkflow, result: map[string]any{
		checkoutID: domain.CheckoutState{Order: order.ID, Status: domain.OrderExpired, AmountMinor: 6500, Currency: "EUR"},
	}}, records{})
	events := mocks.NewHistoryEventIterator(t)
	events.On("HasNext").Return(false)
	c.On("GetWorkflowHistory", mock.Anything, checkoutID, "", false, mock.Anything).Return(events)
	_, err := d.Pay(t.Context(), event(domain.PaymentSucceeded, "pay_1"))
	if got := domain.CodeOf(err); got != domain.CodeNotFound {
		t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, domain.CodeNotFound, err)
	}
	c.AssertNotCalled(t, "ExecuteWorkflow", anything("ExecuteWorkflow")...)
}

func TestCancel(t *testing.T) {
	tests := []struct {
		name string
		says temporalSays
		want domain.OrderStatus
		code domain.Code
	}{
		{"canceled", temporalSays{answer: workflows.PaymentAnswer{Status: domain.OrderCanceled}}, domain.OrderCanceled, ""},
		{"paid meanwhile", temporalSays{answer: workflows.PaymentAnswer{Status: domain.OrderPaid}}, "", domain.CodeAlreadyPaid},
		{"its payment is being processed", temporalSays{
			answer: workflows.PaymentAnswer{Status: domain.OrderHeld}, open: &domain.CheckoutState{Status: domain.OrderHeld},
		}, "", domain.CodePaymentProcessing},
		{"its payment was being processed, and came", temporalSays{
			answer: workflows.PaymentAnswer{Status: domain.OrderHeld}, closed: true, result: map[string]any{checkoutID: domain.CheckoutState{Status: domain.OrderPaid}},
		}, "", domain.CodeAlreadyPaid},
		{"its payment was being processed, and did not come", temporalSays{
			answer: workflows.PaymentAnswer{Status: domain.OrderHeld}, closed: true, result: map[string]any{checkoutID: domain.CheckoutState{Status: domain.OrderFailed}},
		}, domain.OrderFailed, ""},
		{"paid before", temporalSays{update: noSuchWorkflow, result: map[string]any{checkoutID: domain.CheckoutState{Status: domain.OrderPaid}}}, "", domain.CodeAlreadyPaid},
		{"paid late", temporalSays{update: noSuchWorkflow, result: map[string]any{checkoutID: domain.CheckoutState{Status: domain.OrderExpired}}, sold: true}, "", domain.CodeAlreadyPaid},
		{"expired before", temporalSays{update: noSuchWorkflow, result: map[string]any{checkoutID: domain.CheckoutState{Status: domain.OrderExpired}}}, domain.OrderExpired, ""},
		{"unknown order", temporalSays{update: noSuchWorkflow}, "", domain.CodeNotFound},
		{"no worker", temporalSays{update: noWorker}, "", domain.CodeUnknown},
		{"an ending that this release does not know", temporalSays{answer: workflows.PaymentAnswer{Status: "disputed"}}, "", domain.CodeUnknown},
		{"such an ending before", temporalSays{update: noSuchWorkflow, result: map[string]any{checkoutID: domain.CheckoutState{Status: "disputed"}}}, "", domain.CodeUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			has := records{}
			if tt.says.sold {
				has.sold = map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderPaid}}
			}
			d, _, _ := desk(t, tt.says, has)
			got, err := d.Cancel(t.Context(), order.ID)
			if tt.code != "" {
				if got := domain.CodeOf(err); got != tt.code {
					t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, tt.code, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The workflow that gave the money back is gone with Temporal's retention.
func TestRefundOfWhatWasRefunded(t *testing.T) {
	d, c, _ := desk(t, temporalSays{}, records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderRefunded}}})
	status, err := d.Refund(t.Context(), order.ID)
	if err != nil {
		t.Fatal(err)
	}
	if status != domain.OrderRefunded {
		t.Fatalf("status is %q, want %q", status, domain.OrderRefunded)
	}
	c.AssertNotCalled(t, "ExecuteWorkflow", anything("ExecuteWorkflow")...)
}

func TestWhatIsNotKnownOfARefundIsAnError(t *testing.T) {
	paid := records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderPaid}}}
	d, _, _ := desk(t, temporalSays{result: map[string]any{workflows.RefundID(order.ID): domain.OrderStatus("in_part")}}, paid)
	_, err := d.Refund(t.Context(), order.ID)
	if got := domain.CodeOf(err); got != domain.CodeUnknown {
		t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, domain.CodeUnknown, err)
	}

	_, waits, err := d.Waits(t.Context(), domain.Refund{Capture: domain.Capture{Order: order.ID, Payment: "pay_1"}, Reason: "mood"})
	if got := domain.CodeOf(err); got != domain.CodeUnknown {
		t.Fatalf("domain.CodeOf(err) is %q, want %q: which workflow has it follows from the reason: %v", got, domain.CodeUnknown, err)
	}
	if waits {
		t.Fatal("want false: waits")
	}
}

func TestRefundOfWhatWasNeverPaid(t *testing.T) {
	d, _, _ := desk(t, temporalSays{}, records{})
	_, err := d.Refund(t.Context(), order.ID)
	if got := domain.CodeOf(err); got != domain.CodeNotFound {
		t.Fatalf("domain.CodeOf(err) is %q, want %q", got, domain.CodeNotFound)
	}
}

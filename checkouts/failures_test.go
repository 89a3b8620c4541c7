package checkouts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"boxoffice/activities"
	"boxoffice/checkouts"
	"boxoffice/domain"
)

// Whatever Temporal's client says, it becomes one of two types: a *domain.Error
// only where it is known that nothing happened, else a *domain.UnknownError.
func TestTemporalsFailuresAreDefiniteOrUnknown(t *testing.T) {
	paid := records{sold: map[domain.OrderID]domain.SoldOrder{order.ID: {Status: domain.OrderPaid}}}
	calls := []struct {
		name string
		has  records
		do   func(*checkouts.Desk) error
	}{
		{"Start", records{}, func(d *checkouts.Desk) error { _, err := d.Start(context.Background(), order); return err }},
		{"State", records{}, func(d *checkouts.Desk) error { _, err := d.State(context.Background(), order.ID); return err }},
		{"Cancel", records{}, func(d *checkouts.Desk) error { _, err := d.Cancel(context.Background(), order.ID); return err }},
		{"Pay", records{}, func(d *checkouts.Desk) error {
			_, err := d.Pay(context.Background(), event(domain.PaymentSucceeded, "pay_1"))
			return err
		}},
		{"Refund", paid, func(d *checkouts.Desk) error { _, err := d.Refund(context.Background(), order.ID); return err }},
	}
	for _, tt := range []struct {
		err     error
		code    domain.Code
		ofStart domain.Code // where Start alone knows more
	}{
		{context.DeadlineExceeded, domain.CodeUnknown, ""},
		{context.Canceled, domain.CodeUnknown, ""},
		{serviceerror.NewDeadlineExceeded("too late"), domain.CodeUnknown, ""},
		{serviceerror.NewCanceled("canceled"), domain.CodeUnknown, ""},
		{serviceerror.NewUnavailable("connection refused"), domain.CodeUnknown, ""},
		{serviceerror.NewInternal("broken"), domain.CodeUnknown, ""},
		{serviceerror.NewDataLoss("lost"), domain.CodeUnknown, ""},
		{serviceerror.NewPermissionDenied("not yours", ""), domain.CodeUnknown, ""},
		{serviceerror.NewNamespaceNotFound("gone"), domain.CodeUnknown, ""}, // not: no such order
		{&serviceerror.ResourceExhausted{}, domain.CodeUnknown, domain.CodeOverloaded},
		{noWorker, domain.CodeUnknown, ""},
		{errors.New("something new"), domain.CodeUnknown, ""},
		{fmt.Errorf("wrapped: %w", serviceerror.NewUnavailable("away")), domain.CodeUnknown, ""},
		{serviceerror.NewInvalidArgument("bad request"), domain.CodeInternal, ""}, // ours to fix
	} {
		for _, call := range calls {
			t.Run(fmt.Sprintf("%T/%s", tt.err, call.name), func(t *testing.T) {
				c := mocks.NewClient(t)
				c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(nil, tt.err).Maybe()
				c.On("UpdateWorkflow", mock.Anything, mock.Anything).Return(nil, tt.err).Maybe()
				c.On("SignalWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(tt.err).Maybe()
				c.On("DescribeWorkflowExecution", mock.Anything, mock.Anything, "").Return(nil, tt.err).Maybe()
				desk := checkouts.NewDesk(c, payloads, activities.NewHoldNotices(), call.has, call.has, call.has)

				err := call.do(desk)
				want := tt.code
				if call.name == "Start" && tt.ofStart != "" {
					want = tt.ofStart
				}
				if got := domain.CodeOf(err); got != want {
					t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, want, err)
				}
				if got := domain.IsUnknown(err); got != (want == domain.CodeUnknown) {
					t.Fatalf("domain.IsUnknown(err) is %v, want %v: %v", got, want == domain.CodeUnknown, err)
				}
			})
		}
	}
}

// What Temporal shows to everybody who may look, and indexes, names no buyer:
// only the arguments do, and those are sealed (package codec).
func TestNoBuyersDataOutsideOfTheArguments(t *testing.T) {
	const mark = "marked.buyer.7c1f"
	marked := order
	marked.Email = mark + "@example.com"
	marked.Lines = []domain.Line{{Class: "A", Quantity: 2, UnitPriceMinor: 6500}}
	var started []client.StartWorkflowOptions
	var updated []client.UpdateWorkflowOptions
	c := mocks.NewClient(t)
	c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
		started = append(started, args.Get(1).(client.StartWorkflowOptions))
	}).Return(nil, nil)
	handle := mocks.NewWorkflowUpdateHandle(t)
	handle.On("Get", mock.Anything, mock.Anything).Run(func(args mock.Arguments) { assign(args.Get(1), held) }).Return(nil)
	c.On("UpdateWorkflow", mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
		updated = append(updated, args.Get(1).(client.UpdateWorkflowOptions))
	}).Return(handle, nil)
	_, err := checkouts.NewDesk(c, payloads, nil, records{}, records{}, records{}).Start(t.Context(), marked)
	if err != nil {
		t.Fatal(err)
	}
	if len(started) != 1 {
		t.Fatalf("%d in started, want 1: %+v", len(started), started)
	}
	if len(updated) != 1 {
		t.Fatalf("%d in updated, want 1: %+v", len(updated), updated)
	}
	updated[0].Args = nil // sealed
	shown := fmt.Sprintf("%+v %+v", started[0], updated[0])
	for name := range started[0].TypedSearchAttributes.GetUntypedValues() {
		value := started[0].TypedSearchAttributes.GetUntypedValues()[name]
		shown += fmt.Sprint(name.GetName(), value)
	}
	if want := order.ID.String(); !strings.Contains(shown, want) {
		t.Fatalf("no %q in %s", want, shown)
	}
	if !strings.Contains(shown, "conf") {
		t.Fatalf("no %q in %s", "conf", shown)
	}
	if strings.Contains(shown, mark) || strings.Contains(shown, "@") {
		t.Fatalf(`want false: strings.Contains(shown, mark) || strings.Contains(shown, "@"): %v`, shown)
	}
}

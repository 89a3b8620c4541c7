package checkouts_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"boxoffice/activities"
	"boxoffice/checkouts"
	"boxoffice/domain"
)

// A buyer who hangs up while the checkout is being started: the answer to the start
// brings its first workflow task, so somebody must be there to take it.
func TestAStartGoesOnWhenItsBuyerHangsUp(t *testing.T) {
	c := mocks.NewClient(t)
	d := checkouts.NewDesk(c, payloads, activities.NewHoldNotices(), records{}, records{}, records{})
	buyer, hangUp := context.WithCancel(t.Context())
	var underWay, isBounded bool
	c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
		hangUp()
		ctx := args.Get(0).(context.Context)
		underWay = ctx.Err() == nil
		_, isBounded = ctx.Deadline()
		if !args.Get(1).(client.StartWorkflowOptions).EnableEagerStart {
			t.Fatal("want true: args.Get(1).(client.StartWorkflowOptions).EnableEagerStart")
		}
	}).Return(nil, nil)
	c.On("UpdateWorkflow", mock.Anything, mock.Anything).Return(nil, context.Canceled).Maybe()
	_, err := d.Start(buyer, order)
	if !underWay {
		t.Fatal("the start was given up with its request")
	}
	if !isBounded {
		t.Fatal("the start has no bound of its own")
	}
	if !domain.IsUnknown(err) {
		t.Fatalf("want true: domain.IsUnknown(err): %v", err)
	}
}

// While new checkouts go to another version of the code, this process leaves the first task to Temporal, and waits for nobody
// of its own.
func TestAStartIsHandedOnToAnotherVersion(t *testing.T) {
	c := mocks.NewClient(t)
	d := checkouts.NewDesk(c, payloads, activities.NewHoldNotices(), records{}, records{}, records{})
	d.StartsHere = func() bool { return false }
	asked := false
	c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
		if args.Get(1).(client.StartWorkflowOptions).EnableEagerStart {
			t.Error("the first task comes back with the answer, to a worker of the wrong version")
		}
	}).Return(nil, nil)
	c.On("UpdateWorkflow", mock.Anything, mock.Anything).Run(func(mock.Arguments) { asked = true }).Return(nil, context.Canceled)
	if _, err := d.Start(t.Context(), order); !domain.IsUnknown(err) {
		t.Fatalf("want an unknown outcome: %v", err)
	}
	if !asked {
		t.Error("the workflow was not asked for its hold")
	}
}

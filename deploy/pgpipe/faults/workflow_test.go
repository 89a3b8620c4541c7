//go:build linux

package faults

import (
	"context"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
	taskQueue = "orders"
	lastWord  = "paid" // the signal after which an order ends
)

// The shapes of an order. The plain one is what a shop has most; the others have parts for which transitions look different.
type shape int

const (
	plain shape = iota
	withTimer
	withChild
	continued // as new, after the last word
	shapes
)

// order holds something, collects words until the last one, and settles. Its result is all words.
func order(ctx workflow.Context, s shape, told []string) ([]string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 3 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, MaximumInterval: time.Second},
	})
	if len(told) > 0 { // it is the second run of a continued one
		return told, workflow.ExecuteActivity(ctx, step, "settle").Get(ctx, nil)
	}
	if err := workflow.ExecuteActivity(ctx, step, "hold").Get(ctx, nil); err != nil {
		return nil, err
	}
	for len(told) == 0 || told[len(told)-1] != lastWord {
		var word string
		workflow.GetSignalChannel(ctx, "tell").Receive(ctx, &word)
		told = append(told, word)
	}
	switch s {
	case withTimer:
		if err := workflow.Sleep(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	case withChild:
		if err := workflow.ExecuteChildWorkflow(ctx, child).Get(ctx, nil); err != nil {
			return nil, err
		}
	case continued:
		return nil, workflow.NewContinueAsNewError(ctx, order, s, told)
	}
	return told, workflow.ExecuteActivity(ctx, step, "settle").Get(ctx, nil)
}

func child(ctx workflow.Context) error {
	return workflow.Sleep(ctx, 10*time.Millisecond)
}

func step(_ context.Context, what string) (string, error) { return what, nil }

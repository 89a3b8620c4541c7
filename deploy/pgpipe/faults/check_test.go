//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
)

const checkersMax = 8

// check looks at every order that has not been seen to its end. What was acknowledged must be in its history, once. With toTheEnd
// every order that was paid ends, with all that it was told.
func (l *load) check(t *testing.T, toTheEnd bool) (checked int) {
	t.Helper()
	select {
	case err := <-l.wrong:
		if err != nil {
			t.Fatal(err)
		}
	default:
	}
	todo, failed := make(chan *entry), make(chan error, checkersMax)
	var wg sync.WaitGroup
	for range checkersMax {
		wg.Go(func() {
			for e := range todo {
				if err := l.checkOne(e, toTheEnd); err != nil {
					failed <- fmt.Errorf("%s: %w", e.id, err)
					return
				}
			}
		})
	}
	defer wg.Wait()
	defer close(todo)
	for _, e := range l.all() {
		if e.checked {
			continue
		}
		select {
		case todo <- e:
			checked++
		case err := <-failed:
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range checkersMax { // each takes none, so all before have been looked at
		select {
		case todo <- nothing:
		case err := <-failed:
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return checked
}

// nothing is an entry of which nothing is to be checked.
var nothing = &entry{checked: true}

func (l *load) checkOne(e *entry, toTheEnd bool) error {
	if e == nothing {
		return nil
	}
	var err error
	for end := time.Now().Add(answerWithin); time.Now().Before(end); pause(l.ctx, 100*time.Millisecond) {
		var done bool
		if done, err = l.look(e); err == nil && done {
			e.checked = true
		}
		var wrong *violation
		if errors.As(err, &wrong) || l.ctx.Err() != nil {
			return err
		}
		if err == nil && (done || !e.paid || !toTheEnd) {
			return nil
		}
	}
	if err == nil {
		err = errors.New("it is open")
	}
	return fmt.Errorf("after %v: %w", answerWithin, err)
}

// A violation is something that no fault excuses.
type violation struct{ what string }

func (v *violation) Error() string { return v.what }

func wrongf(format string, of ...any) error { return &violation{fmt.Sprintf(format, of...)} }

// look holds an order's history against its entry. It is done when it has ended as it should.
func (l *load) look(e *entry) (done bool, err error) {
	events, err := l.history(e.id, e.run)
	if err != nil {
		return false, err
	}
	var told []string
	holds := 0
	for _, event := range events {
		if a := event.GetWorkflowExecutionSignaledEventAttributes(); a != nil {
			var word string
			if err := converter.GetDefaultDataConverter().FromPayloads(a.Input, &word); err != nil {
				return false, wrongf("a word cannot be read: %v", err)
			}
			told = append(told, word)
		}
		if a := event.GetActivityTaskScheduledEventAttributes(); a != nil {
			holds++
		}
	}
	for _, word := range e.acked {
		if !slices.Contains(told, word) {
			// Not at once: while a workflow task runs, what comes is kept beside the history.
			return false, fmt.Errorf("%q was acknowledged, and is not in the history of %d events", word, len(events))
		}
	}
	seen := map[string]bool{}
	for _, word := range told {
		if seen[word] {
			return false, wrongf("%q came twice", word)
		}
		seen[word] = true
		if !slices.Contains(e.sent, word) {
			return false, wrongf("%q was never sent", word)
		}
	}
	last := events[len(events)-1]
	if a := last.GetWorkflowExecutionContinuedAsNewEventAttributes(); a != nil {
		if events, err = l.history(e.id, a.NewExecutionRunId); err != nil {
			return false, err
		}
		last = events[len(events)-1]
	}
	switch a := last.GetWorkflowExecutionCompletedEventAttributes(); {
	case a != nil:
		var result []string
		if err := converter.GetDefaultDataConverter().FromPayloads(a.Result, &result); err != nil {
			return false, wrongf("the result cannot be read: %v", err)
		}
		if !e.paid || !slices.Equal(result, told) {
			return false, wrongf("it was told %q, and ended with %q", told, result)
		}
		return true, nil
	case last.EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, last.EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
		last.EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, last.EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
		return false, wrongf("it ended with %v", last)
	case holds == 0 && e.paid:
		return false, errors.New("nothing was held yet")
	}
	return false, nil
}

// history reads all events of a run, whose ids must be without a gap.
func (l *load) history(id, run string) ([]*historypb.HistoryEvent, error) {
	var events []*historypb.HistoryEvent
	var page []byte
	for {
		ctx, cancel := context.WithTimeout(l.ctx, callTimeout)
		answer, err := l.client.WorkflowService().GetWorkflowExecutionHistory(ctx, &workflowservice.GetWorkflowExecutionHistoryRequest{
			Namespace: namespace, Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: run}, NextPageToken: page,
		})
		cancel()
		var missing *serviceerror.NotFound
		var lost *serviceerror.DataLoss
		switch {
		case errors.As(err, &missing), errors.As(err, &lost):
			return nil, wrongf("run %s was acknowledged, and cannot be read: %v", run, err)
		case err != nil:
			return nil, err
		}
		events = append(events, answer.History.GetEvents()...)
		if page = answer.NextPageToken; len(page) == 0 {
			break
		}
	}
	if len(events) == 0 || events[0].EventType != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED {
		return nil, wrongf("the history of run %s does not begin with its start", run)
	}
	for i, event := range events {
		if event.EventId != int64(i+1) {
			return nil, wrongf("event %d of run %s has the id %d", i+1, run, event.EventId)
		}
	}
	return events, nil
}

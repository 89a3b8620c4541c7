package workflows_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"boxoffice/activities"
	"boxoffice/codec"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// An event of a payment that was not sealed is a hint: whoever wrote it may have
// neither the payload key nor the webhook's secret. The provider's word counts.
func TestAnUnsealedEventIsAHint(t *testing.T) {
	keys, err := codec.New([]codec.Key{{ID: "k", Secret: make([]byte, codec.KeyLen)}})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := keys.DataConverter(), converter.GetDefaultDataConverter()
	begun := history(t, "testdata/histories/expired.json")[:2]
	order, _ := placed(t, begun)
	captured := func(w *world) {
		c := injectedEvent(order).Capture()
		w.captured = &c
	}
	capturedWrong := func(w *world) {
		c := injectedEvent(order).Capture()
		c.AmountMinor++
		w.captured = &c
	}
	of := func(kind domain.PaymentEventType) domain.PaymentEvent {
		event := injectedEvent(order)
		event.Type = kind
		return event
	}
	signal := func(x *execution, as converter.DataConverter, event domain.PaymentEvent) {
		payloads, err := as.ToPayloads(event)
		if err != nil {
			t.Fatal(err)
		}
		x.signal(workflows.PaymentSignal, payloads)
	}
	update := func(x *execution, as converter.DataConverter, event domain.PaymentEvent) {
		payloads, err := as.ToPayloads(event)
		if err != nil {
			t.Fatal(err)
		}
		x.update("event/"+event.ID, workflows.PaymentUpdate, payloads)
	}
	tests := []struct {
		name   string
		script func(*world)
		drive  func(*execution)
		want   domain.OrderStatus
		asked  int  // how often the provider was asked about hints
		late   bool // the payment was handed over
	}{
		{"a sealed signal sells", nil, func(x *execution) { signal(x, ours, of(domain.PaymentSucceeded)) }, domain.OrderPaid, 0, false},
		{"a sealed update sells", nil, func(x *execution) { update(x, ours, of(domain.PaymentSucceeded)) }, domain.OrderPaid, 0, false},
		{"a signal by hand, and the provider took it", captured, func(x *execution) { signal(x, theirs, of(domain.PaymentSucceeded)) }, domain.OrderPaid, 1, false},
		{"a signal by hand, and the provider took nothing", nil, func(x *execution) { signal(x, theirs, of(domain.PaymentSucceeded)) }, domain.OrderExpired, 1, false},
		{"a signal by hand, and the provider took another amount", capturedWrong, func(x *execution) { signal(x, theirs, of(domain.PaymentSucceeded)) }, domain.OrderExpired, 1, true},
		{"an update by hand, and the provider took it", captured, func(x *execution) { update(x, theirs, of(domain.PaymentSucceeded)) }, domain.OrderPaid, 1, false},
		{"an update by hand, and the provider took nothing", nil, func(x *execution) { update(x, theirs, of(domain.PaymentSucceeded)) }, domain.OrderExpired, 1, false},
		{"a failure by hand ends it, as the provider allows", nil, func(x *execution) { signal(x, theirs, of(domain.PaymentFailed)) }, domain.OrderFailed, 1, false},
		{"a failure by hand of what was paid", captured, func(x *execution) { signal(x, theirs, of(domain.PaymentFailed)) }, domain.OrderPaid, 1, false},
		{"a decline by hand is not counted", nil, func(x *execution) { signal(x, theirs, of(domain.PaymentDeclined)) }, domain.OrderExpired, 1, false},
		{"a decline by hand of what was paid", captured, func(x *execution) { signal(x, theirs, of(domain.PaymentDeclined)) }, domain.OrderPaid, 1, false},
		{"a hint does not stand for the event that it names", nil, func(x *execution) {
			signal(x, theirs, of(domain.PaymentSucceeded))
			for range 3 {
				x.task()
				x.happen()
			}
			signal(x, ours, of(domain.PaymentSucceeded))
		}, domain.OrderPaid, 1, false},
		{"known payments go first", nil, func(x *execution) {
			hint := of(domain.PaymentSucceeded)
			hint.Payment = "pay_hint"
			signal(x, theirs, hint)
			signal(x, ours, of(domain.PaymentSucceeded))
		}, domain.OrderPaid, 1, false},
		{"many hints", nil, func(x *execution) {
			for i := range 30 {
				hint := of(domain.PaymentSucceeded)
				hint.ID = fmt.Sprint("e", i)
				signal(x, theirs, hint)
			}
		}, domain.OrderExpired, 8, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{}
			w.reset(nil)
			s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, ours)
			x := s.resume(begun)
			x.task()
			if tt.script != nil {
				tt.script(w)
			}
			tt.drive(x)
			last := x.run()
			if got := last.GetEventType(); got != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED {
				t.Fatalf("last.GetEventType() is %v, want %v", got, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
			}
			var state domain.CheckoutState
			if err := ours.FromPayloads(last.GetWorkflowExecutionCompletedEventAttributes().GetResult(), &state); err != nil {
				t.Fatal(err)
			}
			if state.Status != tt.want {
				t.Fatalf("state.Status is %q, want %q: %v", state.Status, tt.want, x.kinds())
			}
			if got := w.bought(injected); got != (tt.want == domain.OrderPaid) {
				t.Fatalf("w.bought(injected) is %v, want %v", got, tt.want == domain.OrderPaid)
			}
			if got := x.asked(ours); got != tt.asked {
				t.Fatalf("x.asked(ours) is %v, want %v: %v", got, tt.asked, x.kinds())
			}
			if got := len(x.children()) > 0; got != tt.late {
				t.Fatalf("len(x.children()) > 0 is %v, want %v", got, tt.late)
			}
			if err := replayWith(keys, x.events); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A hint in the task in which the checkout closes is followed too.
func TestAHintAtTheClose(t *testing.T) {
	keys, err := codec.New([]codec.Key{{ID: "k", Secret: make([]byte, codec.KeyLen)}})
	if err != nil {
		t.Fatal(err)
	}
	begun := history(t, "testdata/histories/expired.json")[:2]
	order, _ := placed(t, begun)
	for _, captured := range []bool{false, true} {
		w := &world{}
		w.reset(nil)
		s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, keys.DataConverter())
		x := s.resume(begun)
		x.run()
		all := moments(x.events)
		x = s.resume(x.events[:all[len(all)-1]])
		if captured {
			c := injectedEvent(order).Capture()
			w.captured = &c
		}
		x.signal(workflows.PaymentSignal, encode(t, injectedEvent(order)))
		x.run()
		if got := x.asked(keys.DataConverter()); got != 1 {
			t.Fatalf("x.asked(keys.DataConverter()) is %v, want 1", got)
		}
		if got := len(x.children()) == 1; got != captured {
			t.Fatalf("len(x.children()) == 1 is %v, want %v", got, captured)
		}
		if w.bought(injected) {
			t.Fatal("want false: w.bought(injected)")
		}
		if err := replayWith(keys, x.events); err != nil {
			t.Fatal(err)
		}
	}
}

// While the provider does not answer, known payments are processed.
func TestAHintKeepsNobodyWaiting(t *testing.T) {
	keys, err := codec.New([]codec.Key{{ID: "k", Secret: make([]byte, codec.KeyLen)}})
	if err != nil {
		t.Fatal(err)
	}
	begun := history(t, "testdata/histories/expired.json")[:2]
	order, _ := placed(t, begun)
	w := &world{}
	w.reset(nil)
	s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, keys.DataConverter())
	x := s.resume(begun)
	x.task()
	x.signal(workflows.PaymentSignal, encode(t, injectedEvent(order)))
	x.task() // the question is on its way
	event := injectedEvent(order)
	event.ID = "sealed"
	payloads, err := keys.DataConverter().ToPayloads(event)
	if err != nil {
		t.Fatal(err)
	}
	x.update("event/sealed", workflows.PaymentUpdate, payloads)
	x.task()
	if !w.bought(injected) {
		t.Fatalf("want true: w.bought(injected): %v", x.kinds())
	}
	if !closes(x.events[len(x.events)-1]) {
		t.Fatalf("want true: closes(x.events[len(x.events)-1]): %v", x.kinds())
	}
}

// asked counts the questions about hints, by what the history says of them.
func (x *execution) asked(payloads converter.DataConverter) (n int) {
	x.t.Helper()
	for _, e := range x.events {
		if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == "FindCapture" {
			var summary string
			if err := payloads.FromPayload(e.GetUserMetadata().GetSummary(), &summary); err != nil {
				x.t.Fatal(err)
			}
			if strings.Contains(summary, "not sealed") {
				n++
			}
		}
	}
	return n
}

func replayWith(keys *codec.Codec, events []*historypb.HistoryEvent) error {
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DataConverter: keys.DataConverter(), FailureConverter: keys.FailureConverter()})
	if err != nil {
		return err
	}
	replayer.RegisterWorkflow(workflows.Checkout)
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), &historypb.History{Events: events})
}

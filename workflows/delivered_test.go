package workflows_test

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
	"boxoffice/workflows/replay"
)

func encode(t *testing.T, values ...any) *commonpb.Payloads {
	t.Helper()
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(values...)
	if err != nil {
		t.Fatal(err)
	}
	return payloads
}

func history(t *testing.T, file string) []*historypb.HistoryEvent {
	t.Helper()
	h, err := replay.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return h.GetEvents()
}

// placed is the order that a checkout's history is about.
func placed(t *testing.T, events []*historypb.HistoryEvent) (order domain.Order, ok bool) {
	t.Helper()
	begun := events[0].GetWorkflowExecutionStartedEventAttributes()
	if begun.GetWorkflowType().GetName() != "Checkout" {
		return order, false
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(begun.GetInput(), &order); err != nil {
		t.Fatal(err)
	}
	return order, true
}

// moments are the lengths of the beginnings of a history after which something can
// be delivered: the server writes what a workflow task brings at once, and what
// comes while one runs goes into the next.
func moments(events []*historypb.HistoryEvent) (at []int) {
	for n := 2; n < len(events); n++ {
		if events[n-1].GetEventType() != enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED && !replay.WithPrevious(events[n]) {
			at = append(at, n)
		}
	}
	return at
}

// What is delivered at any moment of a checkout's life, in any task, that one too
// in which it closes, is dealt with before the checkout closes.
func TestWhatIsDeliveredIsDealtWith(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil {
		t.Fatal(err)
	}
	deliveries := 0
	for _, file := range files {
		events := history(t, file)
		order, ok := placed(t, events)
		if !ok {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			w := &world{}
			w.reset(nil)
			s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, nil)
			for _, n := range moments(events) {
				deliveries += deliverAt(t, s, w, order, events[:n])
			}
		})
	}
	if deliveries <= 400 {
		t.Fatalf("deliveries is %v, want more than 400", deliveries)
	}
	t.Logf("%d deliveries", deliveries)
}

// lastSteps are the ways in which a checkout comes to its last workflow task that
// no committed history of a plain ending has: what a local activity could not do
// is done by a regular one, the seats are sold to nobody, the money is handed over.
var lastSteps = []struct {
	name   string
	script func(*world)
	drive  func(*testing.T, *execution, domain.PaymentEvent)
}{
	{"released-late", func(w *world) { w.failures["void"] = 4 }, nil},
	{"failed-released-late", func(w *world) { w.failures["void"] = 4 }, func(t *testing.T, x *execution, event domain.PaymentEvent) {
		event.Type = domain.PaymentFailed
		x.signal(workflows.PaymentSignal, encode(t, event))
	}},
	{"settled-late", func(w *world) { w.failures["record"] = 4 }, func(t *testing.T, x *execution, event domain.PaymentEvent) {
		x.signal(workflows.PaymentSignal, encode(t, event))
	}},
	{"none-left", func(w *world) { w.holdGone = true }, func(t *testing.T, x *execution, event domain.PaymentEvent) {
		x.update("event/first", workflows.PaymentUpdate, encode(t, event))
	}},
	{"unsold-late", func(w *world) { w.seats, w.failures["unsell"] = "posted", 4 }, nil},
}

func TestWhatIsDeliveredAtALastStepIsDealtWith(t *testing.T) {
	begun := history(t, "testdata/histories/expired.json")[:2]
	order, _ := placed(t, begun)
	for _, tt := range lastSteps {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{}
			s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, nil)
			x := lastStep(t, s, w, order, begun, tt.script, tt.drive)
			deliveries := 0
			for _, n := range moments(x.events) {
				deliveries += deliverAt(t, s, w, order, x.events[:n])
			}
			if deliveries <= 10 {
				t.Fatalf("deliveries is %v, want more than 10", deliveries)
			}
		})
	}
}

// -histories writes what comes of a payment in the very task that closes a
// checkout, where it must replay for ever.
var histories = flag.String("histories", "", "write histories of payments in the task that closes into this `directory`")

// The histories of testdata that begin with last-call are these.
func TestAPaymentInTheTaskThatCloses(t *testing.T) {
	begun := history(t, "testdata/histories/expired.json")[:2]
	order, _ := placed(t, begun)
	for _, tt := range lastSteps {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{}
			s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, nil)
			x := lastStep(t, s, w, order, begun, tt.script, tt.drive)
			all := moments(x.events)
			x = s.resume(x.events[:all[len(all)-1]])
			x.signal(workflows.PaymentSignal, encode(t, injectedEvent(order)))
			if got := x.run().GetEventType(); got != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED {
				t.Fatalf("x.run().GetEventType() is %v, want %v", got, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
			}
			if got, want := x.children(), workflows.LateID(order.ID, injected); !slices.Contains(got, want) {
				t.Fatalf("no %q in %q", want, got)
			}
			if err := x.replayed(); err != nil {
				t.Fatal(err)
			}
			x.save("last-call-" + tt.name)
		})
	}
}

// save keeps a history, see -histories.
func (x *execution) save(name string) {
	x.t.Helper()
	if *histories == "" {
		return
	}
	content, err := temporalproto.CustomJSONMarshalOptions{Indent: "  "}.Marshal(&historypb.History{Events: x.events})
	if err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*histories, name+".json"), append(content, '\n'), 0o644); err != nil {
		x.t.Fatal(err)
	}
}

// A late payment of which the provider knows a little later, and one of which it never
// does: their histories are kept too.
func TestLateHistories(t *testing.T) {
	begun := history(t, "testdata/histories/canceled-then-paid-refunded.json")[:2]
	var input workflows.LateInput
	if err := converter.GetDefaultDataConverter().FromPayloads(begun[0].GetWorkflowExecutionStartedEventAttributes().GetInput(), &input); err != nil {
		t.Fatal(err)
	}
	for name, after := range map[string]time.Duration{"late-shown-later": 3 * time.Second, "late-never-shown": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := &world{}
			w.reset(nil)
			s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, nil)
			x := s.resume(begun)
			w.now = func() time.Time { return x.now }
			w.captured, w.knownAt = &input.Capture, x.now.Add(after)
			last := x.run()
			if got := last.GetEventType(); got != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED {
				t.Fatalf("last.GetEventType() is %v, want %v", got, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
			}
			var state domain.CheckoutState
			if err := converter.GetDefaultDataConverter().FromPayloads(last.GetWorkflowExecutionCompletedEventAttributes().GetResult(), &state); err != nil {
				t.Fatal(err)
			}
			if state.Untaken != (name == "late-never-shown") {
				t.Fatalf("state.Untaken is %v, want %v", state.Untaken, name == "late-never-shown")
			}
			if err := x.replayed(); err != nil {
				t.Fatal(err)
			}
			x.save(name)
		})
	}
}

// lastStep takes a checkout to its end.
func lastStep(t *testing.T, s *server, w *world, order domain.Order, begun []*historypb.HistoryEvent, script func(*world), drive func(*testing.T, *execution, domain.PaymentEvent)) *execution {
	t.Helper()
	w.reset(nil)
	x := s.resume(begun)
	x.task()
	w.reset(script)
	if drive != nil {
		event := injectedEvent(order)
		event.ID, event.Payment = "first", "pay_first"
		drive(t, x, event)
	}
	if got := x.run().GetEventType(); got != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED {
		t.Fatalf("x.run().GetEventType() is %v, want %v", got, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
	}
	return x
}

// A checkout that cannot go on hands over the payments that were reported to it.
func TestACheckoutThatBreaksOffHandsItsMoneyOver(t *testing.T) {
	begun := history(t, "testdata/histories/expired.json")[:2]
	order, _ := placed(t, begun)
	tests := []struct {
		name   string
		script func(*world)
		hold   bool // has been made
	}{
		{"the hold is refused for good", func(w *world) { w.holdError = &domain.Error{Code: domain.CodeKeyReused} }, false},
		{"the settlement is refused for good", func(w *world) { w.postError = &domain.Error{Code: domain.CodeKeyReused} }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{}
			w.reset(nil)
			s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, nil)
			x := s.resume(begun)
			if tt.hold {
				x.task()
			}
			tt.script(w)
			x.signal(workflows.PaymentSignal, encode(t, injectedEvent(order)))
			if got := x.run().GetEventType(); got != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED {
				t.Fatalf("x.run().GetEventType() is %v, want %v", got, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
			}
			if got, want := x.children(), []string{workflows.LateID(order.ID, injected)}; !reflect.DeepEqual(got, want) {
				t.Fatalf("x.children() is %q, want %q", got, want)
			}
			if err := x.replayed(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A request whether a sale is closed gets an answer, even in the task in which the
// cancellation ends or goes on as a new run. A cancellation of it has no effect.
func TestEveryRequestToCancelASaleIsAnswered(t *testing.T) {
	events := history(t, "testdata/histories/sale-canceled.json")
	for _, suggest := range []bool{false, true} {
		h := &theatre{}
		s := newServer(t, &activities.Activities{SaleCancel: activities.SaleCancel{SecondLook: time.Nanosecond, Drainer: h, Cancellations: h, Canceler: h}}, nil)
		ends := map[enumspb.EventType]int{}
		for _, n := range moments(events) {
			*h = theatre{orders: map[domain.OrderID]domain.OrderStatus{{1}: domain.OrderPaid, {2}: domain.OrderHeld}, refusing: 2}
			x := s.resume(events[:n])
			x.suggest = suggest
			x.update("again", workflows.AwaitClosedUpdate, nil)
			x.cancel()
			ends[x.run().GetEventType()]++
			if len(x.refused) != 0 {
				t.Fatalf("x.refused is %v, want nothing", x.refused)
			}
			for id := range x.accepted {
				if _, ok := x.answered[id]; !ok {
					t.Fatalf("no %q in %v: after event %d:\n%s", id, x.answered, n, x.kinds())
				}
				if got := x.answered[id].GetFailure(); got != nil {
					t.Fatalf("x.answered[id].GetFailure() is %v, want nil", got)
				}
			}
			if err := x.replayed(); err != nil {
				t.Fatal(err)
			}
		}
		if ends[enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED] == 0 {
			t.Fatal("ends[enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED] is zero")
		}
		if (ends[enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW] > 0) != suggest {
			t.Fatalf("ends[enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW] > 0 is %v, want %v", ends[enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW] > 0, suggest)
		}
	}
}

// Nobody pays for the care: an ordinary checkout is as short as it was.
func TestAPaidCheckoutHasThirteenEvents(t *testing.T) {
	begun := history(t, "testdata/histories/paid.json")[:2]
	order, _ := placed(t, begun)
	w := &world{}
	w.reset(nil)
	s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, nil)
	x := s.resume(begun)
	x.task()
	x.update("event/injected", workflows.PaymentUpdate, encode(t, injectedEvent(order)))
	x.run()
	if len(x.events) != 13 {
		t.Fatalf("%d in x.events, want 13: %+v: %v", len(x.events), x.events, x.kinds())
	}
}

// A decline costs a workflow task, the update and a new timer; where it comes as a signal, a
// marker too. decline-ignored is what a release from before made of such a signal.
func TestADeclineInTheHistory(t *testing.T) {
	begun := history(t, "testdata/histories/paid.json")[:2]
	order, _ := placed(t, begun)
	declined, paid := injectedEvent(order), injectedEvent(order)
	declined.ID, declined.Type = "first", domain.PaymentDeclined
	paid.ID, paid.Payment = "second", "pay_second"
	for name, tt := range map[string]struct {
		deliver func(*execution)
		events  int
	}{
		"by update": {func(x *execution) { x.update("event/first", workflows.PaymentUpdate, encode(t, declined)) }, 13 + 6},
		"by signal": {func(x *execution) { x.signal(workflows.PaymentSignal, encode(t, declined)) }, 13 + 7},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{}
			w.reset(nil)
			s := newServer(t, &activities.Activities{Ledger: w, Orders: w, Provider: w}, nil)
			x := s.resume(begun)
			x.task()
			tt.deliver(x)
			x.task()
			x.update("event/second", workflows.PaymentUpdate, encode(t, paid))
			x.run()
			if len(x.events) != tt.events {
				t.Errorf("%d events, want %d: %v", len(x.events), tt.events, x.kinds())
			}
			if !w.bought(paid.Payment) {
				t.Error("the payment after the decline bought nothing")
			}
			if err := x.replayed(); err != nil {
				t.Fatal(err)
			}
			x.save("declined-" + strings.ReplaceAll(name, " ", "-"))
		})
	}
}

const injected = "pay_injected"

func injectedEvent(order domain.Order) domain.PaymentEvent {
	return domain.PaymentEvent{
		ID: "injected", Type: domain.PaymentSucceeded, Session: "ps_" + order.ID.String(), Order: order.ID,
		Payment: injected, AmountMinor: order.AmountMinor, Currency: order.Currency,
	}
}

// deliverAt brings a payment as a signal, as an update and beside one, and a
// cancellation, to a checkout that got so far.
func deliverAt(t *testing.T, s *server, w *world, order domain.Order, events []*historypb.HistoryEvent) (deliveries int) {
	t.Helper()
	event := injectedEvent(order)
	failed := event
	failed.ID, failed.Type = "other", domain.PaymentFailed
	declined := event
	declined.ID, declined.Type = "declined", domain.PaymentDeclined
	for way, deliver := range map[string]func(*execution){
		"signal": func(x *execution) { x.signal(workflows.PaymentSignal, encode(t, event)) },
		"signal after another": func(x *execution) {
			x.signal(workflows.PaymentSignal, encode(t, failed))
			x.signal(workflows.PaymentSignal, encode(t, event))
		},
		"signal after a decline": func(x *execution) {
			x.signal(workflows.PaymentSignal, encode(t, declined))
			x.signal(workflows.PaymentSignal, encode(t, event))
		},
		"update after a decline": func(x *execution) {
			x.update("event/declined", workflows.PaymentUpdate, encode(t, declined))
			x.update("event/injected", workflows.PaymentUpdate, encode(t, event))
		},
		"signal and cancel": func(x *execution) { x.signal(workflows.PaymentSignal, encode(t, event)); x.cancel() },
		"update":            func(x *execution) { x.update("event/injected", workflows.PaymentUpdate, encode(t, event)) },
		"cancel":            func(x *execution) { x.cancel() },
	} {
		w.reset(nil)
		x := s.resume(events)
		deliver(x)
		last := x.run()
		if got := last.GetEventType(); got != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED {
			t.Fatalf("last.GetEventType() is %v, want %v: %s after event %d:\n%s", got, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, way, len(events), x.kinds())
		}
		for id := range x.accepted {
			if _, ok := x.answered[id]; !ok {
				t.Fatalf("no %q in %v: %s after event %d: the update was accepted and is not answered", id, x.answered, way, len(events))
			}
			if got := x.answered[id].GetFailure(); got != nil {
				t.Fatalf("x.answered[id].GetFailure() is %v, want nil: %s after event %d", got, way, len(events))
			}
		}
		if way != "cancel" && !x.refused["event/injected"] {
			if !(w.bought(injected) || slices.Contains(x.children(), workflows.LateID(order.ID, injected))) {
				t.Fatalf("want true: %s after event %d: the payment is neither sold nor handed to Late:\n%s", way, len(events), x.kinds())
			}
		}
		if err := x.replayed(); err != nil {
			t.Fatalf("%s after event %d: %v", way, len(events), err)
		}
		deliveries++
	}
	return deliveries
}

// reset makes it a world in which nothing has happened yet.
func (w *world) reset(script func(*world)) {
	*w = world{holdOutcome: domain.HoldHeld, perkLeft: true, now: time.Now, failures: map[string]int{}}
	if script != nil {
		script(w)
	}
}

// bought reports whether an order was recorded for the payment.
func (w *world) bought(payment string) bool {
	return slices.ContainsFunc(w.recorded, func(s domain.Sold) bool { return s.Capture.Payment == payment })
}

// replayed holds the history that came out against the code that made it.
func (x *execution) replayed() error {
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflow(workflows.Checkout)
	replayer.RegisterWorkflow(workflows.CancelSale)
	replayer.RegisterWorkflow(workflows.Late)
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), &historypb.History{Events: x.events})
}

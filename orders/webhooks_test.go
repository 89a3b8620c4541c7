package orders_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"boxoffice/domain"
	"boxoffice/orders"
)

const webhookID, webhookURL = "whe_AAAAAAAAAAAAAAAAAAAAAAAAAA", "https://hooks.example.com/"

func (b *bundle) webhook(t *testing.T, types ...domain.EventType) domain.WebhookEndpoint {
	t.Helper()
	return must(b.store.CreateWebhookEndpoint(b.ctx, domain.WebhookEndpoint{ID: webhookID, URL: webhookURL, Types: types, Secret: []byte("sealed")}))
}

// recordWebhook stores the result of an attempt at the endpoint as it was created, and reports whether the endpoint is still the same.
func (b *bundle) recordWebhook(t *testing.T, r *orders.WebhookResult) (current bool) {
	t.Helper()
	r.Endpoint, r.URL, r.Secret = webhookID, webhookURL, []byte("sealed")
	return must(b.store.RecordWebhook(b.ctx, r))
}

// tell writes events about subjects and returns them.
func (b *bundle) tell(t *testing.T, subjects ...string) []domain.Event {
	t.Helper()
	after := must(b.store.EventHead(b.ctx))
	conn := b.connect(t)
	for i, subject := range subjects {
		if _, err := conn.Exec(b.ctx, `INSERT INTO outbox (event, sale_id, payload) VALUES ('audit.broken', $1, jsonb_build_object('n', $2::int))`, subject, i); err != nil {
			t.Fatal(err)
		}
	}
	return b.awaitEvents(t, after, len(subjects))
}

func dueRows(due []orders.DueWebhook) (rows []int64) {
	for _, d := range due {
		rows = append(rows, d.Event.ID.Row())
	}
	return rows
}

func TestAnEventIsQueuedOncePerEndpoint(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t, domain.EventAuditBroken)
	events := b.tell(t, "a", "b")
	for range 2 { // the reader died before it stored its cursor
		if got := must(b.store.QueueWebhooks(b.ctx, events)); !slices.Equal(got, []string{webhookID}) {
			t.Fatalf("pending of %v, want %s: a wake that was lost is repeated", got, webhookID)
		}
	}
	due := must(b.store.DueWebhooks(b.ctx, webhookID, 10))
	if want := []int64{events[0].ID.Row(), events[1].ID.Row()}; !slices.Equal(dueRows(due), want) {
		t.Fatalf("due %v, want %v", dueRows(due), want)
	}
	if due[0].Event.ID != events[0].ID || string(due[0].Event.Payload) != string(events[0].Payload) {
		t.Errorf("%+v, want the event itself", due[0])
	}
	for _, e := range events {
		b.recordWebhook(t, &orders.WebhookResult{Event: e.ID, State: domain.WebhookDelivered})
	}
	if got := must(b.store.QueueWebhooks(b.ctx, events)); len(got) != 0 {
		t.Errorf("pending of %v although all is delivered", got)
	}
	if _, waits, err := b.store.WebhookWait(b.ctx, webhookID); waits || err != nil {
		t.Errorf("waits %t, %v", waits, err)
	}
}

func TestAnEndpointGetsTheEventsThatItWants(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	earlier := b.tell(t, "a")
	b.webhook(t, domain.EventOrderPaid)
	if got := must(b.store.QueueWebhooks(b.ctx, b.tell(t, "a"))); len(got) != 0 {
		t.Errorf("%v gets a type that it does not want", got)
	}
	must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, domain.WebhookChange{Types: new([]domain.EventType{})}))
	if got := must(b.store.QueueWebhooks(b.ctx, earlier)); len(got) != 0 {
		t.Errorf("%v gets an event from before it existed", got)
	}
	if got := must(b.store.QueueWebhooks(b.ctx, b.tell(t, "a"))); len(got) != 1 {
		t.Errorf("queued for %v, want the endpoint that wants all", got)
	}
	must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, domain.WebhookChange{Enabled: new(false)}))
	if got := must(b.store.QueueWebhooks(b.ctx, b.tell(t, "a"))); len(got) != 0 {
		t.Errorf("%v gets an event although it is disabled", got)
	}
	deliveries := must(b.store.WebhookDeliveries(b.ctx, webhookID, domain.WebhookGivenUp, domain.EventID{}, 10))
	if len(deliveries) != 1 {
		t.Errorf("%d given up, want what was pending when it was disabled", len(deliveries))
	}
}

func TestALaterEventOfASubjectWaits(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	events := b.tell(t, "a", "a", "b")
	must(b.store.QueueWebhooks(b.ctx, events))
	row := func(i int) int64 { return events[i].ID.Row() }
	if got, want := dueRows(must(b.store.DueWebhooks(b.ctx, webhookID, 10))), []int64{row(0), row(2)}; !slices.Equal(got, want) {
		t.Fatalf("due %v, want %v", got, want)
	}
	failed := &orders.WebhookResult{
		Event: events[0].ID, State: domain.WebhookPending, RetryIn: time.Hour, Failures: 1,
		Attempt: domain.WebhookAttempt{At: time.Now().UTC(), Status: 500, Error: "500", Answer: "oh"},
	}
	b.recordWebhook(t, failed)
	if got, want := dueRows(must(b.store.DueWebhooks(b.ctx, webhookID, 10))), []int64{row(2)}; !slices.Equal(got, want) {
		t.Fatalf("due %v, want %v: the second of a subject waits with the first", got, want)
	}
	for range domain.WebhookAttemptsKept + 3 {
		b.recordWebhook(t, failed)
	}
	deliveries := must(b.store.WebhookDeliveries(b.ctx, webhookID, "", domain.EventID{}, 10))
	if last := deliveries[2]; last.Event != events[0].ID || len(last.Log) != domain.WebhookAttemptsKept || last.Log[0].Answer != "oh" {
		t.Errorf("%+v, want the log bounded", last)
	}
	failed.State, failed.Failures = domain.WebhookGivenUp, 2
	b.recordWebhook(t, failed)
	if got := dueRows(must(b.store.DueWebhooks(b.ctx, webhookID, 10))); !slices.Contains(got, row(1)) {
		t.Errorf("due %v, want the second of the subject", got)
	}
	if e := must(b.store.WebhookEndpointState(b.ctx, webhookID)); e.Failures != 2 || e.FailingSince.IsZero() || e.Pending != 2 {
		t.Errorf("%+v", e)
	}
}

func TestRedelivery(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	events := b.tell(t, "a", "b")
	must(b.store.QueueWebhooks(b.ctx, events))
	for _, e := range events {
		b.recordWebhook(t, &orders.WebhookResult{Event: e.ID, State: domain.WebhookDelivered})
	}
	if n, _, _, err := b.store.RedeliverWebhooks(b.ctx, webhookID, domain.WebhookRedelivery{Event: events[1].ID}, 10); n != 1 || err != nil {
		t.Fatalf("%d, %v, want one", n, err)
	}
	due := must(b.store.DueWebhooks(b.ctx, webhookID, 10))
	if len(due) != 1 || due[0].Event.ID != events[1].ID || due[0].Attempts != 0 {
		t.Fatalf("%+v, want that event from the beginning", due)
	}
	other := domain.NewEventID(events[1].ID.At().Add(time.Second), 1, events[1].ID.Row())
	if _, _, _, err := b.store.RedeliverWebhooks(b.ctx, webhookID, domain.WebhookRedelivery{Event: other}, 10); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("%v, want CodeNotFound for the event", err)
	}
	n, last, more, err := b.store.RedeliverWebhooks(b.ctx, webhookID, domain.WebhookRedelivery{Since: events[0].OccurredAt}, 10)
	if n != 2 || more || err != nil || !last.Equal(events[1].OccurredAt) {
		t.Errorf("%d until %v, more %t, %v, want both until %v", n, last, more, err, events[1].OccurredAt)
	}
	if n, _, _, err := b.store.RedeliverWebhooks(b.ctx, webhookID, domain.WebhookRedelivery{Since: events[0].OccurredAt}, 1); n != 1 || err != nil {
		t.Errorf("%d, %v, want no more than the limit", n, err)
	}
	for _, d := range must(b.store.WebhookDeliveries(b.ctx, webhookID, "", domain.EventID{}, 10)) {
		if d.Event != events[0].ID && d.Event != events[1].ID || d.State != domain.WebhookPending {
			t.Errorf("%+v, want the ids that the events have", d)
		}
	}
}

// A pending webhook keeps its event in the log, however old the event is.
func TestAPendingWebhookKeepsItsEvent(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	events := b.tell(t, "a", "b")
	must(b.store.QueueWebhooks(b.ctx, events))
	b.recordWebhook(t, &orders.WebhookResult{Event: events[0].ID, State: domain.WebhookDelivered})
	must(b.store.DropEvents(b.ctx, 0))
	left := must(b.store.EventsAfter(b.ctx, domain.EventCursor{}, 10))
	if len(left) != 1 || left[0].ID != events[1].ID {
		t.Fatalf("left %+v, want the one that is pending", left)
	}
}

func TestRotationKeepsThePreviousSecretForTheOverlap(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	e := must(b.store.RotateWebhookSecret(b.ctx, webhookID, []byte("new"), time.Hour))
	if string(e.Secret) != "new" || string(e.PreviousSecret) != "sealed" || !e.PreviousSigns {
		t.Errorf("%+v, want both", e)
	}
	e = must(b.store.RotateWebhookSecret(b.ctx, webhookID, []byte("newer"), 0))
	if string(e.Secret) != "newer" || e.PreviousSecret != nil || e.PreviousSigns {
		t.Errorf("%+v, want the new one alone", e)
	}
}

func TestEndpointsAreBounded(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	_, err := b.connect(t).Exec(b.ctx, `INSERT INTO webhook_endpoints (id, url, types, secret) SELECT 'whe_' || rpad('', 24, 'A') || chr(65 + n / 26) || chr(65 + n % 26), 'https://x.example', '{}', ''
		FROM generate_series(0, 99) n`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.store.CreateWebhookEndpoint(b.ctx, domain.WebhookEndpoint{ID: "whe_ZZZZZZZZZZZZZZZZZZZZZZZZZZ", URL: "https://hooks.example.com/", Secret: []byte("s")})
	if domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("%v, want a refusal", err)
	}
	_, err = b.store.CreateWebhookEndpoint(b.ctx, domain.WebhookEndpoint{ID: webhookID, URL: "https://hooks.example.com/", SaleID: "nowhere", Secret: []byte("s")})
	if err == nil {
		t.Error("an endpoint of a missing sale is stored")
	}
}

// The outcome of an attempt undoes nothing that happened while it was in flight.
func TestAnAttemptInFlightUndoesNothing(t *testing.T) {
	change := func(c domain.WebhookChange) func(*bundle, *testing.T, domain.EventID) {
		return func(b *bundle, _ *testing.T, _ domain.EventID) {
			must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, c))
		}
	}
	moved, disabled := change(domain.WebhookChange{URL: new("https://other.example.com/")}), change(domain.WebhookChange{Enabled: new(false)})
	failed := orders.WebhookResult{State: domain.WebhookPending, RetryIn: time.Hour, Failures: 1}
	last := orders.WebhookResult{State: domain.WebhookGivenUp, Failures: 1}
	gone := orders.WebhookResult{State: domain.WebhookGivenUp, Failures: 1, Disable: "it answered 410 Gone"}
	taken := orders.WebhookResult{State: domain.WebhookDelivered}
	for _, tt := range []struct {
		name       string
		meanwhile  func(*bundle, *testing.T, domain.EventID)
		result     orders.WebhookResult
		state      domain.WebhookState
		other      domain.WebhookState // of another delivery to the endpoint
		failures   int
		isDisabled bool
		isCurrent  bool
	}{
		{"nothing, it fails", nil, failed, domain.WebhookPending, domain.WebhookPending, 1, false, true},
		{"nothing, it is gone", nil, gone, domain.WebhookGivenUp, domain.WebhookGivenUp, 1, true, true},
		{"disabled, it fails", disabled, failed, domain.WebhookGivenUp, domain.WebhookGivenUp, 0, true, false},
		{"disabled, it is accepted", disabled, taken, domain.WebhookDelivered, domain.WebhookGivenUp, 0, true, false},
		{"another URL, it fails", moved, failed, domain.WebhookPending, domain.WebhookPending, 0, false, false},
		{"another URL, the last attempt fails", moved, last, domain.WebhookPending, domain.WebhookPending, 0, false, false},
		{"another URL, the old one is gone", moved, gone, domain.WebhookPending, domain.WebhookPending, 0, false, false},
		{"another URL, the old one accepts it", moved, taken, domain.WebhookDelivered, domain.WebhookPending, 0, false, false},
		{"another secret, it fails", func(b *bundle, _ *testing.T, _ domain.EventID) {
			must(b.store.RotateWebhookSecret(b.ctx, webhookID, []byte("new"), 0))
		}, failed, domain.WebhookPending, domain.WebhookPending, 1, false, false},
		{"another attempt is accepted, this one fails", func(b *bundle, t *testing.T, e domain.EventID) {
			b.recordWebhook(t, &orders.WebhookResult{Event: e, State: domain.WebhookDelivered})
		}, failed, domain.WebhookDelivered, domain.WebhookPending, 1, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := setup(t)
			b.forgetEvents(t)
			b.webhook(t)
			events := b.tell(t, "a", "b")
			must(b.store.QueueWebhooks(b.ctx, events))
			if tt.meanwhile != nil {
				tt.meanwhile(b, t, events[0].ID)
			}
			tt.result.Event = events[0].ID
			if current := b.recordWebhook(t, &tt.result); current != tt.isCurrent {
				t.Errorf("current: %t, want %t", current, tt.isCurrent)
			}
			deliveries := must(b.store.WebhookDeliveries(b.ctx, webhookID, "", domain.EventID{}, 10)) // newest first
			if deliveries[1].State != tt.state || deliveries[0].State != tt.other {
				t.Errorf("%s, the other %s; want %s, %s", deliveries[1].State, deliveries[0].State, tt.state, tt.other)
			}
			if e := must(b.store.WebhookEndpoint(b.ctx, webhookID)); e.Failures != tt.failures || e.DisabledAt.IsZero() == tt.isDisabled {
				t.Errorf("%+v, want %d failures, disabled: %t", e, tt.failures, tt.isDisabled)
			}
		})
	}
}

// An accepted event does not end the pause that another answer asked for while it was in flight.
func TestAPauseIsNotCutShort(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	events := b.tell(t, "a", "b", "c")
	must(b.store.QueueWebhooks(b.ctx, events))
	b.recordWebhook(t, &orders.WebhookResult{Event: events[0].ID, State: domain.WebhookPending, Failures: 4, PauseFor: time.Hour})
	want := must(b.store.WebhookEndpoint(b.ctx, webhookID)).PausedUntil
	b.recordWebhook(t, &orders.WebhookResult{Event: events[1].ID, State: domain.WebhookPending, Failures: 5, PauseFor: time.Second})
	b.recordWebhook(t, &orders.WebhookResult{Event: events[2].ID, State: domain.WebhookDelivered})
	if got := must(b.store.WebhookEndpoint(b.ctx, webhookID)).PausedUntil; want.IsZero() || !got.Equal(want) {
		t.Errorf("paused until %v, want %v", got, want)
	}
}

func TestPendingDeliveriesOfAMendedEndpointAreDueAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change domain.WebhookChange
		isDue  bool
	}{
		{"another URL", domain.WebhookChange{URL: new("https://other.example.com/")}, true},
		{"enabled", domain.WebhookChange{Enabled: new(true)}, true},
		{"another description", domain.WebhookChange{Description: new("ours")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := setup(t)
			b.forgetEvents(t)
			b.webhook(t)
			events := b.tell(t, "a")
			must(b.store.QueueWebhooks(b.ctx, events))
			b.recordWebhook(t, &orders.WebhookResult{Event: events[0].ID, State: domain.WebhookPending, RetryIn: time.Hour, Failures: 4, PauseFor: time.Hour})
			must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, tt.change))
			wait, waits, err := b.store.WebhookWait(b.ctx, webhookID)
			if err != nil || !waits || (wait == 0) != tt.isDue {
				t.Errorf("waits %t for %v, %v; want it due: %t", waits, wait, err, tt.isDue)
			}
		})
	}
}

// A log of many days is read from the time on, in pages that go on from one another, and none of what an endpoint wants is missing.
func TestRedeliveryFindsTheTimeInALongLog(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	conn := b.connect(t)
	// A restored dump's events are one transaction's; then one a minute, each in a transaction of its own.
	const restored, each = 300, 200
	if _, err := conn.Exec(b.ctx, `
		INSERT INTO outbox (event, sale_id, payload, created_at)
		SELECT 'audit.broken', 'old', '{}', timestamptz '2026-01-01 UTC' + n * interval '1 minute' FROM generate_series(1, $1) n`, restored); err != nil {
		t.Fatal(err)
	}
	for n := range each {
		if _, err := conn.Exec(b.ctx, `
			INSERT INTO outbox (event, sale_id, payload, created_at)
			VALUES ('audit.broken', $1, '{}', timestamptz '2026-01-01 UTC' + $2 * interval '1 minute')`, []string{"a", "b"}[n%2], restored+n+1); err != nil {
			t.Fatal(err)
		}
	}
	b.awaitEvents(t, domain.EventCursor{}, restored+each)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, since := range []time.Duration{-time.Hour, time.Minute, 299 * time.Minute, 301 * time.Minute, 400 * time.Minute, 500 * time.Minute, 501 * time.Minute} {
		b.exec(t, `DELETE FROM webhook_deliveries`)
		want := min(restored+each, max(0, restored+each-int(since/time.Minute)+1))
		requests := 0
		for at, more := begin.Add(since), true; more; requests++ {
			var err error
			if _, at, more, err = b.store.RedeliverWebhooks(b.ctx, webhookID, domain.WebhookRedelivery{Since: at}, 150); err != nil {
				t.Fatal(err)
			}
			if requests > 10 {
				t.Fatalf("since %v: it does not end", since)
			}
		}
		if got := b.count(t, `SELECT count(*) FROM webhook_deliveries`); got != want {
			t.Errorf("since %v: %d events in %d requests, want %d", since, got, requests, want)
		}
	}
	must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, domain.WebhookChange{Types: new([]domain.EventType{domain.EventOrderPaid})}))
	if n, _, more, err := b.store.RedeliverWebhooks(b.ctx, webhookID, domain.WebhookRedelivery{Since: begin}, 10); n != 0 || more || err != nil {
		t.Errorf("%d, more %t, %v, want nothing: it wants none of these", n, more, err)
	}
}

// Nobody wakes a delivery that waits for the end of a pause, and it waits for that end although nothing is pending: what is queued
// meanwhile is sent then.
func TestAPausedEndpointIsNotWoken(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	events := b.tell(t, "a", "b", "c")
	must(b.store.QueueWebhooks(b.ctx, events[:1]))
	b.recordWebhook(t, &orders.WebhookResult{Event: events[0].ID, State: domain.WebhookGivenUp, Failures: 9, PauseFor: 10 * time.Minute})
	if wait, waits, err := b.store.WebhookWait(b.ctx, webhookID); err != nil || !waits || wait < 9*time.Minute {
		t.Errorf("waits %t for %v, %v, want the pause's end", waits, wait, err)
	}
	if got := must(b.store.QueueWebhooks(b.ctx, events[1:2])); len(got) != 0 {
		t.Errorf("%v is woken, want nobody: it is paused", got)
	}
	if got := b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'`); got != 1 {
		t.Errorf("%d pending, want the one that was queued", got)
	}
	b.exec(t, `UPDATE webhook_endpoints SET paused_until = now() + interval '20 seconds'`)
	if got := must(b.store.QueueWebhooks(b.ctx, events[2:])); len(got) != 1 {
		t.Errorf("%v is woken, want the endpoint: its pause is as good as over", got)
	}
}

// What was queued in the moment in which an endpoint was disabled, and more than one transaction gives up, is given up in steps; so is
// what a deleted endpoint was sent forgotten. Neither keeps events in the log.
func TestSweepingInSteps(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	b.exec(t, `
		INSERT INTO webhook_deliveries (endpoint, event_row, transaction_id, event, type, subject)
		SELECT '`+webhookID+`', n, '1', 'evt_0', 'order.paid', 's' || n FROM generate_series(1, 2500) n`)
	count := func(where string) int {
		return b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE `+where)
	}
	must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, domain.WebhookChange{Enabled: new(false)}))
	if got := count(`state = 'pending'`); got != 1500 {
		t.Errorf("%d pending, want what is beyond one step", got)
	}
	sweep := func(kept time.Duration) (steps int) {
		for more := true; more; steps++ {
			more = must(b.store.SweepWebhooks(b.ctx, kept, 1000))
		}
		return steps
	}
	if steps := sweep(time.Hour); steps != 2 || count(`state = 'given_up'`) != 2500 {
		t.Errorf("%d given up in %d steps, want all in 2", count(`state = 'given_up'`), steps)
	}
	b.exec(t, `UPDATE webhook_deliveries SET finished_at = now() - interval '2 hours' WHERE event_row <= 1200`)
	if sweep(time.Hour); count(`true`) != 1300 {
		t.Errorf("%d left, want those that are kept", count(`true`))
	}
	must(struct{}{}, b.store.DeleteWebhookEndpoint(b.ctx, webhookID))
	if _, err := b.store.WebhookEndpoint(b.ctx, webhookID); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("%v, want that it is not there any more", err)
	}
	if got := b.count(t, `SELECT count(*) FROM webhook_endpoints WHERE url <> '' OR secret <> ''`); got != 0 || len(must(b.store.WebhookEndpoints(b.ctx))) != 0 {
		t.Error("the deleted endpoint has its URL and its secret still, or is listed")
	}
	if err := b.store.DeleteWebhookEndpoint(b.ctx, webhookID); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("deleted twice: %v", err)
	}
	sweep(time.Hour)
	if got := b.count(t, `SELECT count(*) FROM webhook_endpoints`) + count(`true`); got != 0 {
		t.Errorf("%d rows left of a deleted endpoint", got)
	}
}

// A delivery that does not run is found by what should have been sent.
func TestOverdueEndpoints(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	must(b.store.QueueWebhooks(b.ctx, b.tell(t, "a")))
	overdue := func() int { return len(must(b.store.OverdueWebhookEndpoints(b.ctx, time.Minute))) }
	if overdue() != 0 {
		t.Error("overdue at once")
	}
	b.exec(t, `UPDATE webhook_deliveries SET due_at = now() - interval '2 minutes'`)
	if overdue() != 1 {
		t.Error("not overdue after two minutes")
	}
	b.exec(t, `UPDATE webhook_endpoints SET paused_until = now() + interval '1 hour'`)
	if overdue() != 0 {
		t.Error("overdue although it is paused")
	}
}

// What is due is found by an index, however much is pending.
func TestADueDeliveryIsFoundWithoutReadingAll(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.webhook(t)
	b.exec(t, `
		INSERT INTO webhook_deliveries (endpoint, event_row, transaction_id, event, type, subject)
		SELECT '`+webhookID+`', n, '1', 'evt_0', 'order.paid', 's' || n FROM generate_series(1, 20000) n`)
	b.exec(t, `ANALYZE webhook_deliveries`)
	conn := b.connect(t)
	rows, err := conn.Query(b.ctx, `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF) `+orders.DueSQL, webhookID, 200)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); !strings.Contains(text, "webhook_deliveries_due") || strings.Contains(text, "Seq Scan on webhook_deliveries") {
		t.Errorf("the plan reads all that is pending:\n%s", text)
	}
}

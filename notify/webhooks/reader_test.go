package webhooks

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"boxoffice/domain"
)

// wakes is what the reader needs of Temporal. Its first calls fail.
type wakes struct {
	failures int
	got      []string
}

func (w *wakes) SignalWithStartWorkflow(
	_ context.Context, id, _ string, _ any, _ client.StartWorkflowOptions, _ any, _ ...any,
) (client.WorkflowRun, error) {
	if w.failures > 0 {
		w.failures--
		return nil, errors.New("Temporal is down")
	}
	w.got = append(w.got, id)
	return nil, nil
}

// queue puts events into memory, once each.
type queue struct{ *memory }

func (q queue) QueueWebhooks(_ context.Context, events []domain.Event) ([]string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var pending []string
	for _, e := range events {
		state := domain.WebhookState("")
		for _, row := range q.rows {
			if row.Event.ID == e.ID {
				state = row.state
			}
		}
		if state == "" {
			state = domain.WebhookPending
			row := &memoryRow{state: state, due: q.now()}
			row.Event = e
			q.rows = append(q.rows, row)
		}
		if state == domain.WebhookPending {
			pending = []string{q.endpoint.ID}
		}
	}
	return pending, nil
}

// The reader dies between writing, signalling and storing its cursor. It gets the same
// events again, and the endpoint gets each once.
func TestAReaderThatDiesAnywhereDeliversOnce(t *testing.T) {
	var got received
	server := httptest.NewServer(&got)
	defer server.Close()
	source := newMemory("", time.Now, 2)
	events := []domain.Event{source.rows[0].Event, source.rows[1].Event}
	store := newMemory(server.URL, time.Now, 0)
	temporal := &wakes{failures: 1}
	d := newTestDeliverer(t, store, time.Now)
	if err := NewReader(queue{store}, temporal, idle).Handle(t.Context(), events); err == nil {
		t.Fatal("a signal that was not accepted is no failure")
	}
	for range 2 { // after the rows; after the signal
		if err := NewReader(queue{store}, temporal, idle).Handle(t.Context(), events); err != nil {
			t.Fatal(err)
		}
	}
	if len(temporal.got) != 2 || temporal.got[0] != WorkflowID(store.endpoint.ID) {
		t.Errorf("woken %v", temporal.got)
	}
	for range 2 {
		_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	}
	if err := NewReader(queue{store}, temporal, idle).Handle(t.Context(), events); err != nil { // after it was delivered
		t.Fatal(err)
	}
	_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	if got.count() != 2 || len(temporal.got) != 2 {
		t.Errorf("read %d times, woken %d times, want 2 and 2", got.count(), len(temporal.got))
	}
}

// An independent implementation verifies our signatures.
func TestTheLibraryForNodeVerifies(t *testing.T) {
	const library = "standardwebhooks@1.1.1"
	if testing.Short() {
		t.Skip("SKIPPED: it installs " + library)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED: no node on PATH; the Go library alone verifies")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("SKIPPED: no cache for " + library)
	}
	dir := filepath.Join(cache, "boxoffice-test", library)
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "standardwebhooks")); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Skip("SKIPPED: " + err.Error())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, library)
		if out, err := install.CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: %s cannot be installed: %v: %s", library, err, out)
		}
	}
	t.Attr("ran-on", "the Standard Webhooks library for Node")
	var got received
	server := httptest.NewServer(&got)
	defer server.Close()
	store := newMemory(server.URL, time.Now, 1)
	store.endpoint.Secret, store.endpoint.PreviousSecret, store.endpoint.PreviousSigns = []byte(secretB), []byte(secretA), true
	_ = must(newTestDeliverer(t, store, time.Now).DeliverWebhooks(t.Context(), store.endpoint.ID))
	const program = `
		const { Webhook } = require("standardwebhooks");
		const [secret, body, id, timestamp, signature] = process.argv.slice(1);
		const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
		console.log(new Webhook(secret).verify(body, headers).id);`
	verify := func(secret, body string) (string, error) {
		h := got.headers[0]
		run := exec.CommandContext(t.Context(), node, "-e", program, "--", secret, body, h.Get(headerID), h.Get(headerTimestamp), h.Get(headerSignature))
		run.Dir = dir
		out, err := run.CombinedOutput()
		return string(out), err
	}
	for _, secret := range []string{secretA, secretB} { // both sign while one is rotated
		out, err := verify(secret, string(got.bodies[0]))
		if err != nil || out != store.rows[0].Event.ID.String()+"\n" {
			t.Errorf("%v: %s", err, out)
		}
	}
	if out, err := verify(secretA, string(got.bodies[0])+" "); err == nil {
		t.Errorf("another body verifies: %s", out)
	}
}

// pendingOf is a queue with something pending for several endpoints.
type pendingOf struct {
	queue
	endpoints []string
}

func (q pendingOf) QueueWebhooks(context.Context, []domain.Event) ([]string, error) {
	return q.endpoints, nil
}

func TestAnEndpointThatCannotBeWokenHoldsUpNoOther(t *testing.T) {
	source := newMemory("", time.Now, 1)
	temporal := &wakes{failures: 1}
	err := NewReader(pendingOf{queue{source}, []string{"whe_A", "whe_B"}}, temporal, idle).Handle(t.Context(), []domain.Event{source.rows[0].Event})
	if err == nil || len(temporal.got) != 1 || temporal.got[0] != WorkflowID("whe_B") {
		t.Errorf("%v, woken %v; want the second woken and an error of the first", err, temporal.got)
	}
}

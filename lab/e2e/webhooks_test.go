package e2e

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"boxoffice/client"
	"boxoffice/notify/webhooks"
)

var captureWebhooks = flag.String("capture-webhooks", "", "write the history of a webhook endpoint's delivery into this `directory`")

// An organiser registers an endpoint, a buyer pays, and the endpoint gets a signed event.
func testWebhooksToOthers(t *testing.T, s *stack) {
	var mu sync.Mutex
	var bodies [][]byte
	var headers []http.Header
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies, headers = append(bodies, body), append(headers, r.Header)
		if len(bodies) == 1 {
			w.WriteHeader(http.StatusInternalServerError) // it comes again
		}
	}))
	defer endpoint.Close()
	sale := s.sale(t, 10, longHold, 4)
	registered, err := s.boxOffice().CreateWebhookEndpoint(t.Context(), &client.CreateWebhookEndpointBody{
		URL: endpoint.URL + "/tickets", Sale: sale, Types: []string{"order.paid"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := s.hold(t, sale, items{"A": 1})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")
	eventually(t, "the log says that the endpoint took it", func() bool {
		deliveries, err := s.boxOffice().ListWebhookDeliveries(t.Context(), registered.ID, client.ListWebhookDeliveriesParams{State: "delivered"})
		if err != nil {
			t.Fatal(err)
		}
		return len(deliveries.Deliveries) == 1 && deliveries.Deliveries[0].Attempts == 2
	})
	verifier, err := standardwebhooks.NewWebhook(registered.Secret)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(bodies) != 2 {
		t.Fatalf("%d in bodies, want 2: %+v", len(bodies), bodies)
	}
	for i := range bodies {
		if err := verifier.Verify(bodies[i], headers[i]); err != nil {
			t.Fatal(err)
		}
		var event struct{ ID, Type, Sale, Order string }
		if err := json.Unmarshal(bodies[i], &event); err != nil {
			t.Fatal(err)
		}
		if event.Type != "order.paid" {
			t.Fatalf(`event.Type is %q, want "order.paid"`, event.Type)
		}
		if event.Order != o.Order {
			t.Fatalf("event.Order is %q, want %q", event.Order, o.Order)
		}
		if got := headers[i].Get("webhook-id"); got != event.ID {
			t.Fatalf(`headers[i].Get("webhook-id") is %q, want %q`, got, event.ID)
		}
	}
	s.awaitClosed(t, webhooks.WorkflowID(registered.ID)) // nothing is pending
	history := s.history(t, webhooks.WorkflowID(registered.ID))
	s.decode(t, history)
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(webhooks.Delivery, workflow.RegisterOptions{Name: "WebhookDelivery"})
	if err := replayer.ReplayWorkflowHistory(nil, history); err != nil {
		t.Fatal(err)
	}
	if *captureWebhooks != "" {
		content, err := temporalproto.CustomJSONMarshalOptions{Indent: "  "}.Marshal(history)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*captureWebhooks, "failed-then-taken.json"), append(content, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.boxOffice().DeleteWebhookEndpoint(t.Context(), registered.ID); err != nil {
		t.Fatal(err)
	}
}

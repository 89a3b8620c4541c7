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
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"boxoffice/client"
	"boxoffice/notify/webhooks"
)

var captureWebhooks = flag.String("capture-webhooks", "", "write the history of a webhook endpoint's delivery into this `directory`")

// An organiser registers an endpoint, a buyer pays, and the endpoint hears of it, signed.
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
	require.NoError(t, err)
	o := s.hold(t, sale, items{"A": 1})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")
	eventually(t, "the log says that the endpoint took it", func() bool {
		deliveries, err := s.boxOffice().ListWebhookDeliveries(t.Context(), registered.ID, client.ListWebhookDeliveriesParams{State: "delivered"})
		require.NoError(t, err)
		return len(deliveries.Deliveries) == 1 && deliveries.Deliveries[0].Attempts == 2
	})
	verifier, err := standardwebhooks.NewWebhook(registered.Secret)
	require.NoError(t, err)
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, bodies, 2)
	for i := range bodies {
		require.NoError(t, verifier.Verify(bodies[i], headers[i]))
		var event struct{ ID, Type, Sale, Order string }
		require.NoError(t, json.Unmarshal(bodies[i], &event))
		require.Equal(t, "order.paid", event.Type)
		require.Equal(t, o.Order, event.Order)
		require.Equal(t, event.ID, headers[i].Get("webhook-id"))
	}
	s.awaitClosed(t, webhooks.WorkflowID(registered.ID)) // nothing is pending
	history := s.history(t, webhooks.WorkflowID(registered.ID))
	s.decode(t, history)
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(webhooks.Delivery, workflow.RegisterOptions{Name: "WebhookDelivery"})
	require.NoError(t, replayer.ReplayWorkflowHistory(nil, history))
	if *captureWebhooks != "" {
		content, err := temporalproto.CustomJSONMarshalOptions{Indent: "  "}.Marshal(history)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(*captureWebhooks, "failed-then-taken.json"), append(content, '\n'), 0o644))
	}
	require.NoError(t, s.boxOffice().DeleteWebhookEndpoint(t.Context(), registered.ID))
}

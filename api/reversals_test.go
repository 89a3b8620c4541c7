package api

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"boxoffice/domain"
)

func TestTheOrganiserSeesReversals(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	b.do(webhookOf("good", id.String()))
	at := time.Date(2026, 3, 20, 8, 0, 0, 0, time.UTC)
	b.world.reversals = map[domain.OrderID][]domain.Reversal{id: {
		{ID: "stripe/re_1", Kind: domain.ReversalRefund, Payment: "stripe/pi_1", AmountMinor: 1500, Currency: "EUR", State: domain.RefundMade, At: at},
		{ID: "stripe/dp_1", Kind: domain.ReversalDispute, Payment: "stripe/pi_1", AmountMinor: 11500, Currency: "EUR", State: domain.DisputeOpen,
			Reason: "fraudulent", At: at, RespondBy: at.Add(time.Hour)},
	}}
	var page OrdersView
	decode(t, b.do(request{"GET", "/v1/orders", "", bearerOf(testAdminToken)}), &page)
	want := []ReversalView{
		{ID: "stripe/re_1", Kind: "refund", State: "made", Payment: "stripe/pi_1", Amount: 1500, Currency: "EUR", At: at},
		{ID: "stripe/dp_1", Kind: "dispute", State: "open", Payment: "stripe/pi_1", Amount: 11500, Currency: "EUR", Reason: "fraudulent", At: at,
			RespondBy: new(at.Add(time.Hour))},
	}
	if len(page.Orders) != 1 || !reflect.DeepEqual(page.Orders[0].Reversals, want) {
		t.Errorf("%+v, want the order with %+v", page.Orders, want)
	}
	if tickets := page.Orders[0].Tickets; page.Orders[0].Status != domain.OrderPaid || len(tickets) == 0 {
		t.Errorf("the order is %s with %d tickets: they stay valid", page.Orders[0].Status, len(tickets))
	}
}

func TestOpenAPIKnowsEveryStateOfAReversal(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []string }
			}
		}
	}
	w := setup(t).do(request{method: "GET", path: "/openapi.json"})
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, kind := range []domain.ReversalKind{domain.ReversalDispute, domain.ReversalRefund} {
		for _, state := range domain.ReversalStates(kind) {
			states = append(states, string(state))
		}
	}
	for _, schema := range []string{"ReversalView", "WebhookReversal"} {
		properties := doc.Components.Schemas[schema].Properties
		if got := properties["state"].Enum; !reflect.DeepEqual(got, states) {
			t.Errorf("%s.state: %q, want %q", schema, got, states)
		}
		if got := properties["kind"].Enum; !reflect.DeepEqual(got, []string{"dispute", "refund"}) {
			t.Errorf("%s.kind: %q", schema, got)
		}
	}
}

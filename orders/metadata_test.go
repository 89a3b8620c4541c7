package orders_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"boxoffice/domain"
)

// Metadata is recorded with the order and is in each of its events.
func TestMetadataIsRecordedAndInEvents(t *testing.T) {
	b := setup(t)
	want := domain.Metadata{"cart": "4711", "note": `ein "Zitat", Ä`}
	sold := b.sold(t, keyOf(1))
	sold.Order.Metadata = want
	plain := b.record(t, b.sold(t, keyOf(2)))
	if got := b.record(t, sold); !maps.Equal(got.Metadata, want) {
		t.Errorf("answered %v", got.Metadata)
	}
	if got := b.record(t, sold); !maps.Equal(got.Metadata, want) { // from the stored row
		t.Errorf("the second answer has %v", got.Metadata)
	}
	if got := must(b.store.Order(b.ctx, sold.Order.ID)); !maps.Equal(got.Metadata, want) {
		t.Errorf("stored %v", got.Metadata)
	}
	if plain := must(b.store.Order(b.ctx, plain.ID)); len(plain.Metadata) != 0 {
		t.Errorf("an order without metadata has %v", plain.Metadata)
	}
	must(b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day))
	if err := b.store.FinishRefund(b.ctx, sold.Capture.Payment, day.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	told := map[domain.EventType]domain.Metadata{}
	for _, e := range b.awaitEvents(t, domain.EventCursor{}, 5) {
		var payload map[string]json.RawMessage
		if err := json.Unmarshal(e.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		if e.Order == plain.ID {
			if payload["metadata"] != nil {
				t.Errorf("the event of an order without metadata says %s", e.Payload)
			}
			continue
		}
		var metadata domain.Metadata
		_ = json.Unmarshal(payload["metadata"], &metadata)
		told[e.Type] = metadata
	}
	for _, event := range []domain.EventType{domain.EventOrderPaid, domain.EventOrderRefunded} {
		if !maps.Equal(told[event], want) {
			t.Errorf("%s tells %v", event, told[event])
		}
	}
}

package orders_test

import (
	"fmt"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/orders/orderstest"
)

// The database's constraints agree with domain's table of statuses.
func TestSchemaKnowsEveryStatusAndEvent(t *testing.T) {
	b := setup(t)
	b.record(t, b.sold(t, keyOf(1)))
	for _, status := range domain.OrderStatuses {
		t.Run(string(status), func(t *testing.T) {
			refunding, refunded := "NULL", "NULL"
			switch {
			case status.Terms().Tickets == domain.TicketsVoid && status.Terms().Waiting:
				refunding = "now()"
			case status.Terms().Tickets == domain.TicketsVoid:
				refunding, refunded = "now()", "now()"
			}
			err := orderstest.Exec(b.ctx, b.url, fmt.Sprintf(`UPDATE orders SET status = '%s', refunding_at = %s, refunded_at = %s`, status, refunding, refunded))
			if taken := err == nil; taken != status.Sold() {
				t.Errorf("orders/migrations: a status with tickets is stored, no other is: %s is taken: %t (%v)", status, taken, err)
			}
		})
	}
	counts, err := b.store.EventCounts(b.ctx, b.sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	var counted []domain.EventType
	for _, c := range counts {
		counted = append(counted, c.Event)
	}
	wantEqual(t, "orders/stream.go: the kinds that EventCounts counts", counted, domain.OrderEvents())
	for _, event := range domain.OrderEvents() {
		sql := `INSERT INTO outbox (event, order_id, payment, payload) SELECT '%s', order_id, id, '{}' FROM payments ON CONFLICT DO NOTHING`
		if err := orderstest.Exec(b.ctx, b.url, fmt.Sprintf(sql, event)); err != nil {
			t.Errorf("orders/migrations: the outbox takes no event %s: %v", event, err)
		}
	}
}

// A status that a newer release stored is an error, not the nearest known one.
func TestAnUnknownStoredStatusIsAnError(t *testing.T) {
	for name, sql := range map[string]string{
		"status":  `ALTER TABLE orders DROP CONSTRAINT orders_status_check; UPDATE orders SET status = 'disputed'`,
		"booking": `ALTER TABLE orders DROP CONSTRAINT orders_booking_check; UPDATE orders SET booking = 'by_lot'`,
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			paid := b.sold(t, keyOf(1))
			b.record(t, paid)
			for _, statement := range strings.Split(sql, ";") {
				if err := orderstest.Exec(b.ctx, b.url, statement); err != nil {
					t.Fatal(err)
				}
			}
			_, err := b.store.Order(b.ctx, paid.Order.ID)
			wantEqual(t, "Order", domain.CodeOf(err), domain.CodeUnknown)
			if name != "status" {
				return
			}
			for _, err := range b.store.RecordedOrders(b.ctx, b.sale.ID) {
				wantEqual(t, "RecordedOrders", domain.CodeOf(err), domain.CodeUnknown)
			}
		})
	}
}

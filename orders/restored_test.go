package orders_test

import (
	"testing"

	"boxoffice/domain"
)

// A restored order has no address if it was lost. It is recorded, read and refunded like
// any other.
func TestAnOrderWithoutAnAddress(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	sold.Order.Email = ""
	recorded := b.record(t, sold)
	read, err := b.store.Order(b.ctx, sold.Order.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "read", read, recorded)
	if read.Email != "" || len(read.Tickets) != 3 {
		t.Errorf("%q with %d tickets, want no address and all 3", read.Email, len(read.Tickets))
	}
	of, err := b.store.FindOrders(b.ctx, domain.OrderFilter{SaleID: b.sale.ID, Limit: domain.OrdersPageMax})
	if err != nil || len(of) != 1 {
		t.Fatalf("%d orders of the sale, %v", len(of), err)
	}
	refunding, err := b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day)
	if err != nil || refunding.Status != domain.OrderRefunding {
		t.Fatalf("%s, %v", refunding.Status, err)
	}

	other := b.sold(t, keyOf(2))
	other.Order.Email = "x" // empty, not NULL
	_, err = b.store.Record(b.ctx, other, b.codes(other.Order.ID))
	wantCode(t, err, domain.CodeInternal)
}

package orders_test

import (
	"testing"
	"time"

	"boxoffice/domain"
)

// The early end is told once, and so is the way back; a canceled sale stays as it is.
func TestASaleIsEndedAndOpenedAgain(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	for range 2 {
		if err := b.store.EndSale(b.ctx, b.sale.ID); err != nil {
			t.Fatal(err)
		}
	}
	ended := must(b.store.Sale(b.ctx, b.sale.ID))
	wantEqual(t, "why it is closed", ended.WhyClosed(time.Now().Add(time.Hour)), domain.CodeSaleClosed)
	must(b.store.OpenedSales(b.ctx, 10)) // it has opened, and is not told of before it is opened again
	for range 2 {
		if err := b.store.ReopenSale(b.ctx, b.sale.ID); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "ended", must(b.store.Sale(b.ctx, b.sale.ID)).Ended(), false)
	must(b.store.OpenedSales(b.ctx, 10))
	wantEqual(t, "told", b.typesOf(t), []domain.EventType{domain.EventSaleEnded, domain.EventSaleReopened, domain.EventSaleOpened})
	wantCode(t, b.store.EndSale(b.ctx, "nope"), domain.CodeNotFound)
	must(b.store.BeginCancellation(b.ctx, b.sale.ID, day))
	wantCode(t, b.store.EndSale(b.ctx, b.sale.ID), domain.CodeSaleCanceled)
	wantCode(t, b.store.ReopenSale(b.ctx, b.sale.ID), domain.CodeSaleCanceled)
}

func TestCancellationIsBegunOnce(t *testing.T) {
	b := setup(t)
	_, err := b.store.Cancellation(b.ctx, b.sale.ID)
	wantCode(t, err, domain.CodeNotFound)
	wantCode(t, b.store.SaveCancellation(b.ctx, domain.SaleCancellation{SaleID: b.sale.ID}), domain.CodeNotFound)

	first, err := b.store.BeginCancellation(b.ctx, b.sale.ID, day)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "begun", first, domain.SaleCancellation{SaleID: b.sale.ID, RequestedAt: day, Stage: domain.CancelClosing})
	again, err := b.store.BeginCancellation(b.ctx, b.sale.ID, day.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "begun again", again, first)

	sale, err := b.store.Sale(b.ctx, b.sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the sale's cancellation", sale.CanceledAt, day)
	repeated, err := b.store.CreateSale(b.ctx, definition(b.sale.ID)) // putting it on offer again is a repeat
	if err != nil || !repeated.Canceled() {
		t.Fatalf("created again: %+v, %v", repeated, err)
	}
}

func TestCancellationOfASaleThatIsNotOnOffer(t *testing.T) {
	b := setup(t)
	if _, err := b.store.CreateSale(b.ctx, definition("never-funded")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"never-funded", "nope"} {
		_, err := b.store.BeginCancellation(b.ctx, id, day)
		wantCode(t, err, domain.CodeNotFound)
	}
}

func TestCancellationStaysFinished(t *testing.T) {
	b := setup(t)
	c, err := b.store.BeginCancellation(b.ctx, b.sale.ID, day)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(){
		func() { c.OpenCheckouts, c.OrdersToRefund, c.Stage = 2, 3, domain.CancelReleasing },
		func() {
			c = c.WithStage(day.Add(time.Minute))
			c.Waiting = []domain.CancelWait{{Order: domain.OrderID{1}, Workflow: "refund/01", Since: day, Reason: "refused", Attempts: 4}}
		},
		func() { c.OpenCheckouts, c.OrdersToRefund, c.Waiting = 0, 0, nil; c = c.WithStage(day.Add(time.Hour)) },
	} {
		step()
		if err := b.store.SaveCancellation(b.ctx, c); err != nil {
			t.Fatal(err)
		}
		got, err := b.store.Cancellation(b.ctx, b.sale.ID)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "progress", got, c)
	}
	late := c
	late.OpenCheckouts, late.FinishedAt = 1, time.Time{}
	if err := b.store.SaveCancellation(b.ctx, late); err != nil {
		t.Fatal(err)
	}
	got, err := b.store.Cancellation(b.ctx, b.sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "after a straggler", got, c)
}

func TestWhatACancellationHasToRefund(t *testing.T) {
	b := setup(t)
	var ids []domain.OrderID
	for i := range 5 {
		ids = append(ids, b.record(t, b.sold(t, keyOf(i))).ID)
	}
	refund := func(i int) {
		t.Helper()
		if _, err := b.store.BeginOrderRefund(b.ctx, ids[i], domain.RefundSaleCanceled, day.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	refund(1)
	refund(3)
	if err := b.store.FinishRefund(b.ctx, "pay_"+keyOf(1), day); err != nil {
		t.Fatal(err)
	}
	none := domain.Refund{Capture: domain.Capture{Payment: "late", Session: "ps", Order: domain.OrderID{9}, AmountMinor: 1, Currency: "EUR"},
		SaleID: b.sale.ID, Reason: domain.RefundNoneLeft, RequestedAt: day}
	if _, err := b.store.BeginRefund(b.ctx, none); err != nil {
		t.Fatal(err)
	}

	for open, late := range map[int64]int64{0: 1, 1: 1, 2: 2} { // workflows of late payments, one of which is owed here
		counts := domain.SaleCancellation{SaleID: b.sale.ID, LatePayments: open}
		err := b.store.DueRefunds(b.ctx, &counts)
		if err != nil || counts.OrdersToRefund != 3 || counts.OrdersRefunding != 1 || counts.OrdersRefunded != 1 || counts.LatePayments != late {
			t.Fatalf("counts %+v, %v", counts, err)
		}
	}
	owed, err := b.store.OwedRefunds(b.ctx, b.sale.ID, 10)
	if err != nil || len(owed) != 2 || owed[0].Capture.Payment != "late" || owed[1].Capture.Order != ids[3] {
		t.Fatalf("owed %+v, %v", owed, err)
	}
	standing := map[domain.OrderID]bool{ids[0]: true, ids[2]: true, ids[4]: true}
	var after domain.OrderID
	for {
		page, err := b.store.PaidOrders(b.ctx, b.sale.ID, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range page {
			if !standing[id] || id.String() <= after.String() {
				t.Fatalf("order %s after %s: seen before, refunded, or not in its place", id, after)
			}
			delete(standing, id)
			after = id
		}
		if len(page) < 2 {
			break
		}
	}
	if len(standing) != 0 {
		t.Fatalf("left out: %v", standing)
	}
}

package restore_test

import (
	"testing"
	"time"

	"boxoffice/domain"
)

// A new ledger is given the codes of hidden classes too: what an order used stays used, and what nobody used is good.
func TestANewLedgerHasTheCodes(t *testing.T) {
	o := newOffice(t, 5)
	ctx := t.Context()
	sale, err := o.store.CreateSale(ctx, &domain.Sale{
		ID: "hiding", Name: "Hiding", Currency: "EUR", BuyerLimit: 4, HoldTimeout: time.Minute,
		Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 5, Hidden: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.store.MarkSaleOpen(ctx, sale.ID); err != nil {
		t.Fatal(err)
	}
	if err := o.book.OpenSale(ctx, sale); err != nil {
		t.Fatal(err)
	}
	used, good := o.store.keys.ClassCodeID(sale.ID, "USED"), o.store.keys.ClassCodeID(sale.ID, "GOOD")
	for id, uses := range map[domain.ClassCodeID]int64{used: 1, good: 3} {
		if err := o.store.NoteClassCodes(ctx, sale.ID, []domain.ClassCodeID{id}, sale.Classes[0].Ledger, uses); err != nil {
			t.Fatal(err)
		}
		if _, err := o.book.MakeCodes(ctx, sale, []domain.ClassCodeID{id}, sale.Classes[0].Ledger, uses); err != nil {
			t.Fatal(err)
		}
	}
	order, err := domain.NewOrderWithCode(sale, o.store.keys, "0123456789-ann", []domain.Item{{Class: "A", Quantity: 2}}, "ann@example.com", &domain.ClassCode{ID: used})
	if err != nil {
		t.Fatal(err)
	}
	o.hold(&order)
	o.sell(&order)
	// Revoked since: the order has its seats again all the same.
	for _, step := range []error{o.store.NoteRevokedCodes(ctx, sale.ID, []domain.ClassCodeID{used}), second(o.book.RevokeCodes(ctx, sale, []domain.ClassCodeID{used}))} {
		if step != nil {
			t.Fatal(step)
		}
	}
	o.lose(t.TempDir())
	o.sale = sale
	for range 2 {
		done := o.rebookAll(true)[sale.ID]
		if len(done.Lacking) > 0 {
			t.Fatalf("%+v", done)
		}
		for id, left := range map[domain.ClassCodeID]int64{used: 0, good: 3} {
			code, err := o.book.ClassCode(ctx, sale, id)
			if err != nil || code != (domain.ClassCode{ID: id, Only: sale.Classes[0].Ledger, Left: left, Revoked: id == used}) {
				t.Errorf("code %+v, %v, want %d left", code, err, left)
			}
		}
		quota, err := o.book.ClassCodeQuota(ctx, sale)
		if err != nil || len(quota.Uses) != 1 || quota.Uses[0].Order != order.ID || quota.Uses[0].Sold != 1 || o.level().Sold != 2 {
			t.Errorf("uses %+v, %v, level %+v", quota, err, o.level())
		}
	}
}

func second[T any](_ T, err error) error { return err }

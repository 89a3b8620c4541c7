package orders_test

import (
	"testing"

	"boxoffice/domain"
)

// What a code was made with is kept, and that it was revoked.
func TestRevokedCodesAreNoted(t *testing.T) {
	b := setup(t)
	hiding := definition("hiding")
	hiding.Classes[1].Hidden = true
	sale, err := b.store.CreateSale(b.ctx, hiding)
	if err != nil {
		t.Fatal(err)
	}
	one, two, never := domain.ClassCodeID{1}, domain.ClassCodeID{2}, domain.ClassCodeID{3}
	only := sale.Classes[1].Ledger
	if err := b.store.NoteClassCodes(b.ctx, sale.ID, []domain.ClassCodeID{one, two}, only, 4); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.store.NoteRevokedCodes(b.ctx, sale.ID, []domain.ClassCodeID{two, never}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.store.NoteRevokedCodes(b.ctx, b.sale.ID, []domain.ClassCodeID{one}); err != nil { // another sale's
		t.Fatal(err)
	}
	codes, err := b.store.ClassCodes(b.ctx, sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "codes", codes, []domain.ClassCode{{ID: one, Only: only, Left: 4}, {ID: two, Only: only, Left: 4, Revoked: true}})
}

// A sale with a hidden class has a ledger for its codes. An order keeps the code that it used: its refund gives that back.
func TestAnOrderKeepsTheCodeThatItUsed(t *testing.T) {
	b := setup(t)
	hiding := definition("hiding")
	hiding.Classes[1].Hidden = true
	var sale *domain.Sale
	for range 2 {
		var err error
		if sale, err = b.store.CreateSale(b.ctx, hiding); err != nil {
			t.Fatal(err)
		}
	}
	ledgers := map[uint32]bool{0: true, sale.QuotaLedger: true, sale.Perk.Ledger: true, sale.Classes[0].Ledger: true, sale.Classes[1].Ledger: true}
	if ledgers[sale.CodeLedger] || sale.Classes[0].Hidden || !sale.Classes[1].Hidden || b.sale.CodeLedger != 0 {
		t.Fatalf("stored %+v, want B hidden and a ledger of its own for codes", sale)
	}
	_, err := b.store.CreateSale(b.ctx, definition("hiding"))
	wantCode(t, err, domain.CodeExists)
	if err := b.store.MarkSaleOpen(b.ctx, sale.ID); err != nil {
		t.Fatal(err)
	}
	code := &domain.ClassCode{ID: domain.ClassCodeID{7, 15: 9}}
	for name, want := range map[string]*domain.ClassCodeRef{"with": {ID: code.ID, Ledger: sale.CodeLedger}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			items := []domain.Item{{Class: "A", Quantity: 1}}
			used := (*domain.ClassCode)(nil)
			if want != nil {
				items, used = append(items, domain.Item{Class: "B", Quantity: 2}), code
			}
			order, err := domain.NewOrderWithCode(sale, b.keys, "key-of-an-order-"+name, items, "ann@example.com", used)
			if err != nil {
				t.Fatal(err)
			}
			recorded := b.record(t, b.paid(order, name))
			read, err := b.store.Order(b.ctx, order.ID)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "Record and Order", recorded, read)
			wantEqual(t, "the code", read.Code, want)
		})
	}
}

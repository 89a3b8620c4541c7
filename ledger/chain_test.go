package ledger_test

import (
	"fmt"
	"slices"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
	"boxoffice/ledger"
)

// wantTransfer is a row of docs/ledger.md, One order's transfers.
type wantTransfer struct {
	slot          byte // what the id ends in
	debit, credit tb.Uint128
	amount        uint64
	flags         tb.TransferFlags
	code          uint16
}

// An account is the ledger's number followed by its role.
func account(ledger uint32, role uint64) tb.Uint128 { return tb.ToUint128(uint64(ledger)*10 + role) }

func buyerAccount(buyer domain.BuyerID) tb.Uint128 {
	slices.Reverse(buyer[:])
	return tb.BytesToUint128(buyer)
}

func (b *box) transfers(o *domain.Order, want []wantTransfer) {
	b.t.Helper()
	ids := make([]tb.Uint128, len(want))
	for i, w := range want {
		ids[i] = tb.BytesToUint128(ledger.TransferID(o.ID, w.slot))
	}
	got, err := b.batcher.LookupTransfers(b.ctx, ids)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, w := range want {
		if got[i] == nil {
			b.t.Errorf("%02x: not in the books", w.slot)
			continue
		}
		found := wantTransfer{w.slot, got[i].DebitAccountID, got[i].CreditAccountID, amountOf(got[i]), got[i].TransferFlags(), got[i].Code}
		if found != w {
			b.t.Errorf("%02x:\n got %+v\nwant %+v", w.slot, found, w)
		}
		if got[i].UserData128 != tb.BytesToUint128(ledger.TransferID(o.ID, 0)) {
			b.t.Errorf("%02x: it does not name its order", w.slot)
		}
	}
}

func amountOf(t *tb.Transfer) uint64 {
	amount := t.Amount.BigInt()
	return amount.Uint64()
}

// What the books say about an order to somebody who reads them without this program.
func TestOneOrdersTransfers(t *testing.T) {
	linked, last := tb.TransferFlags{Linked: true}, tb.TransferFlags{}
	pending := func(f tb.TransferFlags) tb.TransferFlags { f.Pending = true; return f }
	post := func(f tb.TransferFlags) tb.TransferFlags { f.PostPendingTransfer = true; return f }
	void := func(f tb.TransferFlags) tb.TransferFlags { f.VoidPendingTransfer = true; return f }

	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			b := openBoxOf(t, be, newSaleOfOneCheckout())
			a1, a2, perk := b.sale.Classes[0].Ledger, b.sale.Classes[1].Ledger, b.sale.Perk.Ledger
			o := b.order("ann", 2, 1)
			quota, open := buyerAccount(o.Buyer), o.Buyer
			open[len(open)-1] ^= 1
			checkout := buyerAccount(open)
			held := func(slot byte, code uint16, flags func(tb.TransferFlags) tb.TransferFlags, checkoutFlags tb.TransferFlags) []wantTransfer {
				return []wantTransfer{
					{slot, account(a1, 2), account(a1, 3), 2, flags(linked), code},
					{slot | 1, account(a2, 2), account(a2, 3), 1, flags(linked), code},
					{slot | 0xe, checkout, account(b.sale.CheckoutLedger, 3), 1, checkoutFlags, code + 2},
					{slot | 0xf, quota, account(b.sale.QuotaLedger, 3), 3, flags(last), code + 1},
				}
			}

			b.hold(o, domain.HoldHeld)
			b.transfers(o, held(0x10, 10, pending, pending(linked)))
			b.post(o, domain.PostPosted)
			b.transfers(o, held(0x20, 10, post, void(linked)))
			b.perk(o, true)
			b.transfers(o, []wantTransfer{{0x40, account(perk, 2), account(perk, 3), 1, last, 20}})
			if err := b.book.Return(b.ctx, sold(o, domain.BookedByHold)); err != nil {
				t.Fatal(err)
			}
			b.transfers(o, []wantTransfer{
				{0x60, account(a1, 3), account(a1, 2), 2, linked, 40},
				{0x61, account(a2, 3), account(a2, 2), 1, linked, 40},
				{0x6f, account(b.sale.QuotaLedger, 3), quota, 3, last, 41},
			})

			o = b.order("ann", 2, 1)
			b.hold(o, domain.HoldHeld)
			b.void(o, domain.VoidVoided)
			b.transfers(o, held(0x30, 10, void, void(linked)))
			b.rebook(o, domain.RebookBooked)
			b.transfers(o, []wantTransfer{
				{0x50, account(a1, 2), account(a1, 3), 2, linked, 30},
				{0x51, account(a2, 2), account(a2, 3), 1, linked, 30},
				{0x5f, quota, account(b.sale.QuotaLedger, 3), 3, last, 31},
			})
			b.perk(o, true)
			if err := b.unsell(o, domain.BookedByRebook); err != nil {
				t.Fatal(err)
			}
			b.transfers(o, []wantTransfer{{0x80, account(perk, 3), account(perk, 2), 1, last, 21}})
		})
	}
}

// An id has room for a line of every class that a sale may have.
func TestAnOrderOfEveryClass(t *testing.T) {
	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			sale := newSaleOfOneCheckout()
			first := lastLedger.Add(2*domain.ClassesMax) - domain.ClassesMax
			sale.Classes, sale.BuyerLimit = nil, domain.ClassesMax
			var items []domain.Item
			for i := range domain.ClassesMax {
				name := fmt.Sprintf("row %d", i)
				sale.Classes = append(sale.Classes, domain.Class{Name: name, PriceMinor: 100, Capacity: 1, Ledger: first + uint32(i)})
				items = append(items, domain.Item{Class: name, Quantity: 1})
			}
			b := openBoxOf(t, be, sale)
			o, err := domain.NewOrder(sale, b.keys, "key-0123456789abcdef", items, "ann@example.com")
			if err != nil {
				t.Fatal(err)
			}
			b.hold(&o, domain.HoldHeld)
			b.post(&o, domain.PostPosted)
			levels, err := b.book.Stock(b.ctx, sale)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range levels[:domain.ClassesMax] {
				if l.Sold != 1 || l.Available != 0 {
					t.Errorf("%+v: want it sold out", l)
				}
			}
		})
	}
}

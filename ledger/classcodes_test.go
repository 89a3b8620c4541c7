package ledger_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"pgregory.net/rapid"

	"boxoffice/domain"
	"boxoffice/ledger"
)

// newSaleWithCodes is a newSale whose class B is hidden.
func newSaleWithCodes() *domain.Sale {
	s := newSale()
	s.Classes[1].Hidden, s.CodeLedger = true, s.QuotaLedger+1
	return s
}

func onEveryWithCodes(t *testing.T, test func(t *testing.T, b *box), options ...ledger.BookOption) {
	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			test(t, openBoxOf(t, be, newSaleWithCodes(), options...))
		})
	}
}

// makeCode makes one code of its sale, for all its hidden classes.
func (b *box) makeCode(name string, uses int64) domain.ClassCodeID {
	b.t.Helper()
	id := b.keys.ClassCodeID(b.sale.ID, name)
	isNew, err := b.book.MakeCodes(b.ctx, b.sale, []domain.ClassCodeID{id}, 0, uses)
	if err != nil || !slices.Equal(isNew, []bool{true}) {
		b.t.Fatalf("make a code = %v, %v, want a new one", isNew, err)
	}
	return id
}

// coded is a new order with these seats of A and B that uses a code.
func (b *box) coded(buyer string, code domain.ClassCodeID, seatsA, seatsB int64) *domain.Order {
	b.t.Helper()
	b.orders++
	items := []domain.Item{{Class: "B", Quantity: seatsB}}
	if seatsA > 0 {
		items = append(items, domain.Item{Class: "A", Quantity: seatsA})
	}
	o, err := domain.NewOrderWithCode(b.sale, b.keys, fmt.Sprintf("key-%d-%016d", b.orders, b.orders), items, buyer+"@example.com", &domain.ClassCode{ID: code})
	if err != nil {
		b.t.Fatal(err)
	}
	return &o
}

// code checks how a code stands.
func (b *box) code(id domain.ClassCodeID, left, held int64) {
	b.t.Helper()
	got, err := b.book.ClassCode(b.ctx, b.sale, id)
	if want := (domain.ClassCode{ID: id, Left: left, Held: held}); err != nil || got != want {
		b.t.Errorf("code = %+v, %v, want %+v", got, err, want)
	}
}

// spent is an order that must be refused for its code.
func (b *box) spent(o *domain.Order) {
	b.t.Helper()
	if got := b.hold(o, domain.HoldLimitReached); !got.CodeUsed {
		b.t.Fatalf("hold = %+v, want it refused for its code", got)
	}
}

func TestWhatBecomesOfACode(t *testing.T) {
	must := func(b *box, err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		end  func(b *box, o *domain.Order)
		left int64
	}{
		{"voided", func(b *box, o *domain.Order) { b.void(o, domain.VoidVoided); b.void(o, domain.VoidVoided) }, 1},
		{"paid", func(b *box, o *domain.Order) { b.post(o, domain.PostPosted); b.post(o, domain.PostPosted) }, 0},
		{"paid, and a void that comes too late", func(b *box, o *domain.Order) { b.post(o, domain.PostPosted); b.void(o, domain.VoidPosted) }, 0},
		{"paid and refunded", func(b *box, o *domain.Order) {
			b.post(o, domain.PostPosted)
			must(b, b.book.Return(b.ctx, sold(o, domain.BookedByHold)))
			must(b, b.book.Return(b.ctx, sold(o, domain.BookedByHold)))
		}, 1},
		{"paid and unsold", func(b *box, o *domain.Order) { b.post(o, domain.PostPosted); must(b, b.unsell(o, domain.BookedByHold)) }, 1},
		{"paid late", func(b *box, o *domain.Order) { b.void(o, domain.VoidVoided); b.rebook(o, domain.RebookBooked) }, 0},
		{"paid late and refunded", func(b *box, o *domain.Order) {
			b.void(o, domain.VoidVoided)
			b.rebook(o, domain.RebookBooked)
			must(b, b.book.Return(b.ctx, sold(o, domain.BookedByRebook)))
		}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			onEveryWithCodes(t, func(_ *testing.T, b *box) {
				code := b.makeCode("ONE", 1)
				o := b.coded("ann", code, 1, 1)
				b.hold(o, domain.HoldHeld)
				b.code(code, 0, 1)
				b.spent(b.coded("bob", code, 0, 1))
				b.hold(o, domain.HoldHeld) // the same one again
				test.end(b, o)
				b.code(code, test.left, 0)
				if next := b.coded("cyd", code, 0, 1); test.left > 0 {
					b.hold(next, domain.HoldHeld)
				} else {
					b.spent(next)
				}
			})
		})
	}
}

func TestACodeComesBackWhenTheHoldExpires(t *testing.T) {
	onEveryWithCodes(t, func(_ *testing.T, b *box) {
		code := b.makeCode("ONE", 1)
		b.sale.HoldTimeout = time.Second
		abandoned := b.coded("ann", code, 0, 1)
		b.hold(abandoned, domain.HoldHeld)
		b.sale.HoldTimeout = time.Minute
		var next *domain.Order
		eventually(b.t, "the ledger gives the code back", func() bool {
			next = b.coded("bob", code, 0, 1) // a refused one is burnt
			hold, err := b.book.Hold(b.ctx, next)
			if err != nil {
				b.t.Fatal(err)
			}
			return hold.Outcome == domain.HoldHeld
		})
		b.post(abandoned, domain.PostGone)
		b.rebook(abandoned, domain.RebookNoneLeft) // its code is in use: the money goes back
		b.code(code, 0, 1)
		b.stock(level{0, 0, 10}, level{1, 0, 4})
		b.post(next, domain.PostPosted)
		b.code(code, 0, 0)
	}, ledger.WithHoldGrace(0))
}

// A refusal for the code takes nothing else, stays, and is known as the buyer's own.
func TestARefusalForACodeStays(t *testing.T) {
	onEveryWithCodes(t, func(t *testing.T, b *box) {
		code := b.makeCode("ONE", 1)
		first, second := b.coded("ann", code, 0, 1), b.coded("bob", code, 2, 1)
		b.hold(first, domain.HoldHeld)
		b.spent(second)
		b.stock(level{0, 0, 10}, level{1, 0, 4})
		b.void(first, domain.VoidVoided)
		b.spent(second) // although the code is good again by now
		if known, err := b.book.Known(b.ctx, second); err != nil || !known {
			t.Errorf("known = %v, %v, want true", known, err)
		}
		elsewhere, err := ledger.NewBook(b.batcher).Hold(b.ctx, second)
		if err != nil || !elsewhere.CodeUsed {
			t.Errorf("hold elsewhere = %+v, %v, want the same refusal", elsewhere, err)
		}
		other := *second
		other.Code = &domain.ClassCodeRef{ID: b.makeCode("TWO", 1), Ledger: b.sale.CodeLedger}
		other.ID = first.ID
		if _, err := b.book.Hold(b.ctx, &other); domain.CodeOf(err) != domain.CodeKeyReused {
			t.Errorf("another code under the same key: %v, want %s", err, domain.CodeKeyReused)
		}
	})
}

// Of those who use a code at the same time, on whatever node, as many get it as it has uses, and
// every repeat gives the same answer.
func TestARaceForACode(t *testing.T) {
	for _, uses := range []int64{1, 3} {
		t.Run(fmt.Sprint(uses), func(t *testing.T) {
			onEveryWithCodes(t, func(t *testing.T, b *box) {
				const checkouts, nodes = 12, 3
				books := make([]*ledger.Book, nodes)
				for i := range books {
					books[i] = ledger.NewBook(b.batcher)
				}
				code := b.makeCode("RACE", uses)
				orders, first := make([]*domain.Order, checkouts), make([]domain.Hold, checkouts)
				for i := range orders {
					orders[i] = b.coded(fmt.Sprintf("buyer%d", i), code, 0, 1)
				}
				var wg sync.WaitGroup
				for i, o := range orders {
					wg.Go(func() {
						for try := range 2 {
							got, err := books[(i+try)%nodes].Hold(b.ctx, o)
							if err != nil {
								t.Error(err)
							}
							if try == 0 {
								first[i] = got
							} else if got != first[i] {
								t.Errorf("hold again = %+v, want %+v", got, first[i])
							}
						}
					})
				}
				wg.Wait()
				var won int64
				for i, hold := range first {
					switch {
					case hold.Outcome == domain.HoldHeld:
						won++
						b.post(orders[i], domain.PostPosted)
					case !hold.CodeUsed:
						t.Errorf("hold = %+v, want it held, or refused for its code", hold)
					}
				}
				if won != uses {
					t.Errorf("%d orders have the code, want %d", won, uses)
				}
				b.code(code, 0, 0)
				b.stock(level{0, 0, 10}, level{0, uses, 5 - uses})
			})
		})
	}
}

// What the books say about an order with a code to somebody who reads them without this program.
func TestTransfersOfAnOrderWithACode(t *testing.T) {
	onEveryWithCodes(t, func(t *testing.T, b *box) {
		linked, last := tb.TransferFlags{Linked: true}, tb.TransferFlags{}
		id := b.makeCode("ONE", 1)
		o := b.coded("ann", id, 0, 2)
		class, codes := b.sale.Classes[1].Ledger, b.sale.CodeLedger
		quota, code := buyerAccount(o.Buyer), buyerAccount(domain.BuyerID(id))
		chain := func(slot byte, code0 uint16, flags func(tb.TransferFlags) tb.TransferFlags) []wantTransfer {
			return []wantTransfer{
				{slot, account(class, 2), account(class, 3), 2, flags(linked), code0},
				{slot | 0xd, code, account(codes, 3), 1, flags(linked), code0 + 3 - code0/30},
				{slot | 0xf, quota, account(b.sale.QuotaLedger, 3), 2, flags(last), code0 + 1},
			}
		}
		b.hold(o, domain.HoldHeld)
		b.transfers(o, chain(0x10, 10, func(f tb.TransferFlags) tb.TransferFlags { f.Pending = true; return f }))
		b.void(o, domain.VoidVoided)
		b.transfers(o, chain(0x30, 10, func(f tb.TransferFlags) tb.TransferFlags { f.VoidPendingTransfer = true; return f }))
		b.rebook(o, domain.RebookBooked)
		b.transfers(o, chain(0x50, 30, func(f tb.TransferFlags) tb.TransferFlags { return f }))
		booked, err := b.book.Booked(b.ctx, o.ID)
		if err != nil || booked.Code == nil || *booked.Code != *o.Code || len(booked.Lines) != 1 || booked.Buyer != o.Buyer {
			t.Errorf("booked = %+v, %v, want the code of the order", booked, err)
		}
		if err := b.book.Return(b.ctx, sold(o, domain.BookedByRebook)); err != nil {
			t.Fatal(err)
		}
		b.transfers(o, []wantTransfer{
			{0x60, account(class, 3), account(class, 2), 2, linked, 40},
			{0x6d, account(codes, 3), code, 1, linked, 42},
			{0x6f, account(b.sale.QuotaLedger, 3), quota, 2, last, 41},
		})
		withoutCode := sold(o, domain.BookedByRebook)
		withoutCode.Code.ID = domain.ClassCodeID{1}
		if err := b.book.Return(b.ctx, withoutCode); domain.CodeOf(err) != domain.CodeInternal {
			t.Errorf("return of another code: %v, want our fault", err)
		}
	})
}

func TestCodesAreMadeOnce(t *testing.T) {
	onEveryWithCodes(t, func(t *testing.T, b *box) {
		ids := make([]domain.ClassCodeID, 3)
		for i := range ids {
			ids[i] = b.keys.ClassCodeID(b.sale.ID, fmt.Sprint("CODE", i))
		}
		only := b.sale.Classes[1].Ledger
		isNew, err := b.book.MakeCodes(b.ctx, b.sale, append(ids[:2:2], ids[0]), only, 2)
		if err != nil || !slices.Equal(isNew, []bool{true, true, false}) {
			t.Fatalf("made = %v, %v, want the third to be there already", isNew, err)
		}
		isNew, err = b.book.MakeCodes(b.ctx, b.sale, ids, only, 2)
		if err != nil || !slices.Equal(isNew, []bool{false, false, true}) {
			t.Fatalf("made again = %v, %v, want only the third to be new", isNew, err)
		}
		for name, err := range map[string]error{
			"other uses":  second(b.book.MakeCodes(b.ctx, b.sale, ids[:1], only, 3)),
			"all classes": second(b.book.MakeCodes(b.ctx, b.sale, ids[:1], 0, 2)),
		} {
			if domain.CodeOf(err) != domain.CodeExists {
				t.Errorf("%s: %v, want %s", name, err, domain.CodeExists)
			}
		}
		got, err := b.book.ClassCode(b.ctx, b.sale, ids[0])
		if want := (domain.ClassCode{ID: ids[0], Only: only, Left: 2}); err != nil || got != want {
			t.Errorf("code = %+v, %v, want %+v", got, err, want)
		}
		o := b.coded("ann", ids[0], 0, 1)
		b.hold(o, domain.HoldHeld)
		b.post(o, domain.PostPosted)
		b.hold(b.coded("bob", ids[1], 0, 1), domain.HoldHeld)
		uses, err := b.book.ClassCodeUses(b.ctx, b.sale)
		if want := (domain.ClassCodeUses{Codes: 3, Uses: 6, Held: 1, Used: 1}); err != nil || uses != want {
			t.Errorf("uses = %+v, %v, want %+v", uses, err, want)
		}
		quota, err := b.book.ClassCodeQuota(b.ctx, b.sale)
		i := slices.IndexFunc(quota.Uses, func(u domain.QuotaUse) bool { return u.Order == o.ID })
		if err != nil || len(quota.Uses) != 2 || len(quota.Budgets) != 3 || quota.Budgets[ids[0]] != 2 || quota.Moved ||
			i < 0 || quota.Uses[i].Sold != 1 || domain.ClassCodeID(quota.Uses[i].Buyer) != ids[0] {
			t.Errorf("the audit reads %+v, %v", quota, err)
		}
		for name, id := range map[string]domain.ClassCodeID{
			"never made": {1}, "a buyer of the sale": domain.ClassCodeID(o.Buyer), "of another sale": b.keys.ClassCodeID("another", "CODE0"),
		} {
			if _, err := b.book.ClassCode(b.ctx, b.sale, id); domain.CodeOf(err) != domain.CodeClassCodeRefused {
				t.Errorf("%s: %v, want %s", name, err, domain.CodeClassCodeRefused)
			}
		}
	})
}

// A revoked code says so for ever. What orders have used of it stays in the books, and comes back as ever.
func TestACodeIsRevoked(t *testing.T) {
	onEveryWithCodes(t, func(t *testing.T, b *box) {
		code, other := b.makeCode("ONE", 2), b.makeCode("OTHER", 1)
		paid, open := b.coded("ann", code, 0, 1), b.coded("bob", code, 0, 1)
		b.hold(paid, domain.HoldHeld)
		b.post(paid, domain.PostPosted)
		b.hold(open, domain.HoldHeld)
		broken := b.keys.ClassCodeID(b.sale.ID, "NEVER MADE")
		for _, want := range [][]bool{{true, false, false}, {false, false, false}} {
			isNew, err := b.book.RevokeCodes(b.ctx, b.sale, []domain.ClassCodeID{code, broken, domain.ClassCodeID(paid.Buyer)})
			if err != nil || !slices.Equal(isNew, want) {
				t.Fatalf("revoked = %v, %v, want %v", isNew, err, want)
			}
		}
		stands := func(want domain.ClassCode) {
			t.Helper()
			if got, err := b.book.ClassCode(b.ctx, b.sale, want.ID); err != nil || got != want {
				t.Errorf("code = %+v, %v, want %+v", got, err, want)
			}
		}
		stands(domain.ClassCode{ID: code, Held: 1, Revoked: true})
		stands(domain.ClassCode{ID: other, Left: 1})
		b.void(open, domain.VoidVoided)
		if err := b.book.Return(b.ctx, sold(paid, domain.BookedByHold)); err != nil {
			t.Fatal(err)
		}
		stands(domain.ClassCode{ID: code, Left: 2, Revoked: true})
		if _, err := b.book.MakeCodes(b.ctx, b.sale, []domain.ClassCodeID{code}, 0, 2); err != nil { // as brought again
			t.Fatal(err)
		}
		stands(domain.ClassCode{ID: code, Left: 2, Revoked: true})
		if _, err := b.book.ClassCode(b.ctx, b.sale, broken); domain.CodeOf(err) != domain.CodeClassCodeRefused {
			t.Errorf("a code that was never made: %v", err)
		}
		uses, err := b.book.ClassCodeUses(b.ctx, b.sale)
		if want := (domain.ClassCodeUses{Codes: 2, Uses: 3}); err != nil || uses != want {
			t.Errorf("uses = %+v, %v, want %+v", uses, err, want)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// Whatever happens to orders with codes, in whatever order, each code has as many uses as it was
// made with, and the ledger agrees with whoever counted along.
func TestCodesWhateverHappens(t *testing.T) {
	b := openBoxOf(t, backend{"embedded", embeddedBatcher}, newSaleWithCodes())
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		rounds++
		uses := rapid.Int64Range(1, 2).Draw(rt, "uses")
		code := b.makeCode(fmt.Sprint("WALK", rounds), uses)
		state, revoked := make(map[*domain.Order]string), false
		count := func(of ...string) (n int64) {
			for _, s := range state {
				if slices.Contains(of, s) {
					n++
				}
			}
			return n
		}
		pick := func(of ...string) *domain.Order {
			var some []*domain.Order
			for o, s := range state {
				if slices.Contains(of, s) {
					some = append(some, o)
				}
			}
			if len(some) == 0 {
				rt.Skip("no such order")
			}
			slices.SortFunc(some, func(x, y *domain.Order) int { return slices.Compare(x.ID[:], y.ID[:]) })
			return some[rapid.IntRange(0, len(some)-1).Draw(rt, "order")]
		}
		rt.Repeat(map[string]func(*rapid.T){
			"hold": func(*rapid.T) {
				o := b.coded(fmt.Sprintf("walker%d", b.orders), code, 0, 1)
				got, err := b.book.Hold(b.ctx, o)
				switch free := count("held", "sold") < uses; {
				case err != nil:
					rt.Fatal(err)
				case free && got.Outcome == domain.HoldHeld:
					state[o] = "held"
				case free || !got.CodeUsed:
					rt.Fatalf("hold = %+v with %d of %d uses taken", got, count("held", "sold"), uses)
				}
			},
			"void": func(*rapid.T) { o := pick("held"); b.void(o, domain.VoidVoided); state[o] = "void" },
			"post": func(*rapid.T) { o := pick("held"); b.post(o, domain.PostPosted); state[o] = "sold" },
			"rebook": func(*rapid.T) {
				o, want, then := pick("void"), domain.RebookBooked, "sold"
				if count("held", "sold") == uses {
					want, then = domain.RebookNoneLeft, "gone"
				}
				b.rebook(o, want)
				state[o] = then
			},
			"return": func(*rapid.T) {
				o := pick("sold")
				booked, err := b.book.Booked(b.ctx, o.ID)
				if err == nil {
					err = b.book.Return(b.ctx, sold(o, booked.Booking))
				}
				if err != nil {
					rt.Fatal(err)
				}
				state[o] = "gone"
			},
			"revoke": func(*rapid.T) {
				isNew, err := b.book.RevokeCodes(b.ctx, b.sale, []domain.ClassCodeID{code})
				if err != nil || !slices.Equal(isNew, []bool{!revoked}) {
					rt.Fatalf("revoked = %v, %v; before: %t", isNew, err, revoked)
				}
				revoked = true
			},
			"": func(*rapid.T) {
				got, err := b.book.ClassCode(b.ctx, b.sale, code)
				want := domain.ClassCode{ID: code, Left: uses - count("held", "sold"), Held: count("held"), Revoked: revoked}
				if err != nil || got != want {
					rt.Fatalf("code = %+v, %v, want %+v", got, err, want)
				}
			},
		})
		for o, s := range state { // leave the seats for the next round
			switch s {
			case "held":
				b.void(o, domain.VoidVoided)
			case "sold":
				booked, err := b.book.Booked(b.ctx, o.ID)
				if err == nil {
					err = b.book.Return(b.ctx, sold(o, booked.Booking))
				}
				if err != nil {
					rt.Fatal(err)
				}
			}
		}
	})
}

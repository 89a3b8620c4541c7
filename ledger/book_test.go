package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
	"boxoffice/ledger"
)

func TestHoldTakesAllLinesAtOnce(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 2, 3)
		hold := b.hold(o, domain.HoldHeld)
		b.stock(level{2, 0, 8}, level{3, 0, 2}, level{0, 0, 2})
		if hold.Grace != domain.HoldGraceDefault || !hold.ExpiresAt.IsZero() {
			t.Errorf("the hold = %+v, want the default grace, and no deadline: that is Temporal's to say", hold)
		}
		if age := time.Since(hold.HeldAt); age < -time.Minute || age > time.Minute { //nolint:forbidigo // a date, not a duration: within a minute of now
			t.Errorf("held at %v, which is not now", hold.HeldAt)
		}
	})
}

func TestHoldThatIsSoldOutInOneClassHoldsNothing(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		b.hold(b.order("ann", 0, 4), domain.HoldHeld)
		b.hold(b.order("bob", 3, 2), domain.HoldSoldOut)
		b.stock(level{0, 0, 10}, level{4, 0, 1})
		b.hold(b.order("bob", 3, 1), domain.HoldHeld) // the refusal cost him no quota
	})
}

func TestHoldBeyondTheBuyersLimit(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		b.hold(b.order("ann", 4, 0), domain.HoldHeld)
		b.hold(b.order("ann", 2, 1), domain.HoldLimitReached)
		b.stock(level{4, 0, 6}, level{0, 0, 5})
		b.hold(b.order("ann", 2, 0), domain.HoldHeld)
		b.hold(b.order("bob", 1, 0), domain.HoldHeld) // another buyer has their own limit
	})
}

func TestHoldAgainGivesTheSameAnswer(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 2, 1)
		first := b.hold(o, domain.HoldHeld)
		if again := b.hold(o, domain.HoldHeld); again != first {
			t.Errorf("held again = %+v, want %+v", again, first)
		}
		elsewhere := ledger.NewBook(b.batcher) // a process that has not seen the buyer
		again, err := elsewhere.Hold(b.ctx, o)
		if err != nil || again != first {
			t.Errorf("held elsewhere = %+v, %v, want %+v", again, err, first)
		}
		b.stock(level{2, 0, 8}, level{1, 0, 4})
	})
}

func TestRefusedHoldStaysRefused(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		ann := b.order("ann", 0, 5)
		b.hold(ann, domain.HoldHeld)
		soldOut := b.order("bob", 1, 1)
		b.hold(soldOut, domain.HoldSoldOut)
		b.hold(b.order("bob", 6, 0), domain.HoldHeld)
		overLimit := b.order("bob", 1, 0)
		b.hold(overLimit, domain.HoldLimitReached)

		b.void(ann, domain.VoidVoided) // there would be seats by now
		b.hold(soldOut, domain.HoldSoldOut)
		b.hold(overLimit, domain.HoldLimitReached)
		b.stock(level{6, 0, 4}, level{0, 0, 5})
	})
}

func TestHoldOfAnotherOrderUnderTheSameID(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 2, 1)
		b.hold(o, domain.HoldHeld)
		for name, other := range map[string]*domain.Order{
			"the first line is the same": b.order("ann", 2, 2),
			"all lines are the same":     b.order("bob", 2, 1),
		} {
			other.ID = o.ID
			_, err := b.book.Hold(b.ctx, other)
			if domain.CodeOf(err) != domain.CodeKeyReused {
				t.Errorf("%s: hold = %v, want %s", name, err, domain.CodeKeyReused)
			}
		}
		b.stock(level{2, 0, 8}, level{1, 0, 4})
	})
}

func TestKnown(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held, voided, posted := b.order("ann", 1, 0), b.order("bob", 1, 0), b.order("cyd", 1, 0)
		for _, o := range []*domain.Order{held, voided, posted} {
			b.hold(o, domain.HoldHeld)
		}
		b.void(voided, domain.VoidVoided)
		b.post(posted, domain.PostPosted)
		soldOut, overLimit := b.order("dee", 0, 6), b.order("ann", 6, 0)
		b.hold(soldOut, domain.HoldSoldOut)
		b.hold(overLimit, domain.HoldLimitReached)
		fresh := b.order("eve", 1, 0)
		for _, test := range []struct {
			name  string
			order *domain.Order
			known bool
		}{
			{"held", held, true}, {"voided", voided, true}, {"posted", posted, true},
			{"sold out", soldOut, false}, {"over the limit", overLimit, true}, {"never asked for", fresh, false},
		} {
			known, err := b.book.Known(b.ctx, test.order)
			if err != nil || known != test.known {
				t.Errorf("%s: known = %v, %v, want %v", test.name, known, err, test.known)
			}
		}
		b.hold(fresh, domain.HoldHeld) // being asked about burnt none of its ids
	})
}

func TestHoldInASaleThatWasNeverOpened(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		b.sale = newSale()
		_, err := b.book.Hold(b.ctx, b.order("ann", 1, 0))
		if domain.CodeOf(err) != domain.CodeInternal {
			t.Errorf("hold = %v, want %s", err, domain.CodeInternal)
		}
		if _, err := b.book.Stock(b.ctx, b.sale); domain.CodeOf(err) != domain.CodeNotFound {
			t.Errorf("stock = %v, want %s", err, domain.CodeNotFound)
		}
	})
}

func TestMalformedOrdersAreNotSent(t *testing.T) {
	b := &box{t: t, sale: newSale(), book: ledger.NewBook(nil)}
	b.keys, _ = domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	for name, spoil := range map[string]func(*domain.Order){
		"no id":           func(o *domain.Order) { o.ID = domain.OrderID{} },
		"a slot in id":    func(o *domain.Order) { o.ID[15] = 1 },
		"no lines":        func(o *domain.Order) { o.Lines = nil },
		"too many lines":  func(o *domain.Order) { o.Lines = make([]domain.Line, domain.ClassesMax+1) },
		"no quantity":     func(o *domain.Order) { o.Lines[0].Quantity = 0 },
		"no ledger":       func(o *domain.Order) { o.Lines[0].Ledger = 0 },
		"no buyer":        func(o *domain.Order) { o.Buyer = domain.BuyerID{} },
		"no quota ledger": func(o *domain.Order) { o.QuotaLedger = 0 },
		"no limit":        func(o *domain.Order) { o.BuyerLimit = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o := b.order("ann", 1, 0)
			spoil(o)
			if _, err := b.book.Hold(t.Context(), o); domain.CodeOf(err) != domain.CodeInternal {
				t.Errorf("hold = %v, want %s", err, domain.CodeInternal)
			}
		})
	}
}

func TestPostSellsTheHold(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 2, 1)
		b.hold(o, domain.HoldHeld)
		b.post(o, domain.PostPosted)
		b.post(o, domain.PostPosted)
		b.stock(level{0, 2, 8}, level{0, 1, 4})
		hold, _ := b.book.Hold(b.ctx, o)
		if hold.Outcome != domain.HoldHeld { // it was; the outcome does not matter to Known
			t.Errorf("hold after post = %q, want %q", hold.Outcome, domain.HoldHeld)
		}
	})
}

func TestVoidGivesTheHoldBack(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 6, 0)
		b.hold(o, domain.HoldHeld)
		b.void(o, domain.VoidVoided)
		b.void(o, domain.VoidVoided)
		b.stock(level{0, 0, 10}, level{0, 0, 5})
		b.hold(b.order("ann", 6, 0), domain.HoldHeld) // the quota is back too
	})
}

func TestPostAndVoidExcludeEachOther(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		paid, canceled := b.order("ann", 1, 1), b.order("bob", 2, 1)
		b.hold(paid, domain.HoldHeld)
		b.hold(canceled, domain.HoldHeld)

		b.post(paid, domain.PostPosted)
		b.void(paid, domain.VoidPosted)
		b.void(paid, domain.VoidPosted)

		b.void(canceled, domain.VoidVoided)
		b.post(canceled, domain.PostGone)
		b.post(canceled, domain.PostGone)
		b.stock(level{0, 1, 9}, level{0, 1, 4})
	})
}

func TestExpiredHold(t *testing.T) {
	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			b := openBox(t, be, ledger.WithHoldGrace(0))
			b.sale.HoldTimeout = time.Second
			posted, voided := b.order("ann", 2, 1), b.order("bob", 1, 0)
			b.hold(posted, domain.HoldHeld)
			first := b.hold(voided, domain.HoldHeld)
			eventually(t, "the ledger frees the seats", func() bool {
				levels, err := b.book.Stock(b.ctx, b.sale)
				return err == nil && levels[0].Held == 0 && levels[1].Held == 0
			})
			b.post(posted, domain.PostGone)
			b.post(posted, domain.PostGone)
			b.void(voided, domain.VoidVoided)
			if again := b.hold(voided, domain.HoldHeld); again != first {
				t.Errorf("held again = %+v, want the old deadline %+v", again, first)
			}
			b.stock(level{0, 0, 10}, level{0, 0, 5})
		})
	}
}

func TestHoldOutlivesItsDeadlineByTheGrace(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 1, 0)
		b.hold(o, domain.HoldHeld)
		held, err := b.batcher.LookupTransfers(b.ctx, []tb.Uint128{tb.BytesToUint128(ledger.TransferID(o.ID, 0x10))})
		if err != nil || held[0] == nil {
			t.Fatalf("lookup: %v, %v", held, err)
		}
		if want := uint32(240); held[0].Timeout != want { // 2 min and 2 min
			t.Errorf("timeout = %d s, want %d s", held[0].Timeout, want)
		}
	})
}

// Nodes with another grace, of another release or while the setting is changed, place
// the same orders: what is held stays so, for as long as it was placed for. Another
// order is still distinguished.
func TestHoldAgainWithAnotherGrace(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 1, 1)
		first := b.hold(o, domain.HoldHeld)
		b.book = ledger.NewBook(b.batcher, ledger.WithHoldGrace(30*time.Second))
		if again := b.hold(o, domain.HoldHeld); again != first {
			t.Errorf("held again = %+v, want %+v", again, first)
		}
		b.stock(level{1, 0, 9}, level{1, 0, 4})

		for name, differs := range map[string]func(*domain.Order){
			"quantity of the first line":  func(o *domain.Order) { o.Lines[0].Quantity++ },
			"quantity of the second line": func(o *domain.Order) { o.Lines[1].Quantity++ },
			"buyer":                       func(o *domain.Order) { o.Buyer = b.order("bob", 1, 0).Buyer },
		} {
			other := *o
			other.Lines = slices.Clone(o.Lines)
			differs(&other)
			if hold, err := b.book.Hold(b.ctx, &other); domain.CodeOf(err) != domain.CodeKeyReused {
				t.Errorf("another %s: %+v, %v, want %s", name, hold, err, domain.CodeKeyReused)
			}
		}
		b.post(o, domain.PostPosted)
		if again := b.hold(o, domain.HoldHeld); again != first {
			t.Errorf("held again after it was posted = %+v, want %+v", again, first)
		}
	})
}

// Where a payment may be processed for days, the ledger has the seats as long as anybody
// promises them; and nobody promises more than the ledger has, whoever placed the hold.
func TestAHoldThatIsExtended(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		const extension = 3 * 24 * time.Hour
		o := b.order("ann", 1, 0)
		o.ProcessingExtension = extension
		hold := b.hold(o, domain.HoldHeld)
		if hold.ProcessingExtension != extension || hold.Grace != extension+domain.HoldGraceDefault {
			t.Errorf("held %+v", hold)
		}
		held, err := b.batcher.LookupTransfers(b.ctx, []tb.Uint128{tb.BytesToUint128(ledger.TransferID(o.ID, 0x10))})
		if err != nil || held[0] == nil || held[0].Timeout != uint32((o.HoldTimeout+extension+domain.HoldGraceDefault)/time.Second) {
			t.Errorf("the transfer is %+v, %v", held, err)
		}
		b.book = ledger.NewBook(b.batcher, ledger.WithHoldGrace(domain.HoldGraceMin))
		if again := b.hold(o, domain.HoldHeld); again != hold {
			t.Errorf("held again by a node with another grace = %+v, want %+v", again, hold)
		}

		short := b.order("bob", 1, 0) // placed by a node that knows nothing of extensions
		first := b.hold(short, domain.HoldHeld)
		short.ProcessingExtension = extension
		if again := b.hold(short, domain.HoldHeld); again != first || again.ProcessingExtension != 0 {
			t.Errorf("held again by a node that knows of extensions = %+v, want %+v", again, first)
		}
	})
}

func TestTheLedgersTime(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		const coarse = time.Second // the clocks of one machine
		sent := time.Now()
		now, err := b.book.Now(b.ctx)
		if received := time.Now(); err != nil || now.Before(sent.Add(-coarse)) || now.After(received.Add(coarse)) {
			t.Errorf("now = %v, %v, want a time from %v to %v", now, err, sent, received)
		}
		b.stock(level{0, 0, 10}, level{0, 0, 5})
	})
}

// A post or a void before its hold is a mistake of the caller's; it burns their
// ids, and the answer given then must stay true.
func TestBurntPostStaysGone(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 1, 1)
		b.post(o, domain.PostGone)
		b.hold(o, domain.HoldHeld)
		b.post(o, domain.PostGone)
		b.void(o, domain.VoidVoided)
		b.stock(level{0, 0, 10}, level{0, 0, 5})
	})
}

func TestBurntVoidIsLookedUp(t *testing.T) {
	tests := []struct {
		name    string
		between func(b *box, o *domain.Order)
		want    domain.VoidOutcome
		stock   level
	}{
		{"still no hold", func(*box, *domain.Order) {}, domain.VoidVoided, level{0, 0, 10}},
		{"held by now", func(b *box, o *domain.Order) { b.hold(o, domain.HoldHeld) }, domain.VoidVoided, level{0, 0, 10}},
		{"held and posted by now", func(b *box, o *domain.Order) {
			b.hold(o, domain.HoldHeld)
			b.post(o, domain.PostPosted)
		}, domain.VoidPosted, level{0, 1, 9}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, b *box) {
				o := b.order("ann", 1, 0)
				b.void(o, domain.VoidVoided)
				test.between(b, o)
				b.void(o, test.want)
				b.void(o, test.want)
				b.stock(test.stock)
			})
		})
	}
}

func TestPerkGoesToTheFirst(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		first, second, third := b.order("ann", 1, 0), b.order("bob", 1, 0), b.order("cyd", 1, 0)
		b.perk(first, true)
		b.perk(first, true) // the same one
		b.stock(level{0, 0, 10}, level{0, 0, 5}, level{0, 1, 1})
		b.perk(second, true)
		b.perk(third, false)
		b.perk(third, false)
		b.stock(level{0, 0, 10}, level{0, 0, 5}, level{0, 2, 0})
	})
}

func TestSaleWithoutPerk(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 1, 0)
		o.Perk = nil
		b.perk(o, false)
	})
}

func TestRebook(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		late := b.order("ann", 2, 1)
		b.hold(late, domain.HoldHeld)
		b.void(late, domain.VoidVoided)
		b.rebook(late, domain.RebookBooked)
		b.rebook(late, domain.RebookBooked)
		b.stock(level{0, 2, 8}, level{0, 1, 4})
		b.hold(b.order("ann", 4, 0), domain.HoldLimitReached) // it counts against the limit
	})
}

func TestRebookOfABuyerWhomThisProcessHasNotSeen(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		b.rebook(b.order("ann", 1, 0), domain.RebookBooked)
		b.stock(level{0, 1, 9})
	})
}

func TestRebookWithNothingLeft(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		noSeats, noQuota := b.order("ann", 1, 1), b.order("ann", 1, 0)
		bob := b.order("bob", 0, 5)
		b.hold(bob, domain.HoldHeld)
		b.rebook(noSeats, domain.RebookNoneLeft)
		b.hold(b.order("ann", 6, 0), domain.HoldHeld)
		b.rebook(noQuota, domain.RebookNoneLeft)

		b.void(bob, domain.VoidVoided)
		b.rebook(noSeats, domain.RebookNoneLeft) // the money went back on that word
		b.stock(level{6, 0, 4}, level{0, 0, 5})
	})
}

func TestReturnGivesSeatsAndQuotaBack(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held, late := b.order("ann", 2, 1), b.order("ann", 2, 1)
		b.hold(held, domain.HoldHeld)
		b.post(held, domain.PostPosted)
		b.perk(held, true)
		b.rebook(late, domain.RebookBooked)
		b.stock(level{0, 4, 6}, level{0, 2, 3}, level{0, 1, 1})

		for range 2 { // the second time changes nothing
			if err := b.book.Return(b.ctx, sold(held, domain.BookedByHold)); err != nil {
				t.Fatal(err)
			}
			if err := b.book.Return(b.ctx, sold(late, domain.BookedByRebook)); err != nil {
				t.Fatal(err)
			}
		}
		b.stock(level{0, 0, 10}, level{0, 0, 5}, level{0, 1, 1}) // the shirt stays
		b.hold(b.order("ann", 6, 0), domain.HoldHeld)
	})
}

// A sale that was booked and could not be recorded leaves nothing behind.
// However the lines were kept: their numbers are by the bytes of the classes.
func TestLinesInAnotherSequenceAreTheSameOrder(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 2, 1)
		turned := *o
		turned.Lines = slices.Clone(o.Lines)
		slices.Reverse(turned.Lines)
		placed := slices.Clone(turned.Lines)

		b.hold(o, domain.HoldHeld)
		b.hold(&turned, domain.HoldHeld)
		b.post(&turned, domain.PostPosted)
		b.stock(level{0, 2, 8}, level{0, 1, 4}, level{0, 0, 2})
		if err := b.book.Return(b.ctx, sold(&turned, domain.BookedByHold)); err != nil {
			t.Fatal(err)
		}
		b.stock(level{0, 0, 10}, level{0, 0, 5}, level{0, 0, 2})
		if !slices.Equal(turned.Lines, placed) {
			t.Error("the caller's lines were moved")
		}
	})
}

func TestUnsellGivesEverythingBack(t *testing.T) {
	for _, booking := range []domain.Booking{domain.BookedByHold, domain.BookedByRebook} {
		for _, perk := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, perk %v", booking, perk), func(t *testing.T) {
				onEvery(t, func(t *testing.T, b *box) {
					o := b.order("ann", 2, 1)
					b.sell(o, booking)
					if perk {
						b.perk(o, true)
					}
					for range 2 { // the second time changes nothing
						if err := b.unsell(o, booking); err != nil {
							t.Fatal(err)
						}
					}
					b.stock(level{0, 0, 10}, level{0, 0, 5}, level{0, 0, 2})
					b.bookings(b.sale.Classes[0].Ledger, nil)
					b.bookings(b.sale.Perk.Ledger, nil)
					b.hold(b.order("ann", 6, 0), domain.HoldHeld) // with all of her quota
				})
			})
		}
	}
}

func TestWhatWasReturnedIsNeverSoldAgain(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		held, late := b.order("ann", 1, 0), b.order("bob", 1, 0)
		b.sell(held, domain.BookedByHold)
		b.sell(late, domain.BookedByRebook)
		if err := b.unsell(held, domain.BookedByHold); err != nil {
			t.Fatal(err)
		}
		if err := b.book.Return(b.ctx, sold(late, domain.BookedByRebook)); err != nil {
			t.Fatal(err)
		}
		b.post(held, domain.PostReturned)
		b.rebook(held, domain.RebookNoneLeft)
		b.rebook(late, domain.RebookReturned) // the seats that went back were its own
		b.stock(level{0, 0, 10})
	})
}

// The ledger keeps why seats went back, whatever reason a repeat gives.
func TestWhySeatsWentBackIsKept(t *testing.T) {
	reasons := []domain.UnsoldReason{domain.UnsoldNotSaid, domain.UnsoldUnrecordable, domain.UnsoldRefunding, domain.UnsoldUnpaid}
	onEvery(t, func(t *testing.T, b *box) {
		for i, first := range reasons {
			o := b.order(fmt.Sprintf("buyer-%d", i), 2, 1)
			b.sell(o, domain.BookedByHold)
			for _, why := range append([]domain.UnsoldReason{first}, reasons...) {
				if stands, err := b.book.Unsell(b.ctx, o, domain.BookedByHold, why); err != nil || stands != first {
					t.Errorf("unsold as %q, then as %q: %q, %v", first, why, stands, err)
				}
			}
			if err := b.book.Return(b.ctx, sold(o, domain.BookedByHold)); err != nil {
				t.Errorf("the return of seats that went back as %q: %v", first, err)
			}
			b.stock(level{0, 0, 10}, level{0, 0, 5}, level{0, 0, 2})

			other := *o
			other.Lines = slices.Clone(o.Lines)
			other.Lines[0].Quantity++
			if stands, err := b.book.Unsell(b.ctx, &other, domain.BookedByHold, first); err == nil {
				t.Errorf("another order under the same id is unsold as %q", stands)
			}
		}
	})
}

// The perk goes back in a step of its own, and earlier releases kept no reason: who
// died in between left this.
func TestUnsellGoesOnWhereAnotherStopped(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		o := b.order("ann", 2, 1)
		b.sell(o, domain.BookedByHold)
		b.perk(o, true)
		if err := b.book.Return(b.ctx, sold(o, domain.BookedByHold)); err != nil {
			t.Fatal(err)
		}
		if stands, err := b.book.Unsell(b.ctx, o, domain.BookedByHold, domain.UnsoldUnrecordable); err != nil || stands != domain.UnsoldNotSaid {
			t.Errorf("unsell: %q, %v", stands, err)
		}
		b.stock(level{0, 0, 10}, level{0, 0, 5}, level{0, 0, 2})
	})
}

func (b *box) sell(o *domain.Order, booking domain.Booking) {
	b.t.Helper()
	if booking == domain.BookedByRebook {
		b.rebook(o, domain.RebookBooked)
		return
	}
	b.hold(o, domain.HoldHeld)
	b.post(o, domain.PostPosted)
}

func TestReturnOfWhatWasNotSold(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		other := b.order("bob", 3, 0)
		b.hold(other, domain.HoldHeld)
		b.post(other, domain.PostPosted)

		held := b.order("ann", 1, 0)
		b.hold(held, domain.HoldHeld)
		posted := b.order("cyd", 1, 0)
		b.hold(posted, domain.HoldHeld)
		b.post(posted, domain.PostPosted)
		more := sold(posted, domain.BookedByHold)
		more.Lines = []domain.Line{{Class: "A", Ledger: posted.Lines[0].Ledger, Quantity: 2}}

		for name, o := range map[string]*domain.SoldOrder{
			"only held":          sold(held, domain.BookedByHold),
			"never seen":         sold(b.order("dee", 1, 0), domain.BookedByHold),
			"not by a rebooking": sold(posted, domain.BookedByRebook),
			"not so many":        more,
			"unknown booking":    sold(posted, "gift"),
		} {
			if err := b.book.Return(b.ctx, o); domain.CodeOf(err) != domain.CodeInternal || domain.IsUnknown(err) {
				t.Errorf("return of an order that was %s: %v, want a definite error", name, err)
			}
		}
		if err := b.unsell(held, domain.BookedByHold); domain.CodeOf(err) != domain.CodeInternal {
			t.Errorf("unsell of an order that was only held: %v, want a definite error", err)
		}
		b.stock(level{1, 4, 5})
	})
}

func TestOpenSaleAgain(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		b.hold(b.order("ann", 1, 0), domain.HoldHeld)
		if err := b.book.OpenSale(b.ctx, b.sale); err != nil {
			t.Fatal(err)
		}
		b.stock(level{1, 0, 9}, level{0, 0, 5}, level{0, 0, 2})
	})
}

func TestOpenSaleUnderTakenLedgers(t *testing.T) {
	tests := map[string]func(*domain.Sale){
		"more seats":    func(s *domain.Sale) { s.Classes[0].Capacity++ },
		"fewer shirts":  func(s *domain.Sale) { s.Perk.Capacity-- },
		"another limit": func(s *domain.Sale) { s.BuyerLimit++ },
		"another class": func(s *domain.Sale) { s.Classes[1].Name = "C" },
		"another sale":  func(s *domain.Sale) { s.ID = "other" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(t *testing.T, b *box) {
				other := *b.sale
				other.Classes = append([]domain.Class(nil), b.sale.Classes...)
				perk := *b.sale.Perk
				other.Perk = &perk
				change(&other)
				if err := b.book.OpenSale(b.ctx, &other); domain.CodeOf(err) != domain.CodeExists {
					t.Errorf("open = %v, want %s", err, domain.CodeExists)
				}
				b.stock(level{0, 0, 10}, level{0, 0, 5}, level{0, 0, 2})
			})
		})
	}
}

func TestOpenSaleRefusesSharedLedgers(t *testing.T) {
	for name, change := range map[string]func(*domain.Sale){
		"two classes": func(s *domain.Sale) { s.Classes[1].Ledger = s.Classes[0].Ledger },
		"the perk":    func(s *domain.Sale) { s.Perk.Ledger = s.Classes[0].Ledger },
		"the quota":   func(s *domain.Sale) { s.QuotaLedger = s.Perk.Ledger },
		"checkouts":   func(s *domain.Sale) { s.OneCheckoutPerBuyer, s.CheckoutLedger = true, s.QuotaLedger },
		"no ledger":   func(s *domain.Sale) { s.Classes[0].Ledger = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSale()
			change(s)
			if err := ledger.NewBook(nil).OpenSale(t.Context(), s); domain.CodeOf(err) != domain.CodeInternal {
				t.Errorf("open = %v, want %s", err, domain.CodeInternal)
			}
		})
	}
}

func TestBookings(t *testing.T) {
	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			b := openBox(t, be)
			held, posted, voided := b.order("ann", 2, 0), b.order("bob", 3, 1), b.order("cyd", 1, 0)
			late, refunded := b.order("dee", 1, 0), b.order("eve", 2, 0)
			for _, o := range []*domain.Order{held, posted, voided, refunded} {
				b.hold(o, domain.HoldHeld)
			}
			b.post(posted, domain.PostPosted)
			b.void(voided, domain.VoidVoided)
			b.rebook(late, domain.RebookBooked)
			b.post(refunded, domain.PostPosted)
			if err := b.book.Return(b.ctx, sold(refunded, domain.BookedByHold)); err != nil {
				t.Fatal(err)
			}
			b.perk(posted, true)

			a, perk := b.sale.Classes[0].Ledger, b.sale.Perk.Ledger
			b.bookings(a, map[domain.OrderID]domain.StockUse{held.ID: {Held: 2}, posted.ID: {Sold: 3}, late.ID: {Sold: 1}})
			b.bookings(perk, map[domain.OrderID]domain.StockUse{posted.ID: {Sold: 1}})
			b.quota(domain.StockLevel{Held: 2, Sold: 5}, map[domain.BuyerID]domain.StockUse{held.Buyer: {Held: 2}, posted.Buyer: {Sold: 4}, late.Buyer: {Sold: 1}})

			b.book = ledger.NewBook(b.batcher, ledger.WithHoldGrace(0))
			b.sale.HoldTimeout = time.Second
			abandoned := b.order("fay", 1, 0)
			b.hold(abandoned, domain.HoldHeld)
			eventually(t, "the abandoned hold is over", func() bool {
				bookings, err := b.book.Bookings(b.ctx, a)
				return err == nil && byOrder(bookings)[abandoned.ID].Order.IsZero()
			})
			b.bookings(a, map[domain.OrderID]domain.StockUse{held.ID: {Held: 2}, posted.ID: {Sold: 3}, late.ID: {Sold: 1}})
		})
	}
}

func (b *box) bookings(stock uint32, want map[domain.OrderID]domain.StockUse) {
	b.t.Helper()
	got, err := b.book.Bookings(b.ctx, stock)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(got) != len(want) {
		b.t.Errorf("bookings = %v, want %v", got, want)
	}
	for id, w := range want {
		b.tickets(id, byOrder(got)[id], w)
	}
}

func byOrder(uses []domain.StockUse) map[domain.OrderID]domain.StockUse {
	of := make(map[domain.OrderID]domain.StockUse, len(uses))
	for _, use := range uses {
		of[use.Order] = use
	}
	return of
}

// tickets compares all but the order and the time of a sale, which must be a recent one.
func (b *box) tickets(of fmt.Stringer, got, want domain.StockUse) {
	b.t.Helper()
	age := time.Since(got.SoldAt) //nolint:forbidigo // a date, not a duration: within a minute of now
	if got.SoldAt.IsZero() != (want.Sold == 0) || want.Sold > 0 && (age < -time.Minute || age > time.Hour) {
		b.t.Errorf("%s: sold at %v, want a recent time where any are sold", of, got.SoldAt)
	}
	if got.Order, got.SoldAt = want.Order, want.SoldAt; got != want {
		b.t.Errorf("bookings of %s = %+v, want %+v", of, got, want)
	}
}

// quota checks both views of the buyers' quota.
func (b *box) quota(want domain.StockLevel, of map[domain.BuyerID]domain.StockUse) {
	b.t.Helper()
	level, err := b.book.QuotaLevel(b.ctx, b.sale, b.sale.QuotaLedger)
	if err != nil || level.Held != want.Held || level.Sold != want.Sold || level.Ledger != b.sale.QuotaLedger {
		b.t.Errorf("quota = %+v, %v, want %+v", level, err, want)
	}
	quota, err := b.book.Quota(b.ctx, b.sale, b.sale.QuotaLedger)
	if err != nil || len(quota.Uses) != len(of) || quota.Held != want.Held || quota.Sold != want.Sold || quota.Moved {
		b.t.Errorf("quota = %+v, %v, want %+v", quota, err, of)
	}
	for _, use := range quota.Uses {
		b.tickets(use.Buyer, use.StockUse, of[use.Buyer])
	}
}

// Never more is paid for than there is, however many buy at the same time,
// and the books agree with what the buyers were told.
func TestConcurrentBuyersNeverOversell(t *testing.T) {
	onEvery(t, func(t *testing.T, b *box) {
		const buyers = 60
		type answer struct {
			order *domain.Order
			sold  bool
		}
		answers := make([]answer, buyers)
		for i := range answers {
			answers[i].order = b.order(fmt.Sprint("buyer", i), int64(1+i%3), int64(i%2))
		}
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				o := answers[i].order
				hold, err := b.book.Hold(b.ctx, o)
				switch {
				case err != nil:
					t.Error(err)
				case hold.Outcome != domain.HoldHeld:
				case i%5 == 0:
					if _, err := b.book.Void(b.ctx, o); err != nil {
						t.Error(err)
					}
				default:
					outcome, err := b.book.Post(b.ctx, o)
					if err != nil || outcome != domain.PostPosted {
						t.Errorf("post = %q, %v", outcome, err)
					}
					answers[i].sold = true
				}
			})
		}
		wg.Wait()
		var want [2]int64
		for _, a := range answers {
			for _, l := range a.order.Lines {
				if a.sold {
					want[l.Ledger-b.sale.Classes[0].Ledger] += l.Quantity
				}
			}
		}
		b.stock(level{0, want[0], 10 - want[0]}, level{0, want[1], 5 - want[1]})
		if want[0] == 0 || want[1] == 0 {
			t.Errorf("sold %v: nobody got anything", want)
		}
	})
}

func TestLedgerThatIsGone(t *testing.T) {
	b := &box{t: t, ctx: t.Context(), sale: newSale()}
	b.keys, _ = domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	client := newFake()
	batcher := newBatcher(t, client, ledger.WithAnswerTimeout(50*time.Millisecond))
	b.book = ledger.NewBook(batcher)
	client.block()
	defer client.unblock()

	o := b.order("ann", 1, 0)
	_, err := b.book.Hold(b.ctx, o)
	if domain.CodeOf(err) != domain.CodeOverloaded {
		t.Errorf("hold = %v, want %s: only the buyer's account was sent", err, domain.CodeOverloaded)
	}
	_, err = b.book.Post(b.ctx, o)
	var unknown *domain.UnknownError
	if !errors.As(err, &unknown) || unknown.Op != "post" || unknown.ID != o.ID.String() {
		t.Errorf("post = %v, want an UnknownError of post %s", err, o.ID)
	}
	_, err = b.book.Void(b.ctx, o)
	if domain.CodeOf(err) != domain.CodeOverloaded {
		t.Errorf("void = %v, want %s: it was queued behind the post", err, domain.CodeOverloaded)
	}
}

// answering is a client whose transfers are answered as told.
type answering struct {
	*fake
	transfers func([]tb.Transfer) ([]tb.CreateTransferResult, error)
}

func (a answering) CreateTransfers(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
	if _, err := a.fake.CreateTransfers(transfers); err != nil {
		return nil, err
	}
	return a.transfers(transfers)
}

func boxOver(t *testing.T, client tb.Client) *box {
	b := &box{t: t, ctx: t.Context(), sale: newSale()}
	b.keys, _ = domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	b.book = ledger.NewBook(newBatcher(t, client, ledger.WithAnswerTimeout(50*time.Millisecond)))
	return b
}

// The buyer's account was confirmed, but it is unknown what was taken with it.
func TestAFirstHoldWhoseAnswerIsLost(t *testing.T) {
	client := newFake()
	b := boxOver(t, answering{client, func([]tb.Transfer) ([]tb.CreateTransferResult, error) {
		<-client.closed
		return nil, tb.ErrClientClosed
	}})
	defer client.Close()
	o := b.order("ann", 1, 0)
	_, err := b.book.Hold(b.ctx, o)
	var unknown *domain.UnknownError
	if !errors.As(err, &unknown) || unknown.Op != "hold" || unknown.ID != o.ID.String() {
		t.Errorf("hold = %v, want an UnknownError of hold %s", err, o.ID)
	}
}

// A buyer's budget that was not funded is empty for a reason that is not the
// buyer's: to call that their limit would be a lie. What was taken all the same was
// taken.
func TestABuyerWhoCannotBeFunded(t *testing.T) {
	for _, test := range []struct {
		name  string
		chain tb.CreateTransferStatus
		held  bool
	}{
		{"nothing is taken", tb.TransferExceedsCredits, false},
		{"the budget was there", tb.TransferCreated, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := newFake()
			b := boxOver(t, answering{client, func(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
				results := make([]tb.CreateTransferResult, len(transfers))
				for i := range results {
					results[i].Status = test.chain
				}
				if !test.held { // the last of the chain is the buyer's quota
					results[1].Status = tb.TransferLinkedEventFailed
				}
				results[0].Status = tb.TransferExistsWithDifferentAmount
				return results, nil
			}})
			for range 2 { // nobody takes the buyer for funded the second time
				hold, err := b.book.Hold(b.ctx, b.order("ann", 1, 0))
				if held := err == nil && hold.Outcome == domain.HoldHeld; held != test.held || !held && domain.CodeOf(err) != domain.CodeInternal {
					t.Errorf("hold = %+v, %v, want held %v, otherwise %s", hold, err, test.held, domain.CodeInternal)
				}
			}
			for _, request := range client.seen() {
				if len(request) != 1+2 {
					t.Errorf("a request of %d transfers, want the funding and the chain of two", len(request))
				}
			}
		})
	}
}

// Who was funded is not funded again: each of the second round's requests is the
// chain alone.
func TestWhoWasFundedIsRemembered(t *testing.T) {
	client := newFake()
	b := boxOver(t, client)
	buyers := []string{"ann", "bob", "cat", "dan"}
	for range 2 {
		for _, buyer := range buyers {
			b.hold(b.order(buyer, 1, 0), domain.HoldHeld)
		}
	}
	for i, request := range client.seen() {
		want := 1 + 2
		if i >= len(buyers) {
			want = 2
		}
		if len(request) != want {
			t.Errorf("hold %d: %d transfers, want %d", i, len(request), want)
		}
	}
}

func TestABuyerMayHaveOneTicket(t *testing.T) {
	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			sale := newSale()
			sale.BuyerLimit = 1
			b := openBoxOf(t, be, sale)
			b.hold(b.order("ann", 1, 0), domain.HoldHeld)
			b.hold(b.order("ann", 0, 1), domain.HoldLimitReached)
			b.hold(b.order("bob", 0, 1), domain.HoldHeld)
		})
	}
}

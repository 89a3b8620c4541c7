package ledger_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
)

// onEveryOneCheckout is onEvery in a sale where a buyer has one open checkout.
func onEveryOneCheckout(t *testing.T, test func(t *testing.T, b *box), options ...ledger.BookOption) {
	for _, be := range backends() {
		t.Run(be.name, func(t *testing.T) {
			t.Parallel()
			test(t, openBoxOf(t, be, newSaleOfOneCheckout(), options...))
		})
	}
}

// refused is a hold that must be refused for the buyer's open checkout.
func (b *box) refused(o *domain.Order) {
	b.t.Helper()
	if got := b.hold(o, domain.HoldLimitReached); !got.CheckoutOpen {
		b.t.Fatalf("hold = %+v, want it refused for the open checkout", got)
	}
}

// open checks which orders the ledger counts as open, and that none was ever
// anything else.
func (b *box) open(want ...*domain.Order) {
	b.t.Helper()
	level, err := b.book.QuotaLevel(b.ctx, b.sale, b.sale.CheckoutLedger)
	if err != nil || level.Held != int64(len(want)) || level.Sold != 0 {
		b.t.Errorf("open checkouts = %+v, %v, want %d held and none sold", level, err, len(want))
	}
	quota, err := b.book.Quota(b.ctx, b.sale, b.sale.CheckoutLedger)
	if err != nil || len(quota.Uses) != len(want) {
		b.t.Errorf("open checkouts = %+v, %v, want %d", quota, err, len(want))
	}
	of := make(map[domain.OrderID]domain.QuotaUse)
	for _, use := range quota.Uses {
		of[use.Order] = use
	}
	for _, o := range want {
		if got := (domain.QuotaUse{StockUse: domain.StockUse{Order: o.ID, Held: 1}, Buyer: o.Buyer}); of[o.ID] != got {
			b.t.Errorf("open checkout = %+v, want %+v", of[o.ID], got)
		}
	}
}

func TestSecondCheckoutOfABuyerIsRefused(t *testing.T) {
	onEveryOneCheckout(t, func(t *testing.T, b *box) {
		first := b.order("ann", 1, 0)
		b.hold(first, domain.HoldHeld)
		b.refused(b.order("ann", 1, 0))
		b.refused(b.order("ann", 0, 1)) // of whatever
		other := b.order("bob", 1, 0)
		b.hold(other, domain.HoldHeld)
		b.hold(first, domain.HoldHeld) // the same one again
		b.open(first, other)
		b.stock(level{2, 0, 8}, level{0, 0, 5})
	})
}

func TestEveryEndingLetsTheBuyerCheckOutAgain(t *testing.T) {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, end := range map[string]func(t *testing.T, b *box, o *domain.Order){
		"voided": func(_ *testing.T, b *box, o *domain.Order) { b.void(o, domain.VoidVoided) },
		"voided twice": func(_ *testing.T, b *box, o *domain.Order) {
			b.void(o, domain.VoidVoided)
			b.void(o, domain.VoidVoided)
		},
		"voided, and a payment that comes too late": func(_ *testing.T, b *box, o *domain.Order) {
			b.void(o, domain.VoidVoided)
			b.post(o, domain.PostGone)
		},
		"paid": func(_ *testing.T, b *box, o *domain.Order) { b.post(o, domain.PostPosted) },
		"paid twice": func(_ *testing.T, b *box, o *domain.Order) {
			b.post(o, domain.PostPosted)
			b.post(o, domain.PostPosted)
		},
		"paid, and a void that comes too late": func(_ *testing.T, b *box, o *domain.Order) {
			b.post(o, domain.PostPosted)
			b.void(o, domain.VoidPosted)
		},
		"paid and refunded": func(t *testing.T, b *box, o *domain.Order) {
			b.post(o, domain.PostPosted)
			must(t, b.book.Return(b.ctx, sold(o, domain.BookedByHold)))
		},
		"paid and unsold": func(t *testing.T, b *box, o *domain.Order) {
			b.post(o, domain.PostPosted)
			must(t, b.unsell(o, domain.BookedByHold))
		},
		"voided and rebooked": func(_ *testing.T, b *box, o *domain.Order) {
			b.void(o, domain.VoidVoided)
			b.rebook(o, domain.RebookBooked)
		},
		"the sale drained, then voided": func(t *testing.T, b *box, o *domain.Order) {
			_, err := b.book.Drain(b.ctx, b.sale)
			must(t, err)
			b.void(o, domain.VoidVoided)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryOneCheckout(t, func(t *testing.T, b *box) {
				o := b.order("ann", 1, 1)
				b.hold(o, domain.HoldHeld)
				b.open(o)
				end(t, b, o)
				b.open()
				next := b.order("ann", 0, 1)
				if levels, err := b.book.Stock(b.ctx, b.sale); err != nil || levels[1].Available == 0 {
					must(t, err)
					return // drained: there is nothing to check out
				}
				b.hold(next, domain.HoldHeld)
				b.open(next)
			})
		})
	}
}

func TestCheckoutThatExpiresIsNotOpen(t *testing.T) {
	onEveryOneCheckout(t, func(_ *testing.T, b *box) {
		b.sale.HoldTimeout = time.Second
		abandoned := b.order("ann", 1, 0)
		b.hold(abandoned, domain.HoldHeld)
		b.sale.HoldTimeout = time.Minute
		var next *domain.Order
		eventually(b.t, "the ledger ends the abandoned checkout", func() bool {
			next = b.order("ann", 1, 0) // a refused one is burnt
			hold, err := b.book.Hold(b.ctx, next)
			if err != nil {
				b.t.Fatal(err)
			}
			return hold.Outcome == domain.HoldHeld
		})
		b.post(abandoned, domain.PostGone)
		b.void(abandoned, domain.VoidVoided)
		b.rebook(abandoned, domain.RebookBooked) // late money: beside the open checkout
		b.open(next)
		b.refused(b.order("ann", 1, 0))
		b.stock(level{1, 1, 8})
	}, ledger.WithHoldGrace(0))
}

func TestBurntVoidEndsTheCheckout(t *testing.T) {
	onEveryOneCheckout(t, func(_ *testing.T, b *box) {
		o := b.order("ann", 1, 0)
		b.void(o, domain.VoidVoided) // it overtook the hold
		b.hold(o, domain.HoldHeld)
		b.void(o, domain.VoidVoided)
		b.open()
		b.hold(b.order("ann", 1, 0), domain.HoldHeld)
	})
}

// While nodes are replaced one by one, one that knows of no open checkouts may
// hold an order that another one ends.
func TestHoldOfANodeThatKnowsOfNoOpenCheckouts(t *testing.T) {
	onEveryOneCheckout(t, func(_ *testing.T, b *box) {
		held := func(buyer string) *domain.Order {
			o := b.order(buyer, 1, 1)
			asRead := *o
			asRead.CheckoutLedger = 0
			b.hold(&asRead, domain.HoldHeld)
			return o
		}
		paid, canceled := held("ann"), held("bob")
		for range 2 {
			b.post(paid, domain.PostPosted)
			b.void(paid, domain.VoidPosted)
			b.void(canceled, domain.VoidVoided)
			b.post(canceled, domain.PostGone)
			b.open()
			b.stock(level{0, 1, 9}, level{0, 1, 4})
		}
	})
}

func TestRebookNeedsNoOpenCheckout(t *testing.T) {
	onEveryOneCheckout(t, func(t *testing.T, b *box) {
		late, unseen := b.order("ann", 1, 0), b.order("bob", 1, 0)
		b.hold(late, domain.HoldHeld)
		b.void(late, domain.VoidVoided)
		next := b.order("ann", 1, 0)
		b.hold(next, domain.HoldHeld)
		b.rebook(late, domain.RebookBooked)
		b.rebook(unseen, domain.RebookBooked) // of a buyer whom this process has not seen
		b.open(next)
		if err := b.book.Return(b.ctx, sold(late, domain.BookedByRebook)); err != nil {
			t.Fatal(err)
		}
		b.open(next)
		b.post(next, domain.PostPosted)
		b.open()
	})
}

// Which limit it was follows from the burnt id, whoever asks and when.
func TestRefusalForAnOpenCheckoutStays(t *testing.T) {
	onEveryOneCheckout(t, func(t *testing.T, b *box) {
		first, second := b.order("ann", 1, 0), b.order("ann", 1, 0)
		b.hold(first, domain.HoldHeld)
		b.refused(second)
		b.void(first, domain.VoidVoided)
		b.refused(second) // although nothing is open by now
		elsewhere, err := ledger.NewBook(b.batcher).Hold(b.ctx, second)
		if err != nil || !elsewhere.CheckoutOpen {
			t.Errorf("hold elsewhere = %+v, %v, want the same refusal", elsewhere, err)
		}
		b.hold(b.order("ann", 1, 0), domain.HoldHeld) // a new key
	})
}

func TestWhichRefusalIsTold(t *testing.T) {
	onEveryOneCheckout(t, func(t *testing.T, b *box) {
		paid, open, soldOut := b.order("ann", 3, 0), b.order("bob", 1, 0), b.order("cyd", 0, 5)
		b.hold(paid, domain.HoldHeld)
		b.post(paid, domain.PostPosted)
		b.hold(open, domain.HoldHeld)
		b.hold(soldOut, domain.HoldHeld)
		for _, test := range []struct {
			name  string
			order *domain.Order
			want  domain.Hold
			known bool
		}{
			{"too many tickets", b.order("ann", 4, 0), domain.Hold{Outcome: domain.HoldLimitReached}, true},
			{"another checkout", b.order("bob", 1, 0), domain.Hold{Outcome: domain.HoldLimitReached, CheckoutOpen: true}, true},
			{"another checkout, and too many tickets", b.order("bob", 6, 0), domain.Hold{Outcome: domain.HoldLimitReached, CheckoutOpen: true}, true},
			{"another checkout, and sold out", b.order("bob", 0, 1), domain.Hold{Outcome: domain.HoldSoldOut}, false},
		} {
			for range 2 {
				got, err := b.book.Hold(b.ctx, test.order)
				if err != nil || got != test.want {
					t.Errorf("%s: hold = %+v, %v, want %+v", test.name, got, err, test.want)
				}
			}
			known, err := b.book.Known(b.ctx, test.order)
			if err != nil || known != test.known {
				t.Errorf("%s: known = %v, %v, want %v", test.name, known, err, test.known)
			}
		}
		b.open(open, soldOut)
	})
}

func TestOtherContentsUnderTheSameIDBesideAnOpenCheckout(t *testing.T) {
	onEveryOneCheckout(t, func(t *testing.T, b *box) {
		o, other := b.order("ann", 1, 0), b.order("ann", 1, 1)
		b.hold(o, domain.HoldHeld)
		other.ID = o.ID
		if _, err := b.book.Hold(b.ctx, other); domain.CodeOf(err) != domain.CodeKeyReused {
			t.Errorf("hold = %v, want %s", err, domain.CodeKeyReused)
		}
		b.open(o)
	})
}

// One of a buyer's checkouts that begin at the same time wins, on whatever node,
// and every repeat gives the same answer.
func TestConcurrentCheckoutsOfOneBuyer(t *testing.T) {
	onEveryOneCheckout(t, func(t *testing.T, b *box) {
		const rounds, checkouts, nodes = 4, 12, 3
		books := make([]*ledger.Book, nodes) // each knows no buyer yet
		for i := range books {
			books[i] = ledger.NewBook(b.batcher)
		}
		for round := range rounds {
			orders := make([]*domain.Order, checkouts)
			first := make([]domain.Hold, checkouts)
			for i := range orders {
				orders[i] = b.order("ann", 1, 0)
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
			var winner *domain.Order
			for i, hold := range first {
				switch {
				case hold.Outcome == domain.HoldHeld && winner == nil:
					winner = orders[i]
				case !hold.CheckoutOpen:
					t.Errorf("hold = %+v, want one held and all others refused for it", hold)
				}
			}
			if winner == nil {
				t.Fatal("no checkout is held")
			}
			b.open(winner)
			if round%2 == 0 {
				b.post(winner, domain.PostPosted)
			} else {
				b.void(winner, domain.VoidVoided)
			}
		}
	})
}

// What a sale does not limit costs it nothing: the transfers are those that they
// always were.
func TestTransfersOfAHoldAndAPost(t *testing.T) {
	for _, test := range []struct {
		name        string
		sale        *domain.Sale
		first, hold int // of a buyer's first hold, and of one more
		post        int
	}{
		{"no limit of open checkouts", newSale(), 1 + 3, 3, 3},
		{"one checkout a buyer", newSaleOfOneCheckout(), 2 + 4, 4, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := newFake()
			b := &box{t: t, ctx: t.Context(), sale: test.sale, book: ledger.NewBook(newBatcher(t, client))}
			b.keys, _ = domain.NewKeyring(make([]byte, domain.ServerKeyLen))
			o, next := b.order("ann", 1, 1), b.order("ann", 1, 1)
			b.hold(o, domain.HoldHeld)
			b.hold(next, domain.HoldHeld)
			b.post(next, domain.PostPosted)
			var got []int
			for _, request := range client.seen() {
				got = append(got, len(request))
			}
			if want := fmt.Sprint([]int{test.first, test.hold, test.post}); fmt.Sprint(got) != want {
				t.Errorf("transfers of a first hold, a hold, a post = %v, want %s", got, want)
			}
		})
	}
}

// ---- Whatever happens

// steppedClock is the system's clock, put forward by the test.
type steppedClock struct{ ahead atomic.Int64 }

func (c *steppedClock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// bought is what the model knows of an order.
type bought struct {
	*domain.Order
	hold     string // "", held, posted, voided, expired; or how it was refused
	deadline time.Time
	returned bool
	rebooked string // "", booked, refused
}

// Whatever buyers do, and however often anything is repeated: a buyer has at most
// one open checkout, exactly those are open whose hold is pending, and who has
// none is never refused for one. A failure prints its seed.
func TestOneCheckoutPerBuyerWhateverHappens(t *testing.T) {
	clock := &steppedClock{}
	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: discard, Clock: clock, PulseInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	batcher := newBatcher(t, engine)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := &box{
			t: t, ctx: t.Context(), batcher: batcher, keys: keys, sale: newSaleOfOneCheckout(),
			book: ledger.NewBook(batcher),
		}
		b.sale.Classes[0].Capacity = 1000 // sold out is not what this is about
		b.sale.BuyerLimit = domain.BuyerLimitMax
		if err := b.book.OpenSale(b.ctx, b.sale); err != nil {
			rt.Fatal(err)
		}
		m := &oneCheckoutModel{T: rt, box: b, clock: clock, open: map[domain.BuyerID]*bought{}}
		rt.Repeat(map[string]func(*rapid.T){
			"new":    func(rt *rapid.T) { m.T = rt; m.begin() },
			"hold":   func(rt *rapid.T) { m.T = rt; m.again() },
			"post":   func(rt *rapid.T) { m.T = rt; m.pay() },
			"void":   func(rt *rapid.T) { m.T = rt; m.giveUp() },
			"rebook": func(rt *rapid.T) { m.T = rt; m.payLate() },
			"unsell": func(rt *rapid.T) { m.T = rt; m.giveBack() },
			"expire": func(rt *rapid.T) { m.T = rt; m.letExpire() },
			"":       func(rt *rapid.T) { m.T = rt; m.check() },
		})
	})
}

type oneCheckoutModel struct {
	*rapid.T
	box    *box
	clock  *steppedClock
	orders []*bought
	open   map[domain.BuyerID]*bought
}

// pick takes any order, so that most requests are repeats.
func (m *oneCheckoutModel) pick() *bought {
	if len(m.orders) == 0 {
		m.Skip("no order yet")
	}
	return m.orders[rapid.IntRange(0, len(m.orders)-1).Draw(m.T, "order")]
}

func (m *oneCheckoutModel) begin() {
	buyer := rapid.SampledFrom([]string{"ann", "bob", "cyd"}).Draw(m.T, "buyer")
	m.orders = append(m.orders, &bought{Order: m.box.order(buyer, 1, 0)})
	m.hold(m.orders[len(m.orders)-1])
}

func (m *oneCheckoutModel) again() { m.hold(m.pick()) }

func (m *oneCheckoutModel) hold(o *bought) {
	if rapid.Bool().Draw(m.T, "on a node that knows nobody") {
		m.box.book = ledger.NewBook(m.box.batcher)
	}
	got, err := m.box.book.Hold(m.box.ctx, o.Order)
	if err != nil {
		m.Fatalf("hold: %v", err)
	}
	switch {
	case o.hold == "" && m.open[o.Buyer] == nil:
		o.hold, o.deadline = "held", got.HeldAt.Add(o.HoldTimeout+domain.HoldGraceDefault)
		m.open[o.Buyer] = o
	case o.hold == "":
		o.hold = "refused"
	}
	if refused := o.hold == "refused"; refused != got.CheckoutOpen || refused == (got.Outcome == domain.HoldHeld) {
		m.Fatalf("hold of an order that is %s = %+v", o.hold, got)
	}
}

// end moves an order that is held on; the buyer may begin another checkout.
func (m *oneCheckoutModel) end(o *bought, how string) {
	if o.hold == "held" {
		o.hold = how
		delete(m.open, o.Buyer)
	}
}

func (m *oneCheckoutModel) pay() {
	o := m.pick()
	m.end(o, "posted")
	got, err := m.box.book.Post(m.box.ctx, o.Order)
	if want := o.hold == "posted" && !o.returned; err != nil || (got == domain.PostPosted) != want {
		m.Fatalf("post of an order that is %s, returned %v = %s, %v", o.hold, o.returned, got, err)
	}
}

func (m *oneCheckoutModel) giveUp() {
	o := m.pick()
	m.end(o, "voided")
	got, err := m.box.book.Void(m.box.ctx, o.Order)
	if want := o.hold == "posted"; err != nil || (got == domain.VoidPosted) != want {
		m.Fatalf("void of an order that is %s = %s, %v", o.hold, got, err)
	}
}

// payLate: only where the hold is gone, as for late money.
func (m *oneCheckoutModel) payLate() {
	o := m.pick()
	if o.hold == "held" || o.hold == "posted" {
		m.Skip("its hold is not gone")
	}
	got, err := m.box.book.Rebook(m.box.ctx, o.Order)
	if err == nil && o.rebooked == "" {
		o.rebooked = "booked"
		if o.returned || got == domain.RebookNoneLeft {
			o.rebooked = "refused"
		}
	}
	if want := o.rebooked == "booked" && !o.returned; err != nil || (got == domain.RebookBooked) != want {
		m.Fatalf("rebook of an order that is %s, %s, returned %v = %s, %v", o.hold, o.rebooked, o.returned, got, err)
	}
}

func (m *oneCheckoutModel) giveBack() {
	o := m.pick()
	booking := domain.BookedByHold
	switch {
	case o.rebooked == "booked":
		booking = domain.BookedByRebook
	case o.hold != "posted":
		m.Skip("it was not sold")
	}
	if err := m.box.unsell(o.Order, booking); err != nil {
		m.Fatalf("unsell of an order that is %s, %s: %v", o.hold, o.rebooked, err)
	}
	o.returned = true
}

// letExpire puts the clock past all that is held.
func (m *oneCheckoutModel) letExpire() {
	if len(m.open) == 0 {
		m.Skip("nothing is held")
	}
	m.clock.ahead.Add(int64(m.box.sale.HoldTimeout + domain.HoldGraceDefault + time.Second))
	for _, o := range m.open {
		m.end(o, "expired")
	}
	eventually(m.box.t, "the ledger expires holds past their deadline", func() bool {
		level, err := m.box.book.QuotaLevel(m.box.ctx, m.box.sale, m.box.sale.CheckoutLedger)
		return err == nil && level.Held == 0
	})
}

func (m *oneCheckoutModel) check() {
	level, err := m.box.book.QuotaLevel(m.box.ctx, m.box.sale, m.box.sale.CheckoutLedger)
	if err != nil || level.Held != int64(len(m.open)) || level.Sold != 0 {
		m.Fatalf("open checkouts = %+v, %v, want %d held and none ever sold", level, err, len(m.open))
	}
	quota, err := m.box.book.Quota(m.box.ctx, m.box.sale, m.box.sale.CheckoutLedger)
	if err != nil || len(quota.Uses) != len(m.open) {
		m.Fatalf("open checkouts = %+v, %v, want %d", quota, err, len(m.open))
	}
	var held int64
	for _, use := range quota.Uses {
		if o := m.open[use.Buyer]; o == nil || o.ID != use.Order || use.Held != 1 {
			m.Fatalf("open checkout %+v, want %+v", use, o)
		}
		held++
	}
	levels, err := m.box.book.Stock(m.box.ctx, m.box.sale)
	if err != nil || levels[0].Held != held {
		m.Fatalf("%+v, %v, want as many seats held as checkouts are open, %d", levels[0], err, held)
	}
}

package admission

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

func TestGate(t *testing.T) {
	tests := []struct {
		name       string
		held, sold int64
		err        error
		code       domain.Code // empty: let through
		wantHeld   int64
		retryAfter time.Duration
	}{
		{name: "enough left", held: 1, sold: 2},
		{name: "just enough left", held: 1, sold: 2},
		{name: "sold out for good", sold: 5, code: domain.CodeSoldOut},
		{name: "too few left", sold: 4, code: domain.CodeSoldOut},
		{name: "others hold the rest", held: 3, sold: 2, code: domain.CodeSoldOut, wantHeld: 3, retryAfter: 5 * time.Second},
		{name: "no answer of the ledger is not a no", sold: 5, err: errors.New("down")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := setup(t)
			b.stockOf(0, test.held, test.sold)
			b.world.StockErr = test.err
			err := b.refusal(testKey, wish("A", 2))
			if test.code == "" {
				if b.startsNow() != 1 {
					t.Errorf("the Desk was not asked: %v", err)
				}
				return
			}
			if refusal := wantRefusal(t, err, test.code); refusal.Held != test.wantHeld || refusal.RetryAfter != test.retryAfter {
				t.Errorf("held %d, retry after %v: %v", refusal.Held, refusal.RetryAfter, err)
			}
			if b.startsNow() != 0 {
				t.Error("a workflow was started for a no that was known")
			}
		})
	}
}

// The buyer who holds the last ticket repeats the request. The gate must not answer that.
func TestGateLetsAKnownKeyThrough(t *testing.T) {
	b := setup(t)
	if err := b.refusal(testKey, wish("A", 5)); err != nil {
		t.Fatalf("%v", err)
	}
	waitFor(t, func() bool { return b.refusal(testKey+"-other", wish("A", 1)) != nil })
	if answer, err := b.checkout(testKey, wish("A", 5)); err != nil || !answer.Replayed {
		t.Errorf("%+v, %v", answer, err)
	}
}

// A key keeps its answer when the class sells out afterwards.
func TestGateLetsThroughAKeyThatWasOverTheLimit(t *testing.T) {
	b := setup(t)
	b.world.LimitReached = true
	wantRefusal(t, b.refusal(testKey, wish("A", 1)), domain.CodeLimitReached)
	b.world.LimitReached = false
	b.stockOf(0, 0, 5)
	waitFor(t, func() bool { return b.refusal(testKey+"-other", wish("A", 1)) != nil })
	wantRefusal(t, b.refusal(testKey, wish("A", 1)), domain.CodeLimitReached)
}

// A refusal must not cost the workflow engine anything, least of all an overloaded one.
func TestGateDoesNotAskTheDesk(t *testing.T) {
	b := setup(t)
	b.stockOf(0, 0, 5)
	b.world.StateErr, b.world.StartErr = errors.New("down"), errors.New("down")
	wantRefusal(t, b.refusal(testKey, wish("A", 1)), domain.CodeSoldOut)
}

func TestGateStartsNothingIfNothingIsKnown(t *testing.T) {
	b := setup(t)
	b.stockOf(0, 0, 5)
	b.world.TakingsErr = errors.New("down")
	b.world.KnownErr = &domain.UnknownError{Op: "look up", Err: errors.New("down")}
	wantRefusal(t, b.refusal(testKey, wish("A", 1)), domain.CodeOverloaded)
	if b.startsNow() != 0 {
		t.Errorf("%d checkouts started", b.startsNow())
	}
}

// elsewhere places a checkout on another node.
func (b *bundle) elsewhere(key, email string, quantity int64) domain.Order {
	b.t.Helper()
	o, err := domain.NewOrder(b.sale, b.world.Keys, key, []domain.Item{{Class: "A", Quantity: quantity}}, email)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.world.Start(b.t.Context(), o); err != nil {
		b.t.Fatal(err)
	}
	return o
}

// What answer a key gets while its class is sold out, and what that costs the ledger.
func TestGateFindsTheAnswersOfKeys(t *testing.T) {
	tests := []struct {
		name    string
		before  func(*bundle)
		email   string
		code    domain.Code
		lookups int
	}{
		{name: "a new key of a new buyer", email: "new@example.com", code: domain.CodeSoldOut},
		{name: "a new key of a buyer who has some", email: "some@example.com", code: domain.CodeSoldOut,
			before: func(b *bundle) { b.elsewhere(testKey+"-first", "some@example.com", 2) }},
		{name: "a key that holds, taken by this node", email: "ann@example.com",
			before: func(b *bundle) { b.refusal(testKey, wishOf("ann@example.com", 1)) }},
		{name: "a key that holds, taken by another node", email: "ann@example.com",
			before: func(b *bundle) { b.elsewhere(testKey, "ann@example.com", 1) }},
		{name: "a key whose hold was given back", email: "ann@example.com",
			before: func(b *bundle) { b.world.GiveUp(b.elsewhere(testKey, "ann@example.com", 1).ID) }},
		{name: "a key that was over the limit on this node", email: "eve@example.com", code: domain.CodeLimitReached,
			before: func(b *bundle) {
				b.checkout(testKey+"-some", wishOf("bob@example.com", 1)) // the sale is followed
				b.world.LimitReached = true
				b.checkout(testKey, wishOf("eve@example.com", 1))
			}},
		{name: "a key that was over the limit on another node", email: "eve@example.com", code: domain.CodeLimitReached, lookups: 1,
			before: func(b *bundle) {
				b.sale.BuyerLimit = 3
				b.elsewhere(testKey+"-first", "eve@example.com", 3)
				b.world.LimitReached = true
				b.elsewhere(testKey, "eve@example.com", 1)
			}},
		{name: "a key refused on another node, for another open checkout", email: "eve@example.com", code: domain.CodeLimitReached, lookups: 1,
			before: func(b *bundle) {
				b.sale.OneCheckoutPerBuyer, b.sale.CheckoutLedger = true, 99
				b.elsewhere(testKey+"-first", "eve@example.com", 1)
				b.world.LimitReached = true
				b.elsewhere(testKey, "eve@example.com", 1)
			}},
		{name: "a new key of a buyer at the limit", email: "eve@example.com", code: domain.CodeSoldOut, lookups: 1,
			before: func(b *bundle) {
				b.sale.BuyerLimit = 3
				b.elsewhere(testKey+"-first", "eve@example.com", 3)
			}},
		{name: "the takings cannot be read", email: "new@example.com", code: domain.CodeSoldOut, lookups: 1,
			before: func(b *bundle) { b.world.TakingsErr = errors.New("down") }},
		{name: "the takings are not caught up with", email: "new@example.com", code: domain.CodeSoldOut, lookups: 1,
			before: func(b *bundle) {
				b.world.TakingsPageMax = 1
				for i := range gatePagesMax + 1 {
					b.world.Taken = append(b.world.Taken, domain.Taking{Order: domain.OrderID{byte(i)}})
				}
			}},
		{name: "there are too many takings", email: "new@example.com", code: domain.CodeSoldOut, lookups: 1,
			before: func(b *bundle) { b.adm.gate.takingsMax = 0 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := setup(t)
			if test.before != nil {
				test.before(b)
			}
			b.world.LimitReached = false
			b.stockOf(0, 3, 2)
			b.outdateGate()
			b.world.Lookups, b.world.Starts = 0, 0
			err := b.refusal(testKey, wishOf(test.email, 1))
			if test.code == "" {
				wantHeld(t, err)
			} else {
				wantRefusal(t, err, test.code)
			}
			if b.world.Lookups != test.lookups {
				t.Errorf("%d lookups, want %d", b.world.Lookups, test.lookups)
			}
			if refused := test.code == domain.CodeSoldOut; refused != (b.world.Starts == 0) {
				t.Errorf("the Desk was asked %d times", b.world.Starts)
			}
		})
	}
}

// A canceled sale refuses every request, even while the ledger still shows seats. Like a
// sold-out one, that costs the ledger nothing.
func TestRefusalsOfACanceledSaleCostTheLedgerNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.sale.BuyerLimit = 1 // no class is short
		b.cancelSale()
		for i := range 100 {
			wantRefusal(t, b.refusal(fmt.Sprintf("%s-%d", testKey, i), wish("A", 1)), domain.CodeSaleCanceled)
		}
		if b.world.Lookups != 0 || b.world.StockReads != 1 || b.world.TakingsReads != 1 {
			t.Errorf("%d lookups, %d and %d reads", b.world.Lookups, b.world.StockReads, b.world.TakingsReads)
		}
	})
}

// While the ledger does not answer, memory of a canceled sale refuses nobody: another node
// may have placed a hold for the key before it knew.
func TestACanceledSaleAndASilentLedger(t *testing.T) {
	b := setup(t)
	b.cancelSale()
	wantRefusal(t, b.refusal(testKey+"-other", wish("A", 1)), domain.CodeSaleCanceled) // the takings are in memory
	b.elsewhere(testKey, "ann@example.com", 1)
	b.world.StockErr = errors.New("down")
	b.outdateGate()
	if err := b.refusal(testKey, wishOf("ann@example.com", 1)); err != nil || b.world.Lookups != 1 {
		t.Errorf("%v after %d lookups", err, b.world.Lookups)
	}
}

// cancelSale cancels the sale on this node, as the organiser does.
func (b *bundle) cancelSale() {
	b.world.callOff(b.sale.ID)
	b.adm.catalog.Forget(b.sale.ID)
}

// outdateGate makes the gate ask the ledger before it says anything.
func (b *bundle) outdateGate() {
	s := b.adm.gate.of(b.sale.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer.Store(nil)
	s.outdated++
}

func TestRefusalsCostTheLedgerNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.stockOf(0, 0, 5)
		wantRefusal(t, b.refusal(testKey, wish("A", 1)), domain.CodeSoldOut)
		stockReads, takingsReads := b.world.StockReads, b.world.TakingsReads
		for i := range 1000 {
			wantRefusal(t, b.refusal(fmt.Sprintf("%s-%d", testKey, i), wish("A", 1)), domain.CodeSoldOut)
		}
		if b.world.Lookups != 0 || b.world.StockReads != stockReads || b.world.TakingsReads != takingsReads {
			t.Errorf("%d lookups, %d and %d more reads", b.world.Lookups, b.world.StockReads-stockReads, b.world.TakingsReads-takingsReads)
		}
	})
}

// The takings must be at least as new as the levels that refuse: an order that takes the
// last seats between the two reads must not be refused for lack of them.
func TestGateReadsTheTakingsAfterTheLevels(t *testing.T) {
	b := setup(t)
	var order domain.Order
	var once sync.Once
	books := booksThen{b.world, func() { once.Do(func() { order = b.elsewhere(testKey, "ann@example.com", 5) }) }}
	gate := newGate(NewCatalog(b.world, books), books)
	gate.look(t.Context(), gate.of(b.sale.ID), b.sale)
	if judged, refusal := gate.judge(t.Context(), b.sale, &order); judged != letThrough {
		t.Errorf("%v %v", judged, refusal)
	}
	if b.world.TakingsReads != 1 {
		t.Errorf("%d reads of the takings", b.world.TakingsReads)
	}
}

// booksThen runs a function after each read.
type booksThen struct {
	*world
	then func()
}

func (s booksThen) Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	defer s.then()
	return s.world.Stock(ctx, sale)
}

func (s booksThen) Takings(ctx context.Context, sale *domain.Sale, from domain.TakingsCursor) (domain.TakingsPage, error) {
	defer s.then()
	return s.world.Takings(ctx, sale, from)
}

// A hold that the ledger refused closes the gate for later requests, even if the last read
// still showed seats.
func TestASoldOutHoldClosesTheGateAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		if err := b.refusal(testKey, wish("A", 1)); err != nil { // the gate sees five seats
			t.Fatalf("%v", err)
		}
		b.stockOf(0, 5, 0) // other nodes took the rest
		wantRefusal(t, b.refusal(testKey+"-2", wish("A", 1)), domain.CodeSoldOut)
		starts := b.startsNow()
		wantRefusal(t, b.refusal(testKey+"-3", wish("A", 1)), domain.CodeSoldOut)
		if b.startsNow() != starts {
			t.Error("a request after the ledger's no reached the Desk")
		}
	})
}

// Nor does a read under way that still saw the seats open it again.
func TestASoldOutHoldOutdatesTheReadUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		books := &slowBooks{b.world, []time.Duration{time.Millisecond}}
		gate := newGate(NewCatalog(b.world, books), books)
		judge := func() gateVerdict { judged, _ := gate.judge(t.Context(), b.sale, b.gateOrder(1)); return judged }
		judge()
		time.Sleep(gateRefreshAge)
		judge() // starts the next read
		synctest.Wait()
		b.stockOf(0, 5, 0)
		gate.learn(b.sale, b.gateOrder(1), domain.Hold{Outcome: domain.HoldSoldOut})
		if judged := judge(); judged != refused || b.world.StockReads != 3 {
			t.Errorf("%v after %d reads", judged, b.world.StockReads)
		}
	})
}

// A hold of this node is known at once, even if the last read is older and says that
// nothing is left.
func TestAHoldOfThisNodeIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.world.StartBlock = make(chan struct{})
		first := make(chan error)
		go func() { first <- b.refusal(testKey, wishOf("ann@example.com", 2)) }()
		synctest.Wait()    // let through, and on its way to the ledger
		b.stockOf(0, 5, 0) // others were faster
		b.outdateGate()
		wantRefusal(t, b.refusal(testKey+"-2", wish("A", 1)), domain.CodeSoldOut)
		b.stockOf(0, 3, 0) // two came back
		close(b.world.StartBlock)
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		if err := b.refusal(testKey, wishOf("ann@example.com", 2)); err != nil || b.world.Lookups != 0 {
			t.Errorf("%v after %d lookups", err, b.world.Lookups)
		}
	})
}

func TestAFreedHoldReopensTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		order := b.elsewhere(testKey, "ann@example.com", 5)
		wantRefusal(t, b.refusal(testKey+"-2", wish("A", 5)), domain.CodeSoldOut)
		b.world.GiveUp(order.ID)
		// The next request may still be refused by the old answer, but triggers a new read.
		freed := time.Now()
		for b.refusal(testKey+"-3", wish("A", 5)) != nil {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(freed); took > 2*gateRefreshAge {
			t.Errorf("reopened after %s", took)
		}
	})
}

func (b *bundle) gateOrder(quantity int64) *domain.Order {
	return &domain.Order{
		ID: domain.OrderID{1}, Buyer: domain.BuyerID{1}, BuyerLimit: b.sale.BuyerLimit,
		Lines: []domain.Line{{Class: "A", Ledger: b.sale.Classes[0].Ledger, Quantity: quantity}},
	}
}

func TestGateRenewsItsAnswerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.stockOf(0, 5, 0)
		judge := func() gateVerdict { judged, _ := b.adm.gate.judge(t.Context(), b.sale, b.gateOrder(1)); return judged }
		if judge() != refused {
			t.Fatal("let through")
		}
		reads := b.world.StockReads
		b.stockOf(0, 0, 0) // a hold was given back
		if judge() != refused || b.world.StockReads != reads {
			t.Error("the ledger was asked again within gateRefreshAge")
		}
		time.Sleep(gateRefreshAge)
		judge() // triggers a new read
		synctest.Wait()
		if judge() != letThrough || b.world.StockReads != reads+1 {
			t.Errorf("refused by an old answer, after %d reads", b.world.StockReads-reads)
		}
	})
}

// An answer that is too old refuses nobody, however long the next one takes: requests wait
// for it.
func TestGateWaitsForASlowLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.stockOf(0, 5, 0)
		books := &slowBooks{b.world, []time.Duration{GateMaxAge + 10*time.Millisecond, time.Millisecond}}
		gate := newGate(NewCatalog(b.world, books), books)
		judge := func() gateVerdict { judged, _ := gate.judge(t.Context(), b.sale, b.gateOrder(1)); return judged }
		go judge()
		time.Sleep(GateMaxAge + time.Millisecond)
		b.stockOf(0, 0, 0) // a hold was given back, and the read under way does not show it
		if judged := judge(); judged != letThrough || b.world.StockReads != 2 {
			t.Errorf("%v after %d reads: refused by an old answer, or not by the next one", judged, b.world.StockReads)
		}
	})
}

// slowBooks delays each read: the first, the second and so on; the last delay counts for
// all that follow.
type slowBooks struct {
	*world
	delays []time.Duration
}

func (s *slowBooks) Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	levels, err := s.world.Stock(ctx, sale)
	s.Mu.Lock()
	delay := s.delays[min(s.StockReads, len(s.delays))-1]
	s.Mu.Unlock()
	time.Sleep(delay)
	return levels, err
}

func TestGateDoesNotWaitForALedgerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		gate := newGate(NewCatalog(b.world, hangingBooks{b.world}), hangingBooks{b.world})
		began := time.Now()
		judged, _ := gate.judge(t.Context(), b.sale, b.gateOrder(1))
		if judged != letThrough || time.Since(began) != gateWaitMax {
			t.Errorf("%v after %s", judged, time.Since(began))
		}
		time.Sleep(stockTimeout) // the shared read ends by its own deadline
	})
}

type hangingBooks struct{ *world }

func (hangingBooks) Stock(ctx context.Context, _ *domain.Sale) ([]domain.StockLevel, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Idle sales make room for others, and are read again when somebody asks.
func TestGateForgetsIdleSales(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.elsewhere(testKey, "ann@example.com", 5)
		b.adm.gate.takingsMax = 1
		refuse := func(want int) {
			t.Helper()
			b.world.Lookups = 0
			b.outdateGate()
			wantRefusal(t, b.refusal(testKey+"-2", wish("A", 1)), domain.CodeSoldOut)
			if b.world.Lookups != want {
				t.Errorf("%d lookups, want %d", b.world.Lookups, want)
			}
		}
		other := &saleGate{}
		other.askedAt.Store(time.Now().UnixNano())
		other.takings.open()
		b.adm.gate.sales["other"] = other
		b.adm.gate.remember(other, domain.Taking{Order: domain.OrderID{9}})
		refuse(1) // no room
		time.Sleep(gateIdle + 1)
		b.adm.gate.takingsMax = 2
		b.adm.gate.remember(other, domain.Taking{Order: domain.OrderID{8}})
		refuse(0) // the other is idle
		if n := b.adm.gate.remembered.Load(); n != 1 {
			t.Errorf("%d orders remembered, want that of this sale", n)
		}
		if _, _, kept := other.takings.of(domain.OrderID{9}, domain.BuyerID{}); kept {
			t.Error("the other is still remembered")
		}
	})
}

// Compared with the world's own lookups: whatever happens on this node and another, a key
// that has an answer is let through, and one that has none is refused, as soon as the gate
// has asked the ledger.
func TestGateAgreesWithTheLedger(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			b := setup(t)
			b.world.TakingsPageMax = 1 + random.IntN(4)
			b.sale.BuyerLimit = 1 + random.Int64N(6)
			var orders []domain.Order
			for i := range 60 {
				email := fmt.Sprintf("buyer-%d@example.com", random.IntN(8))
				key := fmt.Sprintf("%s-%d", testKey, i)
				quantity := 1 + random.Int64N(b.sale.BuyerLimit)
				o, err := domain.NewOrder(b.sale, b.world.Keys, key, []domain.Item{{Class: "A", Quantity: quantity}}, email)
				if err != nil {
					t.Fatal(err)
				}
				orders = append(orders, o)
				b.world.LimitReached = b.world.takenBy(o.Buyer, stillHeld)+quantity > b.sale.BuyerLimit
				switch random.IntN(5) {
				case 0:
					b.checkout(key, wishOf(email, quantity))
				case 1, 2:
					b.elsewhere(key, email, quantity)
				case 3:
					b.world.GiveUp(orders[random.IntN(len(orders))].ID)
				}
				if random.IntN(3) == 0 {
					b.compareWithTheLedger(orders)
				}
			}
			b.compareWithTheLedger(orders)
		})
	}
}

func (b *bundle) compareWithTheLedger(orders []domain.Order) {
	b.t.Helper()
	reads := len(b.world.Taken)/(gatePagesMax*b.world.TakingsPageMax) + 1
	for caughtUp := false; !caughtUp; reads-- {
		if reads == 0 {
			b.t.Fatal("the gate does not catch up with the takings")
		}
		b.outdateGate()
		answer := b.adm.gate.look(b.t.Context(), b.adm.gate.of(b.sale.ID), b.sale)
		caughtUp = answer.followed || !answer.isShort(b.sale)
	}
	for i := range orders {
		o := &orders[i]
		known, err := b.world.Known(b.t.Context(), o)
		if err != nil {
			b.t.Fatal(err)
		}
		short := b.world.Levels[o.Lines[0].Ledger].Available < o.Quantity()
		judged, _ := b.adm.gate.judge(b.t.Context(), b.sale, o)
		switch {
		case judged == doubtful && short && b.world.takenBy(o.Buyer, everTaken)+o.Quantity() > b.sale.BuyerLimit: // the ledger is asked
		case judged == letThrough && (known || !short):
		case judged == refused && !known && short:
		default:
			b.t.Errorf("order %d: judged %d, known %v, short %v", i, judged, known, short)
		}
	}
}

// Ways to count what a buyer took.
func stillHeld(s *domain.CheckoutState) bool { return s.Status == domain.OrderHeld }
func everTaken(*domain.CheckoutState) bool   { return true }

func (w *world) takenBy(buyer domain.BuyerID, counts func(*domain.CheckoutState) bool) (n int64) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	for _, t := range w.Taken {
		if t.Buyer == buyer && counts(w.States[t.Order]) {
			n += t.Quantity
		}
	}
	return n
}

// Many buyers come at once and holds come and go. A node never refuses a key that it holds
// seats for.
func TestGateNeverRefusesAKeyThatThisNodeHolds(t *testing.T) {
	b := setup(t)
	var buyers sync.WaitGroup
	for i := range 32 {
		buyers.Go(func() {
			for n := range 30 {
				key, body := fmt.Sprintf("%s-%d-%d", testKey, i, n), wishOf(fmt.Sprintf("b%d@example.com", i), 1)
				if b.refusal(key, body) != nil {
					continue
				}
				if err := b.refusal(key, body); err != nil {
					t.Errorf("%s holds seats, but got %v", key, err)
				}
				o, err := domain.NewOrder(b.sale, b.world.Keys, key, []domain.Item{{Class: "A", Quantity: 1}}, fmt.Sprintf("b%d@example.com", i))
				if err != nil {
					t.Error(err)
				}
				b.world.GiveUp(o.ID)
			}
		})
	}
	buyers.Wait()
}

package admission

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

// oneTurn is a node whose engine takes one checkout at a time, with the only permit taken;
// over frees it.
func oneTurn(t *testing.T, lineMax int) (b *bundle, over func()) {
	b = setup(t, func(o *Options) { o.InLineMax = lineMax })
	b.adm.bound = newAdaptiveBound(1, 1, lineMax)
	b.adm.bound.enter(time.Now())
	return b, func() { b.adm.bound.leave(time.Now(), time.Millisecond, true) }
}

func TestACheckoutWaitsForItsTurn(t *testing.T) {
	for name, c := range map[string]struct {
		inLine int // ahead of it in line
		after  func(b *bundle, over func())
		code   domain.Code // empty: held
		took   time.Duration
		starts int
	}{
		"that comes": {
			after: func(_ *bundle, over func()) { over() },
			took:  time.Second / 2, starts: 1,
		},
		"and never gets it": {
			after: func(*bundle, func()) {},
			code:  domain.CodeOverloaded, took: lineWaitMax,
		},
		"behind a full line": {
			inLine: 3, after: func(*bundle, func()) {},
			code: domain.CodeOverloaded,
		},
		"and the seats sell out meanwhile": {
			after: func(b *bundle, over func()) { b.stockOf(0, 0, 5); over() },
			code:  domain.CodeSoldOut, took: time.Second / 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, over := oneTurn(t, 3)
				for range c.inLine {
					b.adm.bound.enter(time.Now())
				}
				began := time.Now()
				go func() {
					time.Sleep(time.Second / 2)
					c.after(b, over)
				}()
				err := b.refusal(testKey, wish("A", 1))
				if took := time.Since(began); took != c.took {
					t.Errorf("answered after %v, want %v", took, c.took)
				}
				if b.world.Starts != c.starts {
					t.Errorf("%d starts, want %d", b.world.Starts, c.starts)
				}
				if c.code == "" {
					wantHeld(t, err)
				} else {
					wantRefusal(t, err, c.code)
				}
				if c.code == domain.CodeOverloaded && retryAfterOf(err) == 0 {
					t.Error("no RetryAfter")
				}
				if n := b.adm.bound.holds.n; c.code == domain.CodeSoldOut && n != 0 {
					t.Errorf("%d holds count since the previous one", n)
				}
				// Whatever the answer, the key and the permit are free again.
				time.Sleep(time.Second)
				if c.code == domain.CodeOverloaded && c.inLine == 0 {
					over()
					if err := b.refusal(testKey, wish("A", 1)); err != nil {
						t.Errorf("the same key afterwards: %v", err)
					}
				}
				if _, inFlight, _ := b.adm.bound.state(); c.inLine == 0 && inFlight != 0 {
					t.Errorf("%d permits are still taken", inFlight)
				}
			})
		})
	}
}

// The line is first come, first served, and a client that leaves costs nobody a permit.
func TestTheLineIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, over := oneTurn(t, 10)
		var mu sync.Mutex
		var served []string
		var all sync.WaitGroup
		arrive := func(ctx context.Context, who string) {
			order := domain.Order{SaleID: b.sale.ID, Buyer: domain.BuyerID{1}}
			all.Go(func() {
				leave, waited, err := b.adm.admit(ctx, &order)
				if err != nil || !waited {
					return
				}
				mu.Lock()
				served = append(served, who)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				leave(10*time.Millisecond, nil)
			})
			time.Sleep(time.Millisecond)
		}
		left, leave := context.WithCancel(t.Context())
		arrive(t.Context(), "first")
		arrive(left, "who left")
		arrive(t.Context(), "second")
		arrive(t.Context(), "third")
		leave()
		synctest.Wait()
		over()
		arrive(t.Context(), "fourth")
		all.Wait()
		if want := []string{"first", "second", "third", "fourth"}; len(served) != 4 || served[0] != want[0] || served[1] != want[1] || served[2] != want[2] || served[3] != want[3] {
			t.Errorf("served %q, want %q", served, want)
		}
		if n := b.adm.bound.inLine(); n != 0 {
			t.Errorf("%d are left in the line", n)
		}
	})
}

// Whoever comes, leaves or gives up, and however the bound moves: letting somebody in never
// exceeds it, nobody waits while there is room, nobody overtakes, and in the end nobody is
// left.
func TestTheLineLosesNobody(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	now := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	b := newAdaptiveBound(2, 40, 30)
	var inside int
	var line []*waiter
	hasTurn := func(w *waiter) bool {
		select {
		case <-w.letIn:
			return true
		default:
			return false
		}
	}
	look := func(what string) {
		for len(line) > 0 && hasTurn(line[0]) {
			line = line[1:]
			inside++
		}
		for _, w := range line {
			if hasTurn(w) {
				t.Fatalf("%s: somebody overtook", what)
			}
		}
		limit, inFlight, _ := b.state()
		if inFlight != inside || b.inLine() != len(line) {
			t.Fatalf("%s: %d under way and %d in line, want %d and %d", what, inFlight, b.inLine(), inside, len(line))
		}
		if len(line) > 0 && inFlight < limit {
			t.Fatalf("%s: %d wait, and %d of %d are under way", what, len(line), inFlight, limit)
		}
	}
	for range 50_000 {
		now = now.Add(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		limit, before, _ := b.state()
		switch n := random.IntN(10); {
		case n < 5:
			w, ok := b.enter(now)
			switch {
			case !ok:
			case w != nil:
				line = append(line, w)
			default:
				inside++
				if limitNow, _, _ := b.state(); before >= max(limit, limitNow) {
					t.Fatalf("let in as number %d of %d", before+1, limitNow)
				}
			}
			look("enter")
		case n < 8 && inside > 0:
			inside--
			b.leave(now, time.Duration(random.Int64N(int64(2*holdLatencyTarget))), random.IntN(4) > 0)
			look("leave")
		case n == 8 && len(line) > 0:
			i := random.IntN(len(line))
			if !b.giveUp(line[i], random.IntN(2) == 0) {
				t.Fatal("a waiter could not give up")
			}
			line = append(line[:i:i], line[i+1:]...)
			look("give up")
		case n == 9:
			b.webhook(now, time.Duration(random.Int64N(int64(time.Second))))
			look("webhook")
		}
	}
	for inside > 0 {
		inside--
		b.leave(now, time.Millisecond, true)
		look("leave at the end")
	}
}

// A waiter that gives up at the moment of its admission has the permit.
func TestGivingUpTooLate(t *testing.T) {
	b := newAdaptiveBound(1, 1, 1)
	now := time.Now()
	b.enter(now)
	w, _ := b.enter(now)
	b.leave(now, time.Millisecond, true)
	if b.giveUp(w, true) {
		t.Error("gave up a permit that nobody else will get")
	}
}

// A small rush: more clients come than there are permits, and all are told in the end.
func TestARushIsAnsweredInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const buyers = 60
		b := setup(t, func(o *Options) { o.Desk = slowDesk{o.Desk, 50 * time.Millisecond} })
		b.adm.bound = newAdaptiveBound(2, 2, InLineMax)
		answers := make(chan error, buyers)
		for i := range buyers {
			go func() { answers <- b.refusal(testKey+string(rune('A'+i)), wish("A", 1)) }()
		}
		held, soldOut := 0, 0
		for range buyers {
			switch err := <-answers; {
			case err == nil:
				held++
			case domain.CodeOf(err) == domain.CodeSoldOut:
				soldOut++
			}
		}
		if held != 5 || soldOut != buyers-5 {
			t.Errorf("%d hold seats and %d are told sold out, want 5 and all others", held, soldOut)
		}
		if b.world.Starts > 5+2 {
			t.Errorf("%d were started for 5 seats", b.world.Starts)
		}
	})
}

// The first checkouts find out that the engine hangs. Everybody who comes after that is
// told at once.
func TestAnEngineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const buyers = 300
		b := setup(t, func(o *Options) { o.Desk = slowDesk{o.Desk, time.Hour} })
		began := time.Now()
		var all sync.WaitGroup
		for i := range buyers {
			all.Go(func() {
				err := b.refusal(testKey+strconv.Itoa(i), wish("A", 1))
				if took := time.Since(began); err == nil || took > RequestTimeout {
					t.Errorf("%v after %v", err, took)
				}
			})
		}
		all.Wait()
		if !b.adm.Breakers.Checkouts.IsOpen() {
			t.Error("the breaker is closed")
		}
		if n := b.adm.bound.inLine(); n != 0 {
			t.Errorf("%d are left in the line", n)
		}
	})
}

// hangingDesk does not answer until a request's time is up, as long as it hangs.
type hangingDesk struct {
	Desk
	hangs atomic.Bool
}

func (d *hangingDesk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	if d.hangs.Load() {
		<-ctx.Done()
		time.Sleep(time.Millisecond) // a client of gRPC needs a moment to say so
		return domain.HoldAnswer{}, &domain.UnknownError{Op: "hold", ID: order.ID.String(), Err: ctx.Err()}
	}
	return d.Desk.Start(ctx, order)
}

// One hold that took all of its request's time does not keep others out for ever.
func TestOneHoldThatHangsIsOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := &hangingDesk{}
		b := setup(t, func(o *Options) { desk.Desk, o.Desk = o.Desk, desk })
		desk.hangs.Store(true)
		wantRefusal(t, b.refusal(testKey, wish("A", 1)), domain.CodeUnknown)
		desk.hangs.Store(false)
		if err := b.refusal(testKey+"-next", wish("A", 1)); err != nil {
			t.Errorf("the next one: %v", err)
		}
		time.Sleep(time.Second)
		b.checkout(testKey+"-another", wish("A", 1))
		if _, _, p90 := b.adm.bound.state(); p90 > time.Second {
			t.Errorf("holds still count as taking %v", p90)
		}
	})
}

// panickyBooks panics when it looks up an order.
type panickyBooks struct {
	Books
	panics atomic.Bool
}

func (p *panickyBooks) Known(ctx context.Context, order *domain.Order) (bool, error) {
	if p.panics.Load() {
		panic("a bug")
	}
	return p.Books.Known(ctx, order)
}

// A permit is freed, whatever happens.
func TestAPanicFreesThePermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		books := &panickyBooks{}
		b := setup(t, func(o *Options) { books.Books, o.Books = o.Books, books })
		b.adm.gate.takingsMax = 0 // each refusal looks its key up
		b.adm.bound = newAdaptiveBound(1, 1, 1)
		b.adm.bound.enter(time.Now())
		go func() {
			time.Sleep(lineWaitMax / 2)
			b.stockOf(0, 0, 5)
			books.panics.Store(true)
			b.adm.bound.leave(time.Now(), time.Millisecond, true)
		}()
		panicked := func() (cause any) {
			defer func() { cause = recover() }()
			return b.refusal(testKey, wish("A", 1))
		}
		if cause := panicked(); cause != "a bug" {
			t.Fatalf("%v, want a panic", cause)
		}
		if _, inFlight, _ := b.adm.bound.state(); inFlight != 0 {
			t.Errorf("%d permits leaked", inFlight)
		}
	})
}

// While the engine is known to be down, nobody waits to be told so, even if the ledger,
// which the gate asks, does not answer either.
func TestNobodyWaitsForAnEngineThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		wantHeld(t, b.refusal(testKey, wish("A", 2)))
		for range checkoutFailuresMax {
			_, _ = Guard(t.Context(), b.adm.Breakers.Checkouts, func() (int, error) { return 0, &domain.UnknownError{Op: "hold"} })
		}
		for range InFlightMin + boundStart { // the bound is full
			b.adm.bound.enter(time.Now())
		}
		began := time.Now()
		err := b.refusal(testKey+"-more", wish("A", 1))
		wantRefusal(t, err, domain.CodeOverloaded)
		if took, after := time.Since(began), retryAfterOf(err); took != 0 || after != breakerOpen {
			t.Errorf("answered after %v, to come back after %v", took, after)
		}
		time.Sleep(breakerOpen + time.Millisecond)
		for b.adm.bound.inLine() > 0 {
			b.adm.bound.leave(time.Now(), time.Millisecond, true)
		}
		for range InFlightMin {
			b.adm.bound.leave(time.Now(), time.Millisecond, true)
		}
		if err := b.refusal(testKey+"-probe", wish("A", 1)); err != nil {
			t.Errorf("the probe was not let through: %v", err)
		}
	})
}

// Retry-After counts the clients that waited in vain, not those that left.
func TestAClientThatLeavesTheLineDoesNotCountAsTurnedAway(t *testing.T) {
	for name, inVain := range map[string]bool{"waited in vain": true, "left": false} {
		t.Run(name, func(t *testing.T) {
			b, now := newAdaptiveBound(1, 1, 1), time.Now()
			b.enter(now)
			w, _ := b.enter(now)
			b.giveUp(w, inVain)
			if counts := b.refused == 1; counts != inVain {
				t.Errorf("%d count as turned away", b.refused)
			}
		})
	}
}

// However long holds took, a checkout whose request has just begun has time for one.
func TestPatienceBehindSlowHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.adm.bound.holdP90 = RequestTimeout
		ctx, cancel := context.WithTimeout(t.Context(), RequestTimeout-time.Second) // its body took the second
		defer cancel()
		if patience := b.adm.patience(ctx); patience != lineWaitMax {
			t.Errorf("patience %v, want %v", patience, lineWaitMax)
		}
	})
}

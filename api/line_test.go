package api

import (
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

// oneTurn is a node whose engine takes one checkout at a time, while another one has
// its turn; over ends that.
func oneTurn(t *testing.T, lineMax int) (b *bundle, over func()) {
	b = setup(t, func(o *Options) { o.CheckoutsInLineMax = lineMax })
	b.api.adaptive = newAdaptiveBound(1, 1, lineMax)
	b.api.adaptive.enter(time.Now())
	return b, func() { b.api.adaptive.leave(time.Now(), time.Millisecond, true) }
}

func TestACheckoutWaitsForItsTurn(t *testing.T) {
	for name, c := range map[string]struct {
		inLine int // before it
		after  func(b *bundle, over func())
		status int
		code   domain.Code
		took   time.Duration
		starts int
	}{
		"that comes": {
			after:  func(_ *bundle, over func()) { over() },
			status: 201, took: time.Second / 2, starts: 1,
		},
		"that does not come": {
			after:  func(*bundle, func()) {},
			status: 503, code: domain.CodeOverloaded, took: lineWaitMax,
		},
		"behind a full line": {
			inLine: 3, after: func(*bundle, func()) {},
			status: 503, code: domain.CodeOverloaded,
		},
		"and the seats go meanwhile": {
			after:  func(b *bundle, over func()) { b.stockOf(0, 0, 5); over() },
			status: 409, code: domain.CodeSoldOut, took: time.Second / 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, over := oneTurn(t, 3)
				for range c.inLine {
					b.api.adaptive.enter(time.Now())
				}
				began := time.Now()
				go func() {
					time.Sleep(time.Second / 2)
					c.after(b, over)
				}()
				w := b.checkout(testKey, wish("A", 1))
				if took := time.Since(began); took != c.took {
					t.Errorf("answered after %v, want %v", took, c.took)
				}
				if b.world.starts != c.starts {
					t.Errorf("%d starts, want %d", b.world.starts, c.starts)
				}
				switch {
				case c.status == 201 && w.Code != 201:
					t.Errorf("%d %s", w.Code, w.Body)
				case c.status != 201:
					wantProblem(t, w, c.status, c.code)
				}
				if hint := w.Header().Get("Retry-After"); c.status == 503 && hint == "" {
					t.Error("no Retry-After")
				}
				// Whatever it heard, the key is free, and so is the turn.
				time.Sleep(time.Second)
				if c.status == 503 && c.inLine == 0 {
					over()
					if w := b.checkout(testKey, wish("A", 1)); w.Code != 201 {
						t.Errorf("the same key afterwards: %d %s", w.Code, w.Body)
					}
				}
				if _, inFlight, _ := b.api.adaptive.state(); c.inLine == 0 && inFlight != 0 {
					t.Errorf("%d turns are still taken", inFlight)
				}
			})
		})
	}
}

// Turns are taken in the order of arrival, and one who leaves costs nobody theirs.
func TestTheLineIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, over := oneTurn(t, 10)
		var mu sync.Mutex
		var served []string
		var all sync.WaitGroup
		arrive := func(ctx context.Context, who string) {
			order := domain.Order{SaleID: b.sale.ID, Buyer: domain.BuyerID{1}}
			all.Go(func() {
				leave, waited, err := b.api.admit(ctx, &order)
				if err != nil || !waited {
					return
				}
				mu.Lock()
				served = append(served, who)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				leave(nil)
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
		if n := b.api.adaptive.inLine(); n != 0 {
			t.Errorf("%d are left in the line", n)
		}
	})
}

// Whoever comes, goes or gives up, and however the bound moves: it is never exceeded
// by letting somebody in, nobody waits while there is room, nobody is let in before
// who came earlier, and at the end nobody is left.
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
		case <-w.turn:
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
				t.Fatalf("%s: somebody is let in before who came earlier", what)
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
			if !b.giveUp(line[i]) {
				t.Fatal("who waits could not give up")
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

// Who gives up at the moment when it is their turn has it.
func TestGivingUpTooLate(t *testing.T) {
	b := newAdaptiveBound(1, 1, 1)
	now := time.Now()
	b.enter(now)
	w, _ := b.enter(now)
	b.leave(now, time.Millisecond, true)
	if b.giveUp(w) {
		t.Error("gave up a turn that nobody else will get")
	}
}

// A rush in small: more come than there are turns for, and all hear the end.
func TestARushIsAnsweredInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const buyers = 60
		b := setup(t, func(o *Options) { o.Desk = slowDesk{o.Desk, 50 * time.Millisecond} })
		b.api.adaptive = newAdaptiveBound(2, 2, CheckoutsInLineMax)
		answers := make(chan *httptest.ResponseRecorder, buyers)
		for i := range buyers {
			go func() { answers <- b.checkout(testKey+string(rune('A'+i)), wish("A", 1)) }()
		}
		counts := map[int]int{}
		for range buyers {
			counts[(<-answers).Code]++
		}
		if counts[201] != 5 || counts[409] != buyers-5 {
			t.Errorf("answers %v, want 5 of 201 and all others 409", counts)
		}
		if b.world.starts > 5+2 {
			t.Errorf("%d were started for 5 seats", b.world.starts)
		}
	})
}

// An engine that hangs is found out by the first that it was given: everybody who
// comes then hears at once that it is away.
func TestAnEngineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const buyers = 300
		b := setup(t, func(o *Options) { o.Desk = slowDesk{o.Desk, time.Hour} })
		began := time.Now()
		var all sync.WaitGroup
		for i := range buyers {
			all.Go(func() {
				w := b.checkout(testKey+strconv.Itoa(i), wish("A", 1))
				if took := time.Since(began); w.Code != 503 || took > requestTimeout {
					t.Errorf("%d after %v", w.Code, took)
				}
			})
		}
		all.Wait()
		if !b.api.breakers.checkouts.isOpen() {
			t.Error("the breaker is closed")
		}
		if n := b.api.adaptive.inLine(); n != 0 {
			t.Errorf("%d are left in the line", n)
		}
	})
}

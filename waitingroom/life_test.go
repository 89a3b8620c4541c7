package waitingroom

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

// Somebody who joins long before the opening still has a place then.
func TestHowLongATokenIsGood(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name    string
		opensIn time.Duration // when it was joined
		later   time.Duration
		isGood  bool
	}{
		{"a day after the join", -time.Hour, day - time.Minute, true},
		{"more than a day after it", -time.Hour, day + time.Minute, false},
		{"days before the opening", 10 * day, 9 * day, true},
		{"at the opening, days after the join", 10 * day, 10*day + time.Second, true},
		{"a day after the opening", 10 * day, 11*day - time.Minute, true},
		{"more than a day after the opening", 10 * day, 11*day + time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newMemory(c.opensIn)
			n := newNode(t, store, "a", free)
			tokens, err := n.join(1)
			if err != nil {
				t.Fatal(err)
			}
			store.pass(c.later)
			for range restExchanges + 3 { // for the test, the database's clock was set
				n.tick()
				store.pass(TurnInterval)
			}
			_, err = n.Place(t.Context(), tokens[0])
			if isGood := err == nil; isGood != c.isGood || err != nil && domain.CodeOf(err) != domain.CodeNotFound {
				t.Errorf("good %v, want %v: %v", isGood, c.isGood, err)
			}
			if c.opensIn >= c.later {
				return
			}
			_, err = n.Enter(t.Context(), testSale, tokens[0])
			if isGood := err == nil; isGood != c.isGood || err != nil && domain.CodeOf(err) != domain.CodeQueueRequired {
				t.Errorf("may enter %v, want %v: %v", isGood, c.isGood, err)
			}
		})
	}
}

// ages advances a node's clock.
func (n *node) ages(d time.Duration) { n.began = n.began.Add(-d) }

// A node remembers the sales that somebody queues for, not all that it ever saw.
func TestIdleRoomsAreForgotten(t *testing.T) {
	serve := func(n *node) {
		var running sync.WaitGroup
		n.serve(t.Context(), n.of, checkoutsState{}, &running)
		running.Wait()
	}
	isKept := func(n *node) bool {
		_, kept := n.rooms.Load("sale")
		return kept
	}
	made := func(t *testing.T) (*node, []string) {
		store := newMemory(0)
		n := newNode(t, store, "a", free)
		n.count.Store(1)
		tokens, err := n.join(3)
		if err != nil {
			t.Fatal(err)
		}
		return n, tokens
	}
	t.Run("not soon", func(t *testing.T) {
		n, _ := made(t)
		n.ages(time.Hour)
		n.of.asked.Store(int64(n.mono()))
		n.ages(forgetAfter - time.Second)
		serve(n)
		if !isKept(n) {
			t.Error("it is gone")
		}
	})
	t.Run("not while somebody waits for a place", func(t *testing.T) {
		n, _ := made(t)
		n.of.enlist()
		n.ages(forgetAfter + time.Second)
		serve(n)
		if !isKept(n) {
			t.Error("it is forgotten, and so is their place")
		}
	})
	t.Run("later, and whoever still uses it is told", func(t *testing.T) {
		n, _ := made(t)
		n.ages(forgetAfter + time.Second)
		serve(n)
		if isKept(n) || n.count.Load() != 0 {
			t.Errorf("kept %v, counted %d", isKept(n), n.count.Load())
		}
		if _, _, ok := n.of.enlist(); ok {
			t.Error("somebody waits for an exchange that will never happen")
		}
		serve(n) // a second time
		if n.count.Load() != 0 {
			t.Errorf("counted %d", n.count.Load())
		}
	})
	t.Run("and its places are the same", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, tokens := made(t)
			before := placesOf(n, tokens)
			time.Sleep(forgetAfter + time.Second)
			ctx, stop := context.WithCancel(t.Context())
			ran := make(chan error)
			go func() { ran <- n.Run(ctx) }()
			time.Sleep(time.Second)
			if isKept(n) {
				t.Fatal("it is kept")
			}
			for i, token := range tokens {
				p, err := n.Place(ctx, token)
				if err != nil || p.Index != int64(i) {
					t.Errorf("%+v, %v", p, err)
				}
			}
			again, kept := n.rooms.Load("sale")
			if !kept || n.count.Load() != 1 {
				t.Fatalf("kept %v, counted %d", kept, n.count.Load())
			}
			n.of = again.(*room)
			for i, place := range placesOf(n, tokens) {
				if place != before[i] {
					t.Errorf("token %d had place %d and has %d", i, before[i], place)
				}
			}
			stop()
			if err := <-ran; err != nil {
				t.Error(err)
			}
		})
	})
}

// An exchange that waits for the queue's row must not look like a clock that was set: the
// door goes on, though only as often as its turn comes.
func TestTheDoorGoesOnWhileTheDatabaseIsSlow(t *testing.T) {
	for _, wait := range []time.Duration{900 * time.Millisecond, 1100 * time.Millisecond, 1900 * time.Millisecond} {
		t.Run(wait.String(), func(t *testing.T) {
			store := newMemory(0)
			n, _ := sitting(t, store, 1000)
			store.wait = func() {
				store.pass(wait)
				n.ages(wait)
			}
			for turn := range 20 {
				before := store.q.Door.Admitted
				n.tick()
				if store.q.Door.Admitted == before {
					t.Fatalf("turn %d let nobody in", turn)
				}
				if turn == 10 {
					store.wait() // between two exchanges it must not look like one either
				}
			}
		})
	}
}

// An old answer of the ledger must not make a place sold out, because a refund brings seats back.
func TestSoldOutNeedsAFreshAnswer(t *testing.T) {
	level := free()
	store := newMemory(0)
	n := newNode(t, store, "a", func() domain.StockLevel { return level })
	tokens, err := n.join(1)
	if err != nil {
		t.Fatal(err)
	}
	mayJoin := func() error { return n.mayJoin(n.of, n.of.last.Load(), testSale) }
	level.Available, level.Sold = 0, 10
	n.tick()
	if err := mayJoin(); domain.CodeOf(err) != domain.CodeSoldOut {
		t.Errorf("while all is sold: %v", err)
	}
	if p := n.look(t, tokens[0]); p.Status != StatusSoldOut {
		t.Errorf("while all is sold: %+v", p)
	}
	n.ages(soldOutFor + time.Millisecond)
	if err := mayJoin(); err != nil {
		t.Errorf("the ledger has not answered for long: %v", err)
	}
	level = free()
	n.tick()
	if p := n.look(t, tokens[0]); p.Status == StatusSoldOut {
		t.Errorf("a seat has come back: %+v", p)
	}
}

// Somebody who comes back to a queue is told its present state, not the one that was known
// when somebody last asked.
func TestReturningPeopleGetThePresentState(t *testing.T) {
	for name, c := range map[string]struct {
		counted func(*node)
		want    Status
		took    time.Duration
	}{
		"as the ledger says": {func(n *node) { n.countSeats(context.Background(), n.of) }, StatusSoldOut, 0},
		"or as it said":      {func(n *node) { n.of.uncounted() }, StatusAdmitted, 0},
		"or in a second":     {func(*node) {}, StatusAdmitted, freshTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				level := free()
				store := newMemory(0)
				n := newNode(t, store, "a", func() domain.StockLevel { return level })
				n.tick() // the draw, of nobody
				tokens, err := n.join(1)
				if err != nil {
					t.Fatal(err)
				}
				for range 5 {
					store.pass(TurnInterval)
					n.tick()
				}
				time.Sleep(time.Minute)
				level.Available, level.Sold = 0, 10
				began, answered := time.Now(), make(chan Place, 1)
				go func() { answered <- n.look(t, tokens[0]) }()
				synctest.Wait()
				n.exchange(t.Context(), n.of, checkoutsState{})
				synctest.Wait()
				select {
				case p := <-answered:
					t.Errorf("answered before the ledger was asked: %+v", p)
				default:
				}
				c.counted(n)
				if p := <-answered; p.Status != c.want || time.Since(began) != c.took {
					t.Errorf("%+v after %v, want %s after %v", p, time.Since(began), c.want, c.took)
				}
			})
		})
	}
}

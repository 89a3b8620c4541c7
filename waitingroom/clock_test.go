package waitingroom

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// In the middle of a sale the database's clock, which the room uses, jumps and goes on from
// there, while a dead node still has its row. Tokens and places stay valid, the jump itself
// lets nobody in, and the door goes on within seconds, not when the clock is back.
func TestTheDatabasesClockIsSet(t *testing.T) {
	const early, late, ceiling = 450, 150, 400
	for _, step := range []time.Duration{
		-25 * time.Hour, -time.Hour, -45 * time.Second, -5 * time.Second,
		5 * time.Second, 45 * time.Second, time.Hour, 23 * time.Hour,
	} {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			store := newMemory(time.Second)
			nodes := []*node{newNode(t, store, "a", free), newNode(t, store, "b", free)}
			died := newNode(t, store, "died", free)
			var tokens []string
			join := func(people int) {
				for _, n := range []*node{nodes[1], died} {
					joined, err := n.join(people / 2)
					if err != nil {
						t.Fatal(err)
					}
					tokens = append(tokens, joined...)
				}
			}
			join(early)
			store.pass(time.Second) // the opening: the early joins are drawn
			join(late)
			// Nobody joins or asks at the first node: it lets in people that only the other one knows.
			turn := func() (admitted int64) {
				before := store.q.Door.Admitted
				for _, token := range tokens {
					if p := nodes[1].look(t, token); p.RetryAfter < retryMin || p.RetryAfter > retryMax {
						t.Fatalf("come back in %v: %+v", p.RetryAfter, p)
					}
				}
				for _, n := range nodes {
					n.tick()
				}
				store.pass(TurnInterval)
				return store.q.Door.Admitted - before
			}
			for range 10 {
				turn()
				died.tick()
			}
			if store.q.Door.Admitted == 0 {
				t.Fatal("nobody was let in before the clock was set")
			}
			places := placesOf(nodes[0], tokens)

			store.pass(step)

			for turns, standing := 0, 0; store.q.Door.Admitted < store.q.Joined; turns++ {
				admitted := turn()
				// Two nodes, each with a turn of at most turnMax.
				if most := int64(2*ceiling*turnMax.Seconds()) + 2; admitted > most {
					t.Fatalf("turn %d let %d in at once, want at most %d", turns, admitted, most)
				}
				if standing++; admitted > 0 {
					standing = 0
				}
				if longest := int((nodeLive+time.Second)/TurnInterval) + restExchanges; standing > longest {
					t.Fatalf("the door has stood for %d turns", standing)
				}
			}
			for _, n := range nodes {
				n.tick()
				for i, place := range placesOf(n, tokens) {
					if place != places[i] {
						t.Fatalf("token %d had place %d and now has %d", i, places[i], place)
					}
				}
			}
			// If the clock says that EntryLife is over, they are let in again.
			turns := 0
			for _, token := range tokens {
				for {
					_, err := nodes[0].Enter(t.Context(), testSale, token)
					if err == nil {
						break
					}
					if turns++; turns > len(tokens)+restExchanges || step.Abs() < EntryLife {
						t.Fatalf("somebody who was let in does not get in: %v", err)
					}
					turn()
				}
			}
		})
	}
}

func placesOf(n *node, tokens []string) (places []int64) {
	for _, token := range tokens {
		c, _ := verify(n.o.Keys, token)
		places = append(places, n.of.placeOf(n.of.last.Load(), c.index))
	}
	return places
}

// The database's clock jumps at any moment, by minutes or hours, before, at and after the
// opening, again and again. The draw happens once, each place is given once, and the door
// never goes back and never gets stuck.
func TestClockStepsNeverMoveAPlace(t *testing.T) {
	for range 6 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		store := newMemory(3 * time.Second)
		nodes := []*node{newNode(t, store, "a", free), newNode(t, store, "b", free)}
		var tokens []string
		var drawn, admitted int64 = -1, 0
		look := func() {
			if drawn >= 0 && store.q.Drawn != drawn {
				t.Fatalf("drawn twice: %d, then %d", drawn, store.q.Drawn)
			}
			if drawn = store.q.Drawn; store.q.Door.Admitted < admitted {
				t.Fatalf("the door went back from %d to %d", admitted, store.q.Door.Admitted)
			}
			admitted = store.q.Door.Admitted
		}
		var skew time.Duration // at most TokenLife from the opening, or tokens do expire
		for range 100 {
			joined, err := nodes[random.IntN(2)].join(1 + random.IntN(19))
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, joined...)
			look()
			store.pass(TurnInterval)
			if random.IntN(10) == 0 {
				to := time.Duration(random.Int64N(int64(11*time.Hour))) - 5*time.Hour
				store.pass(to - skew)
				skew = to
			}
		}
		store.pass(5*time.Hour + time.Minute - skew) // by now it is open, whatever the clock says
		given := map[int64]bool{}
		for turn := 0; store.q.Door.Admitted < store.q.Joined; turn++ {
			if turn > 1000 {
				t.Fatalf("%d of %d got in, then the door stood", store.q.Door.Admitted, store.q.Joined)
			}
			for i, token := range tokens {
				nodes[i%2].look(t, token)
			}
			for _, n := range nodes {
				n.tick()
			}
			look()
			store.pass(TurnInterval)
		}
		for _, place := range placesOf(nodes[0], tokens) {
			if given[place] {
				t.Fatalf("place %d was given twice", place)
			}
			given[place] = true
		}
	}
}

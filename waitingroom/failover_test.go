package waitingroom

import (
	"testing"
	"time"

	"boxoffice/domain"
)

// The database fails over to a moment before the draw, and draws again with more people.
// Even the node that has computed places of the first draw reports those of the second.
func TestAFailoverAcrossTheDraw(t *testing.T) {
	store := newMemory(time.Second)
	store.q.Settings = domain.QueueSettings{RateFloor: 0.1, RateCeiling: 1}
	a, b := newNode(t, store, "a", free), newNode(t, store, "b", free)
	if _, err := a.join(1000); err != nil {
		t.Fatal(err)
	}
	before := store.q
	store.pass(time.Second)
	for range 3 {
		a.tick() // draws 1,000, and computes who is next
		store.pass(TurnInterval)
	}
	for i := range int64(1000) {
		a.of.placeOf(a.of.last.Load(), i)
	}
	store.q = before
	if _, err := b.join(50); err != nil {
		t.Fatal(err)
	}
	store.pass(time.Second)
	b.tick()
	a.tick()
	again := a.of.last.Load()
	if again.Drawn != 1050 {
		t.Fatalf("%d were drawn, want 1050", again.Drawn)
	}
	draw, twice := NewPermutation(before.Seed, 1050), map[int64]bool{}
	for i := range int64(1050) {
		place := a.of.placeOf(again, i)
		if other := b.of.placeOf(b.of.last.Load(), i); place != other || place != draw.Place(i) || twice[place] {
			t.Fatalf("index %d has place %d on one node and %d on the other, want %d", i, place, other, draw.Place(i))
		}
		twice[place] = true
	}
	a.of.foresee()
	for i, index := range a.of.order {
		if want := draw.Index(a.of.orderFrom + int64(i)); index != want {
			t.Fatalf("place %d ahead of the door is of index %d, want %d", a.of.orderFrom+int64(i), index, want)
		}
	}
}

// An asynchronous standby takes over without the last joins and gives out their indexes
// again. Those who had them are told so on every node, and no two people share a place.
func TestAFailoverThatLosesJoins(t *testing.T) {
	store := newMemory(0)
	store.q.Settings = domain.QueueSettings{Paused: true, RateFloor: 1, RateCeiling: 1}
	store.q.Epoch = 11
	a, b := newNode(t, store, "a", free), newNode(t, store, "b", free)
	join := func(n *node, people int) []string {
		t.Helper()
		tokens, err := n.join(people)
		if err != nil {
			t.Fatal(err)
		}
		return tokens
	}
	kept := join(a, 10)
	standby := store.q
	lost := join(a, 5)
	standby.Now, standby.Epoch = store.q.Now, 12
	store.q = standby
	again := join(b, 5)
	a.tick()
	for _, n := range []*node{a, b} {
		indexes := map[int64]bool{}
		for _, token := range append(kept, again...) {
			p := n.look(t, token)
			if indexes[p.Index] {
				t.Errorf("two people have index %d", p.Index)
			}
			indexes[p.Index] = true
		}
		for _, token := range lost {
			if p, err := n.Place(t.Context(), token); domain.CodeOf(err) != domain.CodeNotFound {
				t.Errorf("a lost place gets an answer: %+v, %v", p, err)
			}
			if key, err := n.Enter(t.Context(), testSale, token); domain.CodeOf(err) != domain.CodeQueueRequired {
				t.Errorf("a lost place gets in: %q, %v", key, err)
			}
		}
	}
}

// A node that has not exchanged since the failover does not refuse people who joined at
// another node after it.
func TestATokenOfADatabaseThatANodeHasYetToHearOf(t *testing.T) {
	store := newMemory(0)
	store.q.Epoch = 11
	a, b := newNode(t, store, "a", free), newNode(t, store, "b", free)
	a.tick()
	b.tick()
	store.q.Epoch = 12
	b.tick()
	store.q.Epoch = 13
	store.pass(TurnInterval)
	tokens, err := a.join(1)
	if err != nil {
		t.Fatal(err)
	}
	b.look(t, tokens[0])
}

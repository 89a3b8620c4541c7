package waitingroom

import (
	"testing"
	"time"

	"boxoffice/domain"
)

// step is an interval of a node whose clock goes with the database's.
func (n *node) step(store *memory) {
	store.pass(TurnInterval)
	n.ages(TurnInterval)
	n.of.asked.Store(int64(n.mono()))
	n.tick()
}

// TestSilenceIsNotFree: 40,000 tokens that nobody has asked with for long, whom the door has
// passed, and 1,000 people who wait. When all of them come at once, the door lets in no more than its rate, and
// those who were there as many as the silent.
func TestSilenceIsNotFree(t *testing.T) {
	const honest, silent, seconds = 1000, 40_000, 5
	store := newMemory(200 * time.Second)
	store.q.Settings = domain.QueueSettings{RateFloor: 20, RateCeiling: 20}
	n := newNode(t, store, "a", free)
	var hoarded []string
	for range 2 {
		tokens, err := n.join(silent / 2)
		if err != nil {
			t.Fatal(err)
		}
		hoarded = append(hoarded, tokens...)
	}
	for range 2 * PresenceTimeout / time.Second { // nobody of them asks
		store.pass(time.Second)
		n.ages(time.Second)
		n.of.asked.Store(int64(n.mono()))
		n.tick()
	}
	for store.q.Door.Admitted < silent {
		n.step(store)
	}
	waiting, err := n.join(honest)
	if err != nil {
		t.Fatal(err)
	}
	in := func(tokens []string) (in int) {
		for i, token := range tokens {
			if i%500 == 0 {
				n.tick() // no time passes in it: what is known stays fresh
			}
			if _, err := n.Enter(t.Context(), testSale, token); err == nil {
				in++
			}
		}
		return in
	}
	before := store.q.Door.Entered
	if fired := in(hoarded); fired > 0 {
		t.Errorf("%d of %d silent tokens are let in at once", fired, silent)
	}
	for range seconds * int(time.Second/TurnInterval) {
		n.step(store)
	}
	entered := int(store.q.Door.Entered - before)
	fired, people := in(hoarded), in(waiting)
	if most := 20*seconds + 6; entered > most || fired+people > entered+int(before) {
		t.Errorf("in %d s %d are let in, %d silent and %d others can check out; want at most %d more than the %d before", seconds, entered, fired, people, most, before)
	}
	if fired > entered/2+2 || people < entered/2-2 {
		t.Errorf("of %d, %d were silent and %d not: want half of each", entered, fired, people)
	}
}

// Who lets their time go by is let in again, and costs the rate as much.
func TestWhoWasLetInHasATime(t *testing.T) {
	store := newMemory(0)
	n, tokens := sitting(t, store, 3)
	for range 20 {
		n.step(store)
	}
	p := n.look(t, tokens[0])
	left := p.AdmittedUntil.Sub(store.q.Now)
	if p.Status != StatusAdmitted || left <= EntryLife-5*time.Second || left > EntryLife {
		t.Fatalf("let in for %v, want some %v: %+v", left, EntryLife, p)
	}
	for range EntryLife / time.Second {
		store.pass(time.Second)
		n.ages(time.Second)
		n.of.asked.Store(int64(n.mono()))
		n.tick()
	}
	entered := store.q.Door.Entered
	if _, err := n.Enter(t.Context(), testSale, tokens[0]); domain.CodeOf(err) != domain.CodeQueueRequired {
		t.Errorf("after it: %v", err)
	}
	n.step(store)
	if p := n.look(t, tokens[0]); p.Status != StatusAdmitted || store.q.Door.Entered != entered+1 {
		t.Errorf("let in again: %d more, %+v", store.q.Door.Entered-entered, p)
	}
}

// Whom one node let in is in on all, also on one that has just started, while the door is
// paused or the database has lost nothing but its connections.
func TestWhoIsInIsInOnAllNodes(t *testing.T) {
	store := newMemory(0)
	a, tokens := sitting(t, store, 2000)
	b := newNode(t, store, "b", free)
	b.tick()
	for range 10 {
		a.step(store)
		b.tick()
	}
	store.q.Settings.Paused = true
	fresh := newNode(t, store, "c", free)
	for range 2 {
		a.tick()
		b.tick()
		fresh.tick()
	}
	admitted := store.q.Door.Admitted
	if admitted < 10 || admitted >= 2000 {
		t.Fatalf("%d are let in", admitted)
	}
	for place, token := range tokens[:admitted+1] {
		for _, n := range []*node{a, b, fresh} {
			if _, err := n.Enter(t.Context(), testSale, token); (err == nil) != (int64(place) < admitted) {
				t.Fatalf("place %d of %d let in, node %s: %v", place, admitted, n.o.Node, err)
			}
		}
	}
}

// A late token that one node lets in costs no second time at another.
func TestTheLateAreLetInOnce(t *testing.T) {
	store := newMemory(0)
	a, tokens := sitting(t, store, 500)
	store.pass(PresenceTimeout + time.Second)
	a.ages(PresenceTimeout + time.Second)
	for range restExchanges + 3 {
		a.step(store)
	}
	if store.q.Door.Admitted != 500 || store.q.Door.Entered != 0 {
		t.Fatalf("of 500 who left the door passed %d and let in %d", store.q.Door.Admitted, store.q.Door.Entered)
	}
	b := newNode(t, store, "b", free)
	b.tick()
	for range 20 {
		for _, token := range tokens[:10] {
			a.look(t, token)
			b.look(t, token)
		}
		a.step(store)
		b.tick()
	}
	if store.q.Door.Entered != 10 {
		t.Errorf("10 came back and %d were let in", store.q.Door.Entered)
	}
}

// Whom the release before let in stays in for as long as the token is good.
func TestWhoWasLetInBeforeTheUpgradeStaysIn(t *testing.T) {
	store := newMemory(0)
	n, tokens := sitting(t, store, 100)
	store.q.Door.Admitted, store.q.EnteredBefore, store.q.Settings.Paused = 50, 50, true
	store.pass(EntryLife + time.Minute)
	for range 2 {
		n.tick()
	}
	for place, token := range tokens {
		p := n.look(t, token)
		if isIn := p.Status == StatusAdmitted; isIn != (place < 50) || !p.AdmittedUntil.IsZero() {
			t.Fatalf("place %d: %+v", place, p)
		}
	}
}

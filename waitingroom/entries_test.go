package waitingroom

import (
	"testing"
	"time"

	"boxoffice/domain"
)

// step is an interval of a node whose clock agrees with the database's.
func (n *node) step(store *memory) {
	store.pass(TurnInterval)
	n.ages(TurnInterval)
	n.of.asked.Store(int64(n.mono()))
	n.tick()
}

// There are 40,000 tokens that have been silent for long and that the door has passed, and 1,000 people who
// wait. When all of them come at once, the door lets in no more than its rate, half of them silent ones and
// half waiting ones.
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
	for range 2 * PresenceTimeout / time.Second { // none of them asks
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
				n.tick() // no time passes, so what is known stays fresh
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

// Somebody who lets their time go by is let in again, which counts against the rate like any other.
func TestPeopleWhoAreLetInHaveLimitedTime(t *testing.T) {
	store := newMemory(0)
	n, tokens := sitting(t, store, 3)
	for range 20 {
		n.step(store)
	}
	p := n.look(t, tokens[0])
	left := p.AdmittedUntil.Sub(store.q.Now)
	if p.Status != StatusAdmitted || left <= EntryLife-5*time.Second || left > EntryLife {
		t.Fatalf("let in for %v, want about %v: %+v", left, EntryLife, p)
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

// A person whom one node let in is in on all nodes, even on one that has just started, while the door is
// paused, or when the database has lost only its connections.
func TestAnEntryCountsOnAllNodes(t *testing.T) {
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

// A late token that one node lets in is not let in a second time by another.
func TestTheLateAreLetInOnce(t *testing.T) {
	store := newMemory(0)
	a, tokens := sitting(t, store, 500)
	store.pass(PresenceTimeout + time.Second)
	a.ages(PresenceTimeout + time.Second)
	for range restExchanges + 3 {
		a.step(store)
	}
	if store.q.Door.Admitted != 500 || store.q.Door.Entered != 0 {
		t.Fatalf("of 500 who left, the door passed %d and let in %d", store.q.Door.Admitted, store.q.Door.Entered)
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

// People whom the previous release let in stay in for as long as their token is valid.
func TestEntriesSurviveTheUpgrade(t *testing.T) {
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

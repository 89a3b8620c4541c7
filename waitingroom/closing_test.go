package waitingroom

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/beacon"
	"boxoffice/beacon/beacontest"
	"boxoffice/domain"
)

// A drawing hall is a queue with a draw of the list, whose nodes use a fake beacon.
type hall struct {
	*memory
	drand *beacontest.Drand
	t     *testing.T
}

func newHall(t *testing.T, opensIn time.Duration) *hall {
	t.Helper()
	store := newMemory(opensIn)
	for i := range store.q.Seed {
		store.q.Seed[i] = byte(rand.Uint32())
	}
	store.q.Draw = domain.QueueDraw{Version: domain.QueueDrawOfList, Closed: domain.QueueUndrawn}
	store.q.Epoch = 11
	h := &hall{memory: store, t: t, drand: beacontest.New(t, time.Unix(1_700_000_000, 0), 3*time.Second)}
	h.drand.Now = func() time.Time {
		store.mu.Lock()
		defer store.mu.Unlock()
		return store.q.Now
	}
	return h
}

func (h *hall) node(name string, b Beacon) *node {
	n := newNode(h.t, h.memory, name, free)
	n.o.Beacon = b
	return n
}

// step lets time pass, in which a node does what Run does.
func (h *hall) step(n *node, d time.Duration) {
	h.pass(d)
	n.ages(d)
	n.tick()
	var running sync.WaitGroup
	n.serveDraw(h.t.Context(), n.of, n.mono(), &running)
	running.Wait()
}

// until steps until the draw is in a state.
func (h *hall) until(n *node, state DrawState) RoomState {
	h.t.Helper()
	for range 2000 {
		s := n.stateOf(n.of, n.of.last.Load())
		if s.Draw.State == state {
			return s
		}
		h.step(n, TurnInterval)
	}
	h.t.Fatalf("the draw is never %s: %+v", state, n.of.last.Load().draw)
	return RoomState{}
}

func join(t *testing.T, n *node, people int) []string {
	t.Helper()
	tokens, err := n.join(people)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func evidenceOf(s *RoomState) *Evidence {
	return &Evidence{
		Sale: s.Sale, Commitment: s.Draw.Commitment, Seed: s.Draw.Seed, Size: s.Draw.Size, Root: s.Draw.Root, RootAt: s.Record.RootAt,
		Source: s.Draw.Source, Waived: s.Draw.Waived,
		BeaconChain: hex.EncodeToString(s.Record.Beacon.Chain), BeaconNamed: s.Record.Beacon.Named, BeaconRound: s.Record.Beacon.Round,
		BeaconSignature:   hex.EncodeToString(s.Record.Beacon.Signature),
		WitnessCommitment: hex.EncodeToString(s.Record.WitnessCommitment), WitnessSecret: hex.EncodeToString(s.Record.WitnessSecret),
	}
}

// The joins close at the opening, and the root of their list is public before the round comes
// out. All nodes then say what anybody can compute from what was published.
func TestTheDrawWaitsForANumberThatNobodyKnows(t *testing.T) {
	h := newHall(t, 3*time.Second)
	opensAt := h.q.OpensAt
	a, b := h.node("a", h.drand), h.node("b", h.drand)
	tokens := join(t, a, 700)
	open := h.until(a, DrawOpen)
	if at := open.Record.BeaconAt; at.Before(opensAt.Add(beaconLead)) || open.Draw.Source != domain.QueueDrawBeacon || open.Draw.Seed != "" {
		t.Fatalf("a round of %v is named for a sale that opens at %v: %+v", at, opensAt, open.Draw)
	}
	h.pass(time.Millisecond)
	tokens = append(tokens, join(t, b, 300)...)
	closed := h.until(a, DrawClosed)
	if early := closed.Record.BeaconAt.Sub(h.q.Now); closed.Draw.Size != 1000 || closed.Draw.Root == "" || closed.Draw.Seed != "" || early < beaconLeadLeast {
		t.Fatalf("closed %v before the round: %+v", early, closed.Draw)
	}
	late := join(t, b, 5)
	if p := a.look(t, late[0]); p.Status != StatusWaiting || p.Position != 1001 {
		t.Errorf("a join after the closing is %s, number %d", p.Status, p.Position)
	}
	if p := a.look(t, tokens[0]); p.Status != StatusDraw || h.q.Now.Add(p.RetryAfter+time.Second).Before(closed.Draw.DueAt) {
		t.Errorf("a join in the draw is %s, and told to come back in %v", p.Status, p.RetryAfter)
	}
	if _, err := a.Enter(t.Context(), testSale, tokens[0]); domain.CodeOf(err) != domain.CodeQueueRequired {
		t.Errorf("before the draw: %v", err)
	}
	drawn := h.until(a, DrawDrawn)
	if h.q.Now.Before(closed.Draw.DueAt) || h.q.Door.Admitted != 0 {
		t.Errorf("drawn at %v, announced for %v; the door is at %d", h.q.Now, closed.Draw.DueAt, h.q.Door.Admitted)
	}
	b.tick()
	evidence, before := evidenceOf(&drawn), evidenceOf(&closed)
	p, found, err := evidence.Draw(h.drand.Chain())
	if err != nil || evidence.Agrees(before) != nil || evidence.Agrees(evidenceOf(&open)) != nil {
		t.Fatalf("%q, %v, %v", found, err, evidence.Agrees(before))
	}
	for i, token := range append(tokens, late...) {
		place := int64(i)
		if i < 1000 {
			place = p.Place(int64(i))
		}
		c, _ := verify(a.o.Keys, token)
		for _, n := range []*node{a, b} {
			if got := n.of.placeOf(n.of.last.Load(), c.index); got != place || c.index != int64(i) {
				t.Fatalf("index %d has place %d, want %d", c.index, got, place)
			}
		}
	}
	for name, wrong := range map[string]func(*Evidence){
		"another seed":      func(e *Evidence) { e.Seed = hex.EncodeToString(make([]byte, 32)) },
		"another sale":      func(e *Evidence) { e.Sale = "other" },
		"another signature": func(e *Evidence) { e.BeaconSignature = hex.EncodeToString(h.drand.Sign(7)) },
		"another round":     func(e *Evidence) { e.BeaconRound++ },
		"a round of choice": func(e *Evidence) {
			e.RootAt = h.drand.Chain().Time(e.BeaconNamed)
			e.BeaconRound += 20
			e.BeaconSignature = hex.EncodeToString(h.drand.Sign(e.BeaconRound))
		},
		"published too late": func(e *Evidence) { e.RootAt = e.RootAt.Add(time.Minute) },
		"a later round": func(e *Evidence) {
			e.BeaconRound++
			e.BeaconSignature = hex.EncodeToString(h.drand.Sign(e.BeaconRound))
		},
		"a round that is already out": func(e *Evidence) {
			e.BeaconRound -= 9
			e.BeaconSignature = hex.EncodeToString(h.drand.Sign(e.BeaconRound))
		},
	} {
		e := *evidence
		wrong(&e)
		if _, _, err := e.Draw(h.drand.Chain()); err == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
	for name, wrong := range map[string]func(*Evidence){
		"another root":  func(e *Evidence) { e.Root = strings.Repeat("0", 64) },
		"another size":  func(e *Evidence) { e.Size++ },
		"another round": func(e *Evidence) { e.BeaconRound++ },
		"no beacon":     func(e *Evidence) { e.Source = domain.QueueDrawNone },
		"another seed":  func(e *Evidence) { e.Commitment = "" },
	} {
		e := *evidence
		wrong(&e)
		if e.Agrees(before) == nil {
			t.Errorf("%s than before is not noticed", name)
		}
	}
}

// An operator who knows the seed and all tokens chooses how many fillers join before the
// opening. In a draw by the seed alone that buys one of the first places. In a draw that
// waits for a beacon it buys nothing.
func TestFillerJoinsBuyNothing(t *testing.T) {
	const trials, joined, extra, mine = 200, 1000, 500, 17
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	keys, at := testKeys(t, 0), time.Unix(1_800_000_000, 0)
	l := newList(nil)
	var roots [joined + extra][]byte
	for size := range roots {
		if err := l.complete(); err != nil {
			t.Fatal(err)
		}
		roots[size] = bytes.Clone(l.root)
		if err := l.add(LeafHash(sign(keys, "sale", 0, int64(size), at))); err != nil {
			t.Fatal(err)
		}
	}
	number := func() []byte {
		b := make([]byte, 32)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	best := func(of func(size int64) []byte) (size, place int64) {
		place = joined + extra
		for n := int64(joined); n < joined+extra; n++ {
			if p := NewPermutation(of(n), n).Place(mine); p < place {
				size, place = n, p
			}
		}
		return size, place
	}
	var bySeed, byList float64
	for range trials {
		secret, guess, round := number(), number(), number()
		_, place := best(func(int64) []byte { return secret })
		bySeed += float64(place) / trials
		size, _ := best(func(n int64) []byte { return Mix(secret, roots[n], n, guess) })
		byList += float64(NewPermutation(Mix(secret, roots[size], size, round), size).Place(mine)) / float64(size) / trials
	}
	if bySeed > 10 {
		t.Errorf("in a draw by the seed alone the operator gets place %.1f on average: this test shows nothing", bySeed)
	}
	// The mean of 200 uniform ones is 0.5 ± 0.02; five sigma.
	if byList < 0.4 || byList > 0.6 {
		t.Errorf("in a draw of the list the operator is at %.2f of the queue on average, want 0.5", byList)
	}
}

// Once the list is closed, no join, setting or message changes the draw.
func TestAfterTheClosingNothingSteersTheDraw(t *testing.T) {
	h := newHall(t, time.Second)
	n := h.node("a", h.drand)
	join(t, n, 50)
	closed := h.until(n, DrawClosed)
	join(t, n, 500)
	if err := n.BindWitness(t.Context(), "sale", strings.Repeat("0", 64)); domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("a witness was set after people had joined: %v", err)
	}
	drawn := h.until(n, DrawDrawn)
	if drawn.Draw.Size != 50 || drawn.Draw.Root != closed.Draw.Root || !bytes.Equal(drawn.Record.Beacon.Signature, h.drand.Sign(closed.Record.Beacon.Round)) {
		t.Errorf("closed %+v, drawn %+v", closed.Draw, drawn.Draw)
	}
}

// A beacon that does not answer keeps the door shut, and says so. After a while the organiser
// may choose to draw without it, and everybody sees that.
func TestADrawWhoseBeaconDoesNotAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(h *hall, n *node)
		says func(h *hall, s *RoomState) []byte
	}{
		{"it comes back", func(h *hall, _ *node) { h.drand.Away.Store(false) },
			func(h *hall, s *RoomState) []byte { return beacon.Randomness(h.drand.Sign(s.Record.Beacon.Named)) }},
		{"somebody brings the round", func(h *hall, n *node) {
			b := h.q.Draw.Beacon
			for signature, ok := range map[string]bool{hex.EncodeToString(h.drand.Sign(b.Round + 1)): false, "": false, "00": false, hex.EncodeToString(h.drand.Sign(b.Round)): true} {
				_, err := n.settled(h, Settlement{BeaconSignature: signature})
				if (err == nil) != ok {
					h.t.Errorf("signature %q: %v", signature, err)
				}
			}
		}, func(h *hall, s *RoomState) []byte { return beacon.Randomness(h.drand.Sign(s.Record.Beacon.Named)) }},
		{"the organiser waives it", func(h *hall, n *node) {
			if _, err := n.settled(h, Settlement{Waive: "the beacon is down"}); domain.CodeOf(err) != domain.CodeInvalid {
				h.t.Errorf("they need not wait: %v", err)
			}
			for range int(WaiveAfter / (10 * time.Second)) {
				h.step(n, 10*time.Second)
			}
			for why, reason := range map[string]string{
				"nothing": "", "only spaces": "  ", "NUL, which no database stores": "a\x00b", "no UTF-8": "a\xffb", "half a character": "\xe2\x82",
				"a line break": "a\nb", "an escape": "a\x1bb", "too much": strings.Repeat("a", 201), "too many bytes": strings.Repeat("ü", 101),
			} {
				var refused *domain.Error
				_, err := n.settled(h, Settlement{Waive: reason})
				if !errors.As(err, &refused) || refused.Code != domain.CodeInvalid || refused.Field != "waive" {
					h.t.Errorf("why is %s: %v", why, err)
				}
			}
			if _, err := n.settled(h, Settlement{Waive: "the beacon is down"}); err != nil {
				h.t.Error(err)
			}
		}, func(*hall, *RoomState) []byte { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHall(t, time.Second)
			h.t, h.memory.q.Settings.RateCeiling = t, 400
			h.drand.Away.Store(true)
			n := h.node("a", h.drand)
			tokens := join(t, n, 50)
			delayed := h.until(n, DrawDelayed)
			if p := n.look(t, tokens[3]); p.Status != StatusDraw || p.Draw.State != DrawDelayed || h.q.Door.Admitted != 0 {
				t.Errorf("%s, %+v, the door is at %d", p.Status, p.Draw, h.q.Door.Admitted)
			}
			c.then(h, n)
			drawn := h.until(n, DrawDrawn)
			p, found, err := evidenceOf(&drawn).Draw(h.drand.Chain())
			if err != nil || evidenceOf(&drawn).Agrees(evidenceOf(&delayed)) != nil {
				t.Fatalf("%q, %v", found, err)
			}
			says := c.says(h, &drawn)
			want := NewPermutation(Mix(h.q.Draw.Secret, h.q.Draw.Root, 50, says), 50)
			waived := strings.Contains(strings.Join(found, " "), "chose to draw without")
			if p.Place(3) != want.Place(3) || n.of.placeOf(n.of.last.Load(), 3) != want.Place(3) || drawn.Draw.Waived != (says == nil) || waived != (says == nil) {
				t.Errorf("place %d, want %d; %+v; %q", p.Place(3), want.Place(3), drawn.Record, found)
			}
			if _, err := n.settled(h, Settlement{Waive: "again"}); domain.CodeOf(err) != domain.CodeInvalid {
				t.Errorf("a finished draw changed: %v", err)
			}
		})
	}
}

// settled gives a draw something, and exchanges.
func (n *node) settled(h *hall, given Settlement) (RoomState, error) {
	err := n.o.Store.ChangeDraw(h.t.Context(), "sale", func(q *domain.Queue) error { return n.settle(q, given) })
	return RoomState{}, err
}

// The draw needs the witness's number, and accepts only the one committed to.
func TestADrawWithAWitness(t *testing.T) {
	h := newHall(t, time.Second)
	n := h.node("a", h.drand)
	secret := bytes.Repeat([]byte{7}, 32)
	for _, c := range []struct {
		commitment string
		ok         bool
	}{{"", false}, {"00", false}, {"zz", false}, {Commitment(secret, "sale"), true}, {Commitment(secret, "sale"), true}, {Commitment(secret, "other"), false}} {
		if err := n.BindWitness(t.Context(), "sale", c.commitment); (err == nil) != c.ok {
			t.Errorf("commitment %q: %v", c.commitment, err)
		}
	}
	join(t, n, 50)
	if _, err := n.settled(h, Settlement{WitnessSecret: hex.EncodeToString(secret)}); domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("the number is revealed before the list is closed: %v", err)
	}
	h.until(n, DrawDelayed)
	for _, c := range []struct {
		given Settlement
		ok    bool
	}{
		{Settlement{WitnessSecret: hex.EncodeToString(make([]byte, 32))}, false},
		{Settlement{WitnessSecret: "07"}, false},
		{Settlement{BeaconSignature: hex.EncodeToString(h.drand.Sign(1))}, false},
		{Settlement{WitnessSecret: hex.EncodeToString(secret)}, true},
	} {
		if _, err := n.settled(h, c.given); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.given, err)
		}
	}
	drawn := h.until(n, DrawDrawn)
	p, found, err := evidenceOf(&drawn).Draw(beacon.Chain{})
	if want := NewPermutation(Mix(h.q.Draw.Secret, h.q.Draw.Root, 50, secret), 50); err != nil || p.Place(3) != want.Place(3) || n.of.placeOf(n.of.last.Load(), 3) != want.Place(3) {
		t.Errorf("%q, %v", found, err)
	}
	e := evidenceOf(&drawn)
	e.WitnessSecret = hex.EncodeToString(make([]byte, 32))
	if _, _, err := e.Draw(beacon.Chain{}); err == nil {
		t.Error("another number is not noticed")
	}
}

// If no node was running when the sale opened, the named round is already out. A later one is
// used, and the draw says so. With one person there is nothing to draw.
func TestAListThatIsClosedLate(t *testing.T) {
	h := newHall(t, time.Second)
	n := h.node("a", h.drand)
	join(t, n, 50)
	h.step(n, time.Hour)
	drawn := h.until(n, DrawDrawn)
	r := drawn.Record
	if r.Beacon.Round == r.Beacon.Named || r.BeaconAt.Before(r.RootAt.Add(beaconLead)) {
		t.Errorf("the list was published at %v, the round came out at %v", r.RootAt, r.BeaconAt)
	}
	if _, found, err := evidenceOf(&drawn).Draw(h.drand.Chain()); err != nil || !strings.Contains(strings.Join(found, " "), "too late for round") {
		t.Errorf("%q, %v", found, err)
	}
	for people := range 2 {
		alone := newHall(t, time.Second)
		n := alone.node("a", alone.drand)
		if people > 0 {
			join(t, n, people)
		}
		alone.step(n, time.Second)
		for range 3 {
			alone.step(n, TurnInterval)
		}
		if s := n.stateOf(n.of, n.of.last.Load()); s.Draw.State != DrawDrawn {
			t.Errorf("%d take part: %+v", people, s.Draw)
		}
	}
}

// A failover loses the draw and some joins. The list is a different one, and so is the round,
// because the first one is already known. All nodes agree.
func TestAFailoverAcrossADrawOfTheList(t *testing.T) {
	h := newHall(t, time.Second)
	a, b := h.node("a", h.drand), h.node("b", h.drand)
	join(t, a, 100)
	b.tick()
	before, joins := h.q, slices.Clone(h.joins)
	join(t, b, 20)
	first := h.until(a, DrawDrawn)
	for i := range int64(120) {
		a.of.placeOf(a.of.last.Load(), i)
	}
	before.Now, before.Epoch, h.entries = h.q.Now, 12, map[int64][]byte{}
	h.q, h.joins = before, joins
	join(t, b, 5)
	second := h.until(b, DrawDrawn)
	a.tick()
	p, _, err := evidenceOf(&second).Draw(h.drand.Chain())
	if err != nil || second.Record.Beacon.Round <= first.Record.Beacon.Round || second.Draw.Size == first.Draw.Size {
		t.Fatalf("first %+v, again %+v: %v", first, second, err)
	}
	for i := range second.Draw.Size {
		if at, bt := a.of.placeOf(a.of.last.Load(), i), b.of.placeOf(b.of.last.Load(), i); at != bt || at != p.Place(i) {
			t.Fatalf("index %d has place %d on one node and %d on the other, want %d", i, at, bt, p.Place(i))
		}
	}
}

// Two draws that differ only in the round are different: places that a node computed for the
// first are wrong for the second.
func TestDrawsThatDifferOnlyInTheRound(t *testing.T) {
	secret, root := make([]byte, 32), make([]byte, 32)
	drawing := newDrawing(Mix(secret, root, 10, []byte{1}), 10)
	for _, c := range []struct {
		seed []byte
		size int64
		is   bool
	}{
		{Mix(secret, root, 10, []byte{1}), 10, true},
		{Mix(secret, root, 10, []byte{2}), 10, false},
		{Mix(secret, bytes.Repeat([]byte{1}, 32), 10, []byte{1}), 10, false},
		{Mix(secret, root, 10, []byte{1}), 11, false},
		{secret, 10, false},
	} {
		if drawing.is(&domain.Queue{Seed: c.seed, Drawn: c.size}) != c.is {
			t.Errorf("%+v", c)
		}
	}
}

// A node without a beacon shows and makes the draw that another node named, once that node
// has supplied the round. For a queue that it creates itself, it says that there is no
// beacon.
func TestANodeWithoutABeacon(t *testing.T) {
	h := newHall(t, time.Second)
	with, without := h.node("with", h.drand), h.node("without", nil)
	with.tick()
	join(t, without, 10)
	h.until(without, DrawClosed)
	for range 200 {
		h.step(without, TurnInterval)
	}
	if h.q.Drawn != domain.QueueUndrawn {
		t.Fatal("drawn without the round")
	}
	h.until(with, DrawDrawn)
	without.tick()
	if a, b := with.of.placeOf(with.of.last.Load(), 3), without.of.placeOf(without.of.last.Load(), 3); a != b {
		t.Errorf("places %d and %d", a, b)
	}
	alone := newHall(t, time.Second)
	n := alone.node("a", nil)
	join(t, n, 10)
	s := alone.until(n, DrawDrawn)
	if _, found, err := evidenceOf(&s).Draw(beacon.Chain{}); err != nil || s.Draw.Source != domain.QueueDrawNone || !strings.Contains(strings.Join(found, " "), "could steer") {
		t.Errorf("%s: %q, %v", s.Draw.Source, found, err)
	}
}

var _ Beacon = (*beacon.Client)(nil)

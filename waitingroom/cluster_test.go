package waitingroom

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
)

// A memory is a Store with its own clock and with failures on request.
type memory struct {
	mu      sync.Mutex
	q       domain.Queue
	nodes   map[string]domain.QueueNode
	entries map[int64][]byte
	joins   []domain.QueueJoins
	// fail decides for each exchange: errBefore, errAfter or nil.
	fail func() error
	wait func() // the lock of the queue's row
}

var (
	errBefore = errors.New("the database is down")
	errAfter  = errors.New("written, but the answer was lost")
)

func newMemory(opensIn time.Duration) *memory {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &memory{nodes: map[string]domain.QueueNode{}, entries: map[int64][]byte{}, fail: func() error { return nil }, wait: func() {}, q: domain.Queue{
		SaleID: "sale", Seed: make([]byte, 32), Drawn: domain.QueueUndrawn, Now: now, OpensAt: now.Add(opensIn),
		Settings: domain.QueueSettings{RateFloor: 20, RateCeiling: 400}, Door: domain.QueueDoor{MovedAt: now},
	}}
}

func (m *memory) ExchangeQueue(_ context.Context, _ string, joins int64, turn domain.QueueTurn) (int64, *domain.Queue, error) {
	m.wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.fail()
	if errors.Is(err, errBefore) {
		return 0, nil, err
	}
	q := m.q
	for _, n := range m.nodes {
		q.Nodes = append(q.Nodes, n)
	}
	first := q.Joined
	q.BeginEpoch()
	q.Joined += joins
	node := turn(&q, first)
	if joins > 0 && q.Draw.KeepsList() {
		m.joins = append(m.joins, domain.QueueJoins{First: first, Joins: joins, JoinedAt: q.Now.Truncate(time.Millisecond), Epoch: q.EpochNumber()})
	}
	m.nodes[node.Node] = node
	m.q = q
	m.q.Nodes, m.q.Entered = nil, nil
	for _, place := range q.Entered {
		chunk, nth := place/chunkPlaces, place%chunkPlaces
		if m.entries[chunk] == nil {
			m.entries[chunk] = make([]byte, 2*chunkPlaces)
		}
		binary.BigEndian.PutUint16(m.entries[chunk][2*nth:], uint16(domain.QueueStamp(q.Now)))
	}
	if err != nil {
		return 0, nil, err
	}
	return first, &q, nil
}

func (m *memory) QueueEntries(_ context.Context, _ string, chunks []int64) (map[int64][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[int64][]byte)
	for _, chunk := range chunks {
		if stamps := m.entries[chunk]; stamps != nil {
			found[chunk] = slices.Clone(stamps)
		}
	}
	return found, nil
}

func (m *memory) QueueJoins(_ context.Context, _ string, from int64, rowsMax int) ([]domain.QueueJoins, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := max(sort.Search(len(m.joins), func(i int) bool { return m.joins[i].First > from })-1, 0)
	return slices.Clone(m.joins[at:min(at+rowsMax, len(m.joins))]), nil
}

func (m *memory) ChangeDraw(_ context.Context, _ string, change func(*domain.Queue) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.q
	if err := change(&q); err != nil {
		return err
	}
	m.q.Draw = q.Draw
	return nil
}

func (m *memory) ConfigureQueue(_ context.Context, _ string, s domain.QueueSettings) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.q.Settings = s
	return nil
}

func (m *memory) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.q.Now = m.q.Now.Add(d)
}

var testSale = &domain.Sale{ID: "sale", WaitingRoom: true, Classes: []domain.Class{{Name: "A", Capacity: 10, Ledger: 1}}}

// A node is driven by hand: tick does what Run does in an interval.
type node struct {
	*Rooms
	of *room
}

func newNode(t testing.TB, store Store, name string, stock func() domain.StockLevel) *node {
	t.Helper()
	r, err := New(Options{
		Store: store, Keys: testKeys(t, 0), Node: name, Load: func() Load { return Load{} }, Log: slog.New(slog.DiscardHandler),
		Stock: func(context.Context, *domain.Sale) ([]domain.StockLevel, error) {
			return []domain.StockLevel{stock()}, nil
		},
		Sales: func(context.Context) ([]*domain.Sale, error) { return []*domain.Sale{testSale}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	of := newRoom("sale", 0)
	r.rooms.Store("sale", of)
	return &node{r, of}
}

func free() domain.StockLevel {
	return domain.StockLevel{Name: "A", Ledger: 1, Capacity: 1_000_000, Available: 1_000_000}
}

func (n *node) tick() { n.tickAs(checkoutsState{part: 1}) }

func (n *node) tickAs(checkouts checkoutsState) {
	n.countSeats(context.Background(), n.of)
	n.exchange(context.Background(), n.of, checkouts)
}

// join enlists people, exchanges, and returns their tokens.
func (n *node) join(people int) (tokens []string, err error) {
	var b *batch
	for range people {
		b, _, _ = n.of.enlist()
	}
	n.tick()
	if b == nil || b.err != nil {
		return nil, errBefore
	}
	for i := range people {
		tokens = append(tokens, sign(n.o.Keys, "sale", b.epoch, b.first+int64(i), n.of.last.Load().Now))
	}
	return tokens, nil
}

func (n *node) look(t *testing.T, token string) Place {
	t.Helper()
	p, err := n.Place(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Nodes join people, fail before and after the write, die and come back, before and after
// the opening. Every token has its own index and place, later arrivals keep their order,
// the door never goes back, and everybody who stays gets in.
func TestNoPlaceIsLostOrDoubled(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		store := newMemory(2 * time.Second)
		failing := true
		store.fail = func() error {
			if !failing {
				return nil
			}
			return []error{nil, nil, nil, nil, nil, nil, errBefore, errAfter}[random.IntN(8)]
		}
		nodes := []*node{newNode(t, store, "a", free), newNode(t, store, "b", free), newNode(t, store, "c", free)}
		var tokens []string
		var admitted int64
		for turn := range 60 {
			n := random.IntN(len(nodes))
			if random.IntN(15) == 0 { // kill -9: its memory is gone
				nodes[n] = newNode(t, store, string(rune('d'+turn)), free)
			}
			if got, err := nodes[n].join(random.IntN(20)); err == nil {
				tokens = append(tokens, got...)
			}
			if now := store.q.Door.Admitted; now < admitted {
				t.Fatalf("the door went back from %d to %d", admitted, now)
			}
			admitted = store.q.Door.Admitted
			store.pass(50 * time.Millisecond)
		}
		failing = false
		indexes, places := map[int64]bool{}, map[int64]bool{}
		for turn := 0; ; turn++ {
			if turn > 2000 {
				t.Fatalf("%d of %d got in, then the door stood", store.q.Door.Admitted, store.q.Joined)
			}
			waiting := 0
			for _, n := range nodes {
				n.tick()
			}
			for i, token := range tokens {
				if nodes[i%len(nodes)].look(t, token).Status != StatusAdmitted {
					waiting++
				}
			}
			if waiting == 0 {
				break
			}
			store.pass(100 * time.Millisecond)
		}
		last := nodes[0].of.last.Load()
		for _, token := range tokens {
			c, _ := verify(nodes[0].o.Keys, token)
			place := nodes[0].of.placeOf(last, c.index)
			if indexes[c.index] || places[place] {
				t.Fatalf("index %d or its place %d was given twice", c.index, place)
			}
			indexes[c.index], places[place] = true, true
			if late := c.index >= last.Drawn; late && place != c.index {
				t.Fatalf("index %d came after the draw and has place %d", c.index, place)
			}
		}
	}
}

// sitting joins people and keeps them present.
func sitting(t *testing.T, store *memory, people int) (*node, []string) {
	t.Helper()
	n := newNode(t, store, "a", free)
	n.tick() // the draw, with nobody in it
	tokens, err := n.join(people)
	if err != nil {
		t.Fatal(err)
	}
	return n, tokens
}

func TestTheDoorKeepsToItsRateAndItsBounds(t *testing.T) {
	store := newMemory(0)
	n, _ := sitting(t, store, 10_000)
	var before int64
	for turn := range 200 {
		store.pass(100 * time.Millisecond)
		checkouts := doing(store.q.Door.Rate)
		if turn >= 100 {
			checkouts = slow
		}
		n.tickAs(checkouts)
		d := store.q.Door
		if moved := d.Admitted - before; float64(moved) > d.Rate*turnMax.Seconds()+1 {
			t.Fatalf("turn %d: %d people at %.1f a second", turn, moved, d.Rate)
		}
		before = d.Admitted
		if d.Rate < 20 || d.Rate > 400 {
			t.Fatalf("turn %d: the rate is %.1f, outside 20–400", turn, d.Rate)
		}
		if turn == 99 && d.Rate < 360 {
			t.Errorf("the rate is %.1f after ten quiet seconds in which all came, want nine tenths of the ceiling", d.Rate)
		}
	}
	if rate := store.q.Door.Rate; rate != 20 {
		t.Errorf("the rate is %.1f after ten congested seconds, want the floor", rate)
	}
	if cuts := store.q.Door.CutAt; cuts.IsZero() {
		t.Error("nothing was cut")
	}
}

// Whatever else moves the door, the organiser's new bounds hold at once.
func TestTheDoorKeepsToNewBounds(t *testing.T) {
	store := newMemory(0)
	n, _ := sitting(t, store, 2000)
	for _, set := range []domain.QueueSettings{{RateFloor: 150, RateCeiling: 150}, {RateFloor: 1, RateCeiling: 2}, {RateFloor: 300, RateCeiling: 400}} {
		if err := store.ConfigureQueue(t.Context(), "sale", set); err != nil {
			t.Fatal(err)
		}
		for _, checkouts := range []checkoutsState{{}, slow, doing(1000)} {
			store.pass(100 * time.Millisecond)
			n.tickAs(checkouts)
			if rate := store.q.Door.Rate; rate < set.RateFloor || rate > set.RateCeiling {
				t.Errorf("%+v: the rate is %.1f, want %.0f–%.0f", checkouts, rate, set.RateFloor, set.RateCeiling)
			}
		}
	}
}

// doing is an engine that has capacity left and does this many checkouts a second.
func doing(perSecond float64) (c checkoutsState) {
	c.part = 1
	for i, window := range LoadWindows {
		c.own.windows[i] = tally{answers: int(perSecond * window.Seconds()), verdicts: int(perSecond * window.Seconds())}
	}
	return c
}

// slow is an engine that is congested and does nothing in time.
var slow = func() (c checkoutsState) {
	for i := range c.own.windows {
		c.own.windows[i] = tally{answers: 100, slow: 100, slower: 100}
	}
	return c
}()

// The nearer the place, the sooner to ask again, and never later than the door can arrive.
func TestWhenToAskAgain(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name     string
		position int64
		rate     float64 // 0: not yet open
		cut      bool
		want     time.Duration
	}{
		{"next, at the opening", 1, 0, false, s},
		{"at 20 a second and doubling", 200, 20, false, 2159 * time.Millisecond},
		{"beyond where the ceiling rules", 4000, 20, false, 10 * s},
		{"far back", 50_000, 20, false, 30 * s},
		{"next", 1, 90, true, s},
		{"ten seconds away, where the engine has time again", 900, 90, true, 3466 * time.Millisecond},
		{"minutes away", 50_000, 90, true, 20176 * time.Millisecond},
		{"hours away", 1_000_000, 90, true, 30 * s},
		{"at the floor", 10, 1, true, 3466 * time.Millisecond},
	} {
		q := &domain.Queue{Settings: domain.QueueSettings{}.WithDefaults(), Door: domain.QueueDoor{Rate: c.rate}}
		if c.cut {
			q.Door.CutAt = time.Unix(1, 0)
		}
		if got := retryAfter(q, c.position).Round(time.Millisecond); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPeopleWhoLeftArePassedAndMayComeBack(t *testing.T) {
	store := newMemory(0)
	n, tokens := sitting(t, store, 3000)
	stay := newNode(t, store, "b", free) // the first node dies; only one person asks again
	store.pass(PresenceTimeout + time.Second)
	stay.ages(PresenceTimeout + time.Second)
	stay.tick()
	last := len(tokens) - 1
	for range 3 {
		stay.look(t, tokens[last])
		store.pass(100 * time.Millisecond)
		stay.tick()
	}
	if p := stay.look(t, tokens[last]); p.Status != StatusAdmitted {
		t.Errorf("the door still waits for 2,999 who left: %+v", p)
	}
	if p := stay.look(t, tokens[0]); p.Status != StatusWaiting || !p.Late || p.Position != 1 {
		t.Errorf("somebody who comes back is not late: %+v", p)
	}
	store.pass(100 * time.Millisecond)
	stay.tick()
	if p := stay.look(t, tokens[0]); p.Status != StatusAdmitted || p.Late {
		t.Errorf("somebody who comes back does not get in: %+v", p)
	}
	_ = n
}

func TestTheDoorIsShut(t *testing.T) {
	for name, shut := range map[string]func(*memory, *domain.StockLevel){
		"before the opening":        func(m *memory, _ *domain.StockLevel) { m.q.OpensAt = m.q.Now.Add(time.Hour); m.q.Drawn = -1 },
		"while paused":              func(m *memory, _ *domain.StockLevel) { m.q.Settings.Paused = true },
		"while every seat is held":  func(_ *memory, l *domain.StockLevel) { l.Available, l.Held = 0, 10 },
		"once everything is sold":   func(_ *memory, l *domain.StockLevel) { l.Available, l.Sold = 0, 10 },
		"once the sale is canceled": func(m *memory, _ *domain.StockLevel) { m.q.CanceledAt = m.q.Now },
		"once the sale is closed":   func(m *memory, _ *domain.StockLevel) { m.q.ClosesAt = m.q.Now },
		"while a node has not spoken": func(m *memory, _ *domain.StockLevel) {
			m.nodes["b"] = domain.QueueNode{Node: "b", SeenAt: m.q.Now, Base: -1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, level := newMemory(0), free()
			n := newNode(t, store, "a", func() domain.StockLevel { return level })
			n.tick()
			if _, err := n.join(10); err != nil {
				t.Fatal(err)
			}
			shut(store, &level)
			for range 10 {
				store.pass(100 * time.Millisecond)
				n.tick()
			}
			if store.q.Door.Admitted != 0 {
				t.Errorf("%d got in", store.q.Door.Admitted)
			}
		})
	}
}

// A sale shares the engine while its door lets people in.
func TestWhichDoorsShareTheEngine(t *testing.T) {
	store := newMemory(0)
	n, _ := sitting(t, store, 10)
	for name, c := range map[string]struct {
		change func(*room, *domain.Queue)
		doors  int // including this one
	}{
		"people wait at the other too":   {func(*room, *domain.Queue) {}, 2},
		"nobody waits there":             {func(_ *room, q *domain.Queue) { q.Door.Admitted = q.Joined }, 1},
		"it has not opened":              {func(_ *room, q *domain.Queue) { q.Drawn = domain.QueueUndrawn }, 1},
		"it is paused":                   {func(_ *room, q *domain.Queue) { q.Settings.Paused = true }, 1},
		"it is canceled":                 {func(_ *room, q *domain.Queue) { q.CanceledAt = q.Now }, 1},
		"it has no seats":                {func(of *room, _ *domain.Queue) { of.counted(seatsHeld, freeSeats{}, 0) }, 1},
		"nobody asked about it recently": {func(of *room, _ *domain.Queue) { of.asked.Store(-int64(2 * activeFor)) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			other, q := newRoom("other", n.mono()), store.q
			other.counted(seatsFree, freeSeats{available: 10}, 0)
			c.change(other, &q)
			other.last.Store(&snapshot{Queue: q})
			n.rooms.Store("other", other)
			if doors := n.openDoors(); doors != c.doors {
				t.Errorf("%d doors share the engine, want %d", doors, c.doors)
			}
		})
	}
}

func TestWithoutTheDatabasePlacesStayAndNobodyJoins(t *testing.T) {
	store := newMemory(0)
	n, tokens := sitting(t, store, 10)
	store.pass(200 * time.Millisecond)
	n.tick()
	before := n.look(t, tokens[9])
	admittedKey, err := n.Enter(t.Context(), testSale, tokens[0])
	if err != nil {
		t.Fatal(err)
	}
	store.fail = func() error { return errBefore }
	n.tick()
	if after := n.look(t, tokens[9]); after.Position != before.Position || after.Status != before.Status {
		t.Errorf("a place moved from %+v to %+v", before, after)
	}
	if key, err := n.Enter(t.Context(), testSale, tokens[0]); err != nil || key != admittedKey {
		t.Errorf("an admitted token has key %q, error %v; want %q", key, err, admittedKey)
	}
	if _, _, err := n.Join(t.Context(), testSale); domain.CodeOf(err) != domain.CodeOverloaded {
		t.Errorf("a join: %v, want overloaded at once", err)
	}
}

func TestWhoMayEnter(t *testing.T) {
	store := newMemory(0)
	n, tokens := sitting(t, store, 100)
	store.pass(100 * time.Millisecond)
	n.tick()
	other := *testSale
	other.ID = "other"
	for _, c := range []struct {
		name, token string
		sale        *domain.Sale
		want        domain.Code
	}{
		{"whose turn it is", tokens[0], testSale, ""},
		{"the same token again", tokens[0], testSale, ""},
		{"a token whose turn has not come", tokens[99], testSale, domain.CodeQueueRequired},
		{"who has no token", "", testSale, domain.CodeQueueRequired},
		{"who forged one", tokens[0][:20] + "x" + tokens[0][21:], testSale, domain.CodeQueueRequired},
		{"a token at another sale", tokens[0], &other, domain.CodeQueueRequired},
	} {
		key, err := n.Enter(t.Context(), c.sale, c.token)
		if c.want == "" && (err != nil || key == "") || c.want != "" && domain.CodeOf(err) != c.want {
			t.Errorf("%s: key %q, error %v, want %q", c.name, key, err, c.want)
		}
	}
}

func TestJoinsThatWaitAreBounded(t *testing.T) {
	n := newNode(t, newMemory(0), "a", free)
	for range batchJoinsMax {
		if _, _, ok := n.of.enlist(); !ok {
			t.Fatal("refused too early")
		}
	}
	if _, _, ok := n.of.enlist(); ok {
		t.Error("one join too many waits")
	}
}

func TestSeats(t *testing.T) {
	level := func(available, held int64) []domain.StockLevel {
		return []domain.StockLevel{{Name: "A", Ledger: 1, Available: available, Held: held}, {Name: "T-shirt", Ledger: 9, Available: 5}}
	}
	var got []seatsState
	for _, levels := range [][]domain.StockLevel{level(1, 0), level(0, 1), level(0, 0), nil} {
		state, _, _ := seatsOf(testSale, levels)
		got = append(got, state)
	}
	if want := []seatsState{seatsFree, seatsHeld, seatsGone, seatsHeld}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func benchmarkRoom(b *testing.B) (*node, []string) {
	store := newMemory(time.Second)
	n := newNode(b, store, "a", free)
	var tokens []string
	for len(tokens) < 100_000 {
		got, err := n.join(batchJoinsMax)
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, got...)
	}
	store.pass(time.Second)
	n.tick()
	return n, tokens
}

// BenchmarkPlace reads positions of 100,000 drawn tokens, including the first read of each.
func BenchmarkPlace(b *testing.B) {
	n, tokens := benchmarkRoom(b)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(tokens)); pb.Next(); i++ {
			n.of.asked.Store(int64(n.mono()))
			s := *n.of.last.Load()
			c, _ := verify(n.o.Keys, tokens[i%len(tokens)])
			n.of.hear(c.index, n.mono())
			if p := n.place(b.Context(), n.of, &s, c.index, c.joinedAt); p.Position == 0 && p.Status != StatusAdmitted {
				b.Error("no position")
			}
		}
	})
}

// BenchmarkJoin measures joins without the exchange that they share.
func BenchmarkJoin(b *testing.B) {
	n := newNode(b, newMemory(0), "a", free)
	n.tick()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		batch, nth, _ := n.of.enlist()
		if i%1000 == 999 {
			n.tick()
		}
		_ = sign(n.o.Keys, "sale", batch.epoch, batch.first+nth, n.of.last.Load().Now)
	}
}

// Of 10,000 people in the draw only the one with the last place stays. Two nodes move the door.
func TestADrawFarLongerThanTheWindowIsPassed(t *testing.T) {
	const people = 10_000
	store := newMemory(time.Second)
	gone := newNode(t, store, "gone", free)
	tokens, err := gone.join(people)
	if err != nil {
		t.Fatal(err)
	}
	store.pass(PresenceTimeout + time.Second)
	nodes := []*node{newNode(t, store, "a", free), newNode(t, store, "b", free)}
	for _, n := range nodes {
		n.ages(PresenceTimeout)
	}
	last := tokens[NewPermutation(make([]byte, 32), people).Index(people-1)]
	for turn := range 40 {
		n := nodes[turn%2]
		n.tick()
		n.look(t, last)
		store.pass(100 * time.Millisecond)
	}
	nodes[0].tick()
	if p := nodes[0].look(t, last); p.Status != StatusAdmitted {
		t.Errorf("after four seconds: %+v", p)
	}
}

// After a failover or a restore, the database may have let in fewer people than the nodes
// have seen. They go on from the database's state.
func TestTheDoorGoesOnAfterADatabaseThatLostAMoment(t *testing.T) {
	const people, lost = 1000, 40
	store := newMemory(time.Second)
	n := newNode(t, store, "a", free)
	tokens, err := n.join(people)
	if err != nil {
		t.Fatal(err)
	}
	store.pass(2 * time.Second)
	last := tokens[NewPermutation(make([]byte, 32), people).Index(people-1)]
	turn := func() {
		for range 100 {
			n.tick()
			n.look(t, last)
			store.pass(100 * time.Millisecond)
			if store.q.Door.Admitted >= 2*lost && store.q.Door.Admitted < people {
				return
			}
		}
	}
	if turn(); store.q.Door.Admitted < 2*lost {
		t.Fatalf("%d are let in before anything is lost", store.q.Door.Admitted)
	}
	seen := store.q.Door.Admitted
	store.q.Door.Admitted -= lost
	for range 100 {
		n.tick()
		store.pass(100 * time.Millisecond)
	}
	if store.q.Door.Admitted <= seen {
		t.Errorf("%d let in, and %d were before the database lost %d of them", store.q.Door.Admitted, seen, lost)
	}
}

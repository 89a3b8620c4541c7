package waitingroom

import (
	"bytes"
	"context"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
)

const (
	blockIndexes = 1 << 14
	blocksMax    = 1024
	// JoinsMax is how many may join one sale: about 200 MB on a node that hears from all
	// of them. So many can join only because waitingMax limits who waits at a time.
	JoinsMax = blocksMax * blockIndexes
	// batchJoinsMax limits the joins that wait for one exchange.
	batchJoinsMax = 20_000
)

// A room is what this node knows about one sale's queue.
type room struct {
	sale     string
	count    atomic.Pointer[seatCount] // what the ledger said last; never nil
	def      atomic.Pointer[domain.Sale]
	last     atomic.Pointer[snapshot]
	asked    atomic.Int64 // when somebody last asked, on the node's monotonic clock
	wanted   atomic.Bool  // somebody waits for a newer snapshot
	busyAt   atomic.Int64 // when somebody last queued here, on that clock
	turns    atomic.Int64
	arrivals arrivals // of those who are let in
	// peopleCame is how many have come to a checkout recently, over all nodes: the bits
	// of a float64.
	peopleCame atomic.Uint64
	// peopleAbsent is the share of those let in who never come, likewise.
	peopleAbsent atomic.Uint64
	blocks       [blocksMax]atomic.Pointer[block]

	exchanging atomic.Bool // whoever set it owns the fields below
	order      []int64     // the join indexes of the places orderFrom…, as orderOf has them
	orderFrom  int64
	orderOf    *drawing
	retryAt    time.Duration
	entries    []entryCount // of as long as anybody may not have heard, oldest first
	resting    int          // exchanges for which this node leaves the door, see clockStep

	entered     [blocksMax]atomic.Pointer[entryBlock]
	watchedFrom atomic.Int64 // of the places from here on this node has seen all who were let in
	reading     sync.Mutex   // of entries, for somebody who asks
	late        late

	list listing
	told told

	counting atomic.Bool // the ledger is being asked
	countAt  atomic.Int64

	mu     sync.Mutex
	batch  *batch // joins that wait for the next exchange; never nil
	closed bool   // there will be no more: Rooms has forgotten this room
}

// A block keeps, for a range of join indexes, when this node last heard from each: 4
// bytes a token, and 4 for where the draw put it.
type block struct {
	heard [blockIndexes]atomic.Uint32      // seconds on the node's monotonic clock, + 1; 0: never
	came  [blockIndexes / 64]atomic.Uint64 // one bit each: its first checkout came
}

// A drawing is all that was computed for one draw. If the database comes back as it was
// before the draw, it draws again, and nothing in here is true for that draw.
type drawing struct {
	seed   []byte
	size   int64
	orders sync.Pool // of *Permutation
	places [blocksMax]atomic.Pointer[placeBlock]
}

// A placeBlock has the places of a range of join indexes.
type placeBlock [blockIndexes]atomic.Uint32 // + 1; 0: not computed yet

func newDrawing(seed []byte, size int64) *drawing {
	d := &drawing{seed: seed, size: size}
	d.orders.New = func() any { return NewPermutation(seed, size) }
	return d
}

func (d *drawing) is(q *domain.Queue) bool {
	return d != nil && d.size == q.Drawn && bytes.Equal(d.seed, q.Seed)
}

// place is where the draw put an index that took part, computed once.
func (d *drawing) place(index int64) int64 {
	at := &d.places[index/blockIndexes]
	b := at.Load()
	if b == nil {
		at.CompareAndSwap(nil, new(placeBlock))
		b = at.Load()
	}
	cached := &b[index%blockIndexes]
	if place := cached.Load(); place != 0 {
		return int64(place) - 1
	}
	p := d.orders.Get().(*Permutation)
	defer d.orders.Put(p)
	place := p.Place(index)
	cached.Store(uint32(place) + 1)
	return place
}

// A batch is the joins of one exchange.
type batch struct {
	joins int64
	done  chan struct{} // closed once what is below is set
	first int64
	epoch int // its number
	// joinedAt is the time in the tokens: the exchange's.
	joinedAt time.Time
	err      error
}

// A snapshot is the queue as the last exchange left it. It never changes.
type snapshot struct {
	domain.Queue
	at    time.Duration // when it was taken, on the node's monotonic clock
	away  bool          // the exchanges since have failed
	err   error         // CodeNotFound: the sale has no waiting room
	drawn *drawing      // nil before the draw
	draw  Draw
	next  chan struct{} // closed when the next snapshot is there
}

// A seatCount is what the ledger said of a sale's seats. It never changes.
type seatCount struct {
	seats seatsState
	free  freeSeats
	at    time.Duration // when it was asked, on the node's monotonic clock
	away  bool          // it did not answer since
	next  chan struct{} // closed when it was asked again
}

type seatsState int

const (
	seatsUnknown seatsState = iota
	seatsFree
	seatsHeld // none is free, but some may come back
	seatsGone // until an order is refunded
)

// newRoom makes the room for somebody who asks for it now.
func newRoom(sale string, mono time.Duration) *room {
	r := &room{sale: sale, batch: &batch{done: make(chan struct{})}}
	r.last.Store(&snapshot{next: make(chan struct{}), at: never})
	r.count.Store(&seatCount{next: make(chan struct{}), at: never})
	r.asked.Store(int64(mono))
	r.busyAt.Store(int64(never))
	r.watchedFrom.Store(JoinsMax)
	return r
}

// never is long before a node's clock began.
const never = -time.Hour

// active reports whether somebody asked lately.
func (r *room) active(mono time.Duration) bool {
	return mono-time.Duration(r.asked.Load()) <= activeFor
}

// busy reports whether somebody queues (for a place, for the draw, at the door or late),
// or did a moment ago, so that the other nodes hear from this one while people trickle
// in.
func (r *room) busy(mono time.Duration) bool {
	s := r.last.Load()
	if s.Door.Admitted < s.Joined || r.hasJoins() || r.late.waiting() {
		r.busyAt.Store(int64(mono))
	}
	return mono-time.Duration(r.busyAt.Load()) <= nodeLive
}

// due reports whether there is a reason to exchange. A queue without people costs the
// database one exchange when somebody looks at it, not ten a second from then on.
func (r *room) due(mono time.Duration) bool {
	return r.busy(mono) || r.wanted.Load() || r.last.Load().away
}

func (r *room) hasJoins() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.batch.joins > 0
}

func (r *room) seats() seatsState { return r.count.Load().seats }

func (r *room) hasSeats() bool { return r.seats() == seatsFree }

// isSoldOut needs a fresh answer of the ledger: refunds bring seats back.
func (r *room) isSoldOut(mono time.Duration) bool {
	c := r.count.Load()
	return c.seats == seatsGone && mono-c.at <= soldOutFor
}

// counted stores what the ledger said, and wakes those who wait for it.
func (r *room) counted(seats seatsState, free freeSeats, at time.Duration) {
	r.publishCount(&seatCount{seats: seats, free: free, at: at})
}

// uncounted keeps the last answer: the ledger does not answer now.
func (r *room) uncounted() {
	last := r.count.Load()
	r.publishCount(&seatCount{seats: last.seats, free: last.free, at: last.at, away: true})
}

func (r *room) publishCount(c *seatCount) {
	c.next = make(chan struct{})
	close(r.count.Swap(c).next)
}

// awaitCount waits for a count made after a time. If the ledger is down, the wait ends
// too.
func (r *room) awaitCount(ctx context.Context, than time.Duration) {
	for {
		c := r.count.Load()
		if c.at >= than || c.away {
			return
		}
		select {
		case <-c.next:
		case <-ctx.Done():
			return
		}
	}
}

// known reports whether there was an exchange.
func (s *snapshot) known() bool { return s.draw.Commitment != "" }

// drawOf is what everybody is told about a draw, without what depends on the time.
func drawOf(q *domain.Queue) Draw {
	d := Draw{
		Version: max(q.Draw.Version, domain.QueueDrawOfSeed), State: DrawOpen, Source: q.Draw.Source,
		Commitment: Commitment(q.Committed(), q.SaleID), Size: q.Drawn, Root: hex.EncodeToString(q.Draw.Root),
		DueAt: drawDue(q), Waived: !q.Draw.WaivedAt.IsZero(),
	}
	if d.Source == "" {
		d.Source = domain.QueueDrawNone
	}
	if q.Draw.Root != nil {
		d.State, d.Size = DrawClosed, q.Draw.Closed
	}
	if q.Drawn != domain.QueueUndrawn {
		d.State, d.Seed = DrawDrawn, hex.EncodeToString(q.Committed())
	}
	return d
}

// drawAt is what everybody is told at a given time.
func (s *snapshot) drawAt(now time.Time) Draw {
	d := s.draw
	if d.State == DrawClosed && now.After(d.DueAt.Add(drawLate)) {
		d.State = DrawDelayed
	}
	return d
}

func recordOf(q *domain.Queue) DrawRecord {
	d := &q.Draw
	return DrawRecord{
		ClosedAt: d.ClosedAt, RootAt: d.RootAt, DrawnAt: q.DrawnAt, Beacon: d.Beacon, BeaconAt: roundTime(d),
		WitnessCommitment: d.WitnessCommitment, WitnessSecret: d.WitnessSecret, WaivedAt: d.WaivedAt, WaivedReason: d.WaivedReason,
	}
}

// now is the database's clock, carried on by this node's monotonic one.
func (s *snapshot) now(mono time.Duration) time.Time { return s.Now.Add(mono - s.at) }

// publish replaces the snapshot and wakes those who wait for it.
func (r *room) publish(s *snapshot) {
	s.next = make(chan struct{})
	close(r.last.Swap(s).next)
}

// took makes the snapshot after an exchange.
func (r *room) took(q *domain.Queue, at time.Duration) {
	s := &snapshot{Queue: *q, at: at}
	s.draw = drawOf(q)
	if q.Drawn != domain.QueueUndrawn {
		if s.drawn = r.last.Load().drawn; !s.drawn.is(q) {
			s.drawn = newDrawing(q.Seed, q.Drawn)
		}
	}
	r.publish(s)
}

// failed keeps the last state: positions and admitted tokens stay valid.
func (r *room) failed(err error) {
	s := *r.last.Load()
	s.away = true
	if domain.CodeOf(err) == domain.CodeNotFound {
		s.err = err
	}
	r.publish(&s)
}

// hear records that the holder of a join index is present.
func (r *room) hear(index int64, mono time.Duration) {
	if b := r.block(index); b != nil {
		second := uint32(mono/time.Second) + 1
		if heard := &b.heard[index%blockIndexes]; heard.Load() != second { // a store would bounce the cache line
			heard.Store(second)
		}
	}
}

// came counts the first checkout of a join index at this node.
func (r *room) came(index int64, s *snapshot, mono time.Duration) {
	b := r.block(index)
	if b == nil {
		return
	}
	bit := uint64(1) << (index % 64)
	if b.came[index%blockIndexes/64].Or(bit)&bit == 0 {
		r.arrivals.arrived(mono, r.placeOf(s, index))
	}
}

// block is nil for an index beyond JoinsMax.
func (r *room) block(index int64) *block {
	if index < 0 || index >= JoinsMax {
		return nil
	}
	at := &r.blocks[index/blockIndexes]
	if b := at.Load(); b != nil {
		return b
	}
	at.CompareAndSwap(nil, new(block))
	return at.Load()
}

func (r *room) present(index int64, mono time.Duration) bool {
	if index < 0 || index >= JoinsMax {
		return false
	}
	b := r.blocks[index/blockIndexes].Load()
	if b == nil {
		return false
	}
	heard := b.heard[index%blockIndexes].Load()
	return heard != 0 && mono/time.Second-time.Duration(heard-1) <= PresenceTimeout/time.Second
}

// placeOf is where the draw put an index. Later arrivals have their index as their place.
func (r *room) placeOf(s *snapshot, index int64) int64 {
	if index < 0 || index >= min(s.Drawn, JoinsMax) {
		return index
	}
	return s.drawn.place(index)
}

// foresee computes, before an exchange, who has the places ahead of the door, so that
// none is computed while the queue's row is locked.
func (r *room) foresee() {
	s := r.last.Load()
	if s.drawn == nil {
		return
	}
	from, to := s.Door.Admitted&^7, min(s.Door.Admitted+2*windowPlaces, s.Drawn)
	if from < r.orderFrom || r.orderOf != s.drawn { // the database came back as it was a moment before: a restore, a failover
		r.order, r.orderFrom, r.orderOf = r.order[:0], from, s.drawn
	}
	if gone := min(from-r.orderFrom, int64(len(r.order))); gone > 0 {
		r.order = append(r.order[:0], r.order[gone:]...)
		r.orderFrom += gone
	}
	if len(r.order) == 0 {
		r.orderFrom = from
	}
	p := s.drawn.orders.Get().(*Permutation)
	defer s.drawn.orders.Put(p)
	for place := r.orderFrom + int64(len(r.order)); place < to; place++ {
		r.order = append(r.order, p.Index(place))
	}
}

// rests reports whether the database's clock was set so recently that it cannot be
// compared with the other nodes' rows yet.
func (r *room) rests(q *domain.Queue, mono time.Duration) bool {
	last := r.last.Load()
	switch {
	case last.known() && age(q.Now, last.now(mono)) > clockStep:
		r.resting = restExchanges
	case r.resting > 0:
		r.resting--
	}
	return r.resting > 0
}

// presence says who is present among the places ahead of the door, as in a node's row:
// from a multiple of 8 on. If that is not known yet, Base is QueueUndrawn, and the door
// waits.
func (r *room) presence(q *domain.Queue, mono time.Duration) (base int64, bits []byte) {
	base = q.Door.Admitted &^ 7
	drawnTo := min(base+windowPlaces, q.Drawn)
	if q.Drawn == domain.QueueUndrawn || base < drawnTo && (!r.orderOf.is(q) || base < r.orderFrom || drawnTo > r.orderFrom+int64(len(r.order))) {
		return domain.QueueUndrawn, nil
	}
	bits = make([]byte, windowPlaces/8)
	used := int64(0)
	for place := base; place < min(base+windowPlaces, q.Joined); place++ {
		index := place
		if place < q.Drawn {
			index = r.order[place-r.orderFrom]
		}
		if r.present(index, mono) {
			bit := place - base
			bits[bit>>3] |= 1 << (bit & 7)
			used = bit>>3 + 1
		}
	}
	return base, bits[:used]
}

// enlist adds a join to the waiting batch, and returns its number in it.
func (r *room) enlist() (b *batch, nth int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.batch.joins >= batchJoinsMax {
		return nil, 0, false
	}
	r.batch.joins++
	return r.batch, r.batch.joins - 1, true
}

// close reports whether nobody waits for the next exchange. After that nobody can: a
// caller who found the room a moment ago is told to try again.
func (r *room) close() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = r.closed || r.batch.joins == 0
	return r.closed
}

// take closes the waiting batch and starts the next.
func (r *room) take() *batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.batch
	r.batch = &batch{done: make(chan struct{})}
	return b
}

// newer waits for a snapshot taken after a time. If the database is down, the wait ends
// too, and the last state stands.
func (r *room) newer(ctx context.Context, than time.Duration) *snapshot {
	for {
		s := r.last.Load()
		if s.at >= than || s.away {
			return s
		}
		r.wanted.Store(true)
		select {
		case <-s.next:
		case <-ctx.Done():
			return s
		}
	}
}

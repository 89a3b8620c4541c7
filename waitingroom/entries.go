package waitingroom

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
)

// The door passes places, and lets in those whose holders are present. For each place we
// keep whether and when it was let in. Somebody who was away when the door passed, or let
// EntryLife go by, is let in again later, alternating with those at the door, and counts
// against the rate just the same.
const (
	// EntryLife is how long somebody who was let in may begin a checkout. After it they
	// are late.
	EntryLife = 15 * time.Minute
	// lateMax limits those who wait to be let in again, on one node and for one sale: 2
	// MB.
	lateMax = 1 << 16
	// readChunksMax limits how many chunks of entries are read at a time, a kilobyte
	// each.
	readChunksMax = 64
	// lateTurnMax is how many of the late one turn looks at.
	lateTurnMax = 256
	readTimeout = 500 * time.Millisecond
	// takeInMax is how many people let in by a release without entries one exchange
	// writes.
	takeInMax = 4096

	chunkPlaces = domain.QueueChunkPlaces
)

// An entryBlock keeps when places were let in, as far as this node knows.
type entryBlock struct {
	stamps [blockIndexes]atomic.Uint32              // see domain.QueueStamp; 0: not let in
	read   [blockIndexes / chunkPlaces]atomic.Int64 // when, on the node's monotonic clock; 0: not yet
}

// entryBlock is nil for a place beyond JoinsMax.
func (r *room) entryBlock(place int64) *entryBlock {
	if place < 0 || place >= JoinsMax {
		return nil
	}
	at := &r.entered[place/blockIndexes]
	if b := at.Load(); b != nil {
		return b
	}
	at.CompareAndSwap(nil, new(entryBlock))
	return at.Load()
}

// enteredUntil is until when the holder of a place may begin a checkout; zero: not let
// in, or too long ago. The previous release kept no entries: those whom it let in are in
// as long as their token is valid.
func (r *room) enteredUntil(s *snapshot, place int64, now time.Time) (until time.Time, in bool) {
	if place >= s.Door.Admitted {
		return time.Time{}, false
	}
	if place < s.EnteredBefore {
		return time.Time{}, true
	}
	b := r.entryBlock(place)
	if b == nil {
		return time.Time{}, false
	}
	at, ok := domain.QueueStampTime(int(b.stamps[place%blockIndexes].Load()), now)
	if until = at.Add(EntryLife); !ok || !now.Before(until) {
		return time.Time{}, false
	}
	return until, true
}

// entriesRead is when this node last read who was let in around a place. If it has
// watched all the time, that is now.
func (r *room) entriesRead(place int64) (at time.Duration, ok bool) {
	b := r.entryBlock(place)
	if b == nil {
		return 0, true
	}
	at = time.Duration(b.read[place%blockIndexes/chunkPlaces].Load())
	return at, at > 0 || place >= r.watchedFrom.Load()
}

func (r *room) noteEntry(place int64, stamp int) {
	if b := r.entryBlock(place); b != nil {
		b.stamps[place%blockIndexes].Store(uint32(stamp))
	}
}

func (r *room) noteChunk(chunk int64, cells []byte, mono time.Duration) {
	first := chunk * chunkPlaces
	b := r.entryBlock(first)
	if b == nil {
		return
	}
	for i := range min(int64(len(cells)/2), chunkPlaces) {
		b.stamps[(first+i)%blockIndexes].Store(uint32(cells[2*i])<<8 | uint32(cells[2*i+1]))
	}
	b.read[first%blockIndexes/chunkPlaces].Store(int64(max(mono, 1)))
}

// late are those who wait to be let in again, first come, first served.
type late struct {
	mu     sync.Mutex
	queue  []latecomer
	number map[int64]int64 // place → which one it was
	served int64           // how many have left the queue
}

type latecomer struct{ place, index int64 }

// enlist puts a place at the end of the queue, once, and returns how many are before it.
func (l *late) enlist(c latecomer) (ahead int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.number == nil {
		l.number = make(map[int64]int64)
	}
	number, ok := l.number[c.place]
	if !ok {
		number = l.served + int64(len(l.queue))
		if len(l.queue) < lateMax {
			l.queue = append(l.queue, c)
			l.number[c.place] = number
		}
	}
	return max(number-l.served, 0)
}

func (l *late) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > 0
}

// next returns who is next, and which chunks must be read before they are let in.
func (l *late) next() (next []latecomer, chunks []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.queue[:min(len(l.queue), lateTurnMax)] {
		if chunk := c.place / chunkPlaces; !slices.Contains(chunks, chunk) {
			if len(chunks) >= readChunksMax {
				break
			}
			chunks = append(chunks, chunk)
		}
		next = append(next, c)
	}
	return next, chunks
}

// leave removes those for whom done is true from the first n of the queue.
func (l *late) leave(n int, done func(latecomer) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, len(l.queue))
	kept := make([]latecomer, 0, n)
	for _, c := range l.queue[:n] {
		if done(c) {
			delete(l.number, c.place)
		} else {
			kept = append(kept, c)
		}
	}
	gone := n - len(kept)
	l.served += int64(gone)
	copy(l.queue[gone:], kept)
	l.queue = l.queue[gone:]
}

// An entering says whom a turn may let in, and whom it did let in.
type entering struct {
	people  int64   // at most
	late    []int64 // places that the door has passed, next first
	entered []int64 // places
}

// enter lets in those who are next, alternating between those at the door and the late.
func (e *entering) enter(d *domain.QueueDoor, limit int64, isPresent func(place int64) bool) {
	for {
		for d.Admitted < limit && !isPresent(d.Admitted) {
			d.Admitted++
		}
		atDoor := d.Admitted < limit
		fromLate := len(e.late) > 0 && (!atDoor || d.Entered%2 == 1)
		if !atDoor && !fromLate || d.Credit < 1 || e.people < 1 {
			return
		}
		d.Credit--
		d.Entered++
		e.people--
		if fromLate {
			e.entered, e.late = append(e.entered, e.late[0]), e.late[1:]
		} else {
			e.entered = append(e.entered, d.Admitted)
			d.Admitted++
		}
	}
}

// takeIn returns the places whose holders a node of the previous release has let in. Such
// a node moves the door without recording entries, so everybody whom it passed is in. If
// there are more than one exchange should write, the door waits for the next exchange.
func takeIn(q *domain.Queue) (places []int64, all bool) {
	from, to := q.EntriesTo, q.Door.Admitted
	if from == q.EnteredBefore { // no entries are kept yet: nothing to write
		q.EnteredBefore, q.EntriesTo = to, to
		return nil, true
	}
	to = min(to, from+takeInMax)
	for place := from; place < to; place++ {
		places = append(places, place)
	}
	q.EntriesTo = to
	return places, to == q.Door.Admitted
}

// lateNow are the late who are present and were not let in meanwhile, before an exchange.
func (r *Rooms) lateNow(ctx context.Context, of *room) (places []int64) {
	next, chunks := of.late.next()
	if len(chunks) == 0 {
		return nil
	}
	if !r.readEntries(ctx, of, chunks) {
		return nil // the database is down
	}
	s, mono := of.last.Load(), r.mono()
	now := s.now(mono)
	waits := func(c latecomer) bool {
		_, in := of.enteredUntil(s, c.place, now)
		return !in && of.present(c.index, mono)
	}
	of.late.leave(len(next), func(c latecomer) bool { return !waits(c) })
	for _, c := range next {
		if waits(c) {
			places = append(places, c.place)
		}
	}
	return places
}

func (r *Rooms) readEntries(ctx context.Context, of *room, chunks []int64) bool {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	at := r.mono()
	read, err := r.o.Store.QueueEntries(ctx, of.sale, chunks)
	if err != nil {
		r.o.Log.Debug("waiting room: cannot read who was let in", "sale", of.sale, "err", err)
		return false
	}
	for _, chunk := range chunks {
		of.noteChunk(chunk, read[chunk], at)
	}
	return true
}

// seeEntries records whom this exchange let in, and reads whom other nodes let in since
// this node's last exchange.
func (r *Rooms) seeEntries(ctx context.Context, of *room, q *domain.Queue, doorBefore int64, entered []int64) {
	last := of.last.Load()
	switch from := last.Door.Admitted; {
	case !last.known():
		of.watchedFrom.Store(doorBefore)
	case doorBefore > from:
		var chunks []int64
		for chunk := from / chunkPlaces; chunk <= (doorBefore-1)/chunkPlaces && len(chunks) < readChunksMax; chunk++ {
			chunks = append(chunks, chunk)
		}
		if !r.readEntries(ctx, of, chunks) || int64(len(chunks)) < (doorBefore-1)/chunkPlaces-from/chunkPlaces+1 {
			of.watchedFrom.Store(doorBefore) // read when somebody asks
		}
	}
	stamp := domain.QueueStamp(q.Now)
	for _, place := range entered {
		of.noteEntry(place, stamp)
	}
	if len(entered) > 0 {
		of.late.leave(lateTurnMax, func(c latecomer) bool { return slices.Contains(entered, c.place) })
	}
}

// comeIn returns until when the holder of a token may begin a checkout. If they may not
// although the door has passed them, it returns how many come before them. old is how old
// this node's knowledge may be, because another node may have let them in.
func (r *Rooms) comeIn(ctx context.Context, of *room, s *snapshot, index int64, old time.Duration) (until time.Time, in bool, ahead int64) {
	place, now := of.placeOf(s, index), s.now(r.mono())
	if until, in = of.enteredUntil(s, place, now); in || place >= s.Door.Admitted {
		return until, in, 0
	}
	isOld := func() bool {
		at, ok := of.entriesRead(place)
		return !ok || r.mono()-at >= old
	}
	if isOld() && !s.away {
		of.reading.Lock()
		if isOld() { // nobody else has read it meanwhile
			r.readEntries(ctx, of, []int64{place / chunkPlaces})
		}
		of.reading.Unlock()
		if until, in = of.enteredUntil(s, place, now); in {
			return until, in, 0
		}
	}
	return until, in, of.late.enlist(latecomer{place, index})
}

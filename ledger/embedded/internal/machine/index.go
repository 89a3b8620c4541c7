package machine

import (
	"math/bits"
	"math/rand/v2"
)

const (
	// indexSegmentSlotsMax is where a segment splits instead of doubling: 32 KiB,
	// so that one step of growth takes microseconds.
	indexSegmentSlotsMax = 4096
	indexSegmentSlotsMin = 16
	// indexDepthMax is what a fingerprint leaves to choose the segment by.
	indexDepthMax = 20
)

// index finds references, which are row numbers of some table, by a 128-bit key.
// It is a hash table of eight bytes a slot: it keeps of each key only a
// fingerprint, and asks keyOf for the rest where the fingerprint fits. A look-up
// reads one line of memory, where Go's map reads two and takes three times the
// room (BenchmarkIndex).
//
// It grows a segment at a time (extendible hashing), so that no insertion pays for
// all that came before.
type index struct {
	keyOf     func(ref uint32) u128
	seed      u128 // another in every index: no choice of ids makes it slow
	directory []*indexSegment
	depth     uint8 // leading bits of a fingerprint that choose the segment
	scratch   []indexSlot
}

// indexSegment holds the keys whose fingerprints share their first depth bits.
type indexSegment struct {
	slots []indexSlot // a power of two
	used  uint32
	depth uint8
}

// indexSlot is a fingerprint and a reference plus one; zero is empty.
type indexSlot uint64

func newIndexSlot(fingerprint, ref uint32) indexSlot {
	return indexSlot(fingerprint)<<32 | indexSlot(ref+1)
}

func (s indexSlot) fingerprint() uint32 { return uint32(s >> 32) }
func (s indexSlot) ref() uint32         { return uint32(s) - 1 }

func newIndex(keyOf func(ref uint32) u128) index {
	first := &indexSegment{slots: make([]indexSlot, indexSegmentSlotsMin)}
	return index{
		keyOf:     keyOf,
		seed:      u128{rand.Uint64(), rand.Uint64()},
		directory: []*indexSegment{first},
	}
}

// fingerprint is a hash of the key: two folded multiplications, as in wyhash.
func (x *index) fingerprint(key u128) uint32 {
	hi, lo := bits.Mul64(key.lo^x.seed.lo, key.hi^x.seed.hi)
	hi, lo = bits.Mul64(hi^lo^x.seed.lo, 0x9e3779b97f4a7c15)
	return uint32((hi ^ lo) >> 32)
}

func (x *index) segment(fingerprint uint32) *indexSegment {
	return x.directory[fingerprint>>(32-x.depth)]
}

// find is the reference that was put in with the key.
func (x *index) find(key u128) (ref uint32, found bool) {
	fingerprint := x.fingerprint(key)
	s := x.segment(fingerprint)
	at, found := s.find(fingerprint, key, x.keyOf)
	if !found {
		return 0, false
	}
	return s.slots[at].ref(), true
}

// touch reads the slot where the search for a key begins and returns something of
// it. The processor waits for many such reads at once, but for the reads of
// searches one after the other.
func (x *index) touch(key u128) uint64 {
	fingerprint := x.fingerprint(key)
	s := x.segment(fingerprint)
	return uint64(s.slots[s.home(fingerprint)])
}

// put adds a key that is not there, with a reference below 1<<32 - 1.
func (x *index) put(key u128, ref uint32) {
	fingerprint := x.fingerprint(key)
	s := x.segment(fingerprint)
	for s.full() {
		x.grow(s, fingerprint)
		s = x.segment(fingerprint)
	}
	s.insert(newIndexSlot(fingerprint, ref))
}

// remove takes out a key that is there; keyOf must still know it.
func (x *index) remove(key u128) {
	fingerprint := x.fingerprint(key)
	s := x.segment(fingerprint)
	at, found := s.find(fingerprint, key, x.keyOf)
	assert(found, "a key is removed that is not there")
	s.remove(at)
}

// grow makes room in a full segment, to which the fingerprint belongs.
func (x *index) grow(s *indexSegment, fingerprint uint32) {
	x.scratch = append(x.scratch[:0], s.slots...)
	s.used = 0
	if len(s.slots) < indexSegmentSlotsMax {
		s.slots = make([]indexSlot, 2*len(s.slots))
		x.refill()
		return
	}
	clear(s.slots)
	x.split(s, fingerprint)
	x.refill()
}

// refill inserts the slots that grow has set aside.
func (x *index) refill() {
	for _, slot := range x.scratch {
		if slot != 0 {
			x.segment(slot.fingerprint()).insert(slot)
		}
	}
}

// split gives the upper half of a segment's fingerprints a segment of their own.
func (x *index) split(s *indexSegment, fingerprint uint32) {
	if s.depth == x.depth {
		assert(x.depth < indexDepthMax, "an index is full")
		x.doubleDirectory()
	}
	first := fingerprint >> (32 - s.depth) << (x.depth - s.depth)
	half := uint32(1) << (x.depth - s.depth - 1)
	s.depth++
	upper := &indexSegment{slots: make([]indexSlot, indexSegmentSlotsMax), depth: s.depth}
	for i := range half {
		x.directory[first+half+i] = upper
	}
}

func (x *index) doubleDirectory() {
	directory := make([]*indexSegment, 0, 2*len(x.directory))
	for _, s := range x.directory {
		directory = append(directory, s, s)
	}
	x.directory = directory
	x.depth++
}

func (s *indexSegment) mask() uint32 { return uint32(len(s.slots) - 1) }

func (s *indexSegment) home(fingerprint uint32) uint32 { return fingerprint & s.mask() }

// full reports whether the next insertion would make searches long.
func (s *indexSegment) full() bool { return 4*s.used >= 3*uint32(len(s.slots)) }

// find searches from the key's home to the next empty slot.
func (s *indexSegment) find(fingerprint uint32, key u128, keyOf func(ref uint32) u128) (at uint32, found bool) {
	mask := s.mask()
	for at = s.home(fingerprint); s.slots[at] != 0; at = (at + 1) & mask {
		if s.slots[at].fingerprint() == fingerprint && keyOf(s.slots[at].ref()) == key {
			return at, true
		}
	}
	return 0, false
}

func (s *indexSegment) insert(slot indexSlot) {
	mask := s.mask()
	at := s.home(slot.fingerprint())
	for s.slots[at] != 0 {
		at = (at + 1) & mask
	}
	s.slots[at] = slot
	s.used++
}

// remove empties a slot and moves up those behind it that this would hide.
func (s *indexSegment) remove(at uint32) {
	mask := s.mask()
	hole := at
	for next := (hole + 1) & mask; s.slots[next] != 0; next = (next + 1) & mask {
		home := s.home(s.slots[next].fingerprint())
		if (next-home)&mask >= (next-hole)&mask {
			s.slots[hole] = s.slots[next]
			hole = next
		}
	}
	s.slots[hole] = 0
	s.used--
}

package machine

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

const (
	// indexSegmentSlotsMax is where a segment splits instead of doubling: 32 KiB, so
	// that one step of growth takes microseconds and the newest segment is in the
	// cache.
	indexSegmentSlotsMax = 4096
	indexSegmentSlotsMin = 16

	// The last segment takes new greatest keys up to the first bound. The rest of its
	// room is for the keys that come a little late.
	indexAppendMax = indexSegmentSlotsMax * 5 / 8
	indexSampleMax = 32
)

// index finds references, which are row numbers of some table, by a 128-bit key. It is made
// for keys in about the order of time, as TigerBeetle recommends for ids (docs "Data
// Modeling", id): segments divide the keys by their order, so new and recent ones are
// looked for where the last ones were, in the processor's cache, however many there are.
// Keys in any other order, and old ones, work too, at the price of two cache misses, one of
// them for the record (BenchmarkIndex).
//
// A segment is a hash table with eight bytes per slot. It keeps only a fingerprint of each
// key, and calls keyOf for the rest if the fingerprint matches. The index grows one segment
// at a time, so that no insertion pays for all earlier ones.
type index struct {
	keyOf    func(ref uint32) u128
	seed     u128   // random for every index, so no choice of ids makes it slow
	lows     []u128 // of each segment, ascending: the first key that it may hold
	segments []*indexSegment
	scratch  []indexSlot
}

type indexSegment struct {
	slots []indexSlot // a power of two
	used  uint32
	high  u128 // no key was greater
}

// indexSlot is a fingerprint and a reference plus one; zero is empty.
type indexSlot uint64

func newIndexSlot(fingerprint, ref uint32) indexSlot {
	return indexSlot(fingerprint)<<32 | indexSlot(ref+1)
}

func (s indexSlot) fingerprint() uint32 { return uint32(s >> 32) }
func (s indexSlot) ref() uint32         { return uint32(s) - 1 }

func newIndex(keyOf func(ref uint32) u128) index {
	x := index{keyOf: keyOf, seed: u128{rand.Uint64(), rand.Uint64()}}
	x.extend(0, zero, indexSegmentSlotsMin)
	return x
}

// extend inserts a new segment at a position.
func (x *index) extend(at int, low u128, slots int) *indexSegment {
	s := &indexSegment{slots: make([]indexSlot, slots), high: low}
	x.lows = slices.Insert(x.lows, at, low)
	x.segments = slices.Insert(x.segments, at, s)
	return s
}

// fingerprint is a hash of the key: two folded multiplications, as in wyhash.
func (x *index) fingerprint(key u128) uint32 {
	hi, lo := bits.Mul64(key.lo^x.seed.lo, key.hi^x.seed.hi)
	hi, lo = bits.Mul64(hi^lo^x.seed.lo, 0x9e3779b97f4a7c15)
	return uint32((hi ^ lo) >> 32)
}

// segmentOf is the place of the segment that a key belongs to. It looks at the last
// first, then further and further back.
func (x *index) segmentOf(key u128) int {
	end := len(x.lows)
	first := end - 1
	for step := 1; first > 0 && key.less(x.lows[first]); step *= 2 {
		end, first = first, max(first-step, 0)
	}
	for end-first > 1 {
		middle := (first + end) / 2
		if key.less(x.lows[middle]) {
			end = middle
		} else {
			first = middle
		}
	}
	return first
}

// find is the reference that was put in with the key.
func (x *index) find(key u128) (ref uint32, found bool) {
	s := x.segments[x.segmentOf(key)]
	at, found := s.find(x.fingerprint(key), key, x.keyOf)
	if !found {
		return 0, false
	}
	return s.slots[at].ref(), true
}

// put adds a new key, with a reference below 1<<32 - 1.
func (x *index) put(key u128, ref uint32) {
	at := x.segmentOf(key)
	s := x.segments[at]
	for s.full() {
		x.grow(at)
		at = x.segmentOf(key)
		s = x.segments[at]
	}
	if s.high.less(key) {
		if at == len(x.segments)-1 && s.used >= indexAppendMax {
			s = x.extend(at+1, key, indexSegmentSlotsMax)
		}
		s.high = key
	}
	s.insert(newIndexSlot(x.fingerprint(key), ref))
}

// remove removes an existing key; keyOf must still know it.
func (x *index) remove(key u128) {
	place := x.segmentOf(key)
	s := x.segments[place]
	at, found := s.find(x.fingerprint(key), key, x.keyOf)
	assert(found, "a missing key is removed")
	s.remove(at)
	if s.used == 0 && len(x.segments) > 1 {
		x.drop(place)
	}
}

// drop frees a segment without keys. The previous one, or the one after the first, takes
// over its range.
func (x *index) drop(place int) {
	x.segments = slices.Delete(x.segments, place, place+1)
	x.lows = slices.Delete(x.lows, place, place+1)
	x.lows[0] = zero
}

// grow makes room in a full segment: more slots, or half of its keys for a new one.
func (x *index) grow(at int) {
	s := x.segments[at]
	x.scratch = append(x.scratch[:0], s.slots...)
	s.used = 0
	if len(s.slots) < indexSegmentSlotsMax {
		s.slots = make([]indexSlot, 2*len(s.slots))
		for _, slot := range x.scratch {
			if slot != 0 {
				s.insert(slot)
			}
		}
		return
	}
	middle := x.middle()
	upper := x.extend(at+1, middle, indexSegmentSlotsMax)
	upper.high = s.high
	clear(s.slots)
	for _, slot := range x.scratch {
		switch {
		case slot == 0:
		case x.keyOf(slot.ref()).less(middle):
			s.insert(slot)
		default:
			upper.insert(slot)
		}
	}
}

// middle is about the median of the keys that grow has set aside, and never the smallest of them.
func (x *index) middle() u128 {
	sample := make([]u128, 0, indexSampleMax)
	for _, slot := range x.scratch {
		if slot != 0 {
			sample = append(sample, x.keyOf(slot.ref()))
		}
		if len(sample) == indexSampleMax {
			break
		}
	}
	slices.SortFunc(sample, u128.compare)
	return sample[len(sample)/2]
}

func (s *indexSegment) mask() uint32 { return uint32(len(s.slots) - 1) }

func (s *indexSegment) home(fingerprint uint32) uint32 { return fingerprint & s.mask() }

// full reports whether the next insertion would make searches long.
func (s *indexSegment) full() bool { return 16*s.used >= 13*uint32(len(s.slots)) }

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

// remove empties a slot and moves up the later entries that this would hide.
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

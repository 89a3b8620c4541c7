package waitingroom

import (
	"math/rand/v2"
	"testing"
)

func TestTheDrawIsAPermutationThatCanBeUndoneAndRepeated(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	sizes := []int64{0, 1, 2, 3, 4, 5, 7, 8, 9, 1000, 4096, 4097, 20_011}
	for range 20 {
		sizes = append(sizes, 1+random.Int64N(3000))
	}
	for _, size := range sizes {
		key := make([]byte, 32)
		for i := range key {
			key[i] = byte(random.Uint32())
		}
		p, again := NewPermutation(key, size), NewPermutation(key, size)
		taken := make([]bool, size)
		for index := range size {
			place := p.Place(index)
			if place < 0 || place >= size || taken[place] {
				t.Fatalf("size %d: index %d has place %d: outside, or taken", size, index, place)
			}
			taken[place] = true
			if back := again.Index(place); back != index {
				t.Fatalf("size %d: place %d belongs to %d, but Index returns %d", size, place, index, back)
			}
		}
	}
}

// TestTheDrawIsAsDocumented pins what docs/waiting-room.md promises: programs written from
// that page must go on computing the same places.
func TestTheDrawIsAsDocumented(t *testing.T) {
	p := NewPermutation([]byte("0123456789abcdef0123456789abcdef"), 10)
	var got [10]int64
	for i := range got {
		got[i] = p.Place(int64(i))
	}
	// Computed by a Python program written from the document alone.
	if want := ([10]int64{3, 6, 9, 2, 7, 8, 4, 0, 5, 1}); got != want {
		t.Errorf("places %v, want %v", got, want)
	}
}

// TestTheDrawFavoursNobody looks at where the first who joined ends up.
func TestTheDrawFavoursNobody(t *testing.T) {
	const draws, size = 2000, 100
	var sum float64
	for i := range draws {
		key := make([]byte, 32)
		key[0], key[1] = byte(i), byte(i>>8)
		sum += float64(NewPermutation(key, size).Place(0))
	}
	// The mean of 2,000 uniform places is 49.5 ± 0.65; five sigma either side.
	if mean := sum / draws; mean < 46 || mean > 53 {
		t.Errorf("the first to join has place %.1f of %d on average", mean, size)
	}
}

package machine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"pgregory.net/rapid"
)

// keyed is an index beside the keys that were put in, and a map that does the same.
type keyed struct {
	index
	keys []u128
	want map[u128]uint32
}

func newKeyed() *keyed {
	k := &keyed{want: map[u128]uint32{}}
	k.index = newIndex(func(ref uint32) u128 { return k.keys[ref] })
	return k
}

func (k *keyed) add(key u128) {
	ref := uint32(len(k.keys))
	k.keys = append(k.keys, key)
	k.put(key, ref)
	k.want[key] = ref
}

func (k *keyed) check(t interface{ Fatalf(string, ...any) }) {
	for key, want := range k.want {
		if ref, found := k.find(key); !found || ref != want {
			t.Fatalf("key %v: found %v %d, want %d of %d keys", key, found, ref, want, len(k.want))
		}
	}
}

func TestAnIndexEqualsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKeyed()
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		removals := rapid.SampledFrom([]int{0, 2, 10}).Draw(t, "removals")
		for range rapid.SampledFrom([]int{1, 11, 12, 13, 500, 4000, 20_000}).Draw(t, "keys") {
			key := u128{random.Uint64N(30_000), random.Uint64N(2)}
			_, found := k.find(key)
			_, want := k.want[key]
			switch {
			case found != want:
				t.Fatalf("key %v: found %v", key, found)
			case !found:
				k.add(key)
			case random.IntN(10) < removals:
				k.remove(key)
				delete(k.want, key)
			}
		}
		k.check(t)
	})
}

// Keys that share a fingerprint are told apart by what keyOf says.
func TestAnIndexTellsEqualFingerprintsApart(t *testing.T) {
	k := newKeyed()
	const same = 100
	for i := range uint64(same) {
		ref := uint32(len(k.keys))
		k.keys = append(k.keys, widen(i))
		s := k.segment(0)
		for s.full() {
			k.grow(s, 0)
		}
		s.insert(newIndexSlot(0, ref))
	}
	for i := range uint64(same) {
		at, found := k.segment(0).find(0, widen(i), k.keyOf)
		if !found || k.segment(0).slots[at].ref() != uint32(i) {
			t.Fatalf("key %d: found %v", i, found)
		}
	}
}

// BenchmarkIndex compares the index with Go's map, which it replaced, at the ids
// that the product makes: half of what is looked up is there. "blocks" reads ahead,
// as CreateTransfers does.
func BenchmarkIndex(b *testing.B) {
	for _, count := range []int{10_000, 5_000_000} {
		k := newKeyed()
		for range count {
			k.add(load(tb.ID()))
		}
		wanted := make([]u128, 1<<16)
		for i := range wanted {
			wanted[i] = load(tb.ID())
			if i%2 == 0 {
				wanted[i] = k.keys[rand.IntN(count)]
			}
		}
		for name, look := range map[string]func(u128) bool{
			"map":   func(key u128) bool { _, found := k.want[key]; return found },
			"index": func(key u128) bool { _, found := k.find(key); return found },
		} {
			b.Run(fmt.Sprintf("%s/keys=%d", name, count), func(b *testing.B) {
				for i := range b.N {
					look(wanted[i%len(wanted)])
				}
			})
		}
		b.Run(fmt.Sprintf("blocks/keys=%d", count), func(b *testing.B) {
			sum := uint64(0)
			for first := 0; first < b.N; first += warmedEventsMax {
				at := first % len(wanted)
				block := wanted[at : at+warmedEventsMax]
				for _, key := range block {
					sum += k.touch(key)
				}
				for _, key := range block {
					k.find(key)
				}
			}
			_ = sum
		})
	}
}

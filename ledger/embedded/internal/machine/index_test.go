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
		// Keys ascend, but for those that come late.
		late := rapid.SampledFrom([]uint64{0, 10, 1000, 30_000}).Draw(t, "late")
		next := late
		for range rapid.SampledFrom([]int{1, 11, 12, 13, 500, 4000, 20_000}).Draw(t, "keys") {
			next += random.Uint64N(3)
			key := u128{lo: next - random.Uint64N(late+1)}
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
		if k.segments[0].full() {
			k.grow(0)
		}
		k.segments[0].insert(newIndexSlot(0, ref))
	}
	for i := range uint64(same) {
		at, found := k.segments[0].find(0, widen(i), k.keyOf)
		if !found || k.segments[0].slots[at].ref() != uint32(i) {
			t.Fatalf("key %d: found %v", i, found)
		}
	}
}

// BenchmarkIndex compares the index with Go's map, which it replaced: looking for ids
// that an application would make next, which must not be there, and for old ones.
func BenchmarkIndex(b *testing.B) {
	for _, count := range []int{10_000, 5_000_000} {
		k := newKeyed()
		for range count {
			k.add(load(tb.ID()))
		}
		var next, old [1 << 15]u128
		for i := range next {
			next[i], old[i] = load(tb.ID()), k.keys[rand.IntN(count)]
		}
		for _, keys := range []struct {
			name   string
			wanted []u128
		}{{"next", next[:]}, {"old", old[:]}} {
			b.Run(fmt.Sprintf("map/%s/keys=%d", keys.name, count), func(b *testing.B) {
				found := 0
				for i := range b.N {
					if _, ok := k.want[keys.wanted[i%len(next)]]; ok {
						found++
					}
				}
			})
			b.Run(fmt.Sprintf("index/%s/keys=%d", keys.name, count), func(b *testing.B) {
				for i := range b.N {
					k.find(keys.wanted[i%len(next)])
				}
			})
		}
	}
}

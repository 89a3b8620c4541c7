package waitingroom

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
)

// rootOf is RFC 6962 §2.1 to the letter.
func rootOf(leaves [][]byte) []byte {
	switch len(leaves) {
	case 0:
		sum := sha256.Sum256(nil)
		return sum[:]
	case 1:
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	sum := sha256.Sum256(append(append([]byte{1}, rootOf(leaves[:k])...), rootOf(leaves[k:])...))
	return sum[:]
}

func leafOf(data string) []byte {
	sum := sha256.Sum256(append([]byte{0}, data...))
	return sum[:]
}

// The root is the RFC's, however the joins came and at whatever nodes, even those that keep
// no list. Each token has a proof on each node, even on one that started after the draw.
func TestEachTokenIsOnTheList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, size := range []int{2, 3, 7, tileLeaves, tileLeaves + 1, 3*tileLeaves + 1 + random.IntN(500), listGrowth + 77} {
		h := newHall(t, 20*time.Second)
		nodes := []*node{h.node("a", h.drand), h.node("b", h.drand)}
		var tokens []string
		var leaves [][]byte
		gaps := map[int]bool{}
		for len(tokens) < size {
			n := nodes[random.IntN(len(nodes))]
			people := min(1+random.IntN(1+size/4), size-len(tokens))
			got := join(t, n, people)
			if random.IntN(4) == 0 { // a node of the previous release
				h.joins = h.joins[:len(h.joins)-1]
				for i := range got {
					gaps[len(tokens)+i] = true
				}
			}
			for i, token := range got {
				if gaps[len(tokens)+i] {
					leaves = append(leaves, leafOf(""))
				} else {
					leaves = append(leaves, leafOf(token))
				}
			}
			tokens = append(tokens, got...)
			if random.IntN(2) == 0 {
				h.step(n, TurnInterval)
			} else {
				h.pass(TurnInterval)
			}
		}
		h.pass(time.Minute)
		drawn := h.until(nodes[0], DrawDrawn)
		if !bytes.Equal(drawn.Record.Beacon.Signature, h.q.Draw.Beacon.Signature) || !bytes.Equal(h.q.Draw.Root, rootOf(leaves)) {
			t.Fatalf("size %d: root %x, want %x", size, h.q.Draw.Root, rootOf(leaves))
		}
		late := join(t, nodes[1], 1)
		fresh := h.node("fresh", nil)
		fresh.tick()
		for _, n := range append(nodes, fresh) {
			n.tick()
			var running sync.WaitGroup
			n.of.list.wanted.Store(true) // as a client does
			n.serveDraw(t.Context(), n.of, n.mono(), &running)
			running.Wait()
			if _, err := n.Proof(t.Context(), late[0]); domain.CodeOf(err) != domain.CodeNotFound {
				t.Errorf("size %d: a later join is on the list: %v", size, err)
			}
			for range 40 {
				i := random.IntN(size)
				p, err := n.Proof(t.Context(), tokens[i])
				if gaps[i] {
					if domain.CodeOf(err) != domain.CodeNotFound {
						t.Errorf("size %d: a token that is not on the list has a proof: %v", size, err)
					}
					continue
				}
				if err != nil || !p.Valid() || p.Index != int64(i) || p.Size != int64(size) || !bytes.Equal(p.Leaf, LeafHash(tokens[i])) || !bytes.Equal(p.Root, h.q.Draw.Root) {
					t.Fatalf("size %d, index %d on %s: %+v, %v", size, i, n.o.Node, p, err)
				}
				other := p
				if other.Leaf = LeafHash(tokens[(i+1)%size]); other.Valid() {
					t.Errorf("size %d, index %d: another token has the same proof", size, i)
				}
			}
		}
	}
}

func TestBeforeTheClosingThereAreNoProofs(t *testing.T) {
	h := newHall(t, time.Minute)
	n := h.node("a", h.drand)
	tokens := join(t, n, 3)
	_, err := n.Proof(t.Context(), tokens[0])
	if domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a list that is open has a proof: %v", err)
	}
	if _, err := n.Proof(t.Context(), "nonsense"); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("of no token: %v", err)
	}
	old := newMemory(time.Second)
	b := newNode(t, old, "b", free)
	tokens, _ = b.join(3)
	old.pass(2 * time.Second)
	b.tick()
	if _, err := b.Proof(t.Context(), tokens[0]); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a draw without a list: %v", err)
	}
}

// Joins are added to the list while it is open, step by step.
func TestTheListGrowsBeforeItIsClosed(t *testing.T) {
	h := newHall(t, time.Hour)
	n := h.node("a", h.drand)
	n.tick()
	for range 3 {
		join(t, n, listGrowth-10)
	}
	for i, want := range []int64{listGrowth, 2 * listGrowth, 3*listGrowth - 30, 3*listGrowth - 30} {
		n.growList(t.Context(), n.of)
		if got := n.of.list.l.size(); got != want {
			t.Errorf("after step %d it has %d, want %d", i+1, got, want)
		}
	}
}

// Whatever bytes a proof has, it is valid only for the leaf that the root has there.
func FuzzProof(f *testing.F) {
	var leaves [][]byte
	for i := range 11 {
		leaves = append(leaves, leafOf(string(rune('a'+i))))
	}
	root := rootOf(leaves)
	path := slices.Concat(leaves[2], rootOf(leaves[:2]), rootOf(leaves[4:8]), rootOf(leaves[8:]))
	f.Add(int64(3), int64(11), leaves[3], path)
	f.Add(int64(0), int64(1), root, []byte{})
	f.Fuzz(func(t *testing.T, index, size int64, leaf, joined []byte) {
		p := Proof{Index: index, Size: size, Leaf: leaf, Root: root}
		for chunk := range slices.Chunk(joined, sha256.Size) {
			p.Path = append(p.Path, chunk)
		}
		if p.Valid() && size == 11 && !bytes.Equal(leaf, leaves[index]) {
			t.Errorf("another leaf has a proof for index %d: %x", index, leaf)
		}
	})
}

// BenchmarkList measures what a join costs the list, what a proof costs, and the list's
// memory per leaf.
func BenchmarkList(b *testing.B) {
	keys, at := testKeys(b, 0), time.Unix(1_800_000_000, 0)
	b.Run("join", func(b *testing.B) {
		b.ReportAllocs()
		l, s := newList(nil), newSigner(keys, "sale")
		rows := []domain.QueueJoins{{First: 0, Joins: int64(b.N), JoinedAt: at}}
		if err := eachLeaf(s, rows, 0, int64(b.N), l.add); err != nil {
			b.Fatal(err)
		}
		kept := 0
		for _, level := range l.levels {
			kept += len(level)
		}
		b.ReportMetric(float64(kept)/float64(b.N), "bytes-kept/op")
	})
	b.Run("proof", func(b *testing.B) {
		b.ReportAllocs()
		const size = 1 << 20
		rows := []domain.QueueJoins{{First: 0, Joins: size, JoinedAt: at}}
		l := newList(nil)
		if err := eachLeaf(newSigner(keys, "sale"), rows, 0, size, l.add); err != nil {
			b.Fatal(err)
		}
		store := newMemory(0)
		store.joins = rows
		n := newNode(b, store, "a", free)
		for i := 0; b.Loop(); i++ {
			if _, err := n.path(b.Context(), "sale", l, int64(i*7919%size)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

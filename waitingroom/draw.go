package waitingroom

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/bits"
)

// feistelRounds is the number of rounds that FF1 takes for small domains (NIST SP
// 800-38G).
const feistelRounds = 10

// Commitment is what is published before a draw: hex SHA-256(seed ‖ sale id).
func Commitment(seed []byte, saleID string) string {
	h := sha256.New()
	h.Write(seed)
	h.Write([]byte(saleID))
	return hex.EncodeToString(h.Sum(nil))
}

// A Permutation is a draw: it gives each of size join indexes a place of its own, in an
// order that nobody knows without the seed and everybody can recompute with it. It is a
// balanced Feistel network over the smallest even number of bits that holds size, walked
// until it falls below size (cycle walking: Black and Rogaway, "Ciphers with Arbitrary
// Finite Domains", 2002). docs/waiting-room.md specifies it byte by byte. A Permutation
// is for one goroutine at a time.
type Permutation struct {
	size uint64
	half uint // bits
	mac  hash.Hash
	sum  [sha256.Size]byte
}

// NewPermutation makes the draw of size places.
func NewPermutation(seed []byte, size int64) *Permutation {
	n := uint64(max(size, 1))
	return &Permutation{size: n, half: max(1, (uint(bits.Len64(n-1))+1)/2), mac: hmac.New(sha256.New, seed)}
}

// Place returns the place of a join index, both 0…size−1. Other indexes stay as they are.
func (p *Permutation) Place(index int64) int64 { return p.walk(index, p.encrypt) }

// Index is the inverse of Place.
func (p *Permutation) Index(place int64) int64 { return p.walk(place, p.decrypt) }

// walk ends because the network is a permutation too: the cycle returns to where it
// began, which is below size.
func (p *Permutation) walk(from int64, step func(uint64) uint64) int64 {
	x := uint64(from)
	if x >= p.size {
		return from
	}
	for {
		if x = step(x); x < p.size {
			return int64(x)
		}
	}
}

func (p *Permutation) encrypt(x uint64) uint64 {
	left, right := x>>p.half, x&p.mask()
	for round := range byte(feistelRounds) {
		left, right = right, left^p.round(round, right)
	}
	return left<<p.half | right
}

func (p *Permutation) decrypt(x uint64) uint64 {
	left, right := x>>p.half, x&p.mask()
	for round := byte(feistelRounds); round > 0; round-- {
		left, right = right^p.round(round-1, left), left
	}
	return left<<p.half | right
}

// round is the last half bits of HMAC-SHA256(seed, round ‖ size ‖ value), the
// numbers as 8 bytes, big-endian, of the sum's first 8 bytes.
func (p *Permutation) round(round byte, value uint64) uint64 {
	var in [17]byte
	in[0] = round
	binary.BigEndian.PutUint64(in[1:], p.size)
	binary.BigEndian.PutUint64(in[9:], value)
	p.mac.Reset()
	p.mac.Write(in[:])
	return binary.BigEndian.Uint64(p.mac.Sum(p.sum[:0])) & p.mask()
}

func (p *Permutation) mask() uint64 { return 1<<p.half - 1 }

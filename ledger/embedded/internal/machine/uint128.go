package machine

import (
	"cmp"
	"encoding/binary"
	"math/bits"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// u128 is an unsigned 128-bit integer: an amount, a balance or an id. It is a
// comparable value without pointers, so it serves as a map key and costs the
// garbage collector nothing.
type u128 struct{ lo, hi uint64 }

var (
	zero    = u128{}
	u128Max = u128{^uint64(0), ^uint64(0)}
)

func load(v tb.Uint128) u128 {
	b := v.Bytes()
	return u128{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

func (a u128) wire() tb.Uint128 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], a.lo)
	binary.LittleEndian.PutUint64(b[8:], a.hi)
	return tb.BytesToUint128(b)
}

func (a u128) less(b u128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a u128) compare(b u128) int {
	return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
}

func minimum(a, b u128) u128 {
	if b.less(a) {
		return b
	}
	return a
}

// add reports whether the sum overflows 128 bits.
func (a u128) add(b u128) (sum u128, overflow bool) {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, carry := bits.Add64(a.hi, b.hi, carry)
	return u128{lo, hi}, carry != 0
}

// plus adds; the caller has already excluded an overflow.
func (a u128) plus(b u128) u128 {
	sum, overflow := a.add(b)
	assert(!overflow, "128-bit addition overflows")
	return sum
}

// minus subtracts; the caller has already excluded a negative result.
func (a u128) minus(b u128) u128 {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, borrow := bits.Sub64(a.hi, b.hi, borrow)
	assert(borrow == 0, "128-bit subtraction underflows")
	return u128{lo, hi}
}

// minusSaturating is a-b, or zero if b is greater.
func (a u128) minusSaturating(b u128) u128 {
	if a.less(b) {
		return zero
	}
	return a.minus(b)
}

// assert stops the program in a state that the rules make impossible, because going on
// would mean keeping wrong books.
func assert(holds bool, message string) {
	if !holds {
		panic("ledger state machine: " + message)
	}
}

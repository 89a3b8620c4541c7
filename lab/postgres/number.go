package postgres

import (
	"math"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// uuid is an id in the tables: TigerBeetle's number, most significant byte
// first, so that the two sort alike.
type uuid = [16]byte

func toUUID(n tb.Uint128) uuid {
	b := n.Bytes() // little-endian
	slices.Reverse(b[:])
	return b
}

func toUUIDs(ids []tb.Uint128) []uuid {
	uuids := make([]uuid, len(ids))
	for i, id := range ids {
		uuids[i] = toUUID(id)
	}
	return uuids
}

func fromUUID(b uuid) tb.Uint128 {
	slices.Reverse(b[:])
	return tb.BytesToUint128(b)
}

// amountOf reads an amount; ok is false for one that the tables cannot hold.
func amountOf(n tb.Uint128) (amount int64, ok bool) {
	low, high := n.Uint64()
	return int64(low), high == 0 && low <= math.MaxInt64
}

func toAmount(amount int64) tb.Uint128 { return tb.ToUint128(uint64(amount)) }

var zero tb.Uint128

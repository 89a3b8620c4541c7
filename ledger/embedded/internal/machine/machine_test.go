package machine

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"pgregory.net/rapid"
)

func number(v u128) *big.Int { return v.wire().BigInt() }

var anyNumber = rapid.Custom(func(t *rapid.T) u128 {
	edge := []uint64{0, 1, 2, 1<<63 - 1, 1 << 63, ^uint64(0) - 1, ^uint64(0)}
	part := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom(edge))
	return u128{part.Draw(t, "lo"), part.Draw(t, "hi")}
})

func TestArithmeticEqualsBigIntegers(t *testing.T) {
	modulus := new(big.Int).Lsh(big.NewInt(1), 128)
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyNumber.Draw(t, "a"), anyNumber.Draw(t, "b")
		if load(a.wire()) != a {
			t.Fatal("the wire form is not the number")
		}
		exact := new(big.Int).Add(number(a), number(b))
		sum, overflow := a.add(b)
		if overflow != (exact.Cmp(modulus) >= 0) || number(sum).Cmp(exact.Mod(exact, modulus)) != 0 {
			t.Fatalf("sum %v, overflow %v", sum, overflow)
		}
		if a.less(b) != (number(a).Cmp(number(b)) < 0) {
			t.Fatal("less")
		}
		difference := new(big.Int).Sub(number(a), number(b))
		if difference.Sign() < 0 {
			difference.SetInt64(0)
		}
		if number(a.minusSaturating(b)).Cmp(difference) != 0 {
			t.Fatal("minusSaturating")
		}
	})
}

func TestHistoryKeepsEveryBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h history
		type entry struct {
			position      uint64
			debit, credit balances
		}
		var entries []entry
		side := func() balances {
			return balances{
				anyNumber.Draw(t, "b"), anyNumber.Draw(t, "b"), anyNumber.Draw(t, "b"), anyNumber.Draw(t, "b"), rapid.Bool().Draw(t, "closed"),
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "entries") {
			e := entry{debit: side(), credit: side()}
			if rapid.Bool().Draw(t, "undone") {
				mark := h.mark()
				h.add(&e.debit, &e.credit)
				h.reset(mark)
			}
			e.position = h.add(&e.debit, &e.credit)
			entries = append(entries, e)
		}
		for _, e := range entries {
			if debit, credit := h.at(e.position); debit != e.debit || credit != e.credit {
				t.Fatalf("%+v became %+v %+v", e, debit, credit)
			}
		}
	})
}

func TestHistoryCrossesPages(t *testing.T) {
	var h history
	full := balances{u128Max, u128Max, u128Max, u128Max, true}
	var positions []uint64
	for range 2000 {
		positions = append(positions, h.add(&full, &full))
	}
	if len(h.pages) < 3 {
		t.Fatal("the test is too small")
	}
	for _, position := range positions {
		if debit, credit := h.at(position); debit != full || credit != full {
			t.Fatal(debit, credit)
		}
	}
}

func TestPostingsEqualASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pool postingPool
		lists := make([]postings, 3)
		want := make([][]uint32, len(lists))
		count := rapid.SampledFrom([]int{0, 1, 2, 3, 5, 7, 10, 100, 3000}).Draw(t, "rows")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for row := range uint32(count) {
			i := random.IntN(len(lists))
			pool.add(&lists[i], row)
			want[i] = append(want[i], row)
		}
		within := rowRange{uint32(rapid.IntRange(0, count).Draw(t, "first")), uint32(rapid.IntRange(0, count).Draw(t, "end"))}
		for i, list := range lists {
			var rows []uint32
			for _, row := range want[i] {
				if within.contains(row) {
					rows = append(rows, row)
				}
			}
			if got := walk(&pool, list, within, false); !slices.Equal(got, rows) {
				t.Fatalf("forward: got %v, want %v", got, rows)
			}
			slices.Reverse(rows)
			if got := walk(&pool, list, within, true); !slices.Equal(got, rows) {
				t.Fatalf("backward: got %v, want %v", got, rows)
			}
		}
	})
}

func walk(pool *postingPool, list postings, within rowRange, reversed bool) (rows []uint32) {
	c := pool.walk(list, within, reversed)
	for row, ok := c.next(); ok; row, ok = c.next() {
		rows = append(rows, row)
	}
	return rows
}

// newBook returns a ledger with two accounts and a number of holds.
func newBook(t *testing.T, holds int, timeout func(i int) uint32) *Machine {
	t.Helper()
	m := New()
	for _, r := range m.CreateAccounts(2, []tb.Account{
		{ID: tb.ToUint128(1), Ledger: 1, Code: 1}, {ID: tb.ToUint128(2), Ledger: 1, Code: 1},
	}) {
		if r.Status != tb.AccountCreated {
			t.Fatal(r)
		}
	}
	for i := range holds {
		r := m.CreateTransfers(m.Timestamp()+1, []tb.Transfer{{
			ID: tb.ToUint128(uint64(i + 1)), DebitAccountID: tb.ToUint128(1), CreditAccountID: tb.ToUint128(2),
			Amount: tb.ToUint128(1), Ledger: 1, Code: 1, Flags: transferPending, Timeout: timeout(i),
		}})
		if r[0].Status != tb.TransferCreated {
			t.Fatal(r)
		}
	}
	return m
}

func TestAPulseIsBounded(t *testing.T) {
	const holds, limit = 25, 10
	m := newBook(t, holds, func(int) uint32 { return 1 })
	var portions []int
	for at := uint64(2e9); ; at++ {
		due, ok := m.NextExpiry()
		if !ok || due > at {
			break
		}
		portions = append(portions, m.ExpirePending(max(at, m.Timestamp()+1), limit))
	}
	if !slices.Equal(portions, []int{10, 10, 5}) {
		t.Fatalf("portions %v", portions)
	}
}

func TestAPulseLooksAtABoundedNumberOfResolvedTransfers(t *testing.T) {
	const holds, limit = 100, 10
	m := newBook(t, holds, func(int) uint32 { return 1 })
	for i := range holds - 1 { // all but the last are voided
		m.CreateTransfers(m.Timestamp()+1, []tb.Transfer{{
			ID: tb.ToUint128(uint64(1000 + i)), PendingID: tb.ToUint128(uint64(i + 1)), Flags: transferVoid,
		}})
	}
	pulses, expired := 0, 0
	for ; expired == 0; pulses++ {
		expired = m.ExpirePending(max(uint64(2e9), m.Timestamp()+1), limit)
	}
	if want := holds / (2 * limit); pulses != want {
		t.Fatalf("%d pulses, want %d", pulses, want)
	}
	if _, ok := m.NextExpiry(); ok {
		t.Fatal("more is due")
	}
}

func TestDeadlinesComeInOrderWhateverTheTimeouts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	m := newBook(t, 500, func(int) uint32 { return 1 + random.Uint32N(20) })
	last := uint64(0)
	for {
		due, ok := m.NextExpiry()
		if !ok {
			break
		}
		if due < last {
			t.Fatalf("deadline %d after %d", due, last)
		}
		last = due
		m.ExpirePending(max(due, m.Timestamp()+1), 1)
	}
	if m.expiries.length != 500 {
		t.Fatalf("%d expiries", m.expiries.length)
	}
}

func TestAnImageThatContradictsItselfIsRefused(t *testing.T) {
	m := newBook(t, 3, func(int) uint32 { return 1 })
	m.ExpirePending(5e9, 10)
	var image bytes.Buffer
	if err := m.Image().Encode(&image); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(bytes.NewReader(image.Bytes())); err != nil {
		t.Fatal(err)
	}
	const firstAccount = imageHeaderBytes
	firstTransfer := firstAccount + 2*imageAccountBytes
	for name, change := range map[string]func(b []byte) []byte{
		"a balance":               func(b []byte) []byte { b[firstAccount+imageAccountBytes-17]++; return b },
		"a closed account":        func(b []byte) []byte { b[firstAccount+imageAccountBytes-1] = 1; return b },
		"a status":                func(b []byte) []byte { b[firstTransfer+imageTransferBytes-1] = 2; return b },
		"an account of no row":    func(b []byte) []byte { b[firstTransfer+3*16+2*8] = 9; return b },
		"an expiry of no row":     func(b []byte) []byte { b[firstTransfer+3*imageTransferBytes+8] = 9; return b },
		"a byte more at the end":  func(b []byte) []byte { return append(b, 0) },
		"a byte less at the end":  func(b []byte) []byte { return b[:len(b)-1] },
		"nothing behind its head": func(b []byte) []byte { return b[:imageHeaderBytes] },
		"no head":                 func([]byte) []byte { return nil },
	} {
		if _, err := Load(bytes.NewReader(change(bytes.Clone(image.Bytes())))); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

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
		count := rapid.SampledFrom([]int{0, 1, 2, 3, 5, 7, 10, 100, 3000, 12_000}).Draw(t, "rows")
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

// TestAWalkStartsFromTheNearerEnd takes the list apart in the middle: who comes from
// the farther end would get lost there.
func TestAWalkStartsFromTheNearerEnd(t *testing.T) {
	const count, lost = 20_000, 1<<32 - 2
	var pool postingPool
	var list postings
	for row := range uint32(count) {
		pool.add(&list, row)
	}
	middle := pool.chunk(pool.locate(list, count/2, false))
	next := pool.chunk(middle[chunkNext])
	middle[chunkNext], next[chunkPrevious] = lost, lost
	for _, c := range []struct {
		within   rowRange
		reversed bool
		want     uint32
	}{
		{rowRange{count - 3000, count - 2999}, false, count - 3000},
		{rowRange{2999, 3000}, false, 2999},
		{rowRange{0, 3000}, true, 2999},
		{rowRange{0, count - 2999}, true, count - 3000},
	} {
		rows := pool.walk(list, c.within, c.reversed)
		if row, ok := rows.next(); !ok || row != c.want {
			t.Errorf("%+v: row %d, %v", c, row, ok)
		}
	}
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

// aHotAccount has transfers between two accounts, of which every other one has one code
// and the rest the other, each pair a value of its own, and all the first user_data_32
// but those with the second code.
func aHotAccount(t *testing.T, count int) *Machine {
	t.Helper()
	m := newBook(t, 0, nil)
	transfers := make([]tb.Transfer, count)
	for i := range transfers {
		transfers[i] = tb.Transfer{
			ID: tb.ToUint128(uint64(i + 1)), DebitAccountID: tb.ToUint128(1), CreditAccountID: tb.ToUint128(2), Amount: tb.ToUint128(1),
			Ledger: 1, Code: uint16(1 + i%2), UserData128: tb.ToUint128(uint64(i/2 + 1)), UserData32: uint32(2 - i%2),
		}
	}
	for _, r := range m.CreateTransfers(m.Timestamp()+uint64(count), transfers) {
		if r.Status != tb.TransferCreated {
			t.Fatal(r)
		}
	}
	return m
}

// TestAQueryByARareValueLooksAtFewRecords asks in what number of records the answer is
// found, whatever the account's history.
func TestAQueryByARareValueLooksAtFewRecords(t *testing.T) {
	m := aHotAccount(t, 8000)
	account := tb.AccountFilter{AccountID: tb.ToUint128(2), Limit: 10, Flags: accountFilterDebits | accountFilterCredits}
	for _, c := range []struct {
		name        string
		userData128 uint64
		want        int
	}{{"two transfers", 1234, 2}, {"none", 1 << 60, 0}} {
		for _, flags := range []uint32{0, accountFilterReversed} {
			f := account
			f.UserData128, f.Flags = tb.ToUint128(c.userData128), f.Flags|flags
			s := m.ScanAccountTransfers(f)
			if !s.Step(5) || len(s.Results()) != c.want {
				t.Errorf("%s, flags %d: %d after 5 records", c.name, f.Flags, len(s.Results()))
			}
		}
	}
	// The other way round: a rare account, a frequent value.
	m.CreateAccounts(m.Timestamp()+1, []tb.Account{{ID: tb.ToUint128(3), Ledger: 1, Code: 1}})
	m.CreateTransfers(m.Timestamp()+1, []tb.Transfer{{
		ID: tb.ToUint128(1 << 40), DebitAccountID: tb.ToUint128(3), CreditAccountID: tb.ToUint128(2), Ledger: 1, Code: 1,
	}})
	account.AccountID, account.Code = tb.ToUint128(3), 1
	if s := m.ScanAccountTransfers(account); !s.Step(5) || len(s.Results()) != 1 {
		t.Error("the account's own transfers are the shorter way")
	}
}

// TestAScanInStepsEqualsAQuery takes one record at a time, with requests in between:
// transfers are answered as the query began, accounts as it ended.
func TestAScanInStepsEqualsAQuery(t *testing.T) {
	for _, reversed := range []uint32{0, 1} {
		for _, limit := range []uint32{3, 8000} {
			m := aHotAccount(t, 500)
			byAccount := tb.AccountFilter{AccountID: tb.ToUint128(2), Limit: limit, Flags: accountFilterCredits | reversed*accountFilterReversed}
			byCode := tb.QueryFilter{Code: 1, Limit: limit, Flags: reversed * queryFilterReversed}
			neverMeet := tb.QueryFilter{Code: 1, UserData32: 1, Limit: limit, Flags: byCode.Flags}
			wantAccount, wantCode := m.GetAccountTransfers(byAccount), m.QueryTransfers(byCode)
			scanAccount, scanCode := m.ScanAccountTransfers(byAccount), m.ScanTransfers(byCode)
			scanNever, scanAccounts := m.ScanTransfers(neverMeet), m.ScanAccounts(byCode)
			more := func(step func(int) bool) {
				for next := uint64(1 << 30); !step(1); next += 2 {
					id := tb.ToUint128(uint64(m.TransfersCount()) + next)
					m.CreateAccounts(m.Timestamp()+1, []tb.Account{{ID: id, Ledger: 1, Code: 1}})
					m.CreateTransfers(m.Timestamp()+1, []tb.Transfer{{
						ID: id, DebitAccountID: tb.ToUint128(1), CreditAccountID: tb.ToUint128(2), Amount: tb.ToUint128(1), Ledger: 1, Code: 1, UserData32: 1,
					}})
				}
			}
			more(scanAccount.Step)
			more(scanCode.Step)
			more(scanAccounts.Step)
			if got := scanAccounts.Results(); !slices.Equal(got, m.QueryAccounts(byCode)) {
				t.Errorf("reversed %d, limit %d: %d accounts", reversed, limit, len(got))
			}
			more(scanNever.Step)
			if got := scanAccount.Results(); !slices.Equal(got, wantAccount) {
				t.Errorf("reversed %d, limit %d: %d transfers of the account, want %d", reversed, limit, len(got), len(wantAccount))
			}
			if got := scanCode.Results(); !slices.Equal(got, wantCode) {
				t.Errorf("reversed %d, limit %d: %d transfers of the code, want %d", reversed, limit, len(got), len(wantCode))
			}
			if got := scanNever.Results(); len(got) != 0 {
				t.Errorf("%d transfers that did not exist when the query began", len(got))
			}
		}
	}
}

// TestAChainThatIsUndoneGivesItsMemoryBack undoes many that are long, with ids that grow
// and with the same again.
func TestAChainThatIsUndoneGivesItsMemoryBack(t *testing.T) {
	const events = 8189
	for name, step := range map[string]uint64{"growing ids": events, "the same ids": 0} {
		m := aHotAccount(t, 5000)
		segments := 0
		for round := range uint64(30) {
			chain := make([]tb.Transfer, events)
			for i := range chain {
				chain[i] = tb.Transfer{
					ID: tb.ToUint128(1<<32 + round*step + uint64(i)), DebitAccountID: tb.ToUint128(1), CreditAccountID: tb.ToUint128(2),
					Amount: tb.ToUint128(1), Ledger: 1, Code: 1, Flags: transferLinked,
				}
			}
			chain[events-1].Flags, chain[events-1].Ledger = 0, 9
			if r := m.CreateTransfers(m.Timestamp()+events, chain); r[0].Status != tb.TransferLinkedEventFailed {
				t.Fatal(r[0])
			}
			if round == 0 {
				segments = len(m.transferRefs.segments)
			}
		}
		if now := len(m.transferRefs.segments); now > segments {
			t.Errorf("%s: %d segments after one chain, %d after 30", name, segments, now)
		}
		for i := range uint64(5000) {
			if found := m.LookupTransfers([]tb.Uint128{tb.ToUint128(i + 1)}); len(found) != 1 {
				t.Fatalf("%s: transfer %d is not found", name, i+1)
			}
		}
	}
}

// TestThereIsRoomForAWholeRequestOrItIsRefused fills a small ledger.
func TestThereIsRoomForAWholeRequestOrItIsRefused(t *testing.T) {
	m := aHotAccount(t, 5)
	m.LimitRows(7)
	for count, want := range map[int]bool{0: true, 2: true, 3: false} {
		if got := m.RoomForTransfers(count); got != want {
			t.Errorf("room for %d transfers: %v", count, got)
		}
	}
	for count, want := range map[int]bool{5: true, 6: false} {
		if got := m.RoomForAccounts(count); got != want {
			t.Errorf("room for %d accounts: %v", count, got)
		}
	}
	for i := range uint64(6) {
		m.burn(widen(1<<50 + i))
	}
	if m.RoomForTransfers(2) || !m.RoomForTransfers(1) {
		t.Error("burnt ids take room too")
	}
}

// TestTheIndexesAreFullBeforeTheyOverflow adds the longest chunks there are, the worst
// that a request can need, until no room is left.
func TestTheIndexesAreFullBeforeTheyOverflow(t *testing.T) {
	var pool postingPool
	page := new([poolPageWords]uint32)
	const rows = 8189 * transferListsMax
	for pool.roomFor(rows) {
		pool.pages = append(pool.pages, page) // all the same: it is only counted
	}
	pool.used = poolPageWords
	for range rows {
		pool.allocate(chunkRowsMax, noChunk) // panics where there is none
	}
	if len(pool.pages) > poolPagesMax-poolPagesReserve {
		t.Errorf("%d pages, %d of them are a reserve", len(pool.pages), poolPagesReserve)
	}
}

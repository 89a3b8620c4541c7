package machine

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime/metrics"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// storied is a ledger with something of everything that an image holds.
func storied(t testing.TB) *Machine {
	t.Helper()
	m := New()
	id := tb.ToUint128
	transfer := func(n, debit, credit, amount uint64, flags uint16) tb.Transfer {
		return tb.Transfer{
			ID: id(n), DebitAccountID: id(debit), CreditAccountID: id(credit), Amount: id(amount),
			Ledger: 1, Code: 1, Flags: flags,
		}
	}
	resolve := func(n, pending uint64, flags uint16) tb.Transfer {
		amount := tb.AmountMax
		if flags&transferVoid != 0 {
			amount = id(0)
		}
		return tb.Transfer{ID: id(n), PendingID: id(pending), Amount: amount, Flags: flags}
	}
	timed := func(x tb.Transfer, timeout uint32) tb.Transfer {
		x.Timeout, x.UserData128, x.UserData64, x.UserData32 = timeout, id(7), 8, 9
		return x
	}
	imported := func(x tb.Transfer, timestamp uint64) tb.Transfer {
		x.Flags |= transferImported
		x.Timestamp = timestamp
		return x
	}
	m.CreateAccounts(1000, []tb.Account{
		{ID: id(1), Ledger: 1, Code: 1, Flags: accountHistory},
		{ID: id(2), Ledger: 1, Code: 2, Flags: accountDebitsMustNotExceedCredits, UserData128: id(3)},
		{ID: id(3), Ledger: 1, Code: 3, UserData64: 4, UserData32: 5},
	})
	for _, step := range [][]tb.Transfer{
		{transfer(1, 1, 2, 100, 0), transfer(2, 3, 1, 50, transferBalancingCredit)},
		{transfer(3, 2, 3, 1000, 0)}, // exceeds credits: burnt
		{timed(transfer(4, 2, 3, 10, transferPending), 1), timed(transfer(5, 2, 3, 11, transferPending), 2), timed(transfer(6, 2, 3, 12, transferPending), 600)},
		{resolve(7, 4, transferPost), resolve(8, 5, transferVoid)},
		{transfer(9, 1, 3, 5, transferLinked), timed(transfer(10, 2, 1, 20, transferPending), 1)},
		{transfer(11, 3, 1, 0, transferPending|transferClosingDebit), resolve(12, 11, transferVoid)},
		{imported(transfer(13, 1, 2, 1, 0), 1500)},
		{transfer(14, 3, 1, 0, transferPending|transferClosingDebit)},
	} {
		m.CreateTransfers(m.Timestamp()+1000, step)
	}
	if m.ExpirePending(5e9, 10) != 1 || m.BurntIDsCount() != 1 || m.TransfersCount() < 10 {
		t.Fatalf("%d transfers, %d burnt ids", m.TransfersCount(), m.BurntIDsCount())
	}
	return m
}

func encoded(t testing.TB, m *Machine) []byte {
	t.Helper()
	var image bytes.Buffer
	if err := m.Image().Encode(&image); err != nil {
		t.Fatal(err)
	}
	return image.Bytes()
}

// allocatedBytes is all that was ever allocated on the heap.
func allocatedBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// An empty ledger takes some megabytes once every table has a page; a row of an image
// takes a few times its size.
func allocationMax(imageBytes int) uint64 { return 16<<20 + 64*uint64(imageBytes) }

func TestAnImageThatLiesAboutItsLengthCostsNoMemory(t *testing.T) {
	image := encoded(t, storied(t))
	for field := range 4 {
		lie := bytes.Clone(image)
		binary.LittleEndian.PutUint32(lie[8+4*field:], math.MaxUint32)
		before := allocatedBytes()
		if _, err := Load(bytes.NewReader(lie)); err == nil {
			t.Errorf("count %d: no error", field)
		}
		if used := allocatedBytes() - before; used > allocationMax(len(lie)) {
			t.Errorf("count %d: %d bytes for an image of %d", field, used, len(lie))
		}
	}
}

// Every byte of an image means something: none can change unnoticed, but where that
// makes another ledger that could have been.
func TestAChangedByteGivesAnErrorOrOtherBooks(t *testing.T) {
	image := encoded(t, storied(t))
	for at := range image {
		changed := bytes.Clone(image)
		changed[at] ^= 1
		m, err := Load(bytes.NewReader(changed))
		if err == nil {
			mustKeepBooks(t, m, changed)
		}
	}
}

// FuzzImage loads arbitrary bytes. What is accepted is a ledger like any other: it is
// written as it was read, and goes on working.
func FuzzImage(f *testing.F) {
	empty, small := New(), New()
	small.CreateAccounts(1, []tb.Account{{ID: tb.ToUint128(1), Ledger: 1, Code: 1}})
	for _, m := range []*Machine{empty, small, storied(f)} {
		f.Add(encoded(f, m))
	}
	f.Fuzz(func(t *testing.T, image []byte) {
		before := allocatedBytes()
		m, err := Load(bytes.NewReader(image))
		if used := allocatedBytes() - before; used > allocationMax(len(image)) {
			t.Fatalf("%d bytes for an image of %d", used, len(image))
		}
		if err == nil {
			mustKeepBooks(t, m, image)
		}
	})
}

func mustKeepBooks(t *testing.T, m *Machine, image []byte) {
	t.Helper()
	if !bytes.Equal(encoded(t, m), image) {
		t.Fatal("what was read is written otherwise")
	}
	mustBalance(t, m)
	limit := m.transfers.length + m.expiries.length + 1
	m.GetChangeEvents(tb.ChangeEventsFilter{Limit: limit})
	m.QueryAccounts(tb.QueryFilter{Limit: limit, Ledger: 1})
	for row := range m.transfers.length {
		id := m.transfers.at(row).id.wire()
		if found := m.LookupTransfers([]tb.Uint128{id}); len(found) != 1 {
			t.Fatalf("transfer %s is not found", id)
		}
		if found := m.QueryTransfers(tb.QueryFilter{Limit: limit, Code: m.transfers.at(row).code}); len(found) == 0 {
			t.Fatalf("transfer %s is not found by its code", id)
		}
	}
	// Whatever is open can be ended, and the ledger still be written and read.
	for row := range m.transfers.length {
		var id [16]byte
		binary.LittleEndian.PutUint32(id[12:], ^row)
		m.CreateTransfers(m.Timestamp()+1, []tb.Transfer{{
			ID: tb.BytesToUint128(id), PendingID: m.transfers.at(row).id.wire(), Flags: transferVoid,
		}})
	}
	if due, ok := m.NextExpiry(); ok && due < TimestampUsedMax/2 {
		m.ExpirePending(max(due, m.Timestamp()+1), 100)
	}
	mustBalance(t, m)
	if m.Timestamp() <= TimestampUsedMax {
		if _, err := Load(bytes.NewReader(encoded(t, m))); err != nil {
			t.Fatal(err)
		}
	}
}

// mustBalance checks that all debits are somebody's credits.
func mustBalance(t *testing.T, m *Machine) {
	t.Helper()
	var sum balances
	for row := range m.accounts.length {
		b := m.accounts.at(row).balances
		for _, add := range []struct {
			to *u128
			v  u128
		}{
			{&sum.debitsPending, b.debitsPending}, {&sum.debitsPosted, b.debitsPosted},
			{&sum.creditsPending, b.creditsPending}, {&sum.creditsPosted, b.creditsPosted},
		} {
			*add.to, _ = add.to.add(add.v) // both sides wrap alike
		}
	}
	if sum.debitsPending != sum.creditsPending || sum.debitsPosted != sum.creditsPosted {
		t.Fatalf("the sums differ: %+v", sum)
	}
}

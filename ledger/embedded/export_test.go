package embedded_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk/disktest"
)

// aBusyLedger fills an engine with transfers of every kind, and returns when none
// is open that has a timeout.
func aBusyLedger(t *testing.T, engine *embedded.Engine, random *rand.Rand) {
	t.Helper()
	const ledger = 1
	accounts := []tb.Account{
		{ID: tb.ID(), Ledger: ledger, Code: 1, UserData128: tb.ID(), UserData64: 7, UserData32: 8},
		{ID: tb.ID(), Ledger: ledger, Code: 2, Flags: accountFlagDebitsLimited | accountFlagHistory | accountFlagLinked},
		{ID: tb.ID(), Ledger: ledger, Code: 2, Flags: accountFlagCreditsLimited},
		{ID: tb.ID(), Ledger: ledger, Code: 3, Flags: accountFlagClosed},
		{ID: tb.ID(), Ledger: ledger, Code: 3},
	}
	if _, err := engine.CreateAccounts(accounts); err != nil {
		t.Fatal(err)
	}
	create := func(events ...tb.Transfer) []tb.CreateTransferResult {
		results, err := engine.CreateTransfers(events)
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	var holds []tb.Uint128
	for range 400 {
		transfer := tb.Transfer{
			ID: tb.ID(), DebitAccountID: accounts[random.IntN(5)].ID, CreditAccountID: accounts[random.IntN(5)].ID,
			Amount: tb.ToUint128(random.Uint64N(20)), Ledger: ledger, Code: 1, UserData128: tb.ID(),
		}
		switch random.IntN(6) {
		case 0:
			transfer.Flags = flagBalancingDebit
		case 1, 2:
			transfer.Flags = flagPending
			transfer.Timeout = uint32(random.IntN(2))
			holds = append(holds, transfer.ID)
		case 3:
			if len(holds) > 0 {
				transfer = tb.Transfer{
					ID: tb.ID(), PendingID: holds[random.IntN(len(holds))], Flags: []uint16{flagPost, flagVoid}[random.IntN(2)],
					Amount: []tb.Uint128{tb.AmountMax, {}, tb.ToUint128(1)}[random.IntN(3)],
				}
			}
		}
		create(transfer)
	}
	// A chain, and an account that stays closed.
	chained := tb.Transfer{
		ID: tb.ID(), DebitAccountID: accounts[0].ID, CreditAccountID: accounts[4].ID, Amount: tb.ToUint128(1), Ledger: ledger, Code: 1, Flags: flagLinked,
	}
	closing := chained
	closing.ID, closing.Flags = tb.ID(), flagPending|flagClosingCredit
	if r := create(chained, closing); r[1].Status != tb.TransferCreated {
		t.Fatal(r)
	}
}

// export exports an engine once its holds with a timeout have expired.
func export(t *testing.T, engine *embedded.Engine) (exported *embedded.Export) {
	t.Helper()
	waitFor(t, "all holds with a timeout expire", func() bool {
		var err error
		var open *embedded.OpenHoldsError
		if exported, err = engine.Export(); err != nil && !errors.As(err, &open) {
			t.Fatal(err)
		}
		return err == nil
	})
	return exported
}

func TestAnExportGivesTheSameLedger(t *testing.T) {
	original := open(t, "ledger", embedded.Options{FileSystem: disktest.New()})
	aBusyLedger(t, original, seeded(t))
	exported := export(t, original)
	moved := open(t, "ledger", embedded.Options{FileSystem: disktest.New()})
	moveAndCompare(t, exported, original, moved, embedded.BatchEventsMax)
}

func TestAnExportGivesTheSameLedgerInARealServer(t *testing.T) {
	server := real(t)
	original := open(t, "ledger", embedded.Options{FileSystem: disktest.New()})
	aBusyLedger(t, original, seeded(t))
	moveAndCompare(t, export(t, original), original, server, developmentEventsMax)
}

func moveAndCompare(t *testing.T, exported *embedded.Export, original, moved tb.Client, batchEventsMax int) {
	t.Helper()
	for range 2 { // again does no harm
		if err := exported.SendTo(moved, batchEventsMax); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d accounts, %d transfers, %d burnt ids", len(exported.Accounts), len(exported.Transfers), len(exported.BurntIDs))
	for part := range slices.Chunk(exported.Accounts, batchEventsMax) {
		ids := make([]tb.Uint128, len(part))
		for i, a := range part {
			ids[i] = a.ID
		}
		want, err := original.LookupAccounts(ids)
		got, err2 := moved.LookupAccounts(ids)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for i := range want {
			want[i].Flags = want[i].Flags&^accountFlagLinked | accountFlagImported
		}
		if !slices.Equal(got, want) {
			t.Fatalf("accounts\n got %+v\nwant %+v", got, want)
		}
	}
	expiries := 0
	for part := range slices.Chunk(exported.Transfers, batchEventsMax) {
		for _, e := range part {
			want, err := original.LookupTransfers([]tb.Uint128{e.ID})
			got, err2 := moved.LookupTransfers([]tb.Uint128{e.ID})
			if err != nil || err2 != nil || len(got) != 1 {
				t.Fatal(got, err, err2)
			}
			if len(want) == 0 { // the void of an expiry
				expiries++
				continue
			}
			want[0].Flags = want[0].Flags&^flagLinked | flagImported
			want[0].Timeout = 0
			if got[0] != want[0] {
				t.Fatalf("transfer\n got %+v\nwant %+v", got[0], want[0])
			}
		}
	}
	if expiries == 0 || len(exported.BurntIDs) == 0 {
		t.Errorf("%d expiries, %d burnt ids: the test did not test them", expiries, len(exported.BurntIDs))
	}
	for _, id := range exported.BurntIDs {
		a, b := exported.Accounts[0], exported.Accounts[1]
		results, err := moved.CreateTransfers([]tb.Transfer{{ID: id, DebitAccountID: a.ID, CreditAccountID: b.ID, Ledger: a.Ledger, Code: 1}})
		if err != nil || results[0].Status != tb.TransferIDAlreadyFailed {
			t.Fatalf("burnt id %s: %v, %v", id, results, err)
		}
	}
}

// anImportBehindAnExpiry is a ledger whose holds have expired, then transfers were
// imported with timestamps before that: what they move is what the expiries gave back.
// gap is the nanoseconds between the holds and each import.
func anImportBehindAnExpiry(t *testing.T, engine *embedded.Engine, gap uint64, expire func()) {
	t.Helper()
	const holds = 3
	u := tb.ToUint128
	base := tb.ID()
	id := func(n byte) tb.Uint128 {
		b := base.Bytes()
		b[0] = n
		return tb.BytesToUint128(b)
	}
	accounts := []tb.Account{{ID: id(1), Ledger: 1, Code: 1, Flags: accountFlagDebitsLimited}, {ID: id(2), Ledger: 1, Code: 1}}
	created, err := engine.CreateAccounts(accounts)
	if err != nil || created[0].Status != tb.AccountCreated || created[1].Status != tb.AccountCreated {
		t.Fatal(created, err)
	}
	create := func(transfers ...tb.Transfer) (last uint64) {
		results, err := engine.CreateTransfers(transfers)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Status != tb.TransferCreated {
				t.Fatal(results)
			}
			last = r.Timestamp
		}
		return last
	}
	create(tb.Transfer{ID: id(3), DebitAccountID: id(2), CreditAccountID: id(1), Amount: u(10 * holds), Ledger: 1, Code: 1})
	var pending []tb.Transfer
	for i := range byte(holds) {
		pending = append(pending, tb.Transfer{
			ID: id(10 + i), DebitAccountID: id(1), CreditAccountID: id(2), Amount: u(10), Ledger: 1, Code: 1, Flags: flagPending, Timeout: 1,
		})
	}
	held := create(pending...)
	expire()
	waitFor(t, "the holds expire", func() bool { return pendingOf(t, engine, id(1)) == 0 })
	var imports []tb.Transfer
	for i := range byte(2) {
		imports = append(imports, tb.Transfer{
			ID: id(20 + i), DebitAccountID: id(1), CreditAccountID: id(2), Amount: u(15), Ledger: 1, Code: 1,
			Flags: flagImported, Timestamp: held + gap*uint64(i+1),
		})
	}
	create(imports...)
	create(tb.Transfer{ID: id(30), DebitAccountID: id(2), CreditAccountID: id(1), Amount: u(1), Ledger: 1, Code: 1})
}

// TestAnExportAfterAnImportBehindAnExpiry moves such a ledger: the imports have their
// timestamps, and find what the expiries gave back. With a gap of 2 that is impossible:
// the first import needs two of them, and there is one nanosecond.
func TestAnExportAfterAnImportBehindAnExpiry(t *testing.T) {
	for _, gap := range []uint64{2, 3, 4, 5, 1e6, 4e8} {
		clock := newFakeClock()
		original := open(t, "ledger", embedded.Options{FileSystem: disktest.New(), Clock: clock, PulseInterval: time.Millisecond})
		anImportBehindAnExpiry(t, original, gap, func() { clock.advance(time.Minute) })
		exported, err := original.Export()
		if gap == 2 && err != nil && strings.Contains(err.Error(), tb.TransferExceedsCredits.String()) {
			continue
		}
		if err != nil {
			t.Fatalf("gap of %d: %v", gap, err)
		}
		moved := open(t, "ledger", embedded.Options{FileSystem: disktest.New(), Clock: clock})
		mustMove(t, exported, original, moved, embedded.BatchEventsMax)
	}
}

func TestAnExportAfterAnImportBehindAnExpiryIntoARealServer(t *testing.T) {
	server := real(t)
	original := open(t, "ledger", embedded.Options{FileSystem: disktest.New()})
	anImportBehindAnExpiry(t, original, 1000, func() {})
	exported, err := original.Export()
	if err != nil {
		t.Fatal(err)
	}
	mustMove(t, exported, original, server, developmentEventsMax)
}

// mustMove sends an export and compares the accounts.
func mustMove(t *testing.T, exported *embedded.Export, original, moved tb.Client, batchEventsMax int) {
	t.Helper()
	if err := exported.SendTo(moved, batchEventsMax); err != nil {
		t.Fatal(err)
	}
	var ids []tb.Uint128
	for _, a := range exported.Accounts {
		ids = append(ids, a.ID)
	}
	want, err := original.LookupAccounts(ids)
	got, err2 := moved.LookupAccounts(ids)
	if err != nil || err2 != nil || len(want) == 0 {
		t.Fatal(want, err, err2)
	}
	for i := range want {
		want[i].Flags |= accountFlagImported
	}
	if !slices.Equal(got, want) {
		t.Fatalf("accounts\n got %+v\nwant %+v", got, want)
	}
}

func TestAnExportWithOpenHoldsIsRefused(t *testing.T) {
	clock := newFakeClock()
	engine := open(t, "ledger", embedded.Options{FileSystem: disktest.New(), Clock: clock})
	ids := createAccounts(t, engine, 2)
	hold := tb.Transfer{ID: tb.ID(), DebitAccountID: ids[0], CreditAccountID: ids[1], Ledger: 1, Code: 1, Flags: flagPending, Timeout: 60}
	forever := hold
	forever.ID, forever.Timeout = tb.ID(), 0
	if _, err := engine.CreateTransfers([]tb.Transfer{hold, forever}); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Export()
	var refused *embedded.OpenHoldsError
	if !errors.As(err, &refused) || !slices.Equal(refused.TransferIDs, []tb.Uint128{hold.ID}) {
		t.Fatal(err)
	}
	clock.advance(time.Hour)
	exported, err := engine.Export()
	if err != nil || len(exported.Transfers) != 3 {
		t.Fatal(exported, err)
	}
}

func TestAnImportThatIsRefusedNamesTheEvent(t *testing.T) {
	engine := open(t, "ledger", embedded.Options{FileSystem: disktest.New()})
	id := tb.ID()
	exported := &embedded.Export{Accounts: []tb.Account{{ID: id, Flags: accountFlagImported, Timestamp: 1, Ledger: 1}}}
	if err := exported.SendTo(engine, 1); err == nil || !containsAll(err.Error(), id.String(), "AccountCodeMustNotBeZero") {
		t.Fatal(err)
	}
	if err := exported.SendTo(engine, 0); err == nil {
		t.Fatal("a batch of nothing was accepted")
	}
}

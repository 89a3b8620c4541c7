package postgres_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/lab/postgres"
)

func TestAccountsAreComparedInTheOrderOfPrecedence(t *testing.T) {
	t.Parallel()
	c := newPlace(t).open(t, postgres.Options{})
	limited := tb.AccountFlags{DebitsMustNotExceedCredits: true}.ToUint16()
	there := tb.Account{ID: tb.ID(), UserData128: tb.ToUint128(1), UserData64: math.MaxUint64, UserData32: math.MaxUint32, Ledger: math.MaxUint32, Code: math.MaxUint16, Flags: limited}
	created := wantAccount(t, c, there, tb.AccountCreated)

	found, err := c.LookupAccounts([]tb.Uint128{there.ID})
	want := there
	want.Timestamp = created.Timestamp
	if err != nil || len(found) != 1 || found[0] != want {
		t.Fatalf("found %+v, %v, want %+v", found, err, want)
	}
	again := tb.Account{ID: there.ID}
	for _, step := range []struct {
		want  tb.CreateAccountStatus
		right func()
	}{
		{tb.AccountExistsWithDifferentFlags, func() { again.Flags = there.Flags }},
		{tb.AccountExistsWithDifferentUserData128, func() { again.UserData128 = there.UserData128 }},
		{tb.AccountExistsWithDifferentUserData64, func() { again.UserData64 = there.UserData64 }},
		{tb.AccountExistsWithDifferentUserData32, func() { again.UserData32 = there.UserData32 }},
		{tb.AccountExistsWithDifferentLedger, func() { again.Ledger = there.Ledger }},
		{tb.AccountExistsWithDifferentCode, func() { again.Code = there.Code }},
	} {
		wantAccount(t, c, again, step.want)
		step.right()
	}
	if r := wantAccount(t, c, again, tb.AccountExists); r.Timestamp != created.Timestamp {
		t.Errorf("exists has timestamp %d, the account %d", r.Timestamp, created.Timestamp)
	}
}

func TestARefusedIDIsBurnt(t *testing.T) {
	t.Parallel()
	c := newPlace(t).open(t, postgres.Options{})
	s := newStock(t, c, 10)
	overLimit, noDebit, noCredit := s.hold(11), s.hold(1), s.hold(1)
	noDebit.DebitAccountID, noCredit.CreditAccountID = tb.ID(), tb.ID()
	for _, refused := range []struct {
		transfer tb.Transfer
		want     tb.CreateTransferStatus
	}{
		{overLimit, tb.TransferExceedsCredits},
		{noDebit, tb.TransferDebitAccountNotFound},
		{noCredit, tb.TransferCreditAccountNotFound},
		{finish(s.hold(1), post), tb.TransferPendingTransferNotFound},
	} {
		wantTransfer(t, c, refused.transfer, refused.want)
		wantTransfer(t, c, refused.transfer, tb.TransferIDAlreadyFailed)
		// Ids are checked before fields.
		wantTransfer(t, c, tb.Transfer{ID: refused.transfer.ID}, tb.TransferIDAlreadyFailed)
		if found, err := c.LookupTransfers([]tb.Uint128{refused.transfer.ID}); err != nil || len(found) > 0 {
			t.Errorf("%v is found as a transfer: %v, %v", refused.want, found, err)
		}
	}
	possible := overLimit
	possible.ID = tb.ID()
	possible.Amount = tb.ToUint128(10)
	wantTransfer(t, c, possible, tb.TransferCreated)
}

func TestAmountsHave63Bits(t *testing.T) {
	t.Parallel()
	c := newPlace(t).open(t, postgres.Options{})
	s := newStock(t, c, 1)
	transfer := func(amount tb.Uint128, flags uint16) tb.Transfer {
		return tb.Transfer{ID: tb.ID(), DebitAccountID: s.operator, CreditAccountID: s.spent, Amount: amount, Ledger: 1, Code: 1, Flags: flags}
	}
	wantTransfer(t, c, transfer(tb.ToUint128(math.MaxInt64+1), 0), tb.TransferOverflowsDebitsPosted)
	wantTransfer(t, c, transfer(tb.AmountMax, pending), tb.TransferOverflowsDebitsPending)
	wantTransfer(t, c, transfer(tb.ToUint128(math.MaxInt64-1), 0), tb.TransferCreated) // one was funded
	wantTransfer(t, c, transfer(tb.ToUint128(1), 0), tb.TransferOverflowsDebitsPosted)
	wantTransfer(t, c, transfer(tb.ToUint128(1), pending), tb.TransferOverflowsDebitsPosted)
}

// A hold stays until its deadline, and gives its amount back within a second
// of it, although nobody asks the ledger for anything.
func TestAHoldExpiresByItself(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.open(t, postgres.Options{})
	s := newStock(t, c, 10)
	hold := s.hold(7)
	hold.Timeout = 1
	deadline := time.Unix(0, int64(wantTransfer(t, c, hold, tb.TransferCreated).Timestamp)).Add(time.Second)
	conn := p.connect(t)
	var seen time.Time
	eventually(t, "the seats come back", func() bool {
		held := scan[int64](t, conn, `SELECT sum(debits_pending)::bigint FROM accounts`)
		seen = time.Now()
		return held == 0
	})
	const slack = 2 * time.Second // for a busy machine
	if early, late := seen.Before(deadline), seen.After(deadline.Add(time.Second+slack)); early || late {
		t.Errorf("the seats came back %v after the deadline, want 0 to 1s", seen.Sub(deadline))
	}
	wantTransfer(t, c, finish(hold, post), tb.TransferPendingTransferExpired)
	wantTransfer(t, c, s.hold(10), tb.TransferCreated)
}

// From its deadline on a hold is expired, swept or not.
func TestAnExpiredHoldIsNotPosted(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.open(t, postgres.Options{})
	s := newStock(t, c, 10)
	hold := s.hold(7)
	hold.Timeout = 1
	wantTransfer(t, c, hold, tb.TransferCreated)
	blocker := p.connect(t)
	// Nobody sweeps while somebody else has locked the account. What waits for it longer
	// than the hold lasts must not post it.
	if _, err := blocker.Exec(t.Context(), `BEGIN`); err != nil {
		t.Fatal(err)
	}
	if _, err := blocker.Exec(t.Context(), `SELECT 1 FROM accounts FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	status := make(chan tb.CreateTransferStatus, 1)
	go func() {
		results, err := c.CreateTransfers([]tb.Transfer{finish(hold, post)})
		if err != nil {
			t.Error(err)
			results = make([]tb.CreateTransferResult, 1)
		}
		status <- results[0].Status
	}()
	time.Sleep(1100 * time.Millisecond) //nolint:forbidigo // the timeout itself, of a clock that is Postgres's
	if _, err := blocker.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != tb.TransferPendingTransferExpired {
		t.Errorf("a post after the deadline answered %v", got)
	}
}

// The writes carry their conditions: what the rules in memory let through by
// mistake ends the transaction.
func TestWritesThatMeetNoRowAreRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.open(t, postgres.Options{})
	s := newStock(t, c, 10)
	conn := p.connect(t)
	budget := s.budget.Bytes()
	slices.Reverse(budget[:])
	update := func(debits int64) error {
		one := func(n int64) []int64 { return []int64{n} }
		_, err := conn.Exec(t.Context(), postgres.UpdateAccounts, [][16]byte{budget}, one(debits), one(0), one(0), one(0), one(1))
		return err
	}
	if err := update(10); err != nil {
		t.Errorf("a hold of all seats: %v", err)
	}
	wantRefused(t, "a hold of one seat more", update(1))
	_, err := conn.Exec(t.Context(), postgres.ResolveTransfers, [][16]byte{tb.ID().Bytes()}, []int16{2})
	wantRefused(t, "a post of a transfer that is not pending", err)
	const oversell = `UPDATE accounts SET debits_posted = debits_posted + 1 WHERE flags = 2 AND credits_posted = 10`
	_, err = conn.Exec(t.Context(), oversell)
	wantRefused(t, "an oversell by hand", err)
}

func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		t.Errorf("%s: error %v, want one of the database's", what, err)
	}
}

func TestOpenSaysWhatIsWrongAndNotThePassword(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), "postgres://someone:hidden@127.0.0.1:1/nowhere?connect_timeout=1", postgres.Options{Logger: discard})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("error %v, want the address and no password", err)
	}
}

func wantAccount(t *testing.T, c tb.Client, a tb.Account, want tb.CreateAccountStatus) tb.CreateAccountResult {
	t.Helper()
	results, err := c.CreateAccounts([]tb.Account{a})
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Status != want {
		t.Errorf("status %v, want %v", results[0].Status, want)
	}
	return results[0]
}

func wantTransfer(t *testing.T, c tb.Client, transfer tb.Transfer, want tb.CreateTransferStatus) tb.CreateTransferResult {
	t.Helper()
	results, err := c.CreateTransfers([]tb.Transfer{transfer})
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Status != want {
		t.Errorf("status %v, want %v", results[0].Status, want)
	}
	return results[0]
}

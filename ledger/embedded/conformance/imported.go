package conformance

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// now returns a timestamp after everything that exists, with room after it, that is in the
// past by the time the next request arrives.
func (b *book) now() uint64 {
	b.Helper()
	a := b.newAccount(0)
	return b.accountStatuses([]tb.Account{a}, tb.AccountCreated)[0].Timestamp + 1
}

func (b *book) importAccount(timestamp uint64) tb.Account {
	a := b.newAccount(accountImported)
	a.Timestamp = timestamp
	return a
}

func (b *book) importMove(debit, credit tb.Uint128, timestamp uint64) tb.Transfer {
	t := b.move(debit, credit, 1, imported)
	t.Timestamp = timestamp
	return t
}

var importedCases = []testCase{
	{"an imported account is checked in the order of precedence", func(b *book) {
		last := b.now()
		taken := b.importMove(b.account(0), b.account(0), 0)
		taken.Timestamp = b.now()
		b.must(taken)
		climbAccounts(b, tb.Account{Flags: accountImported, Reserved: 1, Code: 1}, []accountStair{
			{tb.AccountImportedEventTimestampOutOfRange, func(a *tb.Account) { a.Timestamp = timestampMax + 1 }},
			{tb.AccountImportedEventTimestampOutOfRange, func(a *tb.Account) { a.Timestamp = timestampMax }},
			{tb.AccountImportedEventTimestampMustNotAdvance, func(a *tb.Account) { a.Timestamp = last - 1 }},
			{tb.AccountReservedField, func(a *tb.Account) { a.Reserved = 0; a.ID = tb.ID() }},
			{tb.AccountLedgerMustNotBeZero, func(a *tb.Account) { a.Ledger = b.ledger }},
			{tb.AccountImportedEventTimestampMustNotRegress, func(a *tb.Account) { a.Timestamp = taken.Timestamp }},
			{tb.AccountImportedEventTimestampMustNotRegress, func(a *tb.Account) { a.Timestamp = taken.Timestamp + 1 }},
			{tb.AccountCreated, func(a *tb.Account) { a.Timestamp = 1 }},
			{tb.AccountExists, nil},
		})
	}},
	{"an imported account keeps its timestamp", func(b *book) {
		a := b.importAccount(b.now())
		if r := b.accountStatuses([]tb.Account{a}, tb.AccountCreated); r[0].Timestamp != a.Timestamp {
			b.Fatalf("result %d, sent %d", r[0].Timestamp, a.Timestamp)
		}
		if got := b.lookup(a.ID); got != a {
			b.Fatalf("\n got %+v\nwant %+v", got, a)
		}
	}},
	{"the first account of a request decides whether all are imported", func(b *book) {
		at := b.now()
		b.accountStatuses([]tb.Account{b.importAccount(at), b.newAccount(0)}, tb.AccountCreated, tb.AccountImportedEventExpected)
		b.accountStatuses([]tb.Account{b.newAccount(0), b.importAccount(at)}, tb.AccountCreated, tb.AccountImportedEventNotExpected)
	}},
	{"the first transfer of a request decides whether all are imported", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		at := b.now()
		b.transferStatuses([]tb.Transfer{b.importMove(debit, credit, at), b.move(debit, credit, 1, 0)},
			tb.TransferCreated, tb.TransferImportedEventExpected)
		b.transferStatuses([]tb.Transfer{b.move(debit, credit, 1, 0), b.importMove(debit, credit, at)},
			tb.TransferCreated, tb.TransferImportedEventNotExpected)
	}},
	{"an imported transfer is checked in the order of precedence", func(b *book) {
		debit := b.account(0)
		b.must(b.importMove(debit, b.account(0), b.now())) // the last transfer
		beforeDebit := b.now()
		late := b.account(0)
		beforeCredit := b.now()
		credit := b.account(0)
		after := b.now()
		climbTransfers(b, tb.Transfer{Flags: imported | pending | transferFlagReserved, Timeout: 1, Code: 1, Ledger: b.ledger}, []transferStair{
			{tb.TransferImportedEventTimestampOutOfRange, func(t *tb.Transfer) { t.Timestamp = timestampMax + 1 }},
			{tb.TransferImportedEventTimestampOutOfRange, func(t *tb.Transfer) { t.Timestamp = timestampMax }},
			{tb.TransferImportedEventTimestampMustNotAdvance, func(t *tb.Transfer) { t.Timestamp = 1 }},
			{tb.TransferReservedFlag, func(t *tb.Transfer) {
				t.Flags &^= transferFlagReserved
				t.ID, t.DebitAccountID, t.CreditAccountID = tb.ID(), late, credit
				t.Ledger++
			}},
			{tb.TransferTransferMustHaveTheSameLedgerAsAccounts, func(t *tb.Transfer) { t.Ledger-- }},
			{tb.TransferImportedEventTimestampMustNotRegress, func(t *tb.Transfer) { t.Timestamp = beforeDebit }},
			{tb.TransferImportedEventTimestampMustPostdateDebitAccount, func(t *tb.Transfer) { t.Timestamp = beforeCredit }},
			{tb.TransferImportedEventTimestampMustPostdateCreditAccount, func(t *tb.Transfer) { t.Timestamp = after - 1 }},
			{tb.TransferImportedEventTimestampMustNotRegress, func(t *tb.Transfer) { t.Timestamp = after }},
			{tb.TransferImportedEventTimeoutMustBeZero, func(t *tb.Transfer) { t.Timeout = 0 }},
			{tb.TransferCreated, func(t *tb.Transfer) { t.Timestamp = 1 }},
			{tb.TransferExists, nil},
		})
	}},
	{"an imported transfer keeps its timestamp", func(b *book) {
		t := b.importMove(b.account(0), b.account(0), 0)
		t.Timestamp = b.now()
		if r := b.must(t); r[0].Timestamp != t.Timestamp {
			b.Fatalf("result %d, sent %d", r[0].Timestamp, t.Timestamp)
		}
		if got := b.transfer(t.ID); got != t {
			b.Fatalf("\n got %+v\nwant %+v", got, t)
		}
	}},
	{"imported pending transfers are posted by imported transfers", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		at := b.now()
		p := b.importMove(debit, credit, at)
		p.Flags |= pending
		early, f := b.finish(p, n(1), post|imported), b.finish(p, n(1), post|imported)
		early.Timestamp, f.Timestamp = at, at+1
		b.transferStatuses([]tb.Transfer{p, early, f},
			tb.TransferCreated, tb.TransferImportedEventTimestampMustNotRegress, tb.TransferCreated)
		b.balances(debit, "0/1 0/0")
	}},
	{"a chain that is undone frees its timestamps", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		at := b.now()
		first, second := b.importMove(debit, credit, at), b.importMove(debit, credit, at+1)
		first.Flags |= linked
		second.Code = 0
		results := b.transferStatuses([]tb.Transfer{first, second}, tb.TransferLinkedEventFailed, tb.TransferCodeMustNotBeZero)
		if results[0].Timestamp != at {
			b.Fatalf("the undone event has timestamp %d, want its own, %d", results[0].Timestamp, at)
		}
		second.Code = 1
		b.must(first, second)
	}},
}

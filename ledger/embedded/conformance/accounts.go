package conformance

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

type accountStair = stair[tb.Account, tb.CreateAccountStatus]

var accountCases = []testCase{
	{"a new account is checked in the order of precedence", func(b *book) {
		climbAccounts(b, tb.Account{
			Timestamp: 1, Reserved: 1, Flags: accountFlagReserved | accountDebitsLimited | accountCreditsLimited,
			DebitsPending: n(1), DebitsPosted: n(1), CreditsPending: n(1), CreditsPosted: n(1),
		}, []accountStair{
			{tb.AccountTimestampMustBeZero, func(a *tb.Account) { a.Timestamp = 0 }},
			{tb.AccountReservedField, func(a *tb.Account) { a.Reserved = 0 }},
			{tb.AccountReservedFlag, func(a *tb.Account) { a.Flags &^= accountFlagReserved }},
			{tb.AccountIDMustNotBeZero, func(a *tb.Account) { a.ID = intMax }},
			{tb.AccountIDMustNotBeIntMax, func(a *tb.Account) { a.ID = tb.ID() }},
			{tb.AccountFlagsAreMutuallyExclusive, func(a *tb.Account) { a.Flags &^= accountCreditsLimited }},
			{tb.AccountDebitsPendingMustBeZero, func(a *tb.Account) { a.DebitsPending = n(0) }},
			{tb.AccountDebitsPostedMustBeZero, func(a *tb.Account) { a.DebitsPosted = n(0) }},
			{tb.AccountCreditsPendingMustBeZero, func(a *tb.Account) { a.CreditsPending = n(0) }},
			{tb.AccountCreditsPostedMustBeZero, func(a *tb.Account) { a.CreditsPosted = n(0) }},
			{tb.AccountLedgerMustNotBeZero, func(a *tb.Account) { a.Ledger = b.ledger }},
			{tb.AccountCodeMustNotBeZero, func(a *tb.Account) { a.Code = 1 }},
			{tb.AccountCreated, nil},
		})
	}},
	{"an account that exists is compared in the order of precedence, before its own fields are checked", func(b *book) {
		existing := b.newAccount(accountHistory)
		existing.UserData128, existing.UserData64, existing.UserData32 = n(1), 2, 3
		created := b.accountStatuses([]tb.Account{existing}, tb.AccountCreated)
		climbAccounts(b, tb.Account{
			ID: existing.ID, Flags: accountDebitsLimited | accountCreditsLimited, DebitsPending: n(1),
		}, []accountStair{
			{tb.AccountExistsWithDifferentFlags, func(a *tb.Account) { a.Flags = existing.Flags }},
			{tb.AccountExistsWithDifferentUserData128, func(a *tb.Account) { a.UserData128 = n(1) }},
			{tb.AccountExistsWithDifferentUserData64, func(a *tb.Account) { a.UserData64 = 2 }},
			{tb.AccountExistsWithDifferentUserData32, func(a *tb.Account) { a.UserData32 = 3 }},
			{tb.AccountExistsWithDifferentLedger, func(a *tb.Account) { a.Ledger = b.ledger }},
			{tb.AccountExistsWithDifferentCode, func(a *tb.Account) { a.Code = 1 }},
			{tb.AccountExists, nil},
		})
		again := b.accountStatuses([]tb.Account{existing}, tb.AccountExists)
		if again[0].Timestamp != created[0].Timestamp {
			b.Fatalf("exists has timestamp %d, the account %d", again[0].Timestamp, created[0].Timestamp)
		}
	}},
	{"a lookup finds what was sent, with zero balances and the timestamp of the result", func(b *book) {
		a := b.newAccount(accountHistory | accountDebitsLimited)
		a.UserData128, a.UserData64, a.UserData32, a.Code = almostMax(5), 1<<63, 1<<31, 1<<15
		results := b.accountStatuses([]tb.Account{a}, tb.AccountCreated)
		a.Timestamp = results[0].Timestamp
		if got := b.lookup(a.ID); got != a {
			b.Fatalf("\n got %+v\nwant %+v", got, a)
		}
	}},
	{"the events of a request have consecutive timestamps, failed ones too", func(b *book) {
		bad := b.newAccount(0)
		bad.Code = 0
		results := b.accountStatuses([]tb.Account{b.newAccount(0), bad, b.newAccount(0)},
			tb.AccountCreated, tb.AccountCodeMustNotBeZero, tb.AccountCreated)
		for i := range results {
			if results[i].Timestamp != results[0].Timestamp+uint64(i) {
				b.Fatalf("timestamps %+v", results)
			}
		}
		next := b.accountStatuses([]tb.Account{b.newAccount(0)}, tb.AccountCreated)
		if next[0].Timestamp <= results[2].Timestamp {
			b.Fatalf("timestamp %d is not after %d", next[0].Timestamp, results[2].Timestamp)
		}
	}},
	{"an id can be used only once within a request", func(b *book) {
		a := b.newAccount(0)
		b.accountStatuses([]tb.Account{a, a}, tb.AccountCreated, tb.AccountExists)
	}},
	{"a chain of accounts is created as a whole or not at all", func(b *book) {
		first, second, third := b.newAccount(accountLinked), b.newAccount(accountLinked), b.newAccount(0)
		second.Code = 0
		b.accountStatuses([]tb.Account{first, second, third, b.newAccount(0)},
			tb.AccountLinkedEventFailed, tb.AccountCodeMustNotBeZero, tb.AccountLinkedEventFailed, tb.AccountCreated)
		second.Code = 1
		b.accountStatuses([]tb.Account{first, second, third}, tb.AccountCreated, tb.AccountCreated, tb.AccountCreated)
	}},
	{"a chain of accounts must end", func(b *book) {
		b.accountStatuses([]tb.Account{b.newAccount(accountLinked), b.newAccount(accountLinked)},
			tb.AccountLinkedEventFailed, tb.AccountLinkedEventChainOpen)
	}},
	{"an account can be created closed", func(b *book) {
		a := b.account(accountClosed)
		if b.lookup(a).Flags&accountClosed == 0 {
			b.Fatal("it is open")
		}
		b.status(b.move(a, b.account(0), 1, 0), tb.TransferDebitAccountAlreadyClosed)
	}},
	{"lookups answer in the order of the ids, leave out what does not exist, and repeat", func(b *book) {
		first, second := b.account(0), b.account(0)
		found, err := b.client.LookupAccounts([]tb.Uint128{second, tb.ID(), first, second, n(0), intMax})
		if err != nil || len(found) != 3 || found[0].ID != second || found[1].ID != first || found[2].ID != second {
			b.Fatalf("%v, %v", found, err)
		}
	}},
}

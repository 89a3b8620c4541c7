package conformance

import (
	"errors"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

const (
	resultsMax      = 8189
	changeEventsMax = 2730
)

var limitCases = []testCase{
	{"an empty request is answered with nothing", func(b *book) {
		accounts, err := b.client.CreateAccounts(nil)
		transfers, err2 := b.client.CreateTransfers([]tb.Transfer{})
		foundAccounts, err3 := b.client.LookupAccounts(nil)
		foundTransfers, err4 := b.client.LookupTransfers(nil)
		if err := errors.Join(err, err2, err3, err4); err != nil {
			b.Fatal(err)
		}
		if accounts == nil || transfers == nil || foundAccounts == nil || foundTransfers == nil ||
			len(accounts)+len(transfers)+len(foundAccounts)+len(foundTransfers) != 0 {
			b.Fatal("the answers must be empty, not nil")
		}
	}},
	{"a full request is answered, one event more is too much", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		transfers := make([]tb.Transfer, b.target.BatchEventsMax+1)
		for i := range transfers {
			transfers[i] = b.move(debit, credit, 1, 0)
		}
		if _, err := b.client.CreateTransfers(transfers); !errors.Is(err, tb.ErrTooMuchData) {
			b.Fatalf("%d transfers: %v", len(transfers), err)
		}
		b.must(transfers[1:]...)
		accounts := make([]tb.Account, b.target.BatchEventsMax+1)
		for i := range accounts {
			accounts[i] = b.newAccount(0)
		}
		if _, err := b.client.CreateAccounts(accounts); !errors.Is(err, tb.ErrTooMuchData) {
			b.Fatalf("%d accounts: %v", len(accounts), err)
		}
		results, err := b.client.CreateAccounts(accounts[1:])
		if err != nil || len(results) != b.target.BatchEventsMax {
			b.Fatalf("%d results, %v", len(results), err)
		}
	}},
	{"too many ids are too much", func(b *book) {
		many := make([]tb.Uint128, resultsMax+1)
		if _, err := b.client.LookupAccounts(many); !errors.Is(err, tb.ErrTooMuchData) {
			b.Fatal(err)
		}
		if _, err := b.client.LookupTransfers(many); !errors.Is(err, tb.ErrTooMuchData) {
			b.Fatal(err)
		}
	}},
	{"a limit above what an answer can carry is too much, even in an invalid filter", func(b *book) {
		account := tb.AccountFilter{Limit: resultsMax + 1}
		query := tb.QueryFilter{Limit: resultsMax + 1, Flags: 1 << 9}
		_, err := b.client.GetAccountTransfers(account)
		_, err2 := b.client.GetAccountBalances(account)
		_, err3 := b.client.QueryAccounts(query)
		_, err4 := b.client.QueryTransfers(query)
		_, err5 := b.client.GetChangeEvents(tb.ChangeEventsFilter{Limit: changeEventsMax + 1})
		for i, err := range []error{err, err2, err3, err4, err5} {
			if !errors.Is(err, tb.ErrTooMuchData) {
				b.Fatalf("operation %d: %v", i, err)
			}
		}
	}},
	{"the greatest limit is answered", func(b *book) {
		account := b.account(accountHistory)
		t := b.move(account, b.account(0), 1, 0)
		b.must(t)
		b.accountTransfers(tb.AccountFilter{AccountID: account, Limit: resultsMax, Flags: accountFilterBothSides}, t.ID)
		b.queryTransfers(tb.QueryFilter{Ledger: b.ledger, Limit: resultsMax}, t.ID)
	}},
	{"nop is answered", func(b *book) {
		if err := b.client.Nop(); err != nil {
			b.Fatal(err)
		}
	}},
}

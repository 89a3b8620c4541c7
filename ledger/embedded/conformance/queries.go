package conformance

import (
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

func ids[T any](rows []T, id func(T) tb.Uint128) []tb.Uint128 {
	list := make([]tb.Uint128, len(rows))
	for i, row := range rows {
		list[i] = id(row)
	}
	return list
}

func transferID(t tb.Transfer) tb.Uint128 { return t.ID }
func accountID(a tb.Account) tb.Uint128   { return a.ID }

// found checks what a query returns, in order.
func (b *book) found(got []tb.Uint128, err error, want ...tb.Uint128) {
	b.Helper()
	if err != nil || !slices.Equal(got, want) {
		b.Fatalf("%v\n got %v\nwant %v", err, got, want)
	}
}

func (b *book) accountTransfers(f tb.AccountFilter, want ...tb.Uint128) {
	b.Helper()
	rows, err := b.client.GetAccountTransfers(f)
	b.found(ids(rows, transferID), err, want...)
}

func (b *book) queryTransfers(f tb.QueryFilter, want ...tb.Uint128) {
	b.Helper()
	rows, err := b.client.QueryTransfers(f)
	b.found(ids(rows, transferID), err, want...)
}

func (b *book) queryAccounts(f tb.QueryFilter, want ...tb.Uint128) {
	b.Helper()
	rows, err := b.client.QueryAccounts(f)
	b.found(ids(rows, accountID), err, want...)
}

// invalidAccountFilters are changes of a valid filter that make it invalid.
var invalidAccountFilters = map[string]func(*tb.AccountFilter){
	"account zero":      func(f *tb.AccountFilter) { f.AccountID = n(0) },
	"account max":       func(f *tb.AccountFilter) { f.AccountID = intMax },
	"unknown account":   func(f *tb.AccountFilter) { f.AccountID = tb.ID() },
	"limit zero":        func(f *tb.AccountFilter) { f.Limit = 0 },
	"no side":           func(f *tb.AccountFilter) { f.Flags = reversed },
	"unknown flag":      func(f *tb.AccountFilter) { f.Flags |= 1 << 3 },
	"from out of range": func(f *tb.AccountFilter) { f.TimestampMin = timestampMax + 1 },
	"to out of range":   func(f *tb.AccountFilter) { f.TimestampMax = timestampMax + 1 },
	"from after to":     func(f *tb.AccountFilter) { f.TimestampMin, f.TimestampMax = 2, 1 },
	"reserved":          func(f *tb.AccountFilter) { f.Reserved[0] = 1 },
}

var invalidQueryFilters = map[string]func(*tb.QueryFilter){
	"limit zero":        func(f *tb.QueryFilter) { f.Limit = 0 },
	"unknown flag":      func(f *tb.QueryFilter) { f.Flags |= 1 << 1 },
	"from out of range": func(f *tb.QueryFilter) { f.TimestampMin = timestampMax + 1 },
	"to out of range":   func(f *tb.QueryFilter) { f.TimestampMax = timestampMax + 1 },
	"from after to":     func(f *tb.QueryFilter) { f.TimestampMin, f.TimestampMax = 2, 1 },
	"reserved":          func(f *tb.QueryFilter) { f.Reserved[0] = 1 },
}

var queryCases = []testCase{
	{"transfers of an account, by side, order, time and limit", func(b *book) {
		account, other := b.account(0), b.account(0)
		out, in, out2 := b.move(account, other, 1, 0), b.move(other, account, 2, 0), b.move(account, other, 3, 0)
		r := b.must(out, in, out2)
		b.must(b.move(other, b.account(0), 1, 0))
		f := tb.AccountFilter{AccountID: account, Limit: 100, Flags: accountFilterBothSides}
		b.accountTransfers(f, out.ID, in.ID, out2.ID)
		f.Flags = accountFilterBothSides | reversed
		b.accountTransfers(f, out2.ID, in.ID, out.ID)
		f.Flags = 1 << 0
		b.accountTransfers(f, out.ID, out2.ID)
		f.Flags = 1 << 1
		b.accountTransfers(f, in.ID)
		f.Flags, f.Limit = accountFilterBothSides, 2
		b.accountTransfers(f, out.ID, in.ID)
		f.Flags |= reversed
		b.accountTransfers(f, out2.ID, in.ID)
		f.Flags, f.Limit, f.TimestampMin, f.TimestampMax = accountFilterBothSides, 100, r[1].Timestamp, r[1].Timestamp
		b.accountTransfers(f, in.ID)
		f.TimestampMin, f.TimestampMax = r[1].Timestamp, 0
		b.accountTransfers(f, in.ID, out2.ID)
		f.TimestampMin, f.TimestampMax = 0, r[1].Timestamp
		b.accountTransfers(f, out.ID, in.ID)
	}},
	{"transfers of an account, by their fields", func(b *book) {
		account, other := b.account(0), b.account(0)
		plain, marked := b.move(account, other, 1, 0), b.move(account, other, 1, 0)
		marked.UserData128, marked.UserData64, marked.UserData32, marked.Code = n(9), 8, 7, 6
		b.must(plain, marked)
		f := tb.AccountFilter{AccountID: account, Limit: 100, Flags: accountFilterBothSides}
		for _, with := range []func(*tb.AccountFilter){
			func(f *tb.AccountFilter) { f.UserData128 = n(9) },
			func(f *tb.AccountFilter) { f.UserData64 = 8 },
			func(f *tb.AccountFilter) { f.UserData32 = 7 },
			func(f *tb.AccountFilter) { f.Code = 6 },
			func(f *tb.AccountFilter) { f.UserData128, f.UserData64, f.UserData32, f.Code = n(9), 8, 7, 6 },
		} {
			one := f
			with(&one)
			b.accountTransfers(one, marked.ID)
		}
		f.Code, f.UserData64 = 1, 8
		b.accountTransfers(f)
	}},
	{"posts and voids are transfers of the accounts of the pending one", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 1, pending)
		f := b.finish(p, intMax, post)
		b.must(p, f)
		for _, account := range []tb.Uint128{debit, credit} {
			b.accountTransfers(tb.AccountFilter{AccountID: account, Limit: 10, Flags: accountFilterBothSides}, p.ID, f.ID)
		}
	}},
	{"an undone chain is found by no query", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		bad, kept := b.move(debit, credit, 1, 0), b.move(debit, credit, 1, 0)
		bad.Code = 0
		b.transferStatuses([]tb.Transfer{b.move(debit, credit, 1, linked), bad, kept},
			tb.TransferLinkedEventFailed, tb.TransferCodeMustNotBeZero, tb.TransferCreated)
		b.accountTransfers(tb.AccountFilter{AccountID: debit, Limit: 10, Flags: accountFilterBothSides}, kept.ID)
		b.queryTransfers(tb.QueryFilter{Ledger: b.ledger, Limit: 10}, kept.ID)
	}},
	{"an invalid account filter finds nothing", func(b *book) {
		account := b.account(accountHistory)
		b.must(b.move(account, b.account(0), 1, 0))
		for name, spoil := range invalidAccountFilters {
			f := tb.AccountFilter{AccountID: account, Limit: 10, Flags: accountFilterBothSides}
			spoil(&f)
			transfers, err := b.client.GetAccountTransfers(f)
			balances, err2 := b.client.GetAccountBalances(f)
			if err != nil || err2 != nil || len(transfers) != 0 || len(balances) != 0 {
				b.Fatalf("%s: %v %v, %v %v", name, transfers, err, balances, err2)
			}
		}
	}},
	{"transfers by their fields, order, time and limit", func(b *book) {
		account, other := b.account(0), b.account(0)
		plain, marked, last := b.move(account, other, 1, 0), b.move(account, other, 1, 0), b.move(account, other, 1, 0)
		marked.UserData128, marked.UserData64, marked.UserData32, marked.Code = tb.ID(), 8, 7, 6
		r := b.must(plain, marked, last)
		f := tb.QueryFilter{Ledger: b.ledger, Limit: 100}
		b.queryTransfers(f, plain.ID, marked.ID, last.ID)
		f.Flags = queryReversed
		b.queryTransfers(f, last.ID, marked.ID, plain.ID)
		f.Limit = 1
		b.queryTransfers(f, last.ID)
		f.Limit, f.Flags, f.TimestampMin, f.TimestampMax = 100, 0, r[1].Timestamp, r[2].Timestamp
		b.queryTransfers(f, marked.ID, last.ID)
		b.queryTransfers(tb.QueryFilter{UserData128: marked.UserData128, Limit: 100}, marked.ID)
		b.queryTransfers(tb.QueryFilter{Ledger: b.ledger, UserData64: 8, UserData32: 7, Code: 6, Limit: 100}, marked.ID)
		b.queryTransfers(tb.QueryFilter{Ledger: b.ledger, UserData64: 8, Code: 1, Limit: 100})
		b.queryTransfers(tb.QueryFilter{TimestampMin: r[0].Timestamp, TimestampMax: r[2].Timestamp, Limit: 100},
			plain.ID, marked.ID, last.ID)
	}},
	{"accounts by their fields, order, time and limit", func(b *book) {
		plain, marked, last := b.newAccount(0), b.newAccount(0), b.newAccount(0)
		marked.UserData128, marked.UserData64, marked.UserData32, marked.Code = tb.ID(), 8, 7, 6
		r := b.accountStatuses([]tb.Account{plain, marked, last}, tb.AccountCreated, tb.AccountCreated, tb.AccountCreated)
		f := tb.QueryFilter{Ledger: b.ledger, Limit: 100}
		b.queryAccounts(f, plain.ID, marked.ID, last.ID)
		f.Flags = queryReversed
		b.queryAccounts(f, last.ID, marked.ID, plain.ID)
		f.Limit = 2
		b.queryAccounts(f, last.ID, marked.ID)
		f.Limit, f.Flags, f.TimestampMax = 100, 0, r[1].Timestamp
		b.queryAccounts(f, plain.ID, marked.ID)
		b.queryAccounts(tb.QueryFilter{UserData128: marked.UserData128, Limit: 100}, marked.ID)
		b.queryAccounts(tb.QueryFilter{Ledger: b.ledger, UserData64: 8, UserData32: 7, Code: 6, Limit: 100}, marked.ID)
	}},
	{"an invalid query filter finds nothing", func(b *book) {
		b.must(b.move(b.account(0), b.account(0), 1, 0))
		for name, spoil := range invalidQueryFilters {
			f := tb.QueryFilter{Ledger: b.ledger, Limit: 10}
			spoil(&f)
			transfers, err := b.client.QueryTransfers(f)
			accounts, err2 := b.client.QueryAccounts(f)
			if err != nil || err2 != nil || len(transfers) != 0 || len(accounts) != 0 {
				b.Fatalf("%s: %v %v, %v %v", name, transfers, err, accounts, err2)
			}
		}
	}},
}

var historyCases = []testCase{
	{"an account with history keeps its balances after each transfer", func(b *book) {
		account, other := b.account(accountHistory), b.account(0)
		p := b.move(account, other, 5, pending)
		r := b.must(b.move(other, account, 10, 0), p, b.finish(p, n(3), post))
		f := tb.AccountFilter{AccountID: account, Limit: 10, Flags: accountFilterBothSides}
		want := []tb.AccountBalance{
			{Timestamp: r[0].Timestamp, CreditsPosted: n(10)},
			{Timestamp: r[1].Timestamp, CreditsPosted: n(10), DebitsPending: n(5)},
			{Timestamp: r[2].Timestamp, CreditsPosted: n(10), DebitsPosted: n(3)},
		}
		got, err := b.client.GetAccountBalances(f)
		if err != nil || !slices.Equal(got, want) {
			b.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
		f.Flags |= reversed
		f.Limit = 1
		if got, err = b.client.GetAccountBalances(f); err != nil || !slices.Equal(got, want[2:]) {
			b.Fatalf("reversed: %v\n got %+v\nwant %+v", err, got, want[2:])
		}
	}},
	{"an account without history has no balances", func(b *book) {
		account := b.account(0)
		b.must(b.move(account, b.account(accountHistory), 1, 0))
		got, err := b.client.GetAccountBalances(tb.AccountFilter{AccountID: account, Limit: 10, Flags: accountFilterBothSides})
		if err != nil || len(got) != 0 {
			b.Fatalf("%+v, %v", got, err)
		}
	}},
	{"an expiry is not a transfer, so it has no entry", func(b *book) {
		account, other := b.account(accountHistory), b.account(0)
		p := b.move(account, other, 5, pending)
		p.Timeout = 1
		r := b.must(p)
		b.eventually("the hold expires", func() bool { return b.lookup(account).DebitsPending == n(0) })
		got, err := b.client.GetAccountBalances(tb.AccountFilter{AccountID: account, Limit: 10, Flags: accountFilterBothSides})
		if err != nil || !slices.Equal(got, []tb.AccountBalance{{Timestamp: r[0].Timestamp, DebitsPending: n(5)}}) {
			b.Fatalf("%+v, %v", got, err)
		}
	}},
}

// changeEvents returns the events from a timestamp on that belong to the case.
func (b *book) changeEvents(from uint64) []tb.ChangeEvent {
	b.Helper()
	events, err := b.client.GetChangeEvents(tb.ChangeEventsFilter{TimestampMin: from, Limit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	return slices.DeleteFunc(events, func(e tb.ChangeEvent) bool { return e.Ledger != b.ledger })
}

var changeEventCases = []testCase{
	{"every kind of event carries the transfer and both accounts after it", func(b *book) {
		from := b.newAccount(accountHistory)
		from.UserData128, from.UserData64, from.UserData32, from.Code = n(1), 2, 3, 4
		to := b.newAccount(0)
		r := b.accountStatuses([]tb.Account{from, to}, tb.AccountCreated, tb.AccountCreated)
		from.Timestamp, to.Timestamp = r[0].Timestamp, r[1].Timestamp

		single, expiring := b.move(from.ID, to.ID, 1, 0), b.move(from.ID, to.ID, 2, pending|closingCredit)
		expiring.Timeout = 1
		single.UserData128, single.UserData64, single.UserData32 = n(11), 12, 13
		posted, voided := b.move(from.ID, to.ID, 4, pending), b.move(from.ID, to.ID, 8, pending)
		postIt, voidIt := b.finish(posted, n(3), post), b.finish(voided, n(0), void)
		start := b.must(single, posted, voided, postIt, voidIt, expiring)[0].Timestamp

		var events []tb.ChangeEvent
		b.eventually("the hold expires", func() bool {
			events = b.changeEvents(start)
			return len(events) == 7
		})
		want := []struct {
			id, amount, pendingID     tb.Uint128
			kind                      tb.ChangeEventType
			debitPending, debitPosted uint64
			creditClosed              bool
		}{
			{single.ID, n(1), n(0), tb.ChangeEventSinglePhase, 0, 1, false},
			{posted.ID, n(4), n(0), tb.ChangeEventTwoPhasePending, 4, 1, false},
			{voided.ID, n(8), n(0), tb.ChangeEventTwoPhasePending, 12, 1, false},
			{postIt.ID, n(3), posted.ID, tb.ChangeEventTwoPhasePosted, 8, 4, false},
			{voidIt.ID, n(8), voided.ID, tb.ChangeEventTwoPhaseVoided, 0, 4, false},
			{expiring.ID, n(2), n(0), tb.ChangeEventTwoPhasePending, 2, 4, true},
			{expiring.ID, n(2), n(0), tb.ChangeEventTwoPhaseExpired, 0, 4, false},
		}
		for i, w := range want {
			t := b.transfer(w.id)
			e := tb.ChangeEvent{
				TransferID: w.id, TransferAmount: w.amount, TransferPendingID: w.pendingID,
				TransferUserData128: t.UserData128, TransferUserData64: t.UserData64, TransferUserData32: t.UserData32,
				TransferTimeout: t.Timeout, TransferCode: t.Code, TransferFlags: t.Flags, Ledger: b.ledger, Type: w.kind,
				DebitAccountID: from.ID, DebitAccountDebitsPending: n(w.debitPending), DebitAccountDebitsPosted: n(w.debitPosted),
				DebitAccountUserData128: n(1), DebitAccountUserData64: 2, DebitAccountUserData32: 3, DebitAccountCode: 4,
				DebitAccountFlags: accountHistory,
				CreditAccountID:   to.ID, CreditAccountCreditsPending: n(w.debitPending), CreditAccountCreditsPosted: n(w.debitPosted),
				CreditAccountCode: 1, Timestamp: t.Timestamp, TransferTimestamp: t.Timestamp,
				DebitAccountTimestamp: from.Timestamp, CreditAccountTimestamp: to.Timestamp,
			}
			if w.creditClosed {
				e.CreditAccountFlags = accountClosed
			}
			if w.kind == tb.ChangeEventTwoPhaseExpired {
				e.Timestamp = events[i].Timestamp // the pulse's
			}
			if events[i] != e {
				b.Fatalf("event %d\n got %+v\nwant %+v", i, events[i], e)
			}
		}
	}},
	{"by time and limit", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		r := b.must(b.move(debit, credit, 1, 0), b.move(debit, credit, 1, 0), b.move(debit, credit, 1, 0))
		for _, c := range []struct {
			filter tb.ChangeEventsFilter
			want   int
		}{
			{tb.ChangeEventsFilter{TimestampMin: r[0].Timestamp, TimestampMax: r[2].Timestamp, Limit: 10}, 3},
			{tb.ChangeEventsFilter{TimestampMin: r[1].Timestamp, TimestampMax: r[2].Timestamp, Limit: 10}, 2},
			{tb.ChangeEventsFilter{TimestampMin: r[0].Timestamp, TimestampMax: r[0].Timestamp, Limit: 10}, 1},
			{tb.ChangeEventsFilter{TimestampMin: r[0].Timestamp, Limit: 2}, 2},
			{tb.ChangeEventsFilter{TimestampMin: r[2].Timestamp + 1, TimestampMax: r[2].Timestamp + 1, Limit: 2}, 0},
			{tb.ChangeEventsFilter{TimestampMin: r[0].Timestamp}, 0},
			{tb.ChangeEventsFilter{TimestampMin: 2, TimestampMax: 1, Limit: 10}, 0},
			{tb.ChangeEventsFilter{TimestampMin: timestampMax + 1, Limit: 10}, 0},
			{tb.ChangeEventsFilter{TimestampMax: timestampMax + 1, Limit: 10}, 0},
			{tb.ChangeEventsFilter{TimestampMin: r[0].Timestamp, Limit: 10, Reserved: [44]uint8{43: 1}}, 0},
		} {
			if got, err := b.client.GetChangeEvents(c.filter); err != nil || len(got) != c.want {
				b.Fatalf("%+v: %d events, want %d, %v", c.filter, len(got), c.want, err)
			}
		}
	}},
}

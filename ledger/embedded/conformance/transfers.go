package conformance

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

type transferStair = stair[tb.Transfer, tb.CreateTransferStatus]

var transferCases = []testCase{
	{"a new transfer is checked in the order of precedence", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		elsewhere := b.newAccount(0)
		elsewhere.Ledger++
		b.accountStatuses([]tb.Account{elsewhere}, tb.AccountCreated)
		// A status that depends on the ledger burns the id, so those steps take a
		// new one.
		climbTransfers(b, tb.Transfer{
			Timestamp: 1, Flags: transferFlagReserved | closingDebit, PendingID: n(1), Timeout: 1,
		}, []transferStair{
			{tb.TransferTimestampMustBeZero, func(t *tb.Transfer) { t.Timestamp = 0 }},
			{tb.TransferReservedFlag, func(t *tb.Transfer) { t.Flags = closingDebit }},
			{tb.TransferIDMustNotBeZero, func(t *tb.Transfer) { t.ID = intMax }},
			{tb.TransferIDMustNotBeIntMax, func(t *tb.Transfer) { t.ID = tb.ID() }},
			{tb.TransferDebitAccountIDMustNotBeZero, func(t *tb.Transfer) { t.DebitAccountID = intMax }},
			{tb.TransferDebitAccountIDMustNotBeIntMax, func(t *tb.Transfer) { t.DebitAccountID = debit }},
			{tb.TransferCreditAccountIDMustNotBeZero, func(t *tb.Transfer) { t.CreditAccountID = intMax }},
			{tb.TransferCreditAccountIDMustNotBeIntMax, func(t *tb.Transfer) { t.CreditAccountID = debit }},
			{tb.TransferAccountsMustBeDifferent, func(t *tb.Transfer) { t.CreditAccountID = tb.ID() }},
			{tb.TransferPendingIDMustBeZero, func(t *tb.Transfer) { t.PendingID = n(0) }},
			{tb.TransferTimeoutReservedForPendingTransfer, func(t *tb.Transfer) { t.Timeout = 0 }},
			{tb.TransferClosingTransferMustBePending, func(t *tb.Transfer) { t.Flags = 0 }},
			{tb.TransferLedgerMustNotBeZero, func(t *tb.Transfer) { t.Ledger = b.ledger + 2 }},
			{tb.TransferCodeMustNotBeZero, func(t *tb.Transfer) { t.Code = 1; t.DebitAccountID = tb.ID() }},
			{tb.TransferDebitAccountNotFound, func(t *tb.Transfer) { t.ID = tb.ID(); t.DebitAccountID = debit }},
			{tb.TransferCreditAccountNotFound, func(t *tb.Transfer) { t.ID = tb.ID(); t.CreditAccountID = elsewhere.ID }},
			{tb.TransferAccountsMustHaveTheSameLedger, func(t *tb.Transfer) { t.CreditAccountID = credit }},
			{tb.TransferTransferMustHaveTheSameLedgerAsAccounts, func(t *tb.Transfer) { t.Ledger = b.ledger }},
			{tb.TransferCreated, nil},
		})
	}},
	{"a transfer that exists is compared in the order of precedence", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		existing := b.move(debit, credit, 7, pending)
		existing.Timeout, existing.UserData128, existing.UserData64, existing.UserData32 = neverSeconds, n(1), 2, 3
		created := b.must(existing)
		climbTransfers(b, tb.Transfer{ID: existing.ID, PendingID: n(1)}, []transferStair{
			{tb.TransferExistsWithDifferentFlags, func(t *tb.Transfer) { t.Flags = pending }},
			{tb.TransferExistsWithDifferentPendingID, func(t *tb.Transfer) { t.PendingID = n(0) }},
			{tb.TransferExistsWithDifferentTimeout, func(t *tb.Transfer) { t.Timeout = neverSeconds }},
			{tb.TransferExistsWithDifferentDebitAccountID, func(t *tb.Transfer) { t.DebitAccountID = debit }},
			{tb.TransferExistsWithDifferentCreditAccountID, func(t *tb.Transfer) { t.CreditAccountID = credit }},
			{tb.TransferExistsWithDifferentAmount, func(t *tb.Transfer) { t.Amount = n(7) }},
			{tb.TransferExistsWithDifferentUserData128, func(t *tb.Transfer) { t.UserData128 = n(1) }},
			{tb.TransferExistsWithDifferentUserData64, func(t *tb.Transfer) { t.UserData64 = 2 }},
			{tb.TransferExistsWithDifferentUserData32, func(t *tb.Transfer) { t.UserData32 = 3 }},
			{tb.TransferExistsWithDifferentLedger, func(t *tb.Transfer) { t.Ledger = b.ledger }},
			{tb.TransferExistsWithDifferentCode, func(t *tb.Transfer) { t.Code = 1 }},
			{tb.TransferExists, nil},
		})
		if again := b.status(existing, tb.TransferExists); again.Timestamp != created[0].Timestamp {
			b.Fatalf("exists has timestamp %d, the transfer %d", again.Timestamp, created[0].Timestamp)
		}
	}},
	{"overflows come in the order of precedence, before limits", func(b *book) {
		limited, other, third := b.account(accountDebitsLimited), b.account(0), b.account(0)
		huge := func(debit, credit tb.Uint128, flags uint16) tb.Transfer {
			t := b.move(debit, credit, 0, flags)
			t.Amount = almostMax(0)
			return t
		}
		// Fill debits_pending of one account and credits_pending of another.
		fullDebit, fullCredit := b.account(0), b.account(0)
		b.must(huge(fullDebit, other, pending))
		b.must(huge(third, fullCredit, pending))
		b.status(b.move(fullDebit, fullCredit, 1, pending), tb.TransferOverflowsDebitsPending)
		b.status(b.move(limited, fullCredit, 1, pending), tb.TransferOverflowsCreditsPending)
		// A posted transfer on top of what is pending overflows the sum.
		b.status(b.move(fullDebit, fullCredit, 1, 0), tb.TransferOverflowsDebits)
		b.status(b.move(limited, fullCredit, 1, 0), tb.TransferOverflowsCredits)
		// Fill debits_posted and credits_posted.
		postedDebit, postedCredit := b.account(0), b.account(0)
		b.must(huge(postedDebit, postedCredit, 0))
		b.status(b.move(postedDebit, postedCredit, 1, 0), tb.TransferOverflowsDebitsPosted)
		b.status(b.move(postedDebit, postedCredit, 1, pending), tb.TransferOverflowsDebitsPosted)
		b.status(b.move(limited, postedCredit, 1, 0), tb.TransferOverflowsCreditsPosted)
	}},
	{"the greatest amount fits exactly", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		t := b.move(debit, credit, 0, 0)
		t.Amount = almostMax(3)
		b.must(t, b.move(debit, credit, 3, 0))
		b.status(b.move(debit, credit, 1, 0), tb.TransferOverflowsDebitsPosted)
		if got := b.lookup(debit).DebitsPosted; got != intMax {
			b.Fatalf("debits posted %s", got)
		}
	}},
	{"debits must not exceed credits, pending ones included", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		b.must(b.move(other, limited, 10, 0), b.move(limited, other, 4, pending), b.move(limited, other, 5, 0))
		b.status(b.move(limited, other, 2, 0), tb.TransferExceedsCredits)
		b.status(b.move(limited, other, 2, pending), tb.TransferExceedsCredits)
		b.must(b.move(limited, other, 1, 0))
		b.balances(limited, "4/6 0/10")
	}},
	{"pending credits do not count towards the limit", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		b.must(b.move(other, limited, 10, pending))
		b.status(b.move(limited, other, 1, 0), tb.TransferExceedsCredits)
	}},
	{"credits must not exceed debits, pending ones included", func(b *book) {
		limited, other := b.account(accountCreditsLimited), b.account(0)
		b.must(b.move(limited, other, 10, 0), b.move(other, limited, 4, pending), b.move(other, limited, 5, 0))
		b.status(b.move(other, limited, 2, 0), tb.TransferExceedsDebits)
		b.must(b.move(other, limited, 1, 0))
		b.balances(limited, "0/10 4/6")
	}},
	{"the debit account's limit comes before the credit account's", func(b *book) {
		b.status(b.move(b.account(accountDebitsLimited), b.account(accountCreditsLimited), 1, 0), tb.TransferExceedsCredits)
	}},
	{"an amount of zero is a transfer, even if nothing is left", func(b *book) {
		debit, credit := b.account(accountDebitsLimited), b.account(accountCreditsLimited)
		t := b.move(debit, credit, 0, 0)
		b.must(t)
		b.balances(debit, "0/0 0/0")
		if b.transfer(t.ID).Amount != n(0) {
			b.Fatal("the amount is not zero")
		}
	}},
	{"a lookup finds what was sent, with the timestamp of the result", func(b *book) {
		t := b.move(b.account(0), b.account(0), 5, pending)
		t.UserData128, t.UserData64, t.UserData32, t.Code, t.Timeout = almostMax(1), 1<<63, 1<<31, 1<<15, neverSeconds
		t.Timestamp = b.must(t)[0].Timestamp
		if got := b.transfer(t.ID); got != t {
			b.Fatalf("\n got %+v\nwant %+v", got, t)
		}
	}},
	{"the events of a request see those before them", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		b.transferStatuses([]tb.Transfer{
			b.move(limited, other, 1, 0), b.move(other, limited, 1, 0), b.move(limited, other, 1, 0), b.move(limited, other, 1, 0),
		}, tb.TransferExceedsCredits, tb.TransferCreated, tb.TransferCreated, tb.TransferExceedsCredits)
	}},
	{"the events of a request have consecutive timestamps, failed ones too", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		bad := b.move(debit, credit, 1, 0)
		bad.Code = 0
		results := b.transferStatuses([]tb.Transfer{b.move(debit, credit, 1, 0), bad, b.move(debit, credit, 1, 0)},
			tb.TransferCreated, tb.TransferCodeMustNotBeZero, tb.TransferCreated)
		for i := range results {
			if results[i].Timestamp != results[0].Timestamp+uint64(i) {
				b.Fatalf("timestamps %+v", results)
			}
		}
	}},
}

var chainCases = []testCase{
	{"a chain takes effect as a whole", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		b.must(b.move(debit, credit, 1, linked), b.move(debit, credit, 2, linked), b.move(debit, credit, 4, 0))
		b.balances(debit, "0/7 0/0")
	}},
	{"the first failure undoes the chain and keeps its own status", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		first, second, third := b.move(other, limited, 1, linked), b.move(limited, other, 2, linked), b.move(other, limited, 1, 0)
		after := b.move(other, limited, 3, 0)
		b.transferStatuses([]tb.Transfer{first, second, third, after},
			tb.TransferLinkedEventFailed, tb.TransferExceedsCredits, tb.TransferLinkedEventFailed, tb.TransferCreated)
		b.balances(limited, "0/0 0/3")
		b.absent(first.ID, second.ID, third.ID)
	}},
	{"the last event can fail the chain", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		b.transferStatuses([]tb.Transfer{b.move(other, limited, 1, linked), b.move(limited, other, 2, 0)},
			tb.TransferLinkedEventFailed, tb.TransferExceedsCredits)
		b.balances(other, "0/0 0/0")
	}},
	{"chains of one request are independent", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		bad := b.move(debit, credit, 1, 0)
		bad.Code = 0
		b.transferStatuses([]tb.Transfer{
			b.move(debit, credit, 1, linked), b.move(debit, credit, 1, 0),
			b.move(debit, credit, 2, linked), bad,
			b.move(debit, credit, 4, linked), b.move(debit, credit, 4, 0),
		}, tb.TransferCreated, tb.TransferCreated, tb.TransferLinkedEventFailed, tb.TransferCodeMustNotBeZero,
			tb.TransferCreated, tb.TransferCreated)
		b.balances(debit, "0/10 0/0")
	}},
	{"a chain must end within the request", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		first := b.move(debit, credit, 1, linked)
		b.transferStatuses([]tb.Transfer{first, b.move(debit, credit, 1, linked)},
			tb.TransferLinkedEventFailed, tb.TransferLinkedEventChainOpen)
		b.status(b.move(debit, credit, 1, linked), tb.TransferLinkedEventChainOpen)
		b.balances(debit, "0/0 0/0")
	}},
	{"an open chain says so even if it has failed before", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		bad := b.move(debit, credit, 1, linked)
		bad.Code = 0
		b.transferStatuses([]tb.Transfer{b.move(debit, credit, 1, linked), bad, b.move(debit, credit, 1, linked), b.move(debit, credit, 1, linked)},
			tb.TransferLinkedEventFailed, tb.TransferCodeMustNotBeZero, tb.TransferLinkedEventFailed, tb.TransferLinkedEventChainOpen)
	}},
	{"an open chain comes before everything else about the event", func(b *book) {
		b.status(tb.Transfer{Flags: linked | transferFlagReserved, Timestamp: 1}, tb.TransferLinkedEventChainOpen)
	}},
	{"a chain that was committed answers exists, then linked_event_failed", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		chain := []tb.Transfer{b.move(debit, credit, 1, linked), b.move(debit, credit, 1, linked), b.move(debit, credit, 1, 0)}
		b.must(chain...)
		b.transferStatuses(chain, tb.TransferExists, tb.TransferLinkedEventFailed, tb.TransferLinkedEventFailed)
		b.balances(debit, "0/3 0/0")
	}},
	{"exists in the middle undoes what was before it", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		existing := b.move(debit, credit, 1, linked)
		b.must(existing, b.move(debit, credit, 1, 0))
		b.transferStatuses([]tb.Transfer{b.move(debit, credit, 5, linked), existing, b.move(debit, credit, 5, 0)},
			tb.TransferLinkedEventFailed, tb.TransferExists, tb.TransferLinkedEventFailed)
		b.balances(debit, "0/2 0/0")
	}},
	{"an undone chain leaves its pending transfers pending", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 5, pending)
		b.must(p)
		bad := b.move(debit, credit, 1, 0)
		bad.Code = 0
		postIt := b.finish(p, intMax, post|linked)
		b.transferStatuses([]tb.Transfer{postIt, bad}, tb.TransferLinkedEventFailed, tb.TransferCodeMustNotBeZero)
		b.balances(debit, "5/0 0/0")
		b.must(b.finish(p, intMax, post))
		b.balances(debit, "0/5 0/0")
	}},
	{"a pending transfer can be posted in its own chain", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 5, pending|linked)
		b.must(p, b.finish(p, n(2), post))
		b.balances(debit, "0/2 0/0")
	}},
	{"a chain of holds over three ledgers takes the one use of a budget that others share, and gives it back", func(b *book) {
		type stock struct {
			ledger        uint32
			budget, spent tb.Uint128
		}
		stocks := make([]stock, 3) // seats, a code that is good for one order, a quota
		for i, left := range []uint64{2, 1, 2} {
			s := stock{b.ledger + uint32(i), tb.ID(), tb.ID()}
			operator := tb.ID()
			b.accountStatuses([]tb.Account{
				{ID: operator, Ledger: s.ledger, Code: 1}, {ID: s.budget, Ledger: s.ledger, Code: 1, Flags: accountDebitsLimited}, {ID: s.spent, Ledger: s.ledger, Code: 1},
			}, tb.AccountCreated, tb.AccountCreated, tb.AccountCreated)
			b.must(tb.Transfer{ID: tb.ID(), DebitAccountID: operator, CreditAccountID: s.budget, Amount: n(left), Ledger: s.ledger, Code: 1})
			stocks[i] = s
		}
		chain := func(leg func(i int, s stock) tb.Transfer) []tb.Transfer {
			legs := make([]tb.Transfer, len(stocks))
			for i, s := range stocks {
				legs[i] = leg(i, s)
				if i < len(stocks)-1 {
					legs[i].Flags |= linked
				}
			}
			return legs
		}
		hold := func() []tb.Transfer {
			return chain(func(_ int, s stock) tb.Transfer {
				return tb.Transfer{ID: tb.ID(), DebitAccountID: s.budget, CreditAccountID: s.spent, Amount: n(1), Ledger: s.ledger, Code: 1, Flags: pending}
			})
		}
		end := func(holds []tb.Transfer, amount tb.Uint128, flags uint16) []tb.Transfer {
			return chain(func(i int, _ stock) tb.Transfer { return b.finish(holds[i], amount, flags) })
		}
		left := func(want ...string) {
			b.Helper()
			for i, s := range stocks {
				b.balances(s.budget, want[i])
			}
		}
		first, second, third := hold(), hold(), hold()
		b.must(first...)
		b.transferStatuses(second, tb.TransferLinkedEventFailed, tb.TransferExceedsCredits, tb.TransferLinkedEventFailed)
		left("1/0 0/2", "1/0 0/1", "1/0 0/2")
		b.must(end(first, n(0), void)...)
		left("0/0 0/2", "0/0 0/1", "0/0 0/2")
		b.transferStatuses(second, tb.TransferLinkedEventFailed, tb.TransferIDAlreadyFailed, tb.TransferLinkedEventFailed)
		b.must(third...)
		b.must(end(third, intMax, post)...)
		left("0/1 0/2", "0/1 0/1", "0/1 0/2")
		b.transferStatuses(hold(), tb.TransferLinkedEventFailed, tb.TransferExceedsCredits, tb.TransferLinkedEventFailed)
		b.must(chain(func(_ int, s stock) tb.Transfer { // a refund
			return tb.Transfer{ID: tb.ID(), DebitAccountID: s.spent, CreditAccountID: s.budget, Amount: n(1), Ledger: s.ledger, Code: 1}
		})...)
		left("0/1 0/3", "0/1 0/2", "0/1 0/3")
		b.must(hold()...)
	}},
	{"ids of an undone chain can be used again, except the one that failed for a transient reason", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		first, second := b.move(other, limited, 1, linked), b.move(limited, other, 2, 0)
		b.transferStatuses([]tb.Transfer{first, second}, tb.TransferLinkedEventFailed, tb.TransferExceedsCredits)
		first.Flags = 0
		b.transferStatuses([]tb.Transfer{first, second}, tb.TransferCreated, tb.TransferIDAlreadyFailed)
	}},
}

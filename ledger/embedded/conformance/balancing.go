package conformance

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

var balancingCases = []testCase{
	{"a balancing debit moves at most what the debit account can give", func(b *book) {
		debit, credit := b.account(accountDebitsLimited), b.account(0)
		b.must(b.move(credit, debit, 10, 0), b.move(debit, credit, 2, pending), b.move(debit, credit, 3, 0))
		t := b.move(debit, credit, 100, balancingDebit)
		b.must(t)
		b.amount(t, 5)
		b.balances(debit, "2/8 0/10")
	}},
	{"a balancing debit that needs less than the limit moves just that", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		b.must(b.move(credit, debit, 10, 0))
		t := b.move(debit, credit, 4, balancingDebit)
		b.must(t)
		b.amount(t, 4)
	}},
	{"a balancing credit moves at most what the credit account can take", func(b *book) {
		debit, credit := b.account(0), b.account(accountCreditsLimited)
		b.must(b.move(credit, debit, 10, 0), b.move(debit, credit, 2, pending), b.move(debit, credit, 3, 0))
		t := b.move(debit, credit, 0, balancingCredit)
		t.Amount = intMax
		b.must(t)
		b.amount(t, 5)
		b.balances(credit, "0/10 2/8")
	}},
	{"with both flags the smaller limit counts", func(b *book) {
		debit, credit, other := b.account(0), b.account(0), b.account(0)
		b.must(b.move(other, debit, 10, 0), b.move(credit, other, 7, 0))
		t := b.move(debit, credit, 100, balancingDebit|balancingCredit)
		b.must(t)
		b.amount(t, 7)
		again := b.move(debit, credit, 100, balancingDebit|balancingCredit)
		b.must(again)
		b.amount(again, 0)
	}},
	{"if nothing can move, a transfer of zero is created", func(b *book) {
		debit, credit := b.account(accountDebitsLimited), b.account(0)
		t := b.move(debit, credit, 100, balancingDebit)
		b.must(t)
		b.amount(t, 0)
	}},
	{"an account that is overdrawn gives nothing", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		b.must(b.move(debit, credit, 10, 0))
		t := b.move(debit, credit, 100, balancingDebit)
		b.must(t)
		b.amount(t, 0)
	}},
	{"a balancing transfer can be pending", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		b.must(b.move(credit, debit, 10, 0))
		p := b.move(debit, credit, 100, balancingDebit|pending)
		b.must(p)
		b.balances(debit, "10/0 0/10")
		b.must(b.finish(p, intMax, post))
		b.balances(debit, "0/10 0/10")
	}},
	{"the other account's limit still holds", func(b *book) {
		debit, credit := b.account(0), b.account(accountCreditsLimited)
		b.must(b.move(b.account(0), debit, 10, 0))
		b.status(b.move(debit, credit, 100, balancingDebit), tb.TransferExceedsDebits)
	}},
	{"a repeated balancing transfer exists for any amount that could have been meant", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		b.must(b.move(credit, debit, 10, 0))
		t := b.move(debit, credit, 100, balancingDebit)
		b.must(t)
		for _, amount := range []uint64{10, 11, 100, 1 << 40} {
			t.Amount = n(amount)
			b.status(t, tb.TransferExists)
		}
		t.Amount = n(9)
		b.status(t, tb.TransferExistsWithDifferentAmount)
	}},
}

// amount checks what a transfer moved.
func (b *book) amount(t tb.Transfer, want uint64) {
	b.Helper()
	if got := b.transfer(t.ID).Amount; got != n(want) {
		b.Fatalf("amount %s, want %d", decimal(got), want)
	}
}

var closingCases = []testCase{
	{"a closing transfer closes its account for everything but voiding", func(b *book) {
		account, other := b.account(0), b.account(0)
		before := b.move(account, other, 5, pending)
		closing := b.move(account, other, 0, pending|closingDebit)
		b.must(before, closing)
		if b.lookup(account).Flags&accountClosed == 0 || b.lookup(other).Flags&accountClosed != 0 {
			b.Fatal("the wrong account is closed")
		}
		b.status(b.move(account, other, 1, 0), tb.TransferDebitAccountAlreadyClosed)
		b.status(b.move(other, account, 1, 0), tb.TransferCreditAccountAlreadyClosed)
		b.status(b.finish(before, intMax, post), tb.TransferDebitAccountAlreadyClosed)
		b.must(b.finish(before, n(0), void))
		b.balances(account, "0/0 0/0")
	}},
	{"voiding the closing transfer opens the account", func(b *book) {
		account, other := b.account(0), b.account(0)
		closing := b.move(account, other, 3, pending|closingDebit)
		b.must(closing, b.finish(closing, n(0), void), b.move(account, other, 1, 0))
		b.balances(account, "0/1 0/0")
	}},
	{"a closing transfer cannot be posted: its account is closed", func(b *book) {
		closing := b.move(b.account(0), b.account(0), 3, pending|closingCredit)
		b.must(closing)
		b.status(b.finish(closing, intMax, post), tb.TransferCreditAccountAlreadyClosed)
	}},
	{"a transfer can close both accounts", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		closing := b.move(debit, credit, 0, pending|closingDebit|closingCredit)
		b.must(closing)
		b.status(b.move(debit, credit, 1, 0), tb.TransferDebitAccountAlreadyClosed)
		b.status(b.move(b.account(0), credit, 1, 0), tb.TransferCreditAccountAlreadyClosed)
		b.must(b.finish(closing, n(0), void), b.move(debit, credit, 1, 0))
	}},
	{"an account is closed once", func(b *book) {
		account, other := b.account(0), b.account(0)
		b.must(b.move(account, other, 0, pending|closingDebit))
		b.status(b.move(account, other, 0, pending|closingDebit), tb.TransferDebitAccountAlreadyClosed)
	}},
	{"a closed account exists with different flags", func(b *book) {
		a := b.newAccount(0)
		b.accountStatuses([]tb.Account{a}, tb.AccountCreated)
		b.must(b.move(a.ID, b.account(0), 0, pending|closingDebit))
		b.accountStatuses([]tb.Account{a}, tb.AccountExistsWithDifferentFlags)
		a.Flags |= accountClosed
		b.accountStatuses([]tb.Account{a}, tb.AccountExists)
	}},
	{"a chain that is undone leaves the account open", func(b *book) {
		account, other := b.account(0), b.account(0)
		b.transferStatuses([]tb.Transfer{b.move(account, other, 0, pending|closingDebit|linked), b.move(account, other, 1, 0)},
			tb.TransferLinkedEventFailed, tb.TransferDebitAccountAlreadyClosed)
		b.must(b.move(account, other, 1, 0))
	}},
}

var burntCases = []testCase{
	{"an id that failed for a transient reason fails for ever", func(b *book) {
		limitedDebit, limitedCredit, other := b.account(accountDebitsLimited), b.account(accountCreditsLimited), b.account(0)
		closed := b.account(accountClosed)
		cases := []struct {
			t    tb.Transfer
			want tb.CreateTransferStatus
		}{
			{b.move(tb.ID(), other, 1, 0), tb.TransferDebitAccountNotFound},
			{b.move(other, tb.ID(), 1, 0), tb.TransferCreditAccountNotFound},
			{b.finish(tb.Transfer{ID: tb.ID()}, n(1), post), tb.TransferPendingTransferNotFound},
			{b.move(limitedDebit, other, 1, 0), tb.TransferExceedsCredits},
			{b.move(other, limitedCredit, 1, 0), tb.TransferExceedsDebits},
			{b.move(closed, other, 1, 0), tb.TransferDebitAccountAlreadyClosed},
			{b.move(other, closed, 1, 0), tb.TransferCreditAccountAlreadyClosed},
		}
		valid := b.account(0)
		for _, c := range cases {
			b.status(c.t, c.want)
			b.status(c.t, tb.TransferIDAlreadyFailed)
			// Even for a transfer that would succeed.
			now := b.move(valid, other, 1, 0)
			now.ID = c.t.ID
			b.status(now, tb.TransferIDAlreadyFailed)
			b.absent(c.t.ID)
		}
	}},
	{"a burnt id is found before the transfer's own fields are checked", func(b *book) {
		t := b.move(tb.ID(), b.account(0), 1, 0)
		b.status(t, tb.TransferDebitAccountNotFound)
		climbTransfers(b, tb.Transfer{ID: t.ID, Flags: transferFlagReserved, Timestamp: 1}, []transferStair{
			{tb.TransferTimestampMustBeZero, func(t *tb.Transfer) { t.Timestamp = 0 }},
			{tb.TransferReservedFlag, func(t *tb.Transfer) { t.Flags = post | void }},
			{tb.TransferIDAlreadyFailed, nil},
		})
	}},
	{"a burnt id is not a pending transfer", func(b *book) {
		t := b.move(tb.ID(), b.account(0), 1, pending)
		b.status(t, tb.TransferDebitAccountNotFound)
		b.status(b.finish(t, n(1), post), tb.TransferPendingTransferNotFound)
	}},
	{"an id that failed for a lasting reason is not burnt", func(b *book) {
		t := b.move(b.account(0), b.account(0), 1, 0)
		t.Code = 0
		b.status(t, tb.TransferCodeMustNotBeZero)
		t.Code = 1
		b.must(t)
	}},
	{"within a request, too", func(b *book) {
		debit, credit := b.account(accountDebitsLimited), b.account(0)
		t := b.move(debit, credit, 1, 0)
		b.transferStatuses([]tb.Transfer{t, b.move(credit, debit, 1, 0), t},
			tb.TransferExceedsCredits, tb.TransferCreated, tb.TransferIDAlreadyFailed)
	}},
	{"a chain with a burnt id fails", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		t := b.move(tb.ID(), credit, 1, 0)
		b.status(t, tb.TransferDebitAccountNotFound)
		b.transferStatuses([]tb.Transfer{b.move(debit, credit, 1, linked), t},
			tb.TransferLinkedEventFailed, tb.TransferIDAlreadyFailed)
	}},
}

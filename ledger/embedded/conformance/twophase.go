package conformance

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

var twoPhaseCases = []testCase{
	{"a post or void is checked in the order of precedence", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p, single := b.move(debit, credit, 10, pending), b.move(debit, credit, 1, 0)
		b.must(p, single)
		id := tb.ID()
		climbTransfers(b, tb.Transfer{
			ID: id, Flags: post | void, Timeout: 1, DebitAccountID: credit, CreditAccountID: debit,
			Ledger: b.ledger + 1, Code: 2, Amount: n(11),
		}, []transferStair{
			{tb.TransferFlagsAreMutuallyExclusive, func(t *tb.Transfer) { t.Flags = post }},
			{tb.TransferPendingIDMustNotBeZero, func(t *tb.Transfer) { t.PendingID = intMax }},
			{tb.TransferPendingIDMustNotBeIntMax, func(t *tb.Transfer) { t.PendingID = id }},
			{tb.TransferPendingIDMustBeDifferent, func(t *tb.Transfer) { t.PendingID = tb.ID() }},
			{tb.TransferTimeoutReservedForPendingTransfer, func(t *tb.Transfer) { t.Timeout = 0 }},
			{tb.TransferPendingTransferNotFound, func(t *tb.Transfer) { t.ID = tb.ID(); t.PendingID = single.ID }},
			{tb.TransferPendingTransferNotPending, func(t *tb.Transfer) { t.PendingID = p.ID }},
			{tb.TransferPendingTransferHasDifferentDebitAccountID, func(t *tb.Transfer) { t.DebitAccountID = debit }},
			{tb.TransferPendingTransferHasDifferentCreditAccountID, func(t *tb.Transfer) { t.CreditAccountID = credit }},
			{tb.TransferPendingTransferHasDifferentLedger, func(t *tb.Transfer) { t.Ledger = b.ledger }},
			{tb.TransferPendingTransferHasDifferentCode, func(t *tb.Transfer) { t.Code = 1 }},
			{tb.TransferExceedsPendingTransferAmount, func(t *tb.Transfer) { t.Flags = void; t.Amount = n(9) }},
			{tb.TransferPendingTransferHasDifferentAmount, func(t *tb.Transfer) { t.Amount = n(10) }},
			{tb.TransferCreated, nil},
		})
	}},
	{"no other flag goes with post or void", func(b *book) {
		p := b.move(b.account(0), b.account(0), 1, pending)
		b.must(p)
		for _, finish := range []uint16{post, void} {
			for _, flag := range []uint16{pending, balancingDebit, balancingCredit, closingDebit, closingCredit} {
				b.status(b.finish(p, n(1), finish|flag), tb.TransferFlagsAreMutuallyExclusive)
			}
		}
	}},
	{"posting AMOUNT_MAX posts all", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 10, pending)
		b.must(p)
		b.balances(debit, "10/0 0/0")
		b.balances(credit, "0/0 10/0")
		f := b.finish(p, intMax, post)
		b.must(f)
		b.balances(debit, "0/10 0/0")
		b.balances(credit, "0/0 0/10")
		if got := b.transfer(f.ID).Amount; got != n(10) {
			b.Fatalf("amount %s", got)
		}
	}},
	{"posting less releases the rest", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 10, pending)
		b.must(p, b.finish(p, n(3), post))
		b.balances(debit, "0/3 0/0")
	}},
	{"posting zero posts nothing and releases all", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 10, pending)
		b.must(p, b.finish(p, n(0), post))
		b.balances(debit, "0/0 0/0")
		b.status(b.finish(p, n(0), post), tb.TransferPendingTransferAlreadyPosted)
	}},
	{"voiding zero voids all, and so does voiding the exact amount", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		first, second := b.move(debit, credit, 10, pending), b.move(debit, credit, 5, pending)
		b.must(first, second)
		f := b.finish(first, n(0), void)
		b.must(f, b.finish(second, n(5), void))
		b.balances(debit, "0/0 0/0")
		if got := b.transfer(f.ID).Amount; got != n(10) {
			b.Fatalf("amount %s", got)
		}
	}},
	{"voiding AMOUNT_MAX is more than is pending", func(b *book) {
		p := b.move(b.account(0), b.account(0), 10, pending)
		b.must(p)
		b.status(b.finish(p, intMax, void), tb.TransferExceedsPendingTransferAmount)
	}},
	{"a pending transfer resolves at most once", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		posted, voided := b.move(debit, credit, 1, pending), b.move(debit, credit, 1, pending)
		b.must(posted, voided, b.finish(posted, intMax, post), b.finish(voided, n(0), void))
		for _, flags := range []uint16{post, void} {
			b.status(b.finish(posted, n(1), flags), tb.TransferPendingTransferAlreadyPosted)
			b.status(b.finish(voided, n(1), flags), tb.TransferPendingTransferAlreadyVoided)
		}
	}},
	{"a post takes from the pending transfer what it leaves out", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 10, pending)
		p.UserData128, p.UserData64, p.UserData32, p.Code = n(1), 2, 3, 4
		b.must(p)
		f := b.finish(p, intMax, post)
		f.UserData64 = 20
		result := b.must(f)
		want := tb.Transfer{
			ID: f.ID, DebitAccountID: debit, CreditAccountID: credit, Amount: n(10), PendingID: p.ID,
			UserData128: n(1), UserData64: 20, UserData32: 3, Ledger: b.ledger, Code: 4, Flags: post,
			Timestamp: result[0].Timestamp,
		}
		if got := b.transfer(f.ID); got != want {
			b.Fatalf("\n got %+v\nwant %+v", got, want)
		}
	}},
	{"a post that exists is compared with what it took", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 10, pending)
		p.UserData128, p.UserData64, p.UserData32 = n(1), 2, 3
		other := b.move(debit, credit, 10, pending)
		b.must(p, other)
		f := b.finish(p, intMax, post)
		b.must(f)
		climbTransfers(b, tb.Transfer{
			ID: f.ID, Flags: void, PendingID: other.ID, Timeout: 1, DebitAccountID: credit, CreditAccountID: debit,
			UserData128: n(9), UserData64: 9, UserData32: 9, Ledger: 9, Code: 9, Amount: n(9),
		}, []transferStair{
			{tb.TransferExistsWithDifferentFlags, func(t *tb.Transfer) { t.Flags = post }},
			{tb.TransferExistsWithDifferentPendingID, func(t *tb.Transfer) { t.PendingID = p.ID }},
			{tb.TransferExistsWithDifferentTimeout, func(t *tb.Transfer) { t.Timeout = 0 }},
			{tb.TransferExistsWithDifferentDebitAccountID, func(t *tb.Transfer) { t.DebitAccountID = n(0) }},
			{tb.TransferExistsWithDifferentCreditAccountID, func(t *tb.Transfer) { t.CreditAccountID = n(0) }},
			{tb.TransferExistsWithDifferentAmount, func(t *tb.Transfer) { t.Amount = n(10) }},
			{tb.TransferExistsWithDifferentUserData128, func(t *tb.Transfer) { t.UserData128 = n(0) }},
			{tb.TransferExistsWithDifferentUserData64, func(t *tb.Transfer) { t.UserData64 = 0 }},
			{tb.TransferExistsWithDifferentUserData32, func(t *tb.Transfer) { t.UserData32 = 0 }},
			{tb.TransferExistsWithDifferentLedger, func(t *tb.Transfer) { t.Ledger = 0 }},
			{tb.TransferExistsWithDifferentCode, func(t *tb.Transfer) { t.Code = 0 }},
			{tb.TransferExists, func(t *tb.Transfer) { t.Amount = intMax }},
			{tb.TransferExists, nil},
		})
	}},
	{"a void that exists is compared with what it took", func(b *book) {
		p := b.move(b.account(0), b.account(0), 10, pending)
		f := b.finish(p, n(0), void)
		b.must(p, f)
		climbTransfers(b, b.finish(p, n(9), void), []transferStair{
			{tb.TransferPendingTransferHasDifferentAmount, func(t *tb.Transfer) { t.ID = f.ID }},
			{tb.TransferExistsWithDifferentAmount, func(t *tb.Transfer) { t.Amount = n(10) }},
			{tb.TransferExists, func(t *tb.Transfer) { t.Amount = n(0) }},
			{tb.TransferExists, nil},
		})
	}},
	{"a limit counts what is pending, and a void gives it back", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		p := b.move(limited, other, 10, pending)
		b.must(b.move(other, limited, 10, 0), p)
		b.status(b.move(limited, other, 1, 0), tb.TransferExceedsCredits)
		b.must(b.finish(p, n(0), void), b.move(limited, other, 10, 0))
	}},
	{"posting does not check the limits again", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		p := b.move(limited, other, 10, pending)
		b.must(b.move(other, limited, 10, 0), p, b.finish(p, intMax, post))
		b.balances(limited, "0/10 0/10")
	}},
}

var expiryCases = []testCase{
	{"a pending transfer expires and gives its amount back", func(b *book) {
		limited, other := b.account(accountDebitsLimited), b.account(0)
		p := b.move(limited, other, 10, pending)
		p.Timeout = 1
		b.must(b.move(other, limited, 10, 0), p)
		b.balances(limited, "10/0 0/10")
		b.eventually("the hold expires", func() bool { return b.lookup(limited).DebitsPending == n(0) })
		b.balances(limited, "0/0 0/10")
		for _, flags := range []uint16{post, void} {
			b.status(b.finish(p, n(10), flags), tb.TransferPendingTransferExpired)
		}
		b.must(b.move(limited, other, 10, 0))
		b.status(p, tb.TransferExists)
	}},
	{"a post that names expired after the deadline does not burn its id", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 1, pending)
		p.Timeout = 1
		b.must(p)
		f := b.finish(p, n(1), post)
		b.eventually("the hold expires", func() bool { return b.lookup(debit).DebitsPending == n(0) })
		b.status(f, tb.TransferPendingTransferExpired)
		b.status(f, tb.TransferPendingTransferExpired)
	}},
	{"what was posted or voided in time does not expire", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		posted, voided, last := b.move(debit, credit, 1, pending), b.move(debit, credit, 2, pending), b.move(debit, credit, 4, pending)
		posted.Timeout, voided.Timeout, last.Timeout = 1, 1, 1
		b.must(posted, voided, last, b.finish(posted, intMax, post), b.finish(voided, n(0), void))
		b.balances(debit, "4/1 0/0")
		b.eventually("the last hold expires", func() bool { return b.lookup(debit).DebitsPending == n(0) })
		b.balances(debit, "0/1 0/0")
		b.status(b.finish(posted, n(0), void), tb.TransferPendingTransferAlreadyPosted)
	}},
	{"holds expire in the order of their deadlines, then of their creation", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		late, early, tie := b.move(debit, credit, 1, pending), b.move(debit, credit, 2, pending), b.move(debit, credit, 4, pending)
		late.Timeout, early.Timeout, tie.Timeout = 2, 1, 1
		start := b.must(late, early, tie)[0].Timestamp
		var expiries []tb.Uint128
		b.eventually("all holds expire", func() bool {
			expiries = nil
			for _, e := range b.changeEvents(start) {
				if e.Type == tb.ChangeEventTwoPhaseExpired {
					expiries = append(expiries, e.TransferID)
				}
			}
			return len(expiries) == 3
		})
		if expiries[0] != early.ID || expiries[1] != tie.ID || expiries[2] != late.ID {
			b.Fatalf("order %v", expiries)
		}
	}},
	{"no hold expires before its deadline", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 1, pending)
		p.Timeout = 1
		start := b.must(p)[0].Timestamp
		b.eventually("the hold expires", func() bool { return b.lookup(debit).DebitsPending == n(0) })
		events := b.changeEvents(start)
		if expired := events[len(events)-1]; expired.Timestamp < start+1_000_000_000 {
			b.Fatalf("expired %d ns after its creation", expired.Timestamp-start)
		}
	}},
	{"an expired closing transfer opens the account", func(b *book) {
		debit, credit := b.account(0), b.account(0)
		p := b.move(debit, credit, 0, pending|closingDebit)
		p.Timeout = 1
		b.must(p)
		b.status(b.move(debit, credit, 1, 0), tb.TransferDebitAccountAlreadyClosed)
		b.eventually("the account opens", func() bool { return b.lookup(debit).Flags&accountClosed == 0 })
		b.must(b.move(debit, credit, 1, 0))
	}},
}

package model

import (
	"math/big"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

func (l *Ledger) createAccount(timestamp uint64, a tb.Account) tb.CreateAccountStatus {
	none := tb.Uint128{}
	if a.Reserved != 0 {
		return tb.AccountReservedField
	}
	if a.Flags >= 1<<6 {
		return tb.AccountReservedFlag
	}
	if a.ID == none {
		return tb.AccountIDMustNotBeZero
	}
	if a.ID == intMax {
		return tb.AccountIDMustNotBeIntMax
	}
	if e, ok := l.state.accounts[a.ID]; ok {
		switch {
		case a.Flags != e.Flags:
			return tb.AccountExistsWithDifferentFlags
		case a.UserData128 != e.UserData128:
			return tb.AccountExistsWithDifferentUserData128
		case a.UserData64 != e.UserData64:
			return tb.AccountExistsWithDifferentUserData64
		case a.UserData32 != e.UserData32:
			return tb.AccountExistsWithDifferentUserData32
		case a.Ledger != e.Ledger:
			return tb.AccountExistsWithDifferentLedger
		case a.Code != e.Code:
			return tb.AccountExistsWithDifferentCode
		}
		return tb.AccountExists
	}
	flags := a.AccountFlags()
	if flags.DebitsMustNotExceedCredits && flags.CreditsMustNotExceedDebits {
		return tb.AccountFlagsAreMutuallyExclusive
	}
	if a.DebitsPending != none {
		return tb.AccountDebitsPendingMustBeZero
	}
	if a.DebitsPosted != none {
		return tb.AccountDebitsPostedMustBeZero
	}
	if a.CreditsPending != none {
		return tb.AccountCreditsPendingMustBeZero
	}
	if a.CreditsPosted != none {
		return tb.AccountCreditsPostedMustBeZero
	}
	if a.Ledger == 0 {
		return tb.AccountLedgerMustNotBeZero
	}
	if a.Code == 0 {
		return tb.AccountCodeMustNotBeZero
	}
	if flags.Imported {
		for _, other := range l.state.accounts {
			if a.Timestamp <= other.Timestamp {
				return tb.AccountImportedEventTimestampMustNotRegress
			}
		}
		for _, other := range l.state.transfers {
			if a.Timestamp == other.Timestamp {
				return tb.AccountImportedEventTimestampMustNotRegress
			}
		}
		timestamp = a.Timestamp
	}
	a.Timestamp = timestamp
	l.state.accounts[a.ID] = a
	l.state.accountOrder = append(l.state.accountOrder, a.ID)
	return tb.AccountCreated
}

func (l *Ledger) createTransfer(timestamp uint64, t tb.Transfer) tb.CreateTransferStatus {
	if t.Flags >= 1<<9 {
		return tb.TransferReservedFlag
	}
	if t.ID == (tb.Uint128{}) {
		return tb.TransferIDMustNotBeZero
	}
	if t.ID == intMax {
		return tb.TransferIDMustNotBeIntMax
	}
	if e, ok := l.state.transfers[t.ID]; ok {
		return l.exists(t, e)
	}
	if l.state.failed[t.ID] {
		return tb.TransferIDAlreadyFailed
	}
	flags := t.TransferFlags()
	if flags.PostPendingTransfer || flags.VoidPendingTransfer {
		return l.finish(timestamp, t, flags)
	}
	return l.transfer(timestamp, t, flags)
}

func (l *Ledger) transfer(timestamp uint64, t tb.Transfer, flags tb.TransferFlags) tb.CreateTransferStatus {
	none := tb.Uint128{}
	if t.DebitAccountID == none {
		return tb.TransferDebitAccountIDMustNotBeZero
	}
	if t.DebitAccountID == intMax {
		return tb.TransferDebitAccountIDMustNotBeIntMax
	}
	if t.CreditAccountID == none {
		return tb.TransferCreditAccountIDMustNotBeZero
	}
	if t.CreditAccountID == intMax {
		return tb.TransferCreditAccountIDMustNotBeIntMax
	}
	if t.DebitAccountID == t.CreditAccountID {
		return tb.TransferAccountsMustBeDifferent
	}
	if t.PendingID != none {
		return tb.TransferPendingIDMustBeZero
	}
	if !flags.Pending && t.Timeout != 0 {
		return tb.TransferTimeoutReservedForPendingTransfer
	}
	if !flags.Pending && (flags.ClosingDebit || flags.ClosingCredit) {
		return tb.TransferClosingTransferMustBePending
	}
	if t.Ledger == 0 {
		return tb.TransferLedgerMustNotBeZero
	}
	if t.Code == 0 {
		return tb.TransferCodeMustNotBeZero
	}
	debit, ok := l.state.accounts[t.DebitAccountID]
	if !ok {
		return tb.TransferDebitAccountNotFound
	}
	credit, ok := l.state.accounts[t.CreditAccountID]
	if !ok {
		return tb.TransferCreditAccountNotFound
	}
	if debit.Ledger != credit.Ledger {
		return tb.TransferAccountsMustHaveTheSameLedger
	}
	if t.Ledger != debit.Ledger {
		return tb.TransferTransferMustHaveTheSameLedgerAsAccounts
	}
	if flags.Imported {
		if l.regresses(t.Timestamp) {
			return tb.TransferImportedEventTimestampMustNotRegress
		}
		if t.Timestamp <= debit.Timestamp {
			return tb.TransferImportedEventTimestampMustPostdateDebitAccount
		}
		if t.Timestamp <= credit.Timestamp {
			return tb.TransferImportedEventTimestampMustPostdateCreditAccount
		}
		if t.Timeout != 0 {
			return tb.TransferImportedEventTimeoutMustBeZero
		}
		timestamp = t.Timestamp
	}
	if debit.AccountFlags().Closed {
		return tb.TransferDebitAccountAlreadyClosed
	}
	if credit.AccountFlags().Closed {
		return tb.TransferCreditAccountAlreadyClosed
	}

	amount := number(t.Amount)
	if flags.BalancingDebit {
		amount = smaller(amount, new(big.Int).Sub(number(debit.CreditsPosted), sum(debit.DebitsPosted, debit.DebitsPending)))
	}
	if flags.BalancingCredit {
		amount = smaller(amount, new(big.Int).Sub(number(credit.DebitsPosted), sum(credit.CreditsPosted, credit.CreditsPending)))
	}
	if amount.Sign() < 0 {
		amount = new(big.Int)
	}
	t.Amount = wire(amount)

	if flags.Pending && tooBig(sum(t.Amount, debit.DebitsPending)) {
		return tb.TransferOverflowsDebitsPending
	}
	if flags.Pending && tooBig(sum(t.Amount, credit.CreditsPending)) {
		return tb.TransferOverflowsCreditsPending
	}
	if tooBig(sum(t.Amount, debit.DebitsPosted)) {
		return tb.TransferOverflowsDebitsPosted
	}
	if tooBig(sum(t.Amount, credit.CreditsPosted)) {
		return tb.TransferOverflowsCreditsPosted
	}
	if tooBig(sum(t.Amount, debit.DebitsPending, debit.DebitsPosted)) {
		return tb.TransferOverflowsDebits
	}
	if tooBig(sum(t.Amount, credit.CreditsPending, credit.CreditsPosted)) {
		return tb.TransferOverflowsCredits
	}
	if timestamp+uint64(t.Timeout)*1_000_000_000 > timestampMax {
		return tb.TransferOverflowsTimeout
	}
	if debit.AccountFlags().DebitsMustNotExceedCredits &&
		sum(t.Amount, debit.DebitsPending, debit.DebitsPosted).Cmp(number(debit.CreditsPosted)) > 0 {
		return tb.TransferExceedsCredits
	}
	if credit.AccountFlags().CreditsMustNotExceedDebits &&
		sum(t.Amount, credit.CreditsPending, credit.CreditsPosted).Cmp(number(credit.DebitsPosted)) > 0 {
		return tb.TransferExceedsDebits
	}

	t.Timestamp = timestamp
	kind := tb.ChangeEventSinglePhase
	if flags.Pending {
		kind = tb.ChangeEventTwoPhasePending
		l.state.status[t.ID] = pending
		debit.DebitsPending = plus(debit.DebitsPending, t.Amount)
		credit.CreditsPending = plus(credit.CreditsPending, t.Amount)
	} else {
		debit.DebitsPosted = plus(debit.DebitsPosted, t.Amount)
		credit.CreditsPosted = plus(credit.CreditsPosted, t.Amount)
	}
	if flags.ClosingDebit {
		debit.Flags |= 1 << 5
	}
	if flags.ClosingCredit {
		credit.Flags |= 1 << 5
	}
	l.state.accounts[debit.ID] = debit
	l.state.accounts[credit.ID] = credit
	l.add(t, kind)
	return tb.TransferCreated
}

// finish posts or voids.
func (l *Ledger) finish(timestamp uint64, t tb.Transfer, flags tb.TransferFlags) tb.CreateTransferStatus {
	none := tb.Uint128{}
	if flags.PostPendingTransfer && flags.VoidPendingTransfer ||
		flags.Pending || flags.BalancingDebit || flags.BalancingCredit || flags.ClosingDebit || flags.ClosingCredit {
		return tb.TransferFlagsAreMutuallyExclusive
	}
	if t.PendingID == none {
		return tb.TransferPendingIDMustNotBeZero
	}
	if t.PendingID == intMax {
		return tb.TransferPendingIDMustNotBeIntMax
	}
	if t.PendingID == t.ID {
		return tb.TransferPendingIDMustBeDifferent
	}
	if t.Timeout != 0 {
		return tb.TransferTimeoutReservedForPendingTransfer
	}
	p, ok := l.state.transfers[t.PendingID]
	if !ok {
		return tb.TransferPendingTransferNotFound
	}
	if !p.TransferFlags().Pending {
		return tb.TransferPendingTransferNotPending
	}
	if t.DebitAccountID != none && t.DebitAccountID != p.DebitAccountID {
		return tb.TransferPendingTransferHasDifferentDebitAccountID
	}
	if t.CreditAccountID != none && t.CreditAccountID != p.CreditAccountID {
		return tb.TransferPendingTransferHasDifferentCreditAccountID
	}
	if t.Ledger != 0 && t.Ledger != p.Ledger {
		return tb.TransferPendingTransferHasDifferentLedger
	}
	if t.Code != 0 && t.Code != p.Code {
		return tb.TransferPendingTransferHasDifferentCode
	}
	t.Amount = finishedAmount(t, p)
	if number(t.Amount).Cmp(number(p.Amount)) > 0 {
		return tb.TransferExceedsPendingTransferAmount
	}
	if flags.VoidPendingTransfer && t.Amount != p.Amount {
		return tb.TransferPendingTransferHasDifferentAmount
	}
	switch l.state.status[p.ID] {
	case posted:
		return tb.TransferPendingTransferAlreadyPosted
	case voided:
		return tb.TransferPendingTransferAlreadyVoided
	case expired:
		return tb.TransferPendingTransferExpired
	case pending:
	}
	if p.Timeout > 0 && expiresAt(p) <= timestamp {
		return tb.TransferPendingTransferExpired
	}
	if flags.Imported {
		if l.regresses(t.Timestamp) {
			return tb.TransferImportedEventTimestampMustNotRegress
		}
		timestamp = t.Timestamp
	}
	if flags.PostPendingTransfer {
		if l.state.accounts[p.DebitAccountID].AccountFlags().Closed {
			return tb.TransferDebitAccountAlreadyClosed
		}
		if l.state.accounts[p.CreditAccountID].AccountFlags().Closed {
			return tb.TransferCreditAccountAlreadyClosed
		}
	}

	t.Timestamp = timestamp
	t.DebitAccountID, t.CreditAccountID, t.Ledger, t.Code = p.DebitAccountID, p.CreditAccountID, p.Ledger, p.Code
	if t.UserData128 == none {
		t.UserData128 = p.UserData128
	}
	if t.UserData64 == 0 {
		t.UserData64 = p.UserData64
	}
	if t.UserData32 == 0 {
		t.UserData32 = p.UserData32
	}
	l.release(p, flags.VoidPendingTransfer)
	kind := tb.ChangeEventTwoPhaseVoided
	l.state.status[p.ID] = voided
	if flags.PostPendingTransfer {
		kind = tb.ChangeEventTwoPhasePosted
		l.state.status[p.ID] = posted
		debit, credit := l.state.accounts[p.DebitAccountID], l.state.accounts[p.CreditAccountID]
		debit.DebitsPosted = plus(debit.DebitsPosted, t.Amount)
		credit.CreditsPosted = plus(credit.CreditsPosted, t.Amount)
		l.state.accounts[debit.ID], l.state.accounts[credit.ID] = debit, credit
	}
	l.add(t, kind)
	return tb.TransferCreated
}

// finishedAmount is what the amount of a post or void means.
func finishedAmount(t, p tb.Transfer) tb.Uint128 {
	void := t.TransferFlags().VoidPendingTransfer
	if void && t.Amount == (tb.Uint128{}) || !void && t.Amount == intMax {
		return p.Amount
	}
	return t.Amount
}

// release takes a pending transfer out of the balances of its accounts, and opens
// those that it closed, unless it was posted.
func (l *Ledger) release(p tb.Transfer, reopen bool) {
	debit, credit := l.state.accounts[p.DebitAccountID], l.state.accounts[p.CreditAccountID]
	debit.DebitsPending = less(debit.DebitsPending, p.Amount)
	credit.CreditsPending = less(credit.CreditsPending, p.Amount)
	if reopen && p.TransferFlags().ClosingDebit {
		debit.Flags &^= 1 << 5
	}
	if reopen && p.TransferFlags().ClosingCredit {
		credit.Flags &^= 1 << 5
	}
	l.state.accounts[debit.ID], l.state.accounts[credit.ID] = debit, credit
}

// regresses reports whether an imported transfer is not later than every other transfer, or
// has the timestamp of an account.
func (l *Ledger) regresses(timestamp uint64) bool {
	for _, other := range l.state.transfers {
		if timestamp <= other.Timestamp {
			return true
		}
	}
	for _, other := range l.state.accounts {
		if timestamp == other.Timestamp {
			return true
		}
	}
	return false
}

func (l *Ledger) exists(t, e tb.Transfer) tb.CreateTransferStatus {
	if t.Flags != e.Flags {
		return tb.TransferExistsWithDifferentFlags
	}
	if t.PendingID != e.PendingID {
		return tb.TransferExistsWithDifferentPendingID
	}
	if t.Timeout != e.Timeout {
		return tb.TransferExistsWithDifferentTimeout
	}
	flags := t.TransferFlags()
	if flags.PostPendingTransfer || flags.VoidPendingTransfer {
		// What a post or void leaves out comes from the pending transfer.
		p := l.state.transfers[t.PendingID]
		t.Amount = finishedAmount(t, p)
		if t.DebitAccountID == (tb.Uint128{}) {
			t.DebitAccountID = p.DebitAccountID
		}
		if t.CreditAccountID == (tb.Uint128{}) {
			t.CreditAccountID = p.CreditAccountID
		}
		if t.UserData128 == (tb.Uint128{}) {
			t.UserData128 = p.UserData128
		}
		if t.UserData64 == 0 {
			t.UserData64 = p.UserData64
		}
		if t.UserData32 == 0 {
			t.UserData32 = p.UserData32
		}
		if t.Ledger == 0 {
			t.Ledger = p.Ledger
		}
		if t.Code == 0 {
			t.Code = p.Code
		}
	}
	if (flags.BalancingDebit || flags.BalancingCredit) && number(t.Amount).Cmp(number(e.Amount)) > 0 {
		t.Amount = e.Amount // an upper limit that was not reached
	}
	switch {
	case t.DebitAccountID != e.DebitAccountID:
		return tb.TransferExistsWithDifferentDebitAccountID
	case t.CreditAccountID != e.CreditAccountID:
		return tb.TransferExistsWithDifferentCreditAccountID
	case t.Amount != e.Amount:
		return tb.TransferExistsWithDifferentAmount
	case t.UserData128 != e.UserData128:
		return tb.TransferExistsWithDifferentUserData128
	case t.UserData64 != e.UserData64:
		return tb.TransferExistsWithDifferentUserData64
	case t.UserData32 != e.UserData32:
		return tb.TransferExistsWithDifferentUserData32
	case t.Ledger != e.Ledger:
		return tb.TransferExistsWithDifferentLedger
	case t.Code != e.Code:
		return tb.TransferExistsWithDifferentCode
	}
	return tb.TransferExists
}

func smaller(a, b *big.Int) *big.Int {
	if b.Cmp(a) < 0 {
		return b
	}
	return a
}

// add puts a transfer into the books, after its effect on the accounts.
func (l *Ledger) add(t tb.Transfer, kind tb.ChangeEventType) {
	l.state.transfers[t.ID] = t
	l.state.transferOrder = append(l.state.transferOrder, t.ID)
	l.record(t, kind, t.Timestamp)
}

// record records what happened, with the balances after it.
func (l *Ledger) record(t tb.Transfer, kind tb.ChangeEventType, timestamp uint64) {
	debit, credit := l.state.accounts[t.DebitAccountID], l.state.accounts[t.CreditAccountID]
	l.state.events = append(l.state.events, tb.ChangeEvent{
		TransferID: t.ID, TransferAmount: t.Amount, TransferPendingID: t.PendingID,
		TransferUserData128: t.UserData128, TransferUserData64: t.UserData64, TransferUserData32: t.UserData32,
		TransferTimeout: t.Timeout, TransferCode: t.Code, TransferFlags: t.Flags,
		Ledger: t.Ledger, Type: kind,
		DebitAccountID:            debit.ID,
		DebitAccountDebitsPending: debit.DebitsPending, DebitAccountDebitsPosted: debit.DebitsPosted,
		DebitAccountCreditsPending: debit.CreditsPending, DebitAccountCreditsPosted: debit.CreditsPosted,
		DebitAccountUserData128: debit.UserData128, DebitAccountUserData64: debit.UserData64, DebitAccountUserData32: debit.UserData32,
		DebitAccountCode: debit.Code, DebitAccountFlags: debit.Flags,
		CreditAccountID:            credit.ID,
		CreditAccountDebitsPending: credit.DebitsPending, CreditAccountDebitsPosted: credit.DebitsPosted,
		CreditAccountCreditsPending: credit.CreditsPending, CreditAccountCreditsPosted: credit.CreditsPosted,
		CreditAccountUserData128: credit.UserData128, CreditAccountUserData64: credit.UserData64, CreditAccountUserData32: credit.UserData32,
		CreditAccountCode: credit.Code, CreditAccountFlags: credit.Flags,
		Timestamp: timestamp, TransferTimestamp: t.Timestamp,
		DebitAccountTimestamp: debit.Timestamp, CreditAccountTimestamp: credit.Timestamp,
	})
}

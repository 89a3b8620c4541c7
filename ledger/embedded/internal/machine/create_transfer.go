package machine

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// createTransfer checks one transfer in the reference's order of precedence and executes
// it. The timestamp of the answer is the transfer's for created and exists, otherwise the
// event's.
func (m *Machine) createTransfer(timestampEvent uint64, t *tb.Transfer) (tb.CreateTransferStatus, uint64) {
	if status := transferStateless(t); status != tb.TransferCreated {
		return status, timestampEvent
	}
	id := load(t.ID)
	if ref, ok := m.transferRefs.find(id); ok {
		if ref&burnt != 0 {
			return tb.TransferIDAlreadyFailed, timestampEvent
		}
		existing := m.transfers.at(ref)
		if status := m.transferExists(t, existing); status != tb.TransferExists {
			return status, timestampEvent
		}
		return tb.TransferExists, existing.timestamp
	}

	var status tb.CreateTransferStatus
	timestamp := timestampEvent
	if t.Flags&transferImported != 0 {
		timestamp = t.Timestamp
	}
	if t.Flags&(transferPost|transferVoid) != 0 {
		status = m.postOrVoid(id, timestampEvent, timestamp, t)
	} else {
		status = m.move(id, timestamp, t)
	}
	if status != tb.TransferCreated {
		return status, timestampEvent
	}
	return status, timestamp
}

// transferStateless checks what comes even before the question whether the transfer
// exists.
func transferStateless(t *tb.Transfer) tb.CreateTransferStatus {
	id := load(t.ID)
	switch {
	case t.Flags&^transferFlagsKnown != 0:
		return tb.TransferReservedFlag
	case id == zero:
		return tb.TransferIDMustNotBeZero
	case id == u128Max:
		return tb.TransferIDMustNotBeIntMax
	}
	return tb.TransferCreated
}

// move executes a transfer that is not about another one: single-phase or
// pending.
func (m *Machine) move(id u128, timestamp uint64, t *tb.Transfer) tb.CreateTransferStatus {
	if status := transferFields(t); status != tb.TransferCreated {
		return status
	}
	debitRow, ok := m.accountRows.find(load(t.DebitAccountID))
	if !ok {
		return tb.TransferDebitAccountNotFound
	}
	creditRow, ok := m.accountRows.find(load(t.CreditAccountID))
	if !ok {
		return tb.TransferCreditAccountNotFound
	}
	amount, status := m.movable(t, m.transfers.length, timestamp, m.accounts.at(debitRow), m.accounts.at(creditRow))
	if status != tb.TransferCreated {
		return status
	}

	row := m.insert(transfer{
		id:          id,
		amount:      amount,
		userData128: load(t.UserData128),
		userData64:  t.UserData64,
		userData32:  t.UserData32,
		timeout:     t.Timeout,
		code:        t.Code,
		flags:       t.Flags,
		timestamp:   timestamp,
		debit:       debitRow,
		credit:      creditRow,
		pending:     noRow,
	})
	m.apply(m.transfers.at(row))
	m.snapshot(row)
	return tb.TransferCreated
}

// movable checks a move, as transfer number row, against the present state of its accounts,
// and returns the amount that moves.
func (m *Machine) movable(t *tb.Transfer, row uint32, timestamp uint64, debit, credit *account) (u128, tb.CreateTransferStatus) {
	switch {
	case debit.ledger != credit.ledger:
		return zero, tb.TransferAccountsMustHaveTheSameLedger
	case t.Ledger != debit.ledger:
		return zero, tb.TransferTransferMustHaveTheSameLedgerAsAccounts
	}
	if t.Flags&transferImported != 0 {
		if status := m.importable(t, row, debit, credit); status != tb.TransferCreated {
			return zero, status
		}
	}
	switch {
	case debit.balances.closed:
		return zero, tb.TransferDebitAccountAlreadyClosed
	case credit.balances.closed:
		return zero, tb.TransferCreditAccountAlreadyClosed
	}
	amount := balanced(t, &debit.balances, &credit.balances)
	return amount, affordable(t, timestamp, amount, debit, credit)
}

// transferFields checks what can be checked without the ledger.
func transferFields(t *tb.Transfer) tb.CreateTransferStatus {
	debitID, creditID := load(t.DebitAccountID), load(t.CreditAccountID)
	pending := t.Flags&transferPending != 0
	switch {
	case debitID == zero:
		return tb.TransferDebitAccountIDMustNotBeZero
	case debitID == u128Max:
		return tb.TransferDebitAccountIDMustNotBeIntMax
	case creditID == zero:
		return tb.TransferCreditAccountIDMustNotBeZero
	case creditID == u128Max:
		return tb.TransferCreditAccountIDMustNotBeIntMax
	case debitID == creditID:
		return tb.TransferAccountsMustBeDifferent
	case load(t.PendingID) != zero:
		return tb.TransferPendingIDMustBeZero
	case !pending && t.Timeout != 0:
		return tb.TransferTimeoutReservedForPendingTransfer
	case !pending && t.Flags&(transferClosingDebit|transferClosingCredit) != 0:
		return tb.TransferClosingTransferMustBePending
	case t.Ledger == 0:
		return tb.TransferLedgerMustNotBeZero
	case t.Code == 0:
		return tb.TransferCodeMustNotBeZero
	}
	return tb.TransferCreated
}

// importable checks the timestamp of an imported transfer against the ledger.
func (m *Machine) importable(t *tb.Transfer, row uint32, debit, credit *account) tb.CreateTransferStatus {
	switch {
	case m.transferRegresses(t.Timestamp, row):
		return tb.TransferImportedEventTimestampMustNotRegress
	case t.Timestamp <= debit.timestamp:
		return tb.TransferImportedEventTimestampMustPostdateDebitAccount
	case t.Timestamp <= credit.timestamp:
		return tb.TransferImportedEventTimestampMustPostdateCreditAccount
	case t.Timeout != 0:
		return tb.TransferImportedEventTimeoutMustBeZero
	}
	return tb.TransferCreated
}

// transferRegresses reports whether an imported transfer, as number row, is not
// after the one before it, or shares its timestamp with an account.
func (m *Machine) transferRegresses(timestamp uint64, row uint32) bool {
	if row > 0 && timestamp <= m.transfers.at(row-1).timestamp {
		return true
	}
	return m.accountAt(timestamp)
}

// balanced is the amount that moves: for a balancing transfer at most what the
// account can take (docs "Transfer", flags.balancing_debit).
func balanced(t *tb.Transfer, debit, credit *balances) u128 {
	amount := load(t.Amount)
	if t.Flags&transferBalancingDebit != 0 {
		used := debit.debitsPosted.plus(debit.debitsPending)
		amount = minimum(amount, debit.creditsPosted.minusSaturating(used))
	}
	if t.Flags&transferBalancingCredit != 0 {
		used := credit.creditsPosted.plus(credit.creditsPending)
		amount = minimum(amount, credit.debitsPosted.minusSaturating(used))
	}
	return amount
}

// affordable checks overflows, then the limits of the accounts.
func affordable(t *tb.Transfer, timestamp uint64, amount u128, debit, credit *account) tb.CreateTransferStatus {
	d, c := &debit.balances, &credit.balances
	pending := t.Flags&transferPending != 0
	debits := d.debitsPending.plus(d.debitsPosted)
	credits := c.creditsPending.plus(c.creditsPosted)
	switch {
	case pending && overflows(amount, d.debitsPending):
		return tb.TransferOverflowsDebitsPending
	case pending && overflows(amount, c.creditsPending):
		return tb.TransferOverflowsCreditsPending
	case overflows(amount, d.debitsPosted):
		return tb.TransferOverflowsDebitsPosted
	case overflows(amount, c.creditsPosted):
		return tb.TransferOverflowsCreditsPosted
	case overflows(amount, debits):
		return tb.TransferOverflowsDebits
	case overflows(amount, credits):
		return tb.TransferOverflowsCredits
	case timestamp+uint64(t.Timeout)*nanosecondsPerSecond > TimestampMax:
		return tb.TransferOverflowsTimeout
	case debit.flagsCreated&accountDebitsMustNotExceedCredits != 0 &&
		d.creditsPosted.less(debits.plus(amount)):
		return tb.TransferExceedsCredits
	case credit.flagsCreated&accountCreditsMustNotExceedDebits != 0 &&
		c.debitsPosted.less(credits.plus(amount)):
		return tb.TransferExceedsDebits
	}
	return tb.TransferCreated
}

func overflows(a, b u128) bool {
	_, overflow := a.add(b)
	return overflow
}

// insert appends a transfer; its effect on the accounts is apply's.
func (m *Machine) insert(t transfer) (row uint32) {
	assert(m.transfers.length < rowsMax, "the ledger is full")
	row = m.transfers.push(t)
	m.transferRefs.put(t.id, row)
	status := statusNone
	if t.flags&transferPending != 0 {
		status = statusPending
	}
	m.pendingStatus.push(status)
	return row
}

// apply is what a transfer does to its two accounts. The checks were made before, so it
// cannot fail. Loading a snapshot uses it too.
func (m *Machine) apply(t *transfer) {
	debit, credit := m.accounts.at(t.debit).balances, m.accounts.at(t.credit).balances
	switch {
	case t.flags&transferPending != 0:
		debit.debitsPending = debit.debitsPending.plus(t.amount)
		credit.creditsPending = credit.creditsPending.plus(t.amount)
		debit.closed = debit.closed || t.flags&transferClosingDebit != 0
		credit.closed = credit.closed || t.flags&transferClosingCredit != 0
	case t.flags&(transferPost|transferVoid) != 0:
		release(&debit, &credit, m.transfers.at(t.pending), t.flags&transferVoid != 0)
		if t.flags&transferPost != 0 {
			debit.debitsPosted = debit.debitsPosted.plus(t.amount)
			credit.creditsPosted = credit.creditsPosted.plus(t.amount)
		}
	default:
		debit.debitsPosted = debit.debitsPosted.plus(t.amount)
		credit.creditsPosted = credit.creditsPosted.plus(t.amount)
	}
	m.setBalances(t.debit, debit)
	m.setBalances(t.credit, credit)
}

// release takes a pending transfer out of the balances. If it was voided or expired,
// release also opens the accounts that it had closed.
func release(debit, credit *balances, pending *transfer, givenUp bool) {
	debit.debitsPending = debit.debitsPending.minus(pending.amount)
	credit.creditsPending = credit.creditsPending.minus(pending.amount)
	if !givenUp {
		return
	}
	if pending.flags&transferClosingDebit != 0 {
		debit.closed = false
	}
	if pending.flags&transferClosingCredit != 0 {
		credit.closed = false
	}
}

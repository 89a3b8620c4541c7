package machine

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// postOrVoid ends a pending transfer (state_machine.zig:
// post_or_void_pending_transfer). timestamp is the imported one or the event's.
func (m *Machine) postOrVoid(id u128, timestampEvent, timestamp uint64, t *tb.Transfer) tb.CreateTransferStatus {
	if status := postOrVoidFields(id, t); status != tb.TransferCreated {
		return status
	}
	pendingRow, ok := m.transferRow(load(t.PendingID))
	if !ok {
		return tb.TransferPendingTransferNotFound
	}
	p := m.transfers.at(pendingRow)
	amount, status := m.resolves(t, m.transfers.length, timestampEvent, pendingRow)
	if status != tb.TransferCreated {
		return status
	}
	row := m.insert(transfer{
		id:          id,
		amount:      amount,
		userData128: orElse(load(t.UserData128), p.userData128),
		userData64:  orElse(t.UserData64, p.userData64),
		userData32:  orElse(t.UserData32, p.userData32),
		code:        p.code,
		flags:       t.Flags,
		timestamp:   timestamp,
		debit:       p.debit,
		credit:      p.credit,
		pending:     pendingRow,
	})
	m.resolve(pendingRow, resolution(t.Flags))
	m.apply(m.transfers.at(row))
	m.snapshot(row)
	return tb.TransferCreated
}

// resolves checks a post or void, as transfer number row, against the present state of its
// pending transfer, and returns the amount posted or voided.
func (m *Machine) resolves(t *tb.Transfer, row uint32, timestampEvent uint64, pendingRow uint32) (u128, tb.CreateTransferStatus) {
	p := m.transfers.at(pendingRow)
	if p.flags&transferPending == 0 {
		return zero, tb.TransferPendingTransferNotPending
	}
	debit, credit := m.accounts.at(p.debit), m.accounts.at(p.credit)
	if status := matchesPending(t, p, debit, credit); status != tb.TransferCreated {
		return zero, status
	}
	amount, status := resolvedAmount(t, p)
	if status != tb.TransferCreated {
		return zero, status
	}
	if status := m.resolvable(pendingRow, timestampEvent); status != tb.TransferCreated {
		return zero, status
	}
	if t.Flags&transferImported != 0 && m.transferRegresses(t.Timestamp, row) {
		return zero, tb.TransferImportedEventTimestampMustNotRegress
	}
	// The only movement that a closed account allows is voiding.
	void := t.Flags&transferVoid != 0
	switch {
	case debit.balances.closed && !void:
		return zero, tb.TransferDebitAccountAlreadyClosed
	case credit.balances.closed && !void:
		return zero, tb.TransferCreditAccountAlreadyClosed
	}
	return amount, tb.TransferCreated
}

func resolution(flags uint16) pendingStatus {
	if flags&transferVoid != 0 {
		return statusVoided
	}
	return statusPosted
}

// inherits reports whether a post or void has either its own user data or that of its
// pending transfer.
func inherits(t, p *transfer) bool {
	return t.userData128 == orElse(t.userData128, p.userData128) &&
		t.userData64 == orElse(t.userData64, p.userData64) &&
		t.userData32 == orElse(t.userData32, p.userData32)
}

func orElse[T comparable](value, otherwise T) T {
	var none T
	if value == none {
		return otherwise
	}
	return value
}

func postOrVoidFields(id u128, t *tb.Transfer) tb.CreateTransferStatus {
	const both = transferPost | transferVoid
	const excluded = transferPending | transferBalancingDebit | transferBalancingCredit |
		transferClosingDebit | transferClosingCredit
	pendingID := load(t.PendingID)
	switch {
	case t.Flags&both == both, t.Flags&excluded != 0:
		return tb.TransferFlagsAreMutuallyExclusive
	case pendingID == zero:
		return tb.TransferPendingIDMustNotBeZero
	case pendingID == u128Max:
		return tb.TransferPendingIDMustNotBeIntMax
	case pendingID == id:
		return tb.TransferPendingIDMustBeDifferent
	case t.Timeout != 0:
		return tb.TransferTimeoutReservedForPendingTransfer
	}
	return tb.TransferCreated
}

// matchesPending compares what the request says about the pending transfer; a
// zero field says nothing.
func matchesPending(t *tb.Transfer, p *transfer, debit, credit *account) tb.CreateTransferStatus {
	debitID, creditID := load(t.DebitAccountID), load(t.CreditAccountID)
	switch {
	case debitID != zero && debitID != debit.id:
		return tb.TransferPendingTransferHasDifferentDebitAccountID
	case creditID != zero && creditID != credit.id:
		return tb.TransferPendingTransferHasDifferentCreditAccountID
	case t.Ledger != 0 && t.Ledger != debit.ledger:
		return tb.TransferPendingTransferHasDifferentLedger
	case t.Code != 0 && t.Code != p.code:
		return tb.TransferPendingTransferHasDifferentCode
	}
	return tb.TransferCreated
}

// resolvedAmount is the amount posted or voided. Posting AMOUNT_MAX posts all,
// posting zero posts nothing and releases the rest; voiding zero voids all.
func resolvedAmount(t *tb.Transfer, p *transfer) (u128, tb.CreateTransferStatus) {
	void := t.Flags&transferVoid != 0
	amount := load(t.Amount)
	if void && amount == zero || !void && amount == u128Max {
		amount = p.amount
	}
	switch {
	case p.amount.less(amount):
		return zero, tb.TransferExceedsPendingTransferAmount
	case void && amount.less(p.amount):
		return zero, tb.TransferPendingTransferHasDifferentAmount
	}
	return amount, tb.TransferCreated
}

// resolvable checks that the pending transfer is still pending. Past its
// deadline it counts as expired even before the pulse has removed it.
func (m *Machine) resolvable(pendingRow uint32, timestampEvent uint64) tb.CreateTransferStatus {
	switch *m.pendingStatus.at(pendingRow) {
	case statusPosted:
		return tb.TransferPendingTransferAlreadyPosted
	case statusVoided:
		return tb.TransferPendingTransferAlreadyVoided
	case statusExpired:
		return tb.TransferPendingTransferExpired
	case statusNone, statusPending:
	}
	p := m.transfers.at(pendingRow)
	if p.timeout != 0 && p.expiresAt() <= timestampEvent {
		return tb.TransferPendingTransferExpired
	}
	return tb.TransferCreated
}

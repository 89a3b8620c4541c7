package machine

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// transferExists compares a transfer with the one of the same id, to tell a repeated
// request from a reused id (state_machine.zig: create_transfer_exists). The flags come
// first: they decide what the other fields mean.
func (m *Machine) transferExists(t *tb.Transfer, e *transfer) tb.CreateTransferStatus {
	switch {
	case t.Flags != e.flags:
		return tb.TransferExistsWithDifferentFlags
	case load(t.PendingID) != m.pendingID(e):
		return tb.TransferExistsWithDifferentPendingID
	case t.Timeout != e.timeout:
		return tb.TransferExistsWithDifferentTimeout
	}
	if t.Flags&(transferPost|transferVoid) != 0 {
		return m.resolutionExists(t, e)
	}
	return m.moveExists(t, e)
}

func (m *Machine) moveExists(t *tb.Transfer, e *transfer) tb.CreateTransferStatus {
	debit, credit := m.accounts.at(e.debit), m.accounts.at(e.credit)
	amount := load(t.Amount)
	// The amount of a balancing transfer is an upper limit: what it moved depended on the
	// balance that it found.
	balancing := t.Flags&(transferBalancingDebit|transferBalancingCredit) != 0
	switch {
	case load(t.DebitAccountID) != debit.id:
		return tb.TransferExistsWithDifferentDebitAccountID
	case load(t.CreditAccountID) != credit.id:
		return tb.TransferExistsWithDifferentCreditAccountID
	case balancing && amount.less(e.amount), !balancing && amount != e.amount:
		return tb.TransferExistsWithDifferentAmount
	case load(t.UserData128) != e.userData128:
		return tb.TransferExistsWithDifferentUserData128
	case t.UserData64 != e.userData64:
		return tb.TransferExistsWithDifferentUserData64
	case t.UserData32 != e.userData32:
		return tb.TransferExistsWithDifferentUserData32
	case t.Ledger != debit.ledger:
		return tb.TransferExistsWithDifferentLedger
	case t.Code != e.code:
		return tb.TransferExistsWithDifferentCode
	}
	return tb.TransferExists
}

// resolutionExists compares a post or void. What the request leaves out was taken from the
// pending transfer.
func (m *Machine) resolutionExists(t *tb.Transfer, e *transfer) tb.CreateTransferStatus {
	p := m.transfers.at(e.pending)
	debit, credit := m.accounts.at(e.debit), m.accounts.at(e.credit)
	debitID, creditID := load(t.DebitAccountID), load(t.CreditAccountID)
	amount := load(t.Amount)
	void := t.Flags&transferVoid != 0
	if void && amount == zero || !void && amount == u128Max {
		amount = p.amount
	}
	switch {
	case debitID != zero && debitID != debit.id:
		return tb.TransferExistsWithDifferentDebitAccountID
	case creditID != zero && creditID != credit.id:
		return tb.TransferExistsWithDifferentCreditAccountID
	case amount != e.amount:
		return tb.TransferExistsWithDifferentAmount
	case orElse(load(t.UserData128), p.userData128) != e.userData128:
		return tb.TransferExistsWithDifferentUserData128
	case orElse(t.UserData64, p.userData64) != e.userData64:
		return tb.TransferExistsWithDifferentUserData64
	case orElse(t.UserData32, p.userData32) != e.userData32:
		return tb.TransferExistsWithDifferentUserData32
	case t.Ledger != 0 && t.Ledger != debit.ledger:
		return tb.TransferExistsWithDifferentLedger
	case t.Code != 0 && t.Code != e.code:
		return tb.TransferExistsWithDifferentCode
	}
	return tb.TransferExists
}

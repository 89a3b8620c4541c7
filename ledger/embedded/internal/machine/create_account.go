package machine

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// createAccount checks one account in the reference's order of precedence and creates it.
// The timestamp of the answer is the account's for created and exists, otherwise the
// event's.
func (m *Machine) createAccount(timestampEvent uint64, a *tb.Account) (tb.CreateAccountStatus, uint64) {
	if status := accountStateless(a); status != tb.AccountCreated {
		return status, timestampEvent
	}
	id := load(a.ID)
	if row, ok := m.accountRows.find(id); ok {
		existing := m.accounts.at(row)
		if status := accountExists(a, existing); status != tb.AccountExists {
			return status, timestampEvent
		}
		return tb.AccountExists, existing.timestamp
	}
	if status := accountFields(a); status != tb.AccountCreated {
		return status, timestampEvent
	}
	timestamp := timestampEvent
	if a.Flags&accountImported != 0 {
		if m.accountRegresses(a.Timestamp) {
			return tb.AccountImportedEventTimestampMustNotRegress, timestampEvent
		}
		timestamp = a.Timestamp
	}

	row := m.accounts.push(account{
		id:           id,
		userData128:  load(a.UserData128),
		userData64:   a.UserData64,
		userData32:   a.UserData32,
		ledger:       a.Ledger,
		code:         a.Code,
		flagsCreated: a.Flags,
		timestamp:    timestamp,
		balances:     balances{closed: a.Flags&accountClosed != 0},
	})
	m.accountRows.put(id, row)
	return tb.AccountCreated, timestamp
}

func accountStateless(a *tb.Account) tb.CreateAccountStatus {
	id := load(a.ID)
	switch {
	case a.Reserved != 0:
		return tb.AccountReservedField
	case a.Flags&^accountFlagsKnown != 0:
		return tb.AccountReservedFlag
	case id == zero:
		return tb.AccountIDMustNotBeZero
	case id == u128Max:
		return tb.AccountIDMustNotBeIntMax
	}
	return tb.AccountCreated
}

func accountExists(a *tb.Account, existing *account) tb.CreateAccountStatus {
	switch {
	case a.Flags != existing.flags():
		return tb.AccountExistsWithDifferentFlags
	case load(a.UserData128) != existing.userData128:
		return tb.AccountExistsWithDifferentUserData128
	case a.UserData64 != existing.userData64:
		return tb.AccountExistsWithDifferentUserData64
	case a.UserData32 != existing.userData32:
		return tb.AccountExistsWithDifferentUserData32
	case a.Ledger != existing.ledger:
		return tb.AccountExistsWithDifferentLedger
	case a.Code != existing.code:
		return tb.AccountExistsWithDifferentCode
	}
	return tb.AccountExists
}

func accountFields(a *tb.Account) tb.CreateAccountStatus {
	const limits = accountDebitsMustNotExceedCredits | accountCreditsMustNotExceedDebits
	switch {
	case a.Flags&limits == limits:
		return tb.AccountFlagsAreMutuallyExclusive
	case load(a.DebitsPending) != zero:
		return tb.AccountDebitsPendingMustBeZero
	case load(a.DebitsPosted) != zero:
		return tb.AccountDebitsPostedMustBeZero
	case load(a.CreditsPending) != zero:
		return tb.AccountCreditsPendingMustBeZero
	case load(a.CreditsPosted) != zero:
		return tb.AccountCreditsPostedMustBeZero
	case a.Ledger == 0:
		return tb.AccountLedgerMustNotBeZero
	case a.Code == 0:
		return tb.AccountCodeMustNotBeZero
	}
	return tb.AccountCreated
}

// accountRegresses reports whether an imported account is not after the last
// account, or shares its timestamp with a transfer.
func (m *Machine) accountRegresses(timestamp uint64) bool {
	if m.accounts.length > 0 && timestamp <= m.accounts.at(m.accounts.length-1).timestamp {
		return true
	}
	return m.transferAt(timestamp)
}

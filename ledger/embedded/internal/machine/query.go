package machine

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

const (
	accountFilterDebits   uint32 = 1 << 0
	accountFilterCredits  uint32 = 1 << 1
	accountFilterReversed uint32 = 1 << 2
	accountFilterKnown    uint32 = 1<<3 - 1

	queryFilterReversed uint32 = 1 << 0
	queryFilterKnown    uint32 = 1<<1 - 1
)

// GetAccountTransfers returns the transfers of one account; an invalid filter
// finds nothing.
func (m *Machine) GetAccountTransfers(f tb.AccountFilter) []tb.Transfer {
	found := []tb.Transfer{}
	m.eachAccountTransfer(f, func(row uint32) { found = append(found, m.transferWire(row)) })
	return found
}

// GetAccountBalances returns the balances of one account after each of its
// transfers; an invalid filter, and an account without the history flag, finds
// nothing.
func (m *Machine) GetAccountBalances(f tb.AccountFilter) []tb.AccountBalance {
	found := []tb.AccountBalance{}
	accountRow, ok := m.accountRows.find(load(f.AccountID))
	if !ok || m.accounts.at(accountRow).flagsCreated&accountHistory == 0 {
		return found
	}
	m.eachAccountTransfer(f, func(row uint32) {
		debit, credit := m.history.at(*m.snapshots.at(row))
		side := debit
		if m.transfers.at(row).credit == accountRow {
			side = credit
		}
		found = append(found, tb.AccountBalance{
			DebitsPending:  side.debitsPending.wire(),
			DebitsPosted:   side.debitsPosted.wire(),
			CreditsPending: side.creditsPending.wire(),
			CreditsPosted:  side.creditsPosted.wire(),
			Timestamp:      m.transfers.at(row).timestamp,
		})
	})
	return found
}

// QueryAccounts returns the accounts that match all fields of the filter; an
// invalid filter finds nothing.
func (m *Machine) QueryAccounts(f tb.QueryFilter) []tb.Account {
	found := []tb.Account{}
	if !queryFilterValid(f) {
		return found
	}
	within := rowRange{0, m.accounts.length}
	if f.TimestampMin != 0 {
		within.first = m.firstAccountFrom(f.TimestampMin)
	}
	if f.TimestampMax != 0 {
		within.end = m.firstAccountFrom(f.TimestampMax + 1)
	}
	m.eachMatch(&m.indexes.accounts, f, within, m.accountFields, func(row uint32) {
		found = append(found, m.accounts.at(row).wire())
	})
	return found
}

// QueryTransfers returns the transfers that match all fields of the filter; an
// invalid filter finds nothing.
func (m *Machine) QueryTransfers(f tb.QueryFilter) []tb.Transfer {
	found := []tb.Transfer{}
	if !queryFilterValid(f) {
		return found
	}
	within := m.transfersBetween(f.TimestampMin, f.TimestampMax)
	m.eachMatch(&m.indexes.transfers, f, within, m.transferFields, func(row uint32) {
		found = append(found, m.transferWire(row))
	})
	return found
}

func (m *Machine) transfersBetween(timestampMin, timestampMax uint64) rowRange {
	within := rowRange{0, m.transfers.length}
	if timestampMin != 0 {
		within.first = m.firstTransferFrom(timestampMin)
	}
	if timestampMax != 0 {
		within.end = m.firstTransferFrom(timestampMax + 1)
	}
	return within
}

func timestampsValid(timestampMin, timestampMax uint64) bool {
	return (timestampMin == 0 || timestampValid(timestampMin)) &&
		(timestampMax == 0 || timestampValid(timestampMax)) &&
		(timestampMax == 0 || timestampMin <= timestampMax)
}

func accountFilterValid(f tb.AccountFilter) bool {
	id := load(f.AccountID)
	return id != zero && id != u128Max &&
		timestampsValid(f.TimestampMin, f.TimestampMax) &&
		f.Limit != 0 &&
		f.Flags&(accountFilterDebits|accountFilterCredits) != 0 &&
		f.Flags&^accountFilterKnown == 0 &&
		f.Reserved == [len(f.Reserved)]uint8{}
}

func queryFilterValid(f tb.QueryFilter) bool {
	return timestampsValid(f.TimestampMin, f.TimestampMax) &&
		f.Limit != 0 &&
		f.Flags&^queryFilterKnown == 0 &&
		f.Reserved == [len(f.Reserved)]uint8{}
}

// eachAccountTransfer visits the transfers that an account filter selects, in
// order, up to its limit.
func (m *Machine) eachAccountTransfer(f tb.AccountFilter, visit func(row uint32)) {
	accountRow, ok := m.accountRows.find(load(f.AccountID))
	if !ok || !accountFilterValid(f) {
		return
	}
	within := m.transfersBetween(f.TimestampMin, f.TimestampMax)
	reversed := f.Flags&accountFilterReversed != 0
	var debitRows, creditRows postings
	if f.Flags&accountFilterDebits != 0 {
		debitRows = *m.indexes.debits.at(accountRow)
	}
	if f.Flags&accountFilterCredits != 0 {
		creditRows = *m.indexes.credits.at(accountRow)
	}
	debits := m.indexes.pool.walk(debitRows, within, reversed)
	credits := m.indexes.pool.walk(creditRows, within, reversed)
	wanted := fields{userData128: load(f.UserData128), userData64: f.UserData64, userData32: f.UserData32, code: f.Code}

	union := newUnion(&debits, &credits, reversed)
	for remaining := f.Limit; remaining > 0; {
		row, ok := union.next()
		if !ok {
			return
		}
		if wanted.match(m.transferFields(row)) {
			visit(row)
			remaining--
		}
	}
}

// union merges two cursors that share no row: an account is never on both sides
// of a transfer.
type union struct {
	cursors  [2]*cursor
	heads    [2]uint32
	live     [2]bool
	reversed bool
}

func newUnion(a, b *cursor, reversed bool) union {
	u := union{cursors: [2]*cursor{a, b}, reversed: reversed}
	for i := range u.cursors {
		u.heads[i], u.live[i] = u.cursors[i].next()
	}
	return u
}

func (u *union) next() (row uint32, ok bool) {
	pick := 0
	switch {
	case !u.live[0] && !u.live[1]:
		return 0, false
	case !u.live[0]:
		pick = 1
	case u.live[1] && (u.heads[1] < u.heads[0]) != u.reversed:
		pick = 1
	}
	row = u.heads[pick]
	u.heads[pick], u.live[pick] = u.cursors[pick].next()
	return row, true
}

// match reports whether a record has every value that is asked for; zero asks
// for nothing.
func (wanted fields) match(f fields) bool {
	return (wanted.userData128 == zero || wanted.userData128 == f.userData128) &&
		(wanted.userData64 == 0 || wanted.userData64 == f.userData64) &&
		(wanted.userData32 == 0 || wanted.userData32 == f.userData32) &&
		(wanted.ledger == 0 || wanted.ledger == f.ledger) &&
		(wanted.code == 0 || wanted.code == f.code)
}

// eachMatch visits the rows that a query filter selects, in order, up to its
// limit. It walks the shortest list among the fields asked for and compares the
// others on the record.
func (m *Machine) eachMatch(x *fieldIndexes, f tb.QueryFilter, within rowRange,
	record func(row uint32) fields, visit func(row uint32),
) {
	wanted := fields{load(f.UserData128), f.UserData64, f.UserData32, f.Ledger, f.Code}
	reversed := f.Flags&queryFilterReversed != 0
	next := within.walk(reversed)
	if list, ok := x.shortest(wanted); ok {
		c := m.indexes.pool.walk(list, within, reversed)
		next = c.next
	}
	for remaining := f.Limit; remaining > 0; {
		row, ok := next()
		if !ok {
			return
		}
		if wanted.match(record(row)) {
			visit(row)
			remaining--
		}
	}
}

// walk visits every row of the range.
func (r rowRange) walk(reversed bool) func() (row uint32, ok bool) {
	return func() (uint32, bool) {
		switch {
		case r.first >= r.end:
			return 0, false
		case reversed:
			r.end--
			return r.end, true
		default:
			r.first++
			return r.first - 1, true
		}
	}
}

// shortest is the list with the fewest rows among those that the wanted fields
// name; ok is false where they name none.
func (x *fieldIndexes) shortest(wanted fields) (best postings, ok bool) {
	consider := func(list postings, named bool) {
		if named && (!ok || list.count < best.count) {
			best, ok = list, true
		}
	}
	consider(x.userData128.rows(wanted.userData128), wanted.userData128 != zero)
	consider(x.userData64.rows(widen(wanted.userData64)), wanted.userData64 != 0)
	consider(x.userData32.rows(widen(wanted.userData32)), wanted.userData32 != 0)
	consider(x.ledger.rows(widen(wanted.ledger)), wanted.ledger != 0)
	consider(x.code.rows(widen(wanted.code)), wanted.code != 0)
	return best, ok
}

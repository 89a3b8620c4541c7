package machine

import (
	"slices"

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

// Scan is a query under way. It runs in steps, so that a query over very many records holds
// up nobody: other requests may run between the steps.
type Scan[R any] struct {
	next      func() (row uint32, ok bool)
	match     func(row uint32) bool
	remaining uint32
	rows      []uint32
	results   func(rows []uint32) []R
}

// Step looks at no more than rowsMax records and reports whether the query is done.
func (s *Scan[R]) Step(rowsMax int) (done bool) {
	for ; rowsMax > 0 && s.remaining > 0; rowsMax-- {
		row, ok := s.next()
		switch {
		case !ok:
			s.remaining = 0
		case s.match(row):
			s.rows = append(s.rows, row)
			s.remaining--
		}
	}
	return s.remaining == 0
}

// Results is the answer, once Step is done.
func (s *Scan[R]) Results() []R { return s.results(s.rows) }

// run does all steps at once.
func (s *Scan[R]) run() []R {
	for !s.Step(1 << 20) {
	}
	return s.Results()
}

// GetAccountTransfers returns the transfers of one account; an invalid filter
// finds nothing.
func (m *Machine) GetAccountTransfers(f tb.AccountFilter) []tb.Transfer {
	return m.ScanAccountTransfers(f).run()
}

// ScanAccountTransfers is GetAccountTransfers in steps. It finds what was there when it began.
func (m *Machine) ScanAccountTransfers(f tb.AccountFilter) *Scan[tb.Transfer] {
	s := &Scan[tb.Transfer]{results: m.transferWires}
	m.scanAccount(f, s.set)
	return s
}

// GetAccountBalances returns the balances of one account after each of its
// transfers; an invalid filter, and an account without the history flag, finds
// nothing.
func (m *Machine) GetAccountBalances(f tb.AccountFilter) []tb.AccountBalance {
	return m.ScanAccountBalances(f).run()
}

// ScanAccountBalances is GetAccountBalances in steps. It finds what was there when it began.
func (m *Machine) ScanAccountBalances(f tb.AccountFilter) *Scan[tb.AccountBalance] {
	accountRow, ok := m.accountRows.find(load(f.AccountID))
	s := &Scan[tb.AccountBalance]{results: func(rows []uint32) []tb.AccountBalance {
		found := make([]tb.AccountBalance, len(rows))
		for i, row := range rows {
			found[i] = m.balanceAfter(row, accountRow)
		}
		return found
	}}
	if ok && m.accounts.at(accountRow).flagsCreated&accountHistory != 0 {
		m.scanAccount(f, s.set)
	}
	return s
}

// set is what a scan walks, compares and stops at.
func (s *Scan[R]) set(next func() (uint32, bool), match func(uint32) bool, limit uint32) {
	s.next, s.match, s.remaining = next, match, limit
}

// balanceAfter is what a transfer left of one of its accounts.
func (m *Machine) balanceAfter(row, accountRow uint32) tb.AccountBalance {
	debit, credit := m.history.at(*m.snapshots.at(row))
	side := debit
	if m.transfers.at(row).credit == accountRow {
		side = credit
	}
	return tb.AccountBalance{
		DebitsPending:  side.debitsPending.wire(),
		DebitsPosted:   side.debitsPosted.wire(),
		CreditsPending: side.creditsPending.wire(),
		CreditsPosted:  side.creditsPosted.wire(),
		Timestamp:      m.transfers.at(row).timestamp,
	}
}

func (m *Machine) transferWires(rows []uint32) []tb.Transfer {
	found := make([]tb.Transfer, len(rows))
	for i, row := range rows {
		found[i] = m.transferWire(row)
	}
	return found
}

// QueryAccounts returns the accounts that match all fields of the filter; an
// invalid filter finds nothing.
func (m *Machine) QueryAccounts(f tb.QueryFilter) []tb.Account { return m.ScanAccounts(f).run() }

// ScanAccounts is QueryAccounts in steps. It finds what is there when it ends: accounts
// change, so none is read before that.
func (m *Machine) ScanAccounts(f tb.QueryFilter) *Scan[tb.Account] {
	wanted, reversed := queried(f), f.Flags&queryFilterReversed != 0
	within := m.accountsBetween(f.TimestampMin, f.TimestampMax)
	match := func(row uint32) bool { return wanted.match(m.accountFields(row)) }
	s := &Scan[tb.Account]{results: func(rows []uint32) []tb.Account {
		if queryFilterValid(f) {
			rows = m.withNewAccounts(rows, within, f, match)
		}
		found := make([]tb.Account, len(rows))
		for i, row := range rows {
			found[i] = m.accounts.at(row).wire()
		}
		return found
	}}
	if queryFilterValid(f) {
		s.set(m.indexes.accounts.walk(&m.indexes.pool, wanted, within, reversed), match, f.Limit)
	}
	return s
}

// withNewAccounts adds the matching accounts that were created while the scan ran.
func (m *Machine) withNewAccounts(rows []uint32, scanned rowRange, f tb.QueryFilter, match func(uint32) bool) []uint32 {
	now := m.accountsBetween(f.TimestampMin, f.TimestampMax)
	var added []uint32
	for row := max(scanned.end, now.first); row < now.end; row++ {
		if match(row) {
			added = append(added, row)
		}
	}
	if f.Flags&queryFilterReversed != 0 {
		slices.Reverse(added)
		rows = append(added, rows...)
	} else {
		rows = append(rows, added...)
	}
	return rows[:min(len(rows), int(f.Limit))]
}

// QueryTransfers returns the transfers that match all fields of the filter; an
// invalid filter finds nothing.
func (m *Machine) QueryTransfers(f tb.QueryFilter) []tb.Transfer { return m.ScanTransfers(f).run() }

// ScanTransfers is QueryTransfers in steps. It finds what was there when it began.
func (m *Machine) ScanTransfers(f tb.QueryFilter) *Scan[tb.Transfer] {
	s := &Scan[tb.Transfer]{results: m.transferWires}
	if queryFilterValid(f) {
		wanted := queried(f)
		within := m.transfersBetween(f.TimestampMin, f.TimestampMax)
		s.set(m.indexes.transfers.walk(&m.indexes.pool, wanted, within, f.Flags&queryFilterReversed != 0),
			func(row uint32) bool { return wanted.match(m.transferFields(row)) }, f.Limit)
	}
	return s
}

func queried(f tb.QueryFilter) fields {
	return fields{load(f.UserData128), f.UserData64, f.UserData32, f.Ledger, f.Code}
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

func (m *Machine) accountsBetween(timestampMin, timestampMax uint64) rowRange {
	within := rowRange{0, m.accounts.length}
	if timestampMin != 0 {
		within.first = m.firstAccountFrom(timestampMin)
	}
	if timestampMax != 0 {
		within.end = m.firstAccountFrom(timestampMax + 1)
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

// scanAccount sets up the walk over the transfers that an account filter selects. It takes
// the shorter list: the account's own transfers, or those with a value that the filter asks
// for.
func (m *Machine) scanAccount(f tb.AccountFilter, set func(func() (uint32, bool), func(uint32) bool, uint32)) {
	accountRow, ok := m.accountRows.find(load(f.AccountID))
	if !ok || !accountFilterValid(f) {
		return
	}
	within := m.transfersBetween(f.TimestampMin, f.TimestampMax)
	reversed := f.Flags&accountFilterReversed != 0
	wantsDebits, wantsCredits := f.Flags&accountFilterDebits != 0, f.Flags&accountFilterCredits != 0
	var debitRows, creditRows postings
	if wantsDebits {
		debitRows = *m.indexes.debits.at(accountRow)
	}
	if wantsCredits {
		creditRows = *m.indexes.credits.at(accountRow)
	}
	wanted := fields{userData128: load(f.UserData128), userData64: f.UserData64, userData32: f.UserData32, code: f.Code}
	if list, ok := m.indexes.transfers.shortest(wanted); ok && uint64(list.count) < uint64(debitRows.count)+uint64(creditRows.count) {
		rows := m.indexes.pool.walk(list, within, reversed)
		set(rows.next, func(row uint32) bool {
			t := m.transfers.at(row)
			return (wantsDebits && t.debit == accountRow || wantsCredits && t.credit == accountRow) &&
				wanted.match(m.transferFields(row))
		}, f.Limit)
		return
	}
	debits := m.indexes.pool.walk(debitRows, within, reversed)
	credits := m.indexes.pool.walk(creditRows, within, reversed)
	rows := newUnion(&debits, &credits, reversed)
	set(rows.next, func(row uint32) bool { return wanted == fields{} || wanted.match(m.transferFields(row)) }, f.Limit)
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

// walk visits, in order, the rows of a range that can match: those of the shortest list
// among the fields asked for. The caller compares the other fields.
func (x *fieldIndexes) walk(pool *postingPool, wanted fields, within rowRange, reversed bool) func() (row uint32, ok bool) {
	list, ok := x.shortest(wanted)
	if !ok {
		return within.walk(reversed)
	}
	rows := pool.walk(list, within, reversed)
	return rows.next
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
// name; ok is false if they name none.
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

package machine

import (
	"sort"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// Machine holds the whole ledger in memory. The zero value is not usable; see
// New and Load.
//
// Memory for a transfer is about 210 bytes: the row, its entry in the index of
// ids, the balances after it, and its place in the indexes that queries use. An
// account takes about 190 bytes. (BenchmarkGrowth of package embedded measures it.)
// All of it is in large pieces without pointers, which cost the garbage collector
// nothing.
type Machine struct {
	accounts    table[account]
	accountRows index

	transfers     table[transfer]
	transferRefs  index // of all ids in use: a row, or one of burntIDs
	pendingStatus table[pendingStatus]
	snapshots     table[uint64] // of each transfer, the balances after it in history
	history       history
	burntIDs      table[u128]

	expiries  table[expiry]
	deadlines deadlines

	indexes indexes
	// settled* are the numbers of rows that indexes and deadlines include.
	settledTransfers uint32
	settledAccounts  uint32

	// timestamp is the greatest timestamp given to any event so far.
	timestamp uint64

	scope scope

	rowsMax uint32 // accounts, transfers, burnt ids: of each
}

// New returns an empty ledger.
func New() *Machine {
	m := &Machine{deadlines: newDeadlines(), indexes: newIndexes(), rowsMax: rowsMax}
	m.accountRows = newIndex(func(row uint32) u128 { return m.accounts.at(row).id })
	m.transferRefs = newIndex(m.transferIDOf)
	return m
}

// LimitRows reduces the room for rows, for tests.
func (m *Machine) LimitRows(count uint32) { m.rowsMax = min(count, rowsMax) }

// RoomForAccounts reports whether a request with this many accounts can be executed: row
// numbers and index positions have 32 bits.
func (m *Machine) RoomForAccounts(count int) bool {
	return m.roomFor(m.accounts.length, count) && m.indexes.pool.roomFor(count*accountListsMax)
}

// RoomForTransfers reports the same for a request of transfers. Each takes a row or a burnt id.
func (m *Machine) RoomForTransfers(count int) bool {
	return m.roomFor(m.transfers.length, count) && m.roomFor(m.burntIDs.length, count) &&
		m.indexes.pool.roomFor(count*transferListsMax)
}

func (m *Machine) roomFor(rows uint32, count int) bool {
	return uint64(rows)+uint64(count) <= uint64(m.rowsMax)
}

// Timestamp is the greatest timestamp that any event has been given. The next
// request must use greater ones.
func (m *Machine) Timestamp() uint64 { return m.timestamp }

// AccountsCount is the number of accounts.
func (m *Machine) AccountsCount() uint32 { return m.accounts.length }

// TransfersCount is the number of transfers.
func (m *Machine) TransfersCount() uint32 { return m.transfers.length }

// BurntIDsCount is the number of transfer ids that failed for a transient
// reason.
func (m *Machine) BurntIDsCount() uint32 { return m.burntIDs.length }

// LookupAccounts returns the accounts that exist, in the order of the ids.
func (m *Machine) LookupAccounts(ids []tb.Uint128) []tb.Account {
	found := make([]tb.Account, 0, len(ids))
	for _, id := range ids {
		if row, ok := m.accountRows.find(load(id)); ok {
			found = append(found, m.accounts.at(row).wire())
		}
	}
	return found
}

// LookupTransfers returns the transfers that exist, in the order of the ids. A
// burnt id has no transfer.
func (m *Machine) LookupTransfers(ids []tb.Uint128) []tb.Transfer {
	found := make([]tb.Transfer, 0, len(ids))
	for _, id := range ids {
		if row, ok := m.transferRow(load(id)); ok {
			found = append(found, m.transferWire(row))
		}
	}
	return found
}

// transferRow finds a transfer by id; a burnt id is not found.
func (m *Machine) transferRow(id u128) (row uint32, found bool) {
	ref, found := m.transferRefs.find(id)
	return ref, found && ref&burnt == 0
}

// transferIDOf is the id behind a reference of transferRefs.
func (m *Machine) transferIDOf(ref uint32) u128 {
	if ref&burnt != 0 {
		return *m.burntIDs.at(ref &^ burnt)
	}
	return m.transfers.at(ref).id
}

func (m *Machine) transferWire(row uint32) tb.Transfer {
	t := m.transfers.at(row)
	debit := m.accounts.at(t.debit)
	return tb.Transfer{
		ID:              t.id.wire(),
		DebitAccountID:  debit.id.wire(),
		CreditAccountID: m.accounts.at(t.credit).id.wire(),
		Amount:          t.amount.wire(),
		PendingID:       m.pendingID(t).wire(),
		UserData128:     t.userData128.wire(),
		UserData64:      t.userData64,
		UserData32:      t.userData32,
		Timeout:         t.timeout,
		Ledger:          debit.ledger,
		Code:            t.code,
		Flags:           t.flags,
		Timestamp:       t.timestamp,
	}
}

// pendingID is the id of the transfer that t posts or voids, or zero.
func (m *Machine) pendingID(t *transfer) u128 {
	if t.pending == noRow {
		return zero
	}
	return m.transfers.at(t.pending).id
}

// firstTransferFrom is the first row whose timestamp is at least timestamp.
// Rows are in the order of their timestamps: the cluster's own only grow, and
// imported ones must not regress.
func (m *Machine) firstTransferFrom(timestamp uint64) uint32 {
	return uint32(sort.Search(int(m.transfers.length), func(row int) bool {
		return m.transfers.at(uint32(row)).timestamp >= timestamp
	}))
}

// firstAccountFrom is the first row whose timestamp is at least timestamp.
func (m *Machine) firstAccountFrom(timestamp uint64) uint32 {
	return uint32(sort.Search(int(m.accounts.length), func(row int) bool {
		return m.accounts.at(uint32(row)).timestamp >= timestamp
	}))
}

func (m *Machine) transferAt(timestamp uint64) bool {
	row := m.firstTransferFrom(timestamp)
	return row < m.transfers.length && m.transfers.at(row).timestamp == timestamp
}

func (m *Machine) accountAt(timestamp uint64) bool {
	if last := m.accounts.length; last == 0 || timestamp > m.accounts.at(last-1).timestamp {
		return false // nearly always
	}
	row := m.firstAccountFrom(timestamp)
	return row < m.accounts.length && m.accounts.at(row).timestamp == timestamp
}

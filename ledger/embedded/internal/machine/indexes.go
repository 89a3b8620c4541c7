package machine

// The lists that a record can be in: one for each field that a filter can name, a
// transfer's debit and credit accounts among them.
const (
	accountListsMax  = 5
	transferListsMax = 7
)

// indexes find rows by the fields that a filter can name. They are kept up to
// date after each request, not during: a chain that is undone never reaches
// them.
type indexes struct {
	pool postingPool

	debits  table[postings] // transfers by debit account row
	credits table[postings] // transfers by credit account row

	transfers fieldIndexes
	accounts  fieldIndexes
}

// fieldIndexes hold a list for each value except zero, which filters cannot name.
type fieldIndexes struct {
	userData128 *valueIndex
	userData64  *valueIndex
	userData32  *valueIndex
	ledger      *valueIndex
	code        *valueIndex
}

// valueIndex is the rows by the value of one field, which is widened to 128 bits.
type valueIndex struct {
	index
	lists table[valueRows]
}

// valueRows are the rows that have a value.
type valueRows struct {
	value u128
	rows  postings
}

func newIndexes() indexes {
	return indexes{transfers: newFieldIndexes(), accounts: newFieldIndexes()}
}

func newFieldIndexes() fieldIndexes {
	return fieldIndexes{newValueIndex(), newValueIndex(), newValueIndex(), newValueIndex(), newValueIndex()}
}

func newValueIndex() *valueIndex {
	x := &valueIndex{}
	x.index = newIndex(func(list uint32) u128 { return x.lists.at(list).value })
	return x
}

// fields are the values of one record that queries filter by.
type fields struct {
	userData128 u128
	userData64  uint64
	userData32  uint32
	ledger      uint32
	code        uint16
}

func widen[T uint16 | uint32 | uint64](v T) u128 { return u128{lo: uint64(v)} }

func (x *fieldIndexes) add(pool *postingPool, row uint32, f fields) {
	x.userData128.add(pool, f.userData128, row)
	x.userData64.add(pool, widen(f.userData64), row)
	x.userData32.add(pool, widen(f.userData32), row)
	x.ledger.add(pool, widen(f.ledger), row)
	x.code.add(pool, widen(f.code), row)
}

func (x *valueIndex) add(pool *postingPool, value u128, row uint32) {
	if value == zero {
		return
	}
	list, found := x.find(value)
	if !found {
		list = x.lists.push(valueRows{value: value})
		x.put(value, list)
	}
	pool.add(&x.lists.at(list).rows, row)
}

// rows returns the rows with a value.
func (x *valueIndex) rows(value u128) postings {
	list, found := x.find(value)
	if !found {
		return postings{}
	}
	return x.lists.at(list).rows
}

func (m *Machine) accountFields(row uint32) fields {
	a := m.accounts.at(row)
	return fields{a.userData128, a.userData64, a.userData32, a.ledger, a.code}
}

func (m *Machine) transferFields(row uint32) fields {
	t := m.transfers.at(row)
	return fields{t.userData128, t.userData64, t.userData32, m.accounts.at(t.debit).ledger, t.code}
}

// settleAccounts indexes the accounts that the last request created for good.
func (m *Machine) settleAccounts() {
	for ; m.settledAccounts < m.accounts.length; m.settledAccounts++ {
		m.indexes.debits.push(postings{})
		m.indexes.credits.push(postings{})
		m.indexes.accounts.add(&m.indexes.pool, m.settledAccounts, m.accountFields(m.settledAccounts))
	}
}

// settleTransfers indexes the transfers that the last request created for good,
// and watches the deadlines of those that are still pending.
func (m *Machine) settleTransfers() {
	for ; m.settledTransfers < m.transfers.length; m.settledTransfers++ {
		row := m.settledTransfers
		t := m.transfers.at(row)
		pool := &m.indexes.pool
		pool.add(m.indexes.debits.at(t.debit), row)
		pool.add(m.indexes.credits.at(t.credit), row)
		m.indexes.transfers.add(pool, row, m.transferFields(row))
		if t.timeout != 0 && *m.pendingStatus.at(row) == statusPending {
			m.watch(row)
		}
	}
}

package machine

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

// fieldIndexes hold a list for each value but zero, which filters cannot name.
type fieldIndexes struct {
	userData128 map[u128]postings
	userData64  map[uint64]postings
	userData32  map[uint32]postings
	ledger      map[uint32]postings
	code        map[uint16]postings
}

func newIndexes() indexes {
	return indexes{transfers: newFieldIndexes(), accounts: newFieldIndexes()}
}

func newFieldIndexes() fieldIndexes {
	return fieldIndexes{
		userData128: map[u128]postings{},
		userData64:  map[uint64]postings{},
		userData32:  map[uint32]postings{},
		ledger:      map[uint32]postings{},
		code:        map[uint16]postings{},
	}
}

// fields are the values of one record that queries filter by.
type fields struct {
	userData128 u128
	userData64  uint64
	userData32  uint32
	ledger      uint32
	code        uint16
}

func (x *fieldIndexes) add(pool *postingPool, row uint32, f fields) {
	addTo(pool, x.userData128, f.userData128, row)
	addTo(pool, x.userData64, f.userData64, row)
	addTo(pool, x.userData32, f.userData32, row)
	addTo(pool, x.ledger, f.ledger, row)
	addTo(pool, x.code, f.code, row)
}

func addTo[K comparable](pool *postingPool, index map[K]postings, key K, row uint32) {
	var none K
	if key == none {
		return
	}
	list := index[key]
	pool.add(&list, row)
	index[key] = list
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

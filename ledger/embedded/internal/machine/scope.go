package machine

// scope remembers, while a chain executes, how to undo it.
type scope struct {
	open      bool
	accounts  uint32
	transfers uint32
	history   historyMark
	touched   []accountUndo
	resolved  []uint32 // pending transfers that were posted or voided
}

type accountUndo struct {
	row    uint32
	before balances
}

func (m *Machine) scopeOpen() {
	assert(!m.scope.open, "a chain inside a chain")
	m.scope.open = true
	m.scope.accounts = m.accounts.length
	m.scope.transfers = m.transfers.length
	m.scope.history = m.history.mark()
}

func (m *Machine) scopePersist() { m.scopeClose() }

// scopeDiscard restores the ledger to its state at scopeOpen.
func (m *Machine) scopeDiscard() {
	s := &m.scope
	for i := len(s.touched) - 1; i >= 0; i-- {
		m.accounts.at(s.touched[i].row).balances = s.touched[i].before
	}
	for _, row := range s.resolved {
		*m.pendingStatus.at(row) = statusPending
	}
	for row := s.transfers; row < m.transfers.length; row++ {
		m.transferRefs.remove(m.transfers.at(row).id)
	}
	for row := s.accounts; row < m.accounts.length; row++ {
		m.accountRows.remove(m.accounts.at(row).id)
	}
	m.transfers.truncate(s.transfers)
	m.pendingStatus.truncate(s.transfers)
	m.snapshots.truncate(s.transfers)
	m.accounts.truncate(s.accounts)
	m.history.reset(s.history)
	m.scopeClose()
}

func (m *Machine) scopeClose() {
	assert(m.scope.open, "no chain is open")
	m.scope.open = false
	m.scope.touched = m.scope.touched[:0]
	m.scope.resolved = m.scope.resolved[:0]
}

// setBalances is the one place where an account changes.
func (m *Machine) setBalances(row uint32, after balances) {
	a := m.accounts.at(row)
	if m.scope.open {
		m.scope.touched = append(m.scope.touched, accountUndo{row, a.balances})
	}
	a.balances = after
}

// resolve ends a pending transfer.
func (m *Machine) resolve(row uint32, status pendingStatus) {
	current := m.pendingStatus.at(row)
	assert(*current == statusPending, "a pending transfer resolves at most once")
	if m.scope.open {
		m.scope.resolved = append(m.scope.resolved, row)
	}
	*current = status
}

package machine

import "math"

// NextExpiry is a lower bound of the earliest deadline among the pending transfers; ok is
// false if there is none. If its transfer was posted or voided meanwhile, ExpirePending
// finds nothing and the bound moves.
func (m *Machine) NextExpiry() (timestamp uint64, ok bool) {
	if len(m.deadlines.heads) == 0 {
		return 0, false
	}
	return m.deadlines.heads[0].expiresAt, true
}

// ExpirePending is the pulse: it gives up pending transfers whose deadline is at or before
// timestamp, in the order of their deadlines, then of their creation (docs "Transfer",
// timeout; state_machine.zig: execute_expire_pending_transfers). It expires at most limit
// transfers and looks at no more than twice as many, so that many deadlines at once never
// hold up requests. NextExpiry tells whether more are due. The expiries get the timestamps
// timestamp, timestamp+1 and so on. It returns their number.
func (m *Machine) ExpirePending(timestamp uint64, limit int) (expired int) {
	return m.expirePending(timestamp, limit, 2*limit)
}

// ReplayExpiries repeats a pulse that expired count transfers, and reports
// whether the ledger allows it.
func (m *Machine) ReplayExpiries(timestamp uint64, count int) bool {
	return m.expirePending(timestamp, count, math.MaxInt) == count
}

func (m *Machine) expirePending(timestamp uint64, expireMax, examineMax int) (expired int) {
	assert(timestamp > m.timestamp && timestamp <= TimestampMax-uint64(expireMax), "timestamps must grow")
	for examined := 0; examined < examineMax && expired < expireMax; examined++ {
		row, due := m.popDue(timestamp)
		if !due {
			break
		}
		if *m.pendingStatus.at(row) != statusPending {
			continue
		}
		m.expire(row, timestamp+uint64(expired))
		expired++
	}
	if expired > 0 {
		m.timestamp = timestamp + uint64(expired) - 1
	}
	return expired
}

func (m *Machine) expire(row uint32, timestamp uint64) {
	m.expiries.push(expiry{
		timestamp:       timestamp,
		snapshot:        m.release(row),
		transfer:        row,
		transfersBefore: m.transfers.length,
	})
}

// release gives an expired transfer's amount back and returns where the balances
// after it are.
func (m *Machine) release(row uint32) (snapshot uint64) {
	p := m.transfers.at(row)
	debit, credit := m.accounts.at(p.debit).balances, m.accounts.at(p.credit).balances
	release(&debit, &credit, p, true)
	m.setBalances(p.debit, debit)
	m.setBalances(p.credit, credit)
	m.resolve(row, statusExpired)
	return m.history.add(&debit, &credit)
}

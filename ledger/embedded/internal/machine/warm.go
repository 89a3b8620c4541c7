package machine

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// In a large ledger nearly every look-up waits for memory. The events of a request
// are known beforehand, so what they will look up is read ahead, a block of events
// at a time: then the waits overlap, and a transfer costs about the same whatever
// the number of those before it (BenchmarkGrowth).

// warmedEventsMax is the size of a block: what it reads stays in the fastest caches.
const warmedEventsMax = 256

// warm reads ahead what a block of events will look up. It changes nothing.
func (m *Machine) warm(events []tb.Transfer) {
	if len(events) < 2 {
		return // there is nothing to overlap
	}
	sum := uint64(0)
	for i := range events {
		e := &events[i]
		sum += m.transferRefs.touch(load(e.ID))
		if e.Flags&(transferPost|transferVoid) != 0 {
			sum += m.transferRefs.touch(load(e.PendingID))
		} else {
			sum += m.accountRows.touch(load(e.DebitAccountID)) + m.accountRows.touch(load(e.CreditAccountID))
		}
	}
	for i := range events {
		e := &events[i]
		if e.Flags&(transferPost|transferVoid) == 0 {
			sum += m.warmAccount(load(e.DebitAccountID)) + m.warmAccount(load(e.CreditAccountID))
		} else if row, ok := m.transferRow(load(e.PendingID)); ok {
			t := m.transfers.at(row)
			sum += t.amount.lo + uint64(t.flags) + uint64(*m.pendingStatus.at(row))
		}
	}
	m.warmed = sum
}

func (m *Machine) warmAccount(id u128) uint64 {
	row, ok := m.accountRows.find(id)
	if !ok {
		return 0
	}
	a := m.accounts.at(row)
	return a.timestamp + a.balances.creditsPosted.lo
}

// warmIndexes reads ahead where the indexes have the values of the rows from first
// up to, not including, end.
func (m *Machine) warmIndexes(first, end uint32) {
	if end-first < 2 {
		return
	}
	sum := uint64(0)
	for row := first; row < end; row++ {
		t := m.transfers.at(row)
		if t.userData128 != zero {
			sum += m.indexes.transfers.userData128.touch(t.userData128)
		}
		if t.userData64 != 0 {
			sum += m.indexes.transfers.userData64.touch(widen(t.userData64))
		}
	}
	m.warmed = sum
}

package machine

import (
	"sort"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// GetChangeEvents returns what happened to the transfers, in the order of the
// timestamps: each transfer with the balances after it, and each expiry. An
// invalid filter finds nothing.
func (m *Machine) GetChangeEvents(f tb.ChangeEventsFilter) []tb.ChangeEvent {
	events := []tb.ChangeEvent{}
	if !timestampsValid(f.TimestampMin, f.TimestampMax) || f.Limit == 0 ||
		f.Reserved != [len(f.Reserved)]uint8{} {
		return events
	}
	transfers := m.transfersBetween(f.TimestampMin, f.TimestampMax)
	expiries := m.expiriesBetween(f.TimestampMin, f.TimestampMax)
	for uint32(len(events)) < f.Limit {
		moreTransfers, moreExpiries := transfers.first < transfers.end, expiries.first < expiries.end
		switch {
		case !moreTransfers && !moreExpiries:
			return events
		case moreTransfers && moreExpiries &&
			m.expiries.at(expiries.first).timestamp == m.transfers.at(transfers.first).timestamp:
			// A transfer imported with the timestamp of an expiry replaces its
			// event, as in the reference, where events are keyed by timestamp.
			expiries.first++
		case moreTransfers && (!moreExpiries ||
			m.transfers.at(transfers.first).timestamp < m.expiries.at(expiries.first).timestamp):
			events = append(events, m.transferEvent(transfers.first))
			transfers.first++
		default:
			events = append(events, m.expiryEvent(m.expiries.at(expiries.first)))
			expiries.first++
		}
	}
	return events
}

func (m *Machine) expiriesBetween(timestampMin, timestampMax uint64) rowRange {
	from := func(timestamp uint64) uint32 {
		return uint32(sort.Search(int(m.expiries.length), func(row int) bool {
			return m.expiries.at(uint32(row)).timestamp >= timestamp
		}))
	}
	within := rowRange{0, m.expiries.length}
	if timestampMin != 0 {
		within.first = from(timestampMin)
	}
	if timestampMax != 0 {
		within.end = from(timestampMax + 1)
	}
	return within
}

func (m *Machine) transferEvent(row uint32) tb.ChangeEvent {
	t := m.transfers.at(row)
	kind := tb.ChangeEventSinglePhase
	switch {
	case t.flags&transferPending != 0:
		kind = tb.ChangeEventTwoPhasePending
	case t.flags&transferPost != 0:
		kind = tb.ChangeEventTwoPhasePosted
	case t.flags&transferVoid != 0:
		kind = tb.ChangeEventTwoPhaseVoided
	}
	return m.changeEvent(row, kind, t.timestamp, *m.snapshots.at(row))
}

func (m *Machine) expiryEvent(e *expiry) tb.ChangeEvent {
	return m.changeEvent(e.transfer, tb.ChangeEventTwoPhaseExpired, e.timestamp, e.snapshot)
}

func (m *Machine) changeEvent(row uint32, kind tb.ChangeEventType, timestamp, snapshot uint64) tb.ChangeEvent {
	t := m.transfers.at(row)
	debit, credit := m.accounts.at(t.debit), m.accounts.at(t.credit)
	debitAfter, creditAfter := m.history.at(snapshot)
	return tb.ChangeEvent{
		TransferID:          t.id.wire(),
		TransferAmount:      t.amount.wire(),
		TransferPendingID:   m.pendingID(t).wire(),
		TransferUserData128: t.userData128.wire(),
		TransferUserData64:  t.userData64,
		TransferUserData32:  t.userData32,
		TransferTimeout:     t.timeout,
		TransferCode:        t.code,
		TransferFlags:       t.flags,
		Ledger:              debit.ledger,
		Type:                kind,

		DebitAccountID:             debit.id.wire(),
		DebitAccountDebitsPending:  debitAfter.debitsPending.wire(),
		DebitAccountDebitsPosted:   debitAfter.debitsPosted.wire(),
		DebitAccountCreditsPending: debitAfter.creditsPending.wire(),
		DebitAccountCreditsPosted:  debitAfter.creditsPosted.wire(),
		DebitAccountUserData128:    debit.userData128.wire(),
		DebitAccountUserData64:     debit.userData64,
		DebitAccountUserData32:     debit.userData32,
		DebitAccountCode:           debit.code,
		DebitAccountFlags:          debit.flagsWith(debitAfter.closed),

		CreditAccountID:             credit.id.wire(),
		CreditAccountDebitsPending:  creditAfter.debitsPending.wire(),
		CreditAccountDebitsPosted:   creditAfter.debitsPosted.wire(),
		CreditAccountCreditsPending: creditAfter.creditsPending.wire(),
		CreditAccountCreditsPosted:  creditAfter.creditsPosted.wire(),
		CreditAccountUserData128:    credit.userData128.wire(),
		CreditAccountUserData64:     credit.userData64,
		CreditAccountUserData32:     credit.userData32,
		CreditAccountCode:           credit.code,
		CreditAccountFlags:          credit.flagsWith(creditAfter.closed),

		Timestamp:              timestamp,
		TransferTimestamp:      t.timestamp,
		DebitAccountTimestamp:  debit.timestamp,
		CreditAccountTimestamp: credit.timestamp,
	}
}

package machine

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// CreateAccounts executes one request and returns one result per event, in order. timestamp
// belongs to the last event; event i of n gets timestamp-n+1+i, so the caller reserves n
// timestamps, all greater than Timestamp().
func (m *Machine) CreateAccounts(timestamp uint64, events []tb.Account) []tb.CreateAccountResult {
	results := make([]tb.CreateAccountResult, len(events))
	run(m, timestamp, len(events), batch[tb.CreateAccountStatus]{
		statuses: accountStatuses,
		event: func(i int) (linked, imported bool, timestamp uint64) {
			e := &events[i]
			return e.Flags&accountLinked != 0, e.Flags&accountImported != 0, e.Timestamp
		},
		create: func(i int, timestamp uint64) (tb.CreateAccountStatus, uint64) {
			return m.createAccount(timestamp, &events[i])
		},
		failed: func(int, tb.CreateAccountStatus) {},
		result: func(i int, status tb.CreateAccountStatus, timestamp uint64) {
			results[i] = tb.CreateAccountResult{Timestamp: timestamp, Status: status}
		},
		relabel: func(i int, status tb.CreateAccountStatus) { results[i].Status = status },
	})
	m.settleAccounts()
	return results
}

// CreateTransfers executes one request and returns one result per event, in order. For
// timestamp see CreateAccounts.
func (m *Machine) CreateTransfers(timestamp uint64, events []tb.Transfer) []tb.CreateTransferResult {
	results := make([]tb.CreateTransferResult, len(events))
	run(m, timestamp, len(events), batch[tb.CreateTransferStatus]{
		statuses: transferStatuses,
		event: func(i int) (linked, imported bool, timestamp uint64) {
			e := &events[i]
			return e.Flags&transferLinked != 0, e.Flags&transferImported != 0, e.Timestamp
		},
		create: func(i int, timestamp uint64) (tb.CreateTransferStatus, uint64) {
			return m.createTransfer(timestamp, &events[i])
		},
		failed: func(i int, status tb.CreateTransferStatus) {
			if transient(status) {
				m.burn(load(events[i].ID))
			}
		},
		result: func(i int, status tb.CreateTransferStatus, timestamp uint64) {
			results[i] = tb.CreateTransferResult{Timestamp: timestamp, Status: status}
		},
		relabel: func(i int, status tb.CreateTransferStatus) { results[i].Status = status },
	})
	m.settleTransfers()
	return results
}

// batch is what differs between a request of accounts and one of transfers.
type batch[S comparable] struct {
	statuses[S]
	event   func(i int) (linked, imported bool, timestamp uint64)
	create  func(i int, timestamp uint64) (S, uint64)
	failed  func(i int, status S)
	result  func(i int, status S, timestamp uint64)
	relabel func(i int, status S)
}

// statuses are the statuses that the batch decides, not the event.
type statuses[S comparable] struct {
	created                 S
	linkedEventFailed       S
	linkedEventChainOpen    S
	importedExpected        S
	importedNotExpected     S
	timestampMustBeZero     S
	timestampOutOfRange     S
	timestampMustNotAdvance S
}

var accountStatuses = statuses[tb.CreateAccountStatus]{
	created:                 tb.AccountCreated,
	linkedEventFailed:       tb.AccountLinkedEventFailed,
	linkedEventChainOpen:    tb.AccountLinkedEventChainOpen,
	importedExpected:        tb.AccountImportedEventExpected,
	importedNotExpected:     tb.AccountImportedEventNotExpected,
	timestampMustBeZero:     tb.AccountTimestampMustBeZero,
	timestampOutOfRange:     tb.AccountImportedEventTimestampOutOfRange,
	timestampMustNotAdvance: tb.AccountImportedEventTimestampMustNotAdvance,
}

var transferStatuses = statuses[tb.CreateTransferStatus]{
	created:                 tb.TransferCreated,
	linkedEventFailed:       tb.TransferLinkedEventFailed,
	linkedEventChainOpen:    tb.TransferLinkedEventChainOpen,
	importedExpected:        tb.TransferImportedEventExpected,
	importedNotExpected:     tb.TransferImportedEventNotExpected,
	timestampMustBeZero:     tb.TransferTimestampMustBeZero,
	timestampOutOfRange:     tb.TransferImportedEventTimestampOutOfRange,
	timestampMustNotAdvance: tb.TransferImportedEventTimestampMustNotAdvance,
}

// run executes the events in order and keeps chains together (state_machine.zig:
// execute_create; docs "Linked Events"). The first failure in a chain undoes the
// whole chain; its own event keeps its status, the others get
// linked_event_failed.
func run[S comparable](m *Machine, timestamp uint64, count int, b batch[S]) {
	if count == 0 {
		return
	}
	assert(timestamp <= TimestampMax && timestamp >= uint64(count) &&
		timestamp-uint64(count) >= m.timestamp, "timestamps must grow")

	const none = -1
	chainStart, chainBroken := none, false
	_, batchImported, _ := b.event(0)
	for i := range count {
		timestampEvent := timestamp - uint64(count) + uint64(i) + 1
		linked, imported, timestampGiven := b.event(i)
		if linked && chainStart == none {
			chainStart = i
			m.scopeOpen()
		}

		var status S
		timestampActual := timestampEvent
		switch {
		case linked && i == count-1:
			status = b.linkedEventChainOpen
		case chainBroken:
			status = b.linkedEventFailed
		case imported && !batchImported:
			status = b.importedNotExpected
		case !imported && batchImported:
			status = b.importedExpected
		case imported && !timestampValid(timestampGiven):
			status = b.timestampOutOfRange
		case imported && timestampGiven >= timestamp:
			status = b.timestampMustNotAdvance
		case !imported && timestampGiven != 0:
			status = b.timestampMustBeZero
		default:
			status, timestampActual = b.create(i, timestampEvent)
		}

		if status != b.created {
			if chainStart != none && !chainBroken {
				chainBroken = true
				m.scopeDiscard()
				for earlier := chainStart; earlier < i; earlier++ {
					b.relabel(earlier, b.linkedEventFailed)
				}
			}
			b.failed(i, status)
		}
		b.result(i, status, timestampActual)

		if chainStart != none && (!linked || status == b.linkedEventChainOpen) {
			if !chainBroken {
				m.scopePersist()
			}
			chainStart, chainBroken = none, false
		}
	}
	m.timestamp = timestamp
}

// transient reports whether the same transfer could succeed at another time.
// Its id is then burnt, so that a retry of the same request always means the
// same (tigerbeetle.zig: CreateTransferStatus.transient).
func transient(status tb.CreateTransferStatus) bool {
	switch status {
	case tb.TransferDebitAccountNotFound,
		tb.TransferCreditAccountNotFound,
		tb.TransferPendingTransferNotFound,
		tb.TransferExceedsCredits,
		tb.TransferExceedsDebits,
		tb.TransferDebitAccountAlreadyClosed,
		tb.TransferCreditAccountAlreadyClosed:
		return true
	default:
		return false
	}
}

// burn runs after the chain, if any, was undone, because a burnt id outlives it.
func (m *Machine) burn(id u128) {
	assert(!m.scope.open, "an id is burnt inside a chain")
	assert(m.burntIDs.length < rowsMax, "there is no room for another burnt id")
	m.transferRefs.put(id, burnt|m.burntIDs.push(id))
}

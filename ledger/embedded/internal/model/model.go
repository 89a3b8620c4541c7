// Package model is the ledger written to be read: maps, linear searches, whole copies,
// math/big. It is slow and stores nothing on disk. It shares no code with the engine, and
// exists so that tests can compare the two.
//
// The rules come from TigerBeetle's documentation ("Reference") and state machine
// (src/state_machine.zig, release 0.17.9), in the same order.
package model

import (
	"maps"
	"math/big"
	"slices"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// Limits of a request, as those of a server with 1 MiB messages.
const (
	batchMax        = 8189
	changeEventsMax = 2730
	timestampMax    = 1<<63 - 1
)

var intMax = tb.AmountMax

// Ledger is a model behind the client's interface. It is for one goroutine.
type Ledger struct {
	state  state
	now    func() time.Time
	closed bool
}

var _ tb.Client = (*Ledger)(nil)

// New returns an empty ledger with a clock.
func New(now func() time.Time) *Ledger {
	return &Ledger{now: now, state: state{
		accounts:  map[tb.Uint128]tb.Account{},
		transfers: map[tb.Uint128]tb.Transfer{},
		status:    map[tb.Uint128]status{},
		failed:    map[tb.Uint128]bool{},
	}}
}

// state is the whole state; a failed chain restores an old copy.
type state struct {
	accounts      map[tb.Uint128]tb.Account
	transfers     map[tb.Uint128]tb.Transfer
	status        map[tb.Uint128]status // of pending transfers
	failed        map[tb.Uint128]bool   // ids that are burnt
	accountOrder  []tb.Uint128
	transferOrder []tb.Uint128
	events        []tb.ChangeEvent
	timestamp     uint64
}

type status string

const (
	pending status = "pending"
	posted  status = "posted"
	voided  status = "voided"
	expired status = "expired"
)

// Clone returns an independent copy.
func (l *Ledger) Clone() *Ledger { return &Ledger{state: l.state.clone(), now: l.now} }

func (s state) clone() state {
	s.accounts = maps.Clone(s.accounts)
	s.transfers = maps.Clone(s.transfers)
	s.status = maps.Clone(s.status)
	s.failed = maps.Clone(s.failed)
	s.accountOrder = slices.Clone(s.accountOrder)
	s.transferOrder = slices.Clone(s.transferOrder)
	s.events = slices.Clone(s.events)
	return s
}

// Pulse expires everything that is due now.
func (l *Ledger) Pulse() { l.ExpireUpTo(l.nextTimestamp()) }

// Due reports whether another Pulse would expire anything. One pulse may make the
// next necessary: its expiries take timestamps, so time goes on even when the clock
// stands still.
func (l *Ledger) Due() bool { return len(l.dueAt(l.nextTimestamp())) > 0 }

// ExpireUpTo expires everything due at a timestamp, which is given to the first
// expiry.
func (l *Ledger) ExpireUpTo(timestamp uint64) {
	for i, t := range l.dueAt(timestamp) {
		l.Expire(t.ID, timestamp+uint64(i))
	}
}

// dueAt returns the transfers to expire, in order.
func (l *Ledger) dueAt(timestamp uint64) (due []tb.Transfer) {
	for _, id := range l.state.transferOrder {
		t := l.state.transfers[id]
		if l.state.status[id] == pending && t.Timeout > 0 && expiresAt(t) <= timestamp {
			due = append(due, t)
		}
	}
	slices.SortStableFunc(due, func(a, b tb.Transfer) int {
		switch {
		case expiresAt(a) < expiresAt(b):
			return -1
		case expiresAt(a) > expiresAt(b):
			return 1
		}
		return 0
	})
	return due
}

// Expire expires one transfer and reports whether it was due.
func (l *Ledger) Expire(id tb.Uint128, timestamp uint64) bool {
	t := l.state.transfers[id]
	if l.state.status[id] != pending || t.Timeout == 0 || expiresAt(t) > timestamp || timestamp <= l.state.timestamp {
		return false
	}
	l.state.status[id] = expired
	l.release(t, true)
	l.state.timestamp = timestamp
	l.record(t, tb.ChangeEventTwoPhaseExpired, timestamp)
	return true
}

func expiresAt(t tb.Transfer) uint64 { return t.Timestamp + uint64(t.Timeout)*1_000_000_000 }

func (l *Ledger) nextTimestamp() uint64 {
	return max(uint64(l.now().UnixNano()), l.state.timestamp+1)
}

// begin starts every request.
func (l *Ledger) begin(count, limit int) error {
	switch {
	case l.closed:
		return tb.ErrClientClosed
	case count > limit:
		return tb.ErrTooMuchData
	}
	l.Pulse()
	return nil
}

func (l *Ledger) Close()     { l.closed = true }
func (l *Ledger) Nop() error { return l.begin(0, 0) }

func (l *Ledger) CreateAccounts(accounts []tb.Account) ([]tb.CreateAccountResult, error) {
	if err := l.begin(len(accounts), batchMax); err != nil {
		return nil, err
	}
	return l.ExecuteAccounts(l.nextTimestamp()+uint64(len(accounts))-1, accounts), nil
}

func (l *Ledger) CreateTransfers(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
	if err := l.begin(len(transfers), batchMax); err != nil {
		return nil, err
	}
	return l.ExecuteTransfers(l.nextTimestamp()+uint64(len(transfers))-1, transfers), nil
}

// ExecuteAccounts executes a request whose last event has the timestamp.
func (l *Ledger) ExecuteAccounts(timestamp uint64, accounts []tb.Account) []tb.CreateAccountResult {
	results := make([]tb.CreateAccountResult, len(accounts))
	l.execute(timestamp, len(accounts), events{
		flags:     func(i int) (uint16, uint16) { return accounts[i].Flags, 1 << 4 },
		timestamp: func(i int) uint64 { return accounts[i].Timestamp },
		create: func(i int, timestamp uint64) (uint32, uint64) {
			status := l.createAccount(timestamp, accounts[i])
			if status == tb.AccountCreated || status == tb.AccountExists {
				timestamp = l.state.accounts[accounts[i].ID].Timestamp
			}
			return uint32(status), timestamp
		},
		answer: func(i int, status uint32, timestamp uint64) {
			results[i] = tb.CreateAccountResult{Status: tb.CreateAccountStatus(status), Timestamp: timestamp}
		},
		importedExpected: uint32(tb.AccountImportedEventExpected), importedNotExpected: uint32(tb.AccountImportedEventNotExpected),
		outOfRange: uint32(tb.AccountImportedEventTimestampOutOfRange), mustNotAdvance: uint32(tb.AccountImportedEventTimestampMustNotAdvance),
	})
	return results
}

// ExecuteTransfers executes a request whose last event has the timestamp.
func (l *Ledger) ExecuteTransfers(timestamp uint64, transfers []tb.Transfer) []tb.CreateTransferResult {
	results := make([]tb.CreateTransferResult, len(transfers))
	l.execute(timestamp, len(transfers), events{
		flags:     func(i int) (uint16, uint16) { return transfers[i].Flags, 1 << 8 },
		timestamp: func(i int) uint64 { return transfers[i].Timestamp },
		create: func(i int, timestamp uint64) (uint32, uint64) {
			status := l.createTransfer(timestamp, transfers[i])
			if status == tb.TransferCreated || status == tb.TransferExists {
				timestamp = l.state.transfers[transfers[i].ID].Timestamp
			}
			return uint32(status), timestamp
		},
		answer: func(i int, status uint32, timestamp uint64) {
			results[i] = tb.CreateTransferResult{Status: tb.CreateTransferStatus(status), Timestamp: timestamp}
		},
		failed: func(i int, status uint32) {
			switch tb.CreateTransferStatus(status) {
			case tb.TransferDebitAccountNotFound, tb.TransferCreditAccountNotFound, tb.TransferPendingTransferNotFound,
				tb.TransferExceedsCredits, tb.TransferExceedsDebits,
				tb.TransferDebitAccountAlreadyClosed, tb.TransferCreditAccountAlreadyClosed:
				l.state.failed[transfers[i].ID] = true
			default:
			}
		},
		importedExpected: uint32(tb.TransferImportedEventExpected), importedNotExpected: uint32(tb.TransferImportedEventNotExpected),
		outOfRange: uint32(tb.TransferImportedEventTimestampOutOfRange), mustNotAdvance: uint32(tb.TransferImportedEventTimestampMustNotAdvance),
	})
	return results
}

// Statuses that accounts and transfers share.
const (
	created             = uint32(tb.TransferCreated)
	linkedEventFailed   = uint32(tb.TransferLinkedEventFailed)
	linkedChainOpen     = uint32(tb.TransferLinkedEventChainOpen)
	timestampMustBeZero = uint32(tb.TransferTimestampMustBeZero)
)

type events struct {
	flags     func(i int) (flags, imported uint16)
	timestamp func(i int) uint64
	create    func(i int, timestamp uint64) (status uint32, at uint64)
	answer    func(i int, status uint32, timestamp uint64)
	failed    func(i int, status uint32)

	importedExpected, importedNotExpected, outOfRange, mustNotAdvance uint32
}

// execute splits the request into chains; a single event is a chain of one.
func (l *Ledger) execute(timestamp uint64, count int, e events) {
	for first := 0; first < count; {
		last := first
		for flags, _ := e.flags(last); flags&1 != 0 && last < count-1; flags, _ = e.flags(last) {
			last++
		}
		l.executeChain(timestamp, count, first, last, e)
		first = last + 1
	}
	if count > 0 {
		l.state.timestamp = timestamp
	}
}

func (l *Ledger) executeChain(timestamp uint64, count, first, last int, e events) {
	before := l.state.clone()
	answers := make([]struct {
		status uint32
		at     uint64
	}, count)
	broken := -1
	for i := first; i <= last; i++ {
		at := timestamp - uint64(count-1-i)
		flags, _ := e.flags(i)
		status := linkedEventFailed
		switch {
		case i == count-1 && flags&1 != 0:
			status = linkedChainOpen
		case broken < 0:
			status, at = l.executeEvent(timestamp, at, i, e)
		}
		if status != created && broken < 0 {
			broken = i
		}
		answers[i].status, answers[i].at = status, at
	}
	if broken >= 0 {
		l.state = before
		for i := first; i < broken; i++ {
			answers[i].status = linkedEventFailed
		}
	}
	for i := first; i <= last; i++ {
		e.answer(i, answers[i].status, answers[i].at)
		if e.failed != nil && answers[i].status != created {
			e.failed(i, answers[i].status)
		}
	}
}

func (l *Ledger) executeEvent(timestamp, at uint64, i int, e events) (status uint32, actual uint64) {
	flags, importedBit := e.flags(i)
	flags0, _ := e.flags(0)
	imported, batchImported := flags&importedBit != 0, flags0&importedBit != 0
	given := e.timestamp(i)
	switch {
	case imported && !batchImported:
		return e.importedNotExpected, at
	case !imported && batchImported:
		return e.importedExpected, at
	case imported && (given == 0 || given > timestampMax):
		return e.outOfRange, at
	case imported && given >= timestamp:
		return e.mustNotAdvance, at
	case !imported && given != 0:
		return timestampMustBeZero, at
	}
	return e.create(i, at)
}

// Amounts.

func number(v tb.Uint128) *big.Int { return v.BigInt() }

func wire(n *big.Int) tb.Uint128 { return tb.BigIntToUint128(n) }

func sum(values ...tb.Uint128) *big.Int {
	total := new(big.Int)
	for _, v := range values {
		total.Add(total, number(v))
	}
	return total
}

func plus(a, b tb.Uint128) tb.Uint128 { return wire(sum(a, b)) }

func less(a, b tb.Uint128) tb.Uint128 { return wire(new(big.Int).Sub(number(a), number(b))) }

func tooBig(n *big.Int) bool { return n.BitLen() > 128 }

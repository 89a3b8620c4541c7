package machine

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// Flags as bits of the wire format (tigerbeetle.zig: AccountFlags, TransferFlags).
const (
	accountLinked                     uint16 = 1 << 0
	accountDebitsMustNotExceedCredits uint16 = 1 << 1
	accountCreditsMustNotExceedDebits uint16 = 1 << 2
	accountHistory                    uint16 = 1 << 3
	accountImported                   uint16 = 1 << 4
	accountClosed                     uint16 = 1 << 5
	accountFlagsKnown                 uint16 = 1<<6 - 1

	transferLinked          uint16 = 1 << 0
	transferPending         uint16 = 1 << 1
	transferPost            uint16 = 1 << 2
	transferVoid            uint16 = 1 << 3
	transferBalancingDebit  uint16 = 1 << 4
	transferBalancingCredit uint16 = 1 << 5
	transferClosingDebit    uint16 = 1 << 6
	transferClosingCredit   uint16 = 1 << 7
	transferImported        uint16 = 1 << 8
	transferFlagsKnown      uint16 = 1<<9 - 1
)

// TimestampMax is the greatest timestamp there is: the reference keeps the top
// bit for itself (lsm/timestamp_range.zig).
const TimestampMax = 1<<63 - 1

// TimestampUsedMax is the greatest timestamp that a loaded ledger may have reached, because
// what follows needs room.
const TimestampUsedMax = TimestampMax - 1<<20

func timestampValid(t uint64) bool { return t >= 1 && t <= TimestampMax }

const nanosecondsPerSecond = 1_000_000_000

// balances is the part of an account that transfers change.
type balances struct {
	debitsPending, debitsPosted   u128
	creditsPending, creditsPosted u128
	closed                        bool
}

// account is one row of the accounts. Everything but the balances is fixed when
// the account is created.
type account struct {
	id          u128
	userData128 u128
	userData64  uint64
	timestamp   uint64
	userData32  uint32
	ledger      uint32
	code        uint16
	// flagsCreated are the flags of the request; balances.closed is today's
	// state of the closed flag.
	flagsCreated uint16
	balances     balances
}

func (a *account) flags() uint16 { return a.flagsWith(a.balances.closed) }

func (a *account) flagsWith(closed bool) uint16 {
	if closed {
		return a.flagsCreated | accountClosed
	}
	return a.flagsCreated &^ accountClosed
}

func (a *account) wire() tb.Account {
	return tb.Account{
		ID:             a.id.wire(),
		DebitsPending:  a.balances.debitsPending.wire(),
		DebitsPosted:   a.balances.debitsPosted.wire(),
		CreditsPending: a.balances.creditsPending.wire(),
		CreditsPosted:  a.balances.creditsPosted.wire(),
		UserData128:    a.userData128.wire(),
		UserData64:     a.userData64,
		UserData32:     a.userData32,
		Ledger:         a.ledger,
		Code:           a.code,
		Flags:          a.flags(),
		Timestamp:      a.timestamp,
	}
}

// noRow is the row number that means no row.
const noRow = ^uint32(0)

// burnt marks, in the index of transfer ids, a reference to an id that failed for a
// transient reason and can never be used again. The others are rows, so there is room for
// half of what 32 bits can number of each kind.
const (
	burnt   uint32 = 1 << 31
	rowsMax        = burnt - 1
)

// transfer is one row of the transfers: 88 bytes without pointers. Rows are immutable; the
// outcome of a pending transfer is in Machine.pendingStatus. Accounts and the pending
// transfer are row numbers, and the ledger is the accounts', which saves a quarter of the
// wire format's memory.
type transfer struct {
	id          u128
	amount      u128
	userData128 u128
	userData64  uint64
	timestamp   uint64
	debit       uint32
	credit      uint32
	pending     uint32 // the transfer that this one posts or voids, or noRow
	userData32  uint32
	timeout     uint32 // seconds
	code        uint16
	flags       uint16
}

// expiresAt is the timestamp at which a pending transfer with a timeout ends.
func (t *transfer) expiresAt() uint64 {
	return t.timestamp + uint64(t.timeout)*nanosecondsPerSecond
}

// pendingStatus is the outcome of a pending transfer (tigerbeetle.zig:
// TransferPendingStatus).
type pendingStatus uint8

const (
	statusNone pendingStatus = iota
	statusPending
	statusPosted
	statusVoided
	statusExpired
)

// expiry is one pending transfer that timed out.
type expiry struct {
	timestamp uint64 // when it was expired: at or after its deadline
	snapshot  uint64 // the balances afterwards, in Machine.history
	transfer  uint32
	// transfersBefore is the number of transfers that existed: where in the
	// history the expiry belongs.
	transfersBefore uint32
}

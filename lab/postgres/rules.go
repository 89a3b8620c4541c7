package postgres

import (
	"math"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// Flags of accounts and transfers, as bits (TigerBeetle's reference).
const (
	accountLinked         uint16 = 1 << 0
	accountDebitsLimited  uint16 = 1 << 1 // debits_must_not_exceed_credits
	accountCreditsLimited uint16 = 1 << 2 // credits_must_not_exceed_debits
	accountFlagsKnown     uint16 = 1<<6 - 1
	accountFlagsSupported        = accountDebitsLimited | accountCreditsLimited

	linked                 uint16 = 1 << 0
	pending                uint16 = 1 << 1
	post                   uint16 = 1 << 2
	void                   uint16 = 1 << 3
	balancingDebit         uint16 = 1 << 4
	balancingCredit        uint16 = 1 << 5
	transferFlagsKnown     uint16 = 1<<9 - 1
	transferFlagsSupported uint16 = 1<<6 - 1
)

const nanosecondsPerSecond = 1_000_000_000

// state is what became of a transfer, as the table has it.
type state int16

const (
	stateSingle  state = 0 // posted at once
	statePending state = 1
	statePosted  state = 2
	stateVoided  state = 3
	stateExpired state = 4
	stateRefused state = 5 // no transfer: its id is burnt
)

// A transfer is one row. Of a refused one only the id and the timestamp count.
type transfer struct {
	tb.Transfer
	state state
	was   state // in the table
}

func (t *transfer) amount() int64 {
	amount, _ := amountOf(t.Amount)
	return amount
}

// expiresAt is the deadline of a pending transfer; ok is false where it has none.
func (t *transfer) expiresAt() (timestamp uint64, ok bool) {
	return t.Timestamp + uint64(t.Timeout)*nanosecondsPerSecond, t.Timeout != 0
}

type balances struct {
	debitsPending, debitsPosted, creditsPending, creditsPosted int64
}

// An account is one locked row, as far as a transfer needs it.
type account struct {
	id     tb.Uint128
	ledger uint32
	flags  uint16
	balances
	was           balances // in the table
	lastTimestamp uint64   // of its newest transfer
	touched       bool     // by this request
}

// A sheet is what one request works on: the rows that it names, all locked. It
// applies the reference's rules in memory and remembers what to write.
type sheet struct {
	// now is the timestamp before that of the first event.
	now       uint64
	accounts  map[tb.Uint128]*account
	transfers map[tb.Uint128]*transfer
	// fresh are the ids of new rows in their sequence, resolved those of pending
	// transfers that were in the table and ended.
	fresh    []tb.Uint128
	resolved []tb.Uint128
	// stale: a row turned up that was not there when the locks were taken.
	stale bool
	// undo takes the open chain back, last step first.
	undo []func()
}

// run decides all events, in sequence (docs.tigerbeetle.com, "Linked Events"):
// the first failure of a chain undoes it and keeps its own status; the chain's
// other events answer linked_event_failed.
func (s *sheet) run(events []tb.Transfer) []tb.CreateTransferResult {
	results := make([]tb.CreateTransferResult, len(events))
	const none = -1
	start, broken := none, false
	for i := range events {
		t := &events[i]
		isLinked, last := t.Flags&linked != 0, i == len(events)-1
		if start == none {
			s.undo = s.undo[:0]
			if isLinked {
				start = i
			}
		}
		at := s.now + uint64(i) + 1
		var status tb.CreateTransferStatus
		timestamp := at
		switch {
		case isLinked && last:
			status = tb.TransferLinkedEventChainOpen
		case broken:
			status = tb.TransferLinkedEventFailed
		case t.Timestamp != 0:
			status = tb.TransferTimestampMustBeZero
		default:
			status, timestamp = s.create(t, at)
		}
		if status != tb.TransferCreated {
			if start != none && !broken {
				broken = true
				s.takeBack()
				for earlier := start; earlier < i; earlier++ {
					results[earlier].Status = tb.TransferLinkedEventFailed
				}
			}
			if burns(status) {
				s.insert(transfer{Transfer: tb.Transfer{ID: t.ID, Timestamp: at}, state: stateRefused})
				s.undo = s.undo[:0] // a burnt id outlives its chain
			}
		}
		results[i] = tb.CreateTransferResult{Timestamp: timestamp, Status: status}
		if start != none && (!isLinked || last) {
			start, broken = none, false
		}
	}
	return results
}

func (s *sheet) takeBack() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
	s.undo = s.undo[:0]
}

// burns reports whether the same transfer could succeed at another time. Its id
// is then refused for ever, so that a request which is repeated always means
// the same (TigerBeetle's reference, id_already_failed).
func burns(status tb.CreateTransferStatus) bool {
	switch status {
	case tb.TransferDebitAccountNotFound,
		tb.TransferCreditAccountNotFound,
		tb.TransferPendingTransferNotFound,
		tb.TransferExceedsCredits,
		tb.TransferExceedsDebits:
		return true
	default:
		return false
	}
}

// create decides one transfer in the reference's order of precedence. The
// timestamp is the transfer's for created and exists, otherwise the event's.
func (s *sheet) create(t *tb.Transfer, at uint64) (tb.CreateTransferStatus, uint64) {
	switch {
	case t.Flags&^transferFlagsKnown != 0:
		return tb.TransferReservedFlag, at
	case t.ID == zero:
		return tb.TransferIDMustNotBeZero, at
	case t.ID == tb.AmountMax:
		return tb.TransferIDMustNotBeIntMax, at
	}
	if there, ok := s.transfers[t.ID]; ok {
		if there.state == stateRefused {
			return tb.TransferIDAlreadyFailed, at
		}
		if status := s.exists(t, there); status != tb.TransferExists {
			return status, at
		}
		return tb.TransferExists, there.Timestamp
	}
	if t.Flags&(post|void) != 0 {
		return s.resolve(t, at), at
	}
	return s.move(t, at), at
}

// insert adds a row.
func (s *sheet) insert(t transfer) {
	s.transfers[t.ID] = &t
	s.fresh = append(s.fresh, t.ID)
	s.undo = append(s.undo, func() {
		delete(s.transfers, t.ID)
		s.fresh = s.fresh[:len(s.fresh)-1]
	})
}

// change is the one place where an account changes.
func (s *sheet) change(a *account, after balances, at uint64) {
	before := *a
	s.undo = append(s.undo, func() { *a = before })
	a.balances, a.lastTimestamp, a.touched = after, at, true
}

// move executes a transfer that is not about another one: single or pending.
func (s *sheet) move(t *tb.Transfer, at uint64) tb.CreateTransferStatus {
	if status := checkMove(t); status != tb.TransferCreated {
		return status
	}
	debit, ok := s.accounts[t.DebitAccountID]
	if !ok {
		return tb.TransferDebitAccountNotFound
	}
	credit, ok := s.accounts[t.CreditAccountID]
	if !ok {
		return tb.TransferCreditAccountNotFound
	}
	switch {
	case debit.ledger != credit.ledger:
		return tb.TransferAccountsMustHaveTheSameLedger
	case t.Ledger != debit.ledger:
		return tb.TransferTransferMustHaveTheSameLedgerAsAccounts
	}
	amount, status := affordable(t, at, debit, credit)
	if status != tb.TransferCreated {
		return status
	}
	row := transfer{Transfer: *t}
	row.Amount, row.Timestamp = toAmount(amount), at
	d, c := debit.balances, credit.balances
	if t.Flags&pending != 0 {
		row.state = statePending
		d.debitsPending += amount
		c.creditsPending += amount
	} else {
		d.debitsPosted += amount
		c.creditsPosted += amount
	}
	s.insert(row)
	s.change(debit, d, at)
	s.change(credit, c, at)
	return tb.TransferCreated
}

func checkMove(t *tb.Transfer) tb.CreateTransferStatus {
	switch {
	case t.DebitAccountID == zero:
		return tb.TransferDebitAccountIDMustNotBeZero
	case t.DebitAccountID == tb.AmountMax:
		return tb.TransferDebitAccountIDMustNotBeIntMax
	case t.CreditAccountID == zero:
		return tb.TransferCreditAccountIDMustNotBeZero
	case t.CreditAccountID == tb.AmountMax:
		return tb.TransferCreditAccountIDMustNotBeIntMax
	case t.DebitAccountID == t.CreditAccountID:
		return tb.TransferAccountsMustBeDifferent
	case t.PendingID != zero:
		return tb.TransferPendingIDMustBeZero
	case t.Flags&pending == 0 && t.Timeout != 0:
		return tb.TransferTimeoutReservedForPendingTransfer
	case t.Ledger == 0:
		return tb.TransferLedgerMustNotBeZero
	case t.Code == 0:
		return tb.TransferCodeMustNotBeZero
	}
	return tb.TransferCreated
}

// affordable gives the amount that moves: for a balancing transfer at most what
// the accounts can give and take. Overflows come before limits, as in the
// reference, at 63 bits and not at 128.
func affordable(t *tb.Transfer, at uint64, debit, credit *account) (int64, tb.CreateTransferStatus) {
	d, c := &debit.balances, &credit.balances
	amount, fits := amountOf(t.Amount)
	if !fits {
		amount = math.MaxInt64
	}
	if t.Flags&balancingDebit != 0 {
		amount, fits = min(amount, max(0, d.creditsPosted-d.debitsPosted-d.debitsPending)), true
	}
	if t.Flags&balancingCredit != 0 {
		amount, fits = min(amount, max(0, c.debitsPosted-c.creditsPosted-c.creditsPending)), true
	}
	overflows := func(sum int64) bool { return !fits || amount > math.MaxInt64-sum }
	isPending := t.Flags&pending != 0
	switch {
	case isPending && overflows(d.debitsPending):
		return 0, tb.TransferOverflowsDebitsPending
	case isPending && overflows(c.creditsPending):
		return 0, tb.TransferOverflowsCreditsPending
	case overflows(d.debitsPosted):
		return 0, tb.TransferOverflowsDebitsPosted
	case overflows(c.creditsPosted):
		return 0, tb.TransferOverflowsCreditsPosted
	case overflows(d.debitsPending + d.debitsPosted):
		return 0, tb.TransferOverflowsDebits
	case overflows(c.creditsPending + c.creditsPosted):
		return 0, tb.TransferOverflowsCredits
	case at+uint64(t.Timeout)*nanosecondsPerSecond > math.MaxInt64:
		return 0, tb.TransferOverflowsTimeout
	case debit.flags&accountDebitsLimited != 0 && d.debitsPending+d.debitsPosted+amount > d.creditsPosted:
		return 0, tb.TransferExceedsCredits
	case credit.flags&accountCreditsLimited != 0 && c.creditsPending+c.creditsPosted+amount > c.debitsPosted:
		return 0, tb.TransferExceedsDebits
	}
	return amount, tb.TransferCreated
}

// resolve posts or voids a pending transfer.
func (s *sheet) resolve(t *tb.Transfer, at uint64) tb.CreateTransferStatus {
	if status := checkResolve(t); status != tb.TransferCreated {
		return status
	}
	p, ok := s.transfers[t.PendingID]
	if !ok || p.state == stateRefused {
		return tb.TransferPendingTransferNotFound
	}
	amount, status := resolvable(t, p, at)
	if status != tb.TransferCreated {
		return status
	}
	debit, credit := s.accounts[p.DebitAccountID], s.accounts[p.CreditAccountID]
	if debit == nil || credit == nil { // it was created since the locks were taken
		s.stale = true
		return tb.TransferPendingTransferNotFound
	}
	row := transfer{Transfer: *t, state: stateSingle}
	row.DebitAccountID, row.CreditAccountID = p.DebitAccountID, p.CreditAccountID
	row.Ledger, row.Code, row.Amount, row.Timestamp = p.Ledger, p.Code, toAmount(amount), at
	row.UserData128 = orElse(t.UserData128, p.UserData128)
	row.UserData64 = orElse(t.UserData64, p.UserData64)
	row.UserData32 = orElse(t.UserData32, p.UserData32)

	d, c := debit.balances, credit.balances
	d.debitsPending -= p.amount()
	c.creditsPending -= p.amount()
	outcome := stateVoided
	if t.Flags&post != 0 {
		outcome = statePosted
		d.debitsPosted += amount
		c.creditsPosted += amount
	}
	s.insert(row)
	s.end(p, outcome)
	s.change(debit, d, at)
	s.change(credit, c, at)
	return tb.TransferCreated
}

// end gives a pending transfer its ending.
func (s *sheet) end(p *transfer, outcome state) {
	p.state = outcome
	inTable := p.was == statePending
	if inTable {
		s.resolved = append(s.resolved, p.ID)
	}
	s.undo = append(s.undo, func() {
		p.state = statePending
		if inTable {
			s.resolved = s.resolved[:len(s.resolved)-1]
		}
	})
}

func checkResolve(t *tb.Transfer) tb.CreateTransferStatus {
	switch {
	case t.Flags&post != 0 && t.Flags&void != 0, t.Flags&(pending|balancingDebit|balancingCredit) != 0:
		return tb.TransferFlagsAreMutuallyExclusive
	case t.PendingID == zero:
		return tb.TransferPendingIDMustNotBeZero
	case t.PendingID == tb.AmountMax:
		return tb.TransferPendingIDMustNotBeIntMax
	case t.PendingID == t.ID:
		return tb.TransferPendingIDMustBeDifferent
	case t.Timeout != 0:
		return tb.TransferTimeoutReservedForPendingTransfer
	}
	return tb.TransferCreated
}

// resolvable compares a post or void with its pending transfer, and gives the
// amount. A zero field says nothing. Past its deadline a pending transfer has
// expired even before the sweep comes by.
func resolvable(t *tb.Transfer, p *transfer, at uint64) (int64, tb.CreateTransferStatus) {
	switch {
	case p.Flags&pending == 0:
		return 0, tb.TransferPendingTransferNotPending
	case t.DebitAccountID != zero && t.DebitAccountID != p.DebitAccountID:
		return 0, tb.TransferPendingTransferHasDifferentDebitAccountID
	case t.CreditAccountID != zero && t.CreditAccountID != p.CreditAccountID:
		return 0, tb.TransferPendingTransferHasDifferentCreditAccountID
	case t.Ledger != 0 && t.Ledger != p.Ledger:
		return 0, tb.TransferPendingTransferHasDifferentLedger
	case t.Code != 0 && t.Code != p.Code:
		return 0, tb.TransferPendingTransferHasDifferentCode
	}
	amount, fits := amountOf(meant(t, p))
	switch {
	case !fits || amount > p.amount():
		return 0, tb.TransferExceedsPendingTransferAmount
	case t.Flags&void != 0 && amount < p.amount():
		return 0, tb.TransferPendingTransferHasDifferentAmount
	}
	switch p.state {
	case statePosted:
		return 0, tb.TransferPendingTransferAlreadyPosted
	case stateVoided:
		return 0, tb.TransferPendingTransferAlreadyVoided
	case stateExpired:
		return 0, tb.TransferPendingTransferExpired
	case stateSingle, statePending, stateRefused:
	}
	if deadline, ok := p.expiresAt(); ok && deadline <= at {
		return 0, tb.TransferPendingTransferExpired
	}
	return amount, tb.TransferCreated
}

// meant is the amount of a post or void: AMOUNT_MAX posts all, zero voids all.
func meant(t *tb.Transfer, p *transfer) tb.Uint128 {
	isVoid := t.Flags&void != 0
	if isVoid && t.Amount == zero || !isVoid && t.Amount == tb.AmountMax {
		return p.Amount
	}
	return t.Amount
}

// exists compares a transfer with the row of the same id, so that a repeated
// request is told apart from a reused id.
func (s *sheet) exists(t *tb.Transfer, e *transfer) tb.CreateTransferStatus {
	switch {
	case t.Flags != e.Flags:
		return tb.TransferExistsWithDifferentFlags
	case t.PendingID != e.PendingID:
		return tb.TransferExistsWithDifferentPendingID
	case t.Timeout != e.Timeout:
		return tb.TransferExistsWithDifferentTimeout
	}
	want, differs := *t, t.Amount != e.Amount
	switch {
	case t.Flags&(post|void) != 0:
		// What the request leaves open was taken from the pending transfer.
		p := s.transfers[e.PendingID] // read by the same statement as e
		differs = meant(t, p) != e.Amount
		want.DebitAccountID = orElse(t.DebitAccountID, e.DebitAccountID)
		want.CreditAccountID = orElse(t.CreditAccountID, e.CreditAccountID)
		want.UserData128 = orElse(t.UserData128, p.UserData128)
		want.UserData64 = orElse(t.UserData64, p.UserData64)
		want.UserData32 = orElse(t.UserData32, p.UserData32)
		want.Ledger, want.Code = orElse(t.Ledger, e.Ledger), orElse(t.Code, e.Code)
	case t.Flags&(balancingDebit|balancingCredit) != 0:
		// The amount is an upper limit: what moved depends on the balance then.
		limit, fits := amountOf(t.Amount)
		differs = fits && limit < e.amount()
	}
	return compare(&want, e, differs)
}

func compare(want *tb.Transfer, e *transfer, amountDiffers bool) tb.CreateTransferStatus {
	switch {
	case want.DebitAccountID != e.DebitAccountID:
		return tb.TransferExistsWithDifferentDebitAccountID
	case want.CreditAccountID != e.CreditAccountID:
		return tb.TransferExistsWithDifferentCreditAccountID
	case amountDiffers:
		return tb.TransferExistsWithDifferentAmount
	case want.UserData128 != e.UserData128:
		return tb.TransferExistsWithDifferentUserData128
	case want.UserData64 != e.UserData64:
		return tb.TransferExistsWithDifferentUserData64
	case want.UserData32 != e.UserData32:
		return tb.TransferExistsWithDifferentUserData32
	case want.Ledger != e.Ledger:
		return tb.TransferExistsWithDifferentLedger
	case want.Code != e.Code:
		return tb.TransferExistsWithDifferentCode
	}
	return tb.TransferExists
}

func orElse[T comparable](value, otherwise T) T {
	var none T
	if value == none {
		return otherwise
	}
	return value
}

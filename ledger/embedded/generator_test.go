package embedded_test

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"pgregory.net/rapid"
)

// A generator draws histories: requests of every kind, valid and not, that refer
// to what earlier requests did. Ids, ledgers and user data are relative to a
// base, so that many histories share one server without meeting.
type generator struct {
	t *rapid.T

	base   tb.Uint128 // of ids and user_data_128: the low 32 bits are zero
	ledger uint32     // the first of the ledgers used
	// timeouts are those of pending transfers. With the clock of a real server
	// only ones that never pass are used.
	timeouts []uint32
	// exclusive says that nobody else uses the ledger: filters may then select
	// everything.
	exclusive bool

	accounts  []tb.Account  // as submitted
	transfers []tb.Transfer // as submitted
	holds     [][]tb.Transfer
	nextID    uint32

	// timestamps are those seen in answers so far; requests name them by index.
	timestamps []uint64
	// lastAccount and lastTransfer are the timestamps of the newest.
	lastAccount, lastTransfer uint64
}

const (
	flagLinked          = 1 << 0
	flagPending         = 1 << 1
	flagPost            = 1 << 2
	flagVoid            = 1 << 3
	flagBalancingDebit  = 1 << 4
	flagBalancingCredit = 1 << 5
	flagClosingDebit    = 1 << 6
	flagClosingCredit   = 1 << 7
	flagImported        = 1 << 8

	accountFlagLinked         = 1 << 0
	accountFlagDebitsLimited  = 1 << 1
	accountFlagCreditsLimited = 1 << 2
	accountFlagHistory        = 1 << 3
	accountFlagImported       = 1 << 4
	accountFlagClosed         = 1 << 5
)

func pick[T any](g *generator, label string, values ...T) T {
	return rapid.SampledFrom(values).Draw(g.t, label)
}

// chance is true in about percent of the draws; it shrinks to false.
func (g *generator) chance(label string, percent int) bool {
	return rapid.IntRange(0, 99).Draw(g.t, label) >= 100-percent
}

func (g *generator) id(n uint32) tb.Uint128 {
	bytes := g.base.Bytes()
	bytes[0], bytes[1], bytes[2], bytes[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
	return tb.BytesToUint128(bytes)
}

func (g *generator) freshID() tb.Uint128 {
	g.nextID++
	return g.id(g.nextID)
}

func (g *generator) oddID() tb.Uint128 {
	return pick(g, "odd id", tb.Uint128{}, tb.AmountMax, g.id(1<<31))
}

var amounts = []tb.Uint128{
	tb.ToUint128(0), tb.ToUint128(1), tb.ToUint128(2), tb.ToUint128(3), tb.ToUint128(10), tb.ToUint128(100),
	power(64), power(127), minusOne(tb.AmountMax), tb.AmountMax,
}

func power(n uint) tb.Uint128 { return tb.BigIntToUint128(new(big.Int).Lsh(big.NewInt(1), n)) }

func minusOne(v tb.Uint128) tb.Uint128 {
	n := v.BigInt()
	return tb.BigIntToUint128(n.Sub(n, big.NewInt(1)))
}

func (g *generator) amount() tb.Uint128 {
	if g.chance("huge amount", 12) {
		return pick(g, "amount", amounts...)
	}
	return pick(g, "amount", amounts[:6]...)
}

// firstAccounts is a request for accounts of every sort on one ledger.
func (g *generator) firstAccounts() []tb.Account {
	flags := []uint16{0, accountFlagHistory, accountFlagDebitsLimited | accountFlagHistory, accountFlagCreditsLimited, 0}
	accounts := make([]tb.Account, len(flags))
	for i := range accounts {
		accounts[i] = tb.Account{ID: g.freshID(), Ledger: g.ledger, Code: 1, Flags: flags[i], UserData32: uint32(i % 2)}
	}
	g.accounts = append(g.accounts, accounts...)
	return accounts
}

func (g *generator) createAccounts() []tb.Account {
	imported := g.chance("imported", 15)
	accounts := make([]tb.Account, rapid.IntRange(0, 4).Draw(g.t, "accounts"))
	for i := range accounts {
		a := g.account()
		if imported != g.chance("mixed", 4) {
			a.Flags |= accountFlagImported
			a.Timestamp = g.importedTimestamp(g.lastAccount, uint64(i))
		}
		accounts[i] = a
		g.accounts = append(g.accounts, a)
	}
	return accounts
}

func (g *generator) account() tb.Account {
	if len(g.accounts) > 0 && g.chance("again", 25) {
		a := rapid.SampledFrom(g.accounts).Draw(g.t, "account")
		a.Flags &^= accountFlagImported
		a.Timestamp = 0
		return g.changedAccount(a)
	}
	a := tb.Account{
		ID: g.freshID(), Ledger: g.ledger + pick[uint32](g, "ledger", 0, 0, 0, 1), Code: pick[uint16](g, "code", 1, 2),
		Flags:       pick[uint16](g, "flags", 0, accountFlagHistory, accountFlagDebitsLimited, accountFlagCreditsLimited),
		UserData128: pick(g, "user data", tb.Uint128{}, g.id(1)),
		UserData64:  pick[uint64](g, "user data", 0, 7),
		UserData32:  pick[uint32](g, "user data", 0, 7),
	}
	if g.chance("linked", 30) {
		a.Flags |= accountFlagLinked
	}
	if g.chance("closed", 8) {
		a.Flags |= accountFlagClosed
	}
	if g.chance("wrong", 20) {
		a = g.changedAccount(a)
	}
	return a
}

// changedAccount changes one field, or none.
func (g *generator) changedAccount(a tb.Account) tb.Account {
	one := tb.ToUint128(1)
	switch rapid.IntRange(0, 14).Draw(g.t, "change") {
	case 1:
		a.ID = g.oddID()
	case 2:
		a.Flags ^= pick[uint16](g, "flag", 1, 2, 4, 8, 32, 64, 1<<15)
	case 3:
		a.UserData128 = g.id(9)
	case 4:
		a.UserData64++
	case 5:
		a.UserData32++
	case 6:
		a.Ledger = pick[uint32](g, "ledger", 0, g.ledger+1)
	case 7:
		a.Code = pick[uint16](g, "code", 0, 3)
	case 8:
		a.DebitsPending = one
	case 9:
		a.DebitsPosted = one
	case 10:
		a.CreditsPending = one
	case 11:
		a.CreditsPosted = one
	case 12:
		a.Reserved = 1
	case 13:
		a.Timestamp = 1
	case 14:
		a.Flags |= accountFlagDebitsLimited | accountFlagCreditsLimited
	}
	return a
}

func (g *generator) createTransfers() []tb.Transfer {
	imported := g.chance("imported", 12)
	transfers := make([]tb.Transfer, rapid.IntRange(0, 6).Draw(g.t, "transfers"))
	for i := range transfers {
		t := g.transfer()
		if imported != g.chance("mixed", 4) {
			t.Flags |= flagImported
			t.Timestamp = g.importedTimestamp(g.lastTransfer, uint64(i))
			if !g.chance("imported timeout", 10) {
				t.Timeout = 0
			}
			if !g.exclusive && g.crashesServer(t) {
				t.PendingID = tb.Uint128{}
			}
		}
		transfers[i] = t
		g.transfers = append(g.transfers, t)
	}
	if !imported && g.chance("a chain of holds", 15) {
		chain := g.hold()
		if len(g.holds) > 0 && g.chance("end", 50) {
			chain = g.endOfHold()
		}
		transfers = append(transfers, chain...)
		g.transfers = append(g.transfers, chain...)
	}
	return transfers
}

// hold is a chain as that of an order: pending, each leg from a budget that others have a share in.
func (g *generator) hold() []tb.Transfer {
	chain := make([]tb.Transfer, 3)
	timeout := pick(g, "timeout", g.timeouts...)
	for i := range chain {
		budget := rapid.SampledFrom(g.accounts).Draw(g.t, "budget")
		spent := rapid.SampledFrom(g.accounts).Draw(g.t, "spent")
		chain[i] = tb.Transfer{
			ID: g.freshID(), DebitAccountID: budget.ID, CreditAccountID: spent.ID, Amount: tb.ToUint128(1), Ledger: budget.Ledger, Code: 1,
			Timeout: timeout, Flags: flagPending | flagLinked,
		}
	}
	chain[len(chain)-1].Flags = flagPending
	g.holds = append(g.holds, chain)
	return chain
}

// endOfHold posts or voids all of a hold.
func (g *generator) endOfHold() []tb.Transfer {
	chain := slices.Clone(rapid.SampledFrom(g.holds).Draw(g.t, "hold"))
	how := pick[uint16](g, "end", flagPost, flagVoid)
	for i, p := range chain {
		chain[i] = tb.Transfer{ID: g.freshID(), PendingID: p.ID, Flags: how | p.Flags&flagLinked}
		if how == flagPost {
			chain[i].Amount = tb.AmountMax
		}
	}
	return chain
}

// crashesServer reports whether a transfer is an imported post or void of a
// pending transfer with a timeout: release 0.17.9 does not expect it and its
// process ends (state_machine.zig: post_or_void_pending_transfer,
// assert(!t.flags.imported)).
func (g *generator) crashesServer(t tb.Transfer) bool {
	return t.Flags&(flagPost|flagVoid) != 0 && slices.ContainsFunc(g.transfers, func(p tb.Transfer) bool {
		return p.ID == t.PendingID && p.Timeout != 0
	})
}

// importedTimestamp is mostly just after the last event of its kind, so that it
// is accepted; a nanosecond apart there is room, because requests take longer.
func (g *generator) importedTimestamp(last, i uint64) uint64 {
	if g.chance("odd timestamp", 15) {
		return pick(g, "timestamp", 0, 1, 1<<63, 1<<63-1, g.timestamp())
	}
	return max(last, g.lastAccount) + 1 + i
}

func (g *generator) timestamp() uint64 {
	if len(g.timestamps) == 0 {
		return 1
	}
	at := rapid.SampledFrom(g.timestamps).Draw(g.t, "timestamp")
	return at + uint64(rapid.IntRange(0, 2).Draw(g.t, "off")) - 1
}

func (g *generator) transfer() tb.Transfer {
	if len(g.transfers) > 0 && g.chance("again", 18) {
		t := rapid.SampledFrom(g.transfers).Draw(g.t, "transfer")
		if t.Flags&flagImported != 0 {
			return t
		}
		return g.changedTransfer(t)
	}
	t := g.newTransfer()
	if g.chance("linked", 30) {
		t.Flags |= flagLinked
	}
	if g.chance("wrong", 15) {
		t = g.changedTransfer(t)
	}
	return t
}

func (g *generator) newTransfer() tb.Transfer {
	if g.chance("finish", 35) {
		return g.postOrVoid()
	}
	accounts := g.accounts[:min(5, len(g.accounts))]
	if g.chance("other account", 10) {
		accounts = g.accounts
	}
	debit := rapid.SampledFrom(accounts).Draw(g.t, "debit")
	credit := rapid.SampledFrom(accounts).Draw(g.t, "credit")
	t := tb.Transfer{
		ID: g.freshID(), DebitAccountID: debit.ID, CreditAccountID: credit.ID, Amount: g.amount(),
		Ledger: debit.Ledger, Code: pick[uint16](g, "code", 1, 2),
		UserData128: pick(g, "user data", tb.Uint128{}, g.id(1), g.id(2)),
		UserData64:  pick[uint64](g, "user data", 0, 7, 8),
		UserData32:  pick[uint32](g, "user data", 0, 7, 8),
	}
	switch rapid.IntRange(0, 9).Draw(g.t, "kind") {
	case 0, 1, 2, 3:
	case 4, 5, 6:
		t.Flags = flagPending
		t.Timeout = pick(g, "timeout", g.timeouts...)
	case 7:
		t.Flags = pick[uint16](g, "balancing", flagBalancingDebit, flagBalancingCredit, flagBalancingDebit|flagBalancingCredit)
		if g.chance("pending", 30) {
			t.Flags |= flagPending
		}
	case 8:
		t.Flags = flagPending | pick[uint16](g, "closing", flagClosingDebit, flagClosingCredit, flagClosingDebit|flagClosingCredit)
		t.Timeout = pick(g, "timeout", g.timeouts...)
	case 9:
		t.Flags = uint16(rapid.IntRange(0, 1<<9-1).Draw(g.t, "flags")) &^ flagImported
	}
	return t
}

func (g *generator) postOrVoid() tb.Transfer {
	t := tb.Transfer{ID: g.freshID(), Flags: pick[uint16](g, "finish", flagPost, flagVoid)}
	t.Amount = pick(g, "amount", tb.AmountMax, tb.Uint128{}, tb.ToUint128(1), tb.ToUint128(10))
	var pending []tb.Transfer
	for _, p := range g.transfers {
		if p.Flags&flagPending != 0 || g.exclusive && len(pending) == 0 {
			pending = append(pending, p)
		}
	}
	if len(pending) == 0 || g.chance("unknown pending", 5) {
		t.PendingID = g.oddID()
		return t
	}
	p := rapid.SampledFrom(pending).Draw(g.t, "pending")
	t.PendingID = p.ID
	if g.chance("spelled out", 30) {
		t.DebitAccountID, t.CreditAccountID, t.Ledger, t.Code = p.DebitAccountID, p.CreditAccountID, p.Ledger, p.Code
		t.UserData64 = pick[uint64](g, "user data", 0, 9)
	}
	return t
}

// changedTransfer changes one field, or none.
func (g *generator) changedTransfer(t tb.Transfer) tb.Transfer {
	switch rapid.IntRange(0, 16).Draw(g.t, "change") {
	case 1:
		t.ID = g.oddID()
	case 2:
		t.Flags ^= pick[uint16](g, "flag", 1, 2, 4, 8, 16, 32, 64, 128, 1<<9, 1<<15)
	case 3:
		t.DebitAccountID = g.oddID()
	case 4:
		t.CreditAccountID = g.oddID()
	case 5:
		t.CreditAccountID = t.DebitAccountID
	case 6:
		t.Amount = g.amount()
	case 7:
		t.PendingID = pick(g, "pending id", tb.Uint128{}, t.ID, g.id(3), g.oddID())
	case 8:
		t.UserData128 = g.id(9)
	case 9:
		t.UserData64++
	case 10:
		t.UserData32++
	case 11:
		t.Timeout += max(1, g.timeouts[len(g.timeouts)-1]>>11)
	case 12:
		t.Ledger = pick[uint32](g, "ledger", 0, g.ledger+1)
	case 13:
		t.Code = pick[uint16](g, "code", 0, 3)
	case 14:
		t.Timestamp = 1
	case 15:
		t.CreditAccountID = rapid.SampledFrom(g.accounts).Draw(g.t, "credit").ID
	case 16:
		t.DebitAccountID = rapid.SampledFrom(g.accounts).Draw(g.t, "debit").ID
	}
	return t
}

func (g *generator) lookupIDs() []tb.Uint128 {
	ids := make([]tb.Uint128, rapid.IntRange(0, 5).Draw(g.t, "ids"))
	for i := range ids {
		ids[i] = g.id(uint32(rapid.IntRange(1, int(g.nextID)+1).Draw(g.t, "id")))
	}
	return ids
}

func (g *generator) limit() uint32 {
	if g.chance("small limit", 40) {
		return uint32(rapid.IntRange(0, 4).Draw(g.t, "limit"))
	}
	return 1000
}

func (g *generator) bounds() (first, last uint64) {
	if g.chance("from", 30) {
		first = g.timestamp()
	}
	if g.chance("to", 30) {
		last = g.timestamp()
	}
	if g.chance("odd bounds", 5) {
		last = pick[uint64](g, "to", 1, 1<<63-1, 1<<63)
	}
	return first, last
}

func (g *generator) accountFilter() tb.AccountFilter {
	f := tb.AccountFilter{
		AccountID: rapid.SampledFrom(g.accounts).Draw(g.t, "account").ID,
		Limit:     g.limit(),
		Flags:     uint32(rapid.IntRange(1, 7).Draw(g.t, "flags")),
	}
	f.TimestampMin, f.TimestampMax = g.bounds()
	if g.chance("by field", 40) {
		f.UserData128 = pick(g, "user data", tb.Uint128{}, g.id(1))
		f.UserData64 = pick[uint64](g, "user data", 0, 7)
		f.UserData32 = pick[uint32](g, "user data", 0, 7)
		f.Code = pick[uint16](g, "code", 0, 1)
	}
	if g.chance("wrong", 8) {
		switch rapid.IntRange(0, 2).Draw(g.t, "change") {
		case 0:
			f.AccountID = g.oddID()
		case 1:
			f.Flags = pick[uint32](g, "flags", 0, 4, 8|3, 1<<31|3)
		case 2:
			f.Reserved[57] = 1
		}
	}
	return f
}

func (g *generator) queryFilter() tb.QueryFilter {
	f := tb.QueryFilter{Limit: g.limit(), Flags: uint32(rapid.IntRange(0, 1).Draw(g.t, "reversed"))}
	f.TimestampMin, f.TimestampMax = g.bounds()
	if g.chance("by field", 70) {
		f.UserData128 = pick(g, "user data", tb.Uint128{}, g.id(1))
		f.UserData64 = pick[uint64](g, "user data", 0, 7)
		f.UserData32 = pick[uint32](g, "user data", 0, 7)
		f.Code = pick[uint16](g, "code", 0, 1)
		f.Ledger = pick(g, "ledger", 0, g.ledger)
	}
	if !g.exclusive && f.TimestampMin == 0 {
		f.Ledger = g.ledger
	}
	if g.chance("wrong", 8) {
		switch rapid.IntRange(0, 1).Draw(g.t, "change") {
		case 0:
			f.Flags = pick[uint32](g, "flags", 2, 1<<31)
		case 1:
			f.Reserved[5] = 1
		}
	}
	return f
}

func (g *generator) changeEventsFilter() tb.ChangeEventsFilter {
	f := tb.ChangeEventsFilter{Limit: g.limit()}
	f.TimestampMin, f.TimestampMax = g.bounds()
	if !g.exclusive && f.TimestampMin == 0 {
		f.TimestampMin = g.timestamps[0]
	}
	if g.chance("wrong", 8) {
		f.Reserved[43] = 1
	}
	return f
}

// step is how far a test moves the clock.
func (g *generator) step() time.Duration {
	return pick(g, "step", 0, time.Nanosecond, time.Millisecond, 999_999_995*time.Nanosecond, time.Second, 3*time.Second, -time.Second)
}

// saw notes the timestamps of an answer.
func (g *generator) saw(timestamps ...uint64) { g.timestamps = append(g.timestamps, timestamps...) }

func describe(request any) string {
	text := fmt.Sprintf("%+v", request)
	if len(text) > 2000 {
		text = text[:2000] + "…"
	}
	return text
}

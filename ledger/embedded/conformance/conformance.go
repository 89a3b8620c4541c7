// Package conformance tests what a ledger behind the client's interface
// (tigerbeetle_go.Client, release 0.17.9) must answer: every status, every flag, every
// operation. The same tests run on the embedded engine and on a real TigerBeetle, and prove
// that the two agree. They need nothing but the interface.
//
// Every case creates its own accounts on its own ledger, so a shared cluster will do. But
// nobody else may write during the cases about imported events.
package conformance

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// Target is a ledger to test.
type Target struct {
	Client tb.Client
	// BatchEventsMax is the greatest number of events that a request may carry:
	// 8189, and 253 on a server in development mode.
	BatchEventsMax int
	// Without names groups ("Imported") and cases ("Chains/a chain must …") that the ledger
	// does not support; all others run. It is for baselines: a ledger that claims to be
	// TigerBeetle leaves it empty.
	Without []string
}

// expiryTimeout bounds the wait for a pulse. A server looks every 100 ms; a busy
// machine may be slower.
const expiryTimeout = 15 * time.Second

// Run runs all tests as subtests of t.
func Run(t *testing.T, target Target) {
	seen := &coverage{
		accounts:  map[tb.CreateAccountStatus]bool{},
		transfers: map[tb.CreateTransferStatus]bool{},
	}
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"CreateAccounts", accountCases},
		{"CreateTransfers", transferCases},
		{"Chains", chainCases},
		{"TwoPhase", twoPhaseCases},
		{"Expiry", expiryCases},
		{"Balancing", balancingCases},
		{"Closing", closingCases},
		{"Imported", importedCases},
		{"BurntIDs", burntCases},
		{"Queries", queryCases},
		{"History", historyCases},
		{"ChangeEvents", changeEventCases},
		{"Limits", limitCases},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				if target.without(group.name) || target.without(group.name+"/"+c.name) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					c.run(&book{T: t, target: target, client: target.Client, ledger: rand.Uint32() | 1, seen: seen})
				})
			}
		})
	}
	if len(target.Without) > 0 {
		return
	}
	t.Run("EveryStatusWasSeen", func(t *testing.T) { seen.verify(t) })
}

func (t Target) without(name string) bool { return slices.Contains(t.Without, name) }

type testCase struct {
	name string
	run  func(b *book)
}

// coverage collects the statuses that the cases met.
type coverage struct {
	accounts  map[tb.CreateAccountStatus]bool
	transfers map[tb.CreateTransferStatus]bool
}

// verify fails for a status that no case met. The client names every status; an
// unknown number has no name.
func (c *coverage) verify(t *testing.T) {
	const numbersMax = 100
	for n := range uint32(numbersMax) {
		account, transfer := tb.CreateAccountStatus(n), tb.CreateTransferStatus(n)
		if known(account.String()) && !c.accounts[account] {
			t.Errorf("no case met %v", account)
		}
		// A deadline after the year 2262 needs a clock that shows 2126: the engine's
		// own tests have one.
		if known(transfer.String()) && !c.transfers[transfer] && transfer != tb.TransferOverflowsTimeout {
			t.Errorf("no case met %v", transfer)
		}
	}
}

func known(name string) bool { return name[len(name)-1] != ')' }

// Flags of accounts and transfers as bits.
const (
	accountLinked          uint16 = 1 << 0
	accountDebitsLimited   uint16 = 1 << 1 // debits_must_not_exceed_credits
	accountCreditsLimited  uint16 = 1 << 2 // credits_must_not_exceed_debits
	accountHistory         uint16 = 1 << 3
	accountImported        uint16 = 1 << 4
	accountClosed          uint16 = 1 << 5
	accountFlagReserved    uint16 = 1 << 6
	linked                 uint16 = 1 << 0
	pending                uint16 = 1 << 1
	post                   uint16 = 1 << 2
	void                   uint16 = 1 << 3
	balancingDebit         uint16 = 1 << 4
	balancingCredit        uint16 = 1 << 5
	closingDebit           uint16 = 1 << 6
	closingCredit          uint16 = 1 << 7
	imported               uint16 = 1 << 8
	transferFlagReserved   uint16 = 1 << 9
	timestampMax                  = 1<<63 - 1
	neverSeconds           uint32 = 1 << 30
	accountFilterBothSides uint32 = 1<<0 | 1<<1
	reversed               uint32 = 1 << 2
	queryReversed          uint32 = 1 << 0
)

var intMax = tb.AmountMax

func n(v uint64) tb.Uint128 { return tb.ToUint128(v) }

// almostMax is 2^128-1-v.
func almostMax(v int64) tb.Uint128 {
	max := intMax.BigInt()
	return tb.BigIntToUint128(max.Sub(max, big.NewInt(v)))
}

// book is one case's view of the ledger.
type book struct {
	*testing.T
	target Target
	client tb.Client
	ledger uint32
	seen   *coverage
}

// newAccount is a valid account that does not exist yet.
func (b *book) newAccount(flags uint16) tb.Account {
	return tb.Account{ID: tb.ID(), Ledger: b.ledger, Code: 1, Flags: flags}
}

// account creates an account.
func (b *book) account(flags uint16) tb.Uint128 {
	b.Helper()
	a := b.newAccount(flags)
	b.accountStatuses([]tb.Account{a}, tb.AccountCreated)
	return a.ID
}

// move is a valid transfer that does not exist yet.
func (b *book) move(debit, credit tb.Uint128, amount uint64, flags uint16) tb.Transfer {
	return tb.Transfer{
		ID: tb.ID(), DebitAccountID: debit, CreditAccountID: credit, Amount: n(amount),
		Ledger: b.ledger, Code: 1, Flags: flags,
	}
}

// finish posts or voids a pending transfer.
func (b *book) finish(p tb.Transfer, amount tb.Uint128, flags uint16) tb.Transfer {
	return tb.Transfer{ID: tb.ID(), PendingID: p.ID, Amount: amount, Flags: flags}
}

// accountStatuses sends a request and compares the statuses.
func (b *book) accountStatuses(events []tb.Account, want ...tb.CreateAccountStatus) []tb.CreateAccountResult {
	b.Helper()
	results, err := b.client.CreateAccounts(events)
	if err != nil {
		b.Fatal(err)
	}
	got := make([]tb.CreateAccountStatus, len(results))
	for i, r := range results {
		got[i] = r.Status
		b.seen.accounts[r.Status] = true
	}
	if !slices.Equal(got, want) {
		b.Fatalf("statuses\n got %v\nwant %v", got, want)
	}
	return results
}

// transferStatuses sends a request and compares the statuses.
func (b *book) transferStatuses(events []tb.Transfer, want ...tb.CreateTransferStatus) []tb.CreateTransferResult {
	b.Helper()
	results, err := b.client.CreateTransfers(events)
	if err != nil {
		b.Fatal(err)
	}
	got := make([]tb.CreateTransferStatus, len(results))
	for i, r := range results {
		got[i] = r.Status
		b.seen.transfers[r.Status] = true
	}
	if !slices.Equal(got, want) {
		b.Fatalf("statuses\n got %v\nwant %v", got, want)
	}
	return results
}

// status sends one transfer.
func (b *book) status(t tb.Transfer, want tb.CreateTransferStatus) tb.CreateTransferResult {
	b.Helper()
	return b.transferStatuses([]tb.Transfer{t}, want)[0]
}

// must creates transfers in one request, which must succeed.
func (b *book) must(events ...tb.Transfer) []tb.CreateTransferResult {
	b.Helper()
	want := make([]tb.CreateTransferStatus, len(events))
	for i := range want {
		want[i] = tb.TransferCreated
	}
	return b.transferStatuses(events, want...)
}

// lookup returns an account that must exist.
func (b *book) lookup(id tb.Uint128) tb.Account {
	b.Helper()
	found, err := b.client.LookupAccounts([]tb.Uint128{id})
	if err != nil || len(found) != 1 {
		b.Fatalf("lookup of account %s: %v, %v", id, found, err)
	}
	return found[0]
}

// transfer returns a transfer that must exist.
func (b *book) transfer(id tb.Uint128) tb.Transfer {
	b.Helper()
	found, err := b.client.LookupTransfers([]tb.Uint128{id})
	if err != nil || len(found) != 1 {
		b.Fatalf("lookup of transfer %s: %v, %v", id, found, err)
	}
	return found[0]
}

// absent checks that no transfer has an id.
func (b *book) absent(ids ...tb.Uint128) {
	b.Helper()
	found, err := b.client.LookupTransfers(ids)
	if err != nil || len(found) != 0 {
		b.Fatalf("lookup of transfers that must not exist: %v, %v", found, err)
	}
}

// balances checks an account as "debits pending/posted, credits pending/posted".
func (b *book) balances(id tb.Uint128, want string) {
	b.Helper()
	a := b.lookup(id)
	got := fmt.Sprintf("%s/%s %s/%s", decimal(a.DebitsPending), decimal(a.DebitsPosted), decimal(a.CreditsPending), decimal(a.CreditsPosted))
	if got != want {
		b.Fatalf("balances of %s: got %s, want %s", id, got, want)
	}
}

func decimal(v tb.Uint128) string { return v.BigInt().String() }

// eventually waits for a condition that comes true without another request.
func (b *book) eventually(what string, holds func() bool) {
	b.Helper()
	deadline := time.Now().Add(expiryTimeout)
	for !holds() {
		if time.Now().After(deadline) {
			b.Fatalf("not within %v: %s", expiryTimeout, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stairs sends an event that is wrong in every way, then corrects one mistake at a time.
// The statuses must come in the reference's order of precedence.
type stair[E, S any] struct {
	want  S
	right func(*E) // what to correct before the next step
}

func climbAccounts(b *book, a tb.Account, stairs []stair[tb.Account, tb.CreateAccountStatus]) {
	b.Helper()
	for _, s := range stairs {
		b.accountStatuses([]tb.Account{a}, s.want)
		if s.right != nil {
			s.right(&a)
		}
	}
}

func climbTransfers(b *book, t tb.Transfer, stairs []stair[tb.Transfer, tb.CreateTransferStatus]) {
	b.Helper()
	for _, s := range stairs {
		b.status(t, s.want)
		if s.right != nil {
			s.right(&t)
		}
	}
}

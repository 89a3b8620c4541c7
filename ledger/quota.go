package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// recentBuyersMax limits the memory of buyers: 16 bytes each plus overhead, about 5 MB.
const recentBuyersMax = 100_000

// takeWithQuota submits a chain that ends in the buyer's quota.
//
// A buyer that this process does not know is first given what the sale allows them. Their
// accounts must be confirmed before any transfer names them, because a transfer between
// accounts that do not exist burns its id. The funding then goes into the chain's own
// request, in front of the chain and not linked to it: a buyer who was funded before
// answers `exists`, which must not break the chain.
func (b *Book) takeWithQuota(ctx context.Context, op string, o *domain.Order, chain []tb.Transfer) (verdict, error) {
	if b.buyers.has(o.Buyer) {
		return b.run(ctx, op, o.ID, chain)
	}
	if o.BuyerLimit < 1 {
		return verdict{}, ourFault("%s %s: the buyer's limit is %d", op, o.ID, o.BuyerLimit)
	}
	if err := b.openBuyer(ctx, op, o); err != nil {
		return verdict{}, err
	}
	funds := fundBuyer(o)
	results, err := b.sendTransfers(ctx, append(slices.Clone(funds), chain...))
	if err != nil {
		return verdict{}, failed(op, o.ID, err)
	}
	v := judge(results[len(funds):])
	unfunded := slices.IndexFunc(results[:len(funds)], func(r tb.CreateTransferResult) bool { return transferClass(r.Status) != classApplied })
	switch {
	case unfunded < 0:
		b.buyers.add(o.Buyer)
	case v.class != classApplied: // refusing because of an empty budget would be a lie
		return verdict{}, ourFault("%s %s: funding account %s of buyer %s answered %s", op, o.ID,
			funds[unfunded].CreditAccountID, o.Buyer, results[unfunded].Status)
	}
	return v, nil
}

// openBuyer makes the accounts that fundBuyer funds.
func (b *Book) openBuyer(ctx context.Context, op string, o *domain.Order) error {
	accounts := []tb.Account{newBudgetOfBuyer(buyerNumber(o.Buyer), o.QuotaLedger, roleQuota)}
	if o.CheckoutLedger != 0 {
		accounts = append(accounts, newBudgetOfBuyer(checkoutNumber(o.Buyer), o.CheckoutLedger, roleCheckout))
	}
	results, err := b.sendAccounts(ctx, accounts)
	if err != nil {
		return failed(op, o.ID, nothingTaken(err))
	}
	for i, r := range results {
		if accountClass(r.Status) != classApplied {
			return ourFault("%s %s: account %s of buyer %s answered %s", op, o.ID, accounts[i].ID, o.Buyer, r.Status)
		}
	}
	return nil
}

func newBudgetOfBuyer(id tb.Uint128, ledger uint32, r role) tb.Account {
	return tb.Account{
		ID:     id,
		Ledger: ledger,
		Code:   uint16(r),
		Flags:  tb.AccountFlags{DebitsMustNotExceedCredits: true}.ToUint16(),
	}
}

// nothingTaken turns an account whose creation is unknown into what it means for the
// order: nothing was taken, and the chain was not sent.
func nothingTaken(err error) error {
	var unknown *domain.UnknownError
	if !errors.As(err, &unknown) {
		return err
	}
	return &domain.Error{
		Code:       domain.CodeOverloaded,
		Detail:     "The box office is busy. Nothing was booked; please try again.",
		RetryAfter: overloadedRetryAfter,
		Err:        fmt.Errorf("the buyer's account is not confirmed: %v", unknown), //nolint:errorlint // nobody may find an unknown outcome in here
	}
}

// fundBuyer gives a buyer the sale's limit of tickets and, if the sale allows one open
// checkout per buyer, that one. Each is given once: its id is the account's. It carries
// no order, because it is the same for all their orders.
func fundBuyer(o *domain.Order) []tb.Transfer {
	funds := []tb.Transfer{fundOfBuyer(buyerNumber(o.Buyer), o.QuotaLedger, o.BuyerLimit, codeFundQuota)}
	if o.CheckoutLedger != 0 {
		const openMax = 1
		funds = append(funds, fundOfBuyer(checkoutNumber(o.Buyer), o.CheckoutLedger, openMax, codeFundCheckout))
	}
	return funds
}

func fundOfBuyer(account tb.Uint128, ledger uint32, amount int64, c code) tb.Transfer {
	return tb.Transfer{
		ID:              account,
		DebitAccountID:  accountID(ledger, roleOperator),
		CreditAccountID: account,
		Amount:          tb.ToUint128(uint64(amount)),
		Ledger:          ledger,
		Code:            uint16(c),
	}
}

// recentBuyers remembers whose quota is funded, to save a round trip. Its size is
// limited: once the younger half is full, it forgets the older half.
type recentBuyers struct {
	mu      sync.Mutex
	halfMax int
	young   map[domain.BuyerID]struct{}
	old     map[domain.BuyerID]struct{}
}

func newRecentBuyers(buyersMax int) *recentBuyers {
	return &recentBuyers{halfMax: max(1, buyersMax/2), young: map[domain.BuyerID]struct{}{}}
}

func (r *recentBuyers) has(id domain.BuyerID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.young[id]; ok {
		return true
	}
	_, ok := r.old[id]
	if ok {
		r.addLocked(id)
	}
	return ok
}

func (r *recentBuyers) add(id domain.BuyerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(id)
}

func (r *recentBuyers) addLocked(id domain.BuyerID) {
	if len(r.young) >= r.halfMax {
		r.old, r.young = r.young, make(map[domain.BuyerID]struct{}, r.halfMax)
	}
	r.young[id] = struct{}{}
}

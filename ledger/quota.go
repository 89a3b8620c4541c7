package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// recentBuyersMax bounds the memory of buyers: 16 bytes each and overhead,
// some 5 MB.
const recentBuyersMax = 100_000

// takeWithQuota submits a chain that ends in the buyer's quota.
//
// A buyer who is not known to this process is given the quota first. Their
// account must be confirmed before any transfer names it, because a transfer
// between accounts that do not exist burns its id. The funding then goes into
// the chain's own request, in front of it and not linked: who was funded before
// answers `exists`, which must not break the chain.
func (b *Book) takeWithQuota(ctx context.Context, op string, o *domain.Order, chain []tb.Transfer) (verdict, error) {
	if b.buyers.has(o.Buyer) {
		return b.run(ctx, op, o.ID, chain)
	}
	if err := b.openQuota(ctx, op, o); err != nil {
		return verdict{}, err
	}
	unit := append([]tb.Transfer{fundQuota(o)}, chain...)
	results, err := b.sendTransfers(ctx, unit)
	if err != nil {
		return verdict{}, failed(op, o.ID, err)
	}
	v := judge(results[1:])
	if c := transferClass(results[0].Status); c == classApplied {
		b.buyers.add(o.Buyer)
	} else if v.class != classApplied {
		// Refused by an empty quota would be a lie.
		return verdict{}, ourFault("%s %s: funding the quota of buyer %s answered %s", op, o.ID, o.Buyer, results[0].Status)
	}
	return v, nil
}

func (b *Book) openQuota(ctx context.Context, op string, o *domain.Order) error {
	if o.BuyerLimit < 1 {
		return ourFault("%s %s: the buyer's limit is %d", op, o.ID, o.BuyerLimit)
	}
	results, err := b.sendAccounts(ctx, []tb.Account{{
		ID:     buyerNumber(o.Buyer),
		Ledger: o.QuotaLedger,
		Code:   uint16(roleQuota),
		Flags:  tb.AccountFlags{DebitsMustNotExceedCredits: true}.ToUint16(),
	}})
	if err != nil {
		return failed(op, o.ID, nothingTaken(err))
	}
	if accountClass(results[0].Status) != classApplied {
		return ourFault("%s %s: the account of buyer %s answered %s", op, o.ID, o.Buyer, results[0].Status)
	}
	return nil
}

// nothingTaken makes of an account whose creation is unknown what it is for the
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
		// Not wrapped: nobody may find an unknown outcome in here.
		Err: fmt.Errorf("the buyer's account is not confirmed: %v", unknown),
	}
}

// fundQuota gives a buyer the sale's limit, once: its id is the buyer's. It
// carries no order, because it is the same for every order of theirs.
func fundQuota(o *domain.Order) tb.Transfer {
	return tb.Transfer{
		ID:              buyerNumber(o.Buyer),
		DebitAccountID:  accountID(o.QuotaLedger, roleOperator),
		CreditAccountID: buyerNumber(o.Buyer),
		Amount:          tb.ToUint128(uint64(o.BuyerLimit)),
		Ledger:          o.QuotaLedger,
		Code:            uint16(codeFundQuota),
	}
}

// recentBuyers remembers whose quota is funded, to save a round trip. It is
// bounded: once the younger half is full, the older half is forgotten.
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

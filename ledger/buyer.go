package ledger

import (
	"context"
	"fmt"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// buyersPerLookup is how many buyers are looked up in one request.
const buyersPerLookup = 1000

// OrdersOfBuyers returns every order that ever took something of the buyers' quotas,
// whatever became of it, sorted: also checkouts that ended without a sale, which nothing
// else remembers for good. An order whose hold was refused left nothing.
func (b *Book) OrdersOfBuyers(ctx context.Context, buyers []domain.BuyerID) ([]domain.OrderID, error) {
	const op = "find the orders of"
	found := make(map[domain.OrderID]bool)
	for chunk := range slices.Chunk(buyers, buyersPerLookup) {
		ids := make([]tb.Uint128, len(chunk))
		for i, buyer := range chunk {
			ids[i] = buyerNumber(buyer)
		}
		accounts, err := b.batcher.LookupAccounts(ctx, ids)
		if err != nil {
			return nil, failed(op, buyersCount(len(chunk)), err)
		}
		for i, account := range accounts {
			if account == nil { // the buyer never wanted anything of that sale
				continue
			}
			err := b.eachTransfer(ctx, ids[i], func(t tb.Transfer) error {
				switch code(t.Code) {
				case codeHoldQuota, codeRebookQuota, codeReturnQuota:
					found[orderOf(t.UserData128)] = true
				case codeFund, codeRaise, codeLower, codeFundQuota, codeDrain, codeFundCheckout, codeFundCode, codeHold, codeHoldCheckout, codeHoldCode,
					codePerk, codePerkBack, codeRebook, codeRebookCode, codeReturn, codeReturnCode:
				}
				return nil
			})
			if err != nil {
				return nil, failed(op, buyersCount(len(chunk)), err)
			}
		}
	}
	orders := make([]domain.OrderID, 0, len(found))
	for order := range found {
		orders = append(orders, order)
	}
	slices.SortFunc(orders, func(a, b domain.OrderID) int { return slices.Compare(a[:], b[:]) })
	return orders, nil
}

type buyersCount int

func (n buyersCount) String() string { return fmt.Sprintf("%d buyers", int(n)) }

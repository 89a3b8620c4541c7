package ledger

import (
	"context"
	"errors"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// takingsPageMax limits one page, so that the read which says whether seats are left
// comes soon after it: 512 KiB of transfers.
const takingsPageMax = 4096

// Takings reads one page of what orders have taken of a sale, starting at a cursor. If an
// earlier read of the ledger counted something as held or sold, the pages read after it
// have it. Refusals left no transfer and are in no page.
//
// It reads the account where all holds of a sale meet whatever their classes: the spent
// side of the buyers' quota. Its transfers become visible in the order of their
// timestamps (in TigerBeetle all transfers do, in package postgres because they lock the
// account), so the cursor leaves nothing behind.
//
// Posts and voids are in that account too and are skipped: a page may have fewer takings
// than the ledger had transfers.
func (b *Book) Takings(ctx context.Context, s *domain.Sale, from domain.TakingsCursor) (domain.TakingsPage, error) {
	filter := tb.AccountFilter{
		AccountID:    accountID(s.QuotaLedger, roleSpent),
		TimestampMin: uint64(from),
		Limit:        b.takingsPageMax,
		Flags:        tb.AccountFilterFlags{Credits: true}.ToUint32(),
	}
	transfers, err := b.batcher.GetAccountTransfers(ctx, filter)
	for errors.Is(err, tb.ErrTooMuchData) && filter.Limit > 1 { // a cluster of small replies
		filter.Limit /= 2
		transfers, err = b.batcher.GetAccountTransfers(ctx, filter)
	}
	if err != nil {
		return domain.TakingsPage{}, failed("read the takings of", saleName(s.ID), err)
	}
	page := domain.TakingsPage{Next: from, More: len(transfers) == int(filter.Limit)}
	for _, t := range transfers {
		page.Next = domain.TakingsCursor(t.Timestamp + 1)
		if t.TransferFlags().Pending || code(t.Code) == codeRebookQuota {
			page.Takings = append(page.Takings, domain.Taking{
				Order: orderOf(t.UserData128), Buyer: buyerOf(t.DebitAccountID), Quantity: tickets(t.Amount),
			})
		}
	}
	return page, nil
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// pageMax is what one reply of 1 MiB carries. Smaller limits of a cluster are learned.
const pageMax = 8189

// Bookings adds up the transfers of one stock (a class or a perk) by order, for the
// audit. Orders that have nothing of it any more are left out.
//
// The transfers do not show that a hold has expired, because TigerBeetle books no
// transfer for that. A hold whose timeout has passed by the ledger's own clock counts as
// expired. It may miss what is booked while it reads the pages. The sums take about 100
// bytes an order.
func (b *Book) Bookings(ctx context.Context, ledger uint32) ([]domain.StockUse, error) {
	sums := newBookings(ledger)
	err := b.eachTransfer(ctx, accountID(ledger, roleBudget), sums.add)
	if err != nil {
		return nil, failed("read the bookings of", ledgerName(ledger), err)
	}
	now, err := b.Now(ctx)
	if err != nil {
		return nil, failed("read the bookings of", ledgerName(ledger), err)
	}
	return sums.at(now), nil
}

// Quota returns what all buyers together have in one of the sale's ledgers with limits
// per buyer (see QuotaLevel), and what each order takes of it, by order as Bookings does
// for a stock. It reads the balance before and after the transfers: the two can be
// compared only if it did not move.
func (b *Book) Quota(ctx context.Context, s *domain.Sale, ledger uint32) (domain.Quota, error) {
	before, err := b.QuotaLevel(ctx, s, ledger)
	if err != nil {
		return domain.Quota{}, err
	}
	uses, err := b.quotaUses(ctx, s, ledger)
	if err != nil {
		return domain.Quota{}, err
	}
	level, err := b.QuotaLevel(ctx, s, ledger)
	return domain.Quota{Held: level.Held, Sold: level.Sold, Moved: level != before, Uses: uses}, err
}

func (b *Book) quotaUses(ctx context.Context, s *domain.Sale, ledger uint32) ([]domain.QuotaUse, error) {
	limit, err := limitOf(s, ledger)
	if err != nil {
		return nil, err
	}
	buyerOf := buyerOf
	if s.OneCheckoutPerBuyer && ledger == s.CheckoutLedger {
		buyerOf = buyerOfCheckout
	}
	// Of a code, the same 16 bytes are its id.
	sums := newBookings(ledger)
	buyers := make(map[domain.OrderID]domain.BuyerID)
	// All buyers' transfers meet in the spent account.
	err = b.eachTransfer(ctx, accountID(ledger, roleSpent), func(t tb.Transfer) error {
		account := t.DebitAccountID
		if c := code(t.Code); c == codeReturnQuota || c == codeReturnCode {
			account = t.CreditAccountID
		}
		buyers[orderOf(t.UserData128)] = buyerOf(account)
		return sums.add(t)
	})
	if err != nil {
		return nil, failed("read the "+limit.name+" of", saleName(s.ID), err)
	}
	now, err := b.Now(ctx)
	if err != nil {
		return nil, failed("read the "+limit.name+" of", saleName(s.ID), err)
	}
	sold := sums.at(now)
	uses := make([]domain.QuotaUse, 0, len(sold))
	for _, use := range sold {
		uses = append(uses, domain.QuotaUse{StockUse: use, Buyer: buyers[use.Order]})
	}
	return uses, nil
}

// Placed says, for the audit, in which ledger each of the orders ever held or rebooked
// something, whatever happened to it since. An order that is missing never did: refusals
// leave no transfer.
func (b *Book) Placed(ctx context.Context, orders []domain.OrderID) (map[domain.OrderID]uint32, error) {
	// Each of the two begins with the order's first line.
	ids := make([]tb.Uint128, 0, 2*len(orders))
	for _, order := range orders {
		ids = append(ids, transferID(order, slotHold), transferID(order, slotRebook))
	}
	found, err := b.batcher.LookupTransfers(ctx, ids)
	if err != nil {
		return nil, failed("look up", ordersCount(len(orders)), err)
	}
	placed := make(map[domain.OrderID]uint32)
	for i, t := range found {
		if t != nil {
			placed[orders[i/2]] = t.Ledger
		}
	}
	return placed, nil
}

type ordersCount int

func (n ordersCount) String() string { return fmt.Sprintf("%d orders", int(n)) }

// eachTransfer reads the transfers of an account, oldest first, page by page.
func (b *Book) eachTransfer(ctx context.Context, account tb.Uint128, visit func(tb.Transfer) error) error {
	return b.eachTransferOf(ctx, tb.AccountFilter{
		AccountID: account,
		Limit:     pageMax,
		Flags:     tb.AccountFilterFlags{Debits: true, Credits: true}.ToUint32(),
	}, visit)
}

func (b *Book) eachTransferOf(ctx context.Context, filter tb.AccountFilter, visit func(tb.Transfer) error) error {
	for {
		transfers, err := b.batcher.GetAccountTransfers(ctx, filter)
		if errors.Is(err, tb.ErrTooMuchData) && filter.Limit > 1 {
			filter.Limit /= 2
			continue
		}
		if err != nil {
			return err
		}
		for _, t := range transfers {
			if err := visit(t); err != nil {
				return err
			}
		}
		if len(transfers) < int(filter.Limit) {
			return nil
		}
		filter.TimestampMin = transfers[len(transfers)-1].Timestamp + 1
	}
}

// bookings is the running sum. A pending transfer stays in pending until its post or void
// follows.
type bookings struct {
	ledger  uint32
	pending map[tb.Uint128]tb.Transfer
	orders  map[domain.OrderID]domain.StockUse
}

func newBookings(ledger uint32) *bookings {
	return &bookings{ledger: ledger, pending: make(map[tb.Uint128]tb.Transfer), orders: make(map[domain.OrderID]domain.StockUse)}
}

func (s *bookings) add(t tb.Transfer) error {
	switch flags := t.TransferFlags(); {
	case flags.Pending:
		s.pending[t.ID] = t
		return nil
	case flags.PostPendingTransfer:
		delete(s.pending, t.PendingID)
		s.sold(t, tickets(t.Amount))
		return nil
	case flags.VoidPendingTransfer:
		delete(s.pending, t.PendingID)
		return nil
	}
	switch code(t.Code) {
	case codeFund, codeDrain, codeRaise, codeLower:
		return nil // the operator's, not an order's
	case codePerk, codeRebook, codeRebookQuota, codeRebookCode:
		s.sold(t, tickets(t.Amount))
		return nil
	case codeReturn, codeReturnQuota, codeReturnCode, codePerkBack:
		s.sold(t, -tickets(t.Amount))
		return nil
	default:
		return ourFault("ledger %d has transfer %s with code %d, which is not ours", s.ledger, t.ID, t.Code)
	}
}

func (s *bookings) sold(t tb.Transfer, n int64) {
	order := orderOf(t.UserData128)
	sum := s.orders[order]
	sum.Order = order
	sum.Sold += n
	if n > 0 {
		sum.SoldAt = time.Unix(0, int64(t.Timestamp)).UTC()
	}
	s.orders[order] = sum
}

// at leaves out orders that have nothing of the stock any more.
func (s *bookings) at(now time.Time) []domain.StockUse {
	for _, t := range s.pending {
		if !expiryOf(t).After(now) {
			continue
		}
		order := orderOf(t.UserData128)
		sum := s.orders[order]
		sum.Order = order
		sum.Held += tickets(t.Amount)
		s.orders[order] = sum
	}
	uses := make([]domain.StockUse, 0, len(s.orders))
	for _, sum := range s.orders {
		if sum.Held != 0 || sum.Sold != 0 {
			uses = append(uses, sum)
		}
	}
	return uses
}

// expiryOf is when a pending transfer's timeout passes.
func expiryOf(t tb.Transfer) time.Time {
	return time.Unix(0, int64(t.Timestamp)).Add(time.Duration(t.Timeout) * time.Second)
}

type ledgerName uint32

func (l ledgerName) String() string { return fmt.Sprintf("ledger %d", uint32(l)) }

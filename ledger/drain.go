package ledger

import (
	"context"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// Drain moves what is available of every stock of a sale, including the perk, back to the
// operator, and returns the levels afterwards. It is how a sale ends in the ledger
// itself: whoever still tries to hold or rebook finds nothing, on every node, whatever
// that node knows about the sale.
//
// What is held or sold stays. Once it is given back it is available again, so call Drain
// until nothing is held, sold or available: then nothing of the sale can ever be held
// again. Draining a drained sale changes nothing.
//
// The alternative, closing the accounts, would refuse posts and returns that are still
// due (TigerBeetle, "Close Account").
func (b *Book) Drain(ctx context.Context, s *domain.Sale) ([]domain.StockLevel, error) {
	levels, err := b.Stock(ctx, s)
	if err != nil {
		return nil, err
	}
	var drains []tb.Transfer
	for _, level := range levels {
		if level.Available <= 0 {
			continue
		}
		rounds, err := b.drainsOf(ctx, s, level.Ledger)
		if err != nil {
			return nil, err
		}
		drains = append(drains, drain(level.Ledger, rounds+1))
	}
	if len(drains) == 0 {
		return levels, nil
	}
	if err := b.drain(ctx, s, drains); err != nil {
		return nil, err
	}
	return b.Stock(ctx, s)
}

func (b *Book) drain(ctx context.Context, s *domain.Sale, drains []tb.Transfer) error {
	results, err := b.sendTransfers(ctx, drains)
	if err != nil {
		return failed("drain", saleName(s.ID), err)
	}
	for i, r := range results {
		// `exists`: somebody else is draining this round.
		if transferClass(r.Status) != classApplied {
			return ourFault("drain %s: ledger %d answered %s", s.ID, drains[i].Ledger, r.Status)
		}
	}
	return nil
}

// drainsOf counts the drains in the books, and what was lowered before: only these credit the
// operator. All that matters is that the number grows with each drain.
func (b *Book) drainsOf(ctx context.Context, s *domain.Sale, ledger uint32) (rounds uint32, err error) {
	filter := tb.AccountFilter{
		AccountID: accountID(ledger, roleOperator),
		Limit:     pageMax,
		Flags:     tb.AccountFilterFlags{Credits: true}.ToUint32(),
	}
	err = b.eachTransferOf(ctx, filter, func(tb.Transfer) error {
		rounds++
		return nil
	})
	if err != nil {
		return 0, failed("read the drains of", saleName(s.ID), err)
	}
	return rounds, nil
}

// drain moves all that is available, however much that is by then. A balancing transfer
// of nothing is created too, so no refusal ever burns its id (TigerBeetle's reference,
// Transfer.flags.balancing_debit; before release 0.16 that was exceeds_credits).
func drain(ledger, round uint32) tb.Transfer {
	return tb.Transfer{
		ID:              drainID(ledger, round),
		DebitAccountID:  accountID(ledger, roleBudget),
		CreditAccountID: accountID(ledger, roleOperator),
		Amount:          tb.AmountMax,
		Ledger:          ledger,
		Code:            uint16(codeDrain),
		Flags:           tb.TransferFlags{BalancingDebit: true}.ToUint16(),
	}
}

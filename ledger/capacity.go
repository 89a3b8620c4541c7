package ledger

import (
	"context"
	"fmt"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// ChangeCapacity books a change of a class's capacity: what is raised goes from the operator
// to the budget, what is lowered goes back. False means that the budget has less available
// than is taken away, and so it stays for this change: its id is burnt. What is held or sold is
// never touched. Repeating it changes nothing.
//
// A *domain.Error with CodeKeyReused means that the books have another change under this id.
func (b *Book) ChangeCapacity(ctx context.Context, c *domain.CapacityChange) (done bool, err error) {
	const op = "change the capacity by"
	t := capacityTransfer(c)
	if c.By() == 0 || t.Ledger == 0 {
		return false, ourFault("%s %s: %d in ledger %d", op, c.ID, c.By(), c.Ledger)
	}
	results, err := b.sendTransfers(ctx, []tb.Transfer{t})
	if err != nil {
		return false, failed(op, c.ID, err)
	}
	status := results[0].Status
	switch is := transferClass(status); {
	case is == classApplied:
		return true, nil
	case c.By() < 0 && (is == classRefused || is == classBurnt):
		return false, nil
	case is == classDiffers:
		return false, &domain.Error{
			Code: domain.CodeKeyReused, Detail: "The capacity was changed before under this key, by another number.",
			Err: fmt.Errorf("%s %s: ledger %d answered %s", op, c.ID, c.Ledger, status),
		}
	default:
		return false, ourFault("%s %s: ledger %d answered %s", op, c.ID, c.Ledger, status)
	}
}

func capacityTransfer(c *domain.CapacityChange) tb.Transfer {
	operator, budget := accountID(c.Ledger, roleOperator), accountID(c.Ledger, roleBudget)
	t := tb.Transfer{
		ID: capacityID(c.Ledger, c.ID), DebitAccountID: operator, CreditAccountID: budget,
		UserData128: changeNumber(c.ID), Ledger: c.Ledger, Code: uint16(codeRaise),
	}
	by := c.By()
	if by < 0 {
		by, t.DebitAccountID, t.CreditAccountID, t.Code = -by, budget, operator, uint16(codeLower)
	}
	t.Amount = tb.ToUint128(uint64(by))
	return t
}

// BookedCapacity reads what was funded, raised and lowered of a class. CodeNotFound: the
// ledger does not have it.
func (b *Book) BookedCapacity(ctx context.Context, ledger uint32) (domain.BookedCapacity, error) {
	var booked domain.BookedCapacity
	filter := tb.AccountFilter{
		AccountID: accountID(ledger, roleOperator), Limit: pageMax,
		Flags: tb.AccountFilterFlags{Debits: true, Credits: true}.ToUint32(),
	}
	err := b.eachTransferOf(ctx, filter, func(t tb.Transfer) error {
		for c, sum := range map[code]*int64{codeFund: &booked.Opened, codeRaise: &booked.Raised, codeLower: &booked.Lowered} {
			if code(t.Code) == c { // the others are drains
				*sum += tickets(t.Amount)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return domain.BookedCapacity{}, failed("read the capacity of", ledgerName(ledger), err)
	case booked.Opened == 0:
		return domain.BookedCapacity{}, &domain.Error{
			Code: domain.CodeNotFound, Detail: "The sale is not open yet.", Err: fmt.Errorf("ledger %d was not funded", ledger),
		}
	}
	return booked, nil
}

// changeNumber is in user_data_128 of the transfer of a change.
func changeNumber(id domain.CapacityChangeID) tb.Uint128 {
	slices.Reverse(id[:])
	return tb.BytesToUint128(id)
}

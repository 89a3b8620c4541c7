package ledger

import (
	"context"
	"fmt"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// codesPerRequest is how many codes one request makes.
const codesPerRequest = 1000

// MakeCodes gives each of the codes its account and its uses, and says which of them are new.
// A code that was made before stays as it is: it gets no more uses. It may be repeated.
//
// A *domain.Error with CodeExists means that a code was made with other uses, or for other
// classes; those before it in the list may be made.
func (b *Book) MakeCodes(ctx context.Context, s *domain.Sale, codes []domain.ClassCodeID, only uint32, uses int64) (isNew []bool, err error) {
	const op = "make codes for"
	if s.CodeLedger == 0 || uses < 1 || uses > domain.ClassCodeUsesMax {
		return nil, ourFault("%s %s: ledger %d, %d uses", op, s.ID, s.CodeLedger, uses)
	}
	for some := range slices.Chunk(codes, codesPerRequest) {
		made, err := b.makeCodes(ctx, s, some, only, uses)
		if err != nil {
			return nil, err
		}
		isNew = append(isNew, made...)
	}
	return isNew, nil
}

func (b *Book) makeCodes(ctx context.Context, s *domain.Sale, codes []domain.ClassCodeID, only uint32, uses int64) ([]bool, error) {
	const op = "make codes for"
	accounts, funds := make([]tb.Account, len(codes)), make([]tb.Transfer, len(codes))
	for i, id := range codes {
		accounts[i] = newBudgetOfBuyer(codeNumber(id), s.CodeLedger, roleCode)
		accounts[i].UserData32 = only
		funds[i] = fundOfBuyer(codeNumber(id), s.CodeLedger, uses, codeFundCode)
	}
	// The accounts first: a transfer to one that is missing would burn its id.
	opened, err := b.sendAccounts(ctx, accounts)
	if err != nil {
		return nil, failed(op, saleName(s.ID), err)
	}
	for _, r := range opened {
		if err := codeMade(s, accountClass(r.Status), r.Status); err != nil {
			return nil, err
		}
	}
	results, err := b.sendTransfers(ctx, funds)
	if err != nil {
		return nil, failed(op, saleName(s.ID), err)
	}
	isNew := make([]bool, len(codes))
	for i, r := range results {
		if err := codeMade(s, transferClass(r.Status), r.Status); err != nil {
			return nil, err
		}
		isNew[i] = r.Status == tb.TransferCreated
	}
	return isNew, nil
}

func codeMade(s *domain.Sale, c class, status fmt.Stringer) error {
	switch c {
	case classApplied:
		return nil
	case classDiffers:
		return &domain.Error{
			Code: domain.CodeExists, Detail: "One of the codes was made before, with other uses or for other classes.",
			Err: fmt.Errorf("make codes for %s: the ledger answered %s", s.ID, status),
		}
	default:
		return ourFault("make codes for %s: the ledger answered %s", s.ID, status)
	}
}

// ClassCode reads a code. CodeClassCodeRefused: the sale has none like it.
func (b *Book) ClassCode(ctx context.Context, s *domain.Sale, id domain.ClassCodeID) (domain.ClassCode, error) {
	if s.CodeLedger == 0 {
		return domain.ClassCode{}, &domain.Error{Code: domain.CodeClassCodeRefused}
	}
	accounts, err := b.batcher.LookupAccounts(ctx, []tb.Uint128{codeNumber(id), revocationNumber(id)})
	if err != nil {
		return domain.ClassCode{}, failed("look up a code of", saleName(s.ID), err)
	}
	if !isCodeOf(s, accounts[0]) {
		return domain.ClassCode{}, &domain.Error{Code: domain.CodeClassCodeRefused}
	}
	code := codeFrom(accounts[0])
	code.Revoked = accounts[1] != nil
	return code, nil
}

// isCodeOf: without uses it was never given out, because making it has broken off.
func isCodeOf(s *domain.Sale, account *tb.Account) bool {
	return account != nil && account.Ledger == s.CodeLedger && account.Code == uint16(roleCode) && tickets(account.CreditsPosted) > 0
}

// RevokeCodes revokes those of the codes that the sale has, and says which were valid until now.
// Each is given an account that only has to be there: uses that orders have, and that may come
// back, stay in the books as they are. It may be repeated.
func (b *Book) RevokeCodes(ctx context.Context, s *domain.Sale, codes []domain.ClassCodeID) (isNew []bool, err error) {
	const op = "revoke codes of"
	for some := range slices.Chunk(codes, codesPerRequest) {
		numbers := make([]tb.Uint128, len(some))
		for i, id := range some {
			numbers[i] = codeNumber(id)
		}
		there, err := b.batcher.LookupAccounts(ctx, numbers)
		if err != nil {
			return nil, failed(op, saleName(s.ID), err)
		}
		var accounts []tb.Account
		var of []int // the code of each
		for i, id := range some {
			if isCodeOf(s, there[i]) {
				accounts = append(accounts, newBudgetOfBuyer(revocationNumber(id), s.CodeLedger, roleRevoked))
				of = append(of, len(isNew)+i)
			}
		}
		isNew = append(isNew, make([]bool, len(some))...)
		if len(accounts) == 0 {
			continue
		}
		results, err := b.sendAccounts(ctx, accounts)
		if err != nil {
			return nil, failed(op, saleName(s.ID), err)
		}
		for i, r := range results {
			if accountClass(r.Status) != classApplied {
				return nil, ourFault("%s %s: the ledger answered %s", op, s.ID, r.Status)
			}
			isNew[of[i]] = r.Status == tb.AccountCreated
		}
	}
	return isNew, nil
}

func codeFrom(account *tb.Account) domain.ClassCode {
	held := tickets(account.DebitsPending)
	return domain.ClassCode{
		ID: codeOf(account.ID), Only: account.UserData32, Held: held,
		Left: tickets(account.CreditsPosted) - tickets(account.DebitsPosted) - held,
	}
}

// ClassCodeUses counts the codes of a sale and their uses, page by page.
func (b *Book) ClassCodeUses(ctx context.Context, s *domain.Sale) (domain.ClassCodeUses, error) {
	var sum domain.ClassCodeUses
	budgets, err := b.codeBudgets(ctx, s)
	if err != nil {
		return sum, err
	}
	for _, uses := range budgets {
		sum.Codes++
		sum.Uses += uses
	}
	level, err := b.QuotaLevel(ctx, s, s.CodeLedger)
	sum.Held, sum.Used = level.Held, level.Sold
	return sum, err
}

// codeBudgets is what each code of a sale was made with: about 100 bytes a code.
func (b *Book) codeBudgets(ctx context.Context, s *domain.Sale) (map[domain.ClassCodeID]int64, error) {
	budgets := make(map[domain.ClassCodeID]int64)
	filter := tb.AccountFilter{
		AccountID: accountID(s.CodeLedger, roleOperator), Limit: pageMax,
		Flags: tb.AccountFilterFlags{Debits: true}.ToUint32(),
	}
	err := b.eachTransferOf(ctx, filter, func(t tb.Transfer) error {
		budgets[codeOf(t.CreditAccountID)] += tickets(t.Amount)
		return nil
	})
	if err != nil {
		return nil, failed("read the codes of", saleName(s.ID), err)
	}
	return budgets, nil
}

// ClassCodeQuota is Quota for the codes of a sale: what each order uses, and how often each code may
// be used.
func (b *Book) ClassCodeQuota(ctx context.Context, s *domain.Sale) (domain.ClassCodeQuota, error) {
	quota, err := b.Quota(ctx, s, s.CodeLedger)
	if err != nil {
		return domain.ClassCodeQuota{}, err
	}
	// Read last: whatever a code was used for, it was made before.
	budgets, err := b.codeBudgets(ctx, s)
	return domain.ClassCodeQuota{Quota: quota, Budgets: budgets}, err
}

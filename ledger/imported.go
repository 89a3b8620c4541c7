package ledger

import (
	"context"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// Books that were moved from another ledger (see embedded.Export) consist of imported
// events: their flags have `imported` added and `linked` dropped, and their timeouts are
// zero. Everything that may be repeated here would then answer
// `exists_with_different_flags` for ever. So we look into such an answer: if the flags
// differ only by the import, the event exists.

func (b *Book) sendAccounts(ctx context.Context, accounts []tb.Account) ([]tb.CreateAccountResult, error) {
	results, err := b.batcher.CreateAccounts(ctx, accounts)
	if err != nil {
		return nil, err
	}
	for i := range results {
		if results[i].Status != tb.AccountExistsWithDifferentFlags {
			continue
		}
		there, err := b.batcher.LookupAccounts(ctx, []tb.Uint128{accounts[i].ID})
		if err != nil {
			return nil, err
		}
		if there[0] != nil && isImportedAccount(*there[0], accounts[i]) {
			results[i] = tb.CreateAccountResult{Status: tb.AccountExists, Timestamp: there[0].Timestamp}
		}
	}
	return results, nil
}

func isImportedAccount(there, want tb.Account) bool {
	imported := tb.AccountFlags{Imported: true}.ToUint16()
	linked := tb.AccountFlags{Linked: true}.ToUint16()
	return there.Flags == want.Flags&^linked|imported && there.Ledger == want.Ledger && there.Code == want.Code &&
		there.UserData128 == want.UserData128 && there.UserData64 == want.UserData64 && there.UserData32 == want.UserData32
}

func (b *Book) sendTransfers(ctx context.Context, transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
	results, err := b.batcher.CreateTransfers(ctx, transfers)
	if err != nil {
		return nil, err
	}
	for i := range results {
		if results[i].Status != tb.TransferExistsWithDifferentFlags {
			continue
		}
		there, err := b.batcher.LookupTransfers(ctx, []tb.Uint128{transfers[i].ID})
		if err != nil {
			return nil, err
		}
		if there[0] != nil && isImportedTransfer(*there[0], transfers[i]) {
			results[i] = tb.CreateTransferResult{Status: tb.TransferExists, Timestamp: there[0].Timestamp}
		}
	}
	return results, nil
}

func isImportedTransfer(there, want tb.Transfer) bool {
	imported := tb.TransferFlags{Imported: true}.ToUint16()
	linked := tb.TransferFlags{Linked: true}.ToUint16()
	if there.Flags != want.Flags&^linked|imported || there.PendingID != want.PendingID || there.UserData128 != want.UserData128 {
		return false
	}
	resolves := tb.TransferFlags{PostPendingTransfer: true, VoidPendingTransfer: true}.ToUint16()
	if want.Flags&resolves != 0 {
		return true // it inherits the rest from its pending transfer
	}
	return there.DebitAccountID == want.DebitAccountID && there.CreditAccountID == want.CreditAccountID &&
		there.Amount == want.Amount && there.Ledger == want.Ledger && there.Code == want.Code &&
		there.UserData64 == want.UserData64 && there.UserData32 == want.UserData32
}

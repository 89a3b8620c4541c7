package embedded_test

import (
	"fmt"
	"os"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
)

// A hold and its sale, on a ledger that lives in a directory.
func Example() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	engine, err := embedded.Open(dir, embedded.Options{Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer engine.Close()

	operator, budget, spent := tb.ID(), tb.ID(), tb.ID()
	limited := tb.AccountFlags{DebitsMustNotExceedCredits: true}.ToUint16()
	if _, err := engine.CreateAccounts([]tb.Account{
		{ID: operator, Ledger: 1, Code: 1},
		{ID: budget, Ledger: 1, Code: 1, Flags: limited},
		{ID: spent, Ledger: 1, Code: 1},
	}); err != nil {
		panic(err)
	}

	pending := tb.TransferFlags{Pending: true}.ToUint16()
	post := tb.TransferFlags{PostPendingTransfer: true}.ToUint16()
	hold, late := tb.ID(), tb.ID()
	results, err := engine.CreateTransfers([]tb.Transfer{
		{ID: tb.ID(), DebitAccountID: operator, CreditAccountID: budget, Amount: tb.ToUint128(1), Ledger: 1, Code: 1},
		{ID: hold, DebitAccountID: budget, CreditAccountID: spent, Amount: tb.ToUint128(1), Ledger: 1, Code: 1, Flags: pending, Timeout: 600},
		{ID: late, DebitAccountID: budget, CreditAccountID: spent, Amount: tb.ToUint128(1), Ledger: 1, Code: 1, Flags: pending, Timeout: 600},
		{ID: tb.ID(), PendingID: hold, Amount: tb.AmountMax, Flags: post},
	})
	if err != nil {
		panic(err)
	}
	for _, r := range results {
		fmt.Println(r.Status)
	}
	// Output:
	// TransferCreated
	// TransferCreated
	// TransferExceedsCredits
	// TransferCreated
}

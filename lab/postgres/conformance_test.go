package postgres_test

import (
	"errors"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/lab/postgres"
	"boxoffice/ledger/embedded/conformance"
)

// What this ledger refuses is left out, and the cases that use it beside something
// else: statuses_test.go has those parts.
func TestConformanceOfWhatTheBoxOfficeUses(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Target{
		Client: newPlace(t).open(t, postgres.Options{}), BatchEventsMax: postgres.BatchEventsMax,
		Without: []string{
			"Imported", "Closing", "History", "ChangeEvents",
			// Accounts in chains, with a history or closed.
			"CreateAccounts/an account that exists is compared in the order of precedence, before its own fields are checked",
			"CreateAccounts/a lookup finds what was sent, with zero balances and the timestamp of the result",
			"CreateAccounts/a chain of accounts is created as a whole or not at all",
			"CreateAccounts/a chain of accounts must end",
			"CreateAccounts/an account can be created closed",
			"BurntIDs/an id that failed for a transient reason fails for ever",
			"Queries/an invalid account filter finds nothing",
			"Limits/the greatest limit is answered",
			// Closing transfers.
			"CreateTransfers/a new transfer is checked in the order of precedence",
			"TwoPhase/no other flag goes with post or void",
			"Expiry/an expired closing transfer opens the account",
			// Amounts above 63 bits.
			"CreateTransfers/overflows come in the order of precedence, before limits",
			"CreateTransfers/the greatest amount fits exactly",
			// Change events and general queries.
			"Expiry/holds expire in the order of their deadlines, then of their creation",
			"Expiry/no hold expires before its deadline",
			"Queries/an undone chain is found by no query",
			"Queries/transfers by their fields, order, time and limit",
			"Queries/accounts by their fields, order, time and limit",
			"Queries/an invalid query filter finds nothing",
			"Limits/a limit above what an answer can carry is too much, even in an invalid filter",
		},
	})
}

func TestWhatIsNotSupportedSaysSo(t *testing.T) {
	t.Parallel()
	c := newPlace(t).open(t, postgres.Options{})
	account := tb.Account{ID: tb.ID(), Ledger: 1, Code: 1}
	for name, flags := range map[string]tb.AccountFlags{
		"linked": {Linked: true}, "history": {History: true}, "imported": {Imported: true}, "closed": {Closed: true},
	} {
		t.Run("account "+name, func(t *testing.T) {
			a := account
			a.Flags = flags.ToUint16()
			_, err := c.CreateAccounts([]tb.Account{a})
			wantUnsupported(t, err)
		})
	}
	for name, flags := range map[string]tb.TransferFlags{
		"imported": {Imported: true}, "closing debit": {ClosingDebit: true}, "closing credit": {ClosingCredit: true},
	} {
		t.Run("transfer "+name, func(t *testing.T) {
			_, err := c.CreateTransfers([]tb.Transfer{{ID: tb.ID(), Flags: flags.ToUint16()}})
			wantUnsupported(t, err)
		})
	}
	for name, call := range map[string]func() error{
		"get_account_balances": func() error { _, err := c.GetAccountBalances(tb.AccountFilter{}); return err },
		"query_accounts":       func() error { _, err := c.QueryAccounts(tb.QueryFilter{}); return err },
		"query_transfers":      func() error { _, err := c.QueryTransfers(tb.QueryFilter{}); return err },
		"get_change_events":    func() error { _, err := c.GetChangeEvents(tb.ChangeEventsFilter{}); return err },
	} {
		t.Run(name, func(t *testing.T) { wantUnsupported(t, call()) })
	}
	if found, err := c.LookupAccounts([]tb.Uint128{account.ID}); err != nil || len(found) > 0 {
		t.Errorf("a refused account is there: %v, %v", found, err)
	}
}

func wantUnsupported(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v, want errors.ErrUnsupported", err)
	}
}

package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

const accountColumns = `id, user_data_128, user_data_64, user_data_32, ledger, code, flags, timestamp,
	debits_pending, debits_posted, credits_pending, credits_posted`

const readAccounts = `SELECT ` + accountColumns + ` FROM accounts WHERE id = ANY($1::uuid[])`

// insertAccounts writes in the order of the ids, for the reason of lockAccounts.
const insertAccounts = `
INSERT INTO accounts (id, user_data_128, user_data_64, user_data_32, ledger, code, flags, timestamp)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::integer[], $8::bigint[])
	AS a (id, user_data_128, user_data_64, user_data_32, ledger, code, flags, timestamp)
ORDER BY id`

// CreateAccounts creates accounts and returns one result for each, in order, once
// they are committed (docs.tigerbeetle.com, "create_accounts"). Chains of accounts
// and the flags history, imported and closed are not supported.
func (c *Client) CreateAccounts(accounts []tb.Account) ([]tb.CreateAccountResult, error) {
	if err := c.admit(len(accounts)); err != nil {
		return nil, err
	}
	for i := range accounts {
		if accounts[i].Flags&accountFlagsKnown&^accountFlagsSupported != 0 {
			return nil, unsupported(fmt.Sprintf("event %d: accounts that are linked, imported or closed, or have a history", i))
		}
	}
	results := []tb.CreateAccountResult{}
	if len(accounts) == 0 {
		return results, nil
	}
	err := c.write("create_accounts", func(ctx context.Context, conn *pgx.Conn) (*pgx.Batch, error) {
		there, now, err := loadAccounts(ctx, conn, accounts)
		if err != nil {
			return nil, err
		}
		var fresh []tb.Account
		results, fresh = decideAccounts(accounts, there, now)
		return writeAccounts(fresh), nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

func loadAccounts(ctx context.Context, conn *pgx.Conn, events []tb.Account) (there map[tb.Uint128]tb.Account, now uint64, err error) {
	ids := make([]uuid, len(events))
	for i := range events {
		ids[i] = toUUID(events[i].ID)
	}
	there = make(map[tb.Uint128]tb.Account)
	var clock int64
	trip := &pgx.Batch{}
	trip.Queue(begin)
	trip.Queue(readAccounts, ids).Query(func(rows pgx.Rows) error {
		return eachAccount(rows, func(a tb.Account) { there[a.ID] = a })
	})
	trip.Queue(readClock).QueryRow(func(row pgx.Row) error { return row.Scan(&clock) })
	err = conn.SendBatch(ctx, trip).Close()
	return there, uint64(clock), err
}

func decideAccounts(events []tb.Account, there map[tb.Uint128]tb.Account, now uint64) (results []tb.CreateAccountResult, fresh []tb.Account) {
	results = make([]tb.CreateAccountResult, len(events))
	for i := range events {
		a, at := events[i], now+uint64(i)+1
		e, exists := there[a.ID]
		status := checkAccount(&a, &e, exists)
		results[i] = tb.CreateAccountResult{Status: status, Timestamp: at}
		switch status {
		case tb.AccountExists:
			results[i].Timestamp = e.Timestamp
		case tb.AccountCreated:
			a.Timestamp = at
			there[a.ID] = a
			fresh = append(fresh, a)
		default: // refused, at its own time
		}
	}
	return results, fresh
}

// checkAccount decides in the reference's order of precedence.
func checkAccount(a, e *tb.Account, exists bool) tb.CreateAccountStatus {
	switch {
	case a.Timestamp != 0:
		return tb.AccountTimestampMustBeZero
	case a.Reserved != 0:
		return tb.AccountReservedField
	case a.Flags&^accountFlagsKnown != 0:
		return tb.AccountReservedFlag
	case a.ID == zero:
		return tb.AccountIDMustNotBeZero
	case a.ID == tb.AmountMax:
		return tb.AccountIDMustNotBeIntMax
	case exists:
		return accountExists(a, e)
	case a.Flags&accountFlagsSupported == accountFlagsSupported:
		return tb.AccountFlagsAreMutuallyExclusive
	case a.DebitsPending != zero:
		return tb.AccountDebitsPendingMustBeZero
	case a.DebitsPosted != zero:
		return tb.AccountDebitsPostedMustBeZero
	case a.CreditsPending != zero:
		return tb.AccountCreditsPendingMustBeZero
	case a.CreditsPosted != zero:
		return tb.AccountCreditsPostedMustBeZero
	case a.Ledger == 0:
		return tb.AccountLedgerMustNotBeZero
	case a.Code == 0:
		return tb.AccountCodeMustNotBeZero
	}
	return tb.AccountCreated
}

func accountExists(a, e *tb.Account) tb.CreateAccountStatus {
	switch {
	case a.Flags != e.Flags:
		return tb.AccountExistsWithDifferentFlags
	case a.UserData128 != e.UserData128:
		return tb.AccountExistsWithDifferentUserData128
	case a.UserData64 != e.UserData64:
		return tb.AccountExistsWithDifferentUserData64
	case a.UserData32 != e.UserData32:
		return tb.AccountExistsWithDifferentUserData32
	case a.Ledger != e.Ledger:
		return tb.AccountExistsWithDifferentLedger
	case a.Code != e.Code:
		return tb.AccountExistsWithDifferentCode
	}
	return tb.AccountExists
}

// writeAccounts writes accounts. One that somebody else created meanwhile is a unique
// violation, and the request is decided again.
func writeAccounts(fresh []tb.Account) *pgx.Batch {
	writes := &pgx.Batch{}
	if len(fresh) == 0 {
		return writes
	}
	n := len(fresh)
	ids, userData128s := make([]uuid, n), make([]uuid, n)
	userData64s, userData32s, ledgers, timestamps := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	codes, flags := make([]int32, n), make([]int32, n)
	for i, a := range fresh {
		ids[i], userData128s[i] = toUUID(a.ID), toUUID(a.UserData128)
		userData64s[i], userData32s[i] = int64(a.UserData64), int64(a.UserData32)
		ledgers[i], timestamps[i] = int64(a.Ledger), int64(a.Timestamp)
		codes[i], flags[i] = int32(a.Code), int32(a.Flags)
	}
	writes.Queue(insertAccounts, ids, userData128s, userData64s, userData32s, ledgers, codes, flags, timestamps)
	return writes
}

// eachAccount reads accountColumns.
func eachAccount(rows pgx.Rows, visit func(tb.Account)) error {
	var id, userData128 uuid
	var userData64, userData32, ledger, timestamp int64
	var code, flags int32
	var b balances
	fields := []any{&id, &userData128, &userData64, &userData32, &ledger, &code, &flags, &timestamp,
		&b.debitsPending, &b.debitsPosted, &b.creditsPending, &b.creditsPosted}
	_, err := pgx.ForEachRow(rows, fields, func() error {
		visit(tb.Account{
			ID: fromUUID(id), UserData128: fromUUID(userData128), UserData64: uint64(userData64), UserData32: uint32(userData32),
			Ledger: uint32(ledger), Code: uint16(code), Flags: uint16(flags), Timestamp: uint64(timestamp),
			DebitsPending: toAmount(b.debitsPending), DebitsPosted: toAmount(b.debitsPosted),
			CreditsPending: toAmount(b.creditsPending), CreditsPosted: toAmount(b.creditsPosted),
		})
		return nil
	})
	return err
}

// LookupAccounts returns the accounts that exist, in the order of the ids: one
// reading, all of the same moment.
func (c *Client) LookupAccounts(accountIDs []tb.Uint128) ([]tb.Account, error) {
	found := make(map[tb.Uint128]tb.Account)
	err := c.read("lookup_accounts", len(accountIDs), func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, readAccounts, toUUIDs(accountIDs))
		if err != nil {
			return err
		}
		return eachAccount(rows, func(a tb.Account) { found[a.ID] = a })
	})
	if err != nil {
		return nil, err
	}
	return inOrder(accountIDs, found), nil
}

// inOrder returns what was found in the order of the ids; an id that was asked for twice
// comes twice.
func inOrder[T any](ids []tb.Uint128, found map[tb.Uint128]T) []T {
	results := make([]T, 0, len(ids))
	for _, id := range ids {
		if row, ok := found[id]; ok {
			results = append(results, row)
		}
	}
	return slices.Clip(results)
}

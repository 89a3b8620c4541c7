package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

const lookupTransfers = `SELECT ` + transferColumns + ` FROM transfers WHERE id = ANY($1::uuid[]) AND state <> 5`

// LookupTransfers returns the transfers that exist, in the order of the ids.
func (c *Client) LookupTransfers(transferIDs []tb.Uint128) ([]tb.Transfer, error) {
	found := make(map[tb.Uint128]tb.Transfer)
	err := c.read("lookup_transfers", len(transferIDs), func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, lookupTransfers, toUUIDs(transferIDs))
		if err != nil {
			return err
		}
		return eachTransfer(rows, false, func(t transfer) { found[t.ID] = t.Transfer })
	})
	if err != nil {
		return nil, err
	}
	return inOrder(transferIDs, found), nil
}

// accountTransfers reads each side from its own index. %[1]s is the order.
const accountTransfers = `
SELECT ` + transferColumns + ` FROM (
	(SELECT * FROM transfers
	 WHERE $1 AND debit_account_id = $3 AND timestamp BETWEEN $4 AND $5 AND ` + matchingFields + `
	 ORDER BY timestamp %[1]s LIMIT $10)
	UNION ALL
	(SELECT * FROM transfers
	 WHERE $2 AND credit_account_id = $3 AND timestamp BETWEEN $4 AND $5 AND ` + matchingFields + `
	 ORDER BY timestamp %[1]s LIMIT $10)
) AS both_sides
ORDER BY timestamp %[1]s LIMIT $10`

// matchingFields: null matches everything.
const matchingFields = `($6::uuid IS NULL OR user_data_128 = $6) AND ($7::bigint IS NULL OR user_data_64 = $7)
	AND ($8::bigint IS NULL OR user_data_32 = $8) AND ($9::integer IS NULL OR code = $9)`

const (
	filterDebits   uint32 = 1 << 0
	filterCredits  uint32 = 1 << 1
	filterReversed uint32 = 1 << 2
	filterKnown    uint32 = 1<<3 - 1
)

// GetAccountTransfers returns the transfers of an account; an invalid filter finds
// nothing (docs.tigerbeetle.com, "AccountFilter").
func (c *Client) GetAccountTransfers(filter tb.AccountFilter) ([]tb.Transfer, error) {
	found := []tb.Transfer{}
	// The limit is checked first, as the client does.
	limit := int(min(filter.Limit, BatchEventsMax+1))
	if err := c.admit(limit); err != nil || !filterValid(&filter) {
		return found, err
	}
	order := "ASC"
	if filter.Flags&filterReversed != 0 {
		order = "DESC"
	}
	timestampMax := int64(math.MaxInt64)
	if filter.TimestampMax != 0 {
		timestampMax = int64(filter.TimestampMax)
	}
	err := c.read("get_account_transfers", limit, func(ctx context.Context, conn *pgx.Conn) error {
		found = found[:0]
		rows, err := conn.Query(ctx, fmt.Sprintf(accountTransfers, order),
			filter.Flags&filterDebits != 0, filter.Flags&filterCredits != 0,
			toUUID(filter.AccountID), int64(filter.TimestampMin), timestampMax,
			unlessZero(filter.UserData128, toUUID(filter.UserData128)),
			unlessZero(filter.UserData64, int64(filter.UserData64)),
			unlessZero(filter.UserData32, int64(filter.UserData32)),
			unlessZero(filter.Code, int32(filter.Code)), limit)
		if err != nil {
			return err
		}
		return eachTransfer(rows, false, func(t transfer) { found = append(found, t.Transfer) })
	})
	return found, err
}

func unlessZero[T comparable, U any](field T, column U) *U {
	var none T
	if field == none {
		return nil
	}
	return &column
}

func filterValid(f *tb.AccountFilter) bool {
	return f.AccountID != zero && f.AccountID != tb.AmountMax &&
		f.TimestampMin <= math.MaxInt64 && f.TimestampMax <= math.MaxInt64 &&
		(f.TimestampMax == 0 || f.TimestampMin <= f.TimestampMax) &&
		f.Limit != 0 &&
		f.Flags&(filterDebits|filterCredits) != 0 && f.Flags&^filterKnown == 0 &&
		f.Reserved == [len(f.Reserved)]uint8{}
}

// GetAccountBalances is not supported.
func (c *Client) GetAccountBalances(tb.AccountFilter) ([]tb.AccountBalance, error) {
	return nil, unsupported("get_account_balances")
}

// QueryAccounts is not supported.
func (c *Client) QueryAccounts(tb.QueryFilter) ([]tb.Account, error) {
	return nil, unsupported("query_accounts")
}

// QueryTransfers is not supported.
func (c *Client) QueryTransfers(tb.QueryFilter) ([]tb.Transfer, error) {
	return nil, unsupported("query_transfers")
}

// GetChangeEvents is not supported.
func (c *Client) GetChangeEvents(tb.ChangeEventsFilter) ([]tb.ChangeEvent, error) {
	return nil, unsupported("get_change_events")
}

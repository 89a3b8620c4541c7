package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// begin starts a transaction in which every statement sees what was committed before it.
// What a request reads after it has its locks is therefore up to date.
const begin = `BEGIN ISOLATION LEVEL READ COMMITTED`

// lockAccounts locks the accounts that the request names ($1), and those of the
// pending transfers that it names ($2), in the order of their ids: whoever locks
// several takes them in the same sequence, so nobody deadlocks.
const lockAccounts = `
SELECT id, ledger, flags, debits_pending, debits_posted, credits_pending, credits_posted, last_timestamp
FROM accounts
WHERE id = ANY(ARRAY(
	SELECT unnest($1::uuid[])
	UNION SELECT debit_account_id FROM transfers WHERE id = ANY($2::uuid[])
	UNION SELECT credit_account_id FROM transfers WHERE id = ANY($2::uuid[])))
ORDER BY id
FOR UPDATE`

const readTransfers = `
SELECT ` + transferColumns + `, state
FROM transfers
WHERE id = ANY($1::uuid[])`

// transferColumns of a refused row can be null.
const transferColumns = `id, debit_account_id, credit_account_id, amount, pending_id, user_data_128, user_data_64,
	user_data_32, timeout, ledger, code, flags, timestamp`

// readClock gives nanoseconds since the epoch, in steps of a microsecond.
const readClock = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint`

const insertTransfers = `
INSERT INTO transfers (` + transferColumns + `, state, expires_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::uuid[], $7::bigint[],
	$8::bigint[], $9::bigint[], $10::bigint[], $11::integer[], $12::integer[], $13::bigint[], $14::smallint[], $15::bigint[])`

// allChanged divides by zero, and so ends the transaction, if fewer rows met
// the condition of an UPDATE than it names: a row is not as it was when it was
// locked, and nothing of the request may stay.
const allChanged = `SELECT 1 / (count(*) = cardinality($1::uuid[]))::integer FROM changed`

const resolveTransfers = `
WITH changed AS (
	UPDATE transfers t SET state = r.state
	FROM unnest($1::uuid[], $2::smallint[]) AS r (id, state)
	WHERE t.id = r.id AND t.state = 1
	RETURNING 1
) ` + allChanged

// updateAccounts adds what moved, if the limits still hold.
const updateAccounts = `
WITH changed AS (
UPDATE accounts a SET
	debits_pending  = a.debits_pending  + d.debits_pending,
	debits_posted   = a.debits_posted   + d.debits_posted,
	credits_pending = a.credits_pending + d.credits_pending,
	credits_posted  = a.credits_posted  + d.credits_posted,
	last_timestamp  = d.last_timestamp
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
	AS d (id, debits_pending, debits_posted, credits_pending, credits_posted, last_timestamp)
WHERE a.id = d.id
	AND (a.flags & 2 = 0 OR a.debits_pending + d.debits_pending + a.debits_posted + d.debits_posted
		<= a.credits_posted + d.credits_posted)
	AND (a.flags & 4 = 0 OR a.credits_pending + d.credits_pending + a.credits_posted + d.credits_posted
		<= a.debits_posted + d.debits_posted)
RETURNING 1
) ` + allChanged

// CreateTransfers creates transfers and returns one result for each, in order,
// once they are committed (docs.tigerbeetle.com, "create_transfers").
func (c *Client) CreateTransfers(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
	if err := c.admit(len(transfers)); err != nil {
		return nil, err
	}
	for i := range transfers {
		// A bit that the reference does not know either has its own status.
		if transfers[i].Flags&transferFlagsKnown&^transferFlagsSupported != 0 {
			return nil, unsupported(fmt.Sprintf("event %d: imported and closing transfers", i))
		}
	}
	results := []tb.CreateTransferResult{}
	if len(transfers) == 0 {
		return results, nil
	}
	err := c.write("create_transfers", func(ctx context.Context, conn *pgx.Conn) (*pgx.Batch, error) {
		s, err := load(ctx, conn, transfers)
		if err != nil {
			return nil, err
		}
		results = s.run(transfers)
		if s.stale {
			return nil, errStale
		}
		return s.writes(), nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// load begins a transaction, locks the accounts and reads the transfers: one
// round trip.
func load(ctx context.Context, conn *pgx.Conn, events []tb.Transfer) (*sheet, error) {
	var accounts, pendings, ids []uuid
	for i := range events {
		t := &events[i]
		ids = append(ids, toUUID(t.ID))
		for _, id := range []tb.Uint128{t.DebitAccountID, t.CreditAccountID} {
			if id != zero {
				accounts = append(accounts, toUUID(id))
			}
		}
		if t.PendingID != zero {
			pendings = append(pendings, toUUID(t.PendingID))
		}
	}
	s := &sheet{accounts: make(map[tb.Uint128]*account), transfers: make(map[tb.Uint128]*transfer)}
	var clock int64
	trip := &pgx.Batch{}
	trip.Queue(begin)
	trip.Queue(lockAccounts, accounts, pendings).Query(s.addAccounts)
	trip.Queue(readTransfers, append(ids, pendings...)).Query(s.addTransfers)
	trip.Queue(readClock).QueryRow(func(row pgx.Row) error { return row.Scan(&clock) })
	if err := conn.SendBatch(ctx, trip).Close(); err != nil {
		return nil, err
	}
	s.now = uint64(clock)
	for _, a := range s.accounts {
		s.now = max(s.now, a.lastTimestamp)
	}
	return s, nil
}

func (s *sheet) addAccounts(rows pgx.Rows) error {
	var id uuid
	var a account
	var ledger, last int64
	var flags int32
	fields := []any{&id, &ledger, &flags, &a.debitsPending, &a.debitsPosted, &a.creditsPending, &a.creditsPosted, &last}
	_, err := pgx.ForEachRow(rows, fields, func() error {
		row := a
		row.id, row.ledger, row.flags = fromUUID(id), uint32(ledger), uint16(flags)
		row.was, row.lastTimestamp = row.balances, uint64(last)
		s.accounts[row.id] = &row
		return nil
	})
	return err
}

func (s *sheet) addTransfers(rows pgx.Rows) error {
	return eachTransfer(rows, true, func(t transfer) {
		t.was = t.state
		s.transfers[t.ID] = &t
	})
}

// eachTransfer reads transferColumns, and the state where it was asked for.
func eachTransfer(rows pgx.Rows, withState bool, visit func(transfer)) error {
	var id uuid
	var debit, credit, pendingID, userData128 *uuid
	var amount, userData64, userData32, timeout, ledger, timestamp int64
	var code, flags int32
	var became int16
	fields := []any{&id, &debit, &credit, &amount, &pendingID, &userData128, &userData64,
		&userData32, &timeout, &ledger, &code, &flags, &timestamp}
	if withState {
		fields = append(fields, &became)
	}
	_, err := pgx.ForEachRow(rows, fields, func() error {
		visit(transfer{
			state: state(became),
			Transfer: tb.Transfer{
				ID: fromUUID(id), DebitAccountID: orZero(debit), CreditAccountID: orZero(credit),
				Amount: toAmount(amount), PendingID: orZero(pendingID),
				UserData128: orZero(userData128), UserData64: uint64(userData64), UserData32: uint32(userData32),
				Timeout: uint32(timeout), Ledger: uint32(ledger), Code: uint16(code), Flags: uint16(flags),
				Timestamp: uint64(timestamp),
			},
		})
		return nil
	})
	return err
}

func orZero(id *uuid) tb.Uint128 {
	if id == nil {
		return zero
	}
	return fromUUID(*id)
}

// writes are what the request did: nothing where everything existed, or was
// malformed.
func (s *sheet) writes() *pgx.Batch {
	writes := &pgx.Batch{}
	if len(s.fresh) > 0 {
		writes.Queue(insertTransfers, s.freshColumns()...)
	}
	if len(s.resolved) > 0 {
		writes.Queue(resolveTransfers, s.resolvedColumns()...)
	}
	if touched, columns := s.accountColumns(); touched > 0 {
		writes.Queue(updateAccounts, columns...)
	}
	return writes
}

func (s *sheet) freshColumns() []any {
	n := len(s.fresh)
	ids, debits, credits := make([]uuid, n), make([]*uuid, n), make([]*uuid, n)
	pendingIDs, userData128s := make([]*uuid, n), make([]*uuid, n)
	amounts, userData64s, userData32s := make([]int64, n), make([]int64, n), make([]int64, n)
	timeouts, ledgers, timestamps := make([]int64, n), make([]int64, n), make([]int64, n)
	codes, flags, states := make([]int32, n), make([]int32, n), make([]int16, n)
	expiries := make([]*int64, n)
	for i, id := range s.fresh {
		t := s.transfers[id]
		ids[i], states[i], timestamps[i] = toUUID(id), int16(t.state), int64(t.Timestamp)
		if t.state == stateRefused {
			continue
		}
		debits[i], credits[i] = pointerTo(t.DebitAccountID), pointerTo(t.CreditAccountID)
		pendingIDs[i], userData128s[i] = pointerTo(t.PendingID), pointerTo(t.UserData128)
		amounts[i], userData64s[i], userData32s[i] = t.amount(), int64(t.UserData64), int64(t.UserData32)
		timeouts[i], ledgers[i] = int64(t.Timeout), int64(t.Ledger)
		codes[i], flags[i] = int32(t.Code), int32(t.Flags)
		if deadline, ok := t.expiresAt(); ok {
			expiry := int64(deadline)
			expiries[i] = &expiry
		}
	}
	return []any{ids, debits, credits, amounts, pendingIDs, userData128s, userData64s,
		userData32s, timeouts, ledgers, codes, flags, timestamps, states, expiries}
}

func pointerTo(id tb.Uint128) *uuid {
	u := toUUID(id)
	return &u
}

func (s *sheet) resolvedColumns() []any {
	states := make([]int16, len(s.resolved))
	for i, id := range s.resolved {
		states[i] = int16(s.transfers[id].state)
	}
	return []any{toUUIDs(s.resolved), states}
}

func (s *sheet) accountColumns() (touched int, columns []any) {
	var ids []uuid
	var debitsPending, debitsPosted, creditsPending, creditsPosted, last []int64
	for _, a := range s.accounts {
		if !a.touched {
			continue
		}
		ids = append(ids, toUUID(a.id))
		debitsPending = append(debitsPending, a.debitsPending-a.was.debitsPending)
		debitsPosted = append(debitsPosted, a.debitsPosted-a.was.debitsPosted)
		creditsPending = append(creditsPending, a.creditsPending-a.was.creditsPending)
		creditsPosted = append(creditsPosted, a.creditsPosted-a.was.creditsPosted)
		last = append(last, int64(a.lastTimestamp))
	}
	return len(ids), []any{ids, debitsPending, debitsPosted, creditsPending, creditsPosted, last}
}

package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// sweepMax bounds one transaction of the sweep, and so how long it keeps others
// from their accounts.
const sweepMax = 1000

const dueTransfers = `
SELECT id FROM transfers
WHERE state = 1 AND expires_at IS NOT NULL AND expires_at <= (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint
ORDER BY expires_at LIMIT $1`

// lockDue takes the locks that a request takes, in the same sequence.
const lockDue = `
SELECT id FROM accounts
WHERE id = ANY(ARRAY(
	SELECT debit_account_id FROM transfers WHERE id = ANY($1::uuid[])
	UNION SELECT credit_account_id FROM transfers WHERE id = ANY($1::uuid[])))
ORDER BY id
FOR UPDATE`

// expireDue releases what is still pending: another node's sweep, or a void,
// may have been faster.
const expireDue = `
WITH expired AS (
	UPDATE transfers SET state = 4 WHERE id = ANY($1::uuid[]) AND state = 1
	RETURNING debit_account_id, credit_account_id, amount
), freed AS (
	SELECT id, sum(debits)::bigint AS debits, sum(credits)::bigint AS credits FROM (
		SELECT debit_account_id AS id, amount AS debits, 0 AS credits FROM expired
		UNION ALL
		SELECT credit_account_id, 0, amount FROM expired
	) AS sides GROUP BY id
)
UPDATE accounts a SET
	debits_pending  = a.debits_pending  - f.debits,
	credits_pending = a.credits_pending - f.credits
FROM freed f WHERE a.id = f.id`

// sweep expires pending transfers until the client is closed. Every node sweeps;
// an idle look costs one statement on a partial index.
func (c *Client) sweep() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-c.closing.Done():
			return
		case <-tick.C:
		}
		err := c.expire()
		if err != nil && !failing && c.closing.Err() == nil {
			c.logger.Warn("the sweep of the postgres ledger fails; expired holds keep their seats until it works again", slog.Any("error", err))
		}
		if err == nil && failing {
			c.logger.Info("the sweep of the postgres ledger works again")
		}
		failing = err != nil
	}
}

// expire expires what is due.
func (c *Client) expire() error {
	for {
		var due []uuid
		err := c.read("find expired", 0, func(ctx context.Context, conn *pgx.Conn) (err error) {
			rows, err := conn.Query(ctx, dueTransfers, sweepMax)
			if err != nil {
				return err
			}
			due, err = pgx.CollectRows(rows, pgx.RowTo[uuid])
			return err
		})
		if err != nil || len(due) == 0 {
			return err
		}
		err = c.write("expire", func(context.Context, *pgx.Conn) (*pgx.Batch, error) {
			writes := &pgx.Batch{}
			writes.Queue(begin)
			writes.Queue(lockDue, due)
			writes.Queue(expireDue, due)
			return writes, nil
		})
		if err != nil || len(due) < sweepMax {
			return err
		}
	}
}

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/lab/postgres"
)

// Many buyers on several nodes want more of two small stocks than there is, in
// chains that name the stocks in either sequence, and finish what they hold. At
// every moment no stock is oversold, every chain is whole, and in the end the
// balances are the sums of the transfers.
func TestNodesNeverOversell(t *testing.T) {
	t.Parallel()
	const nodes, buyersPerNode, turns, capacity = 3, 6, 25, 20
	p := newPlace(t)
	first := p.open(t, postgres.Options{})
	stocks := [2]stock{newStock(t, first, capacity), newStock(t, first, capacity)}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	var buyers sync.WaitGroup
	for node := range nodes {
		client := p.open(t, postgres.Options{})
		for buyer := range buyersPerNode {
			random := rand.New(rand.NewPCG(seed, uint64(node*buyersPerNode+buyer)))
			buyers.Go(func() {
				for range turns {
					if err := buy(client, stocks, random); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { buyers.Wait(); close(done) }()
	for watching := true; watching; {
		select {
		case <-done:
			watching = false
		default:
		}
		for i, s := range stocks {
			wantWithin(t, first, s, i, capacity)
		}
	}
	wantBalancesToAddUp(t, p.connect(t))
}

// buy holds one to four of both stocks as a chain, and posts or voids it.
func buy(c tb.Client, stocks [2]stock, random *rand.Rand) error {
	i := random.IntN(2)
	hold := []tb.Transfer{stocks[i].hold(1 + random.Uint64N(4)), stocks[1-i].hold(1 + random.Uint64N(4))}
	hold[0].Flags |= linked
	results, err := c.CreateTransfers(hold)
	if err != nil {
		return err
	}
	one, other := results[0].Status, results[1].Status
	switch {
	case one == tb.TransferCreated && other == tb.TransferCreated:
	case one == tb.TransferExceedsCredits && other == tb.TransferLinkedEventFailed,
		one == tb.TransferLinkedEventFailed && other == tb.TransferExceedsCredits:
		return nil
	default:
		return fmt.Errorf("hold answered %v, %v", one, other)
	}
	how := void
	if random.IntN(20) == 0 {
		how = post
	}
	ends := []tb.Transfer{finish(hold[0], how|linked), finish(hold[1], how)}
	results, err = c.CreateTransfers(ends)
	if err == nil && (results[0].Status != tb.TransferCreated || results[1].Status != tb.TransferCreated) {
		err = fmt.Errorf("finish answered %v", results)
	}
	return err
}

func wantWithin(t *testing.T, c tb.Client, s stock, i int, capacity uint64) {
	t.Helper()
	accounts, err := c.LookupAccounts([]tb.Uint128{s.budget, s.spent})
	if err != nil {
		t.Fatal(err)
	}
	budget, spent := accounts[0], accounts[1]
	if taken := small(budget.DebitsPending) + small(budget.DebitsPosted); taken > capacity {
		t.Errorf("stock %d: %d of %d are taken", i, taken, capacity)
	}
	if budget.DebitsPending != spent.CreditsPending || budget.DebitsPosted != spent.CreditsPosted {
		t.Errorf("stock %d: %v left the budget, but %v was spent", i, budget, spent)
	}
}

// wantBalancesToAddUp compares every account with the transfers that name it.
func wantBalancesToAddUp(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	const differing = `
		WITH sides AS (
			SELECT debit_account_id AS id, CASE WHEN state = 1 THEN amount ELSE 0 END AS dpe,
				CASE WHEN state = 0 AND flags & 8 = 0 THEN amount ELSE 0 END AS dpo, 0 AS cpe, 0 AS cpo FROM transfers WHERE state <> 5
			UNION ALL
			SELECT credit_account_id, 0, 0, CASE WHEN state = 1 THEN amount ELSE 0 END,
				CASE WHEN state = 0 AND flags & 8 = 0 THEN amount ELSE 0 END FROM transfers WHERE state <> 5
		), sums AS (
			SELECT id, sum(dpe) AS dpe, sum(dpo) AS dpo, sum(cpe) AS cpe, sum(cpo) AS cpo FROM sides GROUP BY id
		)
		SELECT count(*) FROM accounts a LEFT JOIN sums s USING (id)
		WHERE (a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted)
			IS DISTINCT FROM (coalesce(s.dpe, 0), coalesce(s.dpo, 0), coalesce(s.cpe, 0), coalesce(s.cpo, 0))`
	if n := scan[int64](t, conn, differing); n != 0 {
		t.Errorf("%d accounts are not the sum of their transfers", n)
	}
	if n := scan[int64](t, conn, `SELECT count(*) FROM transfers`); n == 0 {
		t.Error("there are no transfers, so nothing was compared")
	}
}

// Whenever the server ends the sessions of a node, in the middle of a request or
// at its commit, the request is in the books as a whole or not at all, and the same
// ids find out which.
func TestAKilledConnectionLeavesAllOrNothing(t *testing.T) {
	t.Parallel()
	const roundsMin, roundsMax, perRound = 20, 2_000, 8 // on a busy machine the killer may be late
	p := newPlace(t)
	witness := p.open(t, postgres.Options{})
	c := p.open(t, postgres.Options{})
	s := newStock(t, witness, roundsMax*perRound)
	killer := p.connect(t)
	kills, stop := killInALoop(t, killer, p.schema)

	var rounds, unknown int
	for ; rounds < roundsMin || kills() == 0 && rounds < roundsMax; rounds++ {
		chain := make([]tb.Transfer, perRound)
		for i := range chain {
			chain[i] = s.hold(1)
			chain[i].Flags |= linked
		}
		chain[perRound-1].Flags &^= linked
		for {
			results, err := c.CreateTransfers(chain)
			if err == nil {
				if first := results[0].Status; first != tb.TransferCreated && first != tb.TransferExists {
					t.Fatalf("the chain answered %v", results)
				}
				break
			}
			found, lookupErr := lookupChain(witness, chain)
			switch {
			case lookupErr != nil:
				t.Fatal(lookupErr)
			case found != 0 && found != perRound:
				t.Fatalf("%d of %d transfers of a chain are there after %v", found, perRound, err)
			case errors.Is(err, postgres.ErrNotApplied) && found != 0:
				t.Fatalf("it is there, and the error says not: %v", err)
			case errors.Is(err, postgres.ErrOutcomeUnknown):
				unknown++
			case !errors.Is(err, postgres.ErrNotApplied):
				t.Fatal(err)
			}
		}
	}
	stop()
	if kills() == 0 {
		t.Error("nothing was killed")
	}
	t.Logf("%d sessions killed in %d rounds, %d outcomes unknown", kills(), rounds, unknown)
	budget, err := witness.LookupAccounts([]tb.Uint128{s.budget})
	if err != nil || small(budget[0].DebitsPending) != uint64(rounds*perRound) {
		t.Errorf("held %v, want %d: %v", budget, rounds*perRound, err)
	}
	wantBalancesToAddUp(t, p.connect(t))
}

// lookupChain counts the transfers of a chain. Lookups outlive a killed session.
func lookupChain(c tb.Client, chain []tb.Transfer) (found int, err error) {
	ids := make([]tb.Uint128, len(chain))
	for i := range chain {
		ids[i] = chain[i].ID
	}
	there, err := c.LookupTransfers(ids)
	return len(there), err
}

// killInALoop ends the sessions that use a schema's tables in a transaction.
func killInALoop(t *testing.T, conn *pgx.Conn, schema string) (kills func() int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var killed atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		const kill = `
			SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE pid IN (SELECT l.pid FROM pg_locks l JOIN pg_class r ON r.oid = l.relation JOIN pg_namespace n ON n.oid = r.relnamespace
				WHERE n.nspname = $1 AND l.pid <> pg_backend_pid() AND l.mode = 'RowExclusiveLock')`
		for ctx.Err() == nil {
			var n int64
			if err := conn.QueryRow(context.WithoutCancel(ctx), kill, schema).Scan(&n); err != nil {
				t.Error(err)
				return
			}
			killed.Add(n)
			if n > 0 {
				time.Sleep(5 * time.Millisecond) //nolint:forbidigo // lets a request through now and then; nothing is asserted by it
			}
		}
	}()
	return killed.Load, func() {
		cancel()
		<-ended
	}
}

// A session that dies before the commit is not the caller's trouble.
func TestARequestSurvivesASessionThatDiesBeforeTheCommit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.open(t, postgres.Options{})
	s := newStock(t, c, 1)
	blocker := p.connect(t)
	for _, sql := range []string{`BEGIN`, `SELECT 1 FROM accounts FOR UPDATE`} {
		if _, err := blocker.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	answer := make(chan error, 1)
	go func() {
		results, err := c.CreateTransfers([]tb.Transfer{s.hold(1)})
		if err == nil && results[0].Status != tb.TransferCreated {
			err = fmt.Errorf("the hold answered %v", results[0].Status)
		}
		answer <- err
	}()
	killer := p.connect(t)
	const killWaiting = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE $1::integer = ANY(pg_blocking_pids(pid))`
	eventually(t, "the request waits for the account, and its session dies", func() bool {
		return scan[int64](t, killer, killWaiting, int32(blocker.PgConn().PID())) > 0
	})
	if _, err := blocker.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

func TestAFrozenNodeIsNotWaitedForWithoutEnd(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.open(t, postgres.Options{RequestTimeout: 300 * time.Millisecond})
	s := newStock(t, c, 1)
	blocker := p.connect(t)
	for _, sql := range []string{`BEGIN`, `SELECT 1 FROM accounts FOR UPDATE`} {
		if _, err := blocker.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	hold := s.hold(1)
	if _, err := c.CreateTransfers([]tb.Transfer{hold}); !errors.Is(err, postgres.ErrNotApplied) {
		t.Errorf("error %v, want ErrNotApplied", err)
	}
	if _, err := blocker.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	wantTransfer(t, c, hold, tb.TransferCreated)
}

func TestAClosedClientSaysSo(t *testing.T) {
	t.Parallel()
	c := newPlace(t).open(t, postgres.Options{})
	c.Close()
	c.Close()
	for name, call := range map[string]func() error{
		"create_accounts":       func() error { _, err := c.CreateAccounts(nil); return err },
		"create_transfers":      func() error { _, err := c.CreateTransfers(nil); return err },
		"lookup_accounts":       func() error { _, err := c.LookupAccounts(nil); return err },
		"lookup_transfers":      func() error { _, err := c.LookupTransfers(nil); return err },
		"get_account_transfers": func() error { _, err := c.GetAccountTransfers(tb.AccountFilter{}); return err },
		"nop":                   c.Nop,
	} {
		if err := call(); !errors.Is(err, tb.ErrClientClosed) {
			t.Errorf("%s: error %v, want ErrClientClosed", name, err)
		}
	}
}

func TestNodesOpenAnEmptySchemaTogether(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var nodes sync.WaitGroup
	for range 4 {
		nodes.Go(func() {
			c, err := postgres.Open(t.Context(), p.url, postgres.Options{Schema: p.schema + "_new", Logger: discard})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if err := c.Nop(); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	if _, err := p.connect(t).Exec(t.Context(), "DROP SCHEMA "+p.schema+"_new CASCADE"); err != nil {
		t.Error(err)
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.open(t, postgres.Options{})
	if _, err := p.connect(t).Exec(t.Context(), `INSERT INTO ledger_migrations (version) VALUES (99)`); err != nil {
		t.Fatal(err)
	}
	if c, err := postgres.Open(t.Context(), p.url, postgres.Options{Schema: p.schema}); err == nil {
		c.Close()
		t.Error("an older build opened a newer schema")
	}
}

// Ids are compared as numbers: no column has a collation, so no database's own can
// put them in another order.
func TestNoColumnIsText(t *testing.T) {
	p := newPlace(t)
	p.open(t, postgres.Options{})
	conn := p.connect(t)
	const collated = `
		SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relnamespace = $1::text::regnamespace AND a.attnum > 0 AND a.attcollation <> 0`
	if n := scan[int](t, conn, collated, p.schema); n != 0 {
		t.Errorf("%d columns have a collation", n)
	}
	const all = `SELECT count(*) FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relname = 'transfers'`
	if n := scan[int](t, conn, all, p.schema); n != 1 {
		t.Errorf("%d tables of transfers: this looks at the wrong schema", n)
	}
}

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
)

// The drill: the orders database is put back to an earlier moment, the scheduled
// audit looks at what it then finds, and the records are restored. No money of a
// valid order moves.
//
// Going back in time is a copy of the tables within the database: it is the same
// consistent snapshot that a dump is, and needs no pg_dump, which not every
// machine has.
func TestRestoredDatabase(t *testing.T) {
	t.Setenv("BOXOFFICE_AUDIT_INTERVAL", "5s")
	s := startStack(t, dataDir(t), "embedded")
	sale := s.sale(t, 20, longHold, 5)
	short := s.sale(t, 1, shortHold, 5)
	paid := func(want items) order {
		o := s.hold(t, sale, want)
		s.pay(t, o, "succeeded")
		s.awaitStatus(t, o, "paid")
		return o
	}
	before, refundedLater := paid(items{"A": 1}), paid(items{"A": 1}) // before: the perk
	held := s.hold(t, sale, items{"B": 1})

	s.saveDatabase(t)

	// What the database will have forgotten.
	known, forgotten := paid(items{"A": 2, "B": 1}), paid(items{"A": 1, "B": 2})
	refunded := paid(items{"B": 1})
	s.refund(t, refunded)
	s.refund(t, refundedLater)
	s.pay(t, held, "succeeded")
	s.awaitStatus(t, held, "paid")
	late := s.expired(t, short)
	s.capture(t, late, nil)
	s.awaitStatus(t, late, "paid")
	toNobody := s.hold(t, sale, items{"A": 1}) // money that bought nothing
	s.cancel(t, toNobody)
	s.capture(t, toNobody, nil)
	s.awaitStatus(t, toNobody, "refunded")
	lost := []order{known, forgotten, refunded, refundedLater, held, late, toNobody}
	ended := make(map[string]orderState)
	for _, o := range append(lost, before) {
		ended[o.ID] = s.state(t, o)
	}
	refundsBefore := s.refundedPayments(t)
	require.Equal(t, sorted(refunded.Session, refundedLater.Session, toNobody.Session), refundsBefore)

	s.putDatabaseBack(t)
	// Temporal has forgotten two of them: its retention is over.
	for _, id := range []string{"checkout/" + forgotten.ID, "checkout/" + late.ID, lateID(late)} {
		s.forgetWorkflow(t, id)
	}

	t.Run("the audit reports what is lost, and gives no money back", func(t *testing.T) {
		s.awaitMetric(t, `boxoffice_audit_broken{invariant="I7"}`, func(v float64) bool { return v == float64(len(lost)) })
		s.awaitAudits(t, 1) // and its repair was there
		require.Equal(t, refundsBefore, s.refundedPayments(t))
		output := s.commandExits(t, 1, "verify", "--wait", "0s")
		for _, o := range lost {
			require.Contains(t, output, "broken     "+o.ID+"  record lost: ")
		}
		require.NotContains(t, output, before.ID)
	})

	t.Run("a payment that is delivered again waits for the record", func(t *testing.T) {
		a := s.webhook(t, "evt_"+newKey(), time.Now(), event("payment.succeeded", forgotten, nil))
		require.Equal(t, http.StatusServiceUnavailable, a.status, "%s", a.body)
		require.Equal(t, "unknown", a.code(t))
		require.Equal(t, refundsBefore, s.refundedPayments(t))
	})

	t.Run("restore-orders writes nothing unless it is told to", func(t *testing.T) {
		output := s.commandExits(t, 0, "restore-orders", sale, short)
		require.Equal(t, len(lost), strings.Count(output, "would restore    order "), output)
		require.Contains(t, output, "order "+forgotten.ID+"  paid, payment "+forgotten.Session+"  left empty, nobody knows it any more: email")
	})

	t.Run("restore-orders restores all", func(t *testing.T) {
		output := s.commandExits(t, 0, "restore-orders", "--apply")
		require.Equal(t, len(lost), strings.Count(output, "restored         order "), output)
		require.Equal(t, refundsBefore, s.refundedPayments(t))
		for _, o := range append(lost, before) {
			require.Equal(t, ended[o.ID], s.state(t, o), "the same tickets, with the same codes, for the same token")
		}
		require.Len(t, s.state(t, forgotten).Tickets, 3)
		require.Len(t, s.state(t, late).Tickets, 1)
		require.Equal(t, map[string]bool{forgotten.ID: false, known.ID: true, held.ID: true, refunded.ID: true, refundedLater.ID: true, before.ID: true}, s.hasAddress(t, sale))
		require.Equal(t, map[string]bool{late.ID: false}, s.hasAddress(t, short))
	})

	t.Run("verify holds", func(t *testing.T) {
		output := s.commandExits(t, 0, "verify", "--wait", "5s")
		require.Contains(t, output, "every invariant holds")
		again := s.commandExits(t, 0, "restore-orders", sale)
		require.Contains(t, again, "no record is lost")
		s.awaitMetric(t, `boxoffice_audit_broken{invariant="I7"}`, func(v float64) bool { return v == 0 })
		require.Equal(t, refundsBefore, s.refundedPayments(t))
	})

	t.Run("a restored order is refunded as any other", func(t *testing.T) {
		s.refund(t, forgotten)
		require.Equal(t, sorted(append(refundsBefore, forgotten.Session)...), s.refundedPayments(t))
		s.commandExits(t, 0, "verify", "--wait", "5s", sale)
	})
}

func sorted(texts ...string) []string { return slices.Sorted(slices.Values(texts)) }

// refund is the organiser's.
func (s *stack) refund(t *testing.T, o order) {
	t.Helper()
	a := s.organiser(t, http.MethodPost, "/v1/orders/"+o.ID+"/refund")
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, a.status, "%s", a.body)
	s.awaitStatus(t, o, "refunded")
}

// refundedPayments is what the provider has given back.
func (s *stack) refundedPayments(t *testing.T) []string {
	t.Helper()
	var page struct {
		Items []struct{ Payment string }
	}
	s.atProvider(t, http.MethodGet, "/v1/refunds?limit=1000", nil).into(t, &page)
	payments := []string{}
	for _, r := range page.Items {
		payments = append(payments, r.Payment)
	}
	return sorted(payments...)
}

// hasAddress tells of a sale's orders whether the buyer's address is known.
func (s *stack) hasAddress(t *testing.T, sale string) map[string]bool {
	t.Helper()
	var page struct {
		Orders []struct{ Order, Email string }
	}
	s.organiser(t, http.MethodGet, "/v1/sales/"+sale+"/orders").into(t, &page)
	has := make(map[string]bool)
	for _, o := range page.Orders {
		has[o.Order] = strings.Contains(o.Email, "@")
	}
	return has
}

// commandExits runs a command of the product that must end with a code.
func (s *stack) commandExits(t *testing.T, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	output, err := s.command(ctx, args...)
	require.Equal(t, want, exitCode(err), "%v\n%s", err, output)
	return output
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}

func (s *stack) forgetWorkflow(t *testing.T, id string) {
	t.Helper()
	_, err := s.temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: s.env["TEMPORAL_NAMESPACE"], WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id},
	})
	require.NoError(t, err)
	eventually(t, id+" is forgotten", func() bool {
		_, err := s.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		return err != nil && strings.Contains(err.Error(), "not found")
	})
}

// saved is the schema with the copy.
const saved = "saved"

// saveDatabase copies all tables, and the sequences' numbers, in one snapshot.
func (s *stack) saveDatabase(t *testing.T) {
	t.Helper()
	s.inOneTransaction(t, func(tx pgx.Tx) {
		run(t, tx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`)
		run(t, tx, `CREATE SCHEMA `+saved)
		for _, table := range tables(t, tx) {
			run(t, tx, fmt.Sprintf(`CREATE TABLE %s.%s AS TABLE public.%s`, saved, table, table))
		}
		run(t, tx, `CREATE TABLE `+saved+`.sequences AS SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'`)
	})
}

// putDatabaseBack is the restore of that copy.
func (s *stack) putDatabaseBack(t *testing.T) {
	t.Helper()
	s.inOneTransaction(t, func(tx pgx.Tx) {
		all := tables(t, tx)
		run(t, tx, `SET LOCAL session_replication_role = replica`) // as a restore does: no foreign keys on the way
		run(t, tx, `TRUNCATE public.`+strings.Join(all, `, public.`))
		for _, table := range all {
			var columns string // what is generated cannot be inserted
			require.NoError(t, tx.QueryRow(t.Context(), `
				SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
				WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'`, table).Scan(&columns))
			run(t, tx, fmt.Sprintf(`INSERT INTO public.%[1]s (%[2]s) OVERRIDING SYSTEM VALUE SELECT %[2]s FROM %[3]s.%[1]s`, table, columns, saved))
		}
		run(t, tx, `SELECT setval(format('public.%I', sequencename)::regclass, coalesce(last_value, 1), last_value IS NOT NULL) FROM `+saved+`.sequences`)
	})
}

func tables(t *testing.T, tx pgx.Tx) []string {
	t.Helper()
	rows, err := tx.Query(t.Context(), `SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

func run(t *testing.T, tx pgx.Tx, statement string) {
	t.Helper()
	_, err := tx.Exec(t.Context(), statement)
	require.NoError(t, err, statement)
}

func (s *stack) inOneTransaction(t *testing.T, do func(pgx.Tx)) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	require.NoError(t, err)
	defer db.Close(context.Background())
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	do(tx)
	require.NoError(t, tx.Commit(t.Context()))
}

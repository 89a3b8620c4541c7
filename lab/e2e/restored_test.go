package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"boxoffice/client"
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
	const holdSeconds = 10 // enough to pay, and one of them must expire
	sale := s.sale(t, 20, holdSeconds, 5)
	paid := func(want items) order {
		o := s.hold(t, sale, want)
		s.pay(t, o, "succeeded")
		s.awaitStatus(t, o, "paid")
		return o
	}
	before, refundedLater := paid(items{"A": 1}), paid(items{"A": 1}) // before has the perk

	s.saveDatabase(t)

	// What the database will have forgotten.
	late := s.hold(t, sale, items{"A": 1}) // paid after it has expired: rebooked
	known, forgotten := paid(items{"A": 2, "a": 1}), paid(items{"A": 1, "a": 2})
	refunded := paid(items{"a": 1})
	s.refund(t, refunded)
	s.refund(t, refundedLater)
	toNobody := s.hold(t, sale, items{"A": 1}) // its money buys nothing
	s.cancel(t, toNobody)
	s.capture(t, toNobody, nil)
	s.awaitStatus(t, toNobody, "refunded")
	s.awaitStatus(t, late, "expired")
	s.capture(t, late, nil)
	s.awaitStatus(t, late, "paid")
	lost := []order{known, forgotten, refunded, refundedLater, late, toNobody}
	type end struct {
		status  string
		tickets []client.Ticket
		perk    client.OrderPerk
	}
	endOf := func(o order) (e end) { // the exact time of payment is lost
		now := s.state(t, o)
		e.status, e.tickets = now.Status, now.Tickets
		if now.Perk != nil {
			e.perk = *now.Perk
		}
		return e
	}
	ended := make(map[string]end)
	for _, o := range append(lost, before) {
		ended[o.Order] = endOf(o)
	}
	given := s.refundedPayments(t) // from here on nothing more
	if want := sorted(refunded.PaymentSession, refundedLater.PaymentSession, toNobody.PaymentSession); !reflect.DeepEqual(given, want) {
		t.Fatalf("given is %q, want %q", given, want)
	}

	s.putDatabaseBack(t)
	for _, id := range []string{"checkout/" + forgotten.Order, "checkout/" + late.Order, lateID(late)} {
		s.forgetWorkflow(t, id) // as if Temporal's retention were over
	}

	t.Run("the audit reports what is lost", func(t *testing.T) {
		var both sync.WaitGroup // and the schedule's, at the same time
		var verified, planned string
		both.Go(func() { verified = s.exits(t, 1, "verify", "--wait", "0s", sale) })
		both.Go(func() { planned = s.exits(t, 0, "restore-orders", sale) }) // writes nothing: the rest finds all still lost
		both.Wait()
		s.awaitMetric(t, `boxoffice_audit_broken{invariant="I7"}`, func(v float64) bool { return v == float64(len(lost)) })
		for _, o := range lost {
			if !strings.Contains(verified, ("broken     " + o.Order + "  record lost: ")) {
				t.Fatalf("no %q in %s", ("broken     " + o.Order + "  record lost: "), verified)
			}
		}
		if strings.Contains(verified, before.Order) {
			t.Fatalf("%q is in %s", before.Order, verified)
		}
		if got := strings.Count(planned, "would restore    order "); got != len(lost) {
			t.Fatalf(`strings.Count(planned, "would restore    order ") is %v, want %v: %v`, got, len(lost), planned)
		}
		if !strings.Contains(planned, ("order " + forgotten.Order + "  paid, payment " + forgotten.PaymentSession + "  left empty, nobody knows it any more: email")) {
			t.Fatalf("no %q in %s", ("order " + forgotten.Order + "  paid, payment " + forgotten.PaymentSession + "  left empty, nobody knows it any more: email"), planned)
		}
		if got := s.refundedPayments(t); !reflect.DeepEqual(got, given) {
			t.Fatalf("s.refundedPayments(t) is %q, want %q: the scheduled audit's repair", got, given)
		}
	})

	t.Run("a payment that is delivered again waits for the record", func(t *testing.T) {
		a := s.webhook(t, "evt_"+newKey(), time.Now(), event("payment.succeeded", forgotten, nil))
		if a.status != http.StatusServiceUnavailable {
			t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusServiceUnavailable, a.body)
		}
		if got := a.code(t); got != "unknown" {
			t.Fatalf(`a.code(t) is %q, want "unknown"`, got)
		}
	})

	t.Run("restore-orders restores all", func(t *testing.T) {
		output := s.exits(t, 0, "restore-orders", "--apply")
		if got := strings.Count(output, "restored         order "); got != len(lost) {
			t.Fatalf(`strings.Count(output, "restored         order ") is %v, want %v: %v`, got, len(lost), output)
		}
		for _, o := range append(lost, before) {
			if got := endOf(o); !reflect.DeepEqual(got, ended[o.Order]) {
				t.Fatalf("endOf(o) is %+v, want %+v: the same tickets, with the same codes, for the same token", got, ended[o.Order])
			}
		}
		if got := s.state(t, forgotten).Tickets; len(got) != 3 {
			t.Fatalf("%d in s.state(t, forgotten).Tickets, want 3: %+v", len(got), got)
		}
		if got := s.state(t, late).Tickets; len(got) != 1 {
			t.Fatalf("%d in s.state(t, late).Tickets, want 1: %+v", len(got), got)
		}
		if got, want := s.hasAddress(t, sale), map[string]bool{
			before.Order: true, known.Order: true, refunded.Order: true, refundedLater.Order: true, forgotten.Order: false, late.Order: false,
		}; !reflect.DeepEqual(got, want) {
			t.Fatalf("s.hasAddress(t, sale) is %v, want %v", got, want)
		}
	})

	t.Run("verify holds, and no money moved", func(t *testing.T) {
		if got := s.exits(t, 0, "verify", "--wait", "5s"); !strings.Contains(got, "every invariant holds") {
			t.Fatalf("no %q in %s", "every invariant holds", got)
		}
		if got := s.exits(t, 0, "restore-orders"); !strings.Contains(got, ("Sale " + sale + ": no record is lost")) {
			t.Fatalf("no %q in %s", ("Sale " + sale + ": no record is lost"), got)
		}
		if got := s.refundedPayments(t); !reflect.DeepEqual(got, given) {
			t.Fatalf("s.refundedPayments(t) is %q, want %q", got, given)
		}
	})

	t.Run("a restored order is refunded as any other", func(t *testing.T) {
		s.refund(t, forgotten)
		if got, want := s.refundedPayments(t), sorted(append(given, forgotten.PaymentSession)...); !reflect.DeepEqual(got, want) {
			t.Fatalf("s.refundedPayments(t) is %q, want %q", got, want)
		}
		s.exits(t, 0, "verify", "--wait", "5s", sale)
	})
}

func sorted(texts ...string) []string { return slices.Sorted(slices.Values(texts)) }

// refund is the organiser's.
func (s *stack) refund(t *testing.T, o order) {
	t.Helper()
	_, err := s.boxOffice().RefundOrder(t.Context(), o.Order)
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(t, o, "refunded")
}

// hasAddress reports for a sale's orders whether the buyer's address is known.
func (s *stack) hasAddress(t *testing.T, sale string) map[string]bool {
	t.Helper()
	page, err := s.boxOffice().ListOrders(t.Context(), sale, client.ListOrdersParams{})
	if err != nil {
		t.Fatal(err)
	}
	has := make(map[string]bool)
	for _, o := range page.Orders {
		has[o.Order] = strings.Contains(o.Email, "@")
	}
	return has
}

// exits runs a command of the product that must end with a code.
func (s *stack) exits(t *testing.T, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	output, err := s.command(ctx, args...)
	if got := exitCode(err); got != want {
		t.Errorf("exitCode(err) is %v, want %v: %v\n%s", got, want, err, output)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, id+" is forgotten", func() bool {
		_, err := s.temporal.DescribeWorkflowExecution(t.Context(), id, "")
		var gone *serviceerror.NotFound
		return errors.As(err, &gone)
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
		run(t, tx, `TRUNCATE public.`+strings.Join(all, `, public.`))
		for _, table := range referredFirst(t, tx, all) {
			var columns string // generated columns cannot be inserted
			if err := tx.QueryRow(t.Context(), `
				SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
				WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'`, table).Scan(&columns); err != nil {
				t.Fatal(err)
			}
			run(t, tx, `ALTER TABLE public.`+table+` DISABLE TRIGGER USER`) // what they did is in the copy
			run(t, tx, fmt.Sprintf(`INSERT INTO public.%[1]s (%[2]s) OVERRIDING SYSTEM VALUE SELECT %[2]s FROM %[3]s.%[1]s`, table, columns, saved))
			run(t, tx, `SET CONSTRAINTS ALL IMMEDIATE`) // otherwise checks are pending, and ALTER TABLE fails
			run(t, tx, `ALTER TABLE public.`+table+` ENABLE TRIGGER USER`)
		}
		run(t, tx, `SELECT setval(format('public.%I', sequencename)::regclass, coalesce(last_value, 1), last_value IS NOT NULL) FROM `+saved+`.sequences`)
	})
}

// referredFirst puts tables before those with foreign keys to them.
func referredFirst(t *testing.T, tx pgx.Tx, tables []string) (order []string) {
	t.Helper()
	rows, err := tx.Query(t.Context(), `
		SELECT DISTINCT from_table.relname::text, to_table.relname::text FROM pg_constraint
		JOIN pg_class from_table ON from_table.oid = conrelid JOIN pg_class to_table ON to_table.oid = confrelid
		WHERE contype = 'f' AND conrelid <> confrelid AND connamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	type reference struct{ From, To string }
	references, err := pgx.CollectRows(rows, pgx.RowToStructByPos[reference])
	if err != nil {
		t.Fatal(err)
	}
	for len(order) < len(tables) {
		before := len(order)
		for _, table := range tables {
			waits := slices.ContainsFunc(references, func(r reference) bool { return r.From == table && !slices.Contains(order, r.To) })
			if !waits && !slices.Contains(order, table) {
				order = append(order, table)
			}
		}
		if len(order) <= before {
			t.Fatalf("len(order) is %v, want more than %v: the foreign keys of %v are a circle", len(order), before, tables)
		}
	}
	return order
}

func tables(t *testing.T, tx pgx.Tx) []string {
	t.Helper()
	rows, err := tx.Query(t.Context(), `SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func run(t *testing.T, tx pgx.Tx, statement string) {
	t.Helper()
	_, err := tx.Exec(t.Context(), statement)
	if err != nil {
		t.Fatalf("%v: %v", statement, err)
	}
}

func (s *stack) inOneTransaction(t *testing.T, do func(pgx.Tx)) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do(tx)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

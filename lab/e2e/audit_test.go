package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	enumspb "go.temporal.io/api/enums/v1"
	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	server "boxoffice/mockpay"
)

// The scheduled audit: nobody asks for it, and what it finds is a metric, an event and
// verify's exit code.
func TestScheduledAudit(t *testing.T) {
	t.Setenv("BOXOFFICE_AUDIT_INTERVAL", "5s")
	s := startStack(t, dataDir(t), "embedded")

	t.Run("the schedule is there, and its runs are seen", func(t *testing.T) {
		there := s.schedule(t)
		if got := there.GetPolicies().GetOverlapPolicy(); got != enumspb.SCHEDULE_OVERLAP_POLICY_SKIP {
			t.Fatalf("there.GetPolicies().GetOverlapPolicy() is %v, want %v", got, enumspb.SCHEDULE_OVERLAP_POLICY_SKIP)
		}
		if got := there.GetSpec().GetInterval()[0].GetInterval().AsDuration(); got != (5 * time.Second) {
			t.Fatalf("there.GetSpec().GetInterval()[0].GetInterval().AsDuration() is %v, want %v", got, (5 * time.Second))
		}
		s.awaitMetric(t, "boxoffice_audit_last_run_timestamp_seconds", func(v float64) bool { return v > 0 })
		if got := s.metric(t, `boxoffice_audit_broken{invariant="I4"}`); got != 0 {
			t.Fatalf("got %v, want zero", got)
		}
	})

	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 2})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")

	t.Run("a ticket that is lost", func(t *testing.T) {
		// A CREATE TABLE takes no parameters; the id is hexadecimal.
		s.sql(t, `CREATE TABLE lost AS SELECT * FROM tickets WHERE number = 2 AND order_id = '`+o.Order+`'`)
		s.sql(t, `DELETE FROM tickets WHERE order_id = $1 AND number = 2`, o.Order)
		// One stock, and the buyer's quota.
		s.awaitMetric(t, `boxoffice_audit_broken{invariant="I4"}`, func(v float64) bool { return v == 2 })
		if got := s.auditEvents(t, "audit.broken", sale); got != int64(2) {
			t.Fatalf(`s.auditEvents(t, "audit.broken", sale) is %v, want int64(2)`, got)
		}
		s.requireVerdict(t, 1, "broken", sale)
		s.awaitAudits(t, 1)
		if got := s.auditEvents(t, "audit.broken", sale); got != int64(2) {
			t.Fatalf(`s.auditEvents(t, "audit.broken", sale) is %v, want int64(2): told once, however often it is seen`, got)
		}
	})

	t.Run("the ticket is put back", func(t *testing.T) {
		s.sql(t, `INSERT INTO tickets SELECT * FROM lost`)
		s.awaitMetric(t, `boxoffice_audit_broken{invariant="I4"}`, func(v float64) bool { return v == 0 })
		if got := s.auditEvents(t, "audit.healed", sale); got != int64(2) {
			t.Fatalf(`s.auditEvents(t, "audit.healed", sale) is %v, want int64(2)`, got)
		}
		s.requireVerdict(t, 0, "ok", sale)
	})

	t.Run("money whose report was lost for good is found and goes back", func(t *testing.T) {
		twice := s.hold(t, sale, items{"A": 1})
		s.misbehave(t, twice, "lose")
		s.pay(t, twice, "succeeded")
		// The checkout never asks for the first: the second, reported, ends it.
		s.capture(t, twice, func(c *server.CaptureRequest) { c.Nth = 2 })
		s.awaitStatus(t, twice, "paid")
		s.awaitReturned(t, twice.PaymentSession)
		s.awaitAudits(t, 2) // the metric is as old as the last look: one that began after the refund must have been shown
		s.awaitMetric(t, `boxoffice_audit_broken{invariant="I2"}`, func(v float64) bool { return v == 0 })
		if got := s.state(t, twice).Status; got != "paid" {
			t.Fatalf(`s.state(t, twice).Status is %q, want "paid"`, got)
		}
		s.requireVerdict(t, 0, "warning", sale) // I5: captured twice
	})

	t.Run("a provider that does not answer is not a breakage", func(t *testing.T) {
		provider := s.pid("mockpay")
		if provider == 0 {
			t.Fatal("provider is zero")
		}
		if err := syscall.Kill(provider, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(provider, syscall.SIGCONT) })
		s.requireVerdict(t, 3, "could_not_look", sale)
		s.awaitMetric(t, `boxoffice_audit_unread{source="the payment provider"}`, func(v float64) bool { return v == 1 })
		if got := s.metric(t, `boxoffice_audit_broken{invariant="I2"}`); got != 0 {
			t.Fatalf("got %v, want zero", got)
		}
		if err := syscall.Kill(provider, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		s.awaitMetric(t, `boxoffice_audit_unread{source="the payment provider"}`, func(v float64) bool { return v == 0 })
	})

	t.Run("migrating again gives it the interval and leaves it paused", func(t *testing.T) {
		schedules := s.temporal.ScheduleClient()
		if err := schedules.GetHandle(t.Context(), "audit").Pause(t.Context(), client.SchedulePauseOptions{Note: "looking"}); err != nil {
			t.Fatal(err)
		}
		s.env["BOXOFFICE_AUDIT_INTERVAL"] = "7s"
		output, err := s.command(t.Context(), "migrate")
		if err != nil {
			t.Fatalf("%v: %v", output, err)
		}
		there := s.schedule(t)
		if !there.GetState().GetPaused() {
			t.Fatal("want true: there.GetState().GetPaused()")
		}
		if got := there.GetState().GetNotes(); got != "looking" {
			t.Fatalf(`there.GetState().GetNotes() is %q, want "looking"`, got)
		}
		if got := there.GetSpec().GetInterval()[0].GetInterval().AsDuration(); got != (7 * time.Second) {
			t.Fatalf("there.GetSpec().GetInterval()[0].GetInterval().AsDuration() is %v, want %v", got, (7 * time.Second))
		}
		if err := schedules.GetHandle(t.Context(), "audit").Unpause(t.Context(), client.ScheduleUnpauseOptions{}); err != nil {
			t.Fatal(err)
		}
		s.awaitAudits(t, 1)
	})

	t.Run("what Temporal stores is sealed, and small", func(t *testing.T) {
		var id string
		eventually(t, "a completed audit is listed", func() bool {
			id = s.findWorkflow(t, `WorkflowType = "Audit" AND ExecutionStatus = "Completed"`)
			return id != ""
		})
		history := s.history(t, id)
		requireSealed(t, history)
		if len(history.Events) >= 15 {
			t.Fatalf("len(history.Events) is %v, want less than 15", len(history.Events))
		}
	})
}

// schedule reads the audit's as it is stored: its summary is sealed.
func (s *stack) schedule(t *testing.T) *schedulepb.Schedule {
	t.Helper()
	there, err := s.temporal.WorkflowService().DescribeSchedule(t.Context(), &workflowservice.DescribeScheduleRequest{
		Namespace: s.env["TEMPORAL_NAMESPACE"], ScheduleId: "audit",
	})
	if err != nil {
		t.Fatal(err)
	}
	return there.GetSchedule()
}

// metric reads one sample as Prometheus would; -1 if there is none.
func (s *stack) metric(t *testing.T, name string) float64 {
	t.Helper()
	a := s.request(t, http.MethodGet, s.env["BOXOFFICE_ADMIN_URL"]+"/metrics", s.admin(), nil)
	if a.status != http.StatusOK {
		t.Fatalf("a.status is %v, want %v", a.status, http.StatusOK)
	}
	for line := range strings.Lines(string(a.body)) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return -1
}

func (s *stack) awaitMetric(t *testing.T, name string, is func(float64) bool) {
	t.Helper()
	eventually(t, name, func() bool { return is(s.metric(t, name)) })
}

// awaitAudits waits for n more audits that read everything.
func (s *stack) awaitAudits(t *testing.T, n int) {
	t.Helper()
	const lastRun = "boxoffice_audit_last_run_timestamp_seconds"
	for range n {
		before := s.metric(t, lastRun)
		s.awaitMetric(t, lastRun, func(v float64) bool { return v > before })
	}
}

// requireVerdict runs verify as a script would.
func (s *stack) requireVerdict(t *testing.T, exitCode int, verdict, sale string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	output, err := s.command(ctx, "verify", "--wait", "0s", "--json", sale)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if got := exit.ExitCode(); got != exitCode {
			t.Fatalf("exit.ExitCode() is %v, want %v: %v", got, exitCode, output)
		}
	} else {
		if err != nil {
			t.Fatal(err)
		}
		if exitCode != 0 {
			t.Fatalf("exitCode is %v, want zero: %v", exitCode, output)
		}
	}
	var reports []struct{ Sale, Verdict string }
	if err := json.NewDecoder(strings.NewReader(output)).Decode(&reports); err != nil {
		t.Fatalf("%v: %v", output, err)
	}
	if got, want := fmt.Sprint(reports), fmt.Sprintf("[{%s %s}]", sale, verdict); got != want {
		t.Fatalf("fmt.Sprint(reports) is %q, want %q: %v", got, want, output)
	}
}

func (s *stack) sql(t *testing.T, statement string, args ...any) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	_, err = db.Exec(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stack) auditEvents(t *testing.T, event, sale string) (n int64) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE event = $1 AND sale_id = $2`, event, sale).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

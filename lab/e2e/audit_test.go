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
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	server "boxoffice/mockpay"
)

// The audit that nobody asked for: the schedule runs it, and what it finds is a
// metric, an event and verify's exit code.
func TestScheduledAudit(t *testing.T) {
	t.Setenv("BOXOFFICE_AUDIT_INTERVAL", "5s")
	s := startStack(t, dataDir(t), "embedded")

	t.Run("the schedule is there, and its runs are seen", func(t *testing.T) {
		there := s.schedule(t)
		require.Equal(t, enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, there.GetPolicies().GetOverlapPolicy())
		require.Equal(t, 5*time.Second, there.GetSpec().GetInterval()[0].GetInterval().AsDuration())
		s.awaitMetric(t, "boxoffice_audit_last_run_timestamp_seconds", func(v float64) bool { return v > 0 })
		require.Zero(t, s.metric(t, `boxoffice_audit_broken{invariant="I4"}`))
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
		require.Equal(t, int64(2), s.auditEvents(t, "audit.broken", sale))
		s.requireVerdict(t, 1, "broken", sale)
		s.awaitAudits(t, 1)
		require.Equal(t, int64(2), s.auditEvents(t, "audit.broken", sale), "told once, however often it is seen")
	})

	t.Run("the ticket is put back", func(t *testing.T) {
		s.sql(t, `INSERT INTO tickets SELECT * FROM lost`)
		s.awaitMetric(t, `boxoffice_audit_broken{invariant="I4"}`, func(v float64) bool { return v == 0 })
		require.Equal(t, int64(2), s.auditEvents(t, "audit.healed", sale))
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
		require.Equal(t, "paid", s.state(t, twice).Status)
		s.requireVerdict(t, 0, "warning", sale) // I5: captured twice
	})

	t.Run("a provider that does not answer is not a breakage", func(t *testing.T) {
		provider := s.pid("mockpay")
		require.NotZero(t, provider)
		require.NoError(t, syscall.Kill(provider, syscall.SIGSTOP))
		t.Cleanup(func() { _ = syscall.Kill(provider, syscall.SIGCONT) })
		s.requireVerdict(t, 3, "could_not_look", sale)
		s.awaitMetric(t, `boxoffice_audit_unread{source="the payment provider"}`, func(v float64) bool { return v == 1 })
		require.Zero(t, s.metric(t, `boxoffice_audit_broken{invariant="I2"}`))
		require.NoError(t, syscall.Kill(provider, syscall.SIGCONT))
		s.awaitMetric(t, `boxoffice_audit_unread{source="the payment provider"}`, func(v float64) bool { return v == 0 })
	})

	t.Run("migrating again gives it the interval and leaves it paused", func(t *testing.T) {
		schedules := s.temporal.ScheduleClient()
		require.NoError(t, schedules.GetHandle(t.Context(), "audit").Pause(t.Context(), client.SchedulePauseOptions{Note: "looking"}))
		s.env["BOXOFFICE_AUDIT_INTERVAL"] = "7s"
		output, err := s.command(t.Context(), "migrate")
		require.NoError(t, err, output)
		there := s.schedule(t)
		require.True(t, there.GetState().GetPaused())
		require.Equal(t, "looking", there.GetState().GetNotes())
		require.Equal(t, 7*time.Second, there.GetSpec().GetInterval()[0].GetInterval().AsDuration())
		require.NoError(t, schedules.GetHandle(t.Context(), "audit").Unpause(t.Context(), client.ScheduleUnpauseOptions{}))
		s.awaitAudits(t, 1)
	})

	t.Run("what stands in Temporal is sealed, and small", func(t *testing.T) {
		var id string
		eventually(t, "a completed audit is listed", func() bool {
			id = s.findWorkflow(t, `WorkflowType = "Audit" AND ExecutionStatus = "Completed"`)
			return id != ""
		})
		history := s.history(t, id)
		requireSealed(t, history)
		require.Less(t, len(history.Events), 15)
	})
}

// schedule reads the audit's as it is stored: its summary is sealed.
func (s *stack) schedule(t *testing.T) *schedulepb.Schedule {
	t.Helper()
	there, err := s.temporal.WorkflowService().DescribeSchedule(t.Context(), &workflowservice.DescribeScheduleRequest{
		Namespace: s.env["TEMPORAL_NAMESPACE"], ScheduleId: "audit",
	})
	require.NoError(t, err)
	return there.GetSchedule()
}

// metric reads one sample as Prometheus would; -1 where there is none.
func (s *stack) metric(t *testing.T, name string) float64 {
	t.Helper()
	a := s.request(t, http.MethodGet, s.env["BOXOFFICE_ADMIN_URL"]+"/metrics", s.admin(), nil)
	require.Equal(t, http.StatusOK, a.status)
	for line := range strings.Lines(string(a.body)) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
			v, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err)
			return v
		}
	}
	return -1
}

func (s *stack) awaitMetric(t *testing.T, name string, is func(float64) bool) {
	t.Helper()
	eventually(t, name, func() bool { return is(s.metric(t, name)) })
}

// awaitAudits waits for so many more audits that read everything.
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
		require.Equal(t, exitCode, exit.ExitCode(), output)
	} else {
		require.NoError(t, err)
		require.Zero(t, exitCode, output)
	}
	var reports []struct{ Sale, Verdict string }
	require.NoError(t, json.NewDecoder(strings.NewReader(output)).Decode(&reports), output)
	require.Equal(t, fmt.Sprintf("[{%s %s}]", sale, verdict), fmt.Sprint(reports), output)
}

func (s *stack) sql(t *testing.T, statement string, args ...any) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	require.NoError(t, err)
	defer db.Close(context.Background())
	_, err = db.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

func (s *stack) auditEvents(t *testing.T, event, sale string) (n int64) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	require.NoError(t, err)
	defer db.Close(context.Background())
	require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE event = $1 AND sale_id = $2`, event, sale).Scan(&n))
	return n
}

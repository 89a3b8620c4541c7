package workflows_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/workflows"
)

// inspector gives one answer after the other, and then the last one for ever.
type inspector struct {
	outcomes []domain.AuditOutcome
	failures int // how many of the first attempts fail
	attempts int
}

func (i *inspector) AuditAll(_ context.Context, beat func(string)) (domain.AuditOutcome, error) {
	i.attempts++
	beat("sale gophercon: the ledger")
	if i.attempts <= i.failures {
		return domain.AuditOutcome{}, &domain.Error{Code: domain.CodeOverloaded, Detail: "The orders database does not answer."}
	}
	return i.outcomes[0], nil
}

func runAudit(t *testing.T, i *inspector) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.RegisterActivity(&activities.Audits{Auditor: i})
	env.ExecuteWorkflow(workflows.Audit)
	if !env.IsWorkflowCompleted() {
		t.Fatal("want true: env.IsWorkflowCompleted()")
	}
	return env
}

func TestAuditCompletesWhateverItFinds(t *testing.T) {
	for name, outcome := range map[string]domain.AuditOutcome{
		"all is well":    {Sales: 2},
		"broken":         {Sales: 2, Broken: 1, Findings: []domain.AuditLine{{Sale: "gophercon", Invariant: "I2", Offenders: 1}}},
		"could not look": {Sales: 2, Unread: map[string]int{"the payment provider": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			env := runAudit(t, &inspector{outcomes: []domain.AuditOutcome{outcome}})
			var got domain.AuditOutcome
			if err := env.GetWorkflowResult(&got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, outcome) {
				t.Fatalf("got %+v, want %+v", got, outcome)
			}
		})
	}
}

func TestAuditTriesAgainWithinABound(t *testing.T) {
	t.Run("the database comes back", func(t *testing.T) {
		i := &inspector{outcomes: []domain.AuditOutcome{{Sales: 1}}, failures: 2}
		if err := runAudit(t, i).GetWorkflowError(); err != nil {
			t.Fatal(err)
		}
		if i.attempts != 3 {
			t.Fatalf("i.attempts is %v, want 3", i.attempts)
		}
	})
	t.Run("it stays away: the next run sees the same", func(t *testing.T) {
		i := &inspector{outcomes: []domain.AuditOutcome{{}}, failures: 100}
		if err := runAudit(t, i).GetWorkflowError(); err == nil {
			t.Fatal("runAudit(t, i).GetWorkflowError(): no error, want one")
		}
		if i.attempts != 3 {
			t.Fatalf("i.attempts is %v, want 3", i.attempts)
		}
	})
}

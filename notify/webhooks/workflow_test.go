package webhooks

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"boxoffice/domain"
)

func newEnv(t *testing.T, url string, events int) (*testsuite.TestWorkflowEnvironment, *memory) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	store := newMemory(url, env.Now, events)
	d := newTestDeliverer(t, store, env.Now)
	env.RegisterActivity(d)
	env.RegisterWorkflowWithOptions(Delivery, workflow.RegisterOptions{Name: workflowType})
	return env, store
}

// An endpoint always fails one event. The event is tried for three days, at growing
// intervals, and then given up. Others are sent meanwhile.
func TestAnEventIsTriedForDaysAndGivenUp(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get(headerID), "1") {
			w.WriteHeader(500)
		}
	}))
	defer server.Close()
	env, store := newEnv(t, server.URL, 2)
	start := env.Now()
	env.ExecuteWorkflow(workflowType, store.endpoint.ID)
	if err := env.GetWorkflowError(); err != nil || !env.IsWorkflowCompleted() {
		t.Fatal(err)
	}
	if got := store.states(); got[0] != domain.WebhookGivenUp || got[1] != domain.WebhookDelivered {
		t.Errorf("%v", got)
	}
	if n := store.rows[0].Attempts; n != attemptsMax {
		t.Errorf("%d attempts, want %d", n, attemptsMax)
	}
	if took := env.Now().Sub(start); took < 60*time.Hour || took > 90*time.Hour {
		t.Errorf("given up after %v, want about three days", took)
	}
}

// An endpoint that answers only errors is disabled after five days.
func TestAnEndpointThatFailsForDaysIsDisabled(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(502)
	}))
	defer server.Close()
	// So many that some are still due after five days: with fewer the last attempts are hours apart.
	env, store := newEnv(t, server.URL, 400)
	start := env.Now()
	runs := 0
	for {
		runs++
		env.ExecuteWorkflow(workflowType, store.endpoint.ID)
		err := env.GetWorkflowError()
		if err == nil {
			break
		}
		if !workflow.IsContinueAsNewError(err) || runs > 100 {
			t.Fatalf("run %d: %v", runs, err)
		}
		now := env.Now()
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
		env = suite.NewTestWorkflowEnvironment()
		env.SetStartTime(now)
		env.SetTestTimeout(time.Minute)
		store.mu.Lock()
		store.now = env.Now
		store.mu.Unlock()
		env.RegisterActivity(newTestDeliverer(t, store, env.Now))
		env.RegisterWorkflowWithOptions(Delivery, workflow.RegisterOptions{Name: workflowType})
	}
	if store.endpoint.DisabledWhy != whyFailing {
		t.Errorf("disabled: %q", store.endpoint.DisabledWhy)
	}
	if took := env.Now().Sub(start); took < failingMax || took > failingMax+2*pauseMax+time.Hour {
		t.Errorf("disabled after %v, want %v", took, failingMax)
	}
	t.Logf("%d runs, %d requests, %v", runs, asked.Load(), env.Now().Sub(start))
	if runs < 2 {
		t.Error("the history of one run is not bounded")
	}
}

// A wake during a wait takes effect at once.
func TestAWakeEndsTheWait(t *testing.T) {
	var got received
	got.statuses = []int{500}
	server := httptest.NewServer(&got)
	defer server.Close()
	env, store := newEnv(t, server.URL, 1)
	start := env.Now()
	var took time.Duration
	env.RegisterDelayedCallback(func() {
		store.mu.Lock()
		store.add(domain.OrderID{0: 5}, 5)
		store.mu.Unlock()
		env.SignalWorkflow(WakeSignal, Wake{Events: 1})
	}, time.Second)
	env.SetOnTimerFiredListener(func(string) {
		if took == 0 && got.count() > 1 {
			took = env.Now().Sub(start)
		}
	})
	env.ExecuteWorkflow(workflowType, store.endpoint.ID)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if rows := store.kept(); len(rows) != 3 || rows[1].Event.Row() != 5 {
		t.Fatalf("%+v, want the new event before the one that waits", rows)
	}
}

// While rounds fail, because the secret cannot be opened or the database is down, runs
// still end, so that no run gathers signals up to the server's limit. When a round
// succeeds, what is pending is sent.
func TestRoundsThatFailDoNotKeepARunForEver(t *testing.T) {
	var got received
	server := httptest.NewServer(&got)
	defer server.Close()
	for _, tt := range []struct {
		name      string
		until     time.Duration // 0: for ever
		continues bool
	}{
		{name: "for ever", continues: true},
		{name: "for an hour", until: time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			env := suite.NewTestWorkflowEnvironment()
			env.SetTestTimeout(time.Minute)
			start := env.Now()
			store := newMemory(server.URL, env.Now, 1)
			d := newTestDeliverer(t, store, env.Now)
			d.sealer = opensWhen(func() bool { return tt.until > 0 && env.Now().Sub(start) >= tt.until })
			env.RegisterActivity(d)
			env.RegisterWorkflowWithOptions(Delivery, workflow.RegisterOptions{Name: workflowType})
			env.ExecuteWorkflow(workflowType, store.endpoint.ID)
			err := env.GetWorkflowError()
			if !env.IsWorkflowCompleted() || workflow.IsContinueAsNewError(err) != tt.continues || !tt.continues && err != nil {
				t.Fatalf("%v, want it to continue as new: %t", err, tt.continues)
			}
			if sent := store.states()[0] == domain.WebhookDelivered; sent == tt.continues {
				t.Errorf("sent: %t", sent)
			}
		})
	}
}

// opensWhen is a Sealer that opens nothing before a given time.
type opensWhen func() bool

func (opensWhen) Seal(_ string, secret []byte) ([]byte, error) { return secret, nil }

func (is opensWhen) Open(_ string, sealed []byte) ([]byte, error) {
	if !is() {
		return nil, errors.New("no key for it")
	}
	return sealed, nil
}

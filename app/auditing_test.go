package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"boxoffice/domain"
	"boxoffice/orders"
)

// If one page of a long list fails, only that page is asked again.
func TestPersistentAsksAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		failures, asked int64
		status          int
	}{
		"at once":                   {0, 1, http.StatusOK},
		"after two 500s":            {2, 3, http.StatusOK},
		"a bounded number of times": {100, questionAttemptsMax, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) <= tc.failures {
					w.WriteHeader(http.StatusInternalServerError)
				}
			}))
			t.Cleanup(server.Close)
			response, err := (&http.Client{Transport: persistent{http.DefaultTransport}}).Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != tc.status || asked.Load() != tc.asked {
				t.Errorf("status %d after %d questions, want %d after %d", response.StatusCode, asked.Load(), tc.status, tc.asked)
			}
		})
	}
}

func TestPersistentHeedsItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		cancel()
	}))
	t.Cleanup(server.Close)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (persistent{http.DefaultTransport}).RoundTrip(request); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestAuditMetrics(t *testing.T) {
	found := domain.AuditFinding{Offenders: 2}
	found.Invariant = "I4"
	state := orders.AuditState{
		Audited: true, CompleteAt: time.Unix(1_800_000_000, 0), Took: 1500 * time.Millisecond, Waiting: 3,
		Unread: []string{"Temporal"}, Findings: []domain.AuditFinding{found, found},
	}
	var away error
	read := func(context.Context) (orders.AuditState, error) { return state, away }
	audits := newLook(read)
	collector := auditMetrics(audits)
	audits.refresh(t.Context())
	wantMetrics(t, "after an audit", collector, `boxoffice_audit_broken{invariant="I4"} 4`, `boxoffice_audit_broken{invariant="L"} 0`,
		`boxoffice_audit_waiting 3`, `boxoffice_audit_unread{source="Temporal"} 1`, `boxoffice_audit_unread{source="the ledger"} 0`,
		`boxoffice_audit_last_run_timestamp_seconds 1.8e+09`, `boxoffice_audit_duration_seconds 1.5`)

	state, away = orders.AuditState{}, errors.New("out of reach")
	audits.refresh(t.Context())
	wantMetrics(t, "while the database is down: the last state, whose age shows that", collector,
		`boxoffice_audit_broken{invariant="I4"} 4`, `boxoffice_audit_last_run_timestamp_seconds 1.8e+09`)

	none := make(chan prometheus.Metric, 100)
	auditMetrics(newLook(read)).Collect(none)
	if len(none) != 0 {
		t.Errorf("%d samples before any audit, want none: a rule with absent() can tell", len(none))
	}
}

func wantMetrics(t *testing.T, when string, collector prometheus.Collector, lines ...string) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := answer.Body.String()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s: no %s in\n%s", when, line, text)
		}
	}
}

func TestExitCode(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want int
	}{
		"a failure":               {errors.New("broken"), 1},
		"could not look":          {blindError{errors.New("away")}, 3},
		"could not look, wrapped": {fmt.Errorf("verify: %w", blindError{errors.New("away")}), 3},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%s: exit code %d, want %d", name, got, tc.want)
		}
	}
}

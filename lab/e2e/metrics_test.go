package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"boxoffice/deploy/prometheus/promtool"
	"boxoffice/deploy/prometheus/rules"
)

// seldom are metrics that a process shows only once something has happened, or where something is set.
var seldom = map[string]string{
	"up":                                                  "Prometheus's own",
	"boxoffice_kafka_failures_total":                      "where a Kafka is set",
	"boxoffice_payment_checks_total":                      "once a buyer came back before the webhook",
	"boxoffice_queue_joined":                              "where a sale has a waiting room",
	"boxoffice_queue_waiting":                             "where a sale has a waiting room",
	"boxoffice_queue_admitted":                            "where a sale has a waiting room",
	"boxoffice_queue_rate_per_second":                     "where a sale has a waiting room",
	"boxoffice_queue_open":                                "where a sale has a waiting room",
	"boxoffice_queue_door_turns_total":                    "where a sale has a waiting room",
	"temporal_activity_execution_failed_total":            "once an activity failed",
	"temporal_request_failure_total":                      "once a call failed",
	"temporal_request_resource_exhausted_total":           "once the server throttled",
	"temporal_activity_schedule_to_start_latency_seconds": "once an activity came by its task queue",
	"temporal_sticky_cache_miss_total":                    "once a checkout was replayed",
	"temporal_workflow_failed_total":                      "once a workflow failed",
	"temporal_workflow_task_execution_failed_total":       "once a workflow task failed",
}

// Every metric that an alert or a dashboard asks for is one that a process shows, and Prometheus's linter finds nothing wrong.
func testMetrics(t *testing.T, s *stack) {
	asked := metricsAsked(t)
	for name := range seldom {
		if !slices.Contains(asked, name) {
			t.Errorf("nothing asks for %s", name)
		}
	}
	typeLine := regexp.MustCompile(`(?m)^# TYPE (\S+) `)
	var missing []string
	eventually(t, "the process shows every metric that is asked for", func() bool {
		var shown []string
		for _, found := range typeLine.FindAllStringSubmatch(s.metrics(t)+s.mockpayMetrics(t), -1) {
			shown = append(shown, found[1])
		}
		missing = nil
		for _, name := range asked {
			if !slices.Contains(shown, name) && seldom[name] == "" {
				missing = append(missing, name)
			}
		}
		t.Log("missing:", missing)
		return len(missing) == 0
	})

	tool, found := promtool.Find(t)
	if !found {
		t.Log("SKIPPED: no promtool on PATH, so Prometheus's linter does not read the metrics")
		return
	}
	for of, shown := range map[string]string{"the box office": s.metrics(t), "MockPay": s.mockpayMetrics(t)} {
		if output := tool.Run(t, strings.NewReader(shown), "check", "metrics"); output != "" {
			t.Errorf("promtool check metrics, of %s:\n%s", of, output)
		}
	}
}

// metricsAsked are the metrics of all alerts and dashboards.
func metricsAsked(t *testing.T) (names []string) {
	t.Helper()
	note := func(query string) {
		for _, series := range rules.Metrics(query) {
			if !strings.Contains(series, ":") { // recorded
				names = append(names, rules.Base(series))
			}
		}
	}
	all, err := rules.Load(filepath.Join(repository, "deploy/prometheus/boxoffice.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range all {
		note(rule.Expr)
	}
	files, err := filepath.Glob(filepath.Join(repository, "deploy/grafana/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		if err := json.Unmarshal(text, &dashboard); err != nil {
			t.Fatal(file, err)
		}
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				note(target.Expr)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

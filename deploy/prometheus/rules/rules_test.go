package rules

import (
	"boxoffice/deploy/prometheus/promtool"
	"go/ast"
	"go/build"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	file    = "../boxoffice.rules.yml"
	page    = "../../../docs/operations.md" // the runbook
	watched = "../../../docs/metrics.md"
)

func load(t *testing.T) (alerts map[string]Rule, recorded map[string]string) {
	t.Helper()
	rules, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	alerts, recorded = map[string]Rule{}, map[string]string{}
	for _, r := range rules {
		if r.Alert == "" {
			recorded[r.Record] = r.Expr
			continue
		}
		if _, twice := alerts[r.Alert]; twice {
			t.Errorf("two alerts are named %s", r.Alert)
		}
		alerts[r.Alert] = r
	}
	if len(alerts) < 60 {
		t.Fatalf("%d alerts, want some 70", len(alerts))
	}
	return alerts, recorded
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMetrics(t *testing.T) {
	for query, want := range map[string]string{
		`up`: "up",
		`histogram_quantile(0.99, sum by (le, op) (rate(a_bucket{x="{b}",y=~"c|d"}[5m]))) > 0.5`: "a_bucket",
		`max(a) - max(b offset 1h) > 20 and on (instance) c{d="e"} == bool 1`:                    "a b c",
		`a unless on (instance, job) b or vector(0)`:                                             "a b",
		`boxoffice:holds_bad:ratio_rate1h > 14.4 * 0.005`:                                        "boxoffice:holds_bad:ratio_rate1h",
		`sum without (x) (a) / ignoring (y) group_left (z) b * 1e3`:                              "a b",
	} {
		if got := strings.Join(Metrics(query), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// Who is woken finds what to do.
func TestEveryAlertHasItsRunbookEntry(t *testing.T) {
	alerts, _ := load(t)
	headings := map[string]bool{} // whether an alert leads there
	for _, found := range regexp.MustCompile(`(?m)^### (Boxoffice\w+)$`).FindAllStringSubmatch(read(t, page), -1) {
		headings[strings.ToLower(found[1])] = false
	}
	for name, alert := range alerts {
		entry, ok := strings.CutPrefix(alert.Annotations["runbook"], "docs/operations.md#")
		if _, exists := headings[entry]; !ok || !exists {
			t.Errorf("%s: runbook is %q, and docs/operations.md has no such heading", name, alert.Annotations["runbook"])
		}
		headings[entry] = true
		if !strings.HasPrefix(strings.ToLower(name), entry) {
			t.Errorf("%s leads to the entry %s", name, entry)
		}
		if severity := alert.Labels["severity"]; severity != "page" && severity != "warn" {
			t.Errorf("%s: severity %q, want page or warn", name, severity)
		}
		for _, text := range []string{"summary", "description"} {
			if alert.Annotations[text] == "" {
				t.Errorf("%s has no %s", name, text)
			}
		}
	}
	for heading, isReached := range headings {
		if !isReached {
			t.Errorf("no alert leads to the entry %s", heading)
		}
	}
}

// Whoever comes from an alert finds something to type.
func TestEveryEntryHasCommands(t *testing.T) {
	alerts, _ := load(t)
	runbook := read(t, page)
	for name, alert := range alerts {
		anchor := strings.TrimPrefix(alert.Annotations["runbook"], "docs/operations.md#")
		entry := regexp.MustCompile(`(?msi)^### ` + anchor + `$.*?(?:^##|\z)`).FindString(runbook)
		if !strings.Contains(entry, "```sh\n") {
			t.Errorf("%s: its entry has no command:\n%s", name, entry)
		}
	}
}

// shown are rows of the table that say how something is, and warn of nothing.
var shown = []string{
	"boxoffice_ledger_batch_events", "boxoffice_orders_batch_size", "boxoffice_stage_seconds", "boxoffice_info",
	"boxoffice_mails_settled_total", "boxoffice_policy_violations_total", "temporal_request_total",
}

// What the page says to watch, an alert watches: of each row of its table, and of each alert that the row names.
func TestEverythingToWatchHasItsAlert(t *testing.T) {
	alerts, recorded := load(t)
	_, table, _ := strings.Cut(read(t, watched), "| metric | labels | watch for | alert |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	inTable := map[string]bool{}
	rows := strings.Split(table, "\n")[1:]
	if len(rows) < 45 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		names := regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[0], -1)
		links := regexp.MustCompile(`\(operations\.md#(boxoffice\w+)\)`).FindAllStringSubmatch(cells[len(cells)-1], -1)
		if isShown := slices.Contains(shown, names[0][1]); isShown != (len(links) == 0) {
			t.Errorf("%s: %d alerts; only %v need none", names[0][1], len(links), shown)
		}
		for _, link := range links {
			watches := false
			for name, alert := range alerts {
				if alert.Annotations["runbook"] != "docs/operations.md#"+link[1] {
					continue
				}
				inTable[name] = true
				asked := asksFor(alert.Expr, recorded)
				watches = watches || slices.ContainsFunc(names, func(metric []string) bool { return slices.Contains(asked, metric[1]) })
			}
			if !watches {
				t.Errorf("%s: no alert of %s asks for it", cells[0], link[1])
			}
		}
	}
	for name := range alerts {
		if !inTable[name] && name != "BoxofficeDown" { // whether anything is shown at all
			t.Errorf("%s is in no row of the table", name)
		}
	}
}

// asksFor are the metrics of a query, with those of the recorded queries that it reads.
func asksFor(query string, recorded map[string]string) (names []string) {
	for _, series := range Metrics(query) {
		if inner, ok := recorded[series]; ok {
			names = append(names, asksFor(inner, recorded)...)
		} else {
			names = append(names, Base(series))
		}
	}
	return names
}

// Recorded queries that nothing reads cost for nothing; those that are not there are never true.
func TestRecordedQueriesAreThoseThatAlertsRead(t *testing.T) {
	alerts, recorded := load(t)
	read := map[string]bool{}
	note := func(query string) {
		for _, series := range Metrics(query) {
			if !strings.Contains(series, ":") {
				continue
			}
			read[series] = true
			if recorded[series] == "" {
				t.Errorf("nothing records %s", series)
			}
		}
	}
	for _, alert := range alerts {
		note(alert.Expr)
	}
	for _, query := range recorded {
		note(query)
	}
	for name := range recorded {
		if !read[name] {
			t.Errorf("nothing reads %s", name)
		}
	}
}

// What is asked of the Temporal SDK is what it counts: some of it is shown only once something has failed.
func TestTemporalsMetricsAreThoseOfTheSDK(t *testing.T) {
	sdk, err := build.Import("go.temporal.io/sdk/internal/common/metrics", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	source, err := parser.ParseFile(files, filepath.Join(sdk.Dir, "constants.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := (&types.Config{}).Check("metrics", files, []*ast.File{source}, nil)
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]bool{}
	for _, name := range metrics.Scope().Names() {
		if value, ok := metrics.Scope().Lookup(name).(*types.Const); ok {
			counted[constant.StringVal(value.Val())] = true
		}
	}
	queries := read(t, file)
	dashboards, err := filepath.Glob("../../grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range dashboards {
		queries += read(t, path)
	}
	asked := regexp.MustCompile(`\btemporal_[a-z_]+`).FindAllString(queries, -1)
	if len(asked) < 30 {
		t.Fatalf("only %v are asked for", asked)
	}
	for _, series := range asked {
		if series == "temporal_sdk" { // a label of boxoffice_build_info
			continue
		}
		name := Base(series)
		counter, isCounter := strings.CutSuffix(name, "_total")
		timer, isTimer := strings.CutSuffix(name, "_seconds")
		if !(counted[name] || isCounter && counted[counter] || isTimer && counted[timer]) {
			t.Errorf("the SDK counts nothing that would be %s", series)
		}
	}
}

func unitTests(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../*_test.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no unit tests", err)
	}
	return files
}

func TestEveryAlertHasAUnitTest(t *testing.T) {
	alerts, _ := load(t)
	var all strings.Builder
	for _, path := range unitTests(t) {
		all.WriteString(read(t, path))
	}
	for name := range alerts {
		if !strings.Contains(all.String(), `labels: '{alertname="`+name+`"}'`) {
			t.Errorf("no test has %s fire", name)
		}
	}
}

// Prometheus itself reads the rules and runs their unit tests.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short")
	}
	tool := promtool.Need(t, "the alerts' unit tests do not run")
	tool.Run(t, nil, "check", "rules", file)
	tool.Run(t, nil, append([]string{"test", "rules"}, unitTests(t)...)...)
}

package main

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

// What is committed is what the generator makes.
func TestDashboardsAreThoseOfTheGenerator(t *testing.T) {
	var made []string
	for _, d := range dashboards() {
		want, err := render(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(d.file())
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not what dashboards.go says (%v): go run ./deploy/grafana", d.file(), err)
		}
		made = append(made, d.file())
	}
	there, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(made)
	if !slices.Equal(there, made) {
		t.Errorf("%v are here, want %v", there, made)
	}
}

func TestPanelsSayWhatIsNormal(t *testing.T) {
	for _, d := range dashboards() {
		if d.what == "" || d.title == "" {
			t.Errorf("%s has no title or no description", d.name)
		}
		titles := map[string]bool{}
		for _, row := range d.rows {
			for _, p := range row.panels {
				if len(p.normal) < 2 || !strings.HasSuffix(p.normal, ".") || p.unit == "" || len(p.queries) == 0 {
					t.Errorf("%s, %s: wants what is normal, as a sentence, a unit and a query", d.name, p.title)
				}
				if titles[p.title] {
					t.Errorf("%s has two panels %q", d.name, p.title)
				}
				titles[p.title] = true
				for _, q := range p.queries {
					for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.legend, -1) {
						if !regexp.MustCompile(`by \([^)]*\b` + label[1] + `\b`).MatchString(q.expr) {
							t.Errorf("%s, %s: the legend has %s, which the query drops", d.name, p.title, label[1])
						}
					}
				}
			}
		}
	}
}

// Panels do not lie on each other, and have ids of their own: Grafana would move them.
func TestPanelsHaveTheirOwnPlace(t *testing.T) {
	for _, d := range dashboards() {
		text, err := render(d)
		if err != nil {
			t.Fatal(err)
		}
		var read struct {
			UID    string
			Panels []struct {
				ID      int
				GridPos struct{ X, Y, W, H int }
			}
		}
		if err := json.Unmarshal(text, &read); err != nil || read.UID == "" {
			t.Fatal(d.name, err)
		}
		ids, taken := map[int]bool{}, map[[2]int]bool{}
		for _, p := range read.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels %d", d.name, p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if taken[[2]int{x, y}] || x >= 24 {
						t.Fatalf("%s: panel %d lies on another", d.name, p.ID)
					}
					taken[[2]int{x, y}] = true
				}
			}
		}
	}
}

func asked(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, d := range dashboards() {
		for _, row := range d.rows {
			for _, p := range row.panels {
				for _, q := range p.queries {
					names = append(names, rules.Metrics(q.expr)...)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Everything that the page of metrics names is on a dashboard, and what a dashboard records is recorded.
func TestDashboardsShowWhatThePageNames(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| metric | labels | watch for | alert |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var shown []string
	for _, series := range asked(t) {
		shown = append(shown, rules.Base(series))
	}
	named := 0
	for row := range strings.SplitSeq(table, "\n") {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		for _, found := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(first, -1) {
			named++
			if !slices.Contains(shown, found[1]) {
				t.Errorf("no dashboard shows %s", found[1])
			}
		}
	}
	if named < 60 {
		t.Fatalf("the page names %d metrics", named)
	}
	all, err := rules.Load("../prometheus/boxoffice.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range asked(t) {
		if strings.Contains(name, ":") && !slices.ContainsFunc(all, func(r rules.Rule) bool { return r.Record == name }) {
			t.Errorf("nothing records %s", name)
		}
	}
}

// Prometheus reads every query.
func TestQueriesArePromQL(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short")
	}
	tool := promtool.Need(t, "no Prometheus reads the dashboards' queries")
	var file strings.Builder
	file.WriteString("groups: [{name: dashboards, rules: [\n")
	for _, d := range dashboards() {
		for _, row := range d.rows {
			for _, p := range row.panels {
				for _, q := range p.queries {
					expr, err := json.Marshal(strings.ReplaceAll(q.expr, "$__rate_interval", "1m")) // JSON is YAML
					if err != nil {
						t.Fatal(err)
					}
					record := "dashboard:" + regexp.MustCompile(`\W+`).ReplaceAllString(d.name+p.title+q.legend, "_")
					file.WriteString("{record: " + record + ", expr: " + string(expr) + "},\n")
				}
			}
		}
	}
	file.WriteString("]}]\n")
	path := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if output := tool.Run(t, nil, "check", "rules", path); strings.Contains(output, "FAILED") {
		t.Fatal(output)
	}
}

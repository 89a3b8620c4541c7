package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/workflows"
)

var (
	metricName     = regexp.MustCompile(`\bboxoffice_[a-z_]+`)
	registeredName = regexp.MustCompile(`"(boxoffice_[a-z_]+)"`)
)

// notInProduction are metrics that only builds for measuring have.
var notInProduction = map[string]bool{"boxoffice_bench_variant": true}

// The docs list every metric, and none that does not exist.
func TestMetricsAreThoseOfTheDocs(t *testing.T) {
	registered := map[string]bool{}
	walk(t, "..", ".go", func(path, text string) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "../deploy/") { // the dashboards only ask
			return
		}
		for _, found := range registeredName.FindAllStringSubmatch(text, -1) {
			registered[found[1]] = true
		}
	})
	if len(registered) <= 30 {
		t.Fatalf("len(registered) is %v, want more than 30", len(registered))
	}
	metrics, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range registered {
		if !notInProduction[name] {
			if !strings.Contains(string(metrics), "`"+name+"`") {
				t.Fatalf("no %q in %s: docs/metrics.md does not say what to watch it for", "`"+name+"`", string(metrics))
			}
		}
	}
	told := func(path, text string) {
		for _, name := range metricName.FindAllString(text, -1) {
			base := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} { // of a histogram
				base = strings.TrimSuffix(base, suffix)
			}
			if !(registered[name] || registered[base]) {
				t.Fatalf("want true: registered[name] || registered[base]: %s mentions %s, which does not exist", path, name)
			}
		}
	}
	walk(t, "../docs", ".md", told)
	walk(t, "../deploy/prometheus", ".yml", told)
	walk(t, "../deploy/grafana", ".json", told)
}

// Tests that the docs name exist.
func TestTestsOfTheDocsExist(t *testing.T) {
	declared := map[string]bool{}
	walk(t, "..", "_test.go", func(_, text string) {
		for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(text, -1) {
			declared[found[1]] = true
		}
	})
	named := 0
	walk(t, "../docs", ".md", func(path, text string) {
		for _, found := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)").FindAllStringSubmatch(text, -1) {
			named++
			if !declared[found[1]] {
				t.Errorf("%s names %s, which does not exist", path, found[1])
			}
		}
	})
	if named <= 50 {
		t.Fatalf("named is %v, want more than 50", named)
	}
}

// The docs look for owed money in every workflow that may have it.
func TestOwedMoneyIsLookedForWhereItIs(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), `WorkflowType IN ("Late", "Refund")`) {
		t.Fatalf("no %q in %s", `WorkflowType IN ("Late", "Refund")`, string(page))
	}
	row := regexp.MustCompile("(?m)^\\| `boxoffice_refunds_owed` grows .*$").FindString(string(page))
	for _, id := range []string{workflows.LateID(domain.OrderID{}, "p"), workflows.RefundID(domain.OrderID{})} {
		prefix, _, _ := strings.Cut(id, "/")
		if !strings.Contains(row, "`"+prefix+"/…`") {
			t.Fatalf("no %q in %s", "`"+prefix+"/…`", row)
		}
	}
}

func walk(t *testing.T, root, ext string, see func(path, text string)) {
	t.Helper()
	if err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ext) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			see(path, string(text))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

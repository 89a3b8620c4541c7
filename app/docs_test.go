package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"boxoffice/domain"
	"boxoffice/workflows"
)

var (
	metricName     = regexp.MustCompile(`\bboxoffice_[a-z_]+`)
	registeredName = regexp.MustCompile(`"(boxoffice_[a-z_]+)"`)
)

// notInProduction are metrics that only builds for measuring have.
var notInProduction = map[string]bool{"boxoffice_bench_variant": true}

// An operator is told of every metric there is, and of none that there is not.
func TestMetricsAreThoseOfTheDocs(t *testing.T) {
	registered := map[string]bool{}
	walk(t, "..", ".go", func(path, text string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, found := range registeredName.FindAllStringSubmatch(text, -1) {
			registered[found[1]] = true
		}
	})
	require.Greater(t, len(registered), 30)
	operations, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	for name := range registered {
		if !notInProduction[name] {
			require.Contains(t, string(operations), "`"+name+"`", "docs/operations.md does not say what to watch it for")
		}
	}
	told := func(path, text string) {
		for _, name := range metricName.FindAllString(text, -1) {
			base := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} { // of a histogram
				base = strings.TrimSuffix(base, suffix)
			}
			require.True(t, registered[name] || registered[base], "%s tells of %s, which does not exist", path, name)
		}
	}
	walk(t, "../docs", ".md", told)
	walk(t, "../deploy/prometheus", "", told)
}

// A claim of the docs that names its test has one.
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
	require.Greater(t, named, 50)
}

// Money that is owed is looked for wherever a workflow may have it.
func TestOwedMoneyIsLookedForWhereItIs(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	require.Contains(t, string(page), `WorkflowType IN ("Late", "Refund")`)
	row := regexp.MustCompile("(?m)^\\| `boxoffice_refunds_owed` grows .*$").FindString(string(page))
	for _, id := range []string{workflows.LateID(domain.OrderID{}, "p"), workflows.RefundID(domain.OrderID{})} {
		prefix, _, _ := strings.Cut(id, "/")
		require.Contains(t, row, "`"+prefix+"/…`")
	}
}

func walk(t *testing.T, root, ext string, see func(path, text string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
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
	}))
}

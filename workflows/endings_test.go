package workflows_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An ending is proved by a workflow test, a replay history and an end-to-end
// test, and stands in the state chart. The table of docs/checkout.md is where
// the four are brought together; ending and history are named alike.
var endingRow = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| [^|]+ \\| ([^|]+) \\|$")

func TestEveryEndingIsProved(t *testing.T) {
	page := read(t, "../docs/checkout.md")
	rows := endingRow.FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, rows)
	workflowTests := read(t, "*_test.go")
	endToEnd := read(t, "../e2e/*_test.go")
	listed := map[string]bool{}
	for _, row := range rows {
		ending, test := row[1], strings.TrimSpace(row[2])
		listed[ending] = true
		t.Run(ending, func(t *testing.T) {
			require.Contains(t, page, `state "`+ending+`" as `, "in the state chart")
			require.True(t, strings.Contains(workflowTests, `"`+test+`"`) || strings.Contains(workflowTests, "func "+test+"("), "no workflow test %q", test)
			require.FileExists(t, filepath.Join("testdata/histories", ending+".json"), "run `make histories`")
			require.Contains(t, endToEnd, `{"`+ending+`", `, "in the list of endings of e2e")
		})
	}
	for _, ending := range regexp.MustCompile(`\t\{"([a-z-]+)", (?:ends|func\(t)`).FindAllStringSubmatch(endToEnd, -1) {
		require.True(t, listed[ending[1]], "e2e's ending %q has no row in docs/checkout.md", ending[1])
	}
	for _, state := range regexp.MustCompile(`state "([a-z-]+)" as e_`).FindAllStringSubmatch(page, -1) {
		require.True(t, listed[state[1]], "the chart's ending %q has no row in docs/checkout.md", state[1])
	}
}

func read(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(content)
	}
	return all.String()
}

package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped    = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// A link within the repository leads to an existing file and heading.
func TestLinksOfTheDocsLeadSomewhere(t *testing.T) {
	follow := func(path, text string) {
		for _, found := range linkTarget.FindAllStringSubmatch(text, -1) {
			if target := found[1]; !strings.Contains(target, "://") && !strings.HasPrefix(target, "mailto:") {
				checkLink(t, path, target)
			}
		}
	}
	walk(t, "../docs", ".md", follow)
	walk(t, "../ledger/embedded", ".md", follow)
	for _, path := range []string{"../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		follow(path, string(text))
	}
}

func checkLink(t *testing.T, from, target string) {
	t.Helper()
	file, fragment, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		to = filepath.Join(filepath.Dir(from), file)
	}
	text, err := os.ReadFile(to)
	if info, statErr := os.Stat(to); statErr == nil && info.IsDir() {
		return
	}
	if err != nil {
		t.Errorf("%s links to %s, which does not exist", from, target)
		return
	}
	if fragment != "" && strings.HasSuffix(to, ".md") && !hasHeading(string(text), fragment) {
		t.Errorf("%s links to %s, but there is no such heading", from, target)
	}
}

// hasHeading compares as GitHub makes anchors: lower case, punctuation gone, spaces as hyphens.
func hasHeading(text, anchor string) bool {
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		title := linkText.ReplaceAllString(found[1], "$1")
		title = dropped.ReplaceAllString(strings.ToLower(title), "")
		if strings.ReplaceAll(title, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// Package rules reads the alert rules beside it, and which metrics a query asks for: what tests compare with the docs, with the
// dashboards, and with what a process shows.
package rules

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Rule is an alert, or a recorded query.
type Rule struct {
	Alert, Record string
	Expr          string
	Labels        map[string]string
	Annotations   map[string]string
}

// Load reads a file of rules, all groups together.
func Load(path string) ([]Rule, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Groups []struct{ Rules []Rule }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var rules []Rule
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules, nil
}

var (
	// What has no name of a metric in it: strings, label matchers, ranges, and lists of labels.
	noMetric = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	named    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*(\s*\()?|[0-9][0-9a-zA-Z.]*`)
)

var keywords = []string{"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "inf", "nan"}

// Metrics are the names of the series that a query in PromQL asks for, sorted.
func Metrics(query string) []string {
	query = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllString(query, `""`) // a string may have braces
	query = noMetric.ReplaceAllString(query, " ")
	var names []string
	for _, name := range named.FindAllString(query, -1) {
		isFunction, isNumber := strings.HasSuffix(name, "("), name[0] >= '0' && name[0] <= '9'
		if !isFunction && !isNumber && !slices.Contains(keywords, strings.ToLower(name)) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Base is the metric of a series: that of a histogram has three.
func Base(series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(series, suffix); ok {
			return base
		}
	}
	return series
}

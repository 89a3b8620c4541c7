package report

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// Compare prints what B is to A: the ratio of the medians, and the range that
// the runs of both allow. Where that range holds 1, the difference is within the
// noise. Other machines, ledgers or settings are named first.
func Compare(out io.Writer, a, b Result) error {
	fmt.Fprintf(
		out,
		"A  %s  %s  %s\nB  %s  %s  %s\n",
		a.StartedAt.Format("2006-01-02 15:04"),
		a.Commit,
		a.Ledger,
		b.StartedAt.Format("2006-01-02 15:04"),
		b.Commit,
		b.Ledger,
	)
	for _, difference := range differences(a, b) {
		fmt.Fprintln(out, "!  "+difference)
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "phase\tload\tfigure\tA\tB\tB/A\trange\t")
	common := 0
	for _, sa := range a.Series {
		sb, ok := b.find(sa)
		if !ok {
			continue
		}
		common++
		for _, f := range comparedFigures {
			if row, ok := compareSpreads(sa.Over(f.of), sb.Over(f.of)); ok {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", sa.Phase, sa.Load(), f.name, row)
			}
		}
	}
	common += compareEvents(table, "storm", pointers(a.Storms), pointers(b.Storms), (*Storm).figures)
	common += compareEvents(table, "recovery", pointers(a.Recoveries), pointers(b.Recoveries), (*Recovery).figures)
	if common == 0 {
		return errors.New("the two results have no phase under the same load in common: measure both with the same flags")
	}
	return table.Flush()
}

var comparedFigures = []struct {
	name string
	of   func(Run) (float64, bool)
}{
	{"rate/s", Rate}, {"p50 ms", P50}, {"p99 ms", P99}, {"p99.9 ms", P999}, {"CPU ms", CPU},
}

// compareEvents compares events instead of loads, and counts the loads that
// both have.
func compareEvents[T interface{ Load() string }](table io.Writer, phase string, a, b []T, figures func(T) []figure[T]) (common int) {
	loads, ofA := byLoad(a)
	_, ofB := byLoad(b)
	for _, load := range loads {
		if len(ofB[load]) == 0 {
			continue
		}
		common++
		for _, f := range figures(ofA[load][0]) {
			if row, ok := compareSpreads(spreadOver(ofA[load], f.of), spreadOver(ofB[load], f.of)); ok {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", phase, load, f.name, row)
			}
		}
	}
	return common
}

func differences(a, b Result) []string {
	var d []string
	add := func(what, left, right string) {
		if left != right {
			d = append(d, fmt.Sprintf("%s differs: %s, %s", what, left, right))
		}
	}
	add("the ledger", a.Ledger, b.Ledger)
	add("the variant", a.Variant, b.Variant)
	add("the CPU", fmt.Sprintf("%d × %s", a.Machine.Cores, a.Machine.CPU), fmt.Sprintf("%d × %s", b.Machine.Cores, b.Machine.CPU))
	add("the data's file system", a.Machine.DataFS, b.Machine.DataFS)
	add("the payment", a.Settings.Payment, b.Settings.Payment)
	add("the measured time", fmt.Sprintf("%g s", a.Settings.DurationSeconds), fmt.Sprintf("%g s", b.Settings.DurationSeconds))
	for _, name := range slices.Sorted(maps.Keys(a.Versions)) {
		add("the version of "+name, a.Versions[name], b.Versions[name])
	}
	return d
}

// find gives the series of the same load. A share of the rate is the same load
// whatever the rate.
func (r Result) find(s Series) (Series, bool) {
	for _, other := range r.Series {
		if other.Phase == s.Phase && other.Load() == s.Load() {
			return other, true
		}
	}
	return Series{}, false
}

func compareSpreads(a, b Spread) (row string, ok bool) {
	if a.N == 0 || b.N == 0 || a.Median == 0 || a.Min == 0 {
		return "", false
	}
	low, high := b.Min/a.Max, b.Max/a.Min
	verdict := ""
	switch {
	case a.N == 1 || b.N == 1:
		verdict = "one run: the noise is not known"
	case low <= 1 && high >= 1:
		verdict = "within the noise"
	}
	return fmt.Sprintf("%s\t%s\t%.2f\t%.2f–%.2f\t%s", Figure(a.Median), Figure(b.Median), b.Median/a.Median, low, high, verdict), true
}

package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"boxoffice/lab/bench/probe"
)

// Variants prints one table of results that were measured with different
// variants of the service: each load's figures, and what they are to those of the
// first variant. Results of one variant are runs of the same; sequence is that of
// the rows.
func Variants(out io.Writer, results []Result, sequence []string) error {
	if len(results) == 0 {
		return errors.New("no results to make a table of: make bench-variants measures them, bench-results/variants has its files")
	}
	for _, difference := range variantDifferences(results) {
		fmt.Fprintln(out, "!  "+difference)
	}
	rows := variantRows(results, sequence)
	if len(rows) == 0 {
		return errors.New("none of the results is of a variant: make bench-variants measures them")
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(
		table,
		"phase\tload\tvariant\trate/s\tratio\tCPU ms\tratio\tCPU/generator\tratio\tp50 ms\tratio\ttransitions\tevents\tPostgres tx\tothers\truns\t",
	)
	for _, row := range rows {
		base := rows[slices.IndexFunc(rows, func(other variantRow) bool { return other.sameLoad(row) })].Series
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", row.Phase, row.Load(), row.variant,
			againstBase(row.Over(Rate), base.Over(Rate)), againstBase(row.Over(CPU), base.Over(CPU)),
			againstBase(row.Over(cpuByGenerator), base.Over(cpuByGenerator)), againstBase(row.Over(P50), base.Over(P50)),
			plain(row.Over(transitions)), plain(row.Over(historyEvents)), plain(row.Over(transactions)), plain(row.Over(Others)), len(row.Runs))
	}
	return table.Flush()
}

// variantDifferences are the differences besides the variant: a ratio is
// of both then.
func variantDifferences(results []Result) []string {
	var all []string
	for _, r := range results[1:] {
		if r.Commit != results[0].Commit {
			all = append(all, fmt.Sprintf("the commit differs: %s, %s", results[0].Commit, r.Commit))
		}
		r.Variant = results[0].Variant
		all = append(all, differences(results[0], r)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

type variantRow struct {
	variant string
	Series
}

func (r variantRow) sameLoad(other variantRow) bool {
	return r.Phase == other.Phase && r.Load() == other.Load()
}

// variantRows joins the runs of the same variant under the same load.
func variantRows(results []Result, sequence []string) []variantRow {
	var rows []variantRow
	for _, r := range results {
		if r.Variant == "" {
			continue
		}
		for _, s := range r.Series {
			row := variantRow{variant: r.Variant, Series: s}
			i := slices.IndexFunc(rows, func(other variantRow) bool { return other.variant == row.variant && other.sameLoad(row) })
			if i >= 0 {
				rows[i].Runs = slices.Concat(rows[i].Runs, s.Runs)
				continue
			}
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b variantRow) int {
		return cmp.Or(cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.Clients, b.Clients), cmp.Compare(a.Share, b.Share), cmp.Compare(a.Load(), b.Load()),
			cmp.Compare(slices.Index(sequence, a.variant), slices.Index(sequence, b.variant)))
	})
	return rows
}

func againstBase(of, base Spread) string {
	if of.N == 0 || base.N == 0 || base.Median == 0 {
		return "–\t–"
	}
	return fmt.Sprintf("%s\t%.2f", of.WithRange(), of.Median/base.Median)
}

func plain(s Spread) string {
	if s.N == 0 {
		return "–"
	}
	return Figure(s.Median)
}

// cpuByGenerator is the CPU of everything divided by that of the generator, which does
// the same for a unit whatever the service does: on a machine whose cores are
// faster in one minute than in the next, equal runs differ less in it. A rate far
// from the base's affects both.
func cpuByGenerator(r Run) (float64, bool) {
	generator := r.CPU[probe.Generator]
	if generator == 0 {
		return 0, false
	}
	all, ok := CPU(r)
	return all / generator, ok
}

func transitions(r Run) (float64, bool) {
	if r.Workflow == nil {
		return 0, false
	}
	return r.Workflow.StateTransitions.Median, true
}

func historyEvents(r Run) (float64, bool) {
	if r.Workflow == nil {
		return 0, false
	}
	return r.Workflow.HistoryEvents.Median, true
}

// transactions are those of all databases of the server.
func transactions(r Run) (float64, bool) {
	if r.Postgres == nil {
		return 0, false
	}
	return sum(r.Postgres.Transactions), true
}

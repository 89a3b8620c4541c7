package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"boxoffice/bench/load"
)

// Figure writes a number with three significant digits, so that a rate of 8,123
// and a latency of 0.31 read alike.
func Figure(v float64) string {
	switch abs := max(v, -v); {
	case v == math.Trunc(v):
		return grouped(v)
	case abs < 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case abs < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return grouped(v)
	}
}

// grouped writes whole numbers with a comma every three digits.
func grouped(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// WithRange is a median and its spread in words.
func (s Spread) WithRange() string {
	if s.N < 2 || s.Min == s.Max {
		return Figure(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", Figure(s.Median), Figure(s.Min), Figure(s.Max))
}

// WriteText prints the tables of a result.
func (r Result) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "ledger %s · commit %s · %d × %s · load %.1f before\n\n", r.Ledger, r.Commit, r.Machine.Cores, r.Machine.CPU, r.Machine.Load1)
	if err := r.writeRates(out); err != nil {
		return err
	}
	if err := r.writeCosts(out); err != nil {
		return err
	}
	r.writeTenths(out)
	r.writeStorms(out)
	r.writeRecoveries(out)
	if r.Audit != nil {
		fmt.Fprintln(out, "\n"+r.Audit.Sentence())
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, "note: "+note)
	}
	return nil
}

// Sentence is the audit in one.
func (a Audit) Sentence() string {
	text := fmt.Sprintf("Audit of sale %s: %s orders were answered to be paid, %s have tickets; verdict: %s.",
		a.Sale, grouped(float64(a.Paid)), grouped(float64(a.Tickets)), a.Verdict)
	if a.Verdict == "warning" {
		text += " Webhooks that the bench signs itself are of sessions that the provider never saw: expected."
	}
	return text
}

func (r Result) writeRates(out io.Writer) error {
	if len(r.Series) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "phase\tload\tper second\tp50 ms\tp99 ms\tp99.9 ms\terrors")
	for _, s := range r.Series {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Phase, s.Load(), s.Over(Rate).WithRange(),
			s.Over(P50).WithRange(), s.Over(P99).WithRange(), s.Over(P999).WithRange(), s.errorText())
		for _, name := range s.lapNames() {
			lap := func(of func(Run) (float64, bool)) string {
				return s.Over(func(run Run) (float64, bool) { return of(Run{Measured: measuredLap(run, name)}) }).WithRange()
			}
			fmt.Fprintf(table, "  %s\t\t\t%s\t%s\t%s\t\n", name, lap(P50), lap(P99), lap(P999))
		}
	}
	return table.Flush()
}

// lapNames are the parts of a unit, where it has more than one.
func (s Series) lapNames() []string {
	names := slices.Sorted(maps.Keys(s.Middle().Laps))
	if len(names) < 2 {
		return nil
	}
	return names
}

func (s Series) errorText() string {
	errors := s.Errors()
	if len(errors) == 0 {
		return "0"
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(errors)) {
		parts = append(parts, fmt.Sprintf("%d %s", errors[code], code))
	}
	return strings.Join(parts, ", ")
}

func (r Result) writeCosts(out io.Writer) error {
	if len(r.Series) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nphase\tload\tCPU ms a unit\tat most/s\tby process\tothers")
	for _, s := range r.Series {
		if s.Over(CPU).N == 0 {
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s cores\n", s.Phase, s.Load(), s.Over(CPU).WithRange(), Figure(r.bound(s)), s.processText(),
			Figure(s.Over(func(run Run) (float64, bool) { return run.OthersCores, true }).Median))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, s := range r.Series {
		s.writeStores(out)
	}
	return nil
}

// bound is the rate at which a unit's CPU takes all cores of the machine. Where
// others take some of them, it says more than the rate that was measured.
func (r Result) bound(s Series) float64 {
	const toMilliseconds = 1000
	if cpu := s.Over(CPU).Median; cpu > 0 {
		return float64(r.Machine.Cores) * toMilliseconds / cpu
	}
	return 0
}

// Processes lists those that used CPU for the unit, the most expensive first.
func (s Series) Processes() []string {
	names := slices.Collect(maps.Keys(s.Middle().CPU))
	slices.SortFunc(names, func(a, b string) int {
		if c := compareFloats(s.Over(CPUOf(b)).Median, s.Over(CPUOf(a)).Median); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return names
}

func (s Series) processText() string {
	var parts []string
	for _, name := range s.Processes() {
		// What the clock of /proc cannot see of a unit is not worth a word.
		if ms := s.Over(CPUOf(name)).Median; ms >= 0.005 {
			parts = append(parts, fmt.Sprintf("%s %s", name, Figure(ms)))
		}
	}
	return strings.Join(parts, " · ")
}

// writeStores says what one unit is to Temporal and to Postgres.
func (s Series) writeStores(out io.Writer) {
	run := s.Middle()
	var parts []string
	if w := run.Workflow; w != nil {
		parts = append(parts, fmt.Sprintf("%s transitions, %s events, %s bytes of history (%d sampled)",
			w.StateTransitions.WithRange(), w.HistoryEvents.WithRange(), w.HistoryBytes.WithRange(), w.Sampled))
	}
	if p := run.Postgres; p != nil {
		parts = append(parts, p.text())
	}
	if batch, ok := run.Batches[batchOfInterest]; ok && batch.Count > 0 {
		parts = append(parts, fmt.Sprintf("%s transfers a ledger request", Figure(batch.Mean())))
	}
	if batch, ok := run.Batches[BatchOfOrders]; ok && batch.Count > 0 {
		parts = append(parts, fmt.Sprintf("%s orders a record's transaction", Figure(batch.Mean())))
	}
	if len(parts) > 0 {
		fmt.Fprintf(out, "%s, %s: %s\n", s.Phase, s.Load(), strings.Join(parts, "; "))
	}
}

const batchOfInterest = "create_transfers"

func (p Postgres) text() string {
	total := 0.0
	var parts []string
	for _, database := range slices.Sorted(maps.Keys(p.Transactions)) {
		total += p.Transactions[database]
		parts = append(parts, fmt.Sprintf("%s %s", database, Figure(p.Transactions[database])))
	}
	text := fmt.Sprintf("%s Postgres transactions (%s), %s bytes of WAL", Figure(total), strings.Join(parts, ", "), Figure(p.WALBytes))
	if p.Statements != nil {
		text += fmt.Sprintf(", %s statements", Figure(*p.Statements))
	}
	return text
}

// writeTenths shows whether the last order costs what the first one did.
func (r Result) writeTenths(out io.Writer) {
	if r.Tenths == nil || len(r.Tenths.Runs) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s in a row, %s; by tenth:\n", grouped(r.Tenths.requests()), r.Tenths.Load())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "tenth\tper second\tCPU ms\tp50 ms\tp99 ms\tMiB\tothers\terrors\t")
	for i, run := range r.Tenths.Runs {
		cpu, _ := CPU(run)
		failed := run.Requests - run.Latency.Count
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", i+1, Figure(run.Rate), Figure(cpu),
			Figure(run.Latency.P50), Figure(run.Latency.P99), Figure(run.mebibytes()), Figure(run.OthersCores), failed)
	}
	_ = table.Flush()
	if ratio, ok := r.Tenths.LastToFirst(); ok {
		fmt.Fprintf(out, "CPU of the last tenth: %.2f × the first\n", ratio)
	}
}

func (s Series) requests() (sum float64) {
	for _, r := range s.Runs {
		sum += float64(r.Requests)
	}
	return sum
}

func (r Run) mebibytes() (sum float64) {
	for _, bytes := range r.Memory {
		sum += bytes
	}
	return sum / (1 << 20)
}

// LastToFirst compares what a unit costs in CPU in the last run and in the first.
func (s Series) LastToFirst() (ratio float64, ok bool) {
	if len(s.Runs) < 2 {
		return 0, false
	}
	first, okFirst := CPU(s.Runs[0])
	last, okLast := CPU(s.Runs[len(s.Runs)-1])
	if !okFirst || !okLast || first == 0 {
		return 0, false
	}
	return last / first, true
}

// measuredLap lets a lap be read as if it were the whole.
func measuredLap(r Run, name string) (m load.Measured) {
	m.Latency = r.Laps[name]
	return m
}

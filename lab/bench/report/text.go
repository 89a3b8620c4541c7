package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"boxoffice/audit"
	"boxoffice/lab/bench/load"
)

const mebibyte = 1 << 20

// figureMin is the least that Figure shows as more than nothing.
const figureMin = 0.005

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
	var text strings.Builder // takes everything: only out may fail
	r.writeText(&text)
	_, err := io.WriteString(out, text.String())
	return err
}

func (r Result) writeText(out *strings.Builder) {
	fmt.Fprintf(out, "ledger %s · commit %s · %d × %s · load %.1f before\n", r.Ledger, r.Commit, r.Machine.Cores, r.Machine.CPU, r.Machine.Load1)
	r.writeRates(out)
	r.writeCosts(out)
	r.writeTenths(out)
	r.writeStorms(out)
	r.writeRecoveries(out)
	if r.Audit != nil {
		fmt.Fprintln(out, "\n"+r.Audit.Sentence())
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, "note: "+note)
	}
}

// Sentence is the audit in one.
func (a Audit) Sentence() string {
	text := fmt.Sprintf("Audit of sale %s: %s orders were answered to be paid, %s have tickets; verdict: %s.",
		a.Sale, grouped(float64(a.Paid)), grouped(float64(a.Tickets)), a.Verdict)
	if a.Verdict == string(audit.Warning) {
		text += " Webhooks that the bench signs itself are of sessions that the provider never saw: expected."
	}
	return text
}

func (r Result) writeRates(out *strings.Builder) {
	if len(r.Series) == 0 {
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nphase\tload\tper second\tp50 ms\tp99 ms\tp99.9 ms\terrors")
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
	_ = table.Flush() // a Builder takes everything
}

// lapNames are the parts of a unit if it has more than one.
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

func (r Result) writeCosts(out *strings.Builder) {
	if len(r.Series) == 0 {
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nphase\tload\tCPU ms a unit\tat most/s\tby process\tothers")
	for _, s := range r.Series {
		if s.Over(CPU).N == 0 {
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s cores\n", s.Phase, s.Load(), s.Over(CPU).WithRange(), Figure(r.bound(s)), s.processText(),
			Figure(s.Over(Others).Median))
	}
	_ = table.Flush() // a Builder takes everything
	fmt.Fprintln(out)
	for _, s := range r.Series {
		s.writeStores(out)
	}
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
	return largestFirst(s.processCPU())
}

// processCPU is the median of each process.
func (s Series) processCPU() map[string]float64 {
	medians := map[string]float64{}
	for _, r := range s.Runs {
		for name := range r.CPU {
			medians[name] = s.Over(CPUOf(name)).Median
		}
	}
	return medians
}

func (s Series) processText() string { return listed(s.processCPU(), 1) }

// listed names figures by process in a unit, the largest first. What would be
// shown as nothing is not worth a word.
func listed(of map[string]float64, unit float64) string {
	var parts []string
	for _, name := range largestFirst(of) {
		if v := of[name] / unit; v >= figureMin {
			parts = append(parts, name+" "+Figure(v))
		}
	}
	return strings.Join(parts, " · ")
}

// total sums figures by process, in a unit. A missing figure does not count as zero.
func total(of map[string]float64, unit float64) string {
	if len(of) == 0 {
		return "–"
	}
	return Figure(sum(of) / unit)
}

func largestFirst(of map[string]float64) (names []string) {
	return slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
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
	var parts []string
	for _, database := range slices.Sorted(maps.Keys(p.Transactions)) {
		parts = append(parts, fmt.Sprintf("%s %s", database, Figure(p.Transactions[database])))
	}
	text := fmt.Sprintf("%s Postgres transactions (%s), %s bytes of WAL", Figure(sum(p.Transactions)), strings.Join(parts, ", "), Figure(p.WALBytes))
	if p.Statements != nil {
		text += fmt.Sprintf(", %s statements", Figure(*p.Statements))
	}
	return text
}

// writeTenths shows whether the last order costs what the first one did.
func (r Result) writeTenths(out *strings.Builder) {
	v := r.tenthsView()
	if v == nil {
		return
	}
	fmt.Fprintf(out, "\n%s\n", v.Says)
	v.Table.writeText(out)
}

// A tenth of the long row of orders; number counts from 1.
type tenth struct {
	number int
	Run
}

var tenthColumns = []column[tenth]{
	{"tenth", func(t tenth) string { return strconv.Itoa(t.number) }},
	{"per second", func(t tenth) string { return Figure(t.Rate) }},
	{"CPU ms", func(t tenth) string { return total(t.CPU, 1) }},
	{"p50 ms", func(t tenth) string { return Figure(t.Latency.P50) }},
	{"p99 ms", func(t tenth) string { return Figure(t.Latency.P99) }},
	{"memory MiB", func(t tenth) string { return total(t.Memory, mebibyte) }},
	{"others cores", func(t tenth) string { return Figure(t.OthersCores) }},
	{"errors", func(t tenth) string { return grouped(float64(t.Requests - t.Latency.Count)) }},
}

type tenthsView struct {
	Says  string
	Table *table
}

func (r Result) tenthsView() *tenthsView {
	if r.Tenths == nil || len(r.Tenths.Runs) == 0 {
		return nil
	}
	var tenths []tenth
	for i, run := range r.Tenths.Runs {
		tenths = append(tenths, tenth{i + 1, run})
	}
	v := &tenthsView{
		Says:  fmt.Sprintf("%s paid checkouts in a row, %s, by tenth", grouped(r.Tenths.requests()), r.Tenths.Load()),
		Table: tabulate(tenthColumns, tenths),
	}
	if ratio, ok := r.Tenths.LastToFirst(); ok {
		v.Says += fmt.Sprintf("; the last one costs %.2f × the CPU of the first", ratio)
	}
	return v
}

func (s Series) requests() (sum float64) {
	for _, r := range s.Runs {
		sum += float64(r.Requests)
	}
	return sum
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

package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"figure": Figure,
	"spread": Spread.WithRange,
	"add":    func(a, b float64) float64 { return a + b },
	"bytes":  func(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) },
	"date":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
}).Parse(pageSource))

// view is what the page shows, in its order.
type view struct {
	Result
	Headline   string
	Rows       []rateRow
	Costs      []costRow
	Throughput []lineChart
	Latency    []lineChart
	CPU        *barChart
	Batches    []barChart
	Waterfalls []barChart
	Storms     []stormView
	Recovery   *recoveryView
	Tenths     *tenthsView
}

type rateRow struct {
	Phase, Load, Unit, Errors string
	Rate, P50, P99, P999      Spread
	Lap                       bool // a part of the row above
}

type costRow struct {
	Phase, Load, Processes, Memory, Workflow, Postgres string
	CPU                                                Spread
	Bound, Others                                      float64
}

// WriteHTML writes a page that needs nothing else: no script, no address
// outside.
func (r Result) WriteHTML(out io.Writer) error {
	v := view{Result: r}
	for _, s := range r.Series {
		v.Rows = append(v.Rows, rateRows(s)...)
		if s.Over(CPU).N > 0 {
			v.Costs = append(v.Costs, r.costRowOf(s))
		}
	}
	for _, phase := range r.phases() {
		closed := r.closed(phase)
		if chart, ok := newLineChart(phase, "per second", closed, false, linePlan{closedUnit(closed), Rate}); ok {
			v.Throughput = append(v.Throughput, chart)
		}
		if chart, ok := newLineChart(phase, "ms", closed, true, linePlan{"p50", P50}, linePlan{"p99", P99}, linePlan{"p99.9", P999}); ok {
			v.Latency = append(v.Latency, chart)
		}
	}
	v.CPU = r.cpuChart()
	v.Batches = r.batchCharts()
	v.Waterfalls = r.waterfallCharts()
	v.Storms = r.stormViews()
	v.Recovery = r.recoveryView()
	v.Tenths = r.tenthsView()
	if s, ok := r.best("journey"); ok {
		v.Headline = fmt.Sprintf("%s paid checkouts a second with %s", s.Over(Rate).WithRange(), s.Load())
	}
	return page.Execute(out, v)
}

func closedUnit(series []Series) string {
	if len(series) == 0 {
		return ""
	}
	return series[0].Unit
}

func (r Result) phases() []string {
	var names []string
	for _, s := range r.Series {
		if !slices.Contains(names, s.Phase) {
			names = append(names, s.Phase)
		}
	}
	return names
}

// closed are a phase's closed loops, by clients; of several numbers of nodes,
// those of the first.
func (r Result) closed(phase string) []Series {
	var series []Series
	for _, s := range r.Series {
		if s.Phase == phase && s.Clients > 0 && (len(series) == 0 || s.Nodes == series[0].Nodes) {
			series = append(series, s)
		}
	}
	slices.SortFunc(series, func(a, b Series) int { return a.Clients - b.Clients })
	return series
}

// best is the closed loop with the highest rate.
func (r Result) best(phase string) (best Series, ok bool) {
	for _, s := range r.closed(phase) {
		if !ok || s.Over(Rate).Median > best.Over(Rate).Median {
			best, ok = s, true
		}
	}
	return best, ok
}

func rateRows(s Series) []rateRow {
	rows := []rateRow{{
		Phase: s.Phase, Load: s.Load(), Unit: s.Unit, Errors: s.errorText(),
		Rate: s.Over(Rate), P50: s.Over(P50), P99: s.Over(P99), P999: s.Over(P999),
	}}
	for _, name := range s.lapNames() {
		of := func(figure func(Run) (float64, bool)) Spread {
			return s.Over(func(run Run) (float64, bool) { return figure(Run{Measured: measuredLap(run, name)}) })
		}
		rows = append(rows, rateRow{Phase: name, P50: of(P50), P99: of(P99), P999: of(P999), Lap: true})
	}
	return rows
}

func (r Result) costRowOf(s Series) costRow {
	run := s.Middle()
	row := costRow{
		Phase: s.Phase, Load: s.Load(), CPU: s.Over(CPU), Bound: r.bound(s), Processes: s.processText(),
		Others: s.Over(Others).Median,
	}
	var memory []string
	for _, name := range slices.Sorted(maps.Keys(run.Memory)) {
		memory = append(memory, fmt.Sprintf("%s %s", name, Figure(run.Memory[name]/mebibyte)))
	}
	row.Memory = strings.Join(memory, " · ")
	if w := run.Workflow; w != nil {
		row.Workflow = fmt.Sprintf("%s transitions · %s events · %s bytes", w.StateTransitions.WithRange(), w.HistoryEvents.WithRange(), w.HistoryBytes.WithRange())
	}
	if run.Postgres != nil {
		row.Postgres = run.Postgres.text()
	}
	return row
}

// cpuChart is the journey's CPU by process, a row a load.
func (r Result) cpuChart() *barChart {
	var names []string
	var rows [][]value
	for _, s := range r.Series {
		if s.Phase != "journey" || s.Over(CPU).N == 0 {
			continue
		}
		var parts []value
		at := 0.0
		for _, name := range s.Processes() {
			ms := s.Over(CPUOf(name)).Median
			if ms < figureMin { // not to be seen
				continue
			}
			parts = append(parts, value{name, at, ms})
			at += ms
		}
		names, rows = append(names, s.Load()), append(rows, parts)
	}
	if len(rows) == 0 {
		return nil
	}
	chart := newBarChart("CPU of one paid checkout, by process", "ms", names, rows)
	return &chart
}

// batchCharts are the sizes of the requests that carried transfers.
func (r Result) batchCharts() []barChart {
	var charts []barChart
	for _, phase := range []string{"journey", "ledger"} {
		s, ok := r.best(phase)
		batch := s.Middle().Batches[batchOfInterest]
		if !ok || batch.Count == 0 {
			continue
		}
		var names []string
		var rows [][]value
		below := 0.0
		for _, b := range batch.Buckets {
			if b.Count > 0 {
				names = append(names, sizes(below, b.UpTo))
				rows = append(rows, []value{{"requests", 0, 100 * b.Count / batch.Count}})
			}
			below = b.UpTo
		}
		title := fmt.Sprintf("%s, %s: %s transfers a request on average", phase, s.Load(), Figure(batch.Mean()))
		charts = append(charts, newBarChart(title, "% of requests", names, rows))
	}
	return charts
}

// sizes names a bucket of whole numbers.
func sizes(above, upTo float64) string {
	if upTo-above <= 1 {
		return Figure(upTo)
	}
	return fmt.Sprintf("%s–%s", Figure(above+1), Figure(upTo))
}

// waterfallCharts break the journey down, one chart per load: what is a queue under
// many clients is a step under a few.
func (r Result) waterfallCharts() []barChart {
	var charts []barChart
	for _, s := range r.Series {
		bars := waterfall(s.Middle())
		if s.Phase != "journey" || len(bars) == 0 {
			continue
		}
		var names []string
		var rows [][]value
		for _, b := range bars {
			names = append(names, strings.Repeat("\u2003", b.Level)+b.Name)
			rows = append(rows, []value{{b.Name, b.Start, b.Width}})
		}
		chart := newBarChart(s.Load(), "ms, mean", names, rows)
		for i, b := range bars {
			chart.Rows[i].Parts[0].Color = b.Level
		}
		chart.Legend = nil // the indent says it
		charts = append(charts, chart)
	}
	return charts
}

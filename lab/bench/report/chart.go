package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Sizes of a chart, in the units of its view box.
const (
	chartWidth, chartHeight = 520.0, 260.0
	marginLeft, marginRight = 58.0, 14.0
	marginTop, marginBottom = 14.0, 40.0
)

// lineChart is lines over a number of clients.
type lineChart struct {
	Title, Unit string
	X, Y        []tick
	Lines       []line
	Logarithmic bool
}

type tick struct {
	At   float64
	Text string
}

type line struct {
	Name   string
	Color  int
	Path   string
	Points []point
}

// point is a median with its spread.
type point struct {
	X, Y, Low, High float64
	Text            string
}

type linePlan struct {
	name string
	of   func(Run) (float64, bool)
}

// newLineChart needs two loads or more; otherwise there is no line to draw and ok is
// false.
func newLineChart(title, unit string, series []Series, logarithmic bool, plans ...linePlan) (chart lineChart, ok bool) {
	if len(series) < 2 {
		return lineChart{}, false
	}
	chart = lineChart{Title: title, Unit: unit, Logarithmic: logarithmic}
	y := yScaleOf(series, plans, logarithmic)
	chart.Y = y.ticks()
	xAt := xScaleOf(series)
	for _, s := range series {
		chart.X = append(chart.X, tick{xAt(s.Clients), fmt.Sprint(s.Clients)})
	}
	for color, plan := range plans {
		l := line{Name: plan.name, Color: color}
		for _, s := range series {
			spread := s.Over(plan.of)
			if spread.N == 0 {
				continue
			}
			l.Points = append(l.Points, point{
				X: xAt(s.Clients), Y: y.at(spread.Median), Low: y.at(spread.Min), High: y.at(spread.Max),
				Text: fmt.Sprintf("%s, %d clients: %s %s", plan.name, s.Clients, spread.WithRange(), unit),
			})
		}
		l.Path = pathOf(l.Points)
		chart.Lines = append(chart.Lines, l)
	}
	return chart, true
}

// xScaleOf is logarithmic: 1, 64 and 256 clients stand apart.
func xScaleOf(series []Series) func(clients int) float64 {
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range series {
		v := math.Log(float64(s.Clients))
		low, high = min(low, v), max(high, v)
	}
	return func(clients int) float64 {
		share := 0.5
		if high > low {
			share = (math.Log(float64(clients)) - low) / (high - low)
		}
		return marginLeft + share*(chartWidth-marginLeft-marginRight)
	}
}

type yScale struct {
	low, high   float64
	logarithmic bool
}

func yScaleOf(series []Series, plans []linePlan, logarithmic bool) yScale {
	low, high := math.Inf(1), 0.0
	for _, s := range series {
		for _, plan := range plans {
			if spread := s.Over(plan.of); spread.N > 0 && spread.Min > 0 {
				low, high = min(low, spread.Min), max(high, spread.Max)
			}
		}
	}
	if high == 0 {
		return yScale{high: 1}
	}
	if logarithmic {
		return yScale{math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high))), true}
	}
	return yScale{0, niceAbove(high), false}
}

// niceAbove is a number that is easy to read, and not far above v.
func niceAbove(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8, 10} {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power
}

func (y yScale) at(v float64) float64 {
	share := 0.0
	switch {
	case y.logarithmic && v > 0:
		share = (math.Log(v) - math.Log(y.low)) / max(math.Log(y.high)-math.Log(y.low), 1e-9)
	case !y.logarithmic:
		share = (v - y.low) / (y.high - y.low)
	}
	return chartHeight - marginBottom - min(max(share, 0), 1)*(chartHeight-marginTop-marginBottom)
}

func (y yScale) ticks() []tick {
	var ticks []tick
	if y.logarithmic {
		for v := y.low; v <= y.high*1.001; v *= 10 {
			ticks = append(ticks, tick{y.at(v), Figure(v)})
		}
		return ticks
	}
	const steps = 4
	for i := range steps + 1 {
		v := y.high * float64(i) / steps
		ticks = append(ticks, tick{y.at(v), Figure(v)})
	}
	return ticks
}

func pathOf(points []point) string {
	var b strings.Builder
	for i, p := range points {
		command := " L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%.1f,%.1f", command, p.X, p.Y)
	}
	return b.String()
}

// barChart is rows of bars, each of parts.
type barChart struct {
	Title, Unit string
	Height      float64
	Rows        []barRow
	X           []tick
	Legend      []legend
}

type legend struct {
	Name  string
	Color int
}

type barRow struct {
	Name  string
	Y     float64
	Total string
	EndX  float64
	Parts []barPart
}

type barPart struct {
	X, Width float64
	Color    int
	Text     string
}

const (
	barLabelWidth = 190.0
	barWidthMax   = chartWidth + 200 - barLabelWidth - 80
	barPitch      = 24.0
)

// value is one part of a row.
type value struct {
	name   string
	start  float64 // where it begins; stacked parts begin at the end of the last
	amount float64
}

// newBarChart draws every row to one scale.
func newBarChart(title, unit string, names []string, rows [][]value) barChart {
	chart := barChart{Title: title, Unit: unit, Height: barPitch*float64(len(rows)) + 30}
	high := 0.0
	for _, row := range rows {
		for _, v := range row {
			high = max(high, v.start+v.amount)
		}
	}
	if high == 0 {
		high = 1
	}
	high = niceAbove(high)
	scale := barWidthMax / high
	var known []string
	for i, row := range rows {
		r := barRow{Name: names[i], Y: barPitch * float64(i)}
		total := 0.0
		for _, v := range row {
			if !slices.Contains(known, v.name) {
				known = append(known, v.name)
				chart.Legend = append(chart.Legend, legend{v.name, len(known) - 1})
			}
			total += v.amount
			r.Parts = append(r.Parts, barPart{
				X: barLabelWidth + v.start*scale, Width: max(v.amount*scale, 0.5), Color: slices.Index(known, v.name),
				Text: fmt.Sprintf("%s: %s %s", v.name, Figure(v.amount), unit),
			})
			r.EndX = max(r.EndX, barLabelWidth+(v.start+v.amount)*scale)
		}
		r.Total = Figure(total)
		chart.Rows = append(chart.Rows, r)
	}
	const steps = 4
	for i := range steps + 1 {
		v := high * float64(i) / steps
		chart.X = append(chart.X, tick{barLabelWidth + v*scale, Figure(v)})
	}
	return chart
}

package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/report"
)

// progress reports what is going on.
type progress struct {
	out        io.Writer
	isTerminal bool
}

const (
	drawInterval = 250 * time.Millisecond
	eraseLine    = "\r\x1b[K"
)

// prepare reports work outside any measurement.
func (p progress) prepare(what string) (stop func()) {
	if !p.isTerminal {
		return func() {}
	}
	fmt.Fprint(p.out, eraseLine+"  … "+what)
	return func() { fmt.Fprint(p.out, eraseLine) }
}

// show redraws one line while a plan runs.
func (p progress) show(title string, plan load.Plan) (stop func()) {
	started := time.Now()
	return p.watch(func() string {
		elapsed := time.Since(started).Seconds()
		done, failed := plan.Progress.Done.Load(), plan.Progress.Failed.Load()
		of := fmt.Sprintf("%.0f of %.0f s", elapsed, (plan.Warmup + plan.Duration).Seconds())
		if plan.Requests > 0 {
			of = fmt.Sprintf("%d of %d", done+failed, plan.Requests)
		}
		return fmt.Sprintf("%s   %s   %s/s   %d errors", title, of, report.Figure(float64(done)/max(elapsed, 0.001)), failed)
	})
}

// watch redraws one line until it is stopped.
func (p progress) watch(line func() string) (stop func()) {
	if !p.isTerminal {
		return func() {}
	}
	ended, drawn := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drawn)
		ticker := time.NewTicker(drawInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprint(p.out, eraseLine+"  … "+line())
			case <-ended:
				fmt.Fprint(p.out, eraseLine)
				return
			}
		}
	}()
	return func() { close(ended); <-drawn }
}

// done leaves a line for each run.
func (p progress) done(title string, run report.Run) {
	failed := run.Requests - run.Latency.Count
	cpu := "–" // not available, which is no zero
	if ms, ok := report.CPU(run); ok {
		cpu = report.Figure(ms)
	}
	fmt.Fprintf(p.out, "  %s  %8s/s   p50 %s ms   p99 %s ms   CPU %s ms   %d errors\n",
		title, report.Figure(run.Rate), report.Figure(run.Latency.P50), report.Figure(run.Latency.P99), cpu, failed)
	for _, line := range failures(run.Measured) {
		fmt.Fprintln(p.out, "      "+line)
	}
}

// failures are a line for each code, with an example.
func failures(m load.Measured) (lines []string) {
	for _, code := range slices.Sorted(maps.Keys(m.Samples)) {
		lines = append(lines, fmt.Sprintf("%d × %s, such as: %s", m.Errors[code], code, m.Samples[code]))
	}
	return lines
}

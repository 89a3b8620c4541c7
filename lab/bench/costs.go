package bench

import (
	"context"
	"time"

	"boxoffice/lab/bench/probe"
	"boxoffice/lab/bench/report"
	"boxoffice/workflows"
)

// reading is every probe at one moment; what could not be read is nil and noted.
type reading struct {
	at        time.Time
	processes *probe.ProcessUsage
	postgres  *probe.Counters
	metrics   *probe.Metrics
}

func (b *bench) read(ctx context.Context, meter func(context.Context) (probe.Metrics, error)) reading {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r := reading{at: time.Now()}
	if processes, err := probe.ReadProcesses(b.pids); err != nil {
		b.note("CPU and memory: " + err.Error())
	} else {
		r.processes = &processes
	}
	if b.postgres != nil {
		if counters, err := b.postgres.Counters(ctx); err != nil {
			b.note("Postgres's counters: not available: " + err.Error())
		} else {
			r.postgres = &counters
		}
	}
	if metrics, err := meter(ctx); err != nil {
		b.note("the service's metrics: not available: " + err.Error())
	} else {
		r.metrics = &metrics
	}
	return r
}

// memory is what each process uses now; nil, with a note, if it is not
// available.
func (b *bench) memory() map[string]float64 {
	processes, err := probe.ReadProcesses(b.pids)
	if err != nil {
		b.note("CPU and memory: " + err.Error())
		return nil
	}
	return memoryOf(processes)
}

func memoryOf(processes probe.ProcessUsage) map[string]float64 {
	bytes := map[string]float64{}
	for name, usage := range processes.ByName {
		bytes[name] = usage.MemoryBytes
	}
	return bytes
}

// effort is what processes worked between two readings.
type effort struct {
	seconds     float64            // between the readings
	cpuSeconds  map[string]float64 // by process of ours
	othersCores float64            // they work for nobody of ours
}

// effortSince is not ok where one of the readings has no processes.
func (r reading) effortSince(before reading) (e effort, ok bool) {
	if before.processes == nil || r.processes == nil {
		return effort{}, false
	}
	e = effort{seconds: r.at.Sub(before.at).Seconds(), cpuSeconds: r.processes.Since(*before.processes)}
	e.othersCores = e.cpuSeconds[probe.Others] / e.seconds
	delete(e.cpuSeconds, probe.Others)
	return e, true
}

// millisecondsPer divides the CPU among units.
func (e effort) millisecondsPer(units float64) map[string]float64 {
	const toMilliseconds = 1000
	each := map[string]float64{}
	for name, seconds := range e.cpuSeconds {
		each[name] = seconds * toMilliseconds / units
	}
	return each
}

// addCosts divides what happened between two readings by the units done between
// them. The readings are taken under load and trail the measured time by some
// milliseconds: units are counted for their own distance.
func (b *bench) addCosts(run *report.Run, before, after reading) {
	units := run.Rate * after.at.Sub(before.at).Seconds()
	if units <= 0 {
		return
	}
	if e, ok := after.effortSince(before); ok {
		run.CPU, run.OthersCores, run.Memory = e.millisecondsPer(units), e.othersCores, memoryOf(*after.processes)
	}
	if before.postgres != nil && after.postgres != nil {
		withStatements := b.postgres.NoStatements == ""
		if !withStatements {
			b.note("Postgres statements: " + b.postgres.NoStatements)
		}
		run.Postgres = postgresPerUnit(after.postgres.Since(*before.postgres), units, withStatements)
	}
	if before.metrics != nil && after.metrics != nil {
		if ok := addMetrics(run, *before.metrics, *after.metrics, units); !ok {
			b.note("the service restarted during a run: its stages and batches are left out there")
		}
	}
}

func postgresPerUnit(delta probe.Counters, units float64, withStatements bool) *report.Postgres {
	p := &report.Postgres{Transactions: map[string]float64{}, WALBytes: delta.WALBytes / units}
	for database, n := range delta.Transactions {
		p.Transactions[database] = n / units
	}
	if withStatements {
		statements := delta.Statements / units
		p.Statements = &statements
	}
	return p
}

// Names of the service's metrics.
const (
	metricBatch   = "boxoffice_ledger_batch_events"
	metricRequest = "boxoffice_ledger_request_seconds"
	metricRecord  = "boxoffice_orders_batch_size"
	metricQueue   = "boxoffice_ledger_queue_seconds"
	metricStage   = "boxoffice_stage_seconds"
	metricHTTP    = "boxoffice_http_request_duration_seconds"
)

// addMetrics is false when a counter went back.
func addMetrics(run *report.Run, before, after probe.Metrics, units float64) bool {
	run.Batches, run.Stages = map[string]probe.Histogram{}, map[string]report.Stage{}
	whole := true
	each := func(name, label string, add func(value string, h probe.Histogram)) {
		for _, value := range after.Values(name, label) {
			labels := probe.Labels{label: value}
			delta, ok := after.Histogram(name, labels).Since(before.Histogram(name, labels))
			whole = whole && ok
			if ok && delta.Count > 0 {
				add(value, delta)
			}
		}
	}
	stage := func(prefix string) func(string, probe.Histogram) {
		return func(value string, h probe.Histogram) { run.Stages[prefix+value] = report.StageOf(h, units) }
	}
	each(metricBatch, "op", func(op string, h probe.Histogram) { run.Batches[op] = h })
	// Without a label there is one histogram, that of all.
	if all, ok := after.Histogram(metricRecord, nil).Since(before.Histogram(metricRecord, nil)); ok && all.Count > 0 {
		run.Batches[report.BatchOfOrders] = all
	}
	each(metricStage, "stage", stage(""))
	each(metricHTTP, "route", stage(report.StageHTTP))
	each(metricRequest, "op", stage(report.StageRequest))
	each(metricQueue, "op", stage(report.StageQueue))
	return whole
}

// sampleWorkflows asks Temporal about the checkouts that were paid last. Where it
// does not answer for one, it is not asked for the others.
func (b *bench) sampleWorkflows(ctx context.Context) *report.Workflow {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var transitions, events, bytes []float64
	for _, h := range b.recent.list() {
		w, err := probe.DescribeWorkflow(ctx, b.Temporal, workflows.CheckoutID(h.order))
		if err != nil {
			b.note("Temporal's counts: " + err.Error())
			break
		}
		transitions = append(transitions, w.StateTransitions)
		events = append(events, w.HistoryEvents)
		bytes = append(bytes, w.HistoryBytes)
	}
	if len(transitions) == 0 {
		return nil
	}
	return &report.Workflow{
		Sampled: len(transitions), StateTransitions: report.SpreadOf(transitions),
		HistoryEvents: report.SpreadOf(events), HistoryBytes: report.SpreadOf(bytes),
	}
}

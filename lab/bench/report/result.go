package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/probe"
)

// Format is the version of the JSON below; a file of another one is refused.
const Format = 1

// Result is one call of the bench.
type Result struct {
	Format      int       `json:"format"`
	StartedAt   time.Time `json:"started_at"`
	TookSeconds float64   `json:"took_seconds"`
	Commit      string    `json:"commit"` // "+changes" appended where the checkout had some
	Ledger      string    `json:"ledger"` // on which the service books: tigerbeetle or embedded
	// Variant is the slower way of selling that the service was built for; empty
	// of the product itself.
	Variant  string            `json:"variant,omitempty"`
	Machine  probe.Machine     `json:"machine"`
	Versions map[string]string `json:"versions"`
	Settings Settings          `json:"settings"`
	Series   []Series          `json:"series"`
	// Tenths is a long row of orders, one run a tenth; nil where none was asked for.
	Tenths *Series `json:"tenths,omitempty"`
	Audit  *Audit  `json:"audit,omitempty"`
	Storms []Storm `json:"storms,omitempty"`
	// Recoveries are in the order in which the stack was killed.
	Recoveries []Recovery `json:"recoveries,omitempty"`
	// Notes say what could not be measured, and why.
	Notes []string `json:"notes,omitempty"`
}

// Settings are what the bench was asked for.
type Settings struct {
	Phases          []string `json:"phases"`
	Runs            int      `json:"runs"`
	WarmupSeconds   float64  `json:"warmup_seconds"`
	DurationSeconds float64  `json:"duration_seconds"`
	Arrivals        string   `json:"arrivals"` // of open loops: poisson or even
	Seed            uint64   `json:"seed"`
	Payment         string   `json:"payment"` // signed webhook, or MockPay
	Service         string   `json:"service"`
}

// Audit is what the box office said of the bench's sale at the end.
type Audit struct {
	Sale    string `json:"sale"`
	Paid    int64  `json:"paid"`    // orders that were answered to be paid
	Tickets int64  `json:"tickets"` // orders that have tickets
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
}

// Series is one phase under one load, measured several times.
type Series struct {
	Phase string `json:"phase"`
	Unit  string `json:"unit"` // what is counted
	// Clients of a closed loop, or the arrivals a second of an open one.
	Clients       int     `json:"clients,omitempty"`
	RatePerSecond float64 `json:"offered_per_second,omitempty"`
	// Share is the part of the closed loop's best rate, if the load was given that way: 0.5
	// keeps its name whatever the rate turns out to be.
	Share float64 `json:"share,omitempty"`
	// Nodes is how many processes served, if that was set.
	Nodes int   `json:"nodes,omitempty"`
	Runs  []Run `json:"runs"`
}

// Run is one measurement.
type Run struct {
	load.Measured
	Rate float64 `json:"per_second"`

	// CPU by process in milliseconds a unit; nil where it is not available.
	// Others is in cores: they work for nobody's unit.
	CPU         map[string]float64 `json:"cpu_ms_per_unit,omitempty"`
	OthersCores float64            `json:"others_cores"`
	// Memory by process at the end, in bytes.
	Memory   map[string]float64 `json:"memory_bytes,omitempty"`
	Postgres *Postgres          `json:"postgres,omitempty"`
	Workflow *Workflow          `json:"workflow,omitempty"`
	// Batches are the sizes of the ledger's requests, by operation, in events;
	// BatchOfOrders those of the database's transactions, in orders.
	Batches map[string]probe.Histogram `json:"batches,omitempty"`
	// Stages are those of the service, by name.
	Stages map[string]Stage `json:"stages,omitempty"`
}

// Postgres is what the database server did for a unit.
type Postgres struct {
	Transactions map[string]float64 `json:"transactions_per_unit"` // by database
	WALBytes     float64            `json:"wal_bytes_per_unit"`
	Statements   *float64           `json:"statements_per_unit,omitempty"` // nil: not counted
}

// Workflow is what Temporal counts of a sample of checkouts.
type Workflow struct {
	Sampled          int    `json:"sampled"`
	StateTransitions Spread `json:"state_transitions"`
	HistoryEvents    Spread `json:"history_events"`
	HistoryBytes     Spread `json:"history_bytes"`
}

// Stage sums up one stage of the service, in milliseconds. Quantiles are
// interpolated within the buckets of its histogram.
type Stage struct {
	PerUnit float64 `json:"per_unit"` // how often it ran for one unit
	Mean    float64 `json:"mean_ms"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
}

// BatchOfOrders is the name under which Batches has the recording of orders.
const BatchOfOrders = "orders"

// Prefixes of stages that come from other metrics than the service's stages.
const (
	StageHTTP    = "http "    // a request, by route
	StageRequest = "request " // one request to the ledger, by operation
	StageQueue   = "queue "   // its oldest unit's wait, by operation
)

// StageOf sums a histogram of seconds up.
func StageOf(h probe.Histogram, units float64) Stage {
	const toMilliseconds = 1000
	return Stage{
		PerUnit: h.Count / units, Mean: h.Mean() * toMilliseconds,
		P50: h.Quantile(0.5) * toMilliseconds, P99: h.Quantile(0.99) * toMilliseconds,
	}
}

// Spread is a median and what lies around it.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// SpreadOf sums values up; of none it is zero.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1], N: len(sorted)}
}

// Over gives the spread of a figure over a series' runs. A run for which the
// figure is not there (ok false) is left out.
func (s Series) Over(figure func(Run) (value float64, ok bool)) Spread {
	var values []float64
	for _, r := range s.Runs {
		if v, ok := figure(r); ok {
			values = append(values, v)
		}
	}
	return SpreadOf(values)
}

// The figures of a run.

// Rate is units a second.
func Rate(r Run) (float64, bool) { return r.Rate, true }

// P50, P99 and P999 are latencies in milliseconds; there are none if nothing
// was answered.
func P50(r Run) (float64, bool)  { return r.Latency.P50, r.Latency.Count > 0 }
func P99(r Run) (float64, bool)  { return r.Latency.P99, r.Latency.Count > 0 }
func P999(r Run) (float64, bool) { return r.Latency.P999, r.Latency.Count > 0 }

// CPU is the milliseconds per unit of all known processes together.
func CPU(r Run) (float64, bool) { return sum(r.CPU), len(r.CPU) > 0 }

// Others is how many cores worked for nobody of ours: what makes figures doubtful.
func Others(r Run) (float64, bool) { return r.OthersCores, true }

func sum(of map[string]float64) (total float64) {
	for _, v := range of {
		total += v
	}
	return total
}

// CPUOf is one process's part of it.
func CPUOf(process string) func(Run) (float64, bool) {
	return func(r Run) (float64, bool) {
		ms, ok := r.CPU[process]
		return ms, ok
	}
}

// Errors counts over all runs, by code.
func (s Series) Errors() map[string]int64 {
	sum := map[string]int64{}
	for _, r := range s.Runs {
		for code, n := range r.Errors {
			sum[code] += n
		}
	}
	return sum
}

// Load says how much was asked for, and of how many nodes.
func (s Series) Load() string {
	switch {
	case s.Nodes == 1:
		return s.load() + ", 1 node"
	case s.Nodes > 1:
		return fmt.Sprintf("%s, %d nodes", s.load(), s.Nodes)
	default:
		return s.load()
	}
}

func (s Series) load() string {
	switch {
	case s.Share > 0:
		return fmt.Sprintf("%.0f %% of the rate", 100*s.Share)
	case s.RatePerSecond > 0:
		return fmt.Sprintf("%g/s offered", s.RatePerSecond)
	case s.Clients == 1:
		return "1 client"
	default:
		return fmt.Sprintf("%d clients", s.Clients)
	}
}

// Middle is the run whose rate is the median, or just below: charts that break
// one run down show that one.
func (s Series) Middle() Run {
	if len(s.Runs) == 0 {
		return Run{}
	}
	sorted := slices.SortedFunc(slices.Values(s.Runs), func(a, b Run) int { return cmp.Compare(a.Rate, b.Rate) })
	return sorted[(len(sorted)-1)/2]
}

// Write stores the result as JSON.
func (r Result) Write(path string) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("bench result: %w", err)
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}

// Read reads what Write stored.
func Read(path string) (Result, error) {
	var r Result
	content, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, fmt.Errorf("%s is not a result of the bench: %w", path, err)
	}
	if r.Format != Format {
		return r, fmt.Errorf("%s has format %d of bench results, this program reads %d: measure it again", path, r.Format, Format)
	}
	return r, nil
}

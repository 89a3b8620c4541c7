package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Costs are what a paid checkout costs. CPU is in milliseconds.
type Costs struct {
	Source    string `json:"source"`
	Temporal  Range  `json:"temporal_ms"`   // t: all of its services
	Database  Range  `json:"database_ms"`   // d: Temporal's
	BoxOffice Range  `json:"box_office_ms"` // b: HTTP, worker, batcher
	// LogBytes (w) is the databases' write-ahead log, and HistoryBytes (h) what Temporal keeps.
	LogBytes       float64 `json:"log_bytes"`
	OrdersLogBytes float64 `json:"orders_log_bytes"` // of LogBytes, that of the orders
	HistoryBytes   float64 `json:"history_bytes"`
	// Transfers (x) in the ledger.
	Transfers            float64 `json:"transfers"`
	TransfersOneCheckout float64 `json:"transfers_one_checkout_per_buyer"`
	// Read and Join are a place's: asked for, and taken.
	Read Range `json:"read_ms"`
	Join Range `json:"join_ms"`
	// WorkflowMemory is what a history host keeps of a workflow, in MiB.
	WorkflowMemory Range `json:"workflow_memory_mib"`
	// Commits of a state transition, one after the other; a checkout has three transitions.
	Commits int `json:"commits_per_transition"`
}

// Documented are the figures of docs/capacity.md: Temporal with its own store.
func Documented() Costs {
	return Costs{
		Source:   "docs/capacity.md, Temporal's own store",
		Temporal: Range{6.8, 8.7, 9.6}, Database: Range{4.1, 6.3, 6.9}, BoxOffice: Range{3.7, 4.2, 5.6},
		LogBytes: 30e3, OrdersLogBytes: 2.4e3, HistoryBytes: 4.5e3, Transfers: 5, TransfersOneCheckout: 8,
		Read: Range{0.08, 0.09, 0.12}, Join: Range{0.1, 0.11, 0.14}, WorkflowMemory: Range{0.085, 0.1, 0.19}, Commits: 2,
	}
}

// Pipelined are those of Temporal on pgpipe, which sends each transition at once.
func Pipelined() Costs {
	c := Documented()
	c.Source = "docs/capacity.md, Temporal on pgpipe"
	c.Temporal, c.Database, c.BoxOffice = Range{4.3, 4.5, 4.8}, Range{1.8, 2, 2.3}, Range{2.7, 2.8, 4.2}
	c.LogBytes, c.Commits = 20e3, 1
	return c
}

// A benchResult is what this reads of a result of `make bench`.
type benchResult struct {
	StartedAt string `json:"started_at"`
	Ledger    string `json:"ledger"`
	Series    []struct {
		Phase   string `json:"phase"`
		Clients int    `json:"clients"`
		Runs    []struct {
			CPU      map[string]float64 `json:"cpu_ms_per_unit"`
			Postgres *struct {
				LogBytes float64 `json:"wal_bytes_per_unit"`
			} `json:"postgres"`
			Workflow *struct {
				HistoryBytes struct {
					Median float64 `json:"median"`
				} `json:"history_bytes"`
			} `json:"workflow"`
		} `json:"runs"`
	} `json:"series"`
}

// Measured puts the figures of a result of `make bench` in the place of documented ones: the
// medians of paid checkouts in closed loops, between their lowest and highest. What was not
// measured there stays as it is.
func Measured(result []byte, documented Costs) (Costs, error) {
	var r benchResult
	if err := json.Unmarshal(result, &r); err != nil {
		return Costs{}, fmt.Errorf("this is no result of make bench: %w", err)
	}
	var temporal, database, boxOffice, logBytes, history []float64
	for _, series := range r.Series {
		if series.Phase != "journey" || series.Clients == 0 {
			continue
		}
		for _, run := range series.Runs {
			cpu := run.CPU
			if cpu["temporal"] <= 0 || cpu["postgres"] <= 0 || cpu["boxoffice"] <= 0 {
				continue
			}
			temporal, database = append(temporal, cpu["temporal"]), append(database, cpu["postgres"])
			all := 0.0
			for _, process := range slices.Sorted(maps.Keys(cpu)) {
				if strings.HasPrefix(process, "boxoffice") { // each node
					all += cpu[process]
				}
			}
			boxOffice = append(boxOffice, all)
			if run.Postgres != nil {
				logBytes = append(logBytes, run.Postgres.LogBytes)
			}
			if run.Workflow != nil {
				history = append(history, run.Workflow.HistoryBytes.Median)
			}
		}
	}
	if len(temporal) == 0 {
		return Costs{}, errors.New("it has no closed loop of paid checkouts with the CPU of each process: make bench FLAGS=\"--phases journey\" measures them on a local stack")
	}
	c := documented
	c.Source = fmt.Sprintf("measured at %s on the ledger %s, %d runs", r.StartedAt, r.Ledger, len(temporal))
	c.Temporal, c.Database, c.BoxOffice = spreadOf(temporal), spreadOf(database), spreadOf(boxOffice)
	if len(logBytes) > 0 {
		c.LogBytes = spreadOf(logBytes).Typical
	}
	if len(history) > 0 {
		c.HistoryBytes = spreadOf(history).Typical
	}
	return c, nil
}

func spreadOf(measured []float64) Range {
	sorted := slices.Sorted(slices.Values(measured))
	n := len(sorted)
	return Range{sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]}
}

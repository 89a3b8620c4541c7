package report

import (
	"encoding/json"
	"testing"

	"boxoffice/plan"
)

// boxoffice plan reads the file that a bench leaves.
func TestAPlanReadsAResult(t *testing.T) {
	run := func(temporal, postgres, boxoffice float64) Run {
		r := aRun(100, 0.01)
		r.CPU = map[string]float64{"temporal": temporal, "postgres": postgres, "boxoffice": boxoffice, "boxoffice-2": 1}
		return r
	}
	result := Result{Ledger: "tigerbeetle", Series: []Series{
		{Phase: "journey", Clients: 16, Runs: []Run{run(4, 2, 3), run(5, 2.5, 4)}},
		{Phase: "journey", RatePerSecond: 20, Runs: []Run{run(90, 90, 90)}},
		{Phase: "refusals", Clients: 16, Runs: []Run{run(90, 90, 90)}},
	}}
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	c, err := plan.Measured(data, plan.Documented())
	if err != nil {
		t.Fatal(err)
	}
	if c.Temporal != (plan.Range{Low: 4, Typical: 4.5, High: 5}) || c.Database != (plan.Range{Low: 2, Typical: 2.25, High: 2.5}) || c.BoxOffice != (plan.Range{Low: 4, Typical: 4.5, High: 5}) {
		t.Errorf("a checkout costs %v + %v + %v", c.Temporal, c.Database, c.BoxOffice)
	}
	if c.LogBytes != 40_000 || c.HistoryBytes != 4471 {
		t.Errorf("%v bytes of log and %v of history", c.LogBytes, c.HistoryBytes)
	}
}

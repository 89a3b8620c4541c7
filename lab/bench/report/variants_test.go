package report

import (
	"slices"
	"strings"
	"testing"
)

func TestVariants(t *testing.T) {
	of := func(variant string, rate, p50 float64) Result {
		r := aResult()
		r.Variant = variant
		run := aRun(rate, p50)
		run.CPU = map[string]float64{"temporal": 900 / rate, "generator": 0.5}
		r.Series = []Series{{Phase: "journey", Unit: "paid checkout", Clients: 64, Runs: []Run{run}}}
		return r
	}
	// Two rounds, as the file names sort; the base still comes first.
	results := []Result{of("ordinary", 50, 1000), of("lean", 100, 500), of("ordinary", 54, 1000), of("lean", 104, 500)}
	var out strings.Builder
	if err := Variants(&out, results, []string{"lean", "ordinary"}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("want a head and a row each:\n%s", out.String())
	}
	for i, want := range [][]string{{"variant", "ratio"}, {"lean", "102 (100–104)", "1.00", " 2 "}, {"ordinary", "52 (50–54)", "0.51", "(34.3–37)", "2.00", "13"}} {
		for _, text := range want {
			if !strings.Contains(lines[i]+" ", text) {
				t.Errorf("line %d lacks %q: %s", i, text, lines[i])
			}
		}
	}
	if err := Variants(&out, []Result{aResult()}, nil); err == nil {
		t.Error("a result of no variant: want an error")
	}
}

// A ratio between two ledgers, or two commits, is not the variant's.
func TestVariantsOnDifferentGround(t *testing.T) {
	lean, signal := aResult(), aResult()
	lean.Variant, signal.Variant = "lean", "signal"
	signal.Ledger, signal.Commit = "embedded", "def456"
	var out strings.Builder
	if err := Variants(&out, []Result{lean, signal, signal}, []string{"lean", "signal"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the ledger differs: tigerbeetle, embedded", "the commit differs: abc123, def456"} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("want once %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "the variant differs") {
		t.Errorf("variants are meant to differ:\n%s", out.String())
	}
}

// Rows of one load stand together, whatever the rates of the open loops are.
func TestVariantsAtSeveralRates(t *testing.T) {
	of := func(variant string) Result {
		r := Result{Variant: variant}
		for _, rate := range []float64{10, 20} {
			r.Series = append(r.Series, Series{Phase: "journey", RatePerSecond: rate, Runs: []Run{aRun(rate, 5)}})
		}
		return r
	}
	var loads []string
	for _, row := range variantRows([]Result{of("signal"), of("lean")}, []string{"lean", "signal"}) {
		loads = append(loads, row.Load()+" "+row.variant)
	}
	want := []string{"10/s offered lean", "10/s offered signal", "20/s offered lean", "20/s offered signal"}
	if !slices.Equal(loads, want) {
		t.Errorf("got %q, want %q", loads, want)
	}
}

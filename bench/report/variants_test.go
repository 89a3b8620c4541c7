package report

import (
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
	// Two rounds, as the files' names sort; the base comes first all the same.
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

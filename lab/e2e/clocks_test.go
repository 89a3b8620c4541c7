package e2e

import (
	"math"
	"regexp"
	"strconv"
	"testing"
)

var clockSkew = regexp.MustCompile(`boxoffice_clock_skew_seconds\{clock="(\w+)"\} (\S+)`)

// testClocks: a node that sells knows all three clocks, which here are those of one
// machine.
func testClocks(t *testing.T, s *stack) {
	s.hold(t, s.sale(t, 10, longHold, 5), items{"A": 1})
	var skews map[string]float64
	eventually(t, "the clocks are known", func() bool {
		skews = make(map[string]float64)
		for _, m := range clockSkew.FindAllStringSubmatch(s.metrics(t), -1) {
			skew, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			skews[m[1]] = skew
		}
		return len(skews) == 3
	})
	for _, clock := range []string{"ledger", "temporal", "postgres"} {
		if _, ok := skews[clock]; !ok {
			t.Fatalf("no %q in %v", clock, skews)
		}
		if !(math.Abs(skews[clock]) <= 1) { // not a number is wrong too
			t.Fatalf("the clock of %s is %v s off, want at most 1", clock, skews[clock])
		}
	}
}

package e2e

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

var clockSkew = regexp.MustCompile(`boxoffice_clock_skew_seconds\{clock="(\w+)"\} (\S+)`)

// testClocks: a node that sells knows the clocks of all three, which are those of one
// machine.
func testClocks(t *testing.T, s *stack) {
	s.hold(t, s.sale(t, 10, longHold, 5), items{"A": 1})
	var skews map[string]float64
	eventually(t, "the clocks are known", func() bool {
		skews = make(map[string]float64)
		for _, m := range clockSkew.FindAllStringSubmatch(s.metrics(t), -1) {
			skew, err := strconv.ParseFloat(m[2], 64)
			require.NoError(t, err)
			skews[m[1]] = skew
		}
		return len(skews) == 3
	})
	for _, clock := range []string{"ledger", "temporal", "postgres"} {
		require.Contains(t, skews, clock)
		require.InDelta(t, 0, skews[clock], 1, clock)
	}
}

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// The command plans a sale that is in the database: its tickets and its hold come from there. It makes up no buyers: without past
// sales to forecast them from, somebody has to say how many will come.
func testPlan(t *testing.T, s *stack) {
	sale := s.sale(t, 400, longHold, 4) // of each of two classes
	output, err := s.command(t.Context(), "plan", "--sale", sale, "--buyers", "5000", "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var planned struct {
		Sale struct {
			Tickets     int64   `json:"tickets"`
			HoldSeconds float64 `json:"hold_seconds"`
		} `json:"sale"`
	}
	if err := json.Unmarshal([]byte(output), &planned); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if planned.Sale.Tickets != 800 || planned.Sale.HoldSeconds != longHold {
		t.Errorf("%d tickets held for %v s, want 800 for %d s", planned.Sale.Tickets, planned.Sale.HoldSeconds, longHold)
	}
	for name, wrong := range map[string]struct {
		args []string
		want string
	}{
		"nothing to forecast from": {[]string{"--sale", sale}, "say how many will come with --buyers"},
		"no such sale":             {[]string{"--sale", "no-such-sale"}, "There is no such sale"},
	} {
		output, err := s.command(t.Context(), append([]string{"plan"}, wrong.args...)...)
		if err == nil || !strings.Contains(output, wrong.want) {
			t.Errorf("%s: %v, %s, want %q", name, err, output, wrong.want)
		}
	}
}

package main

import (
	"boxoffice/client"
	"regexp"
	"slices"
	"testing"
)

func TestRoundsHaveAnOrderOfTheirOwn(t *testing.T) {
	w := &world{config: config{seed: 7, ledger: ledgerEmbedded, only: regexp.MustCompile("")}, links: newLinks()}
	names := func(round int) (list []string) {
		for _, f := range w.schedule(round) {
			list = append(list, f.name)
		}
		return list
	}
	if !slices.Equal(names(0), names(0)) || !slices.Equal(names(3), names(3)) {
		t.Error("a seed and a round have one order")
	}
	if slices.Equal(names(0), names(1)) {
		t.Error("the second round repeats the first")
	}
}

func TestHowToRepeatARun(t *testing.T) {
	c := config{
		seed: 7, ledger: ledgerEmbedded, short: true, rounds: 20, wayBack: true,
		only: regexp.MustCompile("SIGKILL (temporal|postgres)$"),
	}
	want := `SEED=7 SECONDS=0 LEDGER=embedded FLAGS='-short -rounds 20 -way-back -only "SIGKILL (temporal|postgres)$"'`
	if got := c.again(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestRestIsSaidByEveryResult(t *testing.T) {
	result := func(id, verdict string, open int64) client.AuditResult {
		return client.AuditResult{ID: id, Verdict: verdict, Left: client.AuditSide{Value: open}}
	}
	for name, tt := range map[string]struct {
		verdict string
		results []client.AuditResult
		want    bool
	}{
		"all hold":                        {"ok", []client.AuditResult{result("I1", "ok", 3), result("L", "ok", 0)}, true},
		"one warns":                       {"warning", []client.AuditResult{result("I5", "warning", 3), result("L", "ok", 0)}, true},
		"one warns, another is in flight": {"warning", []client.AuditResult{result("I5", "warning", 3), result("I9", "in_flight", 1), result("L", "ok", 0)}, false},
		"one is broken":                   {"broken", []client.AuditResult{result("I2", "broken", 1), result("L", "ok", 0)}, false},
		"a workflow is open":              {"ok", []client.AuditResult{result("L", "ok", 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := hasSettled(client.AuditReport{Verdict: tt.verdict, Results: tt.results}); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
}

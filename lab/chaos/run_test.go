package main

import (
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

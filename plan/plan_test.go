package plan

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// sale is a small sale that many want.
func sale() Sale {
	return Sale{
		Tickets: 1000, Buyers: Range{50_000, 100_000, 200_000}, Hold: 10 * time.Minute, Wait: 10 * time.Minute, JoinWithin: 5 * time.Minute,
		PaidShare: Range{0.7, 0.85, 0.95}, PerOrder: Range{1, 1.5, 2.5}, PaySeconds: Range{20, 60, 180},
	}
}

func TestRangesAreRead(t *testing.T) {
	for text, want := range map[string]Range{
		"2": {2, 2, 2}, "1..3": {1, 2, 3}, "1..1.5..3": {1, 1.5, 3}, "100,000": {1e5, 1e5, 1e5}, "0.7..0.85..0.95": {0.7, 0.85, 0.95},
	} {
		got, err := ParseRange(text)
		if err != nil || got != want {
			t.Fatalf("%s is %v (%v), want %v", text, got, err, want)
		}
		if again, err := ParseRange(got.String()); err != nil || again != got {
			t.Fatalf("%s is %v (%v) when it is read again", got, again, err)
		}
	}
	for _, text := range []string{"", "x", "3..1", "1..2..3..4", "NaN", "Inf", "1.."} {
		if got, err := ParseRange(text); err == nil {
			t.Fatalf("%q is %v, want an error", text, got)
		}
	}
}

// The quantiles of a triangle: its corners, and its area left of the peak.
func TestQuantilesOfARange(t *testing.T) {
	r := Range{10, 20, 50}
	for p, want := range map[float64]float64{0: 10, 0.25: 20, 1: 50} {
		if got := r.quantile(p); math.Abs(got-want) > 1e-9 {
			t.Fatalf("the quantile %v is %v, want %v", p, got, want)
		}
	}
	if got := Exactly(7).quantile(0.3); got != 7 {
		t.Fatalf("got %v, want 7", got)
	}
}

// A few figures by hand.
func TestSizesByHand(t *testing.T) {
	s, c := sale(), Documented()
	s.PaidShare, s.PerOrder = Exactly(0.5), Exactly(1)
	for name, test := range map[string]struct {
		change func()
		want   map[string]float64
	}{
		// All seats are held within the wait and before any comes back.
		"a wait as long as the hold": {func() {}, map[string]float64{
			"begun": 2000, "peak": 1000.0 / 600, "paid": 1000, "no ticket": 99_000, "database": 1000.0 / 600 * 0.0063 / 0.6,
		}},
		// Half of what is held comes back after a tenth of the wait.
		"a short hold": {func() { s.Hold = time.Minute }, map[string]float64{"peak": 1000 / (0.5*600 + 0.5*60)}},
		// Nobody waits longer than they like, and not all tickets are sold.
		"few buyers": {func() { s.Buyers = Exactly(600) }, map[string]float64{
			"begun": 600, "peak": 1, "paid": 300, "no ticket": 300, "sold out": math.Inf(1),
		}},
	} {
		s.Hold, s.Buyers = 10*time.Minute, Exactly(100_000)
		test.change()
		z := Of(&s, &c, 4)
		got := map[string]float64{
			"begun": z.Begun, "peak": z.Peak, "paid": z.Paid, "no ticket": z.NoTicket, "database": z.DatabaseCores, "sold out": z.SoldOutSeconds,
		}
		for figure, want := range test.want {
			if math.Abs(got[figure]-want) > 1e-9*want && got[figure] != want {
				t.Errorf("%s: %s is %v, want %v", name, figure, got[figure], want)
			}
		}
	}
}

// Shards are a power of two with room for four times the load, and at least what lets a cluster grow.
func TestShards(t *testing.T) {
	for peak, want := range map[float64]float64{0.1: 64, 384: 64, 385: 128, 27_800: 8192} {
		s, c := sale(), Documented()
		z := Sizes{Peak: peak, Begun: 1}
		z.need(&s, &c, 4)
		if z.Shards != want {
			t.Errorf("%v a second: %v shards, want %v", peak, z.Shards, want)
		}
	}
}

// What is typical lies in its range, and the same question has the same answer.
func TestAPlanIsTheSameAgain(t *testing.T) {
	one, two := Make(sale(), Documented(), 4), Make(sale(), Documented(), 4)
	if len(one.Figures) < 20 {
		t.Fatalf("%d figures", len(one.Figures))
	}
	for i, f := range one.Figures {
		if f != two.Figures[i] {
			t.Errorf("%v, then %v", f, two.Figures[i])
		}
		if !(f.Low <= f.Plan && f.Plan <= f.High) {
			t.Errorf("%s: %v is not in %v–%v", f.Name, f.Plan, f.Low, f.High)
		}
	}
	known := sale()
	known.Buyers, known.PaidShare, known.PerOrder, known.PaySeconds = Exactly(1e5), Exactly(0.85), Exactly(1.5), Exactly(60)
	for _, f := range Make(known, Documented(), 4).Figures {
		if !f.OfMachines && f.Low != f.High {
			t.Errorf("%s has a range of %v–%v where all of the sale is known", f.Name, f.Low, f.High)
		}
	}
}

// More of anything never needs less.
func TestMoreNeedsMore(t *testing.T) {
	s, c := sale(), Documented()
	s.Buyers = Exactly(5e7)
	before := Of(&s, &c, 4)
	for range 15 {
		s.Tickets *= 2
		z := Of(&s, &c, 4)
		for figure, pair := range map[string][2]float64{
			"peak": {before.Peak, z.Peak}, "nodes": {before.Nodes(4), z.Nodes(4)}, "history hosts": {before.HistoryHosts(4), z.HistoryHosts(4)},
			"shards": {before.Shards, z.Shards}, "database": {before.DatabaseCores, z.DatabaseCores}, "cells": {before.Cells(), z.Cells()},
		} {
			if pair[1] < pair[0] {
				t.Errorf("%d tickets: %s fell from %v to %v", s.Tickets, figure, pair[0], pair[1])
			}
		}
		before = z
	}
	if before.Cells() <= 1 {
		t.Errorf("%d tickets in ten minutes fit into %v cell", s.Tickets, before.Cells())
	}
}

func TestCostsFromABench(t *testing.T) {
	data, err := os.ReadFile("testdata/bench.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Measured(data, Documented())
	if err != nil {
		t.Fatal(err)
	}
	if want := (Range{4, 4.5, 5}); c.Temporal != want {
		t.Errorf("Temporal costs %v, want %v", c.Temporal, want)
	}
	if want := (Range{5, 5, 6}); c.BoxOffice != want { // two nodes in one run
		t.Errorf("the box office costs %v, want %v", c.BoxOffice, want)
	}
	if c.LogBytes != 21_000 || c.HistoryBytes != 4600 || c.Transfers != Documented().Transfers {
		t.Errorf("%v and %v bytes, %v transfers", c.LogBytes, c.HistoryBytes, c.Transfers)
	}
	for what, text := range map[string]string{
		"no JSON":     "x",
		"no journeys": `{"series":[{"phase":"refusals","clients":4,"runs":[{"cpu_ms_per_unit":{"temporal":1,"postgres":1,"boxoffice":1}}]}]}`,
		"no CPU":      `{"series":[{"phase":"journey","clients":4,"runs":[{}]}]}`,
		"open loops":  `{"series":[{"phase":"journey","offered_per_second":4,"runs":[{"cpu_ms_per_unit":{"temporal":1,"postgres":1,"boxoffice":1}}]}]}`,
	} {
		if _, err := Measured([]byte(text), Documented()); err == nil || !strings.Contains(err.Error(), "make bench") {
			t.Errorf("%s: the error is %v, want what to do", what, err)
		}
	}
}

// sellOutWithin is what docs/capacity.md says of the formula's times, as a part of the simulation's.
const sellOutWithin = 0.10

// The formula of the sell-out against a simulation of the sale, for all that it depends on.
func TestTheSellOutIsTheSimulations(t *testing.T) {
	for _, test := range []struct {
		tickets                           int64
		letIn, paid, perOrder, hold, pays float64
	}{
		{1000, 100, 0.85, 1, 600, 60},
		{1000, 2, 0.85, 1.5, 600, 60},
		{1000, 2, 0.5, 1.5, 120, 30},
		{10_000, 50, 0.9, 2, 600, 60},
		{10_000, 10, 0.7, 1, 300, 60},
		{50_000, 200, 0.85, 2, 900, 120},
	} {
		var part, all float64
		const runs = 8
		for seed := range uint64(runs) {
			partAt, allAt := SimulateSellOut(test.tickets, 10_000_000, test.letIn, test.paid, test.perOrder, test.hold, test.pays, 0.95, seed)
			part, all = part+partAt/runs, all+allAt/runs
		}
		orders := float64(test.tickets) / test.perOrder
		gotPart := soldAfter(test.letIn, 1e7, orders, test.paid, test.hold, test.pays, 0.95)
		gotAll := soldOutAfter(test.letIn, 1e7, orders, test.paid, test.hold, test.pays)
		t.Logf("%+v: 95 %% after %.0f s (simulated %.0f), all after %.0f (%.0f)", test, gotPart, part, gotAll, all)
		if math.Abs(gotPart-part) > sellOutWithin*part || math.Abs(gotAll-all) > sellOutWithin*all {
			t.Errorf("%+v: 95 %% after %.0f s, simulated %.0f; all after %.0f, simulated %.0f", test, gotPart, part, gotAll, all)
		}
	}
}

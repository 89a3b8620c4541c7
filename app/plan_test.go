package app

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/plan"
)

func planOf(t *testing.T, args ...string) *plan.Plan {
	t.Helper()
	f, err := readPlanFlags(args)
	if err != nil {
		t.Fatal(err)
	}
	costs, err := f.costs()
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Make(f.sale, costs, f.cores)
	return &p
}

// What a person reads: the sizes with their ranges, what they assume, where to read more, what next.
func TestAPlanIsForPeople(t *testing.T) {
	var b bytes.Buffer
	p := planOf(t, "--capacity", "50000", "--buyers", "200000..400000..1000000", "--wait", "2m", "--pay-time", "30s..1m..2m")
	if err := printPlan(&b, p, ""); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	t.Log("\n" + got)
	for _, want := range []string{
		"50,000 tickets for 400,000 (200,000–1,000,000) people", "10 min to pay", "checkouts a second at the peak (λ)", "box office nodes",
		"history shards", "TigerBeetle replicas", "memory of a node", "cores of Temporal's database", "people who get no ticket",
		"queue at the opening", "sold out for good after", "5–95 %", "Assumed:", "docs/capacity.md", "Next:", "rate_ceiling",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in it", want)
		}
	}
	for _, line := range strings.Split(got, "\n") {
		if strings.Contains(line, "%!") || len(line) > 400 {
			t.Errorf("a line that nobody reads: %s", line)
		}
	}
}

// What programs read: every figure by name, with its range; never is null.
func TestAPlanIsForPrograms(t *testing.T) {
	var b bytes.Buffer
	if err := printPlanJSON(&b, planOf(t, "--capacity", "1000", "--buyers", "500"), nil, ""); err != nil {
		t.Fatal(err)
	}
	var got planJSON
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	named := map[string]figureJSON{}
	for _, f := range got.Figures {
		named[f.Name] = f
	}
	if sold := named["sold_out_seconds"]; sold.Value != nil || sold.High != nil {
		t.Errorf("500 people buy 1,000 tickets after %v s", *sold.Value)
	}
	for _, name := range []string{
		"nodes", "history_hosts", "shards", "tigerbeetle_replicas", "node_memory_bytes", "database_cores", "refused_buyers", "queue_length", "transfers_per_second",
	} {
		if f := named[name]; f.Value == nil || f.Low == nil || f.High == nil || *f.Value < *f.Low || *f.Value > *f.High {
			t.Errorf("%s is %+v", name, f)
		}
	}
	if got.Sale.HoldSeconds != 600 || got.Sale.Tickets != 1000 || got.Costs.Temporal.Typical != plan.Documented().Temporal.Typical || len(got.NextSteps) < 3 {
		t.Errorf("got %+v", got)
	}
}

// A sale of the box office says its capacity and hold, and past sales how many will come; flags win.
func TestAPlanForASaleOfTheBoxOffice(t *testing.T) {
	sale := &domain.Sale{
		ID: "rush", BuyerLimit: 2, HoldTimeout: 5 * time.Minute, OneCheckoutPerBuyer: true,
		Classes: []domain.Class{{Name: "A", Capacity: 300}, {Name: "B", Capacity: 200}},
	}
	arrivals := &domain.SaleArrivals{Arrivals: domain.Arrivals{Sale: "rush", Joined: 1000, Came: 1000}}
	read := func(args ...string) (*planFlags, error) {
		f, err := readPlanFlags(args)
		if err != nil {
			t.Fatal(err)
		}
		return f, f.takeSale(sale, arrivals)
	}
	if _, err := read("--sale", "rush"); err == nil || !strings.Contains(err.Error(), "it takes 6 past sales with waiting rooms, and there are 0; say how many will come with --buyers") {
		t.Errorf("without past sales the error is %v", err)
	}
	if f, err := read("--sale", "rush", "--buyers", "7000", "--hold", "1m"); err != nil || f.forecast != nil || f.sale.Buyers.Typical != 7000 || f.sale.Hold != time.Minute {
		t.Errorf("with --buyers: %+v, %v", f, err)
	}
	for i := range int64(8) {
		arrivals.Past = append(arrivals.Past, domain.Arrivals{Joined: 100 << i, Came: 500<<i + 10*i})
	}
	f, err := read("--sale", "rush")
	if err != nil {
		t.Fatal(err)
	}
	s := &f.sale
	if s.Tickets != 500 || s.Hold != 5*time.Minute || !s.OneCheckoutPerBuyer || s.PerOrder.High != 2 || math.Abs(s.Buyers.Typical-5000) > 300 {
		t.Errorf("got %+v", s)
	}
	if got := f.about(); !strings.Contains(got, "8 past sales, by how many had joined") || !strings.Contains(got, "by a factor of 1.0 in the middle") {
		t.Errorf("it says %q", got)
	}
}

// What simulations saw of the plan: good at its load, saturated at much more, and as a row that people read.
func TestAPlanIsSimulated(t *testing.T) {
	checks := planOf(t, "--capacity", "50000", "--buyers", "1000000", "--wait", "1m").Checks(planSeed)
	var b bytes.Buffer
	if err := printChecks(&b, checks); err != nil {
		t.Fatal(err)
	}
	t.Log(b.String())
	seen := map[string]plan.Seen{}
	for _, c := range checks {
		seen[c.What] = c.Seen
		if !strings.Contains(b.String(), c.What) {
			t.Errorf("%s is not printed", c.What)
		}
	}
	at, over, small := seen["1 × λ"], seen["2 × λ"], seen["λ, half of the database's cores"]
	if !at.IsGood() || over.KeepsUp || small.KeepsUp {
		t.Errorf("at the load %+v, far above it %+v, with half of the database %+v", at, over, small)
	}
}

// What cannot be planned is refused with the flag and what it may be.
func TestAPlanRefusesWhatCannotBe(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--capacity=0", "--capacity 0: must be 1–100000000 tickets"},
		{"--buyers=0", "--buyers"}, {"--buyers=9..1", "the lowest comes first"}, {"--paid=0..1", "--paid 0..0.5..1: must be 0.01–1"}, {"--paid=1.5", "--paid"},
		{"--tickets-per-order=0.5", "--tickets-per-order"}, {"--hold=1s", "--hold 1s: must be 5s–24h0m0s"}, {"--wait=0s", "--wait"},
		{"--join-within=0s", "--join-within"}, {"--cores=0", "--cores"}, {"--pay-time=60", "as in 1m or 20s..1m..3m"}, {"--pay-time=48h", "--pay-time"},
		{"--capacty=1", "did you mean --capacity?"}, {"more", "unexpected argument"},
	} {
		_, err := readPlanFlags([]string{test.args})
		if err == nil || !strings.Contains(err.Error(), test.want) || exitCode(err) != 2 {
			t.Errorf("%s: the error is %v (exit code %d), want %q", test.args, err, exitCode(err), test.want)
		}
	}
	f, err := readPlanFlags([]string{"--costs", filepath.Join(t.TempDir(), "none.json")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.costs(); !os.IsNotExist(err) {
		t.Errorf("the error is %v", err)
	}
}

// The costs come from a file of make bench.
func TestAPlanTakesMeasuredCosts(t *testing.T) {
	if got := planOf(t, "--costs", "../plan/testdata/bench.json").Costs; got.Temporal.Typical != 4.5 || !strings.Contains(got.Source, "5 runs") && !strings.Contains(got.Source, "3 runs") {
		t.Errorf("got %+v", got)
	}
	if got := planOf(t, "--pgpipe").Costs; got != plan.Pipelined() {
		t.Errorf("got %+v", got)
	}
}

func TestFiguresAsPeopleWriteThem(t *testing.T) {
	for _, test := range []struct {
		x          float64
		unit, want string
	}{
		{0, "", "0"}, {1.66, "", "1.7"}, {4, "", "4"}, {12.4, "", "12"}, {1234, "", "1,234"}, {123_456, "", "123,000"}, {1e8, "", "100,000,000"},
		{45, "s", "45 s"}, {600, "s", "10 min"}, {7200, "s", "2.0 h"}, {math.Inf(1), "s", "never"}, {260_000, "s", "3.0 days"},
		{999, "B", "999 B"}, {2.4e9, "B", "2.4 GB"}, {834e6, "B/s", "834 MB/s"}, {84e3, "B/s", "84 kB/s"},
	} {
		if got := planText(test.x, test.unit); got != test.want {
			t.Errorf("%v %s is %q, want %q", test.x, test.unit, got, test.want)
		}
	}
}

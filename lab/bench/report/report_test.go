package report

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/probe"
)

// aRun has round figures.
func aRun(rate, p50 float64) Run {
	return Run{
		Measured: load.Measured{
			Seconds: 10, Done: int64(10 * rate), Requests: int64(10 * rate),
			Latency: load.Latency{Count: int64(10 * rate), P50: p50, P99: 3 * p50, P999: 4 * p50},
			Laps:    map[string]load.Latency{"hold": {Count: 1, P50: p50 / 4}, "pay": {Count: 1, P50: p50 / 2}},
		},
		Rate: rate, OthersCores: 0.75,
		CPU:      map[string]float64{"temporal": 9, "postgres": 6.5, "mockpay": 0},
		Memory:   map[string]float64{"temporal": 512 << 20},
		Postgres: &Postgres{Transactions: map[string]float64{"orders": 1, "temporal": 11}, WALBytes: 40_000},
		Workflow: &Workflow{Sampled: 64, StateTransitions: Spread{3, 3, 3, 64}, HistoryEvents: Spread{13, 13, 13, 64}, HistoryBytes: Spread{4471, 4459, 4477, 64}},
		Batches:  map[string]probe.Histogram{"create_transfers": {Count: 4, Sum: 24, Buckets: []probe.Bucket{{UpTo: 4, Count: 1}, {UpTo: 8, Count: 3}}}},
		Stages: map[string]Stage{
			routeCheckout: {PerUnit: 1, Mean: 20}, "desk": {Mean: 19}, "start": {Mean: 12}, "hold": {Mean: 4},
			"queue create_accounts": {Mean: 0.5}, "request create_accounts": {Mean: 1}, "queue create_transfers": {Mean: 0.5}, "request create_transfers": {Mean: 2},
			routeWebhook: {PerUnit: 1, Mean: 30}, "webhook_verify": {Mean: 1}, "update": {Mean: 28}, "post": {Mean: 3}, "perk": {Mean: 2}, "record": {Mean: 8},
		},
	}
}

func aResult() Result {
	return Result{
		Format: Format, StartedAt: time.Date(2026, 11, 22, 17, 0, 0, 0, time.UTC), Commit: "abc123", Ledger: "tigerbeetle",
		Machine:  probe.Machine{CPU: "Fast & Co", Cores: 2, OS: "linux/amd64", DataFS: "ext4"},
		Versions: map[string]string{"go": "go1.26.8"},
		Settings: Settings{Runs: 3, DurationSeconds: 6, WarmupSeconds: 2, Payment: "signed webhook", Arrivals: "poisson"},
		Series: []Series{
			{Phase: "journey", Unit: "paid checkout", Clients: 1, Runs: []Run{aRun(40, 20), aRun(42, 19), aRun(41, 21)}},
			{Phase: "journey", Unit: "paid checkout", Clients: 64, Runs: []Run{aRun(118, 500), aRun(111, 520), aRun(125, 480)}},
			{Phase: "journey", Unit: "paid checkout", RatePerSecond: 59, Share: 0.5, Runs: []Run{aRun(58, 30)}},
		},
		Audit: &Audit{Sale: "bench-1", Paid: 1234, Tickets: 1234, Verdict: "warning", Text: "I1 ok"},
		Notes: []string{"Postgres statements: not available: <not loaded>"},
	}
}

func TestSpreadOf(t *testing.T) {
	for name, test := range map[string]struct {
		values []float64
		want   Spread
		text   string
	}{
		"none":         {nil, Spread{}, "0"},
		"one":          {[]float64{7}, Spread{7, 7, 7, 1}, "7"},
		"odd":          {[]float64{9, 1, 4}, Spread{4, 1, 9, 3}, "4 (1–9)"},
		"even":         {[]float64{1, 2, 4, 9}, Spread{3, 1, 9, 4}, "3 (1–9)"},
		"all the same": {[]float64{13, 13, 13}, Spread{13, 13, 13, 3}, "13"},
	} {
		t.Run(name, func(t *testing.T) {
			got := SpreadOf(test.values)
			if got != test.want || got.WithRange() != test.text {
				t.Errorf("got %+v, %q; want %+v, %q", got, got.WithRange(), test.want, test.text)
			}
		})
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.314: "0.31", 3.14: "3.1", 13: "13", 118.4: "118", 8123.4: "8,123", 1234567: "1,234,567", -4321: "-4,321"} {
		if got := Figure(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	if err := aResult().Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Series[1].Over(Rate) != (Spread{118, 111, 125, 3}) || got.Series[1].Runs[0].Latency.P50 != 500 {
		t.Errorf("read %+v", got.Series[1])
	}
	other := aResult()
	other.Format = Format + 1
	if err := other.Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil {
		t.Error("a result of another format was read")
	}
}

func TestTextHasTheFigures(t *testing.T) {
	var out bytes.Buffer
	result := aResult()
	result.Series[0].Runs[0].Errors = map[string]int64{"503 overloaded": 7}
	result.Tenths = &Series{Phase: "journey", Clients: 64, Runs: []Run{aRun(100, 10), aRun(100, 10)}}
	result.Tenths.Runs[1].CPU = map[string]float64{"temporal": 17.05}
	if err := result.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"118 (111–125)", "500 (480–520)", "50 % of the rate", "7 503 overloaded", "temporal 9 · postgres 6.5", "0.75 cores", "15.5 129 temporal 9",
		"3 transitions, 13 events", "12 Postgres transactions (orders 1, temporal 11), 40,000 bytes of WAL", "6 transfers a ledger request",
		"1,234 orders were answered to be paid, 1,234 have tickets; verdict: warning", "the last one costs 1.10 × the CPU of the first", "note: Postgres statements",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestPageHasTheFiguresAndNeedsNothingElse(t *testing.T) {
	var out bytes.Buffer
	result := aResult()
	result.Tenths = &Series{Phase: "journey", Clients: 64, Runs: []Run{aRun(100, 10), {Rate: 90}}}
	if err := result.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{
		"118 (111–125) paid checkouts a second with 64 clients", "Fast &amp; Co", "&lt;not loaded&gt;", "prefers-color-scheme: dark",
		"Throughput by concurrency", "Latency by concurrency", "record in Postgres: 8 ms, mean", "temporal: 9 ms",
		`<td class="n">1</td><td class="n">100</td><td class="n">15.5</td>`, `<td class="n">2</td><td class="n">90</td><td class="n">–</td>`,
		"6 transfers a request on average", "5–8", "1,234 orders were answered to be paid",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, outside := range []string{"<script", "src=", "href=", "url(", "@import", "ZgotmplZ", "NaN", "Inf"} {
		if strings.Contains(page, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
}

// A bench of one load, without a local stack, still makes a page.
func TestPageOfTheBareMinimum(t *testing.T) {
	var out bytes.Buffer
	result := Result{Format: Format, Series: []Series{{Phase: "reads", Clients: 1, Runs: []Run{{Rate: 5}}}}}
	if err := result.WriteHTML(&out); err != nil || strings.Contains(out.String(), "<svg") {
		t.Errorf("error %v, charts of nothing: %t", err, strings.Contains(out.String(), "<svg"))
	}
}

func TestWaterfallAddsUp(t *testing.T) {
	bars := waterfall(aRun(1, 1))
	want := []bar{
		{"POST checkout", 0, 0, 20},
		{"Temporal: start the workflow", 1, 0, 12},
		{"worker: first workflow task", 1, 12, 3},
		{"hold", 1, 15, 4},
		{"ledger: the buyer's account", 2, 15, 1.5},
		{"ledger: pending transfers", 2, 16.5, 2.5},
		{"HTTP, gate, pay link", 1, 19, 1},
		{"webhook", 0, 20, 30},
		{"verify the signature", 1, 20, 1},
		{"Update", 1, 21, 28},
		{"Temporal and worker", 2, 21, 15},
		{"post: sell the seats", 2, 36, 3},
		{"perk", 2, 39, 2},
		{"record in Postgres", 2, 41, 8},
		{"HTTP", 1, 49, 1},
	}
	if len(bars) != len(want) {
		t.Fatalf("%d bars, want %d: %+v", len(bars), len(want), bars)
	}
	for i := range want {
		if bars[i] != want[i] {
			t.Errorf("bar %d is %+v, want %+v", i, bars[i], want[i])
		}
	}
	if bars := waterfall(Run{}); bars != nil {
		t.Errorf("stages of nothing: %+v", bars)
	}
}

func TestCompare(t *testing.T) {
	faster := aResult()
	faster.Commit = "def456"
	faster.Series[1].Runs = []Run{aRun(150, 300), aRun(160, 310), aRun(155, 305)}
	faster.Series = append(faster.Series, Series{Phase: "new", Clients: 1, Runs: []Run{aRun(1, 1)}})
	faster.Series[2].RatePerSecond = 75 // half of more: still the same load
	faster.Ledger = "embedded"
	var out bytes.Buffer
	if err := Compare(&out, aResult(), faster); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for what, want := range map[string]string{
		"a gain beyond the noise":      "journey 64 clients rate/s 118 155 1.31 1.20–1.44 journey",
		"a lower latency":              "journey 64 clients p50 ms 500 305 0.61 0.58–0.65 journey",
		"no difference":                "journey 1 client rate/s 41 41 1.00 0.95–1.05 within the noise",
		"a share is the same load":     "journey 50 % of the rate rate/s 58 58 1.00 1.00–1.00 one run: the noise is not known",
		"what differs besides":         "the ledger differs: tigerbeetle, embedded",
		"which results were compared":  "abc123",
		"and which is the other of it": "def456",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: no %q in:\n%s", what, want, out.String())
		}
	}
	if strings.Contains(got, "new 1 client") {
		t.Error("a phase that only one result has was compared")
	}
	if err := Compare(&out, Result{}, faster); err == nil {
		t.Error("two results without anything in common were compared")
	}
}

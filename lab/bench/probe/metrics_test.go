package probe

import (
	"math"
	"strings"
	"testing"
)

const pageBefore = `
# TYPE batch_events histogram
batch_events_bucket{op="create",le="1"} 5
batch_events_bucket{op="create",le="2"} 8
batch_events_bucket{op="create",le="4"} 8
batch_events_bucket{op="create",le="+Inf"} 9
batch_events_sum{op="create"} 27
batch_events_count{op="create"} 9
# TYPE info gauge
info{ledger="embedded",go="go1.26"} 1
`

const pageAfter = `
# TYPE batch_events histogram
batch_events_bucket{op="create",le="1"} 6
batch_events_bucket{op="create",le="2"} 9
batch_events_bucket{op="create",le="4"} 17
batch_events_bucket{op="create",le="+Inf"} 19
batch_events_sum{op="create"} 77
batch_events_count{op="create"} 19
batch_events_bucket{op="lookup",le="1"} 3
batch_events_bucket{op="lookup",le="2"} 3
batch_events_bucket{op="lookup",le="4"} 3
batch_events_bucket{op="lookup",le="+Inf"} 3
batch_events_sum{op="lookup"} 3
batch_events_count{op="lookup"} 3
# TYPE info gauge
info{ledger="embedded",go="go1.26"} 1
`

func parse(t *testing.T, page string) Metrics {
	t.Helper()
	m, err := ParseMetrics(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestHistogramSince(t *testing.T) {
	before, after := parse(t, pageBefore), parse(t, pageAfter)
	for name, test := range map[string]struct {
		labels  Labels
		buckets []float64
		count   float64
		mean    float64
	}{
		"what happened in between":       {Labels{"op": "create"}, []float64{1, 0, 8}, 10, 5},
		"a series that is new":           {Labels{"op": "lookup"}, []float64{3, 0, 0}, 3, 1},
		"all series of the name, summed": {nil, []float64{4, 0, 8}, 13, 53.0 / 13},
		"a series that is not there":     {Labels{"op": "none"}, nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			delta, ok := after.Histogram("batch_events", test.labels).Since(before.Histogram("batch_events", test.labels))
			if !ok || delta.Count != test.count || math.Abs(delta.Mean()-test.mean) > 1e-9 || len(delta.Buckets) != len(test.buckets) {
				t.Fatalf("got %+v, mean %v, ok %t", delta, delta.Mean(), ok)
			}
			for i, want := range test.buckets {
				if delta.Buckets[i].Count != want {
					t.Errorf("bucket up to %v has %v, want %v", delta.Buckets[i].UpTo, delta.Buckets[i].Count, want)
				}
			}
		})
	}
	if _, ok := before.Histogram("batch_events", nil).Since(after.Histogram("batch_events", nil)); ok {
		t.Error("a count that went down was taken for a measurement")
	}
}

func TestHistogramQuantile(t *testing.T) {
	h := Histogram{Count: 10, Buckets: []Bucket{{1, 4}, {2, 0}, {4, 4}}} // two above 4
	for q, want := range map[float64]float64{0.2: 0.5, 0.4: 1, 0.6: 3, 0.8: 4, 0.99: 4} {
		if got := h.Quantile(q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := (Histogram{}).Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestValues(t *testing.T) {
	if got := parse(t, pageAfter).Values("batch_events", "op"); strings.Join(got, " ") != "create lookup" {
		t.Errorf("operations %q", got)
	}
	if got := parse(t, pageAfter).Values("info", "ledger"); strings.Join(got, " ") != "embedded" {
		t.Errorf("ledgers %q", got)
	}
}

func TestGarbledMetricsAreAnError(t *testing.T) {
	if _, err := ParseMetrics(strings.NewReader("<html>not found</html>")); err == nil {
		t.Error("a web page was read as metrics")
	}
}

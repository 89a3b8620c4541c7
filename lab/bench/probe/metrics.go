package probe

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metricsMaxBytes bounds how much of /metrics is read.
const metricsMaxBytes = 16 << 20

// Metrics is one reading of a /metrics page.
type Metrics struct{ families map[string]*dto.MetricFamily }

// ParseMetrics reads Prometheus's text format.
func ParseMetrics(page io.Reader) (Metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(page)
	if err != nil {
		return Metrics{}, fmt.Errorf("metrics: %w", err)
	}
	return Metrics{families}, nil
}

// ScrapeMetrics reads the page at url with the organiser's token.
func ScrapeMetrics(ctx context.Context, client *http.Client, url, token string) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Metrics{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return Metrics{}, fmt.Errorf("metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Metrics{}, fmt.Errorf("metrics: GET %s: %s", url, response.Status)
	}
	return ParseMetrics(io.LimitReader(response.Body, metricsMaxBytes))
}

// Labels choose among the series of a name; those that are not named may have
// any value.
type Labels map[string]string

func (l Labels) match(m *dto.Metric) bool {
	matched := 0
	for _, pair := range m.GetLabel() {
		want, named := l[pair.GetName()]
		if named && want != pair.GetValue() {
			return false
		}
		if named {
			matched++
		}
	}
	return matched == len(l)
}

// Histogram sums the series of a name that match. A name that is not there is
// an empty histogram: nothing has been observed yet.
func (m Metrics) Histogram(name string, labels Labels) Histogram {
	var sum Histogram
	for _, metric := range m.families[name].GetMetric() {
		if labels.match(metric) {
			sum = sum.plus(histogramOf(metric.GetHistogram()))
		}
	}
	return sum
}

// Plus are the series of both, as those of two processes of one service.
func (m Metrics) Plus(o Metrics) Metrics {
	sum := Metrics{maps.Clone(m.families)}
	for name, family := range o.families {
		sum.families[name] = &dto.MetricFamily{Name: family.Name, Metric: slices.Concat(m.families[name].GetMetric(), family.GetMetric())}
	}
	return sum
}

// Values lists the values that a label has among the series of a name.
func (m Metrics) Values(name, label string) []string {
	var values []string
	for _, metric := range m.families[name].GetMetric() {
		for _, pair := range metric.GetLabel() {
			if pair.GetName() == label && !slices.Contains(values, pair.GetValue()) {
				values = append(values, pair.GetValue())
			}
		}
	}
	slices.Sort(values)
	return values
}

// A Histogram as Prometheus has it, its buckets not cumulated.
type Histogram struct {
	Count   float64  `json:"count"`
	Sum     float64  `json:"sum"`
	Buckets []Bucket `json:"buckets,omitempty"`
}

// A Bucket counts the values above the previous one and up to UpTo. Values above all
// buckets are only in Count.
type Bucket struct {
	UpTo  float64 `json:"up_to"`
	Count float64 `json:"count"`
}

func histogramOf(h *dto.Histogram) Histogram {
	out := Histogram{Count: float64(h.GetSampleCount()), Sum: h.GetSampleSum()}
	below := 0.0
	for _, b := range h.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		cumulated := float64(b.GetCumulativeCount())
		out.Buckets = append(out.Buckets, Bucket{b.GetUpperBound(), cumulated - below})
		below = cumulated
	}
	return out
}

// combine expects the same buckets on both sides, as all series of one name have
// them, or none on one side.
func (h Histogram) combine(o Histogram, sign float64) Histogram {
	out := Histogram{Count: h.Count + sign*o.Count, Sum: h.Sum + sign*o.Sum, Buckets: slices.Clone(h.Buckets)}
	if len(out.Buckets) == 0 {
		for _, b := range o.Buckets {
			out.Buckets = append(out.Buckets, Bucket{UpTo: b.UpTo})
		}
	}
	for i := range min(len(out.Buckets), len(o.Buckets)) {
		out.Buckets[i].Count += sign * o.Buckets[i].Count
	}
	return out
}

func (h Histogram) plus(o Histogram) Histogram { return h.combine(o, 1) }

// Since is what was observed after an earlier reading. If a count went down, the process
// restarted in between, and ok is false.
func (h Histogram) Since(before Histogram) (delta Histogram, ok bool) {
	delta = h.combine(before, -1)
	return delta, delta.Count >= 0
}

// Mean is NaN-free: 0 where nothing was observed.
func (h Histogram) Mean() float64 {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / h.Count
}

// Quantile interpolates within a bucket, as Prometheus does; values above the
// last bucket counts as its bound. 0 where nothing was observed.
func (h Histogram) Quantile(q float64) float64 {
	rank, below, lower := q*h.Count, 0.0, 0.0
	if h.Count == 0 {
		return 0
	}
	for _, b := range h.Buckets {
		if below+b.Count >= rank && b.Count > 0 {
			return lower + (b.UpTo-lower)*(rank-below)/b.Count
		}
		below, lower = below+b.Count, b.UpTo
	}
	return lower
}

// GatherMetrics reads the metrics of this very process.
func GatherMetrics(from prometheus.Gatherer) (Metrics, error) {
	gathered, err := from.Gather()
	if err != nil {
		return Metrics{}, fmt.Errorf("metrics: %w", err)
	}
	m := Metrics{make(map[string]*dto.MetricFamily, len(gathered))}
	for _, family := range gathered {
		m.families[family.GetName()] = family
	}
	return m, nil
}

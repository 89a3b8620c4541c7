package worker

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.temporal.io/sdk/client"
)

// As the SDK calls it (its internal package common/metrics).
var (
	rootTags = map[string]string{
		"namespace": "default", "client_name": "temporal_go", "worker_type": none, "workflow_type": none, "activity_type": none, "task_queue": none,
	}
	startTags    = map[string]string{"operation": "StartWorkflowExecution", "namespace": "default"}
	workflowTags = map[string]string{"workflow_type": "Checkout", "activity_type": none, "task_queue": "checkouts"}
)

func gathered(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*dto.MetricFamily{}
	for _, f := range families {
		found[f.GetName()] = f
	}
	return found
}

func TestMetricsHaveTheNamesThatPublishedDashboardsAskFor(t *testing.T) {
	m := NewMetrics()
	h := m.Handler().WithTags(rootTags)
	start := h.WithTags(workflowTags).WithTags(startTags)
	start.Counter("temporal_request").Inc(2)
	start.WithTags(map[string]string{"status_code": "UNAVAILABLE"}).Counter("temporal_request_failure").Inc(1)
	start.Timer("temporal_request_latency").Record(3 * time.Millisecond)
	h.Timer("temporal_workflow_endtoend_latency").Record(5 * time.Minute)
	h.Counter("temporal_local_activity_total").Inc(1)
	h.Gauge("temporal_sticky_cache_size").Update(7)
	h.Gauge("temporal_sticky_cache_size").Update(6)

	found := gathered(t, m)
	if got := found["temporal_request_total"].GetMetric()[0].GetCounter().GetValue(); got != 2 {
		t.Errorf("%v requests, want 2", got)
	}
	if got := found["temporal_local_activity_total"].GetMetric()[0].GetCounter().GetValue(); got != 1 {
		t.Errorf("%v local activities, want 1", got)
	}
	if got := found["temporal_sticky_cache_size"].GetMetric()[0].GetGauge().GetValue(); got != 6 {
		t.Errorf("a cache of %v, want 6", got)
	}
	if got := found["temporal_request_latency_seconds"].GetMetric()[0].GetHistogram().GetSampleSum(); got != 0.003 {
		t.Errorf("took %v s, want 0.003", got)
	}
	if got := found["temporal_workflow_endtoend_latency_seconds"].GetMetric()[0].GetHistogram(); got.GetBucket()[len(got.GetBucket())-1].GetUpperBound() != 86400 {
		t.Errorf("buckets of a workflow: %v", got.GetBucket())
	}
	labels := fmt.Sprint(found["temporal_request_failure_total"].GetMetric()[0].GetLabel())
	want := `[name:"namespace"  value:"default" name:"operation"  value:"StartWorkflowExecution" name:"status_code"  value:"UNAVAILABLE" name:"task_queue"  value:"checkouts" name:"workflow_type"  value:"Checkout"]`
	if plain(labels) != plain(want) {
		t.Errorf("labels\n%s, want\n%s", labels, want)
	}
}

// plain drops spaces, whose number the protobuf library varies on purpose.
func plain(s string) (out string) {
	for _, r := range s {
		if r != ' ' {
			out += string(r)
		}
	}
	return out
}

// Somebody who may start workflows may give them any name.
func TestMetricsAreBounded(t *testing.T) {
	m := NewMetrics()
	for i := range seriesMax + 100 {
		m.Handler().WithTags(map[string]string{"workflow_type": fmt.Sprint(i)}).Counter("temporal_workflow_completed").Inc(1)
	}
	if got := len(gathered(t, m)["temporal_workflow_completed_total"].GetMetric()); got != seriesMax {
		t.Errorf("%d series, want %d", got, seriesMax)
	}
	m.Handler().WithTags(map[string]string{"workflow_type": "1"}).Counter("temporal_workflow_completed").Inc(1) // one that is known still counts
	for _, series := range gathered(t, m)["temporal_workflow_completed_total"].GetMetric() {
		if series.GetLabel()[0].GetValue() == "1" && series.GetCounter().GetValue() != 2 {
			t.Errorf("%v", series)
		}
	}
}

func TestMetricsAreCountedBesideEachOther(t *testing.T) {
	m := NewMetrics()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				m.Handler().WithTags(startTags).Counter("temporal_request").Inc(1)
			}
		})
	}
	wg.Wait()
	if got := gathered(t, m)["temporal_request_total"].GetMetric()[0].GetCounter().GetValue(); got != 800 {
		t.Errorf("%v, want 800", got)
	}
}

// What the SDK counts for three calls and one workflow task with a local activity, about a half of a checkout.
func BenchmarkMetrics(b *testing.B) {
	for name, h := range map[string]client.MetricsHandler{"none": client.MetricsNopHandler, "ours": NewMetrics().Handler()} {
		b.Run(name, func(b *testing.B) {
			h := h.WithTags(rootTags)
			worker := h.WithTags(map[string]string{"task_queue": "checkouts"})
			b.ReportAllocs()
			for b.Loop() {
				for range 3 {
					call := h.WithTags(workflowTags).WithTags(startTags)
					call.Counter("temporal_request").Inc(1)
					call.Timer("temporal_request_latency").Record(3 * time.Millisecond)
				}
				countTask(worker)
			}
		})
	}
}

func countTask(worker client.MetricsHandler) {
	workflow := worker.WithTags(map[string]string{"workflow_type": "Checkout"})
	workflow.Timer("temporal_workflow_task_schedule_to_start_latency").Record(time.Millisecond)
	workflow.Counter("temporal_workflow_task_queue_poll_succeed").Inc(1)
	worker.Gauge("temporal_worker_task_slots_available").Update(10)
	worker.Gauge("temporal_worker_task_slots_used").Update(11)
	workflow.Timer("temporal_workflow_task_execution_latency").Record(time.Millisecond)
	worker.Counter("temporal_sticky_cache_hit").Inc(1)
	worker.Gauge("temporal_sticky_cache_size").Update(11)
	local := worker.WithTags(map[string]string{"workflow_type": "Checkout", "activity_type": "Hold"})
	local.Counter("temporal_local_activity_total").Inc(1)
	local.Timer("temporal_local_activity_execution_latency").Record(time.Millisecond)
	local.Timer("temporal_local_activity_succeed_endtoend_latency").Record(time.Millisecond)
}

package app

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/timestamppb"

	"boxoffice/clocks"
)

// skewedTemporal starts workflows by a clock that is ahead by a skew.
type skewedTemporal struct {
	client.Client
	mu        sync.Mutex
	ahead     time.Duration
	fails     bool
	startedAt map[string]time.Time // by run
	looks     int
}

type startedRun struct {
	client.WorkflowRun
	run string
}

func (r startedRun) GetID() string    { return "checkout/1" }
func (r startedRun) GetRunID() string { return r.run }

func (c *skewedTemporal) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	if c.fails {
		return nil, errors.New("already started")
	}
	time.Sleep(10 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	run := time.Now().String()
	c.startedAt[run] = time.Now().Add(c.ahead)
	time.Sleep(10 * time.Millisecond)
	return startedRun{run: run}, nil
}

func (c *skewedTemporal) DescribeWorkflowExecution(_ context.Context, _, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	time.Sleep(time.Second) // the time that a call takes changes nothing
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{StartTime: timestamppb.New(c.startedAt[run])},
	}, nil
}

// Temporal's clock is read when a checkout is started, once per interval, up to the round
// trip of the start.
func TestTemporalsClockIsReadWhenCheckoutsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := &skewedTemporal{ahead: 30 * time.Second, startedAt: map[string]time.Time{}}
		watch := clocks.New(slog.New(slog.DiscardHandler))
		timed := timedTemporal{Client: temporal, stages: newStages(prometheus.NewRegistry()), clock: &temporalClock{watch: watch, name: clocks.Temporal, client: temporal}}
		start := func() {
			_, err := timed.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{}, nil)
			if (err != nil) != temporal.fails {
				t.Fatalf("err != nil is %v, want %v", err != nil, temporal.fails)
			}
		}
		for range 5 {
			start()
		}
		if err := watch.MaySell(); err != nil {
			t.Fatalf("not known yet: %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := watch.MaySell(); err == nil {
			t.Fatal("watch.MaySell(): no error, want one")
		}
		if got, want := watch.Skews(), map[string]time.Duration{clocks.Temporal: 30 * time.Second}; !reflect.DeepEqual(got, want) {
			t.Fatalf("watch.Skews() is %v, want %v", got, want)
		}
		if temporal.looks != 1 {
			t.Fatalf("temporal.looks is %v, want 1", temporal.looks)
		}

		temporal.ahead, temporal.fails = 0, true
		time.Sleep(clocks.Interval)
		start()
		synctest.Wait()
		if temporal.looks != 1 {
			t.Fatalf("temporal.looks is %v, want 1: a failed start tells nothing", temporal.looks)
		}
		temporal.fails = false
		start()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := watch.MaySell(); err != nil {
			t.Fatal(err)
		}
		if temporal.looks != 2 {
			t.Fatalf("temporal.looks is %v, want 2", temporal.looks)
		}
	})
}

// An unknown skew is not in the metrics, least of all as zero.
func TestClockMetrics(t *testing.T) {
	watch := clocks.New(slog.New(slog.DiscardHandler))
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(clockCollector{watch}); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 0 {
		t.Fatalf("families is %+v, want nothing", families)
	}

	now := time.Now()
	watch.Note(clocks.Ledger, now, now.Add(-7*time.Second), now)
	families, err = registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 1 {
		t.Fatalf("%d in families, want 1: %+v", len(families), families)
	}
	if got := families[0].GetMetric(); len(got) != 1 {
		t.Fatalf("%d in families[0].GetMetric(), want 1: %+v", len(got), got)
	}
	skew := families[0].GetMetric()[0]
	if got := skew.GetLabel()[0].GetValue(); got != "ledger" {
		t.Fatalf(`skew.GetLabel()[0].GetValue() is %q, want "ledger"`, got)
	}
	if got := skew.GetGauge().GetValue(); math.Abs(got-(-7)) > 1e-6 {
		t.Fatalf("skew.GetGauge().GetValue() is %v, want %v", got, -7)
	}
}

// A wrong clock, be it the ledger's or the node's own, makes no node unready.
func TestClocksThatDifferMakeNoNodeUnready(t *testing.T) {
	now := time.Now()
	for name, ahead := range map[string]map[string]time.Duration{
		"one of the others":       {clocks.Postgres: 0, clocks.Ledger: time.Minute},
		"all others from our own": {clocks.Postgres: time.Minute, clocks.Ledger: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			watch := clocks.New(slog.New(slog.DiscardHandler))
			for clock, ahead := range ahead {
				watch.Note(clock, now, now.Add(ahead), now)
			}
			if err := watch.MaySell(); err == nil || !strings.Contains(err.Error(), "clocks") {
				t.Fatalf("the error is %v, want %q in it", err, "clocks")
			}
			if err := clockCheck(watch).Probe(t.Context()); err == nil {
				t.Fatal("clockCheck(watch).Probe(t.Context()): no error, want one")
			}
			if !clockCheck(watch).Advisory {
				t.Fatal("want true: clockCheck(watch).Advisory")
			}
		})
	}
}

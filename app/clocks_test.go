package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/timestamppb"

	"boxoffice/clocks"
)

// skewedTemporal starts workflows by a clock that is so far ahead.
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
	time.Sleep(time.Second) // how long it takes to ask changes nothing
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{StartTime: timestamppb.New(c.startedAt[run])},
	}, nil
}

// Temporal's clock is read where a checkout is started, once an interval; the round trip
// of the start is the only doubt.
func TestTemporalsClockIsReadWhereCheckoutsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temporal := &skewedTemporal{ahead: 30 * time.Second, startedAt: map[string]time.Time{}}
		watch := clocks.New(slog.New(slog.DiscardHandler))
		timed := timedTemporal{Client: temporal, stages: newStages(prometheus.NewRegistry()), clock: &temporalClock{watch: watch, client: temporal}}
		start := func() {
			_, err := timed.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{}, nil)
			require.Equal(t, temporal.fails, err != nil)
		}
		for range 5 {
			start()
		}
		require.NoError(t, watch.MaySell(), "not known yet")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Error(t, watch.MaySell())
		require.Equal(t, map[string]time.Duration{clocks.Temporal: 30 * time.Second}, watch.Skews())
		require.Equal(t, 1, temporal.looks)

		temporal.ahead, temporal.fails = 0, true
		time.Sleep(clocks.Interval)
		start()
		synctest.Wait()
		require.Equal(t, 1, temporal.looks, "what was not started tells nothing")
		temporal.fails = false
		start()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.NoError(t, watch.MaySell())
		require.Equal(t, 2, temporal.looks)
	})
}

// What is not known is not in the metrics, least of all as zero.
func TestClockMetrics(t *testing.T) {
	watch := clocks.New(slog.New(slog.DiscardHandler))
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(clockCollector{watch}))
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families)

	now := time.Now()
	watch.Note(clocks.Ledger, now, now.Add(-7*time.Second), now)
	families, err = registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Len(t, families[0].GetMetric(), 1)
	skew := families[0].GetMetric()[0]
	require.Equal(t, "ledger", skew.GetLabel()[0].GetValue())
	require.InDelta(t, -7, skew.GetGauge().GetValue(), 1e-6)
}

// A ledger whose clock is off takes no node off; a node whose own clock is off is.
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
			require.ErrorContains(t, watch.MaySell(), "clocks")
			require.Error(t, clockCheck(watch).Probe(t.Context()))
			require.True(t, clockCheck(watch).Advisory)
		})
	}
}

package waitingroom

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/domain"
)

// Who watches the door must know whether it should turn: people wait before the opening and after the last seat too.
func TestMetricsSayWhetherTheDoorIsOpen(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*node, *memory, *domain.StockLevel)
		want   float64
	}{
		"open": {func(*node, *memory, *domain.StockLevel) {}, 1},
		"before the opening": {func(_ *node, m *memory, _ *domain.StockLevel) {
			m.q.Drawn = domain.QueueUndrawn
			m.q.OpensAt = m.q.Now.Add(time.Hour)
		}, 0},
		"paused":                        {func(_ *node, m *memory, _ *domain.StockLevel) { m.q.Settings.Paused = true }, 0},
		"canceled":                      {func(_ *node, m *memory, _ *domain.StockLevel) { m.q.CanceledAt = m.q.Now }, 0},
		"every seat is held":            {func(_ *node, _ *memory, l *domain.StockLevel) { l.Available, l.Held = 0, 10 }, 0},
		"sold out":                      {func(_ *node, _ *memory, l *domain.StockLevel) { l.Available, l.Sold = 0, 10 }, 0},
		"open, and nobody asks anymore": {func(n *node, _ *memory, _ *domain.StockLevel) { n.ages(2 * activeFor) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			store, level := newMemory(0), free()
			n := newNode(t, store, "a", func() domain.StockLevel { return level })
			n.tick()
			if _, err := n.join(10); err != nil {
				t.Fatal(err)
			}
			n.of.asked.Store(int64(n.mono())) // as Place does
			tt.change(n, store, &level)
			n.tick()
			registry := prometheus.NewRegistry()
			registry.MustRegister(collector{n.Rooms})
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			shown := false
			for _, family := range families {
				if family.GetName() == "boxoffice_queue_open" {
					shown = true
					if got := family.GetMetric()[0].GetGauge().GetValue(); got != tt.want {
						t.Errorf("%v, want %v", got, tt.want)
					}
				}
			}
			if !shown {
				t.Errorf("%v has no boxoffice_queue_open", families)
			}
		})
	}
}

package waitingroom

import (
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
)

// TestEstimatesAreOnTheSafeSide compares estimates with how long people then wait.
func TestEstimatesAreOnTheSafeSide(t *testing.T) {
	slower := func(at time.Duration) float64 {
		if at >= 60*time.Second {
			return 60
		}
		return 95
	}
	for _, c := range []struct {
		name     string
		capacity func(time.Duration) float64
		think    time.Duration
		people   int64

		safe  float64 // at least this share is let in by the estimated time
		twice float64 // at least this share gets an estimate of at most three times the actual wait
	}{
		{"at once", always(95), 0, 6000, 0.97, 0.8},
		{"people who think", always(95), 20 * time.Second, 6000, 0.95, 0.5},
		{"an engine that gets slower", slower, 0, 8000, 0.85, 0.8},
		{"a small one", always(20), 0, 1500, 0.9, 0.7},
	} {
		t.Run(c.name, func(t *testing.T) {
			sale := &simulatedSale{people: c.people, think: c.think}
			s := &simulation{
				seed: 1, nodes: oneNode, base: 15 * time.Millisecond, forTime: 4 * time.Minute, capacity: c.capacity, sales: []*simulatedSale{sale},
			}
			s.run()
			n, safe, near := 0, 0, 0
			for _, told := range sale.told {
				at, _ := slices.BinarySearch(sale.doors, told.place+1)
				if at == len(sale.doors) {
					continue // their turn had not come by the end
				}
				waited := time.Duration(at+1)*ExchangeInterval - told.at
				n++
				if waited <= told.wait {
					safe++
				}
				if told.wait <= 3*waited+5*time.Second {
					near++
				}
			}
			t.Logf("of %d estimates %.1f%% are safe, %.1f%% near", n, 100*float64(safe)/float64(n), 100*float64(near)/float64(n))
			if n < 500 || float64(safe) < c.safe*float64(n) || float64(near) < c.twice*float64(n) {
				t.Errorf("want %.0f%% safe, %.0f%% near", 100*c.safe, 100*c.twice)
			}
		})
	}
}

// If nobody can know when the door moves, there is no estimate.
func TestNoEstimateWhileTheDoorStands(t *testing.T) {
	for name, c := range map[string]struct {
		level domain.StockLevel
		want  bool
	}{
		"free":     {free(), true},
		"all held": {domain.StockLevel{Name: "A", Ledger: 1, Capacity: 10, Held: 10}, false},
		"all sold": {domain.StockLevel{Name: "A", Ledger: 1, Capacity: 10}, false},
	} {
		t.Run(name, func(t *testing.T) {
			level := free()
			store := newMemory(0)
			n := newNode(t, store, "a", func() domain.StockLevel { return level })
			n.tick()
			tokens, err := n.join(2000)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				store.pass(100 * time.Millisecond)
				n.tick()
			}
			level = c.level
			n.tick()
			last := tokens[len(tokens)-1]
			p := n.look(t, last)
			if p.Wait > 0 != c.want {
				t.Errorf("%s: an estimate of %v", p.Status, p.Wait)
			}
			_, err = n.Enter(t.Context(), testSale, last)
			want := domain.CodeQueueRequired
			if p.Status == StatusSoldOut {
				want = domain.CodeSoldOut
			}
			if domain.CodeOf(err) != want {
				t.Errorf("entering: %v, want %s", err, want)
			}
		})
	}
}

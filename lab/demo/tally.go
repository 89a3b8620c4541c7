package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// tally counts, and shows how far it is.
type tally struct {
	o  Options
	mu sync.Mutex

	counts  map[Fate]int
	done    int
	answers []time.Duration // of checkout requests
	noted   error           // the last answer nobody expected
	started time.Time
}

func newTally(o Options) *tally {
	return &tally{o: o, counts: make(map[Fate]int), started: time.Now()}
}

func (t *tally) ended(f Fate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[f]++
	t.done++
}

func (t *tally) answered(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers = append(t.answers, d)
}

func (t *tally) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noted = err
}

// show draws the progress until stop is called: in place on a terminal, otherwise a
// line every few seconds.
func (t *tally) show(ctx context.Context) (stop func()) {
	interval := 200 * time.Millisecond
	if !t.o.IsTerminal {
		interval = 5 * time.Second
	}
	ctx, cancel := context.WithCancel(ctx)
	var drawing sync.WaitGroup
	drawing.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				t.draw()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		drawing.Wait()
		t.draw()
		if t.o.IsTerminal {
			fmt.Fprintln(t.o.Out)
		}
	}
}

func (t *tally) draw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	const width = 30
	filled := width * t.done / t.o.Buyers
	line := fmt.Sprintf("[%s%s] %d/%d buyers answered · %d/%d seats paid · %.0f s",
		strings.Repeat("█", filled), strings.Repeat("·", width-filled), t.done, t.o.Buyers, t.counts[Paid], t.o.Seats, time.Since(t.started).Seconds())
	if t.o.IsTerminal {
		fmt.Fprintf(t.o.Out, "\r%s", line)
		return
	}
	fmt.Fprintln(t.o.Out, line)
}

func (t *tally) summary() {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.o.Out, "\n  %-16s %8s\n", "fate", "buyers")
	for _, f := range fates {
		fmt.Fprintf(t.o.Out, "  %-16s %8d\n", f, t.counts[f])
	}
	slices.Sort(t.answers)
	fmt.Fprintf(t.o.Out, "\n  %d checkout requests answered: half within %s, 99 %% within %s; %.1f s in all\n",
		len(t.answers), t.share(0.5), t.share(0.99), time.Since(t.started).Seconds())
	if t.noted != nil {
		fmt.Fprintf(t.o.Out, "  an answer nobody expected: %v\n", t.noted)
	}
}

func (t *tally) share(q float64) time.Duration {
	if len(t.answers) == 0 {
		return 0
	}
	return t.answers[int(q*float64(len(t.answers)-1))].Round(time.Millisecond)
}

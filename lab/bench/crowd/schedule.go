package crowd

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// tick is how exactly requests become due.
const tick = time.Millisecond

// A schedule hands out buyers when they are due. Each is in it at most once, and
// each extra read of a queue: that is its size.
type schedule struct {
	ready chan due // the due buyers, in order

	mu      sync.Mutex
	waiting dueHeap
}

type due struct {
	at  time.Duration // since the start
	who int32         // a buyer; from the number of buyers on, an extra read
}

func newSchedule(size int) *schedule {
	return &schedule{ready: make(chan due, size), waiting: make(dueHeap, 0, size)}
}

func (s *schedule) add(who int32, at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heap.Push(&s.waiting, due{at, who})
}

// run releases due buyers until ctx ends.
func (s *schedule) run(ctx context.Context, started time.Time) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		s.release(time.Since(started))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *schedule) release(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) > 0 && s.waiting[0].at <= now {
		s.ready <- heap.Pop(&s.waiting).(due) // has room for everybody
	}
}

type dueHeap []due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(due)) }
func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

package pgpipe

import (
	"maps"
	"sync"
)

// Stats counts requests by operation and outcome, such as "update fast", since the store
// was made. The zero value is ready, and safe for concurrent use. A nil one counts
// nothing.
type Stats struct {
	mu     sync.Mutex
	counts map[string]int64
}

func (s *Stats) add(operation string, came outcome) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[string]int64{}
	}
	s.counts[operation+" "+string(came)]++
}

// Snapshot returns the counts so far.
func (s *Stats) Snapshot() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

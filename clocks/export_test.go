package clocks

import "time"

// SetNow replaces this node's clock.
func (w *Watch) SetNow(now func() time.Time) { w.now = now }

package supervise

import "time"

// A process may be restarted restartsMax times within restartsWindow. A crash, or the
// kill of a fault test, stays well below that; a process that cannot run at all is given
// up within seconds.
const (
	restartsMax    = 5
	restartsWindow = time.Minute
	pauseMin       = 250 * time.Millisecond
	pauseMax       = 4 * time.Second
)

// budget counts the deaths of one process.
type budget struct {
	deaths []time.Time // within the window, oldest first; at most restartsMax
}

// spend records a death and returns how long to wait before the next start, or false if
// there must be none.
func (b *budget) spend(now time.Time) (pause time.Duration, ok bool) {
	for len(b.deaths) > 0 && now.Sub(b.deaths[0]) >= restartsWindow {
		b.deaths = b.deaths[1:]
	}
	if len(b.deaths) == restartsMax {
		return 0, false
	}
	pause = min(pauseMin<<len(b.deaths), pauseMax)
	b.deaths = append(b.deaths, now)
	return pause, true
}

package plan

// The parts of a simulation: work that takes time, done by things that can do so much at a
// time. Nothing here knows what a checkout is.

// A clock runs what is due, in the order of time.
type clock struct {
	now    float64 // seconds
	due    schedule
	booked int // breaks ties: what was booked first runs first
}

type appointment struct {
	at    float64
	order int
	run   func()
}

// A schedule is a heap.
type schedule []appointment

func (s schedule) isBefore(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].order < s[j].order
}

func (s *schedule) push(x appointment) {
	*s = append(*s, x)
	all := *s
	for i := len(all) - 1; i > 0 && all.isBefore(i, (i-1)/2); i = (i - 1) / 2 {
		all[i], all[(i-1)/2] = all[(i-1)/2], all[i]
	}
}

func (s *schedule) pop() appointment {
	all := *s
	first, last := all[0], len(all)-1
	all[0], all[last] = all[last], appointment{}
	all = all[:last]
	for i := 0; 2*i+1 < last; {
		child := 2*i + 1
		if child+1 < last && all.isBefore(child+1, child) {
			child++
		}
		if !all.isBefore(child, i) {
			break
		}
		all[i], all[child] = all[child], all[i]
		i = child
	}
	*s = all
	return first
}

func (c *clock) after(seconds float64, run func()) {
	c.booked++
	c.due.push(appointment{c.now + seconds, c.booked, run})
}

// runTo runs all that is due until then, or forever.
func (c *clock) runTo(until float64) {
	for len(c.due) > 0 && c.due[0].at <= until {
		next := c.due.pop()
		c.now = next.at
		next.run()
	}
	c.now = max(c.now, until)
}

// A fifo is who waits, first come, first served.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) push(x T) { q.items = append(q.items, x) }
func (q *fifo[T]) len() int { return len(q.items) - q.head }
func (q *fifo[T]) pop() T {
	x := q.items[q.head]
	q.head++
	if q.head > 1024 && q.head*2 > len(q.items) {
		q.items, q.head = append([]T(nil), q.items[q.head:]...), 0
	}
	return x
}

// Cores work off one job each at a time.
type cores struct {
	clock   *clock
	free    int
	all     int
	waiting fifo[job]
	worked  float64 // seconds of all cores
}

type job struct {
	seconds float64
	then    func()
}

func newCores(c *clock, n int) *cores { return &cores{clock: c, free: n, all: n} }

func (c *cores) work(seconds float64, then func()) {
	if c.free == 0 {
		c.waiting.push(job{seconds, then})
		return
	}
	c.free--
	c.begin(job{seconds, then})
}

func (c *cores) begin(j job) {
	c.worked += j.seconds
	c.clock.after(j.seconds, func() {
		if c.waiting.len() > 0 {
			c.begin(c.waiting.pop())
		} else {
			c.free++
		}
		j.then()
	})
}

// A lock is held by one at a time.
type lock struct {
	clock   *clock
	isHeld  bool
	waiting fifo[func()]
	since   float64
	held    float64 // seconds
}

func (l *lock) take(then func()) {
	if l.isHeld {
		l.waiting.push(then)
		return
	}
	l.isHeld, l.since = true, l.clock.now
	then()
}

func (l *lock) release() {
	if l.waiting.len() > 0 {
		l.waiting.pop()()
		return
	}
	l.isHeld = false
	l.held += l.clock.now - l.since
}

// A batcher does at once what came while it was busy, and takes the same time for any number.
type batcher struct {
	clock   *clock
	seconds func() float64
	waiting []func()
	busy    bool
}

func (b *batcher) join(then func()) {
	b.waiting = append(b.waiting, then)
	if !b.busy {
		b.busy = true
		b.run()
	}
}

func (b *batcher) run() {
	batch := b.waiting
	b.waiting = nil
	b.clock.after(b.seconds(), func() {
		if b.busy = len(b.waiting) > 0; b.busy {
			b.run()
		}
		for _, then := range batch {
			then()
		}
	})
}

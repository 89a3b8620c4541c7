package admission

import (
	"testing"
	"time"

	"boxoffice/domain"
)

// windows plays n windows in which the bound is used up and every hold takes this long.
func windows(b *adaptiveBound, now *time.Time, count int, hold time.Duration, webhooks ...time.Duration) {
	for range count {
		for fits(b, *now) {
			continue
		}
		for _, w := range webhooks {
			b.webhook(*now, w)
		}
		*now = now.Add(boundWindow)
		for _, in, _ := b.state(); in > 0; in-- {
			b.leave(*now, hold, true)
		}
		// The first to come back ended the window; the others belong to the next one,
		// which is over before anybody enters.
		for _, w := range webhooks {
			b.webhook(*now, w)
		}
		*now = now.Add(boundWindow)
		b.enter(*now)
		b.leave(*now, hold, true)
	}
}

// fits reports whether one more is let in at once.
func fits(b *adaptiveBound, now time.Time) bool {
	w, ok := b.enter(now)
	return ok && w == nil
}

func TestAdaptiveBound(t *testing.T) {
	const floor = 4 // below where it begins
	const fast, slow = 20 * time.Millisecond, holdLatencyTarget + time.Millisecond
	noon := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		play  func(b *adaptiveBound, now *time.Time)
		above int // the bound afterwards
		below int
	}{
		"begins modestly":               {func(*adaptiveBound, *time.Time) {}, boundStart - 1, boundStart + 1},
		"rises while all is well":       {func(b *adaptiveBound, now *time.Time) { windows(b, now, 40, fast) }, 511, 513},
		"falls when holds are slow":     {func(b *adaptiveBound, now *time.Time) { windows(b, now, 1, slow) }, 6, boundStart},
		"never below the floor":         {func(b *adaptiveBound, now *time.Time) { windows(b, now, 50, slow) }, 3, 5},
		"falls when webhooks are slow":  {func(b *adaptiveBound, now *time.Time) { windows(b, now, 9, fast, time.Second, time.Second) }, 3, boundStart},
		"one slow webhook says nothing": {func(b *adaptiveBound, now *time.Time) { windows(b, now, 40, fast, time.Second) }, 511, 513},
		"rises again, by steps": {func(b *adaptiveBound, now *time.Time) {
			windows(b, now, 50, slow)
			windows(b, now, 4, fast)
		}, floor + boundStep, 64},
		"rises by steps that grow with it": {func(b *adaptiveBound, now *time.Time) { windows(b, now, 30, fast) }, 511, 513},
		"an engine far away is not a slow one": {func(b *adaptiveBound, now *time.Time) {
			const far = 200 * time.Millisecond
			windows(b, now, 4, fast, far, far)
			windows(b, now, 40, fast, 2*far, 2*far, far)
		}, 511, 513},
		"until it is": {func(b *adaptiveBound, now *time.Time) {
			const far = 200 * time.Millisecond
			windows(b, now, 40, fast, far, far)
			windows(b, now, 40, fast, 4*far, 4*far, far)
		}, 3, 5},
		"an old quicker time is forgotten": {func(b *adaptiveBound, now *time.Time) {
			const far = 200 * time.Millisecond
			windows(b, now, 4, fast, fast, fast)
			windows(b, now, 400, fast, 2*far, 2*far, far)
		}, 511, 513},
		"does not rise while nobody needs it": {func(b *adaptiveBound, now *time.Time) {
			windows(b, now, 50, slow)
			for range 20 {
				b.enter(*now)
				b.leave(now.Add(fast), fast, true)
				*now = now.Add(boundWindow)
			}
		}, 3, 5},
		"falls when all permits are taken and nothing comes back": {func(b *adaptiveBound, now *time.Time) {
			for fits(b, *now) {
				continue
			}
			*now = now.Add(boundWindow)
			b.enter(*now)
		}, 10, boundStart},
		"a client that left says nothing": {func(b *adaptiveBound, now *time.Time) {
			for range 5 {
				b.enter(*now)
				*now = now.Add(boundWindow)
				b.leave(*now, time.Minute, false)
			}
		}, boundStart - 1, boundStart + 1},
	} {
		t.Run(name, func(t *testing.T) {
			b, now := newAdaptiveBound(floor, InFlightMax, 0), noon
			tt.play(b, &now)
			if limit, _, _ := b.state(); limit <= tt.above || limit >= tt.below {
				t.Errorf("bound %d, want between %d and %d", limit, tt.above, tt.below)
			}
		})
	}
}

// A larger crowd is sent away for longer, within bounds.
func TestRetryAfterOfRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		refused, done int
		seats         int64
		want          time.Duration
	}{
		"a few":                           {refused: 10, done: 50, seats: 1000, want: retryAfterMin},
		"three seconds' worth of permits": {refused: 300, done: 50, seats: 1000, want: 3 * time.Second},
		"a storm":                         {refused: 10_000, done: 50, seats: seatsUnknown, want: retryAfterMax},
		"a storm, and nothing moves":      {refused: 10_000, done: 0, seats: 1000, want: retryAfterMax},
		"a storm for the last seats":      {refused: 10_000, done: 50, seats: 200, want: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
			b := newAdaptiveBound(1, 1, 0)
			b.endWindow(now)
			for range tt.done {
				b.enter(now)
				b.leave(now, time.Millisecond, true)
			}
			b.enter(now)
			for range tt.refused {
				if !b.refuses(now) {
					t.Fatal("let in above the bound")
				}
			}
			b.endWindow(now.Add(boundWindow))
			if got := b.retryAfter(tt.seats); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// Above the bound the answer is a quick 503 that binds no key.
func TestCheckoutsAboveTheBoundAreRefusedAtOnce(t *testing.T) {
	b := setup(t)
	b.adm.bound = newAdaptiveBound(1, 1, 0)
	b.adm.bound.enter(time.Now()) // one checkout is under way
	err := b.refusal(testKey, wish("A", 1))
	wantRefusal(t, err, domain.CodeOverloaded)
	if retryAfterOf(err) == 0 || b.world.Starts != 0 {
		t.Errorf("to come back after %v, %d starts", retryAfterOf(err), b.world.Starts)
	}
	b.adm.bound.leave(time.Now(), time.Millisecond, true)
	if err := b.refusal(testKey, wish("A", 1)); err != nil {
		t.Errorf("the same key afterwards: %v", err)
	}
}

// Others yield while several checkouts wait for the engine, and not for one or two.
func TestIsBusy(t *testing.T) {
	b := setup(t)
	now := time.Now()
	for range busyFrom - 1 {
		b.adm.bound.enter(now)
	}
	if b.adm.IsBusy() {
		t.Errorf("busy with %d", busyFrom-1)
	}
	b.adm.bound.enter(now)
	if !b.adm.IsBusy() {
		t.Errorf("not busy with %d", busyFrom)
	}
	b.adm.bound.leave(now, time.Millisecond, true)
	if b.adm.IsBusy() {
		t.Error("busy for ever")
	}
}

package waitingroom

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
)

const ms = time.Millisecond

func newRandom(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// loadOf is a load with these numbers of quick and slow answers in each window.
func loadOf(quick, slow int, quiet, took time.Duration) (l Load) {
	for i := range l.Windows {
		for range quick {
			l.Windows[i].Holds.Add(quiet)
		}
		for range slow {
			l.Windows[i].Holds.Add(took)
		}
	}
	return l
}

// Congestion is a claim about the engine: a tail is not congestion, and few answers say nothing.
func TestWhatCountsAsCongestion(t *testing.T) {
	full := Load{InFlight: 80, InFlightMax: 100}
	refused := loadOf(40, 0, 20*ms, 0)
	for i := range refused.Windows {
		refused.Windows[i].Refused = 60
	}
	// A node takes 64 at once, and half a second's holds and webhooks were quick but for a tail.
	quick := loadOf(950, 50, 20*ms, 220*ms)
	for i := range quick.Windows {
		quick.Windows[i].Verdicts = 1000
		for range 1000 {
			quick.Windows[i].Webhooks.Add(20 * ms)
		}
	}
	quick.InFlight, quick.InFlightMax = 60, 64
	stuck, refuses := quick, quick
	stuck.Windows[0] = loadOf(150, 0, 20*ms, 0).Windows[0]
	stuck.Windows[0].Verdicts = 150
	for i := range refuses.Windows {
		refuses.Windows[i].Refused = 200
	}
	one := loadOf(99, 0, 20*ms, 0)
	for i := range one.Windows {
		one.Windows[i].Refused = 1
	}
	for _, c := range []struct {
		name  string
		quiet time.Duration
		load  Load
		want  bool
	}{
		{"nothing to do", 0, Load{}, false},
		{"all are quick", 20 * ms, loadOf(100, 0, 20*ms, 0), false},
		{"all are slow", 20 * ms, loadOf(0, 100, 0, 200*ms), true},
		{"all are a little slower", 20 * ms, loadOf(0, 100, 0, 60*ms), false},
		{"a tail of a tenth", 20 * ms, loadOf(90, 10, 20*ms, 500*ms), false},
		{"a tail of a fifth", 20 * ms, loadOf(80, 20, 20*ms, 500*ms), false},
		{"half are slow", 20 * ms, loadOf(50, 50, 20*ms, 200*ms), true},
		{"too few to say", 20 * ms, loadOf(0, 7, 0, 500*ms), false},
		{"a few, all slow", 20 * ms, loadOf(0, 10, 0, 500*ms), true},
		{"half of a few", 20 * ms, loadOf(5, 5, 20*ms, 500*ms), false},
		{"an engine that is far away", 100 * ms, loadOf(0, 100, 0, 190*ms), false},
		{"the same, and slow", 100 * ms, loadOf(0, 100, 0, 260*ms), true},
		{"slots nearly full", 20 * ms, full, true},
		{"slots nearly full of quick ones and a tail", 20 * ms, quick, false},
		{"the same, and only half as many are answered", 20 * ms, stuck, true},
		{"the same, and a tenth is refused", 20 * ms, refuses, true},
		{"most are refused", 20 * ms, refused, true},
		{"one is refused", 20 * ms, one, false},
	} {
		p := pulse{perSecond: 100}
		if c.quiet > 0 {
			before := loadOf(100, 0, c.quiet, 0)
			p.take(&before, 0)
		}
		w := p.take(&c.load, ms)
		if w.congested() != c.want {
			t.Errorf("%s: congested %v: %+v", c.name, !c.want, w.judged())
		}
	}
}

// If just as many operations are slow as may be a tail, one look in hundreds is wrong. An
// engine that is slow throughout is found each time.
func TestTheErrorRateOfCongestion(t *testing.T) {
	random := newRandom(t)
	wrong, missed := 0, 0
	const looks = 20_000
	for range looks {
		n := answersMin + random.IntN(200)
		var tail, queue word
		for range n {
			if random.Float64() < tailShare {
				tail.windows[len(tail.windows)-1].slow++
			}
			if random.Float64() < 0.9 {
				queue.windows[len(queue.windows)-1].slow++
			}
		}
		tail.windows[len(tail.windows)-1].answers, queue.windows[len(queue.windows)-1].answers = n, n
		if tail.congested() {
			wrong++
		}
		if !queue.congested() {
			missed++
		}
	}
	t.Logf("of %d looks, %d mistake a tail for a queue, %d miss a queue", looks, wrong, missed)
	if wrong > looks/300 || missed > looks/300 {
		t.Errorf("want at most one in 300 of each")
	}
}

// The reports of all nodes add up: no single one cuts for all, and together they have
// enough answers even if each has too few.
func TestTheWordsOfAllNodesAddUp(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	row := func(answers, slow int) domain.QueueNode {
		var w word
		for i := range w.windows {
			w.windows[i] = tally{answers: answers, slow: slow, verdicts: answers / 2}
		}
		return domain.QueueNode{SeenAt: now, Load: w.bytes()}
	}
	stale := row(1000, 1000)
	stale.SeenAt = now.Add(-2 * congestedLife)
	for _, c := range []struct {
		name string
		rows []domain.QueueNode
		want bool
	}{
		{"one of three is slow, by few", []domain.QueueNode{row(10, 10), row(100, 3), row(100, 2)}, false},
		{"each has too few", []domain.QueueNode{row(4, 4), row(4, 4), row(4, 4)}, true},
		{"a silent node says nothing", []domain.QueueNode{row(100, 0), stale}, false},
		{"of another release", []domain.QueueNode{row(100, 0), {SeenAt: now, Load: []byte{99, 1, 2}}}, false},
		{"cut off", []domain.QueueNode{row(100, 0), {SeenAt: now, Load: []byte{wordVersion, 100}}}, false},
	} {
		all, old := words(c.rows, now)
		if old || all.congested() != c.want {
			t.Errorf("%s: congested %v, want %v", c.name, all.congested(), c.want)
		}
	}
	// While nodes of the previous release run, their reports count as before.
	if _, old := words([]domain.QueueNode{{SeenAt: now, Congested: true}}, now); !old {
		t.Error("the report of a node of the previous release is lost")
	}
}

func TestAWordIsReadAsWritten(t *testing.T) {
	w := word{inFlight: 3, most: 64, came: comers{12.5, 17 * time.Second}, let: cohorts{0: {9000, 6, 7}, 6: {1, 0, 1}}}
	for i := range w.windows {
		w.windows[i] = tally{i + 1, i + 2, i + 3, 100_000, i + 4, i + 5}
	}
	before := len(w.bytes()) // as earlier releases write it, and all they read of it
	if got, ok := readWord(w.bytes()); !ok || got != w {
		t.Errorf("without payment pages: %+v, want %+v", got, w)
	}
	for i := range w.opens {
		w.opens[i] = opens{i + 6, i + 7}
	}
	got, ok := readWord(w.bytes())
	if !ok || got != w {
		t.Errorf("%+v, want %+v", got, w)
	}
	for cut := range len(w.bytes()) {
		if got, ok := readWord(w.bytes()[:cut]); ok && cut != before {
			t.Errorf("the first %d bytes are read as %+v", cut, got)
		}
	}
}

// A meter's windows are right whenever they are asked for.
func TestAMeterCountsInItsWindows(t *testing.T) {
	random := newRandom(t)
	var m Meter
	var at []time.Duration
	now := time.Duration(0)
	for range 2000 {
		now += time.Duration(random.Int64N(int64(40 * ms)))
		if random.IntN(200) == 0 {
			now += time.Duration(random.Int64N(int64(20 * time.Second)))
		}
		m.Held(now, 5*ms, true)
		at = append(at, now/meterStep)
		for i, w := range m.Windows(now) {
			want := 0
			for _, step := range at {
				if now/meterStep-step < LoadWindows[i]/meterStep {
					want++
				}
			}
			if w.Verdicts != want || w.Holds.Count() != want {
				t.Fatalf("%v: %d in the last %v, want %d", now, w.Verdicts, LoadWindows[i], want)
			}
		}
	}
}

// A node knows how long people take from the door to the checkout.
func TestHowLongPeopleThink(t *testing.T) {
	var a arrivals
	for at := range 600 {
		now := time.Duration(at) * 100 * ms
		a.moved(now, int64(at), int64(at))
		if at >= 100 {
			a.arrived(now, int64(at-100)) // let in ten seconds ago
		}
	}
	came := a.lately(60 * time.Second)
	if mean := time.Duration(float64(came.after) / came.people); mean < 9*time.Second || mean > 11*time.Second {
		t.Errorf("%v, want 10 s", mean)
	}
	if came.people < 150 || came.people > 200 { // ten a second, e-fold in 20 s, for 50 s
		t.Errorf("%.0f came", came.people)
	}
}

func TestPeopleLetInBeforeANodeStartedAreNotCounted(t *testing.T) {
	var a arrivals
	a.moved(time.Hour, 1000, 1000)
	a.arrived(time.Hour+time.Second, 10)
	if came := a.lately(time.Hour + time.Second); came.people != 0 {
		t.Errorf("%v", came)
	}
}

// The share of people who come is known once hardly anybody is still on the way, and not before.
func TestTheShareOfPeopleWhoCome(t *testing.T) {
	const perSecond = 40
	for _, c := range []struct {
		name  string
		after func(i int) time.Duration // 0: never
		at    time.Duration
		want  float64 // that never comes
	}{
		{"all, within a second", func(i int) time.Duration { return time.Duration(1+i%10) * 100 * ms }, 10 * time.Second, 0},
		{"half, within a second", func(i int) time.Duration { return time.Duration(i%2) * time.Second }, 10 * time.Second, 0.5},
		{"half, too early to say", func(i int) time.Duration { return time.Duration(i%2) * time.Second }, 4 * time.Second, 0},
		{"all, within a minute, after twenty seconds", func(i int) time.Duration { return time.Duration(1+i%60) * time.Second }, 20 * time.Second, 0},
		{"all, within a minute, later", func(i int) time.Duration { return time.Duration(1+i%60) * time.Second }, 150 * time.Second, 0},
		{"half, within twenty seconds", func(i int) time.Duration { return time.Duration(i%2) * time.Duration(1+i%20) * time.Second }, 45 * time.Second, 0.5},
		{"all, half within ten seconds and few after a minute", func(i int) time.Duration {
			return time.Duration(-14 * math.Log((float64(i%97)+0.5)/97) * float64(time.Second))
		}, 60 * time.Second, 0},
		{"nobody yet", func(int) time.Duration { return 0 }, 20 * time.Second, 0},
	} {
		var a arrivals
		var come []passage // at, who
		for i := range int(c.at.Seconds() * perSecond) {
			if wait := c.after(i); wait > 0 {
				come = append(come, passage{at: time.Duration(i)*time.Second/perSecond + wait, admitted: int64(i)})
			}
		}
		slices.SortFunc(come, func(a, b passage) int { return cmp.Compare(a.at, b.at) })
		for at := time.Duration(0); at < c.at; at += ExchangeInterval {
			let := int64(at.Seconds() * perSecond)
			a.moved(at, let, let)
			for len(come) > 0 && come[0].at <= at {
				a.arrived(come[0].at, come[0].admitted)
				come = come[1:]
			}
		}
		let := a.cohorts(c.at)
		if got := let.absent(); math.Abs(got-c.want) > 0.1 {
			t.Errorf("%s: %.2f of them never come, want %.2f", c.name, got, c.want)
		}
	}
}

// A slow door loses no credit between two turns.
func TestASlowDoorKeepsItsRate(t *testing.T) {
	now := time.Unix(1000, 0)
	q := domain.Queue{SaleID: "sale", Joined: 1 << 20, Now: now, Settings: domain.QueueSettings{RateFloor: 4.25, RateCeiling: 4.25}, Door: domain.QueueDoor{MovedAt: now}}
	own := domain.QueueNode{Node: "a", Present: bytes.Repeat([]byte{0xff}, windowPlaces/8)}
	for range 1000 {
		q.Now = q.Now.Add(TurnInterval)
		own.SeenAt, own.Base = q.Now, q.Door.Admitted&^7
		moveDoor(&q, &own, 1, false, true, &entering{people: 1 << 40})
	}
	if q.Door.Entered < 420 || q.Door.Entered > 426 {
		t.Errorf("%d let in within 100 s, want 425", q.Door.Entered)
	}
}

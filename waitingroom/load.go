package waitingroom

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A Load says how the checkouts of this node do.
type Load struct {
	InFlight, InFlightMax int
	Windows               [len(LoadWindows)]LoadWindow
	Direct                []float64 // the shares of the checkouts that belong to sales without a waiting room
	// Opens are the payment pages that buyers asked for, by payment provider.
	Opens map[string][len(LoadWindows)]OpenWindow
}

// An OpenWindow counts what became of payment pages within one of LoadWindows.
type OpenWindow struct {
	Opened  int // the provider gave a page
	Refused int // overloaded or unknown: the provider takes no more, or does not answer in time
}

// part is each door's share of the engine if all sales have equal shares, and what one
// leaves unused goes to the others. A sale without a door takes what it takes; up to an
// equal share, that is what it needs.
func part(direct []float64, doors int) float64 {
	left, sales := 1.0, max(doors, 1)+len(direct)
	for _, share := range slices.Sorted(slices.Values(direct)) {
		if share > left/float64(sales) {
			break
		}
		left -= share
		sales--
	}
	return left / float64(sales)
}

// LoadWindows are how far back a Load looks. The door judges by the shortest window with
// enough answers. A fast door sees at once what its last move did; a slow one has to wait
// for more answers.
var LoadWindows = [...]time.Duration{500 * time.Millisecond, 2 * time.Second, 8 * time.Second}

// A LoadWindow counts what was answered within one of LoadWindows.
type LoadWindow struct {
	Holds, Webhooks Latencies
	Verdicts        int // holds that the ledger answered
	Refused         int // answers overloaded or unknown
}

const (
	// congestedRise above the quiet time of holds or webhooks is congestion: as much
	// again, between congestedRiseMin and congestedRiseMax. It is a difference, because a
	// queue adds to what an engine takes: an engine far away is not a slow one.
	congestedRise    = 1.0
	congestedRiseMin = 70 * time.Millisecond
	congestedRiseMax = 450 * time.Millisecond
	congestedQueue   = 3.0 // checkouts in turn, where that is more
	// pressedRise is where the door stops growing.
	pressedRise    = 0.4
	pressedRiseMin = 26 * time.Millisecond
	pressedRiseMax = 220 * time.Millisecond
	pressedQueue   = 1.5

	// tailShare of all operations may be slow for other reasons: that is a tail and not a
	// queue, which would make all of them slow.
	tailShare = 0.25
	// answersMin is the least number of answers to judge by. answersEnough is enough for
	// a shorter window.
	answersMin     = 8
	answersEnough  = 16
	verdictsEnough = 24
	// If the newest quickMin answers are all quick, the congestion is over.
	quickMin = 4
	// certainty is how many standard deviations above tailShare the slow ones must be.
	// Where really tailShare of them are slow, a few looks in a thousand are wrong.
	certainty = 3.1
	// fullPortion of the checkouts that may be under way, on all nodes together, is
	// congestion, unless the engine answers as many within fullTime and no more than
	// fullRefused of the answers are refusals: a quick engine with a tail fills a node too.
	fullPortion = 0.8
	fullTime    = 100 * time.Millisecond
	fullRefused = 0.05
	// quietLife is how long a quicker past of the engine is remembered: the quietest time
	// grows e-fold in it.
	quietLife = time.Minute
	quietMax  = 500 * time.Millisecond
	// quietUnknown is assumed until a node has seen enough of its own.
	quietUnknown = 150 * time.Millisecond
)

// judged is the shortest window with enough answers, or the longest.
func (w *word) judged() tally {
	for _, t := range w.windows {
		if t.answers >= answersEnough {
			return t
		}
	}
	return w.windows[len(w.windows)-1]
}

// congested is a claim about the engine from what all nodes counted: more than tailShare
// of the operations are slow, and chance alone would hardly cause that.
func (w *word) congested() bool {
	if w.full() {
		return true
	}
	for _, t := range w.windows {
		if t.answers >= quickMin && t.slow == 0 && t.slower == 0 {
			return false
		}
	}
	t := w.judged()
	n := float64(t.answers)
	return t.answers >= answersMin && float64(t.slow) > tailShare*n+certainty*math.Sqrt(n*tailShare*(1-tailShare))
}

// full reports whether nearly all checkouts that may be under way are, and stay: more than
// the engine answers in fullTime, or others are refused.
func (w *word) full() bool {
	if w.most == 0 || float64(w.inFlight) < fullPortion*float64(w.most) {
		return false
	}
	t := w.windows[0]
	answered := float64(t.verdicts) * (fullTime.Seconds() / LoadWindows[0].Seconds())
	refused := t.answers - t.verdicts - t.settled // or given up
	return float64(w.inFlight) > answered || float64(refused) > fullRefused*float64(t.answers)
}

// opensCongested is the same claim about what buyers need after the door: the pages of the
// sale's payment provider. A provider that answers with its rate limit is an engine that is
// too slow, and no fault of those who come.
func (w *word) opensCongested() bool {
	t := w.opens[len(w.opens)-1]
	for i := len(w.opens) - 1; i >= 0; i-- { // the shortest window with enough
		if w.opens[i].all() >= answersEnough {
			t = w.opens[i]
		}
	}
	for _, newest := range w.opens {
		if newest.all() >= quickMin && newest.refused == 0 {
			return false
		}
	}
	n := float64(t.all())
	return n >= answersMin && float64(t.refused) > tailShare*n+certainty*math.Sqrt(n*tailShare*(1-tailShare))
}

// opensPerSecond is how many pages the provider gives, and over what time.
func (w *word) opensPerSecond() (n float64, over time.Duration) {
	at := 1
	if w.opens[at].all() < verdictsEnough {
		at = 2
	}
	return float64(w.opens[at].opened) / LoadWindows[at].Seconds(), LoadWindows[at]
}

// pressed is the share of the operations that wait for the engine.
func (w *word) pressed() float64 {
	t := w.judged()
	if t.answers < answersMin {
		return 0
	}
	return float64(t.slower) / float64(t.answers)
}

// waits is how long an operation waits for the engine.
func (w *word) waits() time.Duration {
	t := w.judged()
	if t.answers < answersMin {
		return 0
	}
	return time.Duration(t.waited) * time.Millisecond / time.Duration(t.answers)
}

// perSecond is how many checkouts the engine does, and over what time. If few are let in
// because much waits, it is busy with webhooks.
func (w *word) perSecond() (n float64, over time.Duration) {
	at := 1
	if w.windows[at].verdicts < verdictsEnough {
		at = 2
	}
	t := w.windows[at]
	return max(float64(t.verdicts), float64(t.verdicts+t.settled)/2) / LoadWindows[at].Seconds(), LoadWindows[at]
}

// A pulse turns a node's Loads into words over time.
type pulse struct {
	quiet [2]time.Duration // what the middle hold and webhook took when it was quietest; 0: not known
	at    time.Duration    // of the last look
	// perSecond is what the engine does, by the last exchange: a slow one takes long for
	// each of a few that come at once.
	perSecond float64
}

func (p *pulse) take(l *Load, now time.Duration) (w word) {
	grown := 1 + float64(now-p.at)/float64(quietLife)
	p.at = now
	for kind := range p.quiet {
		p.quiet[kind] = min(time.Duration(grown*float64(p.quiet[kind])), quietMax)
		if took := median(l, kind); took > 0 && (p.quiet[kind] == 0 || took < p.quiet[kind]) {
			p.quiet[kind] = min(took, quietMax)
		}
	}
	w.inFlight, w.most = l.InFlight, l.InFlightMax
	for i := range l.Windows {
		from, t := &l.Windows[i], &w.windows[i]
		t.verdicts, t.settled = from.Verdicts, from.Webhooks.Count()
		t.answers, t.slow, t.slower = from.Refused, from.Refused, from.Refused
		for kind, took := range from.kinds() {
			quiet := cmp.Or(p.quiet[kind], quietUnknown)
			t.answers += took.Count()
			t.slow += took.Above(quiet + p.rise(quiet, congestedRise, congestedQueue, congestedRiseMin, congestedRiseMax))
			pressed := quiet + p.rise(quiet, pressedRise, pressedQueue, pressedRiseMin, pressedRiseMax)
			t.slower += took.Above(pressed)
			t.waited += int(took.beyond(pressed, quiet) / time.Millisecond)
		}
	}
	return w
}

func (w *LoadWindow) kinds() [2]*Latencies { return [2]*Latencies{&w.Holds, &w.Webhooks} }

// median of the shortest window that has enough.
func median(l *Load, kind int) time.Duration {
	for i := range l.Windows {
		if took := l.Windows[i].kinds()[kind]; took.Count() >= answersMin {
			return took.Median()
		}
	}
	return 0
}

func (p *pulse) rise(quiet time.Duration, portion, queue float64, least, most time.Duration) time.Duration {
	inTurn := time.Duration(queue / max(p.perSecond, 1) * float64(time.Second))
	return min(max(time.Duration(portion*float64(quiet)), inTurn, least), most)
}

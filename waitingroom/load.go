package waitingroom

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"boxoffice/domain"
)

// A Load is how the checkouts of this node fare.
type Load struct {
	InFlight, InFlightMax int
	Windows               [len(LoadWindows)]LoadWindow
	Direct                []float64 // the shares of the checkouts that sales without a waiting room have
}

// part is what each of so many doors has of the engine, where all sales have equal parts
// and what one leaves unused the others have. A sale without a door takes what it takes:
// up to an equal part, that is what it needs.
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

// LoadWindows are how far back a Load looks. The door judges by the shortest that
// says enough: a fast one sees at once what its last move did, a slow one has to wait
// for more answers.
var LoadWindows = [...]time.Duration{500 * time.Millisecond, 2 * time.Second, 8 * time.Second}

// A LoadWindow is what was answered within one of LoadWindows.
type LoadWindow struct {
	Holds, Webhooks Latencies
	Verdicts        int // holds that the ledger answered
	Refused         int // answers overloaded or unknown
}

// Latencies are a histogram. The first bin is all up to a millisecond, and eight more
// double it.
type Latencies [latencyBins]uint32

const (
	latencyBins    = 8*14 + 2
	binsOfDoubling = 8
)

// Add counts one.
func (h *Latencies) Add(took time.Duration) { h[binOf(took)]++ }

// AddAll counts what another has counted.
func (h *Latencies) AddAll(other *Latencies) {
	for i, n := range other {
		h[i] += n
	}
}

// Count is how many there are.
func (h *Latencies) Count() (n int) { return h.from(0) }

// Above is how many took longer, give or take a bin.
func (h *Latencies) Above(took time.Duration) int { return h.from(binOf(took) + 1) }

// beyond is how much longer those above a time took than a base, all together.
func (h *Latencies) beyond(above, base time.Duration) (sum time.Duration) {
	for i := binOf(above) + 1; i < len(h); i++ {
		if n := h[i]; n > 0 {
			sum += time.Duration(n) * (endOf(i) - base)
		}
	}
	return sum
}

func endOf(bin int) time.Duration {
	return time.Duration(math.Exp2(float64(bin)/binsOfDoubling) * float64(time.Millisecond))
}

func (h *Latencies) from(bin int) (n int) {
	for _, count := range h[min(bin, len(h)):] {
		n += int(count)
	}
	return n
}

// Median is the end of the bin of the middle one; 0 without any.
func (h *Latencies) Median() time.Duration {
	middle := (h.Count() + 1) / 2
	if middle == 0 {
		return 0
	}
	for i, n := range h {
		if middle -= int(n); middle <= 0 {
			return endOf(i)
		}
	}
	return 0
}

func binOf(took time.Duration) int {
	if took <= time.Millisecond {
		return 0
	}
	return min(int(math.Ceil(math.Log2(float64(took)/float64(time.Millisecond))*binsOfDoubling)), latencyBins-1)
}

// A word is what a node says of its checkouts in its row: counts, so that those of all
// nodes add up to what the engine does.
type word struct {
	windows  [len(LoadWindows)]tally
	inFlight int
	most     int // that may be in flight
	came     comers
	let      cohorts
	listened bool // for as long as people may be silent
}

// A tally is what a node counted in one of LoadWindows.
type tally struct {
	answers  int // holds, webhooks and refusals
	slow     int // of them, above what would be congestion
	slower   int // of them, above what an engine takes that has time
	verdicts int
	settled  int // webhooks
	waited   int // milliseconds in all that the slower ones took longer than when it is quiet
}

const wordVersion = 1

func (w *word) bytes() []byte {
	b := make([]byte, 0, 64)
	b = append(b, wordVersion)
	put := func(n int) { b = binary.AppendUvarint(b, uint64(max(n, 0))) }
	for _, t := range w.windows {
		put(t.answers)
		put(t.slow)
		put(t.slower)
		put(t.verdicts)
		put(t.settled)
		put(t.waited)
	}
	put(w.inFlight)
	put(w.most)
	put(int(w.came.people * 1000))
	put(int(w.came.after / time.Millisecond))
	for _, c := range w.let {
		put(int(c.entered))
		put(int(c.soon))
		put(int(c.came))
	}
	if w.listened {
		put(1)
	} else {
		put(0)
	}
	return b
}

// readWord is the zero word where a row has none, or one that this release does not
// know: that node says nothing.
func readWord(b []byte) (w word, ok bool) {
	if len(b) == 0 || b[0] != wordVersion {
		return word{}, false
	}
	b = b[1:]
	ok = true
	get := func() int {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > math.MaxInt32 {
			ok, b = false, nil
			return 0
		}
		b = b[size:]
		return int(n)
	}
	for i := range w.windows {
		w.windows[i] = tally{get(), get(), get(), get(), get(), get()}
	}
	w.inFlight, w.most = get(), get()
	w.came = comers{float64(get()) / 1000, time.Duration(get()) * time.Millisecond}
	for i := range w.let {
		w.let[i] = cohort{int64(get()), int64(get()), int64(get())}
	}
	w.listened = get() != 0
	if !ok {
		return word{}, false
	}
	return w, true
}

func (w *word) add(other *word) {
	for i := range w.windows {
		t, o := &w.windows[i], other.windows[i]
		t.answers += o.answers
		t.slow += o.slow
		t.slower += o.slower
		t.verdicts += o.verdicts
		t.settled += o.settled
		t.waited += o.waited
	}
	w.listened = w.listened || other.listened
	w.inFlight += other.inFlight
	w.most += other.most
	w.came.people += other.came.people
	w.came.after += other.came.after
	w.let.add(&other.let)
}

const (
	// congestedRise above what holds or webhooks take when it is quiet is congestion:
	// as much again, between congestedRiseMin and congestedRiseMax. It is a difference,
	// because a queue adds to what an engine takes: one far away is not a slow one.
	congestedRise    = 1.0
	congestedRiseMin = 70 * time.Millisecond
	congestedRiseMax = 450 * time.Millisecond
	congestedQueue   = 3.0 // checkouts in turn, where that is more
	// pressedRise is where the door grows no more.
	pressedRise    = 0.4
	pressedRiseMin = 26 * time.Millisecond
	pressedRiseMax = 220 * time.Millisecond
	pressedQueue   = 1.5

	// tailShare of all operations may be slow for reasons of their own: that is a tail and
	// not a queue, which makes all of them slow.
	tailShare = 0.25
	// answersMin are the fewest to judge by, answersEnough those for which a shorter window
	// is taken.
	answersMin     = 8
	answersEnough  = 16
	verdictsEnough = 24
	// quickMin answers, the newest, all of them quick, say that it is over.
	quickMin = 4
	// certainty is how many standard deviations above tailShare the slow ones must be.
	// Where really tailShare of them are slow, a few looks in a thousand are wrong.
	certainty = 3.1
	// fullPortion of the checkouts that may be under way, on all nodes together, is
	// congestion.
	fullPortion = 0.8
	// quietLife is how long an engine is remembered that once was quicker: what was
	// quietest grows e-fold in it.
	quietLife = time.Minute
	quietMax  = 500 * time.Millisecond
	// quietUnknown is taken until a node has seen enough of its own.
	quietUnknown = 150 * time.Millisecond
)

// judged is the shortest window that says enough, or the longest.
func (w *word) judged() tally {
	for _, t := range w.windows {
		if t.answers >= answersEnough {
			return t
		}
	}
	return w.windows[len(w.windows)-1]
}

// congested is a claim about the engine, by what all nodes counted: that more than
// tailShare of the operations are slow, where chance alone would hardly show it.
func (w *word) congested() bool {
	if w.most > 0 && float64(w.inFlight) >= fullPortion*float64(w.most) {
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

// perSecond is how many checkouts the engine does, by what time. Where few are let in
// because much waits, it is busy with webhooks.
func (w *word) perSecond() (n float64, over time.Duration) {
	at := 1
	if w.windows[at].verdicts < verdictsEnough {
		at = 2
	}
	t := w.windows[at]
	return max(float64(t.verdicts), float64(t.verdicts+t.settled)/2) / LoadWindows[at].Seconds(), LoadWindows[at]
}

// A pulse makes the words of a node of its Load, over time.
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

// words adds up what the live nodes say. An old release says of itself only whether it
// is congested.
func words(nodes []domain.QueueNode, now time.Time) (all word, old bool) {
	for i := range nodes {
		n := &nodes[i]
		if age(now, n.SeenAt) > congestedLife {
			continue
		}
		w, ok := readWord(n.Load)
		if !ok {
			old = old || n.Congested
			continue
		}
		all.add(&w)
	}
	return all, old
}

package waitingroom

import (
	"encoding/binary"
	"math"
	"time"

	"boxoffice/domain"
)

// A word is what a node reports about its checkouts in its row. It has counts, so that
// the words of all nodes add up to what the engine does.
type word struct {
	windows  [len(LoadWindows)]tally
	inFlight int
	most     int // that may be in flight
	came     comers
	let      cohorts
	listened bool // as long as people may be silent
	// opens are those of the payment provider of the row's sale.
	opens [len(LoadWindows)]opens
}

// opens is what a node counted of payment pages in one of LoadWindows.
type opens struct{ opened, refused int }

func (o opens) all() int { return o.opened + o.refused }

// A tally is what a node counted in one of LoadWindows.
type tally struct {
	answers  int // holds, webhooks and refusals
	slow     int // of them, above what would be congestion
	slower   int // of them, above what an idle engine takes
	verdicts int
	settled  int // webhooks
	waited   int // total milliseconds by which the slower ones exceeded quiet times
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
	if w.opens == ([len(LoadWindows)]opens{}) {
		return b
	}
	for _, o := range w.opens { // nodes of earlier releases do not read on so far
		put(o.opened)
		put(o.refused)
	}
	return b
}

// readWord returns the zero word if a row has none, or one that this release does not
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
	if len(b) > 0 { // it has opened pages, or is of an earlier release, which counted none
		for i := range w.opens {
			w.opens[i] = opens{get(), get()}
		}
	}
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
	for i := range w.opens {
		w.opens[i].opened += other.opens[i].opened
		w.opens[i].refused += other.opens[i].refused
	}
	w.inFlight += other.inFlight
	w.most += other.most
	w.came.people += other.came.people
	w.came.after += other.came.after
	w.let.add(&other.let)
}

// words adds up what the live nodes say. An old release only says whether it is
// congested.
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

package browsertest

import (
	"fmt"
	"testing"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// noStorage is a browser that stores nothing for a site.
const noStorage = `
for (const name of ['localStorage', 'sessionStorage']) {
  Object.defineProperty(window, name, { get() { throw new DOMException('blocked', 'SecurityError'); } });
}
`

// hideable lets a test hide and show a tab.
const hideable = `
let isHidden = false;
Object.defineProperty(document, 'hidden', { get: () => isHidden });
window.bringTo = (back) => { isHidden = back; document.dispatchEvent(new Event('visibilitychange')); };
`

// Over HTTP/1.1 a browser opens six connections to a server, for all windows together.
func TestSevenWindowsOfASaleLeaveRoomForAHold(t *testing.T) {
	s := open(t)
	first := newVisitor(t)
	first.open(s.URL + "/sales/concert")
	first.wait("document.getElementById('buy').textContent === 'Choose tickets'")
	last := first
	for range 6 {
		last = first.window()
		last.open(s.URL + "/sales/concert")
		last.wait("document.getElementById('buy').textContent === 'Choose tickets'")
	}
	eventually(t, "at most three streams stay open", func() bool { return s.openStreams() <= 3 })
	last.hold("VIP", 2)
	last.shownHeading("Your seats are held")
	first.shows("18 of 20 left") // it no longer has a stream, and polls
}

// soon makes a minute of a page's timers half a second.
const soon = `
const wait = window.setTimeout;
window.setTimeout = (f, ms, ...args) => wait(f, ms >= 30_000 ? ms / 120 : ms, ...args);
`

// When later windows are closed, an earlier window gets a stream again.
func TestAWindowTakesItsTurnAgain(t *testing.T) {
	s := open(t)
	v := newVisitor(t, beforeLoad(soon))
	v.open(s.URL + "/sales/concert")
	for range 3 {
		w := v.window()
		w.open(s.URL + "/sales/concert")
		w.wait("document.getElementById('buy').textContent === 'Choose tickets'")
	}
	eventually(t, "the first of four opens a stream again", func() bool { return s.times("GET /v1/sales/concert/events") > 4 })
	eventually(t, "at most three streams stay open", func() bool { return s.openStreams() <= 3 })
}

func TestATabInTheBackgroundHasNoStream(t *testing.T) {
	place := waitingroom.Place{Sale: "concert", Status: waitingroom.StatusWaiting, Position: 12, Ahead: 11, Waiting: 40}
	for _, test := range []struct {
		name, path     string
		prepare        string
		inTheBack      int // streams
		ofAWaitingRoom bool
	}{
		{"a sale", "/sales/concert", "", 0, false},
		{"a sale, without storage", "/sales/concert", noStorage, 0, false},
		{"a place, which calls when its turn comes", "/queue/place-of-one-test", "", 1, true},
		{"a place, without storage", "/queue/place-of-one-test", noStorage, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = test.ofAWaitingRoom })
			s.places["place-of-one-test"] = place
			v := newVisitor(t, beforeLoad(test.prepare+hideable))
			v.open(s.URL + test.path)
			eventually(t, "a stream opens", func() bool { return s.openStreams() == 1 })
			v.run(evaluated("bringTo(true)"))
			eventually(t, fmt.Sprintf("the tab in the background has %d", test.inTheBack), func() bool { return s.openStreams() == test.inTheBack })
			v.run(evaluated("bringTo(false)"))
			eventually(t, "in front it has one", func() bool { return s.openStreams() == 1 })
		})
	}
}

func TestAPlaceFollowsUntilItIsLetIn(t *testing.T) {
	for name, prepare := range map[string]string{"a browser of today": "", "one of 2021": newerThanSafari15, "one that stores nothing": noStorage} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
			v := newVisitor(t, beforeLoad(prepare))
			v.open(s.URL + "/sales/concert")
			v.wait("!document.getElementById('join-button').disabled")
			v.click("#join-button")
			v.shows("people ahead of you")
			s.mu.Lock()
			for token, place := range s.places {
				place.Status, place.Position, place.Ahead = waitingroom.StatusAdmitted, 0, 0
				s.places[token] = place
			}
			s.mu.Unlock()
			v.shownHeading("It is your turn")
			v.hold("VIP", 1)
			v.shownHeading("Your seats are held")
		})
	}
}

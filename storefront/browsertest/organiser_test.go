package browsertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// logIn opens the organiser's page, with the token.
func (v *visitor) logIn(s *shop) {
	v.t.Helper()
	v.open(s.URL + "/organiser/sales/concert")
	v.wait("document.getElementById('login').checkVisibility()")
	v.run(chromedp.SetValue(chromedp.CSS("#token"), "an-admin-token-of-tests"))
	v.click("#login button")
	v.wait(isShown("#queue-panel"))
}

// On the organiser's page, a draw that waits gets what it waits for, or is drawn without it.
func TestTheOrganiserSettlesADraw(t *testing.T) {
	number, signature := strings.Repeat("ab", 32), strings.Repeat("cd", 48)
	for _, c := range []struct {
		name   string
		source domain.QueueDrawSource
		state  waitingroom.DrawState
		says   string
		want   waitingroom.Settlement
	}{
		{"a witness's number", domain.QueueDrawWitness, waitingroom.DrawClosed, "until the witness’s number is here", waitingroom.Settlement{WitnessSecret: number}},
		{"a round's signature", domain.QueueDrawBeacon, waitingroom.DrawDelayed, "Round 8 of the beacon has not come", waitingroom.Settlement{BeaconSignature: signature}},
		{"without", domain.QueueDrawBeacon, waitingroom.DrawDelayed, "could have chosen between two orders", waitingroom.Settlement{Waive: "no server answers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
			at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
			s.draw = waitingroom.RoomState{
				Status: waitingroom.StatusDraw,
				Draw:   waitingroom.Draw{Version: 2, Source: c.source, State: c.state, Size: 9, Root: "0a"},
				Record: waitingroom.DrawRecord{RootAt: at},
			}
			if c.source == domain.QueueDrawBeacon {
				s.draw.Record.Beacon, s.draw.Record.BeaconAt = domain.QueueBeacon{Chain: []byte{1}, Named: 8, Round: 8}, at.Add(10*time.Second)
			}
			v := newVisitor(t)
			v.logIn(s)
			v.wait(isShown("#draw-panel"))
			v.shows(c.says)
			v.picture("organiser-draw-" + string(c.source))
			fill, press := "#draw-number", "#draw-give"
			value := c.want.WitnessSecret + c.want.BeaconSignature
			if c.want.Waive != "" {
				fill, press, value = "#draw-why", "#draw-waive", c.want.Waive
				v.click(press) // says nothing yet
				v.run(chromedp.SetValue(chromedp.CSS(fill), "too early"))
				v.click(press)
				v.shows("until then the draw waits")
			}
			v.run(chromedp.SetValue(chromedp.CSS(fill), value))
			v.click(press)
			v.wait(fmt.Sprintf("!%s", isShown("#draw-panel")))
			s.mu.Lock()
			defer s.mu.Unlock()
			if n := len(s.settled); n == 0 || s.settled[n-1] != c.want {
				t.Errorf("settled %+v, want %+v", s.settled, c.want)
			}
		})
	}
}

// If a draw needs nothing from the organiser, the page asks for nothing.
func TestADrawThatNeedsNothingIsNotShown(t *testing.T) {
	for _, draw := range []waitingroom.Draw{
		{Version: 2, Source: domain.QueueDrawNone, State: waitingroom.DrawClosed},
		{Version: 2, Source: domain.QueueDrawWitness, State: waitingroom.DrawOpen, Size: -1},
		{Version: 2, Source: domain.QueueDrawWitness, State: waitingroom.DrawDrawn},
		{Version: 1, Source: domain.QueueDrawNone, State: waitingroom.DrawOpen, Size: -1},
	} {
		s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
		s.draw = waitingroom.RoomState{Status: waitingroom.StatusDraw, Draw: draw}
		v := newVisitor(t)
		v.logIn(s)
		if value[bool](v, isShown("#draw-panel")) {
			t.Errorf("shown for %+v", draw)
		}
	}
}

package browsertest

import (
	"context"
	"fmt"
	"slices"
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

// Figures answers what a test set: from a moment on, as the view does.
func (s *shop) Figures(_ context.Context, _ string, from time.Time, _ int) (domain.SaleFigures, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.figures
	f.Rows = slices.Clone(f.Rows)
	for i := range f.Rows {
		if f.Rows[i].Minute < from.Unix()/60 {
			f.Rows[i].Minute = 0
		}
	}
	return f, nil
}

// setFigures replaces what the view has of the sale.
func (s *shop) setFigures(change func(*domain.SaleFigures)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.figures.Rows = slices.Clone(s.figures.Rows)
	change(&s.figures)
}

// sells adds rows of what was sold, a minute each, to a view.
func sells(f *domain.SaleFigures, class string, first, price int64, counts ...int64) {
	for i, n := range counts {
		f.Rows = append(f.Rows, domain.FigureRow{
			FigureKey: domain.FigureKey{Sale: "concert", Figure: domain.FigureSold, About: class, Currency: "EUR", Minute: first + int64(i)},
			FigureSum: domain.FigureSum{Count: n, AmountMinor: n * price},
		})
	}
}

// The organiser's page plots what is sold, says how far it lags, and follows the view.
func TestTheOrganiserSeesHowItSells(t *testing.T) {
	s := open(t)
	s.setFigures(func(f *domain.SaleFigures) { f.StepMinutes = 1 })
	v := newVisitor(t)
	v.open(s.URL + "/organiser/sales/concert")
	v.run(chromedp.SetValue(chromedp.CSS("#token"), "an-admin-token-of-tests"))
	v.click("#login button")
	v.shows("Nothing is sold yet.")
	v.shows("Up to date.")

	const minute = 29_000_000
	s.setFigures(func(f *domain.SaleFigures) {
		sells(f, "VIP", minute, 6500, 4, 9, 7, 3, 1)
		sells(f, longName, minute+1, 12_345_600, 2, 5, 40, 21, 3)
		f.Rows = append(f.Rows,
			domain.FigureRow{FigureKey: domain.FigureKey{Figure: domain.FigurePaid, Currency: "EUR"}, FigureSum: domain.FigureSum{Count: 50, AmountMinor: 123_456}},
			domain.FigureRow{FigureKey: domain.FigureKey{Figure: domain.FigureVoided, About: "VIP", Currency: "EUR"}, FigureSum: domain.FigureSum{Count: 2, AmountMinor: 13_000}},
			domain.FigureRow{FigureKey: domain.FigureKey{Figure: domain.FigureRefundBegun, About: "organiser", Currency: "EUR"}, FigureSum: domain.FigureSum{Count: 2, AmountMinor: 13_000}},
			domain.FigureRow{FigureKey: domain.FigureKey{Figure: domain.FigureRefunded, About: "organiser", Currency: "EUR"}, FigureSum: domain.FigureSum{Count: 1, AmountMinor: 6_500}},
			domain.FigureRow{FigureKey: domain.FigureKey{Figure: domain.FigureUnsold, About: "expired", Currency: "EUR"}, FigureSum: domain.FigureSum{Count: 10}})
		f.Behind, f.Lag = 12, 2500*time.Millisecond
	})
	v.shows("12 events behind, since 3 s.")
	v.shows("Tickets sold by minute, from")
	if got := value[[]int](v, "[...document.querySelectorAll('#plot g')].map((bar) => bar.querySelectorAll('rect').length)"); !slices.Equal(got, []int{1, 2, 2, 2, 2, 1}) {
		t.Errorf("the bars have %v parts", got)
	}
	if got := value[string](v, "document.querySelector('#plot text').textContent + ' ' + document.getElementById('plot').getAttribute('aria-label')"); !strings.HasPrefix(got, "43 Tickets sold by minute, at most 43 at ") {
		t.Errorf("%q", got)
	}
	for name, want := range map[string]string{"sold": "93", "orders": "49", "gross": "€1,234.56", "refunded": "€65.00", "refunding": "€65.00", "net": "€1,169.56", "converted": "83 %"} {
		if got := value[string](v, "document.querySelector('[data-figure="+name+"]').textContent"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	v.shows("Refunded by you")
	v.picture("organiser-figures")
	for _, width := range []int64{320, 1280} {
		v.run(chromedp.EmulateViewport(width, 844))
		v.wait(fmt.Sprintf("innerWidth >= %d && document.documentElement.clientWidth <= %[1]d", width))
		v.picture(fmt.Sprintf("organiser-figures-%d", width))
		if found := value[string](v, outside); found != "" {
			t.Errorf("wider than %d px: %s", width, found)
		}
	}
	v.click("[data-span='60']")
	v.shows("Nothing was sold in this time.")
	v.wait("document.querySelector('[data-span=\"60\"]').getAttribute('aria-pressed') === 'true' && !document.querySelector('#plot rect')")
}

// Arrivals answers what a test set.
func (s *shop) Arrivals(context.Context, string) (domain.SaleArrivals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrivals == nil {
		return domain.SaleArrivals{}, domain.NotFound("waiting room")
	}
	return *s.arrivals, nil
}

// The organiser's page says how many will come, from what, and how wrong that was before; or why it does not.
func TestTheOrganiserSeesHowManyWillCome(t *testing.T) {
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	past := func(sales int) (all []domain.Arrivals) {
		for i := range int64(sales) {
			all = append(all, domain.Arrivals{Joined: 100 << i, Came: 500 << i})
		}
		return all
	}
	for _, c := range []struct {
		name   string
		joined int64
		past   int
		says   []string
	}{
		{"too few sales", 70, 4, []string{"No forecast: it takes 6 past sales with waiting rooms, and there are 4.", "70 joined so far."}},
		{"by joins", 1000, 7, []string{"Some 5,000 people will come, for 120 tickets.", "1,000 joined so far. From 7 past sales, by how many had joined as long before the opening.", "by a factor of 1.0 in the middle"}},
		{"more than ever", 50_000, 7, []string{"Some 250,000 people will come", "so trust it less."}},
		{"before anybody joined", 0, 7, []string{"0 joined so far. From 7 past sales, by how many came; how many have joined is not used."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
			s.arrivals = &domain.SaleArrivals{Arrivals: domain.Arrivals{OpensAt: at.Add(time.Hour), Joined: c.joined, Came: c.joined}, Now: at, Past: past(c.past)}
			v := newVisitor(t)
			v.logIn(s)
			v.wait(isShown("#forecast"))
			for _, text := range c.says {
				v.shows(text)
			}
			v.picture("organiser-forecast-" + strings.ReplaceAll(c.name, " ", "-"))
		})
	}
}

// Where there is nothing to forecast, the page shows no panel.
func TestNoForecastWithoutAWaitingRoom(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
	v := newVisitor(t)
	v.logIn(s)
	if value[bool](v, isShown("#forecast")) {
		t.Error("a forecast is shown for a sale of which there is none")
	}
}

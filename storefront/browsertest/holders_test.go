package browsertest

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"boxoffice/domain"
)

func asksForNames(sale *domain.Sale) {
	sale.Facts.HolderNames = domain.HolderNames{Asked: true, Until: time.Date(2099, 5, 1, 12, 0, 0, 0, time.UTC)}
}

// holdersOf are the names on an order's tickets.
func (s *shop) holdersOf(id domain.OrderID) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ticket := range s.sold[id].Tickets {
		names = append(names, ticket.Holder)
	}
	return names
}

func TestABuyerSaysWhoTheTicketsAreFor(t *testing.T) {
	s := open(t, asksForNames)
	id, token := s.hold("VIP", 2)
	s.pay(id)
	v := newVisitor(t)
	v.open(s.URL + "/orders/" + id.String() + "#" + token)
	v.shows("Who are the tickets for?")
	v.shows("You can change them until")
	v.run(chromedp.SetValue(chromedp.CSS("#holder-1"), "김민준"), chromedp.SetValue(chromedp.CSS("#holder-2"), "Jürgen <b>Groß</b>"))
	v.click("#holders button")
	v.shows("The names stand on the tickets now")
	v.wait(`[...document.querySelectorAll('.ticket-holder')].map((e) => e.innerText).join() === '김민준,Jürgen <b>Groß</b>'`)
	if names := strings.Join(s.holdersOf(id), ","); names != "김민준,Jürgen <b>Groß</b>" {
		t.Errorf("stored %q", names)
	}
	v.open("about:blank")
	v.open(s.URL + "/orders/" + id.String() + "#" + token)
	v.wait(`document.querySelector('#holder-1')?.value === '김민준' && document.querySelectorAll('.ticket-holder:not([hidden])').length === 2`)
	v.picture("order-holders")

	v.run(chromedp.SetValue(chromedp.CSS("#holder-1"), strings.Repeat("김", 100))) // more bytes than letters
	v.click("#holders button")
	v.shows("One of the names cannot be saved")
	v.wait(`document.querySelector('.ticket-holder').innerText === '김민준'`)
}

func TestASaleThatAsksForNoNames(t *testing.T) {
	s := open(t)
	id, token := s.hold("VIP", 1)
	s.pay(id)
	v := newVisitor(t)
	v.open(s.URL + "/orders/" + id.String() + "#" + token)
	v.shownHeading("You are in!")
	v.wait(`document.getElementById('holders').hidden && document.querySelector('.ticket-holder').hidden`)
}

func TestWithoutScriptsABuyerSaysWhoTheTicketsAreFor(t *testing.T) {
	s := open(t, asksForNames)
	v := newVisitor(t, withoutScripts())
	v.open(s.URL + "/sales/concert")
	v.fill("VIP", "2")
	v.click("#buy")
	v.shownHeading("Your seats are held")
	id, _ := s.onlyOrder()
	s.pay(id)
	v.open(s.URL + "/orders/" + id.String())
	v.shows("Who are the tickets for?")
	v.run(chromedp.SetValue(chromedp.CSS("#plain-holder-2"), "김민준"))
	v.click("form[action$='/holders'] button")
	v.wait(`document.querySelector('.ticket-holder')?.innerText === '김민준'`)
	if names := strings.Join(s.holdersOf(id), ","); names != ",김민준" {
		t.Errorf("stored %q", names)
	}
	v.run(chromedp.SetValue(chromedp.CSS("#plain-holder-1"), strings.Repeat("김", 100)))
	v.click("form[action$='/holders'] button")
	v.shownHeading("One of the names cannot be saved")
}

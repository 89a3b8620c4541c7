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

const waitingPlace = "place-that-waits-in-a-test"

// isShown is true if what a selector finds is visible.
func isShown(selector string) string {
	return fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.checkVisibility())", selector)
}

// What a buyer fills in while waiting is there when the turn comes, one press away. Nothing is held or sent before.
func TestAnOrderIsPreparedWhileWaiting(t *testing.T) {
	for _, browser := range []struct {
		name    string
		prepare []action
	}{
		{"of today", nil},
		{"of 2021", []action{beforeLoad(newerThanSafari15)}},
	} {
		t.Run(browser.name, func(t *testing.T) {
			s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
			s.setPlace(waitingPlace, func(p *waitingroom.Place) {
				*p = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusWaiting, Position: 312, Ahead: 311, RetryAfter: time.Second}
			})
			v := newVisitor(t, browser.prepare...)
			v.open(s.URL + "/queue/" + waitingPlace)
			v.shownHeading("You are in the queue")
			v.shows("Nothing is reserved by this")
			v.choose("VIP", 2)
			v.run(chromedp.SetValue(chromedp.CSS("#email"), "grace@example.com"))
			v.run(evaluated(`document.querySelector('#email').dispatchEvent(new Event('input', { bubbles: true }))`))
			if value[bool](v, `getComputedStyle(document.getElementById('buy')).display !== 'none'`) {
				t.Error("there is a button to buy before the turn")
			}
			v.run(evaluated(`document.getElementById('checkout').requestSubmit?.()`)) // as Enter does
			v.picture("waiting-prepared")
			v.open(s.URL + "/queue/" + waitingPlace) // the browser was closed meanwhile
			v.wait(`document.querySelector('#quantity-VIP').value === '2' && document.querySelector('#email').value === 'grace@example.com'`)
			if s.times("POST /v1/sales/concert/checkouts") > 0 || s.heldOrders() > 0 {
				t.Error("something was ordered before the turn")
			}
			s.setPlace(waitingPlace, func(p *waitingroom.Place) { p.Status, p.Position, p.Ahead = waitingroom.StatusAdmitted, 0, 0 })
			v.shownHeading("It is your turn")
			v.shows("Your order is filled in")
			v.wait(`document.getElementById('buy').textContent === 'Hold 2 tickets'`)
			v.picture("turn-prepared")
			v.click("#buy")
			v.shownHeading("Your seats are held")
			s.onlyOrder()
			if kept := value[string](v, `localStorage.getItem('boxoffice.basket.concert') ?? ''`); kept != "" {
				t.Errorf("kept after it was ordered: %s", kept)
			}
		})
	}
}

// What was prepared may be sold out when the turn comes. The page says so, and the buyer can choose fewer.
func TestThePreparedTicketsMayBeSoldOut(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
	s.setPlace(waitingPlace, func(p *waitingroom.Place) {
		*p = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusDraw, RetryAfter: time.Second}
	})
	v := newVisitor(t)
	v.open(s.URL + "/queue/" + waitingPlace)
	v.shownHeading("You are in the draw")
	v.choose("VIP", 3)
	s.setStock(ledgerOfVIP, 0, 19)
	s.setPlace(waitingPlace, func(p *waitingroom.Place) { p.Status = waitingroom.StatusAdmitted })
	v.shownHeading("It is your turn")
	v.wait(`document.getElementById('buy').textContent === 'Not enough left'`)
	v.click(step("VIP", -1))
	v.click(step("VIP", -1))
	v.wait(`document.getElementById('buy').textContent === 'Hold 1 ticket'`)
}

// If a turn lapses, the form stays filled in for the next one.
func TestALapsedTurnKeepsThePreparedOrder(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
	s.setPlace(waitingPlace, func(p *waitingroom.Place) {
		*p = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusAdmitted, RetryAfter: time.Second}
	})
	v := newVisitor(t)
	v.open(s.URL + "/queue/" + waitingPlace)
	v.shownHeading("It is your turn")
	v.choose("VIP", 1)
	s.setPlace(waitingPlace, func(p *waitingroom.Place) {
		p.Status, p.Late, p.Position, p.Ahead = waitingroom.StatusWaiting, true, 3, 2
	})
	v.open(s.URL + "/queue/" + waitingPlace)
	v.shows("Your turn has passed")
	v.wait(`document.querySelector('#quantity-VIP').value === '1' && !(` + isShown("#buy") + `)`)
	s.setPlace(waitingPlace, func(p *waitingroom.Place) {
		p.Status, p.Late, p.Position, p.Ahead = waitingroom.StatusAdmitted, false, 0, 0
	})
	v.wait(`document.getElementById('buy').textContent === 'Hold 1 ticket'`)
	v.wait(isShown("#buy"))
}

// Without JavaScript it is a page of its own.
func TestAnOrderIsPreparedWithoutScripts(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
	s.setPlace(waitingPlace, func(p *waitingroom.Place) {
		*p = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusWaiting, Position: 312, Ahead: 311, RetryAfter: time.Minute}
	})
	v := newVisitor(t, withoutScripts())
	v.open(s.URL + "/queue/" + waitingPlace)
	v.click(`a[href$="/basket"]`)
	v.run(chromedp.SetValue(chromedp.CSS("#quantity-VIP"), "2"), chromedp.SetValue(chromedp.CSS("#email"), "grace@example.com"))
	v.click("#keep-basket")
	v.shows("what you filled in is kept")
	s.setPlace(waitingPlace, func(p *waitingroom.Place) { p.Status, p.Position, p.Ahead = waitingroom.StatusAdmitted, 0, 0 })
	v.open(s.URL + "/queue/" + waitingPlace)
	v.shows("Your order is filled in")
	v.click("#buy")
	eventually(t, "an order", func() bool { return s.heldOrders() == 1 })
}

// A sale that asks for a code says so and says what is wrong with one. A lost answer loses nothing.
func TestAPlaceWithACode(t *testing.T) {
	s := open(t, func(sale *domain.Sale) {
		sale.WaitingRoom, sale.Entitlement.PresaleCodes = true, true
	})
	s.codes["7K2M-9QXA-1234-ABCD"], s.codes["USED-USED-USED"] = "", "a key of somebody else's"
	v := newVisitor(t)
	v.open(s.URL + "/sales/concert")
	v.shows("Your presale code")
	v.click("#join-button")
	v.shows("This sale asks for a presale code")
	for code, says := range map[string]string{"WRONG-WRONG-WRONG": "check it letter by letter", "USED-USED-USED": "This code or invitation was used already"} {
		v.run(chromedp.SetValue(chromedp.CSS("#entitlement"), code))
		v.click("#join-button")
		v.shows(says)
	}
	v.picture("join-code-refused")
	s.mu.Lock()
	s.losing = 1 // the place is taken, but the answer is lost
	s.mu.Unlock()
	v.run(chromedp.SetValue(chromedp.CSS("#entitlement"), "7K2M-9QXA-1234-ABCD"))
	v.click("#join-button")
	v.shownHeading("You are in the queue")

	other := newVisitor(t)
	other.open(s.URL + "/sales/concert#code=7K2M-9QXA-1234-ABCD") // somebody else opens the link
	other.wait(`document.getElementById('entitlement').value === '7K2M-9QXA-1234-ABCD'`)
	other.click("#join-button")
	other.shows("This code or invitation was used already")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, asked := range s.asked {
		if strings.Contains(asked, "7K2M") {
			t.Errorf("a code is in a URL: %s", asked)
		}
	}
}

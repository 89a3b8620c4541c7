package browsertest

import (
	"fmt"
	"strings"
	"testing"

	"boxoffice/domain"
)

// "You hold 2 tickets, 3:41 left" stands on every page, with a link, for as long as it is so. Who holds nothing asks nothing.
func TestEveryPageSaysWhatIsOnHold(t *testing.T) {
	const says = `/^You hold 2 tickets of Concert, (10:00|9:[0-5][0-9]) left\. Go to your order$/.test(document.getElementById('holding').innerText.trim())`
	for name, prepare := range map[string]string{"a current browser": "", "one that stores nothing": noStorage, "one of 2021": newerThanSafari15} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			v := newVisitor(t, beforeLoad(prepare))
			v.open(s.URL + "/")
			v.shownHeading("On sale now")
			v.open(s.URL + "/sales/concert")
			v.hold("VIP", 2)
			v.shownHeading("Your seats are held")
			if n := s.times("GET /held"); n > 1 { // of the order's own page
				t.Errorf("%d requests, though nothing was held before", n)
			}
			if !value[bool](v, "document.getElementById('holding').hidden") {
				t.Error("the order's own page says it twice")
			}
			for _, path := range []string{"/", "/sales/concert", "/orders", "/nothing/here"} {
				v.open(s.URL + path)
				v.wait(says)
			}
			v.picture("holding")
			v.click("#holding a")
			v.shownHeading("Your seats are held")
			id, _ := s.onlyOrder()
			s.pay(id)
			v.shownHeading("You are in!")
			v.open(s.URL + "/")
			v.wait("!document.cookie.includes('boxoffice-holding-')") // asked, and nothing is held any more
			if !value[bool](v, "document.getElementById('holding').hidden") {
				t.Error("it says so after paying")
			}
		})
	}
	t.Run("without scripts", func(t *testing.T) {
		s := open(t)
		v := newVisitor(t, withoutScripts())
		v.open(s.URL + "/sales/concert")
		v.fill("VIP", "2")
		v.click("#buy")
		v.shownHeading("Your seats are held")
		for _, path := range []string{"/", "/sales/concert", "/orders"} {
			v.open(s.URL + path)
			v.shows("You hold 2 tickets of Concert, ")
		}
	})
}

// After an order that came to nothing the form is as it was, and the address was in no URL.
func TestTryAgainKeepsChoicesAndAddress(t *testing.T) {
	for status, heading := range map[domain.OrderStatus]string{domain.OrderExpired: "Time is up", domain.OrderFailed: "The payment did not go through"} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, plain %t", status, plain), func(t *testing.T) {
				s := open(t)
				var prepare []action
				if plain {
					prepare = append(prepare, withoutScripts())
				}
				v := newVisitor(t, prepare...)
				v.open(s.URL + "/sales/concert")
				if plain {
					v.fill("VIP", "2")
					v.click("#buy")
				} else {
					v.hold("VIP", 2)
				}
				v.shownHeading("Your seats are held")
				id, _ := s.onlyOrder()
				s.end(id, status)
				if plain {
					v.open(s.URL + "/orders/" + id.String())
				}
				v.shownHeading(heading)
				if plain {
					v.click("a[href$='/again']")
				} else {
					v.click(fmt.Sprintf("[data-state=%q] a", status))
				}
				v.wait(`document.querySelector('#quantity-VIP')?.value === '2' && document.querySelector('#email').value === 'buyer@example.com'`)
				if address := value[string](v, "location.href"); strings.Contains(address, "buyer") {
					t.Errorf("the address is %s", address)
				}
				v.click("#buy")
				v.shownHeading("Your seats are held")
				if n := s.heldOrders(); n != 2 {
					t.Errorf("%d orders were held", n)
				}
			})
		}
	}
}

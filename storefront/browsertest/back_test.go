package browsertest

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

func limitOf(tickets int64) func(*domain.Sale) {
	return func(sale *domain.Sale) { sale.BuyerLimit = tickets }
}

func TestBackFromAnOrderOffersIt(t *testing.T) {
	for name, prepare := range map[string]string{"a current browser": "", "one of 2021": newerThanSafari15, "one that stores nothing": noStorage} {
		t.Run(name, func(t *testing.T) {
			s := open(t, limitOf(2))
			v := newVisitor(t, beforeLoad(prepare))
			v.open(s.URL + "/sales/concert")
			v.hold("VIP", 2)
			v.shownHeading("Your seats are held")
			v.run(chromedp.NavigateBack())
			v.shows("You have tickets on hold until")
			v.shows("2 × class VIP · €130.00")

			// Trying again shows no protocol error.
			v.fill("VIP", "1")
			v.click("#buy")
			v.shows("You have 2 tickets on hold already, see above")
			if text := value[string](v, "document.body.innerText"); strings.Contains(text, "Idempotency") {
				t.Errorf("a buyer is told of Idempotency-Keys:\n%s", text)
			}
			v.click("#held a")
			v.shownHeading("Your seats are held")
			if n := s.heldOrders(); n != 1 {
				t.Errorf("%d orders were held", n)
			}
		})
	}
}

func TestAHeldOrderIsCanceledFromTheSalesPage(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.open(s.URL + "/sales/concert")
	v.hold("VIP", 2)
	v.shownHeading("Your seats are held")
	v.open(s.URL + "/sales/concert")
	v.shows("You have tickets on hold until")
	v.shows("18 of 20 left")
	v.click("#held button")
	v.shows("The seats are given back")
	v.wait("document.getElementById('held').hidden")
	v.shows("20 of 20 left")
	if _, status := s.onlyOrder(); status != domain.OrderCanceled {
		t.Errorf("the order is %s", status)
	}
	if focused := value[string](v, "document.activeElement.id"); focused != "held-message" {
		t.Errorf("the focus is on %q, want it on the result", focused)
	}
}

func TestOnlyWhatIsOnHoldIsOffered(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.open(s.URL + "/sales/concert")
	v.hold("VIP", 1)
	v.shownHeading("Your seats are held")
	id, _ := s.onlyOrder()
	s.pay(id)
	v.shownHeading("You are in!")
	v.open(s.URL + "/sales/concert")
	eventually(t, "the page reads the order", func() bool { return s.times("GET /sales/concert") == 2 && s.times("GET /v1/orders/"+id.String()) > 1 })
	v.wait("JSON.parse(localStorage.getItem('boxoffice.held.concert')) === null") // read, and forgotten
	if !value[bool](v, "document.getElementById('held').hidden") {
		t.Errorf("an order that is paid is offered as on hold:\n%s", v.describe())
	}
}

func TestWithoutScriptsBackFromAnOrderOffersIt(t *testing.T) {
	const key = "document.querySelector('#checkout [name=key]').value"
	s := open(t)
	v := newVisitor(t, withoutScripts())
	v.open(s.URL + "/sales/concert")
	first := value[string](v, key)
	v.fill("VIP", "2")
	v.click("#buy")
	v.shownHeading("Your seats are held")
	v.run(chromedp.NavigateBack())
	v.shows("You have tickets on hold until")
	v.shows("2 × class VIP · €130.00")

	// Some browsers show the form as it was left: its key has its answer.
	v.run(evaluated(key + " = '" + first + "'"))
	v.fill("VIP", "3")
	v.click("#buy")
	v.shows("You have ordered already")
	if text := value[string](v, "document.body.innerText"); strings.Contains(text, "Idempotency") {
		t.Errorf("a buyer is told of Idempotency-Keys:\n%s", text)
	}
	if n := s.heldOrders(); n != 1 {
		t.Errorf("%d orders were held", n)
	}
	v.click(".held a")
	v.shownHeading("Your seats are held")
	v.click("form[action$='/cancel'] button")
	v.shownHeading("The order is canceled")
}

// fill types a number of tickets of a class, and an address.
func (v *visitor) fill(class, quantity string) {
	v.t.Helper()
	v.run(chromedp.SetValue(chromedp.CSS("#quantity-"+class), quantity), chromedp.SetValue(chromedp.CSS("#email"), "buyer@example.com"))
}

func TestTheWayIntoAQueueOffersWhatIsOnHold(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
	id, token := s.hold("VIP", 2)
	v := newVisitor(t)
	v.open(s.URL + "/orders/" + id.String() + "#" + token) // however they found the page
	v.shownHeading("Your seats are held")
	v.open(s.URL + "/sales/concert")
	v.shows("You have tickets on hold until")
	v.click("#held button")
	v.shows("The seats are given back")
}

// A place may be sold out by now, but what it got is still on hold.
func TestASoldOutPlaceOffersWhatIsOnHold(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.WaitingRoom = true })
	id, token := s.hold("VIP", 2)
	s.places["place-of-one-test"] = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusSoldOut}
	v := newVisitor(t)
	v.open(s.URL + "/orders/" + id.String() + "#" + token)
	v.shownHeading("Your seats are held")
	v.open(s.URL + "/queue/place-of-one-test")
	v.shownHeading("Sold out")
	v.shows("You have tickets on hold until")
	v.click("#held a")
	v.shownHeading("Your seats are held")
}

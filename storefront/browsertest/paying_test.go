package browsertest

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"boxoffice/domain"
	"boxoffice/payments"
)

const asking = "We are asking whether you paid"

// seesPay records whether "pay" was ever to be seen in a page.
const seesPay = `
window.sawPay = false;
new MutationObserver(() => {
  const pay = document.querySelector('[data-field="pay"]');
  if (pay?.offsetParent) window.sawPay = true;
}).observe(document, { subtree: true, childList: true, attributes: true });
`

func (v *visitor) neverSawPay() {
	v.t.Helper()
	if value[bool](v, "window.sawPay") {
		v.t.Errorf("the page offered to pay\n%s", v.describe())
	}
}

// In these tests no webhook ever comes.
func TestComingBackFromPayingTheProviderIsAsked(t *testing.T) {
	for name, prepare := range map[string][]action{
		"in another browser":     {beforeLoad(seesPay)},
		"without storage":        {beforeLoad(seesPay), beforeLoad(noStorage)},
		"in a browser from 2021": {beforeLoad(seesPay), beforeLoad(newerThanSafari15)},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			id, _ := s.hold("VIP", 2)
			s.atProvider(func(p *provider) { p.status[id] = payments.SessionCaptured })
			v := newVisitor(t, prepare...)
			v.open(s.URL + "/orders/" + id.String() + "#back=" + s.keys.WayBackKey(id, time.Now().Add(time.Hour)))
			v.shownHeading("You are in!")
			v.neverSawPay()
			if n := s.providerAsked(); n != 1 {
				t.Errorf("the provider was asked %d times", n)
			}
		})
	}
}

func TestWhileTheProviderDoesNotAnswerNobodyIsAskedToPayAgain(t *testing.T) {
	for name, prepare := range map[string]string{"a current browser": "", "one that stores nothing": noStorage} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			id, _ := s.hold("VIP", 2)
			s.atProvider(func(p *provider) { p.away = true })
			v := newVisitor(t, beforeLoad(seesPay), beforeLoad(prepare))
			v.open(s.URL + "/orders/" + id.String() + "#back=" + s.keys.WayBackKey(id, time.Now().Add(time.Hour)))
			v.shownHeading(asking)
			eventually(t, "the page asks again", func() bool { return s.providerAsked() > 1 })
			v.neverSawPay()
			v.run(chromedp.Reload()) // the address has the order's token now, and no way back
			v.shownHeading(asking)
			v.neverSawPay()
			v.picture("order-asking-1280")

			s.atProvider(func(p *provider) { p.away, p.status[id] = false, payments.SessionProcessing })
			v.shows("Your payment is being processed.")
			s.atProvider(func(p *provider) { p.status[id] = payments.SessionCaptured })
			v.shownHeading("You are in!")
			v.neverSawPay()
		})
	}
}

// Who comes back without having paid may pay.
func TestComingBackWithoutHavingPaid(t *testing.T) {
	for name, prepare := range map[string]string{"a current browser": "", "one that stores nothing": noStorage, "one of 2021": newerThanSafari15} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			v := newVisitor(t, beforeLoad(prepare))
			v.open(s.URL + "/sales/concert")
			v.hold("VIP", 2)
			v.shownHeading("Your seats are held")
			if n := s.providerAsked(); n != 0 {
				t.Errorf("the provider was asked %d times about an order that nobody went to pay for", n)
			}
			id, _ := s.onlyOrder()
			s.atProvider(func(p *provider) { p.status[id] = payments.SessionOpen })
			v.click(`[data-field="pay"]`)
			v.shownHeading("Pay")
			v.run(chromedp.NavigateBack())
			v.shownHeading("Your seats are held")
			if n := s.providerAsked(); n == 0 {
				t.Error("the provider was not asked")
			}
			v.wait(`document.querySelector('[data-field="pay"]').href`)

			s.atProvider(func(p *provider) { p.status[id] = payments.SessionCaptured })
			v.click(`[data-field="pay"]`)
			v.shownHeading("Pay")
			v.run(chromedp.NavigateBack())
			v.shownHeading("You are in!")
		})
	}
}

// A buyer who pays in another tab comes back to a page that was there all the time.
func TestPayingInAnotherTab(t *testing.T) {
	s := open(t)
	id, token := s.hold("VIP", 1)
	s.atProvider(func(p *provider) { p.status[id] = payments.SessionOpen })
	v := newVisitor(t, beforeLoad(hideable))
	v.open(s.URL + "/orders/" + id.String() + "#" + token)
	v.shownHeading("Your seats are held")
	v.wait(`document.querySelector('[data-field="pay"]').href`)
	v.wait(`document.querySelector('[data-field="pay"]').dispatchEvent(new MouseEvent('auxclick', { button: 1 }))`)
	if n := s.providerAsked(); n != 0 {
		t.Errorf("the provider was asked %d times before the buyer came back", n)
	}
	s.atProvider(func(p *provider) { p.away = true })
	v.wait("bringTo(true) || bringTo(false) || true")
	v.shownHeading(asking)
	s.atProvider(func(p *provider) { p.away, p.status[id] = false, payments.SessionCaptured })
	v.shownHeading("You are in!")
}

// The time may be over while the provider is away.
func TestAskingEndsWithTheOrder(t *testing.T) {
	s := open(t)
	id, _ := s.hold("VIP", 1)
	s.atProvider(func(p *provider) { p.away = true })
	v := newVisitor(t)
	v.open(s.URL + "/orders/" + id.String() + "#back=" + s.keys.WayBackKey(id, time.Now().Add(time.Hour)))
	v.shownHeading(asking)
	s.end(id, domain.OrderExpired)
	v.shownHeading("Time is up")
}

// Without JavaScript: a cookie remembers that the buyer went to pay.
func TestComingBackFromPayingWithoutJavaScript(t *testing.T) {
	s := open(t)
	v := newVisitor(t, withoutScripts())
	v.open(s.URL + "/sales/concert")
	v.fill("VIP", "2")
	v.click("#buy")
	v.shownHeading("Your seats are held")
	id, _ := s.onlyOrder()
	page := s.URL + "/orders/" + id.String()
	if n := s.providerAsked(); n != 0 {
		t.Errorf("the provider was asked %d times before anybody paid", n)
	}
	s.atProvider(func(p *provider) { p.away = true })
	v.click(`a[href$="/pay"]`)
	v.shownHeading("Pay")
	v.open(page)
	v.shownHeading(asking)
	if n := value[int](v, `document.querySelectorAll('noscript a[href$="/pay"]').length`); n != 0 {
		t.Error("the page offers to pay again")
	}
	s.atProvider(func(p *provider) { p.away, p.status[id] = false, payments.SessionCaptured })
	v.shownHeading("You are in!") // it reads itself again
}

// A free order has nothing to pay: the page waits for the tickets.
func TestAFreeOrderShowsItsTicketsAndNoMoney(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.Classes[0].PriceMinor = 0 })
	v := newVisitor(t, beforeLoad(seesPay))
	v.open(s.URL + "/")
	v.shows("free or from €123,456.00")
	v.open(s.URL + "/sales/concert")
	v.fill("VIP", "2")
	v.shows("free")
	v.wait(`document.getElementById('buy').textContent === 'Get 2 free tickets'`)
	v.click("#buy")
	v.shownHeading("Your tickets are being made")
	v.shows("There is nothing to pay.")
	v.neverSawPay()
	id, _ := s.onlyOrder()
	s.pay(id)
	v.shownHeading("You are in!")
	s.takeBack(id)
	v.run(chromedp.Reload())
	v.shownHeading("Your tickets are canceled")
	if text := value[string](v, "document.querySelector('main').innerText"); strings.Contains(text, "€") || strings.Contains(text, "money") {
		t.Errorf("the page speaks of money:\n%s", text)
	}
}

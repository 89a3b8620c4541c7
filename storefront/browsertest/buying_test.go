package browsertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// newerThanSafari15 removes what older browsers that people still use lack, and what
// browsers give only to pages over TLS.
const newerThanSafari15 = `
delete AbortSignal.timeout; delete AbortSignal.any; delete window.structuredClone; delete crypto.randomUUID; delete crypto.subtle;
for (const type of [Array, String, Object.getPrototypeOf(Int8Array)]) delete type.prototype.at;
for (const name of ['findLast', 'findLastIndex', 'toSorted', 'toReversed', 'toSpliced', 'with', 'group']) delete Array.prototype[name];
for (const name of ['hasOwn', 'groupBy']) delete Object[name];
delete Promise.withResolvers; delete Promise.try; delete Array.fromAsync;
delete window.BroadcastChannel; delete window.SharedWorker; delete window.scheduler; delete window.navigation; delete window.requestIdleCallback;
delete Navigator.prototype.locks; delete Element.prototype.checkVisibility; delete HTMLElement.prototype.showPopover;
`

// step is the selector of a class's "+" (1) or "−" (-1), once the script has come that it needs.
func step(class string, by int) string {
	return fmt.Sprintf(`[data-live] .class[data-class="%s"] [data-step="%d"]`, class, by)
}

// choose presses a class's "+" n times, once the form listens: its script comes after the page's.
func (v *visitor) choose(class string, tickets int) {
	v.t.Helper()
	v.wait(`document.querySelector('[data-step="-1"][aria-disabled="true"]')`) // of a class that nothing is chosen of
	for range tickets {
		v.click(step(class, 1))
	}
}

// hold chooses tickets of a class, says who wants them, and presses the button.
func (v *visitor) hold(class string, tickets int) {
	v.t.Helper()
	v.choose(class, tickets)
	v.run(chromedp.SetValue(chromedp.CSS("#email"), "buyer@example.com"))
	v.click("#buy")
}

func TestABuyerHoldsPaysAndSeesTheTickets(t *testing.T) {
	for _, browser := range []struct {
		name    string
		prepare []action
	}{
		{"of today", nil},
		{"of 2021", []action{beforeLoad(newerThanSafari15)}},
	} {
		t.Run(browser.name, func(t *testing.T) {
			s := open(t)
			v := newVisitor(t, browser.prepare...)
			v.open(s.URL + "/sales/concert")
			v.hold("VIP", 2)
			v.shownHeading("Your seats are held")
			id, _ := s.onlyOrder()
			s.pay(id)
			v.shownHeading("You are in!")
			v.wait(`document.querySelectorAll('.ticket img[src^="blob:"]').length === 2`)
		})
	}
}

// A declined buyer keeps the seats: the page says so with the time and the attempts that are
// left, and the same link pays. Giving the seats back is the buyer's choice.
func TestADeclinedBuyerTriesAgain(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.open(s.URL + "/sales/concert")
	v.hold("VIP", 2)
	v.shownHeading("Your seats are held")
	if text := value[string](v, "document.body.innerText"); strings.Contains(text, "Declined") {
		t.Fatalf("a buyer who was not declined reads\n%s", text)
	}
	id, _ := s.onlyOrder()
	s.decline(id)
	v.shows("Declined: try again, ")
	v.shows("9 more attempts are possible")
	v.wait(`/try again, [0-9]+:[0-5][0-9] left/.test(document.body.innerText)`)
	v.wait(`document.querySelector('section:not([hidden]) a.primary').getAttribute('href') === '/pay/` + id.String() + `'`)
	for range 8 {
		s.decline(id)
	}
	v.shows("One more attempt is possible")
	v.shows("Give the seats back")
	s.pay(id)
	v.shownHeading("You are in!")
	if text := value[string](v, "document.body.innerText"); strings.Contains(text, "Declined") {
		t.Errorf("a buyer who has paid reads\n%s", text)
	}
}

// newStatus makes the API answer a status that the page does not know.
const newStatus = `
const real = window.fetch;
window.fetch = async (url, ...rest) => {
	const response = await real(url, ...rest);
	if (!/\/v1\/orders\/[0-9a-f]+$/.test(String(url))) return response;
	const body = await response.json();
	return new Response(JSON.stringify({ ...body, status: 'disputed' }), { status: response.status, headers: response.headers });
};`

func TestAStatusThatThePageDoesNotKnow(t *testing.T) {
	s := open(t)
	v := newVisitor(t, beforeLoad(newStatus))
	v.open(s.URL + "/sales/concert")
	v.hold("VIP", 1)
	v.shownHeading("Your order has news")
	v.wait(`[...document.querySelectorAll('[data-state]:not([hidden])')].every((section) => section.dataset.state === 'unknown' && section.innerText.includes('disputed'))`)
}

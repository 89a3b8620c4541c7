package browsertest

import (
	"context"
	_ "embed" // axe-core
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// axe is axe-core as it is published, see testdata/axe-core.
//
//go:embed testdata/axe-core/axe.min.js
var axe string

// A state is a page as a visitor may find it.
type state struct {
	name  string
	sale  func(*domain.Sale)
	plain bool // without JavaScript
	// enter brings a visitor there.
	enter func(*shop, *visitor)
	ready string // what is true in the page then
}

// heading is true once a heading is visible.
func heading(text string) string {
	return fmt.Sprintf("[...document.querySelectorAll('h1')].some((h) => h.offsetParent && h.textContent === %q)", text)
}

const chooses = "document.getElementById('buy')?.textContent === 'Choose tickets'"

// at opens a page of the shop.
func at(path string) func(*shop, *visitor) {
	return func(s *shop, v *visitor) { v.open(s.URL + path) }
}

// atOrder opens the page of an order for two tickets that something has become of.
func atOrder(change func(*shop, domain.OrderID)) func(*shop, *visitor) {
	return func(s *shop, v *visitor) {
		id, token := s.hold("VIP", 2)
		change(s, id)
		v.open(s.URL + "/orders/" + id.String() + "#" + token)
	}
}

// atPlace opens the page of a place in the queue.
func atPlace(place waitingroom.Place) func(*shop, *visitor) {
	return func(s *shop, v *visitor) {
		place.Sale = "concert"
		s.setPlace(waitingPlace, func(p *waitingroom.Place) { *p = place })
		v.open(s.URL + "/queue/" + waitingPlace)
	}
}

func ends(status domain.OrderStatus) func(*shop, *visitor) {
	return atOrder(func(s *shop, id domain.OrderID) { s.end(id, status) })
}

func withRoom(sale *domain.Sale) { sale.WaitingRoom = true }

// withAll is a sale that says all there is to say.
func withAll(sale *domain.Sale) {
	asksForNames(sale)
	sale.Perk = nil
	sale.Classes[0].Label = "Stalls, left"
	sale.Image = domain.SaleImage{Hash: "0123456789abcdef0123456789abcdef", Width: 32, Height: 18}
	starts := time.Date(2099, 6, 1, 18, 0, 0, 0, time.UTC)
	names := sale.Facts.HolderNames
	sale.Facts = domain.Facts{
		Description: "An evening.\nAnd a night.", Venue: domain.Venue{Name: "Tempodrom", Address: "Möckernstraße 10\n10963 Berlin"},
		StartsAt: starts, EndsAt: starts.Add(3 * time.Hour), TimeZone: "Europe/Berlin",
		Terms: "No cameras.", TermsURL: "https://example.com/terms", Imprint: "Bühne GmbH", HolderNames: names,
	}
}

// states are all pages that buyers see, in each state that looks different.
func states() []state {
	soldOut := func(held int64) func(*shop, *visitor) {
		return func(s *shop, v *visitor) {
			s.setStock(ledgerOfVIP, 20*held, 20*(1-held))
			s.setStock(ledgerOfLong, 100*held, 100*(1-held))
			v.open(s.URL + "/sales/concert")
		}
	}
	buysPlain := func(change func(*shop, domain.OrderID)) func(*shop, *visitor) {
		return func(s *shop, v *visitor) {
			v.open(s.URL + "/sales/concert")
			v.fill("VIP", "2")
			v.click("#buy")
			v.shownHeading("Your seats are held")
			id, _ := s.onlyOrder()
			change(s, id)
			v.open(s.URL + "/orders/" + id.String())
		}
	}
	nothing := func(*shop, domain.OrderID) {}
	waiting := waitingroom.Place{Status: waitingroom.StatusWaiting, Position: 312, Ahead: 311, Waiting: 5120, Wait: 3 * time.Minute, RetryAfter: time.Second, Draw: waitingroom.Draw{Commitment: strings.Repeat("c0ffee", 10)}}
	with := func(status waitingroom.Status) waitingroom.Place {
		place := waiting
		place.Status = status
		return place
	}
	return []state{
		{name: "front page", sale: withAll, enter: at("/"), ready: heading("On sale now")},
		{name: "front page, on hold already", ready: isShown("#holding a"), enter: func(s *shop, v *visitor) {
			v.open(s.URL + "/sales/concert")
			v.hold("VIP", 2)
			v.shownHeading("Your seats are held")
			v.open(s.URL + "/")
		}},
		{name: "sale", enter: at("/sales/concert"), ready: chooses},
		{name: "sale with facts", sale: withAll, enter: at("/sales/concert"), ready: chooses},
		{name: "sale, sold out", enter: soldOut(0), ready: "document.getElementById('buy')?.textContent === 'Sold out'"},
		{name: "sale, all on hold", enter: soldOut(1), ready: "document.getElementById('buy')?.textContent === 'None left right now'"},
		{name: "sale, later", sale: func(s *domain.Sale) { s.OpensAt = time.Now().Add(time.Hour) }, enter: at("/sales/concert"), ready: "!document.getElementById('clock').hidden"},
		{name: "sale, closed", sale: func(s *domain.Sale) { s.EndedAt = time.Now().Add(-time.Hour) }, enter: at("/sales/concert"), ready: "!document.getElementById('closed').hidden"},
		{name: "sale, canceled", sale: func(s *domain.Sale) { s.CanceledAt = time.Now() }, enter: at("/sales/concert"), ready: "!document.getElementById('canceled').hidden"},
		{name: "sale, on hold already", ready: isShown("#held .held"), enter: func(s *shop, v *visitor) {
			atOrder(nothing)(s, v)
			v.shownHeading("Your seats are held")
			v.open(s.URL + "/sales/concert")
		}},
		{name: "sale, refused", sale: limitOf(2), ready: "document.getElementById('message').innerText.includes('more than one person')", enter: func(s *shop, v *visitor) {
			s.hold("VIP", 2)
			v.open(s.URL + "/sales/concert")
			v.hold("VIP", 1)
		}},
		{name: "sale with a queue", sale: withRoom, enter: at("/sales/concert"), ready: isShown("#join-button")},
		{name: "sale with a draw", sale: func(s *domain.Sale) { s.WaitingRoom, s.OpensAt = true, time.Now().Add(time.Hour) }, enter: at("/sales/concert"), ready: "!document.getElementById('clock').hidden"},
		{name: "sale that asks for a code", sale: func(s *domain.Sale) { s.WaitingRoom, s.Entitlement.PresaleCodes = true, true }, ready: "!document.getElementById('join-message').hidden", enter: func(s *shop, v *visitor) {
			v.open(s.URL + "/sales/concert")
			v.click("#join-button")
		}},
		{name: "sale with a place", sale: withRoom, ready: isShown("#kept-link"), enter: func(s *shop, v *visitor) {
			atPlace(waiting)(s, v)
			v.shownHeading("You are in the queue")
			v.open(s.URL + "/sales/concert")
		}},
		{name: "place in the draw", sale: func(s *domain.Sale) { s.WaitingRoom, s.OpensAt = true, time.Now().Add(time.Hour) }, enter: atPlace(with(waitingroom.StatusDraw)), ready: heading("You are in the draw")},
		{name: "place", sale: withRoom, enter: atPlace(waiting), ready: heading("You are in the queue")},
		{name: "place, paused", sale: withRoom, enter: atPlace(with(waitingroom.StatusPaused)), ready: "!document.getElementById('paused').hidden"},
		{name: "place, its turn", sale: withRoom, enter: atPlace(with(waitingroom.StatusAdmitted)), ready: heading("It is your turn") + " && " + chooses},
		{name: "place, sold out", sale: withRoom, enter: atPlace(with(waitingroom.StatusSoldOut)), ready: heading("Sold out")},
		{name: "place, closed", sale: withRoom, enter: atPlace(with(waitingroom.StatusClosed)), ready: heading("The sale is closed")},
		{name: "place, canceled", sale: withRoom, enter: atPlace(with(waitingroom.StatusCanceled)), ready: heading("The sale is canceled")},
		{name: "order, held", sale: withAll, enter: atOrder(nothing), ready: "document.querySelector('.lines')"},
		{name: "order, declined", enter: atOrder(func(s *shop, id domain.OrderID) { s.decline(id) }), ready: "document.body.innerText.includes('Declined: try again, ')"},
		{name: "order, asking", ready: heading(asking), enter: func(s *shop, v *visitor) {
			id, _ := s.hold("VIP", 2)
			s.atProvider(func(p *provider) { p.away = true })
			v.open(s.URL + "/orders/" + id.String() + "#back=" + s.keys.WayBackKey(id, time.Now().Add(time.Hour)))
		}},
		{name: "order, paid", sale: withAll, enter: atOrder(func(s *shop, id domain.OrderID) { s.pay(id) }), ready: "document.querySelectorAll('.ticket img[src]').length === 2"},
		{name: "order, failed", enter: ends(domain.OrderFailed), ready: heading("The payment did not go through")},
		{name: "order, canceled", enter: ends(domain.OrderCanceled), ready: heading("The order is canceled")},
		{name: "order, expired", enter: ends(domain.OrderExpired), ready: heading("Time is up")},
		{name: "order, refunded", enter: atOrder(func(s *shop, id domain.OrderID) { s.pay(id); s.takeBack(id) }), ready: "document.querySelectorAll('.ticket.void').length === 2"},
		{name: "order of a canceled sale", ready: "!document.getElementById('sale-canceled').hidden", enter: atOrder(func(s *shop, id domain.OrderID) {
			s.pay(id)
			s.cancelSale()
		})},
		{name: "order, unknown", enter: at("/orders/0198c0de0000aaaaaaaaaaaaaaaaaa00"), ready: heading("We cannot find this order")},
		{name: "order, damaged address", enter: at("/orders/0198c0de0000aaaaaaaaaaaaaaaaaa00#%"), ready: heading("The end of this address is damaged")},
		{name: "find orders", enter: at("/orders"), ready: heading("Find your orders")},
		{name: "nothing there", enter: at("/nothing/here"), ready: heading("There is nothing here")},
		{name: "sale, plain", sale: withAll, plain: true, enter: at("/sales/concert"), ready: "true"},
		{name: "order, held, plain", sale: withAll, plain: true, enter: buysPlain(nothing), ready: heading("Your seats are held")},
		{name: "order, paid, plain", sale: withAll, plain: true, enter: buysPlain(func(s *shop, id domain.OrderID) { s.pay(id) }), ready: heading("You are in!")},
		{name: "order, refunded, plain", plain: true, enter: buysPlain(func(s *shop, id domain.OrderID) { s.pay(id); s.takeBack(id) }), ready: heading("Refunded")},
		{name: "place, plain", sale: withRoom, plain: true, enter: atPlace(waiting), ready: heading("You are in the queue")},
		{name: "prepared order, plain", sale: withRoom, plain: true, ready: heading("Prepare your order while you wait"), enter: func(s *shop, v *visitor) {
			atPlace(waiting)(s, v)
			v.open(s.URL + "/queue/" + waitingPlace + "/basket")
		}},
		{name: "organiser", enter: at("/organiser/sales/concert"), ready: isShown("#login")},
		{name: "organiser, all forms", sale: func(sale *domain.Sale) {
			withAll(sale)
			sale.Classes[1].Hidden, sale.CodeLedger = true, 99
		}, ready: "document.getElementById('image-now').naturalWidth > 0 && " + isShown(".theirs"), enter: func(s *shop, v *visitor) {
			v.organise(s, "#facts-panel", "#image-panel", "#terms-panel", "#codes-panel")
			v.put("codes-number", "2")
			v.click("#codes-form .pay-row button")
			v.wait(isShown("#codes-list"))
			v.put("fact-description", "Mine.")
			s.somebodyElse(func(e *domain.Editable) { e.Facts.Description = "Theirs." })
			v.click(saveFacts)
		}},
	}
}

// visits opens every state and lets a test look at it.
func visits(t *testing.T, look func(*visitor)) {
	t.Helper()
	for _, state := range states() {
		t.Run(state.name, func(t *testing.T) {
			change := []func(*domain.Sale){}
			if state.sale != nil {
				change = append(change, state.sale)
			}
			s := open(t, change...)
			var prepare []action
			if state.plain {
				prepare = append(prepare, withoutScripts())
			}
			v := newVisitor(t, prepare...)
			state.enter(s, v)
			v.wait(state.ready)
			if stop := value[string](v, `document.querySelector('a[href*="reload=off"]')?.href ?? ''`); state.plain && stop != "" {
				v.open(stop) // whoever needs time stops a page that reads itself again
				v.wait(state.ready)
			}
			if state.plain { // what is there stays as it is, and axe runs
				v.run(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: false}))
			}
			look(v)
		})
	}
}

type axeViolation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// audit runs axe-core and reports what violates the guidelines.
func (v *visitor) audit(about, options string) {
	v.t.Helper()
	v.run(evaluated(`window.audited = undefined`), evaluated(`axe.run(document, `+options+`).then((found) => { window.audited = JSON.stringify(found.violations); }, (failed) => { window.audited = JSON.stringify([{ id: 'axe failed', help: String(failed), nodes: [] }]); })`))
	v.wait("window.audited !== undefined")
	var violations []axeViolation
	if err := json.Unmarshal([]byte(value[string](v, "window.audited")), &violations); err != nil {
		v.t.Fatal(err)
	}
	for _, violation := range violations {
		v.t.Errorf("%s: %s (%s): %s", about, violation.ID, violation.Impact, violation.Help)
		for _, node := range violation.Nodes {
			v.t.Errorf("  %s\n    %s", node.HTML, strings.ReplaceAll(node.FailureSummary, "\n", "\n    "))
		}
	}
}

// withColors shows a page in the colours that a reader prefers.
func withColors(scheme string) action {
	return call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}, // colours change at once
	}})
}

func loadAxe() action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](axe+"; true")(ctx, t)
		return err
	})
}

// axeOptions choose the rules of WCAG 2.2, levels A and AA. The size of targets is off by default.
const axeOptions = `{ runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'] }, rules: { 'target-size': { enabled: true } }, resultTypes: ['violations'] }`

// Every page that buyers see, in every state, is accessible by the rules of WCAG 2.2 AA that a program can check: on a desktop and a
// phone, in light and dark.
//
// With the Tab key alone one comes to everything that they have to press, in the order in which it stands there, always sees where one
// is, and comes out again.
func TestPagesAreAccessible(t *testing.T) {
	visits(t, func(v *visitor) {
		v.run(withColors("light"), loadAxe())
		v.audit("light", axeOptions)
		v.walk()
		v.run(withColors("dark"), chromedp.EmulateViewport(390, 844))
		v.audit("dark, on a phone", axeOptions)
	})
}

// The check above can fail.
func TestAnInaccessiblePageIsFound(t *testing.T) {
	v := newVisitor(t)
	v.open("data:text/html,<html><title>x</title><body><img src='a.png'><p style='color:%23aaa;background:%23fff'>pale</p><input>")
	v.run(loadAxe())
	v.run(evaluated(`axe.run(document, ` + axeOptions + `).then((found) => { window.audited = found.violations.map(({ id }) => id).sort().join(); })`))
	v.wait("window.audited !== undefined")
	if found := value[string](v, "window.audited"); found != "color-contrast,html-has-lang,image-alt,label" {
		t.Errorf("found %s", found)
	}
}

// focused describes what has the keyboard.
const focused = `(() => {
  const e = document.activeElement;
  if (!e || e === document.body || e === document.documentElement) return null;
  const box = e.getBoundingClientRect();
  const style = getComputedStyle(e);
  const seen = window.walked ??= [];
  const before = seen[seen.length - 1];
  const again = seen.includes(e);
  const inside = again && e === before; // the next part of a date
  if (!again) seen.push(e);
  return {
    name: e.tagName + '#' + e.id + '.' + e.className + ' ' + (e.textContent || e.name || '').trim().slice(0, 40),
    again, inside,
    inView: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    inOrder: !before || again || Boolean(before.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING),
  };
})()`

type focus struct {
	Name                                     string
	Again, Inside, InView, Outlined, InOrder bool
}

// focusesMax is more than any page has to press.
const focusesMax = 250

// walk goes through a page with the Tab key.
func (v *visitor) walk() {
	v.t.Helper()
	const pressable = `[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
	  .filter((e) => e.checkVisibility() && !e.disabled && !e.closest('template')).length`
	v.run(call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	// The way begins at the top, wherever the page has put the keyboard.
	v.run(evaluated("window.walked = [], document.body.tabIndex = -1, document.body.focus(), document.body.removeAttribute('tabindex')"))
	want, reached := value[int](v, pressable), 0
	for range focusesMax {
		v.press(kb.Tab)
		at := value[*focus](v, focused)
		if at != nil && at.Inside {
			continue
		}
		if at == nil || at.Again { // past the end, and perhaps around
			break
		}
		reached++
		if !at.InView || !at.Outlined || !at.InOrder {
			v.t.Errorf("%s: in view %t, outlined %t, in order %t", at.Name, at.InView, at.Outlined, at.InOrder)
		}
		if reached == 1 && !strings.Contains(at.Name, "Skip to the content") {
			v.t.Errorf("the first stop is %s, want the way past the head", at.Name)
		}
	}
	if reached != want {
		v.t.Errorf("%d of %d things to press were reached", reached, want)
	}
}

// tabTo presses Tab until an element has the keyboard.
func (v *visitor) tabTo(selector string) {
	v.t.Helper()
	for range focusesMax {
		if value[bool](v, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
		v.press(kb.Tab)
	}
	v.t.Fatalf("Tab does not come to %s\n%s", selector, v.describe())
}

// From the shop to a ticket with a name on it, by the keyboard alone.
func TestATicketByKeyboardAlone(t *testing.T) {
	s := open(t, withAll)
	v := newVisitor(t, beforeLoad(keepDownloads))
	v.open(s.URL + "/")
	v.tabTo(".skip")
	v.press(kb.Enter)
	v.wait("location.hash === '#main'")
	v.press(kb.Tab)
	v.wait(`document.activeElement.matches('.sale-card a')`) // past the head
	v.press(kb.Enter)
	v.wait(chooses)
	v.tabTo(step("VIP", 1))
	v.press(kb.Enter)
	v.press(kb.Enter)
	v.tabTo("#email")
	v.run(chromedp.KeyEvent("kim@example.com"))
	v.tabTo("#buy")
	v.press(kb.Enter)
	v.shownHeading("Your seats are held")
	v.wait(`document.querySelector('[data-field="pay"]').href`)
	v.tabTo(`[data-field="pay"]`)
	v.press(kb.Enter)
	v.shownHeading("Pay")
	id, _ := s.onlyOrder()
	s.pay(id)
	v.run(chromedp.NavigateBack())
	v.shownHeading("You are in!")
	v.wait(`document.querySelectorAll('.ticket img[src^="blob:"]').length === 2`)

	// The way past the head does not take the order's key out of the address, which may be all that is kept of it.
	hash := value[string](v, "location.hash")
	v.tabTo(".skip")
	v.press(kb.Enter)
	v.tabTo("#holder-1")
	if now := value[string](v, "location.hash"); now != hash {
		t.Errorf("the address ends in %s, and ended in %s", now, hash)
	}
	v.run(chromedp.KeyEvent("Kim"))
	v.press(kb.Enter)
	v.shows("The names stand on the tickets now")
	v.tabTo(`[data-action="pdf"]`)
	v.press(kb.Enter)
	v.wait(`window.downloads.length === 1`)
}

package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"boxoffice/domain"
	"boxoffice/qrcode"
	"boxoffice/waitingroom"
)

// evaluated runs a script in the page.
func evaluated(script string) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[any]("void ("+script+")")(ctx, t)
		return err
	})
}

// picture takes a screenshot if BOXOFFICE_TEST_PICTURES names a folder.
func (v *visitor) picture(name string) {
	v.t.Helper()
	dir := os.Getenv("BOXOFFICE_TEST_PICTURES")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(v.ctx, stepTimeout)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// outside lists the visible elements beyond the right edge.
const outside = `[...document.querySelectorAll('body *')]
  .filter((e) => !e.closest('.hidden-visually, .skip') && e.checkVisibility() && e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
  .map((e) => e.tagName + '.' + e.className + '#' + e.id + ' ' + Math.round(e.getBoundingClientRect().right)).join('; ')`

func TestEveryPageFitsAPhone(t *testing.T) {
	type visit struct {
		name, path string
		ready      string // expression
		plain      bool
	}
	for _, waitingRoom := range []bool{false, true} {
		s := open(t, func(sale *domain.Sale) {
			sale.Name = strings.Repeat("Longest_name_of_a_sale_", 5)
			sale.WaitingRoom = waitingRoom
			sale.OpensAt = time.Now().Add(-time.Hour)
		})
		s.places["place-waiting-of-a-test"] = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusWaiting, Position: 4_100_312, Ahead: 4_100_311, Waiting: 5_120_000, Wait: 3 * time.Hour, Draw: waitingroom.Draw{Commitment: strings.Repeat("c0ffee", 10)}}
		s.places["place-admitted-of-a-test"] = waitingroom.Place{Sale: "concert", Status: waitingroom.StatusAdmitted}
		held, heldToken := s.hold(longName, 2)
		paid, paidToken := s.hold(longName, 2)
		s.pay(paid)
		declined, declinedToken := s.hold(longName, 2)
		s.decline(declined)
		visits := []visit{
			{"sales", "/", "true", false},
			{"sale", "/sales/concert", "document.querySelector('.stock').textContent", false},
			{"sale-plain", "/sales/concert", "true", true},
			{"no-such-page", "/nothing/here", "true", false},
		}
		if waitingRoom {
			visits = append(visits,
				visit{"place", "/queue/place-waiting-of-a-test", "document.getElementById('bar')", false},
				visit{"turn", "/queue/place-admitted-of-a-test", "document.getElementById('buy').textContent === 'Choose tickets'", false})
		} else {
			visits = append(visits,
				visit{"order-held", "/orders/" + held.String() + "#" + heldToken, "document.querySelector('.lines')", false},
				visit{"order-declined", "/orders/" + declined.String() + "#" + declinedToken, "document.body.innerText.includes('Declined: try again, ')", false},
				visit{"order-paid", "/orders/" + paid.String() + "#" + paidToken, "document.querySelectorAll('.ticket img[src]').length === 2", false},
				visit{"organiser", "/organiser/sales/concert", "true", false})
		}
		for _, visit := range visits {
			t.Run(fmt.Sprintf("%s/queue %t", visit.name, waitingRoom), func(t *testing.T) {
				var prepare []action
				if visit.plain {
					prepare = append(prepare, withoutScripts())
				}
				v := newVisitor(t, prepare...)
				v.open(s.URL + visit.path)
				v.wait(visit.ready)
				for _, width := range []int64{320, 390, 1280} {
					v.run(chromedp.EmulateViewport(width, 844))
					v.wait(fmt.Sprintf("innerWidth >= %d && document.documentElement.clientWidth <= %[1]d", width))
					v.picture(fmt.Sprintf("%s-%d-%t", visit.name, width, waitingRoom))
					if found := value[string](v, outside); found != "" {
						t.Errorf("wider than %d px: %s", width, found)
					}
				}
			})
		}
	}
}

// The page of an order that nobody knows any more says where its money is.
func TestAForgottenOrderSaysWhereItsMoneyIs(t *testing.T) {
	s := open(t)
	id := domain.OrderID{1, 2, 3}
	s.refunds = map[domain.OrderID][]domain.Refund{id: {{Capture: domain.Capture{Order: id, AmountMinor: 6500, Currency: "EUR"}, RefundedAt: time.Now()}}}
	v := newVisitor(t)
	v.open(s.URL + "/orders/" + id.String() + "#" + s.keys.OrderToken(id))
	v.shownHeading("Refunded")
	v.shows("€65.00 went back to where it came from.")
	v.wait(`[...document.querySelectorAll('[data-state="refunded"] [data-field="again"]')].every((a) => new URL(a.href).pathname === '/')`)
}

func TestTheWheelChangesNoQuantity(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.open(s.URL + "/sales/concert")
	v.choose("VIP", 2)
	v.click("#quantity-VIP") // it has the focus and the pointer
	type point struct{ X, Y float64 }
	at := value[point](v, "(({ x, y, width, height }) => ({ X: x + width / 2, Y: y + height / 2 }))(document.getElementById('quantity-VIP').getBoundingClientRect())")
	v.run(evaluated("document.addEventListener('wheel', () => { window.turned = true })"))
	v.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseWheel, at.X, at.Y, func(p *input.DispatchMouseEventParams) { p.DeltaX, p.DeltaY = 1, -120 }))
	v.wait("window.turned")
	if quantity := value[string](v, "document.getElementById('quantity-VIP').value"); quantity != "2" {
		t.Errorf("the wheel made it %s", quantity)
	}
	for _, path := range []string{"/sales/concert", "/organiser/sales/concert"} {
		v.open(s.URL + path)
		if n := value[int](v, "document.querySelectorAll('input[type=number]').length"); n != 0 {
			t.Errorf("%s has %d fields that the wheel changes", path, n)
		}
	}
}

func TestTheKeyboardStaysWhereItIs(t *testing.T) {
	const focused = "document.activeElement.closest('.class')?.dataset.class + ' ' + (document.activeElement.dataset.step || document.activeElement.id)"
	wantFocus := func(t *testing.T, v *visitor, want string) {
		t.Helper()
		if got := value[string](v, focused); got != want {
			t.Errorf("the focus is on %q, want %q", got, want)
		}
	}
	focus := func(v *visitor, selector string) {
		v.t.Helper()
		v.run(chromedp.Focus(chromedp.CSS(selector)))
	}
	t.Run("plus at the limit", func(t *testing.T) {
		s := open(t, limitOf(3))
		v := newVisitor(t)
		v.open(s.URL + "/sales/concert")
		v.wait("document.getElementById('buy').textContent === 'Choose tickets'")
		focus(v, step("VIP", 1))
		for range 5 {
			v.press(kb.Enter)
		}
		v.wait("document.getElementById('quantity-VIP').value === '3'")
		v.wait("document.getElementById('stock-said').textContent === 'At most 3 tickets a person.'")
		wantFocus(t, v, "VIP 1")
	})
	t.Run("minus at none, and the arrows", func(t *testing.T) {
		s := open(t)
		v := newVisitor(t)
		v.open(s.URL + "/sales/concert")
		v.wait("document.getElementById('buy').textContent === 'Choose tickets'")
		focus(v, "#quantity-VIP")
		v.press(kb.ArrowUp)
		v.press(kb.ArrowUp)
		v.press(kb.ArrowDown)
		v.wait("document.getElementById('quantity-VIP').value === '1'")
		focus(v, step("VIP", -1))
		v.press(kb.Enter)
		v.press(kb.Enter)
		v.wait("document.getElementById('quantity-VIP').value === '0'")
		wantFocus(t, v, "VIP -1")
	})
	t.Run("sold out while pressing", func(t *testing.T) {
		s := open(t)
		v := newVisitor(t)
		v.open(s.URL + "/sales/concert")
		v.wait("document.getElementById('buy').textContent === 'Choose tickets'")
		focus(v, "#quantity-VIP")
		s.setStock(ledgerOfVIP, 0, 20)
		v.wait(`document.querySelector('.class[data-class="VIP"]').classList.contains('out')`)
		wantFocus(t, v, "VIP quantity-VIP")
	})
	t.Run("a hold that is refused", func(t *testing.T) {
		s := open(t, limitOf(2))
		s.hold("VIP", 2)
		v := newVisitor(t)
		v.open(s.URL + "/sales/concert")
		v.choose("VIP", 1)
		v.fill("VIP", "1")
		focus(v, "#buy")
		v.press(kb.Enter)
		v.shows("That is more than one person may have")
		wantFocus(t, v, "undefined buy")
	})
}

// announcements records what a screen reader would announce.
const announcements = `
window.announced = [];
const isLive = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest('[role=status], [role=alert], [role=log], output, [aria-live]:not([aria-live=off])');
document.addEventListener('DOMContentLoaded', () => new MutationObserver((changes) => {
  const regions = new Set(changes.map(({ target }) => isLive(target)).filter((region) => region && !region.hidden));
  for (const region of regions) announced.push(region.id + ': ' + region.textContent);
}).observe(document.body, { subtree: true, childList: true, characterData: true }));
`

func TestLiveStockIsAnnouncedWhereItMatters(t *testing.T) {
	s := open(t)
	v := newVisitor(t, beforeLoad(announcements))
	v.open(s.URL + "/sales/concert")
	v.shows("100 of 100 left")
	v.run(evaluated("announced.length = 0"))
	for sold := int64(1); sold <= 6; sold++ { // each reaches the page on its own
		s.setStock(ledgerOfVIP, 0, sold)
		s.setStock(ledgerOfLong, 0, 2*sold)
		v.shows(fmt.Sprintf("%d of 100 left", 100-2*sold))
	}
	if said := value[[]string](v, "announced"); len(said) != 0 {
		t.Errorf("every ticket is announced: %q", said)
	}
	s.setStock(ledgerOfVIP, 0, 20)
	v.wait("document.getElementById('stock-said').textContent === 'Class VIP: sold out.'")
	s.setStock(ledgerOfLong, 0, 100)
	v.wait("document.getElementById('standing').innerText.includes('All tickets of this sale are sold.')")
	if said := value[[]string](v, "announced"); len(said) > 2 {
		t.Errorf("%d announcements: %q", len(said), said)
	}
}

// clockOff makes the visitor's clock wrong by n hours.
func clockOff(hours int) string {
	return fmt.Sprintf(`
const Right = Date;
const off = %d * 3600_000;
window.Date = class extends Right {
  constructor(...args) { if (args.length) super(...args); else super(Right.now() + off); }
  static now() { return Right.now() + off; }
};
`, hours)
}

func TestTheVisitorsClockIsNotRead(t *testing.T) {
	for _, hours := range []int{-30, 30} {
		t.Run(fmt.Sprintf("wrong by %d h", hours), func(t *testing.T) {
			s := open(t)
			v := newVisitor(t, beforeLoad(clockOff(hours)))
			v.open(s.URL + "/sales/concert")
			v.hold("VIP", 1)
			v.shownHeading("Your seats are held")
			v.wait(`/^(10:00|9:\d\d)$/.test(document.querySelector('[data-field="countdown"]').textContent)`)
			if bar := value[float64](v, `document.querySelector('[data-field="countdown-bar"]').value`); bar < 0.8 || bar > 1 {
				t.Errorf("the bar stands at %v of 1, the hold has just begun", bar)
			}
			v.open(s.URL + "/sales/concert")
			v.shows("You have tickets on hold until")
		})
	}
}

func TestTwoOpeningsInTheHourThatComesTwice(t *testing.T) {
	first := time.Date(2099, time.October, 25, 0, 30, 0, 0, time.UTC) // 2:30 in Berlin, twice that night
	seen := make(map[string]bool)
	for _, opensAt := range []time.Time{first, first.Add(time.Hour)} {
		s := open(t, func(sale *domain.Sale) { sale.OpensAt = opensAt })
		v := newVisitor(t, call(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"}))
		v.open(s.URL + "/sales/concert")
		v.wait("document.getElementById('opens-text').textContent.includes('2:30')")
		seen[value[string](v, "document.getElementById('opens-text').textContent")] = true
	}
	if len(seen) != 2 {
		t.Errorf("two openings, an hour apart, look the same: %v", seen)
	}
	for text := range seen {
		if !strings.HasSuffix(text, " (UTC+1)") && !strings.HasSuffix(text, " (UTC+2)") {
			t.Errorf("%q does not say how far it is from UTC", text)
		}
	}
}

func TestAnAddressOfAnOrder(t *testing.T) {
	s := open(t)
	id, token := s.hold("VIP", 1)
	page := s.URL + "/orders/" + id.String()
	for _, test := range []struct{ name, fragment, heading string }{
		{"whole", "#" + token, "Your seats are held"},
		{"a percent sign at its end", "#" + token + "%", "The end of this address is damaged"},
		{"a full stop at its end", "#" + token + ".", "The end of this address is damaged"},
		{"half a letter", "#%C3", "The end of this address is damaged"},
		{"no key", "", "We cannot find this order"},
		{"another key", "#" + strings.Repeat("x", len(token)), "We cannot find this order"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newVisitor(t)
			v.open(page + test.fragment)
			v.shownHeading(test.heading)
		})
	}
	t.Run("damaged, in the browser that knows the order", func(t *testing.T) {
		v := newVisitor(t)
		v.open(page + "#" + token)
		v.shownHeading("Your seats are held")
		for _, fragment := range []string{token + "%", token[:len(token)-2], strings.Repeat("x", len(token))} {
			v.open("about:blank")
			v.open(page + "#" + fragment)
			v.shownHeading("Your seats are held")
			if whole := value[string](v, "location.hash"); whole != "#"+token {
				t.Errorf("%s: the address is not whole again: %s", fragment, whole)
			}
		}
	})
}

func TestWithoutScripts(t *testing.T) {
	t.Run("nothing is chosen", func(t *testing.T) {
		s := open(t)
		v := newVisitor(t, withoutScripts())
		v.open(s.URL + "/sales/concert")
		v.fill("VIP", "0")
		v.click("#buy")
		v.shows("Choose at least one ticket")
		if text := value[string](v, "document.body.innerText"); strings.Contains(text, "array") || strings.Contains(text, "items") {
			t.Errorf("the page shows a text for programs:\n%s", text)
		}
		if n := value[int](v, "[...document.querySelectorAll('.step, .total')].filter((e) => e.checkVisibility()).length"); n != 0 {
			t.Errorf("%d things are shown that need JavaScript", n)
		}
	})
	for _, test := range []struct {
		name, button string
		held, sold   int64
	}{
		{"sold out", "Sold out", 0, 1},
		{"all on hold", "None left right now", 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			s.setStock(ledgerOfVIP, 20*test.held, 20*test.sold)
			s.setStock(ledgerOfLong, 100*test.held, 100*test.sold)
			v := newVisitor(t, withoutScripts())
			v.open(s.URL + "/sales/concert")
			if button := value[string](v, "document.getElementById('buy').textContent"); button != test.button {
				t.Errorf("the button says %q, want %q", button, test.button)
			}
			if n := value[int](v, "document.querySelectorAll('#checkout button:not(:disabled):not(.step), #checkout .stepper input:not(:disabled)').length"); n != 0 {
				t.Errorf("%d things can be pressed or filled in", n)
			}
		})
	}
	t.Run("tickets have their codes", func(t *testing.T) {
		s := open(t)
		v := newVisitor(t, withoutScripts(), chromedp.EmulateViewport(390, 844))
		v.open(s.URL + "/sales/concert")
		v.fill("VIP", "2")
		v.click("#buy")
		v.shownHeading("Your seats are held")
		id, _ := s.onlyOrder()
		s.pay(id)
		v.open(s.URL + "/orders/" + id.String())
		v.shownHeading("You are in!")
		v.picture("order-paid-plain-390")
		for n := 1; n <= 2; n++ {
			image, err := qrcode.SVG(s.keys.TicketCode(id, n))
			if err != nil {
				t.Fatal(err)
			}
			drawn := value[string](v, fmt.Sprintf("document.querySelectorAll('.ticket svg')[%d].lastElementChild.getAttribute('d')", n-1))
			if !strings.Contains(string(image), `"`+drawn+`"`) {
				t.Errorf("the image of ticket %d is not its code", n)
			}
			if width := value[float64](v, fmt.Sprintf("document.querySelectorAll('.ticket svg')[%d].getBoundingClientRect().width", n-1)); width < 120 {
				t.Errorf("the code of ticket %d is %v px wide: no scanner reads that", n, width)
			}
		}
	})
}

package browsertest

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"boxoffice/domain"
)

// onPaper shows a page as a printer gets it.
func onPaper() action {
	return call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
}

// keepDownloads keeps the text of PDFs that the page makes.
const keepDownloads = `
window.downloads = [];
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => {
	if (blob.type === 'application/pdf') blob.text().then((text) => window.downloads.push(text));
	return make.call(URL, blob);
};`

func TestTicketsAreTakenAlongAsAPDF(t *testing.T) {
	s := open(t)
	id, token := s.hold("VIP", 2)
	s.pay(id)
	v := newVisitor(t, beforeLoad(keepDownloads))
	v.open(s.URL + "/orders/" + id.String() + "#" + token)
	v.shownHeading("You are in!")
	v.click(`[data-action="pdf"]`)
	v.wait(`window.downloads[0] === '%PDF- of 2 tickets, paid'`)
}

// Whatever is shown of a ticket that lets nobody in says so, and has no code to scan: on the page, on paper, and without JavaScript.
func TestVoidTicketsSaySo(t *testing.T) {
	const marks = "[...document.querySelectorAll('.ticket')].filter((ticket) => ticket.checkVisibility() && " +
		"ticket.querySelector('.void-mark')?.checkVisibility() && !ticket.querySelector('img, svg')).length === 2 && document.querySelectorAll('.ticket').length === 2"
	for name, revoke := range map[string]func(*shop, domain.OrderID){
		"refunded":             func(s *shop, id domain.OrderID) { s.takeBack(id) },
		"the sale is canceled": func(s *shop, _ domain.OrderID) { s.cancelSale() },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			id, token := s.hold("VIP", 2)
			s.pay(id)
			revoke(s, id)
			v := newVisitor(t)
			v.open(s.URL + "/orders/" + id.String() + "#" + token)
			v.wait(marks)
			v.picture("order-void")
			v.run(onPaper())
			v.wait(marks)
			v.picture("order-void-paper")
		})
	}
	t.Run("while the page is open", func(t *testing.T) {
		s := open(t)
		id, token := s.hold("VIP", 2)
		s.pay(id)
		v := newVisitor(t)
		v.open(s.URL + "/orders/" + id.String() + "#" + token)
		v.wait(`document.querySelectorAll('.ticket img[src^="blob:"]').length === 2`)
		s.takeBack(id)
		v.run(evaluated("document.dispatchEvent(new Event('visibilitychange'))"))
		v.wait(`document.querySelectorAll('section:not([hidden]) .ticket.void').length === 2 && !document.querySelector('section:not([hidden]) .ticket img')`)
	})
	t.Run("without scripts", func(t *testing.T) {
		s := open(t)
		v := newVisitor(t, withoutScripts())
		v.open(s.URL + "/sales/concert")
		v.fill("VIP", "2")
		v.click("#buy")
		v.shownHeading("Your seats are held")
		id, _ := s.onlyOrder()
		s.pay(id)
		s.takeBack(id)
		v.open(s.URL + "/orders/" + id.String())
		v.shownHeading("Refunded")
		v.wait(marks)
	})
}

// On paper there are the tickets, in black on white whatever the reader's colours are, each whole and with a code that scans.
func TestTicketsOnPaper(t *testing.T) {
	s := open(t)
	id, token := s.hold("VIP", 3)
	s.pay(id)
	v := newVisitor(t)
	v.open(s.URL + "/orders/" + id.String() + "#" + token)
	v.wait(`document.querySelectorAll('.ticket img[src^="blob:"]').length === 3`)
	v.run(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	}))
	v.picture("tickets-paper")
	v.wait(`getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)' && getComputedStyle(document.querySelector('.ticket-class')).color === 'rgb(0, 0, 0)'`)
	if n := value[int](v, `[...document.querySelectorAll('button, header, footer, form, a.primary, a.quiet')].filter((e) => e.checkVisibility()).length`); n != 0 {
		t.Errorf("%d things are printed that nobody can press on paper", n)
	}
	type size struct{ Width, Height float64 }
	const pixelsPerMM = 96 / 25.4
	for _, code := range value[[]size](v, `[...document.querySelectorAll('.ticket img')].map((e) => e.getBoundingClientRect()).map(({ width, height }) => ({ Width: width, Height: height }))`) {
		if code.Width < 45*pixelsPerMM || code.Width != code.Height {
			t.Errorf("a code is %.0f × %.0f px on paper", code.Width, code.Height)
		}
	}
	if breaks := value[string](v, `getComputedStyle(document.querySelector('.ticket')).breakInside`); breaks != "avoid" {
		t.Errorf("a ticket may be cut in two: break-inside is %s", breaks)
	}
}

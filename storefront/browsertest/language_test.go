package browsertest

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// inLanguage is a browser that asks for a language.
func inLanguage(tag string) action {
	return call(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Mozilla/5.0 Chrome/140.0", AcceptLanguage: tag})
}

// fits makes sure that a page is not wider than a small phone, whose words may be longer than the English ones.
func (v *visitor) fits(name string) {
	v.t.Helper()
	const width = 320
	v.run(chromedp.EmulateViewport(width, 844))
	v.wait(fmt.Sprintf("innerWidth >= %d && document.documentElement.clientWidth <= %[1]d", width))
	v.picture(name)
	if found := value[string](v, outside); found != "" {
		v.t.Errorf("%s: wider than %d px: %s", name, width, found)
	}
}

// What a browser asks for is what its user reads, from the sale to the tickets.
func TestABuyerReadsTheirLanguage(t *testing.T) {
	for _, tt := range []struct {
		asks, tag                             string
		left, total, hold, held, pay, tickets string
	}{
		{"de-AT,de,en", "de", "noch 100 von 100", "130,00\u00a0€", "2 Karten reservieren", "Ihre Plätze sind reserviert", "130,00\u00a0€ bezahlen", "Sie sind dabei!"},
		{"ko-KR,ko", "ko", "전체 100장 중 100장 남음", "€130.00", "티켓 2장 확보하기", "좌석을 확보했습니다", "€130.00 결제하기", "예매가 완료되었습니다!"},
	} {
		t.Run(tt.tag, func(t *testing.T) {
			s := open(t)
			v := newVisitor(t, inLanguage(tt.asks))
			v.open(s.URL + "/sales/concert")
			v.wait("document.documentElement.lang === '" + tt.tag + "'")
			v.shows(tt.left)
			v.choose("VIP", 2)
			v.wait("document.getElementById('buy').textContent === '" + tt.hold + "' && document.getElementById('total').value === '" + tt.total + "'")
			v.run(chromedp.SetValue(chromedp.CSS("#email"), "buyer@example.com"))
			v.fits("language-sale-" + tt.tag)
			v.click("#buy")
			v.shownHeading(tt.held)
			v.shows(tt.pay)
			v.fits("language-held-" + tt.tag)
			id, _ := s.onlyOrder()
			if got := s.languageOf(id); got != tt.tag {
				t.Errorf("the order's language is %q", got)
			}
			s.pay(id)
			v.shownHeading(tt.tickets)
			v.wait("document.title.startsWith('" + tt.tickets + "')")
			v.fits("language-paid-" + tt.tag)
		})
	}
}

// The link to another language changes this page and those that follow, and an order keeps its key.
func TestSwitchingTheLanguage(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.open(s.URL + "/sales/concert")
	v.shows("Choose your tickets")
	v.click(".languages a[hreflang=ko]")
	v.shows("티켓을 선택해 주세요")
	v.wait("document.cookie.includes('boxoffice-language=ko')")
	v.open(s.URL + "/")
	v.shows("현재 판매 중")
	id, token := s.hold("VIP", 1)
	v.open(s.URL + "/orders/" + id.String() + "#" + token)
	v.shownHeading("좌석을 확보했습니다")
	v.click(".languages a[hreflang=de]")
	v.shownHeading("Ihre Plätze sind reserviert")
	v.wait("location.hash === '#" + token + "'")
}

func TestSwitchingTheLanguageWithoutJavaScript(t *testing.T) {
	s := open(t)
	v := newVisitor(t, withoutScripts())
	v.open(s.URL + "/sales/concert")
	v.click(".languages a[hreflang=de]")
	v.shows("Wählen Sie Ihre Karten")
	v.run(chromedp.SetValue(chromedp.CSS("#quantity-VIP"), "2"), chromedp.SetValue(chromedp.CSS("#email"), "buyer@example.com"))
	v.click("#buy")
	v.shows("Bitte sehen Sie alles durch") // the page was one that caches keep
	v.click("#buy")
	v.shownHeading("Ihre Plätze sind reserviert")
	id, _ := s.onlyOrder()
	if got := s.languageOf(id); got != "de" {
		t.Errorf("the order's language is %q", got)
	}
	s.pay(id)
	v.open(s.URL + "/orders/" + id.String())
	v.shownHeading("Sie sind dabei!")
}

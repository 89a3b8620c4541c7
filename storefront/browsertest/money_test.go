package browsertest

import (
	"fmt"
	"testing"

	"boxoffice/domain"
	"boxoffice/storefront"
)

// Browsers have their own currency tables: HUF has no decimals there, but two in ISO 4217.
func TestAPriceIsTheSameOnThePageAndInTheScript(t *testing.T) {
	s := open(t, func(sale *domain.Sale) {
		sale.Currency = "HUF"
		sale.Classes[0].PriceMinor = 500_000
	})
	v := newVisitor(t)
	v.open(s.URL + "/sales/concert")
	v.shows("HUF\u00a05,000.00")
	v.choose("VIP", 2)
	v.wait(fmt.Sprintf("document.getElementById('total').value === %q", "HUF\u00a010,000.00"))
}

func TestScriptsWriteMoneyAsPagesDo(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	for _, language := range []string{"en", "de", "ko"} {
		v.open(s.URL + "/sales/concert?lang=" + language)
		v.run(evaluated("void import('/static/common.js').then((module) => { window.money = module.money; })"))
		v.wait("window.money")
		writesMoney(t, v, language)
	}
}

func writesMoney(t *testing.T, v *visitor, language string) {
	t.Helper()
	for _, minor := range []int64{0, 7, -7, 6500, 123_456_789_012} {
		for _, code := range []string{"EUR", "USD", "GBP", "JPY", "CHF", "HUF", "IDR", "COP", "KWD", "IQD", "CLF", "UYW", "UGX", "KRW", "CAD", "ZZZ"} {
			want := storefront.Money(language, minor, code)
			if got := value[string](v, fmt.Sprintf("money(%d, %q)", minor, code)); got != want {
				t.Errorf("%s, %d %s: the script writes %q, the page %q", language, minor, code, got, want)
			}
		}
	}
}

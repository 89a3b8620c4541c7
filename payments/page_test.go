package payments_test

import (
	"context"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/paymentstest"
)

// elsewhere is a provider that sends buyers to an address.
type elsewhere struct {
	*paymentstest.Memory
	url string
}

func (e elsewhere) Open(ctx context.Context, opening payments.Opening) (domain.PayPage, error) {
	page, err := e.Memory.Open(ctx, opening)
	page.URL = e.url
	return page, err
}

func TestBuyersAreSentToASafePageOnly(t *testing.T) {
	for url, safe := range map[string]bool{
		"https://pay.example/c/cs_1?key=a#b": true,
		"https://pay.example:8443/":          true,
		"https://[2001:db8::1]/c":            true,
		"http://127.0.0.1:8090/pay/ps_1":     true,
		"http://[::1]:8090/pay/ps_1":         true,
		"http://localhost/pay":               true,

		"":                                        false,
		"/pay/ps_1":                               false,
		"//pay.example/c":                         false,
		"https:///c":                              false,
		"https:pay.example":                       false,
		"http://pay.example/c":                    false,
		"http://127.0.0.1.example/c":              false,
		"http://localhost.example/c":              false,
		"http://10.0.0.1/c":                       false,
		"javascript:alert(1)":                     false,
		"data:text/html,<b>pay</b>":               false,
		"file:///etc/passwd":                      false,
		"https://box.example@pay.example/c":       false,
		"https://pay.example/\r\nSet-Cookie: a=b": false,
		"https://pay.example/" + strings.Repeat("x", payments.PageURLMaxLen): false,
	} {
		set, err := payments.NewSet(elsewhere{paymentstest.NewMemory(), url})
		if err != nil {
			t.Fatal(err)
		}
		page, err := set.Open(t.Context(), set.Default(), payments.Opening{Order: order(1), Attempt: 1, AmountMinor: 100, Currency: "EUR"})
		switch {
		case safe && (err != nil || page.URL != url):
			t.Errorf("%q: page %+v, error %v; want that page", url, page, err)
		case !safe && (!domain.IsUnknown(err) || page != domain.PayPage{}):
			t.Errorf("%q: page %+v, error %v; want an unknown outcome and no page", url, page, err)
		case !safe && len(url) > 20 && strings.Contains(err.Error(), url):
			t.Errorf("%q: the error %q repeats the address", url, err)
		}
	}
}

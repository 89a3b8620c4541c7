package app

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/mockpay"
)

// Every order that is possible can be paid for.
func TestPayPage(t *testing.T) {
	secrets, err := mockpay.ParseSecrets("whsec_" + strings.Repeat("QUJD", 11))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := mockpay.New(mockpay.Options{URL: "http://pay.example", Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	set, err := payments.NewSet(provider)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{}
	s.URL = "https://boxoffice.example"
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	payPage := s.payPage(set, keys)

	longest := make([]domain.Line, domain.ClassesMax)
	for i := range longest {
		longest[i] = domain.Line{Class: fmt.Sprintf("Ж%s%02d", strings.Repeat("é", 14), i), Quantity: 8}
	}
	for name, test := range map[string]struct {
		lines []domain.Line
		want  string // empty: as much as fits
	}{
		"two classes": {[]domain.Line{{Class: "A", Quantity: 2}, {Class: "B", Quantity: 1}}, "conf · 2 × A + 1 × B"},
		"all classes": {longest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			order := domain.Order{ID: domain.OrderID{1}, SaleID: "conf", Lines: test.lines, AmountMinor: 16500, Currency: "EUR"}
			page, err := payPage(order, domain.Hold{ExpiresAt: time.Now().Add(time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			address := page.URL
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			back, key, _ := strings.Cut(u.Query().Get("return"), "#back=")
			if back != "https://boxoffice.example/orders/"+order.ID.String() || !keys.ValidWayBackKey(order.ID, key, time.Now()) {
				t.Errorf("the way back is %s with key %q, want the order's page at the public address with a key that works", back, key)
			}
			if strings.Contains(address, keys.OrderToken(order.ID)) {
				t.Error("the provider gets the order's token, which works for ever")
			}
			got := u.Query().Get("description")
			if test.want != "" && got != test.want {
				t.Errorf("description %q, want %q", got, test.want)
			}
			if n := len(got); !utf8.ValidString(got) || n > payments.DescriptionMaxLen || test.want == "" && n < payments.DescriptionMaxLen-utf8.UTFMax {
				t.Errorf("description of %d bytes: %q", n, got)
			}
		})
	}
	if page, err := payPage(domain.Order{}, domain.Hold{}); err == nil {
		t.Errorf("a link without an order: %q", page.URL)
	}
}

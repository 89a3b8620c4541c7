package app

import (
	"context"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/paymentstest"
)

func TestPaymentProvidersAreConfiguredByName(t *testing.T) {
	secret := secret("whsec_" + strings.Repeat("QUJD", 11))
	for name, tt := range map[string]struct {
		names string
		want  string // of the error; empty: none
	}{
		"MockPay":        {"mockpay", ""},
		"with blanks":    {" mockpay , ", ""},
		"an unknown one": {"mockpay,stripes", `"stripes" is not a payment provider`},
		"one twice":      {"mockpay,mockpay", "configured twice"},
		"none":           {",", "no payment provider"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &config{PaymentProviders: readProviderNames(tt.names), MockPayURL: "http://127.0.0.1:8090", WebhookSecret: secret}
			set, err := c.openProviders(nil)
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, want %q", err, tt.want)
			case tt.want == "" && set.Default() != domain.DefaultProvider:
				t.Errorf("the default is %s", set.Default())
			}
		})
	}
}

func TestSalesOfAProviderThatIsNotConfiguredAreNamed(t *testing.T) {
	set, err := payments.NewSet(paymentstest.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	sales := []*domain.Sale{{ID: "here", Provider: paymentstest.MemoryName}, {ID: "there", Provider: domain.DefaultProvider}}
	list := func(context.Context) ([]*domain.Sale, error) { return sales, nil }
	if err := checkProviders(t.Context(), list, set); err == nil || !strings.Contains(err.Error(), "there (mockpay)") || strings.Contains(err.Error(), "here (other)") {
		t.Errorf("%v", err)
	}
	sales = sales[:1]
	if err := checkProviders(t.Context(), list, set); err != nil {
		t.Error(err)
	}
}

// A provider that must be called has no page yet: the buyer is led to one of ours.
func TestThePageOfAProviderThatMustBeCalledIsOurs(t *testing.T) {
	set, err := payments.NewSet(paymentstest.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	s := &service{}
	s.URL = "https://boxoffice.example"
	order := domain.Order{ID: domain.OrderID{1}, Provider: paymentstest.MemoryName}
	page, err := s.payPage(set, keys)(order, domain.Hold{})
	want := domain.PayPage{URL: "https://boxoffice.example/v1/orders/" + order.ID.String() + "/pay?key=" + keys.PayKey(order.ID)}
	if err != nil || page != want {
		t.Errorf("%+v, %v, want %+v", page, err, want)
	}
}

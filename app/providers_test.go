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
			c := &config{PaymentProviders: readList(tt.names), MockPayURL: "http://127.0.0.1:8090", WebhookSecret: secret}
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

// A provider that must be called has no page yet, so the buyer gets a link to one of ours.
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

func TestStripeIsConfiguredByItsVariables(t *testing.T) {
	const hook = "whsec_0123456789abcdef"
	for name, tt := range map[string]struct {
		url  string
		vars map[string]string
		want string // of the error; empty: none
	}{
		"a test key":                      {"http://127.0.0.1:8080", map[string]string{"STRIPE_API_KEY": "sk_test_0123456789", "STRIPE_WEBHOOK_SECRET": hook}, ""},
		"two webhook secrets":             {"https://tickets.example", map[string]string{"STRIPE_API_KEY": "rk_test_0123456789", "STRIPE_WEBHOOK_SECRET": hook + ", " + hook + "2"}, ""},
		"no key":                          {"https://tickets.example", map[string]string{"STRIPE_WEBHOOK_SECRET": hook}, "STRIPE_API_KEY is not set"},
		"no webhook secret":               {"https://tickets.example", map[string]string{"STRIPE_API_KEY": "sk_test_0123456789"}, "STRIPE_WEBHOOK_SECRET is not set"},
		"a live key":                      {"https://tickets.example", map[string]string{"STRIPE_API_KEY": "rk_live_0123456789", "STRIPE_WEBHOOK_SECRET": hook}, ""},
		"a live key on a local stack":     {"http://127.0.0.1:8080", map[string]string{"STRIPE_API_KEY": "rk_live_0123456789", "STRIPE_WEBHOOK_SECRET": hook}, "moves real money"},
		"the same, said twice":            {"http://127.0.0.1:8080", map[string]string{"STRIPE_API_KEY": "rk_live_0123456789", "STRIPE_WEBHOOK_SECRET": hook, "STRIPE_LIVE": "true"}, ""},
		"a test key that is said to live": {"https://tickets.example", map[string]string{"STRIPE_API_KEY": "sk_test_0123456789", "STRIPE_WEBHOOK_SECRET": hook, "STRIPE_LIVE": "true"}, "is a test key"},
		"a live key at a double":          {"https://tickets.example", map[string]string{"STRIPE_API_KEY": "sk_live_0123456789", "STRIPE_WEBHOOK_SECRET": hook, "STRIPE_URL": "http://127.0.0.1:1"}, "STRIPE_URL is for tests"},
		"a method that takes days":        {"https://tickets.example", map[string]string{"STRIPE_API_KEY": "sk_test_0123456789", "STRIPE_WEBHOOK_SECRET": hook, "STRIPE_METHODS": "card,boleto"}, `"boleto"`},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range tt.vars {
				t.Setenv(key, value)
			}
			c := &config{URL: tt.url, PaymentProviders: []string{"stripe"}}
			set, err := c.openProviders(nil)
			switch {
			case tt.want == "" && (err != nil || set.Default() != "stripe"):
				t.Errorf("%v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, want %q", err, tt.want)
			case err != nil && (strings.Contains(err.Error(), "0123456789")):
				t.Errorf("%v repeats a secret", err)
			}
		})
	}
}

package app

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"boxoffice/domain"
	"boxoffice/failpoint"
	"boxoffice/payments"
	"boxoffice/payments/mockpay"
	"boxoffice/payments/stripe"
)

// providers makes the payment providers that can be configured, by name. Each reads what
// it needs from the configuration or its own variables, and says what is missing. To add
// one, add a package below payments and a line here.
var providers = map[string]func(c *config, calls *http.Client) (payments.Provider, error){
	mockpay.Name: newMockPay,
	stripe.Name:  newStripe,
}

func newMockPay(c *config, calls *http.Client) (payments.Provider, error) {
	secrets, err := mockpay.ParseSecrets(string(c.WebhookSecret))
	if err != nil {
		return nil, err
	}
	return mockpay.New(mockpay.Options{URL: c.MockPayURL, Secrets: secrets, HTTP: calls, Now: failpoint.Clock("webhook")})
}

// openProviders makes the configured ones. Without a client, each gets its own.
func (c *config) openProviders(calls *http.Client) (*payments.Set, error) {
	var all []payments.Provider
	for _, name := range c.PaymentProviders {
		open, known := providers[name]
		if !known {
			return nil, fmt.Errorf("BOXOFFICE_PAYMENT_PROVIDERS: %q is not a payment provider; known ones: %s", name, strings.Join(providerNames(), ", "))
		}
		p, err := open(c, calls)
		if err != nil {
			return nil, fmt.Errorf("payment provider %s: %w", name, err)
		}
		all = append(all, p)
	}
	return payments.NewSet(all...)
}

func providerNames() []string {
	names := make([]string, 0, len(providers))
	for name := range providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// readList reads a list such as "mockpay,stripe".
func readList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// openingOf is what a provider is told about a held order.
func openingOf(order *domain.Order, hold domain.Hold, wish domain.PayWish) payments.Opening {
	return payments.Opening{
		Order: order.ID, Attempt: 1, SaleID: order.SaleID, AmountMinor: order.AmountMinor, Currency: order.Currency,
		ExpiresAt: hold.ExpiresAt, ReturnURL: wish.ReturnURL, Description: wish.Description,
		Authorize: order.AuthorizesFirst(), Processing: hold.ProcessingExtension,
	}
}

// payPage is where a held order is paid: at the provider if that needs no call, else at a
// page of ours that leads there. No payment is taken after the hold's deadline.
func (s *service) payPage(set *payments.Set, keys *domain.Keyring) func(domain.Order, domain.Hold) (domain.PayPage, error) {
	wish := s.payWish(keys)
	return func(order domain.Order, hold domain.Hold) (domain.PayPage, error) {
		provider := order.Provider
		if provider == "" {
			provider = domain.DefaultProvider
		}
		page, local, err := set.Page(provider, openingOf(&order, hold, wish(order, hold)))
		if local {
			return page, err
		}
		return domain.PayPage{URL: s.URL + "/v1/orders/" + order.ID.String() + "/pay?key=" + keys.PayKey(order.ID)}, nil
	}
}

// payWish makes a way back that finds the order even if the browser has kept nothing. Its
// key is in the fragment, which browsers put into no request and no referrer.
func (s *service) payWish(keys *domain.Keyring) func(domain.Order, domain.Hold) domain.PayWish {
	return func(order domain.Order, hold domain.Hold) domain.PayWish {
		return domain.PayWish{
			ReturnURL:   s.URL + "/orders/" + order.ID.String() + "#back=" + keys.WayBackKey(order.ID, hold.ExpiresAt.Add(domain.WayBackLifetime)),
			Description: describe(&order),
		}
	}
}

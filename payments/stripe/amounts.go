package stripe

import (
	"fmt"

	"boxoffice/domain"
)

// Stripe's amounts are in minor units, as ours are, with these exceptions
// (https://docs.stripe.com/currencies, "Special cases" and "Zero-decimal currencies").
var (
	// ISO 4217 gives these currencies no minor unit, and Stripe counts in hundredths.
	inHundredths = map[string]bool{"ISK": true, "UGX": true}
	// ISO 4217 gives this one a minor unit, and Stripe has none.
	inWholes = map[string]bool{"MGA": true}
	// Stripe takes these to the nearest ten thousandths only.
	threeDecimals = map[string]bool{"BHD": true, "JOD": true, "KWD": true, "OMR": true, "TND": true}
)

// amountMax is what Stripe takes at most: eight digits.
const amountMax = 99_999_999

// toStripe converts an amount. It returns a *domain.Error with CodeInvalid for one that Stripe cannot take.
func toStripe(minor int64, currency string) (int64, error) {
	amount := minor
	switch {
	case minor < 1 || minor > amountMax*100:
		return 0, outOfBounds()
	case inHundredths[currency]:
		amount = minor * 100
	case inWholes[currency] && minor%100 != 0:
		return 0, domain.Invalid("amount", fmt.Sprintf("must be whole %s: Stripe knows no smaller unit", currency))
	case inWholes[currency]:
		amount = minor / 100
	case threeDecimals[currency] && minor%10 != 0:
		return 0, domain.Invalid("amount", fmt.Sprintf("must end in 0: Stripe takes %s in steps of ten minor units", currency))
	}
	if amount > amountMax {
		return 0, outOfBounds()
	}
	return amount, nil
}

func outOfBounds() error {
	return domain.Invalid("amount", fmt.Sprintf("is less or more than Stripe takes: 1–%d of its units", amountMax))
}

// least is what Stripe charges at least, in its units, by currency
// (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts). It holds for accounts that are paid out in that
// currency; for others Stripe converts, and what it then refuses is found when a session is opened.
var least = map[string]int64{
	"USD": 50, "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50, "GBP": 30,
	"HKD": 400, "HUF": 17500, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50, "PLN": 200, "RON": 200, "SEK": 300,
	"SGD": 50, "THB": 1000,
}

// CheckAmount implements payments.Pricer.
func (p *Provider) CheckAmount(minor int64, currency string) error {
	amount, err := toStripe(minor, currency)
	if err == nil && amount < least[currency] {
		err = domain.Invalid("amount", fmt.Sprintf("is less than Stripe takes in %s: %d of its units", currency, least[currency]))
	}
	return err
}

// fromStripe is toStripe's inverse.
func fromStripe(amount int64, currency string) (int64, error) {
	switch {
	case inHundredths[currency] && amount%100 != 0:
		return 0, fmt.Errorf("%d is no whole amount of %s", amount, currency)
	case inHundredths[currency]:
		return amount / 100, nil
	case inWholes[currency]:
		return amount * 100, nil
	default:
		return amount, nil
	}
}

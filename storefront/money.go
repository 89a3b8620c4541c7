package storefront

import (
	"encoding/json"
	"fmt"
	"strings"

	"boxoffice/domain"
)

// symbols of the currencies that are not written with their code.
var symbols = map[string]string{"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}

// Money writes minor units as people do: 6500 EUR is €65.00. The scripts write the same,
// with the table of currenciesScript.
func Money(minor int64, currency string) string {
	whole, fraction := domain.MinorDigits(minor, currency)
	whole, negative := strings.CutPrefix(whole, "-")
	amount := group(whole)
	if fraction != "" {
		amount += "." + fraction
	}
	sign := ""
	if negative {
		sign = "-"
	}
	if symbol, ok := symbols[currency]; ok {
		return sign + symbol + amount
	}
	return fmt.Sprintf("%s%s\u00a0%s", sign, currency, amount)
}

// price is Money for a ticket: one that costs nothing is free.
func price(minor int64, currency string) string {
	if minor == 0 {
		return "free"
	}
	return Money(minor, currency)
}

// currenciesScript is what the scripts know about currencies. Browsers have their own
// tables, which differ from ISO 4217 and from each other.
func currenciesScript() ([]byte, error) {
	decimals, err := json.Marshal(domain.CurrenciesByDecimals())
	if err != nil {
		return nil, fmt.Errorf("storefront: decimals of currencies: %w", err)
	}
	names, err := json.Marshal(symbols)
	if err != nil {
		return nil, fmt.Errorf("storefront: symbols of currencies: %w", err)
	}
	return fmt.Appendf(
		nil,
		"// Generated from the table of ISO 4217 that the service uses.\nexport const DECIMALS = %s; // where it is not 2\nexport const SYMBOLS = %s;\n",
		decimals,
		names,
	), nil
}

// group puts a comma between thousands.
func group(digits string) string {
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

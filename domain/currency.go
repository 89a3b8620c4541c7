package domain

import (
	"strconv"
	"strings"

	"github.com/bojanz/currency"
)

// KnownCurrency reports whether ISO 4217 has the code today. A new sale needs one that it
// has; existing sales keep their code, see ValidCurrency.
func KnownCurrency(code string) bool { return ValidCurrency(code) && currency.IsValid(code) }

// CurrencyDecimals is how many digits a currency's minor unit has: 2 for EUR, 0 for JPY,
// 3 for KWD. Pages, scripts, the provider's page and labels all take it from here. A code
// that ISO 4217 does not have gets 2.
func CurrencyDecimals(code string) int {
	if digits, known := currency.GetDigits(code); known {
		return int(digits)
	}
	return 2
}

// CurrenciesByDecimals lists the codes whose minor unit does not have 2 digits.
func CurrenciesByDecimals() map[string]int {
	decimals := make(map[string]int)
	for _, code := range currency.GetCurrencyCodes() {
		if n := CurrencyDecimals(code); n != 2 {
			decimals[code] = n
		}
	}
	return decimals
}

// MinorDigits splits an amount in minor units at its decimal point: 6500 EUR is "65" and
// "00", 500 JPY is "500" and "". A negative amount keeps its sign.
func MinorDigits(minor int64, code string) (whole, fraction string) {
	decimals := CurrencyDecimals(code)
	sign, digits := "", strconv.FormatInt(minor, 10)
	if minor < 0 {
		sign, digits = "-", digits[1:]
	}
	if len(digits) <= decimals {
		digits = strings.Repeat("0", decimals-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-decimals], digits[len(digits)-decimals:]
}

// FormatMoney writes an amount as a label: 6500 EUR is "65.00 EUR".
func FormatMoney(minor int64, code string) string {
	whole, fraction := MinorDigits(minor, code)
	if fraction == "" {
		return whole + " " + code
	}
	return whole + "." + fraction + " " + code
}

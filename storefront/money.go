package storefront

import (
	"fmt"
	"strconv"
	"strings"
)

// decimals of the currencies that do not have two (ISO 4217).
var decimals = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
	"UGX": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}

var symbols = map[string]string{"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}

// Money writes minor units as people do: 6500 EUR is €65.00. It agrees with
// what the scripts write (Intl.NumberFormat, English).
func Money(minor int64, currency string) string {
	places, ok := decimals[currency]
	if !ok {
		places = 2
	}
	sign, digits := "", strconv.FormatInt(minor, 10)
	if minor < 0 {
		sign, digits = "-", digits[1:]
	}
	if len(digits) <= places {
		digits = strings.Repeat("0", places-len(digits)+1) + digits
	}
	whole, fraction := digits[:len(digits)-places], digits[len(digits)-places:]
	amount := group(whole)
	if places > 0 {
		amount += "." + fraction
	}
	if symbol, ok := symbols[currency]; ok {
		return sign + symbol + amount
	}
	return fmt.Sprintf("%s%s\u00a0%s", sign, currency, amount)
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

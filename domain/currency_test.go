package domain_test

import (
	"testing"

	"boxoffice/domain"
)

// Codes and minor units from ISO 4217 (table A.1), including those that CLDR or browsers write differently.
func TestMoneyIsWrittenWithTheMinorUnitOfISO4217(t *testing.T) {
	for _, row := range []struct {
		minor int64
		code  string
		want  string
	}{
		{6500, "EUR", "65.00 EUR"},
		{0, "EUR", "0.00 EUR"},
		{7, "EUR", "0.07 EUR"},
		{-7, "EUR", "-0.07 EUR"},
		{-6500, "EUR", "-65.00 EUR"},
		{6500, "JPY", "6500 JPY"},
		{500000, "HUF", "5000.00 HUF"},
		{500000, "IDR", "5000.00 IDR"},
		{500000, "COP", "5000.00 COP"},
		{500000, "ALL", "5000.00 ALL"},
		{500000, "AMD", "5000.00 AMD"},
		{500000, "LAK", "5000.00 LAK"},
		{500000, "PKR", "5000.00 PKR"},
		{500000, "RSD", "5000.00 RSD"},
		{500000, "TWD", "5000.00 TWD"},
		{500000, "MGA", "5000.00 MGA"},
		{500000, "KWD", "500.000 KWD"},
		{500000, "IQD", "500.000 IQD"},
		{500000, "UGX", "500000 UGX"},
		{500000, "CLF", "50.0000 CLF"},
		{5, "UYW", "0.0005 UYW"},
		{1_000_000_000_000_000, "EUR", "10000000000000.00 EUR"},
		{6500, "ZZZ", "65.00 ZZZ"}, // from before codes were checked
	} {
		t.Run(row.want, func(t *testing.T) {
			if got := domain.FormatMoney(row.minor, row.code); got != row.want {
				t.Fatalf("domain.FormatMoney(row.minor, row.code) is %q, want %q", got, row.want)
			}
		})
	}
}

func TestASaleHasACurrencyThatISO4217Has(t *testing.T) {
	for code, known := range map[string]bool{
		"EUR": true, "HUF": true, "UYW": true, "VED": true,
		"ZZZ": false, "eur": false, "EURO": false, "": false, "DEM": false,
	} {
		t.Run(code, func(t *testing.T) {
			if got := domain.KnownCurrency(code); got != known {
				t.Fatalf("domain.KnownCurrency(code) is %v, want %v", got, known)
			}
		})
	}
}

package stripe

import (
	"testing"

	"boxoffice/domain"
	"boxoffice/payments"
)

func TestAmountsInStripesUnits(t *testing.T) {
	for _, tt := range []struct {
		currency string
		minor    int64
		want     int64 // 0: refused
	}{
		{"EUR", 1, 1},
		{"EUR", 6500, 6500},
		{"EUR", 0, 0},
		{"EUR", -1, 0},
		{"EUR", 99_999_999, 99_999_999},
		{"EUR", 100_000_000, 0},
		{"JPY", 6500, 6500},
		{"KRW", 65_000, 65_000},
		{"KWD", 6_500_010, 6_500_010},
		{"KWD", 6_500_001, 0},
		{"ISK", 6500, 650_000},
		{"UGX", 999_999, 99_999_900},
		{"UGX", 1_000_000, 0},
		{"UGX", 1 << 62, 0},
		{"MGA", 6500, 65},
		{"MGA", 6501, 0},
	} {
		got, err := toStripe(tt.minor, tt.currency)
		if tt.want == 0 {
			if domain.CodeOf(err) != domain.CodeInvalid {
				t.Errorf("%d %s: %d, %v; want it refused", tt.minor, tt.currency, got, err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%d %s: %d, %v; want %d", tt.minor, tt.currency, got, err, tt.want)
		}
		if back, err := fromStripe(got, tt.currency); err != nil || back != tt.minor {
			t.Errorf("%d of Stripe's %s: %d, %v; want %d", got, tt.currency, back, err, tt.minor)
		}
	}
}

func TestPartOfACrownIsNoAmount(t *testing.T) {
	if got, err := fromStripe(650_050, "ISK"); err == nil {
		t.Errorf("650050 hundredths of ISK: %d, want an error", got)
	}
}

// What Stripe would refuse when the first buyer wants to pay is refused before. More than that is not.
func TestAmountsThatStripeTakes(t *testing.T) {
	var p payments.Pricer = new(Provider)
	for _, tt := range []struct {
		currency string
		minor    int64
		taken    bool
	}{
		{"EUR", 49, false}, {"EUR", 50, true}, {"EUR", 99_999_999, true}, {"EUR", 100_000_000, false},
		{"HUF", 17_499, false}, {"HUF", 17_500, true}, {"JPY", 49, false}, {"JPY", 50, true},
		{"ISK", 1, true}, {"ISK", 1_000_000, false}, {"MGA", 150, false}, {"MGA", 100, true},
		{"KWD", 1005, false}, {"KWD", 1010, true}, {"KRW", 1, true},
	} {
		err := p.CheckAmount(tt.minor, tt.currency)
		if isTaken := err == nil; isTaken != tt.taken || err != nil && domain.CodeOf(err) != domain.CodeInvalid {
			t.Errorf("%d %s: %v, want it taken: %t", tt.minor, tt.currency, err, tt.taken)
		}
	}
}

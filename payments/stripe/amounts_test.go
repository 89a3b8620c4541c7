package stripe

import (
	"testing"

	"boxoffice/domain"
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

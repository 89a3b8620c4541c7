package app

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"boxoffice/ratelimit"
)

func TestLimitsFromTheEnvironment(t *testing.T) {
	for name, tt := range map[string]struct {
		variable, value string
		good            func(config) bool // nil: refused, by the variable's name
	}{
		"a rate":                 {"BOXOFFICE_RATE_PER_ADDRESS", "20,100", func(c config) bool { return c.Rates.PerAddress == ratelimit.Rate{PerSecond: 20, Burst: 100} }},
		"a slow rate":            {"BOXOFFICE_RATE_PER_BUYER", "0.5, 10", func(c config) bool { return c.RatePerBuyer == ratelimit.Rate{PerSecond: 0.5, Burst: 10} }},
		"no rate":                {"BOXOFFICE_RATE_PER_BUYER", "0", func(c config) bool { return c.RatePerBuyer == ratelimit.Rate{} }},
		"a rate without a burst": {"BOXOFFICE_RATE_PER_BUYER", "20", nil},
		"a rate below 0":         {"BOXOFFICE_RATE_PER_BUYER", "-1,5", nil},
		"an invalid rate":        {"BOXOFFICE_RATE_PER_ADDRESS", "NaN,5", nil},
		"proxies":                {"BOXOFFICE_TRUSTED_PROXIES", "10.0.0.0/8,::1", func(c config) bool { return len(c.Rates.TrustedProxies) == 2 }},
		"a proxy's name":         {"BOXOFFICE_TRUSTED_PROXIES", "proxy", nil},
		"a small ceiling":        {"BOXOFFICE_CHECKOUTS_IN_FLIGHT_MAX", "4", func(c config) bool { return c.CheckoutsInFlightMin == 4 && c.CheckoutsInFlightMax == 4 }},
		"a floor above it":       {"BOXOFFICE_CHECKOUTS_IN_FLIGHT_MIN", "513", nil},
		"a proof of work":        {"BOXOFFICE_HUMAN_CHECK_BITS", "16", func(c config) bool { return c.HumanCheckBits == 16 }},
		"none, for anybody":      {"BOXOFFICE_HUMAN_CHECK_BITS", "0", func(c config) bool { return c.HumanCheckBits == 0 && !c.HumanCheckExemptsLocal }},
		"by default":             {"BOXOFFICE_HUMAN_CHECK_BITS", "", func(c config) bool { return c.HumanCheckBits == 16 && c.HumanCheckExemptsLocal }},
		"joins, by default":      {"BOXOFFICE_RATE_JOINS_PER_ADDRESS", "", func(c config) bool { return c.Rates.Joins == ratelimit.Rate{PerSecond: 1, Burst: 200} }},
		"guesses, by default":    {"BOXOFFICE_RATE_WRONG_CODES_PER_ADDRESS", "", func(c config) bool { return c.Rates.Guesses == ratelimit.Rate{PerSecond: 0.1, Burst: 20} }},
		"guesses":                {"BOXOFFICE_RATE_WRONG_CODES_PER_ADDRESS", "2,30", func(c config) bool { return c.Rates.Guesses == ratelimit.Rate{PerSecond: 2, Burst: 30} }},
		"joins without bound":    {"BOXOFFICE_RATE_JOINS_PER_ADDRESS", "0", func(c config) bool { return c.Rates.Joins == ratelimit.Rate{} }},
		"an endless one":         {"BOXOFFICE_HUMAN_CHECK_BITS", "29", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			var c config
			switch err := c.readLimits(); {
			case tt.good == nil && (err == nil || !strings.Contains(err.Error(), tt.variable)):
				t.Errorf("error %v, want one that names %s", err, tt.variable)
			case tt.good != nil && (err != nil || !tt.good(c)):
				t.Errorf("read %+v, %v", c, err)
			}
		})
	}
}

func TestConnectionLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		max, perAddress, proxies string
		want                     int
		counted, exempt          []string
	}{
		"by default":     {"", "", "", 2048, []string{"203.0.113.7", "2001:db8::1"}, []string{"127.0.0.1", "127.0.0.2", "::1"}},
		"a small node":   {"3", "", "", 1, []string{"203.0.113.7"}, nil},
		"no bound":       {"", "0", "", 0, nil, nil},
		"behind a proxy": {"", "100", "198.51.100.1", 100, []string{"203.0.113.7", "127.0.0.1"}, []string{"198.51.100.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			complete(t)
			t.Setenv("BOXOFFICE_CONNECTIONS_MAX", tc.max)
			t.Setenv("BOXOFFICE_CONNECTIONS_PER_ADDRESS_MAX", tc.perAddress)
			t.Setenv("BOXOFFICE_TRUSTED_PROXIES", tc.proxies)
			c, err := readConfig()
			if err != nil {
				t.Fatal(err)
			}
			limits := c.connectionLimits()
			if limits.PerAddressMax != tc.want {
				t.Fatalf("limits.PerAddressMax is %v, want %v", limits.PerAddressMax, tc.want)
			}
			isExempt := func(address string) bool {
				return slices.ContainsFunc(limits.Exempt, func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr(address)) })
			}
			for _, address := range tc.counted {
				if isExempt(address) {
					t.Fatalf("want false: isExempt(address): %v", address)
				}
			}
			for _, address := range tc.exempt {
				if !isExempt(address) {
					t.Fatalf("want true: isExempt(address): %v", address)
				}
			}
		})
	}
}

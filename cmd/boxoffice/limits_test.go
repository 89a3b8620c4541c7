package main

import (
	"strings"
	"testing"

	"boxoffice/api"
)

func TestLimitsFromTheEnvironment(t *testing.T) {
	for name, tt := range map[string]struct {
		variable, value string
		good            func(config) bool // nil: refused, by the variable's name
	}{
		"a rate":              {"BOXOFFICE_RATE_PER_ADDRESS", "20,100", func(c config) bool { return c.Rates.PerAddress == api.Rate{PerSecond: 20, Burst: 100} }},
		"a slow rate":         {"BOXOFFICE_RATE_PER_BUYER", "0.5, 10", func(c config) bool { return c.Rates.PerBuyer == api.Rate{PerSecond: 0.5, Burst: 10} }},
		"no rate":             {"BOXOFFICE_RATE_PER_BUYER", "0", func(c config) bool { return c.Rates.PerBuyer == api.Rate{} }},
		"a rate of no burst":  {"BOXOFFICE_RATE_PER_BUYER", "20", nil},
		"a rate below 0":      {"BOXOFFICE_RATE_PER_BUYER", "-1,5", nil},
		"a rate that is none": {"BOXOFFICE_RATE_PER_ADDRESS", "NaN,5", nil},
		"proxies":             {"BOXOFFICE_TRUSTED_PROXIES", "10.0.0.0/8,::1", func(c config) bool { return len(c.Rates.TrustedProxies) == 2 }},
		"a proxy's name":      {"BOXOFFICE_TRUSTED_PROXIES", "proxy", nil},
		"a small ceiling":     {"BOXOFFICE_CHECKOUTS_IN_FLIGHT_MAX", "4", func(c config) bool { return c.CheckoutsInFlightMin == 4 && c.CheckoutsInFlightMax == 4 }},
		"a floor above it":    {"BOXOFFICE_CHECKOUTS_IN_FLIGHT_MIN", "513", nil},
		"a proof of work":     {"BOXOFFICE_HUMAN_CHECK_BITS", "16", func(c config) bool { return c.HumanCheckBits == 16 }},
		"one without an end":  {"BOXOFFICE_HUMAN_CHECK_BITS", "29", nil},
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

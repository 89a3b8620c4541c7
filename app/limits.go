package app

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"boxoffice/admission"
	"boxoffice/api"
	"boxoffice/humancheck"
	"boxoffice/ratelimit"
)

// humanCheckBits is the default: at most a second on a phone, see docs/overload.md.
const humanCheckBits = 16

// readLimits reads how often clients may ask, and how much a node works on at a time.
func (c *config) readLimits() error {
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	var err error
	c.Rates.PerAddress, err = envRate("BOXOFFICE_RATE_PER_ADDRESS")
	note(err)
	c.Rates.Joins = ratelimit.Rate{PerSecond: 1, Burst: 200}
	if os.Getenv("BOXOFFICE_RATE_JOINS_PER_ADDRESS") != "" {
		c.Rates.Joins, err = envRate("BOXOFFICE_RATE_JOINS_PER_ADDRESS")
		note(err)
	}
	c.Rates.Guesses = ratelimit.Rate{PerSecond: 0.1, Burst: 20}
	if os.Getenv("BOXOFFICE_RATE_WRONG_CODES_PER_ADDRESS") != "" {
		c.Rates.Guesses, err = envRate("BOXOFFICE_RATE_WRONG_CODES_PER_ADDRESS")
		note(err)
	}
	c.RatePerBuyer, err = envRate("BOXOFFICE_RATE_PER_BUYER")
	note(err)
	if c.Rates.TrustedProxies, err = api.ParseProxies(os.Getenv("BOXOFFICE_TRUSTED_PROXIES")); err != nil {
		note(fmt.Errorf("BOXOFFICE_TRUSTED_PROXIES: %w", err))
	}
	c.CheckoutsInFlightMax, err = envNumber("BOXOFFICE_CHECKOUTS_IN_FLIGHT_MAX", admission.InFlightMax, 1)
	note(err)
	c.CheckoutsInFlightMin, err = envNumber("BOXOFFICE_CHECKOUTS_IN_FLIGHT_MIN", min(admission.InFlightMin, c.CheckoutsInFlightMax), 1)
	note(err)
	if c.CheckoutsInFlightMin > c.CheckoutsInFlightMax {
		note(errors.New("BOXOFFICE_CHECKOUTS_IN_FLIGHT_MIN is above BOXOFFICE_CHECKOUTS_IN_FLIGHT_MAX"))
	}
	c.CheckoutsInLineMax, err = envNumber("BOXOFFICE_CHECKOUTS_IN_LINE_MAX", admission.InLineMax, 0)
	note(err)
	c.HumanCheckBits, err = envNumber("BOXOFFICE_HUMAN_CHECK_BITS", humanCheckBits, 0)
	c.HumanCheckExemptsLocal = os.Getenv("BOXOFFICE_HUMAN_CHECK_BITS") == ""
	note(err)
	if c.HumanCheckBits > humancheck.BitsMax {
		note(fmt.Errorf("BOXOFFICE_HUMAN_CHECK_BITS: want 0 (off) to %d", humancheck.BitsMax))
	}
	return errors.Join(problems...)
}

// connectionLimits are those of a listener. By default one address gets a quarter of its
// connections, which is plenty for those who share one. This machine's own addresses,
// such as a proxy's, may have all.
func (c *config) connectionLimits() api.ConnectionLimits {
	limits := api.ConnectionLimits{Max: c.ConnectionsMax, PerAddressMax: c.ConnectionsPerAddressMax, Exempt: c.Rates.TrustedProxies}
	if limits.PerAddressMax < 0 {
		limits.PerAddressMax = max(c.ConnectionsMax/4, 1)
		limits.Exempt = append(slices.Clone(limits.Exempt), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	}
	return limits
}

// envRate reads a rate as "requests a second,burst", such as 20,100. Not set, or 0: no
// limit.
func envRate(name string) (ratelimit.Rate, error) {
	text := os.Getenv(name)
	if text == "" || text == "0" {
		return ratelimit.Rate{}, nil
	}
	perSecond, burst, ok := strings.Cut(text, ",")
	r, err := strconv.ParseFloat(strings.TrimSpace(perSecond), 64)
	b, errBurst := strconv.Atoi(strings.TrimSpace(burst))
	if !ok || err != nil || errBurst != nil || !(r >= rateMin && r <= rateMax) || b < 1 || b > rateMax {
		return ratelimit.Rate{}, fmt.Errorf("%s: want requests a second and a burst, such as 20,100; 0 means no limit", name)
	}
	return ratelimit.Rate{PerSecond: r, Burst: b}, nil
}

// Limits of a configured rate: from one in about a quarter of an hour to more than a node
// can answer.
const (
	rateMin = 0.001
	rateMax = 1_000_000
)

package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"boxoffice/ratelimit"
)

// The number of places per address is limited. Clients of this machine, and those behind an
// unnamed proxy, do not count as one client.
func TestJoinsOfAnAddressAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		remote, forwarded string
		refused           bool
	}{
		"an address of the internet":         {"203.0.113.9:1", "", true},
		"a network of IPv6":                  {"[2001:db8::7]:1", "", true},
		"this machine":                       {"127.0.0.1:1", "", false},
		"a private network":                  {"10.1.2.3:1", "", false},
		"somebody behind a trusted proxy":    {"10.9.9.9:1", "203.0.113.9", true},
		"somebody behind one on the machine": {"127.0.0.1:1", "203.0.113.9", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(o *Options) {
				o.Rates = Rates{Joins: ratelimit.Rate{PerSecond: 0.001, Burst: 3}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.9.9.9/32")}}
			})
			ask := func(method string) int {
				r := httptest.NewRequest(method, "/v1/sales/nothing/queue", nil)
				r.RemoteAddr = c.remote
				if c.forwarded != "" {
					r.Header.Set("X-Forwarded-For", c.forwarded)
				}
				w := httptest.NewRecorder()
				b.api.Public().ServeHTTP(w, r)
				return w.Code
			}
			for range 3 {
				if code := ask(http.MethodPost); code == http.StatusTooManyRequests {
					t.Fatal("refused too early")
				}
			}
			if code := ask(http.MethodPost); (code == http.StatusTooManyRequests) != c.refused {
				t.Errorf("the fourth join: %d", code)
			}
			if code := ask(http.MethodGet); code == http.StatusTooManyRequests {
				t.Error("joins use up the limit of looking at the queue")
			}
		})
	}
}

// With the exemption, clients of this machine join without a proof. Nobody else does.
func TestTheHumanCheckMayExemptThisMachine(t *testing.T) {
	for name, c := range map[string]struct {
		remote  string
		exempts bool
		want    int
	}{
		"this machine":               {"127.0.0.1:1", true, http.StatusCreated},
		"this machine, not exempted": {"127.0.0.1:1", false, http.StatusForbidden},
		"this machine by IPv6":       {"[::1]:1", true, http.StatusCreated},
		"the next one":               {"10.0.0.1:1", true, http.StatusForbidden},
		"one behind a trusted proxy": {"10.9.9.9:1", true, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := roomSetup(t, func(o *Options) {
				o.HumanCheck, o.HumanCheckExemptsLocal = check{required: true}, c.exempts
				o.Rates.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.9.9.9/32")}
			})
			asks := map[string]int{http.MethodPost: c.want, http.MethodGet: http.StatusNoContent}
			if c.want != http.StatusCreated {
				asks[http.MethodGet] = http.StatusOK
			}
			for method, want := range asks {
				path := "/v1/sales/rush/queue"
				if method == http.MethodGet {
					path += "/challenge"
				}
				r := httptest.NewRequest(method, path, nil)
				r.RemoteAddr = c.remote
				if c.remote == "10.9.9.9:1" {
					r.Header.Set("X-Forwarded-For", "203.0.113.9")
				}
				w := httptest.NewRecorder()
				b.api.Public().ServeHTTP(w, r)
				if w.Code != want {
					t.Errorf("%s: %d %s, want %d", method, w.Code, w.Body, want)
				}
			}
		})
	}
}

package api

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"boxoffice/ratelimit"
)

// What a client may ask is announced as draft-ietf-httpapi-ratelimit-headers-10 has it:
//
//	RateLimit-Policy: "address";q=100;w=5
//	RateLimit: "address";r=42;t=3
//
// q requests at once, which take w seconds to come back; r of them are left. They are all
// back after t seconds; where none is left, the next one is, as Retry-After says.

// announcedMax bounds the answers that are made beforehand, so that an announcement costs a
// refusal nothing but its bytes.
const announcedMax = 1024

// The names as net/http keeps them, which has its own idea of capitals.
const (
	rateLimitHeader       = "Ratelimit"
	rateLimitPolicyHeader = "Ratelimit-Policy"
)

// An announcement is what a token bucket tells of itself.
type announcement struct {
	name   string
	rate   ratelimit.Rate
	policy []string
	states [][]string // by how many tokens are left
}

func announced(name string, r ratelimit.Rate) announcement {
	a := announcement{name: name, rate: r}
	if r.PerSecond == 0 {
		return a // nothing is limited, and nothing announced
	}
	a.policy = []string{fmt.Sprintf("%q;q=%d;w=%d", name, r.Burst, a.seconds(r.Burst))}
	for left := range min(r.Burst+1, announcedMax) {
		a.states = append(a.states, a.state(left))
	}
	return a
}

// seconds is how long so many tokens take.
func (a *announcement) seconds(tokens int) int {
	return max(int(math.Ceil(float64(tokens)/a.rate.PerSecond)), 1)
}

func (a *announcement) state(left int) []string {
	missing := a.rate.Burst - left
	if left == 0 {
		missing = 1
	}
	reset := 0
	if missing > 0 {
		reset = a.seconds(missing)
	}
	return []string{fmt.Sprintf("%q;r=%d;t=%d", a.name, left, reset)}
}

// to announces what is left; wait is how long until the next token where none is.
func (a *announcement) to(h http.Header, left int, wait time.Duration) {
	h[rateLimitPolicyHeader] = a.policy
	switch {
	case wait > 0:
		h[rateLimitHeader] = []string{fmt.Sprintf("%q;r=0;t=%d", a.name, int(math.Ceil(wait.Seconds())))}
	case left < len(a.states):
		h[rateLimitHeader] = a.states[left]
	default:
		h[rateLimitHeader] = a.state(left)
	}
}

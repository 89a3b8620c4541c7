package api

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"boxoffice/ratelimit"
)

// Limits are announced in the headers of draft-ietf-httpapi-ratelimit-headers-10:
//
//	RateLimit-Policy: "address";q=100;w=5
//	RateLimit: "address";r=42;t=3
//
// A client may make q requests at once, which take w seconds to come back; r of them are
// left. All are back after t seconds. If none is left, t is when the next one is back,
// like Retry-After.

// announcedMax limits how many header values are made in advance, so that announcing
// costs a refusal only the bytes.
const announcedMax = 1024

// The header names as net/http canonicalises them.
const (
	rateLimitHeader       = "Ratelimit"
	rateLimitPolicyHeader = "Ratelimit-Policy"
)

// An announcement is what a token bucket says about itself.
type announcement struct {
	name   string
	rate   ratelimit.Rate
	policy []string
	states [][]string // by how many tokens are left
}

func announced(name string, r ratelimit.Rate) announcement {
	a := announcement{name: name, rate: r}
	if r.PerSecond == 0 {
		return a // no limit, nothing to announce
	}
	a.policy = []string{fmt.Sprintf("%q;q=%d;w=%d", name, r.Burst, a.seconds(r.Burst))}
	for left := range min(r.Burst+1, announcedMax) {
		a.states = append(a.states, a.state(left))
	}
	return a
}

// seconds is how long this many tokens take.
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

// to announces what is left; if nothing is, wait is how long the next token takes.
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

package api

import (
	"net/http"
	"testing"
	"time"

	"boxoffice/ratelimit"
)

// A client is told how many requests it has left, and when there will be more.
func TestLimitsAreAnnounced(t *testing.T) {
	b := setup(t, func(o *Options) { o.Rates.PerAddress = ratelimit.Rate{PerSecond: 0.25, Burst: 3} })
	want := []struct{ state, retryAfter string }{
		{`"address";r=2;t=4`, ""}, {`"address";r=1;t=8`, ""}, {`"address";r=0;t=4`, ""}, {`"address";r=0;t=4`, "4"}, {`"address";r=0;t=4`, "4"},
	}
	for n, tt := range want {
		w := b.do(request{method: "GET", path: "/v1/sales"})
		if got := w.Header().Get("RateLimit"); got != tt.state || w.Header().Get("Retry-After") != tt.retryAfter {
			t.Errorf("request %d: RateLimit %s, Retry-After %q; want %s, %q", n, got, w.Header().Get("Retry-After"), tt.state, tt.retryAfter)
		}
		if got := w.Header().Get("RateLimit-Policy"); got != `"address";q=3;w=12` {
			t.Errorf("policy %s", got)
		}
	}
	if w := b.do(request{method: "GET", path: "/healthz"}); w.Header().Get("RateLimit") != "" {
		t.Errorf("a probe: %v", w.Header())
	}
	if w := setup(t).do(request{method: "GET", path: "/v1/sales"}); w.Header().Get("RateLimit-Policy") != "" {
		t.Errorf("without limits: %v", w.Header())
	}
}

func TestAnAnnouncementOfManyIsMadeWhenNeeded(t *testing.T) {
	a := announced("address", ratelimit.Rate{PerSecond: 100, Burst: 5000})
	h := http.Header{}
	for left, want := range map[int]string{5000: `"address";r=5000;t=0`, 4999: `"address";r=4999;t=1`, 1: `"address";r=1;t=50`} {
		if a.to(h, left, 0); h.Get("RateLimit") != want {
			t.Errorf("%d left: %s, want %s", left, h.Get("RateLimit"), want)
		}
	}
	if a.to(h, 0, 1500*time.Millisecond); h.Get("RateLimit") != `"address";r=0;t=2` || len(a.states) != announcedMax {
		t.Errorf("%s, %d made", h.Get("RateLimit"), len(a.states))
	}
}

package api

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"boxoffice/admission"
	"boxoffice/domain"
	"boxoffice/ratelimit"
)

// retryAfterOf is an answer's Retry-After in seconds.
func retryAfterOf(w *httptest.ResponseRecorder) int {
	seconds, _ := strconv.Atoi(w.Header().Get("Retry-After")) // 0 if there is none
	return seconds
}

func TestForwardedFor(t *testing.T) {
	trusted, err := ParseProxies("10.0.0.0/8, 192.0.2.1,2001:db8::/32")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		peer   string
		header []string
		want   string
	}{
		"no proxy":                            {"198.51.100.7", nil, "198.51.100.7"},
		"not trusted: its header is ignored":  {"198.51.100.7", []string{"203.0.113.1"}, "198.51.100.7"},
		"a proxy":                             {"10.1.1.1", []string{"203.0.113.1"}, "203.0.113.1"},
		"a proxy that appended to a lie":      {"10.1.1.1", []string{"1.2.3.4, 203.0.113.1"}, "203.0.113.1"},
		"the lie on its own line":             {"10.1.1.1", []string{"1.2.3.4", "203.0.113.1"}, "203.0.113.1"},
		"two proxies":                         {"10.1.1.1", []string{"203.0.113.1, 192.0.2.1"}, "203.0.113.1"},
		"a proxy that says nothing":           {"10.1.1.1", nil, "10.1.1.1"},
		"with a port, as Azure and IIS write": {"10.1.1.1", []string{"203.0.113.7:4001"}, "203.0.113.7"},
		"IPv6 with a port":                    {"10.1.1.1", []string{"[2001:470:1:2::3]:443"}, "2001:470:1:2::"},
		"IPv6 in brackets":                    {"10.1.1.1", []string{"[2001:470:1:2::3]"}, "2001:470:1:2::"},
		"IPv4 in IPv6 with a port":            {"10.1.1.1", []string{"[::ffff:203.0.113.1]:443"}, "203.0.113.1"},
		"IPv6 with a zone and a port":         {"10.1.1.1", []string{"[fe80:1:2:3::1%eth0]:443"}, "fe80:1:2:3::"},
		"two proxies, with ports":             {"10.1.1.1", []string{"203.0.113.1:1, 192.0.2.1:443"}, "203.0.113.1"},
		"a lie, with a port":                  {"10.1.1.1", []string{"1.2.3.4:1, 203.0.113.1:2"}, "203.0.113.1"},
		"an invalid port":                     {"10.1.1.1", []string{"203.0.113.1:x"}, "10.1.1.1"},
		"brackets around IPv4":                {"10.1.1.1", []string{"[203.0.113.1"}, "10.1.1.1"},
		"garbage":                             {"10.1.1.1", []string{"203.0.113.1, unknown"}, "10.1.1.1"},
		"IPv6: the customer's /64":            {"2001:db8::1", []string{"2001:470:1:2:3:4:5:6"}, "2001:470:1:2::"},
		"IPv4 in IPv6":                        {"10.1.1.1", []string{"::ffff:203.0.113.1"}, "203.0.113.1"},
		"IPv6 with a zone":                    {"10.1.1.1", []string{"fe80:1:2:3:4:5:6:7%eth0"}, "fe80:1:2:3::"},
		"as many proxies as are followed":     {"10.1.1.1", []string{"203.0.113.1" + strings.Repeat(", 10.2.2.2", proxiesMax-1)}, "203.0.113.1"},
		"one more":                            {"10.1.1.1", []string{"203.0.113.1" + strings.Repeat(", 10.2.2.2", proxiesMax)}, "10.2.2.2"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := clientOfAddress(forwardedFor(netip.MustParseAddr(tt.peer), tt.header, trusted)); got.String() != tt.want {
				t.Errorf("client %v, want %s", got, tt.want)
			}
		})
	}
	for _, list := range []string{"10.0.0.0/33", "proxy.example", "10.0.0.1;10.0.0.2", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		if _, err := ParseProxies(list); err == nil {
			t.Errorf("%q was accepted", list)
		}
	}
}

// A dual-stack listener reports IPv4 addresses as IPv6.
func TestClientOfARequest(t *testing.T) {
	s := &Server{Options: Options{Rates: Rates{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}}
	for remote, want := range map[string]string{
		"10.1.1.1:4711": "203.0.113.1", "[::ffff:10.1.1.1]:4711": "203.0.113.1", "[::ffff:198.51.100.7]:4711": "198.51.100.7", "@": "invalid IP",
	} {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {"203.0.113.1"}}}
		if got := s.clientOf(r); got.String() != want {
			t.Errorf("%s: client %v, want %s", remote, got, want)
		}
	}
}

func FuzzForwardedFor(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Add("203.0.113.1, 10.1.1.1")
	f.Add(",,,")
	f.Add("[::1%a]:1,[203.0.113.1],203.0.113.1:80,[]:1,:1")
	f.Fuzz(func(t *testing.T, header string) {
		if !forwardedFor(netip.MustParseAddr("10.1.1.1"), []string{header}, trusted).IsValid() {
			t.Fatal("no address")
		}
		if got := forwardedFor(netip.MustParseAddr("203.0.113.9"), []string{header}, trusted); got.String() != "203.0.113.9" {
			t.Fatalf("a stranger became %v", got)
		}
	})
}

// One address that asks 50,000 times is refused, and all others are served.
func TestOneAddressDoesNotSlowTheOthers(t *testing.T) {
	requests := 50_000
	if testing.Short() {
		requests = 5_000
	}
	b := setup(t, func(o *Options) { o.Rates.PerAddress = ratelimit.Rate{PerSecond: 1, Burst: 10} })
	server := httptest.NewServer(b.api.Public())
	t.Cleanup(server.Close)
	h := &house{t: t, bundle: b, address: server.Listener.Addr().String(), url: server.URL}
	conn := h.dialFrom("127.0.0.9")
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	go func() { // pipelined: as fast as the server reads
		w := bufio.NewWriter(conn)
		for range requests {
			fmt.Fprint(w, "GET /v1/sales HTTP/1.1\r\nHost: boxoffice\r\n\r\n")
		}
		_ = w.Flush()
	}()
	answers, reader := map[int]int{}, bufio.NewReader(conn)
	for n := range requests {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		answers[response.StatusCode]++
		if response.StatusCode == 429 && response.Header.Get("Retry-After") == "" {
			t.Fatal("a 429 without Retry-After")
		}
		_, _ = reader.Discard(int(response.ContentLength))
		if n%(requests/20) != 0 {
			continue
		}
		other := h.dialFrom(fmt.Sprintf("127.0.1.%d", 1+n/(requests/20)))
		fmt.Fprint(other, "GET /v1/sales HTTP/1.1\r\nHost: boxoffice\r\n\r\n")
		response, err = http.ReadResponse(bufio.NewReader(other), nil)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("another address: %v %v", response, err)
		}
		_ = other.Close()
	}
	if answers[200]+answers[429] != requests || answers[200] < 10 || answers[429] < requests/2 {
		t.Errorf("answers %v", answers)
	}
}

// The body of a refused request is not read, and webhooks and probes do not count.
func TestWhichRequestsCountForAnAddress(t *testing.T) {
	b := setup(t, func(o *Options) { o.Rates.PerAddress = ratelimit.Rate{PerSecond: 0.001, Burst: 1} })
	if w := b.do(request{method: "GET", path: "/v1/sales"}); w.Code != 200 {
		t.Fatal(w.Code)
	}
	r := httptest.NewRequest("POST", "/v1/sales/conference/checkouts", brokenReader{})
	w := httptest.NewRecorder()
	b.api.Public().ServeHTTP(w, r)
	if wantProblem(t, w, 429, domain.CodeRateLimited); retryAfterOf(w) < 900 {
		t.Errorf("Retry-After %q, want the time until the next token", w.Header().Get("Retry-After"))
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if w := b.do(request{method: "GET", path: path, header: bearerOf(testAdminToken)}); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	wantProblem(t, b.do(request{method: "POST", path: "/v1/webhooks/mockpay", body: "x"}), 401, domain.CodeForged)
}

func TestTheRateOfABuyerBindsNoKey(t *testing.T) {
	b := setupAdmission(t, func(o *admission.Options) { o.PerBuyer = ratelimit.Rate{PerSecond: 0.001, Burst: 1} })
	b.held(testKey)
	second := testKey + "-2"
	w := b.checkout(second, wish("A", 1))
	if wantProblem(t, w, 429, domain.CodeRateLimited); retryAfterOf(w) < 900 {
		t.Errorf("Retry-After %q, want the time until the next token", w.Header().Get("Retry-After"))
	}
	other := `{"items":[{"class":"B","quantity":1}],"buyer":{"email":"buyer-8@example.org"}}`
	if w := b.checkout(second, other); w.Code != 201 {
		t.Errorf("another buyer, with the key that was refused: %d %s", w.Code, w.Body)
	}
}

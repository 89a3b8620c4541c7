package mockpay

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzAPI: whatever is sent to the provider, the answer is no failure of its
// own.
func FuzzAPI(f *testing.F) {
	server, err := New(Config{Addr: "127.0.0.1:0", DataDir: f.TempDir(), BoxofficeURL: "http://127.0.0.1:1", Secrets: testSecrets(f), Log: quiet()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = server.Close() })
	session := "/v1/sessions/ps_" + orderNumber(1).String()
	for _, seed := range [][3]string{
		{"POST", session + "/pay", `{"outcome":"succeeded","link":"/pay/x?amount=1&currency=EUR"}`},
		{"POST", session + "/pay", `{"outcome":"stolen"}`},
		{"POST", session + "/expire", ``},
		{"GET", session, ``},
		{"GET", "/v1/sessions/ps_%ff", ``},
		{"POST", "/v1/refunds", `{"payment":"pay_1","amount":1,"currency":"EUR","reason":"canceled"}`},
		{"POST", "/v1/refunds", `{"payment":"","amount":-9223372036854775808}`},
		{"GET", "/v1/refunds?after=%ff&limit=-1", ``},
		{"GET", "/v1/captures?limit=1000", ``},
		{"GET", "/v1/deliveries?state=pending&after=99999999999999999999", ``},
		{"GET", "/pay/ps_" + orderNumber(1).String() + "?amount=1e9&signature=AAAA", ``},
		{"POST", "/pay/ps_" + orderNumber(1).String(), `outcome=succeeded`},
		{"GET", "/v1/mischief", ``},
		{"POST", "/v1/mischief", `{"rules":[{"trick":"delay"}]}`},
		{"POST", session + "/mischief", `{"trick":"wrong_amount","amount":1e400}`},
		{"POST", session + "/capture", `{"amount":-1}`},
	} {
		f.Add(seed[0], seed[1], "application/json", seed[2])
		f.Add(seed[0], seed[1], "application/x-www-form-urlencoded", seed[2])
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || method == "" {
			t.Skip()
		}
		r, err := http.NewRequest(method, "http://"+testHost, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.RequestURI = u.Path, u.RawPath, u.RawQuery, target
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		server.http.Handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if strings.Contains(r.URL.Path, "mischief") { // its mischief must not reach the next input
			for _, path := range []string{r.URL.Path, MischiefPath} {
				off := httptest.NewRequest(http.MethodDelete, "/", nil)
				off.Host = testHost
				off.URL.Path = path
				server.http.Handler.ServeHTTP(httptest.NewRecorder(), off)
			}
		}
	})
}

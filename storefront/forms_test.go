package storefront

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// If a browser hides where a form comes from, the cookie decides: only our own forms bring
// it back.
func TestFormsThatHideTheirOrigin(t *testing.T) {
	v := visit(t)
	v.answer(joinQueue, canned{status: 201, body: `{"token":"` + strings.Repeat("t", 24) + `","sale":"concert","status":"waiting","draw":{}}`})
	send := func(header map[string]string, cookies ...*http.Cookie) int {
		r := httptest.NewRequest("POST", "/sales/concert/queue", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, value := range header {
			r.Header.Set(name, value)
		}
		for _, cookie := range cookies {
			r.AddCookie(cookie)
		}
		return v.send(r).Code
	}
	opened := v.send(httptest.NewRequest("GET", "/sales/concert", nil))
	var own *http.Cookie
	for _, cookie := range opened.Result().Cookies() {
		if cookie.Name == ownCookie {
			own = cookie
		}
	}
	if own == nil || own.SameSite != http.SameSiteStrictMode || !own.HttpOnly || own.Path != "/" {
		t.Fatalf("cookie %v", own)
	}
	for name, tt := range map[string]struct {
		header  map[string]string
		cookies []*http.Cookie
		want    int
	}{
		"ours, hidden":                     {map[string]string{"Origin": "null"}, []*http.Cookie{own}, 303},
		"another site's, hidden":           {map[string]string{"Origin": "null"}, nil, 403},
		"ours":                             {map[string]string{"Origin": "http://example.com"}, nil, 303},
		"another site's":                   {map[string]string{"Origin": "http://evil.example"}, nil, 403},
		"another site's, with a cookie":    {map[string]string{"Origin": "http://evil.example"}, []*http.Cookie{own}, 403},
		"another site's, says the browser": {map[string]string{"Origin": "null", "Sec-Fetch-Site": "cross-site"}, []*http.Cookie{own}, 403},
	} {
		if got := send(tt.header, tt.cookies...); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	r := httptest.NewRequest("GET", "/sales/concert", nil)
	r.Header.Set("Sec-Fetch-Site", "none")
	if cookies := v.send(r).Result().Cookies(); len(cookies) > 0 {
		t.Errorf("a browser that says where it comes from got %v", cookies)
	}
}

func TestAPathHasOneForm(t *testing.T) {
	v := visit(t)
	for _, path := range []string{"//", "//v1//sales", "/sales//concert", "/sales/../sales/concert", "/static/../../etc/passwd", "/static/./page.css", "/sales/concert/."} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		if w := v.send(r); w.Code != 404 || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

func TestCookiesAreSecureBehindProxies(t *testing.T) {
	for header, want := range map[string]bool{"https": true, "HTTPS": true, "https, http": true, "https,http": true, " https ": true, "http": false, "http, https": false, "": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Forwarded-Proto", header)
		if got := isSecure(r); got != want {
			t.Errorf("%q: %t", header, got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["X-Forwarded-Proto"] = []string{"https", "http"}
	if !isSecure(r) {
		t.Error("two lines")
	}
}

package storefront

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"boxoffice/domain"
)

// ask is a request of a browser of today.
func (v *visitor) ask(path string, header map[string]string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Sec-Fetch-Site", "none")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return v.send(r)
}

// A page that caches may keep is the same for everybody: it names its language in the URL, sets no cookie, and has
// neither the key of a form nor anything that a cookie leads to.
func TestAPageThatCachesKeepHasNothingOfABuyer(t *testing.T) {
	private := []*http.Cookie{
		{Name: domain.HeldCookieName("concert"), Value: order + "." + orderToken}, {Name: placeCookie, Value: placeToken},
		{Name: languageCookie, Value: "ko"}, {Name: ownCookie, Value: "1"},
	}
	for _, tt := range []struct {
		name, path string
		header     map[string]string
		cookies    []*http.Cookie
		isPublic   bool
	}{
		{"a sale", "/sales/concert?lang=de", nil, nil, true},
		{"the list", "/?lang=en", nil, nil, true},
		{"with other parameters", "/sales/concert?utm=x&lang=ko", nil, nil, true},
		{"with a cookie of others", "/sales/concert?lang=de", nil, []*http.Cookie{{Name: "_ga", Value: "1"}}, true},
		{"whose language the browser chooses", "/sales/concert", map[string]string{"Accept-Language": "de"}, nil, false},
		{"in a language that we do not have", "/sales/concert?lang=xx", nil, nil, false},
		{"of one who holds tickets", "/sales/concert?lang=de", nil, private[:1], false},
		{"of one who has a place", "/sales/concert?lang=de", nil, private[1:2], false},
		{"of one who has chosen", "/sales/concert?lang=de", nil, private[2:3], false},
		{"of one with our mark", "/sales/concert?lang=de", nil, private[3:], false},
		{"of a browser that may need our mark", "/sales/concert?lang=de", map[string]string{"Sec-Fetch-Site": ""}, nil, false},
		{"a place", placePath + "?lang=de", nil, nil, false},
		{"an order", "/orders/" + order + "?lang=de", nil, nil, false},
		{"nothing", "/sales/nope?lang=de", nil, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := visit(t)
			v.sales[0].WaitingRoom = false
			v.answer("GET /v1/orders/"+order, heldView("held", "concert"))
			v.answer(readPlace, placeThat("waiting"))
			w := v.ask(tt.path, tt.header, tt.cookies...)
			h := w.Header()
			isPublic := strings.Contains(h.Get("Cache-Control"), "public")
			if isPublic != tt.isPublic {
				t.Fatalf("public: %t, want %t: %v", isPublic, tt.isPublic, h)
			}
			if !isPublic {
				if h.Get("Cache-Control") != "no-store" || !strings.Contains(h.Get("Vary"), "Accept-Language") || !strings.Contains(h.Get("Vary"), "Cookie") {
					t.Errorf("headers %v", h)
				}
				return
			}
			if h.Get("Cache-Control") != "public, max-age=0, s-maxage=1, stale-while-revalidate=1" || h["Set-Cookie"] != nil || h.Get("Vary") != "" {
				t.Errorf("headers %v", h)
			}
			for _, secret := range []string{`name="key"`, orderToken, order, placeToken} {
				if strings.Contains(w.Body.String(), secret) {
					t.Errorf("it has %q:\n%s", secret, w.Body)
				}
			}
		})
	}
}

// The same page is for everybody: two visitors get the same bytes but for the time.
func TestAPageThatCachesKeepIsTheSameForAll(t *testing.T) {
	v := visit(t)
	v.sales[0].WaitingRoom = false
	at := regexp.MustCompile(`data-now="\d+"`)
	one := at.ReplaceAllString(v.ask("/sales/concert?lang=ko", map[string]string{"Accept-Language": "de", "User-Agent": "a"}).Body.String(), "")
	other := at.ReplaceAllString(v.ask("/sales/concert?lang=ko", map[string]string{"Accept-Language": "en", "X-Forwarded-For": "198.51.100.9"}).Body.String(), "")
	if one != other || !strings.Contains(one, `<html lang="ko"`) {
		t.Errorf("they differ:\n%s\n%s", one, other)
	}
}

// A form of such a page has no key, so it is shown once more with one: sent twice it still buys once.
func TestAFormWithoutAKeyIsAskedForOnceMore(t *testing.T) {
	v := visit(t)
	v.sales[0].WaitingRoom = false
	v.answer(checkOut, canned{status: 201, body: `{"order":"` + order + `","token":"` + orderToken + `","status":"held"}`})
	w := v.post("/sales/concert/checkouts", url.Values{"quantity-A": {"2"}, "email": {"a@example.com"}, "language": {"de"}})
	wantShown(t, w, 200, "Bitte sehen Sie alles durch", `value="2"`, `value="a@example.com"`, `name="key" value="`, `<html lang="de"`)
	if _, asked := v.question(checkOut); asked {
		t.Error("it was held already")
	}
	if cookies := w.Result().Cookies(); len(cookies) != 1 || cookies[0].Name != languageCookie || cookies[0].Value != "de" {
		t.Errorf("cookies %v, want the language of the form", cookies)
	}
}

func TestTheLanguageOfAPage(t *testing.T) {
	for _, tt := range []struct{ path, cookie, accept, want, remembered string }{
		{"/orders/" + order, "", "", "en", ""},
		{"/orders/" + order, "", "de-CH, fr;q=0.9", "de", ""},
		{"/orders/" + order, "", "fr, ko;q=0.5, en;q=0.4", "ko", ""},
		{"/orders/" + order, "", "fr, es", "en", ""},
		{"/orders/" + order, "", strings.Repeat("x", 10_000), "en", ""},
		{"/orders/" + order, "ko", "de", "ko", ""},
		{"/orders/" + order, "xx", "de", "de", ""},
		{"/orders/" + order + "?lang=de", "ko", "en", "de", "de"},
		{"/orders/" + order + "?lang=de", "de", "en", "de", ""},
		{"/orders/" + order + "?lang=%22%3E", "", "de", "de", ""},
	} {
		v := visit(t)
		var cookies []*http.Cookie
		if tt.cookie != "" {
			cookies = append(cookies, &http.Cookie{Name: languageCookie, Value: tt.cookie})
		}
		w := v.ask(tt.path, map[string]string{"Accept-Language": tt.accept}, cookies...)
		if !strings.Contains(w.Body.String(), `<html lang="`+tt.want+`"`) || w.Header().Get("Content-Language") != tt.want {
			t.Errorf("%+v: %s", tt, w.Header().Get("Content-Language"))
		}
		remembered := ""
		for _, cookie := range w.Result().Cookies() {
			if cookie.Name == languageCookie {
				remembered = cookie.Value
			}
		}
		if remembered != tt.remembered {
			t.Errorf("%+v: remembered %q", tt, remembered)
		}
	}
}

// The organiser's page speaks English, and has no links to other languages.
func TestTheOrganisersPageIsInEnglish(t *testing.T) {
	w := visit(t).ask("/organiser/sales/concert", map[string]string{"Accept-Language": "de"})
	if !strings.Contains(w.Body.String(), `<html lang="en"`) || strings.Contains(w.Body.String(), "hreflang") || w.Header().Get("Content-Language") != "en" {
		t.Errorf("%v\n%s", w.Header(), w.Body)
	}
}

var assetLinks = regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`)

// Files are asked for by names with the hash of their content, and kept for good; so are those that scripts import.
// Their old names, and names of other releases, answer what there is now, and nobody keeps it.
func TestFilesHaveTheirHashInTheirName(t *testing.T) {
	v := visit(t)
	hashed := regexp.MustCompile(`^/static/[a-z-]+\.[0-9a-f]{16}\.(js|css|svg)$`)
	imports := regexp.MustCompile(`(?:from |import\(|Worker\()'((?:\./|/static/)[^']+)'`)
	seen := map[string]bool{}
	var queue []string
	for _, path := range []string{"/sales/concert", placePath, "/orders/" + order, "/organiser/sales/concert", "/nope"} {
		v.answer(readPlace, placeThat("waiting"))
		for _, link := range assetLinks.FindAllStringSubmatch(v.ask(path, nil).Body.String(), -1) {
			queue = append(queue, link[1])
		}
	}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		w := v.ask(path, nil)
		if w.Code != 200 || !hashed.MatchString(path) || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || w.Header()["Set-Cookie"] != nil {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		for _, found := range imports.FindAllStringSubmatch(w.Body.String(), -1) {
			queue = append(queue, "/static/"+found[1][strings.LastIndexByte(found[1], '/')+1:])
		}
		zipped := v.ask(path, map[string]string{"Accept-Encoding": "br, gzip"})
		if zipped.Header().Get("Content-Encoding") == "gzip" {
			reader, err := gzip.NewReader(bytes.NewReader(zipped.Body.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := io.ReadAll(reader); err != nil || !bytes.Equal(plain, w.Body.Bytes()) || zipped.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s, compressed: %v, headers %v", path, err, zipped.Header())
			}
		} else if w.Body.Len() > assetZippedMin {
			t.Errorf("%s has %d bytes and is not compressed", path, w.Body.Len())
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d files were found: %v", len(seen), seen)
	}
	for _, old := range []string{"/static/style.css", "/static/style.0123456789abcdef.css", "/static/sale.js", "/static/sale.0123456789abcdef.js"} {
		w := v.ask(old, nil)
		if w.Code != 200 || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", old, w.Code, w.Header())
		}
	}
	for _, none := range []string{"/static/nope.0123456789abcdef.js", "/static/style.0123456789abcdef.js", "/static/style.x.css"} {
		if w := v.ask(none, nil); w.Code != 404 {
			t.Errorf("%s: %d", none, w.Code)
		}
	}
}

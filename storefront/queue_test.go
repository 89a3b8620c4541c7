package storefront

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

// contract is a fake API with canned answers by method and path.
type contract struct {
	mu      sync.Mutex
	answers map[string]canned
	asked   []asked
}

type canned struct {
	status     int
	body       string
	retryAfter int
}

type asked struct {
	what, body, address string
	header              http.Header
}

func (c *contract) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	what := r.Method + " " + r.URL.Path
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, asked{what, string(body), r.RemoteAddr, r.Header})
	a, ok := c.answers[what]
	if !ok {
		a = canned{status: http.StatusNotFound, body: `{"code":"not_found","title":"Not found"}`}
	}
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// answer sets the answer to a request from now on.
func (c *contract) answer(what string, a canned) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[what] = a
}

// question finds a request that the API got.
func (c *contract) question(what string) (asked, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.asked {
		if q.what == what {
			return q, true
		}
	}
	return asked{}, false
}

const (
	placeToken = "AZqrxH4sfFWaPl0PaxwtPgAAAABxN2Zj"
	placePath  = "/queue/" + placeToken
	readPlace  = "GET /v1/queue/" + placeToken
	joinQueue  = "POST /v1/sales/concert/queue"
	checkOut   = "POST /v1/sales/concert/checkouts"
	orderToken = "raH6z_AAAAAAAAAAAAAAAA"
)

type visitor struct {
	*catalog
	*contract
	pages http.Handler
}

// visit is a sale with a waiting room, and a visitor without JavaScript.
func visit(t *testing.T) *visitor {
	t.Helper()
	v := &visitor{
		catalog: &catalog{
			sales: []*domain.Sale{{
				ID: "concert", Name: "Concert", Currency: "EUR", BuyerLimit: 6, HoldTimeout: 10 * time.Minute, WaitingRoom: true,
				Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 10, Ledger: 1}, {Name: "B", PriceMinor: 3500, Capacity: 10, Ledger: 2}},
			}},
			levels: []domain.StockLevel{{Ledger: 1, Capacity: 10, Available: 4, Sold: 6}, {Ledger: 2, Capacity: 10, Held: 2, Sold: 8}},
		},
		contract: &contract{answers: map[string]canned{
			"GET /readyz":                 {status: 200, body: `{"status":"ready"}`},
			"GET /v1/sales/concert/queue": {status: 200, body: `{"sale":"concert","status":"waiting","waiting":1234,"joined":2000,"admitted":766,"rate":12.5,"paused":false,"draw":{"commitment":"c0ffee"}}`},
		}},
	}
	var err error
	if v.pages, err = New(Options{Catalog: v.catalog, Interrupted: v.isInterrupted, API: v.contract, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *visitor) get(path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Sec-Fetch-Site", "none")
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return v.send(r)
}

func (v *visitor) post(path string, form url.Values, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	return v.send(r)
}

func (v *visitor) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	v.pages.ServeHTTP(w, r)
	return w
}

func wantShown(t *testing.T, w *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d", w.Code, status)
	}
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("%q is missing in\n%s", text, w.Body)
		}
	}
}

// Whoever needs time to read stops a page that reads itself again, in whatever language it is.
func TestAPageThatReadsItselfAgainCanBeStopped(t *testing.T) {
	v := visit(t)
	v.answers["GET /v1/queue/place-of-a-test-00"] = canned{status: 200, body: `{"sale":"concert","status":"waiting","position":3,"ahead":2,"waiting":9,"draw":{"commitment":"c0ffee"}}`}
	for path, want := range map[string][2]string{
		"/queue/place-of-a-test-00":         {"/queue/place-of-a-test-00?reload=off", "/queue/place-of-a-test-00"},
		"/queue/place-of-a-test-00?lang=de": {"/queue/place-of-a-test-00?lang=de&amp;reload=off", "/queue/place-of-a-test-00?lang=de"},
	} {
		running := v.get(path)
		wantShown(t, running, 200, `href="`+want[0]+`"`)
		if !refreshes.MatchString(running.Body.String()) {
			t.Errorf("%s does not read itself again", path)
		}
		stopped := v.get(strings.ReplaceAll(want[0], "&amp;", "&"))
		wantShown(t, stopped, 200, `href="`+want[1]+`"`)
		if refreshes.MatchString(stopped.Body.String()) {
			t.Errorf("%s still reads itself again", want[0])
		}
	}
}

var refreshes = regexp.MustCompile(`<noscript><meta http-equiv="refresh" content="(\d+)"></noscript>`)

// refreshOf is after how many seconds a browser without JavaScript reloads the page.
func refreshOf(w *httptest.ResponseRecorder) string {
	if m := refreshes.FindStringSubmatch(w.Body.String()); m != nil {
		return m[1]
	}
	return ""
}

// shownState is the only section of a place's page that is not hidden.
func shownState(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var shown []string
	for _, m := range regexp.MustCompile(`<section data-state="(\w+)"( hidden)?>`).FindAllStringSubmatch(w.Body.String(), -1) {
		if m[2] == "" {
			shown = append(shown, m[1])
		}
	}
	return strings.Join(shown, "+")
}

func TestAPlaceShowsWhereItStands(t *testing.T) {
	tests := []struct {
		name, body      string
		retryAfter      int
		state, refresh  string
		shows, notShown []string
	}{
		{
			name: "in the draw", body: `{"sale":"concert","status":"draw","position":0,"ahead":0,"waiting":812,"rate":0,"draw":{"commitment":"c0ffee"}}`,
			retryAfter: 30, state: "draw", refresh: "30", shows: []string{"812", "c0ffee", "published after the draw"},
		},
		{
			name: "a draw by the seed alone", body: `{"sale":"concert","status":"draw","waiting":8,"draw":{"version":2,"source":"none","state":"open","commitment":"c0ffee"}}`,
			retryAfter: 30, state: "draw", refresh: "30", shows: []string{"You have to trust us not to", `id="closing" role="status" hidden`}, notShown: []string{"many organisations", "a witness"},
		},
		{
			name: "a draw with a beacon", body: `{"sale":"concert","status":"draw","waiting":8,"draw":{"version":2,"source":"beacon","state":"closed","commitment":"c0ffee","size":8,"root":"0a0b"}}`,
			retryAfter: 30, state: "draw", refresh: "30", shows: []string{"many organisations", "0a0b", "the list is closed. The places are drawn in a few seconds", `href="/v1/sales/concert/queue"`, `/proof"`, `data-field="waived" hidden`},
			notShown: []string{"You have to trust us"},
		},
		{
			name: "a draw whose beacon does not answer", body: `{"sale":"concert","status":"draw","waiting":8,"draw":{"version":2,"source":"beacon","state":"delayed","commitment":"c0ffee","size":8,"root":"0a0b"}}`,
			retryAfter: 30, state: "draw", refresh: "30", shows: []string{"has not come yet. Nobody is let in before the draw"},
		},
		{
			name: "a draw with a witness", body: `{"sale":"concert","status":"draw","waiting":8,"draw":{"version":2,"source":"witness","state":"open","commitment":"c0ffee"}}`,
			retryAfter: 30, state: "draw", refresh: "30", shows: []string{"a witness"}, notShown: []string{"You have to trust us"},
		},
		{
			name: "a draw without what was announced", body: `{"sale":"concert","status":"waiting","position":2,"ahead":1,"waiting":8,"draw":{"version":2,"source":"beacon","state":"drawn","waived":true,"commitment":"c0ffee","size":8,"root":"0a0b","seed":"5eed"}}`,
			retryAfter: 9, state: "waiting", refresh: "9", shows: []string{`data-field="waived"><strong>Drawn without`},
		},
		{
			name: "waiting", body: `{"sale":"concert","status":"waiting","position":5001,"ahead":4321,"waiting":41234,"wait_seconds":345.6,"rate":12.5,"draw":{"commitment":"c0ffee","size":0,"seed":"5eed"}}`,
			retryAfter: 9, state: "waiting", refresh: "9",
			shows:    []string{"4,321", "people ahead of you", "5,001", "about 6 minutes", "41,234", "5eed", `<dd data-field="size">0</dd>`},
			notShown: []string{`id="paused" role="status">`},
		},
		{
			name: "one ahead, wait unknown, told to come back at once", body: `{"sale":"concert","status":"waiting","position":2,"ahead":1,"waiting":2,"rate":0,"draw":{}}`,
			retryAfter: 1, state: "waiting", refresh: "5", shows: []string{"person ahead of you", "not known yet"},
		},
		{
			name: "paused", body: `{"sale":"concert","status":"paused","position":9,"ahead":8,"waiting":9,"rate":0,"draw":{}}`,
			retryAfter: 3600, state: "waiting", refresh: "120", shows: []string{`id="paused" role="status">`},
		},
		{
			name: "paused before the draw", body: `{"sale":"concert","status":"paused","position":0,"ahead":0,"waiting":9,"rate":0,"draw":{}}`,
			retryAfter: 60, state: "waiting", refresh: "60", shows: []string{"your place is drawn at the opening"}, notShown: []string{"people ahead of you"},
		},
		{
			name: "a status of a newer API", body: `{"sale":"concert","status":"dancing","position":2,"ahead":1,"waiting":9,"rate":0,"draw":{}}`,
			retryAfter: 5, state: "waiting", refresh: "5",
		},
		{
			name: "admitted", body: `{"sale":"concert","status":"admitted","position":9,"ahead":0,"waiting":0,"rate":9,"draw":{}}`,
			retryAfter: 5, state: "admitted", refresh: "",
			shows: []string{"It is your turn", `name="queue_token" value="` + placeToken + `"`, `action="/sales/concert/checkouts"`, "4 of 10 left"},
		},
		{
			name: "sold out", body: `{"sale":"concert","status":"sold_out","position":9,"ahead":3,"waiting":4,"rate":0,"draw":{}}`,
			retryAfter: 5, state: "sold_out", refresh: "",
		},
		{
			name: "canceled", body: `{"sale":"concert","status":"canceled","position":9,"ahead":3,"waiting":4,"rate":0,"draw":{}}`,
			retryAfter: 5, state: "canceled", refresh: "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.answer(readPlace, canned{status: 200, body: test.body, retryAfter: test.retryAfter})
			w := v.get(placePath)
			wantShown(t, w, http.StatusOK, test.shows...)
			for _, text := range test.notShown {
				if strings.Contains(w.Body.String(), text) {
					t.Errorf("%q is shown in\n%s", text, w.Body)
				}
			}
			if state := shownState(t, w); state != test.state {
				t.Errorf("state %q is shown, want %q", state, test.state)
			}
			if refresh := refreshOf(w); refresh != test.refresh {
				t.Errorf("without JavaScript it reloads after %q s, want %q", refresh, test.refresh)
			}
		})
	}
}

func TestAPlaceThatCannotBeShown(t *testing.T) {
	tests := []struct {
		name, path string
		answer     canned
		status     int
		shows      string
		again      bool // it reloads itself
	}{
		{"not a token", "/queue/a.b", canned{}, 404, "We do not know this place", false},
		{"not ours, or too old", placePath, canned{status: 404, body: `{"code":"not_found","title":"Not found"}`}, 404, "We do not know this place", false},
		{"overloaded", placePath, canned{status: 503, body: `{"code":"overloaded","title":"Overloaded"}`, retryAfter: 7}, 503, "Your place is safe", true},
		{"too many requests", placePath, canned{status: 429, body: `{"code":"rate_limited","title":"Too many requests"}`}, 429, "Your place is safe", true},
		{"a malformed answer", placePath, canned{status: 200, body: `<html>`}, 503, "We cannot answer right now", false},
		{"a sale that is gone", placePath, canned{status: 200, body: `{"sale":"nope","status":"waiting"}`}, 503, "We cannot answer right now", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.answer(readPlace, test.answer)
			w := v.get(test.path)
			wantShown(t, w, test.status, test.shows)
			seconds, _ := strconv.Atoi(w.Header().Get("Refresh"))
			if test.again && (seconds < max(5, test.answer.retryAfter) || w.Header().Get("Retry-After") != strconv.Itoa(seconds)) {
				t.Errorf("headers %v, want a reload after Retry-After", w.Header())
			}
			if !test.again && seconds != 0 {
				t.Errorf("it reloads after %d s", seconds)
			}
		})
	}
}

func TestASaleWithAWaitingRoom(t *testing.T) {
	tests := []struct {
		name     string
		change   func(v *visitor)
		shows    []string
		notShown []string
	}{
		{"open", func(*visitor) {}, []string{"Join the queue", `method="post" action="/sales/concert/queue"`, "1,234 people wait", "c0ffee", "4 of 10 left", "All on hold, 2 may come back"}, []string{`id="checkout"`}},
		{"before the opening", func(v *visitor) { v.sales[0].OpensAt = time.Now().Add(time.Hour) }, []string{"Join the draw", "random place", `id="opening">`}, []string{`id="checkout"`}},
		{"paused", func(v *visitor) {
			v.answer("GET /v1/sales/concert/queue", canned{status: 200, body: `{"status":"paused","paused":true,"waiting":1}`})
		}, []string{"paused by the organiser", "1 person waits"}, nil},
		{"sold out for good", func(v *visitor) {
			v.answer("GET /v1/sales/concert/queue", canned{status: 200, body: `{"status":"sold_out","waiting":900}`})
		}, []string{"nobody else is let in"}, []string{`id="join"`}},
		{"the queue has no answer", func(v *visitor) { v.answer("GET /v1/sales/concert/queue", canned{status: 404}) }, []string{"Join the queue"}, []string{`id="room"`}},
		{"canceled", func(v *visitor) { v.sales[0].CanceledAt = time.Now() }, []string{"This sale is canceled"}, []string{`id="join"`}},
		{"closed", func(v *visitor) { v.sales[0].ClosesAt = time.Now() }, []string{"This sale is closed"}, []string{`id="join"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			test.change(v)
			w := v.get("/sales/concert")
			wantShown(t, w, http.StatusOK, test.shows...)
			for _, text := range test.notShown {
				if strings.Contains(w.Body.String(), text) {
					t.Errorf("%q is shown in\n%s", text, w.Body)
				}
			}
		})
	}
}

// The visitor's clock does not matter: the page brings the server's time, and without
// JavaScript it reloads at the opening.
func TestTheCountdownIsTheServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			until   time.Duration
			refresh string
		}{
			{40 * time.Second, "41"}, {time.Second, "6"}, {48 * time.Hour, "121"}, {0, ""}, {-time.Hour, ""},
		} {
			v := visit(t)
			v.sales[0].OpensAt = time.Now().Add(test.until)
			w := v.get("/sales/concert")
			wantShown(t, w, http.StatusOK, fmt.Sprintf(`data-now="%d"`, time.Now().UnixMilli()), fmt.Sprintf(`data-open="%t"`, test.until <= 0))
			if refresh := refreshOf(w); refresh != test.refresh {
				t.Errorf("%v before the opening: reloads after %q s, want %q", test.until, refresh, test.refresh)
			}
			synctest.Wait() // the check of the service's health
		}
	})
}

// cookieOf is what an answer does with a cookie; nil if nothing. Every cookie must be
// HttpOnly and SameSite.
func cookieOf(t *testing.T, w *httptest.ResponseRecorder, name string) *http.Cookie {
	t.Helper()
	for _, c := range w.Result().Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %v", c)
		}
		if c.Name == name {
			return c
		}
	}
	return nil
}

func isForgotten(c *http.Cookie) bool {
	return c.Value == "" && c.MaxAge < 0 && c.Path == "/sales/concert"
}

// A browser keeps the place whose page it has seen, for the pages of that sale.
func TestABrowserKeepsItsPlace(t *testing.T) {
	tests := []struct {
		name      string
		answer    canned
		kept      bool
		forgotten bool
	}{
		{"waiting", canned{status: 200, body: `{"sale":"concert","status":"waiting","draw":{}}`}, true, false},
		{"admitted", canned{status: 200, body: `{"sale":"concert","status":"admitted","draw":{}}`}, true, false},
		{"sold out", canned{status: 200, body: `{"sale":"concert","status":"sold_out","draw":{}}`}, true, false},
		{"canceled", canned{status: 200, body: `{"sale":"concert","status":"canceled","draw":{}}`}, false, true},
		{"not ours", canned{status: 404, body: `{"code":"not_found","title":"Not found"}`}, false, false},
		{"overloaded", canned{status: 503, body: `{"code":"overloaded","title":"Overloaded"}`}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.answer(readPlace, test.answer)
			c := cookieOf(t, v.get(placePath), placeCookie)
			if kept := c != nil && c.Value == placeToken && c.Path == "/sales/concert" && c.MaxAge == 24*60*60; kept != test.kept {
				t.Errorf("cookie %v, want kept: %t", c, test.kept)
			}
			if forgotten := c != nil && isForgotten(c); forgotten != test.forgotten {
				t.Errorf("cookie %v, want forgotten: %t", c, test.forgotten)
			}
		})
	}
}

// The cookie lasts as long as the place.
func TestABrowserKeepsItsPlaceUntilADayAfterTheOpening(t *testing.T) {
	for name, c := range map[string]struct {
		opensIn time.Duration
		want    time.Duration
	}{
		"no opening":               {0, placeLife},
		"an opening in the future": {10 * placeLife, 11 * placeLife},
		"an opening in the past":   {-10 * placeLife, placeLife},
	} {
		t.Run(name, func(t *testing.T) {
			sale := &domain.Sale{ID: "concert"}
			if c.opensIn != 0 {
				sale.OpensAt = time.Now().Add(c.opensIn)
			}
			w := httptest.NewRecorder()
			keepPlace(w, httptest.NewRequest(http.MethodGet, "/queue/x", nil), sale, placeToken)
			age := time.Duration(cookieOf(t, w, placeCookie).MaxAge) * time.Second
			if age > c.want || age < c.want-time.Minute {
				t.Errorf("kept for %v, want %v", age, c.want)
			}
		})
	}
}

// A visitor who has a place is led back to it, because another one would not be faster.
func TestJoiningTwiceLeadsBackToThePlace(t *testing.T) {
	const other = "BZqrxH4sfFWaPl0PaxwtPgAAAABxN2Zj"
	tests := []struct {
		name      string
		cookie    string
		place     canned
		form      url.Values
		offered   bool   // by the sale's page
		location  string // of joining
		forgotten bool
	}{
		{"no place yet", "", canned{}, nil, false, "/queue/" + other, false},
		{"waiting", placeToken, canned{status: 200, body: `{"sale":"concert","status":"waiting"}`}, nil, true, placePath, false},
		{"its turn", placeToken, canned{status: 200, body: `{"sale":"concert","status":"admitted"}`}, nil, true, placePath, false},
		{"unknown at the moment", placeToken, canned{status: 503, body: `{"code":"overloaded","title":"Overloaded"}`}, nil, true, placePath, false},
		{"too many requests before", placeToken, canned{status: 429, body: `{"code":"rate_limited","title":"Too many"}`}, nil, true, placePath, false},
		{"a new one is requested", placeToken, canned{status: 200, body: `{"sale":"concert","status":"waiting"}`}, url.Values{"new": {"1"}}, true, "/queue/" + other, false},
		{"expired", placeToken, canned{status: 404, body: `{"code":"not_found","title":"Not found"}`}, nil, false, "/queue/" + other, true},
		{"sold out: a refund may bring tickets back", placeToken, canned{status: 200, body: `{"sale":"concert","status":"sold_out"}`}, nil, true, placePath, false},
		{"canceled", placeToken, canned{status: 200, body: `{"sale":"concert","status":"canceled"}`}, nil, false, "/queue/" + other, true},
		{"of another sale", placeToken, canned{status: 200, body: `{"sale":"other","status":"waiting"}`}, nil, false, "/queue/" + other, true},
		{"no token at all", "../../evil", canned{}, nil, false, "/queue/" + other, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.answer(readPlace, test.place)
			v.answer(joinQueue, canned{status: 201, body: `{"token":"` + other + `","sale":"concert","status":"waiting"}`})
			cookie := &http.Cookie{Name: placeCookie, Value: test.cookie}
			w := v.get("/sales/concert", cookie)
			wantShown(t, w, 200, `id="join"`)
			if offered := strings.Contains(w.Body.String(), `href="`+placePath+`"`) && strings.Contains(w.Body.String(), `<div id="kept">`); offered != test.offered {
				t.Errorf("the place is offered: %t, want %t", offered, test.offered)
			}
			if c := cookieOf(t, w, placeCookie); test.forgotten != (c != nil && isForgotten(c)) {
				t.Errorf("cookie %v, want forgotten: %t", c, test.forgotten)
			}
			w = v.post("/sales/concert/queue", test.form, cookie)
			if location := w.Header().Get("Location"); w.Code != 303 || location != test.location {
				t.Errorf("%d to %q, want %q", w.Code, location, test.location)
			}
			if _, joined := v.question(joinQueue); joined != (test.location != placePath) {
				t.Errorf("another place was taken: %t", joined)
			}
		})
	}
}

// A script cannot delete the cookie, so it asks the server to do so once the place is used.
func TestLeavingAPlace(t *testing.T) {
	v := visit(t)
	w := v.post("/sales/concert/queue", url.Values{"leave": {"1"}}, &http.Cookie{Name: placeCookie, Value: placeToken})
	if c := cookieOf(t, w, placeCookie); w.Code != 204 || c == nil || !isForgotten(c) {
		t.Errorf("%d, cookie %v", w.Code, c)
	}
	if len(v.asked) > 0 {
		t.Errorf("the API got %v", v.asked)
	}
}

// If checkouts are refused because a part is down, the pages say so but go on selling: the
// first checkout that goes through ends it.
func TestPagesSayThatCheckoutsAreInterrupted(t *testing.T) {
	const says = `id="interrupted" role="status"><strong>Checkouts do not go through at the moment`
	atPlace := func(status string) func(*visitor) {
		return func(v *visitor) {
			v.answer(readPlace, canned{status: 200, body: `{"sale":"concert","status":"` + status + `","draw":{}}`})
		}
	}
	tests := []struct {
		name, path string
		change     func(*visitor)
		shown      bool
		button     string
	}{
		{"a sale", "/sales/concert", func(v *visitor) { v.sales[0].WaitingRoom = false }, true, `<button id="buy" class="primary">`},
		{"a sale with a queue", "/sales/concert", func(*visitor) {}, true, `<button class="primary" id="join-button">`},
		{"waiting", placePath, atPlace("waiting"), true, ""},
		{"admitted", placePath, atPlace("admitted"), true, `<button id="buy" class="primary">`},
		{"before the opening", "/sales/concert", func(v *visitor) { v.sales[0].OpensAt = time.Now().Add(time.Hour) }, false, ""},
		{"canceled", "/sales/concert", func(v *visitor) { v.sales[0].CanceledAt = time.Now() }, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, interrupted := range []bool{true, false} {
				v := visit(t)
				test.change(v)
				v.interrupted = interrupted
				w := v.get(test.path)
				wantShown(t, w, 200, `id="interrupted"`, test.button)
				if shown := strings.Contains(w.Body.String(), says); shown != (interrupted && test.shown) {
					t.Errorf("interrupted %t: said %t", interrupted, shown)
				}
			}
		})
	}
}

func TestJoiningWithoutJavaScript(t *testing.T) {
	tests := []struct {
		name     string
		answer   canned
		status   int
		location string
		shows    string
	}{
		{"a place", canned{status: 201, body: `{"token":"` + placeToken + `","sale":"concert","status":"waiting"}`}, 303, placePath, ""},
		{"a human check", canned{status: 403, body: `{"code":"proof_required","title":"A human check must be solved first","detail":"Solve the challenge."}`}, 403, "", "browser with JavaScript"},
		{"sold out", canned{status: 409, body: `{"code":"sold_out","title":"Sold out","detail":"All tickets are sold."}`}, 409, "", "All tickets of this sale are sold."},
		{"overloaded", canned{status: 503, body: `{"code":"overloaded","title":"Overloaded"}`}, 503, "", "press the button again"},
		{"too many requests", canned{status: 429, body: `{"code":"rate_limited","title":"Too many requests"}`}, 429, "", "press the button again"},
		{"an answer without a token", canned{status: 201, body: `{}`}, 503, "", "We cannot answer right now"},
		{"an answer with an invalid token", canned{status: 201, body: `{"token":"//evil.example/"}`}, 503, "", "We cannot answer right now"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.answer(joinQueue, test.answer)
			w := v.post("/sales/concert/queue", nil)
			wantShown(t, w, test.status, test.shows)
			if location := w.Header().Get("Location"); location != test.location {
				t.Errorf("location %q, want %q", location, test.location)
			}
			if refreshOf(w) != "" {
				t.Error("the answer to a form reloads itself: that would GET something else")
			}
		})
	}
}

// Limits count the visitor, not this process.
func TestTheAPIIsAskedAsTheVisitor(t *testing.T) {
	v := visit(t)
	r := httptest.NewRequest("POST", "/sales/concert/queue", strings.NewReader("x=1"))
	r.RemoteAddr = "203.0.113.7:4711"
	for name, value := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": "198.51.100.1", "Cookie": "a=b", "Authorization": "Bearer x", "Range": "bytes=0-1",
	} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "request-1") // as the API's server sets it
	v.pages.ServeHTTP(w, r)
	q, ok := v.question(joinQueue)
	if !ok {
		t.Fatalf("the API got %v", v.asked)
	}
	if q.address != "203.0.113.7:4711" || q.body != "{}" {
		t.Errorf("asked from %s with %q", q.address, q.body)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "198.51.100.1", "X-Request-Id": "request-1", "Content-Type": "application/json", "Cookie": "", "Authorization": "", "Range": "",
	} {
		if got := q.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

var wish = url.Values{"quantity-A": {"2"}, "quantity-B": {" 0"}, "quantity-Z": {"9"}, "email": {" a@example.com "}, "key": {"019aabc4-7e2c-7c55-9a3e-5d0f6b1c2d3e"}, "queue_token": {placeToken}}

func TestCheckingOutWithoutJavaScript(t *testing.T) {
	v := visit(t)
	v.answer(checkOut, canned{status: 201, body: `{"order":"` + order + `","token":"` + orderToken + `","status":"held"}`})
	w := v.post("/sales/concert/checkouts", wish)
	q, _ := v.question(checkOut)
	if want := `{"items":[{"class":"A","quantity":2}],"buyer":{"email":"a@example.com"},"metadata":{"language":"en"}}`; q.body != want {
		t.Errorf("asked for %s, want %s", q.body, want)
	}
	if key := q.header.Get("Idempotency-Key"); key != `"019aabc4-7e2c-7c55-9a3e-5d0f6b1c2d3e"` {
		t.Errorf("key %s: sending the form twice would buy twice", key)
	}
	if token := q.header.Get("Queue-Token"); token != placeToken {
		t.Errorf("queue token %q", token)
	}
	if location := w.Header().Get("Location"); w.Code != 303 || location != "/orders/"+order+"#"+orderToken {
		t.Errorf("%d to %q", w.Code, location)
	}
	if cookie := cookieOf(t, w, orderCookie); cookie == nil || cookie.Value != orderToken || cookie.Path != "/orders/"+order {
		t.Errorf("cookie %v: only the order's page may get it", cookie)
	}
	if cookie := cookieOf(t, w, placeCookie); cookie == nil || !isForgotten(cookie) {
		t.Errorf("the place is used, but its cookie is %v", cookie)
	}
}

// The browser's cookie reaches the API, as with a script, so the page shows the visitor's
// own order.
func TestTheOwnHeldOrderIsOfferedWithoutJavaScript(t *testing.T) {
	v := visit(t)
	v.answer(checkOut, canned{status: 429, body: `{"code":"limit_reached","title":"The limit per buyer is reached","detail":"You have a checkout.","own_order":{"order":"` + order + `","token":"` + orderToken + `"}}`})
	held := &http.Cookie{Name: domain.HeldCookieName("concert"), Value: order + "." + orderToken}
	w := v.post("/sales/concert/checkouts", wish, held, &http.Cookie{Name: "other", Value: "secret"})
	wantShown(t, w, 429, `<a href="/orders/`+order+"#"+orderToken+`">Go to your order</a>`)
	q, _ := v.question(checkOut)
	if got := q.header.Get("Cookie"); got != held.Name+"="+held.Value {
		t.Errorf("cookies %q, want the held-order cookie", got)
	}
}

var formKey = regexp.MustCompile(`name="key" value="([^"]*)"`)

func TestACheckoutThatIsRefusedWithoutJavaScript(t *testing.T) {
	tests := []struct {
		name    string
		answer  canned
		place   canned // the status of the place then
		state   string
		shows   string
		sameKey bool
	}{
		{"sold out", canned{status: 409, body: `{"code":"sold_out","title":"Sold out","detail":"Others hold 2.","held":2}`}, canned{status: 200, body: `{"sale":"concert","status":"admitted","draw":{}}`}, "admitted", `<p id="rejoin" hidden>`, false},
		{"the place is used", canned{status: 422, body: `{"code":"key_reused","title":"Key reused","detail":"Join again."}`}, canned{status: 200, body: `{"sale":"concert","status":"admitted","draw":{}}`}, "admitted", `<p id="rejoin">`, false},
		{"unknown", canned{status: 503, body: `{"code":"unknown","title":"Unknown"}`}, canned{status: 200, body: `{"sale":"concert","status":"admitted","draw":{}}`}, "admitted", "never a second one", true},
		{"in flight", canned{status: 409, body: `{"code":"in_flight","title":"In flight"}`}, canned{status: 503, body: `{"code":"overloaded","title":"Overloaded"}`}, "admitted", "never a second one", true},
		{"not its turn", canned{status: 403, body: `{"code":"queue_required","title":"This sale has a waiting room","detail":"You are number 12."}`}, canned{status: 200, body: `{"sale":"concert","status":"waiting","ahead":11,"draw":{}}`}, "waiting", "It is not your turn yet", false},
		{"a token of another sale", canned{status: 403, body: `{"code":"queue_required","title":"This sale has a waiting room"}`}, canned{status: 200, body: `{"sale":"other","status":"sold_out","draw":{}}`}, "admitted", "It is not your turn yet", false},
		{"not a problem", canned{status: 502, body: `Bad gateway`}, canned{status: 200, body: `{"sale":"concert","status":"admitted","draw":{}}`}, "admitted", "never a second one", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.answer(checkOut, test.answer)
			v.answer(readPlace, test.place)
			w := v.post("/sales/concert/checkouts", wish)
			wantShown(t, w, test.answer.status, test.shows, `value="a@example.com"`, `value="2"`, `name="queue_token" value="`+placeToken+`"`)
			if state := shownState(t, w); state != test.state {
				t.Errorf("state %q is shown, want %q", state, test.state)
			}
			key := formKey.FindStringSubmatch(w.Body.String())
			if key == nil || key[1] == "" || test.sameKey != (key[1] == wish.Get("key")) {
				t.Errorf("the form continues with key %v, same: want %t", key, test.sameKey)
			}
			if refreshOf(w) != "" {
				t.Error("the answer to a form reloads itself")
			}
		})
	}
}

func TestASaleWithoutAWaitingRoomIsBoughtWithoutJavaScript(t *testing.T) {
	v := visit(t)
	v.sales[0].WaitingRoom = false
	wantShown(t, v.get("/sales/concert"), 200, `id="checkout"`, "Hold tickets")
	v.answer(checkOut, canned{status: 422, body: `{"code":"invalid","title":"The request is not valid","detail":"buyer.email must be an address","errors":[{"field":"buyer.email","message":"must be an address"}]}`})
	form := url.Values{"quantity-A": {"1"}, "email": {`"><script>alert(1)</script>`}, "key": {`a"b`}, "queue_token": {"no token"}}
	w := v.post("/sales/concert/checkouts", form)
	wantShown(t, w, 422, "The e-mail address cannot be right.", `id="checkout"`)
	if strings.Contains(w.Body.String(), "<script>alert") {
		t.Errorf("what was sent is not escaped:\n%s", w.Body)
	}
	q, _ := v.question(checkOut)
	if key := q.header.Get("Idempotency-Key"); len(key) != 38 || strings.Contains(key, "a\"b") {
		t.Errorf("key %q, want a new UUID: the form's could not be quoted", key)
	}
	if q.header.Get("Queue-Token") != "" {
		t.Errorf("queue token %q", q.header.Get("Queue-Token"))
	}
}

func TestACheckoutWithoutAPlaceIsSentToTheQueue(t *testing.T) {
	v := visit(t)
	v.answer(checkOut, canned{status: 403, body: `{"code":"queue_required","title":"This sale has a waiting room","detail":"Join it first."}`})
	wantShown(t, v.post("/sales/concert/checkouts", url.Values{"key": {"k"}, "quantity-A": {"1"}}), 403, "Join the queue from the sale’s page.", `id="join"`)
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	v := visit(t)
	for _, path := range []string{"/sales/concert/queue", "/sales/concert/checkouts"} {
		r := httptest.NewRequest("POST", path, strings.NewReader(wish.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		wantShown(t, v.send(r), 403, "another site")
	}
	for _, what := range []string{joinQueue, checkOut} {
		if _, ok := v.question(what); ok {
			t.Errorf("the API was asked %s", what)
		}
	}
}

func TestFormsToNothing(t *testing.T) {
	v := visit(t)
	wantShown(t, v.post("/sales/nope/queue", nil), 404, "There is nothing here")
	wantShown(t, v.post("/sales/nope/checkouts", wish), 404, "There is nothing here")
	large := url.Values{"email": {strings.Repeat("x", formBytesMax)}}
	if w := v.post("/sales/concert/checkouts", large); w.Code != 400 {
		t.Errorf("a form of more than %d bytes: %d", formBytesMax, w.Code)
	}
	if _, ok := v.question(checkOut); ok {
		t.Error("the API was asked")
	}
}

func TestAnOrderIsReadWithoutJavaScript(t *testing.T) {
	const path = "/orders/" + order
	cookie := &http.Cookie{Name: orderCookie, Value: orderToken}
	view := func(status, more string) canned {
		return canned{status: 200, body: `{"order":"` + order + `","sale":"concert","sale_name":"Concert","status":"` + status + `","amount":13000,"currency":"EUR","items":[{"class":"A","quantity":2,"unit_price":6500}]` + more + `}`}
	}
	tests := []struct {
		name     string
		answer   canned
		cookies  []*http.Cookie
		refresh  string
		shows    []string
		notShown string
	}{
		{"held", view("held", `,"payment_url":"https://pay.example/p?x=1","hold_expires_at":"2026-11-22T21:15:49.15Z"`), []*http.Cookie{cookie}, "5", []string{"held until 21:15:49 UTC", `href="/orders/` + order + `/pay"`, "2 × class A", "€130.00"}, ""},
		{"held, and declined", view("held", `,"payment_url":"https://pay.example/p?x=1","hold_expires_at":"2099-11-22T21:15:49.15Z","declines":2,"attempts_left":8`), []*http.Cookie{cookie}, "5",
			[]string{"Declined: try again, ", " left</strong> Nothing was charged, and your seats are still held. 8 more attempts are possible.", `href="/orders/` + order + `/pay"`, "Give the seats back"}, ""},
		{"held, declined for the last time but one", view("held", `,"payment_url":"https://pay.example/","declines":9,"attempts_left":1`), []*http.Cookie{cookie}, "5", []string{"One more attempt is possible."}, ""},
		{"held, declined, and the sale is canceled", view("held", `,"payment_url":"https://pay.example/","declines":1,"attempts_left":9,"sale_canceled_at":"2026-11-22T21:15:49Z"`), []*http.Cookie{cookie}, "5", []string{"The organiser canceled this sale"}, "9 more attempts"},
		{"held, and the sale is canceled", view("held", `,"payment_url":"https://pay.example/","sale_canceled_at":"2026-11-22T21:15:49Z"`), []*http.Cookie{cookie}, "5", []string{"The organiser canceled this sale"}, "/pay\""},
		{"paid", view("paid", `,"tickets":[{"number":1,"class":"A","code":"ABCDE"},{"number":2,"class":"A","code":"FGHIJ"}]`), []*http.Cookie{cookie}, "", []string{"You are in!", "ABCDE", "FGHIJ", "<svg "}, "https://"},
		{"expired", view("expired", ""), []*http.Cookie{cookie}, "", []string{"Time is up", `href="/orders/` + order + `/again"`}, ""},
		{"a status of a newer release", view("disputed", ""), []*http.Cookie{cookie}, "5", []string{"Your order has news", "<q>disputed</q>"}, "Refunded</h1>\n  <p class=\"muted\">Concert"},
		{"refunded", view("refunded", ""), []*http.Cookie{cookie}, "", []string{"Refunded</h1>\n  <p class=\"muted\">Concert"}, "Your order has news</h1>\n  <p class=\"muted\">Concert"},
		{"held, and it costs nothing", canned{status: 200, body: `{"order":"` + order + `","sale":"concert","sale_name":"Concert","status":"held","amount":0,"currency":"EUR","items":[{"class":"A","quantity":2,"unit_price":0}]}`}, []*http.Cookie{cookie}, "5", []string{"<h1>Your tickets are being made", "There is nothing to pay."}, "/pay\""},
		{"taken back, and it cost nothing", canned{status: 200, body: `{"order":"` + order + `","sale":"concert","sale_name":"Concert","status":"refunded","amount":0,"currency":"EUR"}`}, []*http.Cookie{cookie}, "", []string{"<h1>Your tickets are canceled"}, "<h1>Refunded"},
		{"no cookie", view("held", ""), nil, "", []string{"This page needs JavaScript"}, "€130.00"},
		{"not the order's token", canned{status: 404, body: `{"code":"not_found"}`}, []*http.Cookie{cookie}, "", []string{"This page needs JavaScript"}, ""},
		{"a pay link that is a script", view("held", `,"payment_url":"javascript:alert(1)"`), []*http.Cookie{cookie}, "5", nil, "javascript:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.answer("GET /v1"+path, test.answer)
			w := v.get(path, test.cookies...)
			wantShown(t, w, 200, test.shows...)
			if test.notShown != "" && strings.Contains(w.Body.String(), test.notShown) {
				t.Errorf("%q is shown in\n%s", test.notShown, w.Body)
			}
			if refresh := refreshOf(w); refresh != test.refresh {
				t.Errorf("reloads after %q s, want %q", refresh, test.refresh)
			}
			if q, ok := v.question("GET /v1" + path); ok && q.header.Get("Authorization") != "Bearer "+orderToken {
				t.Errorf("asked with %q", q.header.Get("Authorization"))
			}
		})
	}
}

// Without JavaScript a cookie says that the buyer went to pay. Until the provider has
// said that nothing was paid, the page does not offer to pay again.
func TestWhoWentToPayWithoutJavaScriptIsNotAskedToPayAgain(t *testing.T) {
	const path = "/orders/" + order
	cookies := []*http.Cookie{{Name: orderCookie, Value: orderToken}, {Name: payingCookie, Value: "1"}}
	held := canned{status: 200, body: `{"order":"` + order + `","sale":"concert","sale_name":"Concert","status":"held","amount":13000,"currency":"EUR","payment_url":"https://pay.example/"}`}
	paid := canned{status: 200, body: `{"order":"` + order + `","sale":"concert","sale_name":"Concert","status":"paid","amount":13000,"currency":"EUR","tickets":[{"number":1,"class":"A","code":"ABCDE"}]}`}
	for name, test := range map[string]struct {
		check, order     canned
		shows            string
		pays, stillAsked bool
	}{
		"nothing was paid":           {canned{status: 200, body: `{"status":"held","payment":"none"}`}, held, "Your seats are held", true, false},
		"the provider does not know": {canned{status: 202, body: `{"status":"held","payment":"unknown"}`}, held, "We are asking whether you paid", false, true},
		"it is being processed":      {canned{status: 202, body: `{"status":"held","payment":"processing"}`}, held, "We are asking whether you paid", false, true},
		"it is processed for days": {canned{status: 202, body: `{"status":"held","payment":"processing","seats_kept_until":"2027-03-04T12:00:00Z"}`},
			held, "Your payment is on its way", false, true},
		"the API does not answer": {canned{status: 503, body: `{"code":"overloaded"}`}, held, "We are asking whether you paid", false, true},
		"paid":                    {canned{status: 200, body: `{"status":"paid"}`}, paid, "You are in!", false, false},
		"paid a moment later":     {canned{status: 202, body: `{"status":"held","payment":"unknown"}`}, paid, "You are in!", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			v := visit(t)
			v.answer("POST /v1"+path+"/check-payment", test.check)
			v.answer("GET /v1"+path, test.order)
			w := v.get(path, cookies...)
			wantShown(t, w, 200, "<h1>"+test.shows)
			if pays := strings.Contains(w.Body.String(), path+`/pay"`); pays != test.pays {
				t.Errorf("offers to pay: %t", pays)
			}
			if forgets := strings.Contains(strings.Join(w.Header()["Set-Cookie"], "\n"), payingCookie+"=;"); forgets == test.stillAsked {
				t.Errorf("forgets that the buyer went to pay: %t", forgets)
			}
			if test.stillAsked && test.order.body == held.body && refreshOf(w) == "" {
				t.Error("the page does not read itself again")
			}
			w = v.get(path+"/pay", cookies...)
			if to := w.Header().Get("Location"); w.Code != 303 || (to == "https://pay.example/") != test.pays || !test.pays && to != path {
				t.Errorf("pay leads to %q", to)
			}
		})
	}
}

// After its deadline the order itself says that its payment is on its way, in whatever
// browser.
func TestAPaymentThatIsOnItsWayIsShownInAnyBrowser(t *testing.T) {
	const path = "/orders/" + order
	v := visit(t)
	v.answer("GET /v1"+path, canned{status: 200, body: `{"order":"` + order + `","sale":"concert","sale_name":"Concert","status":"held","amount":13000,` +
		`"currency":"EUR","payment_url":"https://pay.example/","processing":true,"seats_kept_until":"2027-03-04T12:00:00Z"}`})
	cookie := &http.Cookie{Name: orderCookie, Value: orderToken}
	w := v.get(path, cookie)
	wantShown(t, w, 200, "<h1>Your payment is on its way", "We keep your seats for you until", "4 Mar 2027, 12:00 UTC")
	if strings.Contains(w.Body.String(), path+`/pay"`) || strings.Contains(w.Body.String(), path+`/cancel"`) {
		t.Errorf("it offers to pay again, or to give the seats back:\n%s", w.Body)
	}
	if w := v.get(path+"/pay", cookie); w.Code != 303 || w.Header().Get("Location") != path {
		t.Errorf("pay leads to %q", w.Header().Get("Location"))
	}
}

func TestPayLeadsToTheProviderAndIsRemembered(t *testing.T) {
	const path = "/orders/" + order
	cookie := &http.Cookie{Name: orderCookie, Value: orderToken}
	for address, want := range map[string]int{"https://pay.example/p": 303, "/v1/orders/x/pay?key=k": 303, "javascript:alert(1)": 503, "": 503} {
		v := visit(t)
		v.answer("GET /v1"+path, canned{status: 200, body: `{"order":"` + order + `","status":"held","amount":1,"payment_url":"` + address + `"}`})
		w := v.get(path+"/pay", cookie)
		if w.Code != want || want == 303 && w.Header().Get("Location") != address {
			t.Errorf("%q: %d to %q", address, w.Code, w.Header().Get("Location"))
		}
		if marked := strings.Contains(strings.Join(w.Header()["Set-Cookie"], "\n"), payingCookie+"=1; Path="+path+";"); marked != (want == 303) {
			t.Errorf("%q: %v", address, w.Header()["Set-Cookie"])
		}
	}
	wantShown(t, visit(t).get("/orders/nonsense/pay"), 404, "There is nothing here")
	if w := visit(t).get(path + "/pay"); w.Code != 303 || w.Header().Get("Location") != path {
		t.Errorf("without the cookie: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// A page never waits for the state of the service: it shows what was last known.
func TestPagesSayThatThereIsTrouble(t *testing.T) {
	const says = "Some parts of the box office do not answer right now"
	for name, test := range map[string]struct {
		ready   canned
		trouble bool
	}{
		"ready":     {canned{status: 200, body: `{"status":"ready","checks":["ledger"]}`}, false},
		"degraded":  {canned{status: 200, body: `{"status":"ready","degraded":[{"field":"orders database","message":"down"}]}`}, true},
		"not ready": {canned{status: 503, body: `{"code":"overloaded","title":"Overloaded"}`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := visit(t)
				v.answer("GET /readyz", test.ready)
				v.get("/") // the first one asks
				synctest.Wait()
				for range 50 {
					if w := v.get("/"); strings.Contains(w.Body.String(), says) != test.trouble {
						t.Fatalf("trouble is shown: want %t\n%s", test.trouble, w.Body)
					}
				}
				looks := 0
				for _, q := range v.asked {
					if q.what == "GET /readyz" {
						looks++
					}
				}
				if looks != 1 {
					t.Errorf("%d checks for 51 pages at one moment", looks)
				}
				v.answer("GET /readyz", canned{status: 200, body: `{"status":"ready"}`})
				time.Sleep(healthMaxAge)
				v.get("/")
				synctest.Wait()
				if w := v.get("/"); strings.Contains(w.Body.String(), says) {
					t.Error("trouble that is over is still shown")
				}
			})
		})
	}
}

// The organiser's listener may not have the public routes; its page needs the numbers.
func TestTheOrganisersPageReadsTheQueue(t *testing.T) {
	v := visit(t)
	w := v.get("/organiser/sales/concert/queue")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), `"waiting":1234`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := v.get("/organiser/sales/other/queue"); w.Code != 404 || !strings.Contains(w.Body.String(), "not_found") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantShown(t, v.get("/organiser/sales/No/queue"), 404, "There is nothing here")
}

func TestQueuePagesKeepToTheirPolicy(t *testing.T) {
	v := visit(t)
	for _, status := range []string{placeDraw, placeWaiting, placeAdmitted, placePaused, placeSoldOut, placeClosed, placeCanceled} {
		v.answer(readPlace, canned{status: 200, body: `{"sale":"concert","status":"` + status + `","draw":{}}`})
		w := v.get(placePath)
		if found := inline.FindString(w.Body.String()); found != "" {
			t.Errorf("%s has %q", status, found)
		}
		if ids := regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1); len(ids) == 0 {
			t.Errorf("%s has no ids", status)
		} else {
			seen := make(map[string]bool)
			for _, id := range ids {
				if seen[id[1]] {
					t.Errorf("%s: id %q appears twice", status, id[1])
				}
				seen[id[1]] = true
			}
		}
	}
}

func TestSpellWait(t *testing.T) {
	for _, test := range []struct {
		seconds float64
		want    string
	}{
		{0, ""}, {-1, ""}, {0.4, "less than a minute"}, {59, "less than a minute"}, {60, "about 1 minute"}, {150, "about 3 minutes"},
		{5300, "about 88 minutes"}, {5400, "about 2 hours"}, {86400, "about 24 hours"},
	} {
		if got := said(t, "en").spellWait(test.seconds); got != test.want {
			t.Errorf("%v s: %q, want %q", test.seconds, got, test.want)
		}
	}
}

// The browser solves the challenge: the standard library's SHA-256 must accept the script's
// solution, at every length of the padding.
func TestTheScriptsProofOfWorkIsValid(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED: needs node, to run the browser's script")
	}
	dir := t.TempDir()
	script, err := files.ReadFile("static/proof.js")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "proof.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	const difficultyBits = 9
	lengths := []int{0, 1, 31, 32, 53, 54, 55, 56, 57, 62, 63, 64, 65, 118, 119, 120, 127, 128, 129, 200}
	run := `import { Search, solve } from './proof.mjs';
for (const length of ` + strings.ReplaceAll(fmt.Sprint(lengths), " ", ",") + `) console.log(new Search('x'.repeat(length), ` + strconv.Itoa(difficultyBits) + `).run(Infinity));
console.log(await solve('no worker here', ` + strconv.Itoa(difficultyBits) + `));`
	if err := os.WriteFile(filepath.Join(dir, "run.mjs"), []byte(run), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), node, "run.mjs")
	command.Dir = dir
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &complaints)
	}
	solutions := strings.Fields(string(out))
	challenges := make([]string, 0, len(lengths)+1)
	for _, length := range lengths {
		challenges = append(challenges, strings.Repeat("x", length))
	}
	challenges = append(challenges, "no worker here")
	if len(solutions) != len(challenges) {
		t.Fatalf("%d solutions of %d challenges", len(solutions), len(challenges))
	}
	for i, challenge := range challenges {
		sum := sha256.Sum256([]byte(challenge + solutions[i]))
		if zeros := bits.LeadingZeros16(uint16(sum[0])<<8 | uint16(sum[1])); zeros < difficultyBits {
			t.Errorf("challenge of %d bytes: solution %q has %d leading zero bits", len(challenge), solutions[i], zeros)
		}
	}
}

// Buyers who are let in read how long they have, and those who are late read that they will
// be let in again.
func TestThePageOfAPlaceSaysHowLongATurnLasts(t *testing.T) {
	v := visit(t)
	until := time.Now().Add(15*time.Minute - time.Second).UTC().Truncate(time.Second)
	for name, c := range map[string]struct {
		place string
		want  []string
		not   []string
	}{
		"let in":            {`"status": "admitted", "admitted_until": "` + until.Format(time.RFC3339) + `"`, []string{"within <strong data-field=\"until\">about 15 minutes</strong>", `data-until="` + until.Format(time.RFC3339)}, []string{`id="until" hidden`}},
		"let in for long":   {`"status": "admitted"`, []string{`id="until" hidden`}, []string{"data-until"}},
		"late":              {`"status": "waiting", "position": 3, "ahead": 2, "late": true`, []string{`id="late" role="status">`, "Your turn has passed"}, nil},
		"waiting, not late": {`"status": "waiting", "position": 3, "ahead": 2`, []string{`id="late" role="status" hidden>`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v.answer(readPlace, canned{status: 200, body: `{"sale":"concert",` + c.place + `}`})
			page := v.get(placePath).Body.String()
			for _, want := range c.want {
				if !strings.Contains(page, want) {
					t.Errorf("the page has no %q", want)
				}
			}
			for _, not := range c.not {
				if strings.Contains(page, not) {
					t.Errorf("the page has %q", not)
				}
			}
		})
	}
}

package storefront

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// visitHidden is a visit of a sale whose class "Members" is hidden.
func visitHidden(t *testing.T, waitingRoom bool) *visitor {
	t.Helper()
	v := visit(t)
	sale := v.catalog.sales[0]
	sale.WaitingRoom = waitingRoom
	sale.Classes = append(sale.Classes, domain.Class{Name: "Members", PriceMinor: 100, Capacity: 9, Ledger: 3, Hidden: true})
	sale.Facts = domain.Facts{StartsAt: time.Date(2024, 5, 1, 18, 0, 0, 0, time.UTC), TimeZone: "Europe/Berlin"}
	v.catalog.levels = append(v.catalog.levels, domain.StockLevel{Ledger: 3, Capacity: 9, Available: 8, Held: 1})
	v.answer("POST /v1/sales/concert/code", canned{status: 200, body: `{"sale":"concert","left":1,"held":0,"classes":[{"class":"Members"}]}`})
	return v
}

// sent is the body of a request that the API got.
func (v *visitor) sent(what string) string {
	q, _ := v.question(what)
	return q.body
}

func TestAHiddenClassIsOnNoPage(t *testing.T) {
	v := visitHidden(t, false)
	for _, path := range []string{"/", "/sales/concert", "/organiser/sales/concert"} {
		w := v.get(path)
		if w.Code != 200 || strings.Contains(w.Body.String(), "Members") || strings.Contains(w.Body.String(), "€1.00") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := v.get("/"); !strings.Contains(w.Body.String(), "4 tickets left") { // not those that only a code gets
		t.Errorf("%s", w.Body)
	}
	wantShown(t, v.get("/sales/concert"), 200, "I have a code", `action="/sales/concert/code"`)
	v.catalog.sales[0].Classes = v.catalog.sales[0].Classes[:2]
	if w := v.get("/sales/concert"); strings.Contains(w.Body.String(), "I have a code") {
		t.Error("a sale without hidden classes asks for a code")
	}
}

// A code shows its class, in the form that then sends it. What search engines read stays as it was.
func TestACodeOpensItsClassWithoutJavaScript(t *testing.T) {
	v := visitHidden(t, false)
	w := v.post("/sales/concert/code", url.Values{"code": {" fans-fans-2027 "}})
	wantShown(t, w, 200, "Your code is good", "€1.00", "8 of 9 left", `name="quantity-Members"`, `data-hidden="true"`, `<input type="hidden" name="code" value="fans-fans-2027">`)
	if asked := v.sent("POST /v1/sales/concert/code"); !strings.Contains(asked, `{"code":"fans-fans-2027"}`) {
		t.Errorf("asked %s", asked)
	}
	for _, told := range linked.FindAllString(w.Body.String(), -1) {
		if strings.Contains(told, "Members") || !json.Valid([]byte(linked.FindStringSubmatch(told)[1])) {
			t.Errorf("search engines read %s", told)
		}
	}
	if len(linked.FindAllString(w.Body.String(), -1)) == 0 {
		t.Error("search engines read nothing")
	}
	if refreshOf(w) != "" || strings.Contains(w.Header().Get("Set-Cookie"), "fans") {
		t.Errorf("the page reloads itself, or keeps the code: %v", w.Header())
	}
}

func TestWhatAPageSaysOfACode(t *testing.T) {
	for name, tt := range map[string]struct {
		answer canned
		status int
		shows  string
		opens  bool
	}{
		"good":     {canned{status: 200, body: `{"left":2,"held":0,"classes":[{"class":"Members"}]}`}, 200, "Your code is good", true},
		"in use":   {canned{status: 200, body: `{"left":0,"held":1,"classes":[{"class":"Members"}]}`}, 200, "Your code is in use", true},
		"used":     {canned{status: 200, body: `{"left":0,"held":0,"classes":[{"class":"Members"}]}`}, 200, "Your code was used already", true},
		"unknown":  {canned{status: 403, body: `{"code":"class_code_refused"}`}, 403, "This code is not known here", false},
		"too many": {canned{status: 429, body: `{"code":"rate_limited"}`}, 503, "Too many tries", false},
		"away":     {canned{status: 503, body: `{"code":"overloaded"}`}, 503, "No answer yet", false},
	} {
		t.Run(name, func(t *testing.T) {
			v := visitHidden(t, false)
			v.answer("POST /v1/sales/concert/code", tt.answer)
			w := v.post("/sales/concert/code", url.Values{"code": {"FANS-FANS-2027"}})
			wantShown(t, w, tt.status, tt.shows)
			if opens := strings.Contains(w.Body.String(), `name="quantity-Members"`); opens != tt.opens {
				t.Errorf("shows the class: %t, want %t", opens, tt.opens)
			}
		})
	}
}

// The checkout sends the code with a hidden class, and only then: a code is not used up for others.
func TestACheckoutSendsItsCode(t *testing.T) {
	for name, tt := range map[string]struct {
		form url.Values
		want string
	}{
		"of a hidden class": {url.Values{"code": {"FANS"}, "quantity-Members": {"1"}}, `"code":"FANS"`},
		"of another":        {url.Values{"code": {"FANS"}, "quantity-A": {"1"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := visitHidden(t, false)
			v.answer(checkOut, canned{status: 409, body: `{"code":"class_code_spent"}`})
			tt.form.Set("email", "ann@example.com")
			tt.form.Set("key", "019aabc4-7e2c-7c55-9a3e-5d0f6b1c2d3e")
			w := v.post("/sales/concert/checkouts", tt.form)
			wantShown(t, w, 409, "This code was used already", "ann@example.com", `name="quantity-Members"`, `<input type="hidden" name="code" value="FANS">`)
			asked := v.sent(checkOut)
			if !strings.Contains(asked, tt.want) || tt.want == "" && strings.Contains(asked, "code") {
				t.Errorf("sent %s, want %q in it", asked, tt.want)
			}
		})
	}
}

// At the door of a waiting room the page stays that of the place.
func TestACodeOnThePageOfAPlace(t *testing.T) {
	v := visitHidden(t, true)
	token := strings.Repeat("t", 24)
	v.answer("GET /v1/queue/"+token, canned{status: 200, body: `{"sale":"concert","status":"admitted","position":1,"draw":{}}`})
	wantShown(t, v.get("/queue/"+token+"?lang=de"), 200, "Ich habe einen Code")
	wantShown(t, v.get("/queue/"+token), 200, "I have a code", `name="queue_token" value="`+token+`"`)
	w := v.post("/sales/concert/code", url.Values{"code": {"FANS-FANS-2027"}, "queue_token": {token}})
	wantShown(t, w, 200, "It is your turn", "Your code is good", `name="quantity-Members"`)
	other := strings.Repeat("u", 24)
	v.answer("GET /v1/queue/"+other, canned{status: 200, body: `{"sale":"another","status":"admitted","position":1,"draw":{}}`})
	wantShown(t, v.post("/sales/concert/code", url.Values{"code": {"FANS-FANS-2027"}, "queue_token": {other}}), 404)
	evil := httptest.NewRequest("POST", "/sales/concert/code", strings.NewReader("code=A"))
	evil.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := v.send(evil).Code; got != 403 {
		t.Errorf("another site's form: %d", got)
	}
}

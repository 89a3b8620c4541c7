package storefront

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// onHold is an order of the sale concert as the API has it.
func onHold(status string) canned {
	return canned{status: 200, body: `{"order":"` + order + `","sale":"concert","sale_name":"Concert","status":"` + status +
		`","amount":13000,"currency":"EUR","items":[{"class":"A","quantity":2,"unit_price":6500}],"hold_expires_at":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`}
}

func heldCookie(token string) *http.Cookie {
	return &http.Cookie{Name: domain.HeldCookieName("concert"), Value: order + "." + token}
}

// What a browser has on hold is told to that browser only: the cookies name it.
func TestWhatABrowserHolds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cookie *http.Cookie
		answer canned
		want   int
	}{
		{"on hold", heldCookie(orderToken), onHold("held"), 1},
		{"paid", heldCookie(orderToken), onHold("paid"), 0},
		{"of somebody else", heldCookie(orderToken), canned{status: 404, body: `{"code":"not_found"}`}, 0},
		{"no answer", heldCookie(orderToken), canned{status: 503, body: `{"code":"overloaded"}`}, 0},
		{"a cookie that is none", &http.Cookie{Name: domain.HeldCookieName("concert"), Value: "x"}, onHold("held"), 0},
		{"nothing", &http.Cookie{Name: "other", Value: "x"}, onHold("held"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := visit(t)
			v.answer("GET /v1/orders/"+order, tt.answer)
			r := httptest.NewRequest("GET", "/held", nil)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.AddCookie(tt.cookie)
			w := v.send(r)
			var body struct{ Held []holding }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != 200 || len(body.Held) != tt.want {
				t.Fatalf("%d %s %v, want %d", w.Code, w.Body, err, tt.want)
			}
			if tt.want == 1 && (body.Held[0].Tickets != 2 || body.Held[0].SaleName != "Concert" || body.Held[0].Token != orderToken || body.Held[0].LeftMS <= 0) {
				t.Errorf("%+v", body.Held[0])
			}
		})
	}
	r := httptest.NewRequest("GET", "/held", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.AddCookie(heldCookie(orderToken))
	v := visit(t)
	v.answer("GET /v1/orders/"+order, onHold("held"))
	if w := v.send(r); w.Code != 403 || strings.Contains(w.Body.String(), orderToken) {
		t.Errorf("another site reads %d %s", w.Code, w.Body)
	}
}

// Without JavaScript every page says it, in its language, and no cache keeps such a page.
func TestWithoutJavaScriptPagesSayWhatIsOnHold(t *testing.T) {
	v := visit(t)
	v.answer("GET /v1/orders/"+order, onHold("held"))
	for path, want := range map[string]string{
		"/?lang=en":              "You hold 2 tickets of Concert, ",
		"/sales/concert?lang=de": "Sie haben 2 Karten für Concert reserviert, noch ",
		"/nothing?lang=ko":       "Concert 티켓 2장을 잡아 두셨습니다.",
	} {
		w := v.get(path, heldCookie(orderToken))
		if !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), `href="/orders/`+order+`"`) {
			t.Errorf("%s lacks %q in\n%s", path, want, w.Body)
		}
		if cache := w.Header().Get("Cache-Control"); cache != "no-store" {
			t.Errorf("%s: Cache-Control %q", path, cache)
		}
		if text := v.get(path).Body.String(); strings.Contains(text, want) {
			t.Errorf("%s tells somebody who holds nothing", path)
		}
	}
	if text := v.get("/orders/"+order, heldCookie(orderToken)).Body.String(); strings.Contains(text, "You hold 2 tickets") {
		t.Error("the order's own page says it twice")
	}
}

// An order that came to nothing leads back to the form as it was filled in; the address is in a cookie, and in no URL.
func TestTryingAgainWithoutJavaScript(t *testing.T) {
	v := visit(t)
	v.catalog.sales[0].WaitingRoom = false
	v.answer("POST /v1/sales/concert/checkouts", canned{status: 201, body: `{"order":"` + order + `","token":"` + orderToken + `"}`})
	form := url.Values{"key": {"0198c0de-0000-7000-8000-000000000001"}, "email": {"ann@example.com"}, "quantity-A": {"2"}}
	made := v.post("/sales/concert/checkouts", form)
	if made.Code != 303 || strings.Contains(made.Header().Get("Location"), "ann") {
		t.Fatalf("%d %v", made.Code, made.Header())
	}
	var cookies []*http.Cookie
	for _, cookie := range made.Result().Cookies() {
		if strings.HasPrefix(cookie.Path, "/orders/"+order) {
			if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
				t.Errorf("others read %+v", cookie)
			}
			cookies = append(cookies, cookie)
		}
	}
	for _, status := range []string{"expired", "failed"} {
		v.answer("GET /v1/orders/"+order, onHold(status))
		wantShown(t, v.get("/orders/"+order, cookies...), 200, `href="/orders/`+order+`/again"`)
		wantShown(t, v.get("/orders/"+order+"/again", cookies...), 200, `value="ann@example.com"`, `name="quantity-A"`, `autocomplete="off" value="2"`, `action="/sales/concert/checkouts"`)
	}
	if w := v.get("/orders/" + order + "/again"); w.Code != 303 || strings.Contains(w.Body.String(), "ann") {
		t.Errorf("another browser: %d %s", w.Code, w.Body)
	}
	v.answer("GET /v1/orders/"+order, onHold("paid"))
	if w := v.get("/orders/"+order+"/again", cookies...); w.Code != 303 {
		t.Errorf("of a paid order: %d", w.Code)
	}
	for _, cookie := range v.get("/orders/"+order, cookies...).Result().Cookies() {
		if cookie.Name == againCookie && cookie.MaxAge < 0 {
			return
		}
	}
	t.Error("a paid order's page keeps the form")
}

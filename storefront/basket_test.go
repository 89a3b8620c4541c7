package storefront

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"boxoffice/domain"
)

const basketPath = placePath + "/basket"

func placeThat(status string) canned {
	return canned{status: 200, body: `{"sale":"concert","status":"` + status + `","position":3,"ahead":2,"draw":{}}`, retryAfter: 7}
}

// Without JavaScript the order is prepared on a page that does not reload. The browser keeps
// it, and the form is filled in once it is the buyer's turn.
func TestAnOrderIsPreparedWithoutJavaScript(t *testing.T) {
	v := visit(t)
	v.answer(readPlace, placeThat("waiting"))
	wantShown(t, v.get(placePath), 200, `<a href="`+basketPath+`">Prepare your order while you wait</a>`)
	w := v.get(basketPath)
	wantShown(t, w, 200, `action="`+basketPath+`"`, "Nothing is reserved by this", "Keep it for my turn", `name="quantity-A"`)
	if refreshOf(w) != "" || strings.Contains(w.Body.String(), "/static/queue.") || strings.Contains(w.Body.String(), " disabled") {
		t.Errorf("the page to type on reloads itself, has a script, or shows the stock:\n%s", w.Body)
	}
	w = v.post(basketPath, url.Values{"quantity-A": {"2"}, "quantity-B": {"x"}, "email": {"a@example.com"}, "quantity-C": {"7"}})
	if w.Code != 303 || w.Header().Get("Location") != placePath {
		t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	var kept *http.Cookie
	for _, cookie := range w.Result().Cookies() {
		if cookie.Name == basketCookie {
			kept = cookie
		}
	}
	if kept == nil || kept.Path != placePath || !kept.HttpOnly || kept.SameSite != http.SameSiteLaxMode || kept.Value != "email=a%40example.com&quantity-A=2" {
		t.Fatalf("kept in %+v", kept)
	}
	wantShown(t, v.get(placePath, kept), 200, "what you filled in is kept")
	wantShown(t, v.get(basketPath, kept), 200, `value="a@example.com"`, `name="quantity-A" inputmode="numeric" pattern="[0-9]*" title="How many tickets" maxlength="3" autocomplete="off" value="2"`)
	if q, asked := v.question(checkOut); asked {
		t.Errorf("something was ordered: %+v", q)
	}

	v.answer(readPlace, placeThat("admitted"))
	w = v.get(placePath, kept)
	wantShown(t, w, 200, `value="a@example.com"`, `autocomplete="off" value="2"`, `id="prepared" role="status"><strong>Your order is filled in`, `action="/sales/concert/checkouts"`)
	wantShown(t, v.get(placePath), 200, `id="prepared" role="status" hidden>`)
	if w := v.get(basketPath, kept); w.Code != 303 || w.Header().Get("Location") != placePath {
		t.Errorf("preparing on one's turn: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// A kept basket is untrusted input: anybody could have written it.
func TestAKeptBasketIsReadWithCare(t *testing.T) {
	for name, c := range map[string]struct{ kept, shows string }{
		"nonsense":           {"%zz", ""},
		"of another sale":    {"quantity-Z=3&email=", ""},
		"a script":           {"email=" + url.QueryEscape(`"><script>alert(1)</script>`), "&#34;&gt;&lt;script&gt;"},
		"too long":           {"email=" + strings.Repeat("a", basketBytesMax), ""},
		"numbers below zero": {"quantity-A=-3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := visit(t)
			v.answer(readPlace, placeThat("admitted"))
			w := v.get(placePath, &http.Cookie{Name: basketCookie, Value: c.kept})
			wantShown(t, w, 200, c.shows)
			if isFilledIn := !strings.Contains(w.Body.String(), `id="prepared" role="status" hidden>`); isFilledIn != (c.shows != "") || strings.Contains(w.Body.String(), "<script>alert") {
				t.Errorf("filled in: %t\n%s", isFilledIn, w.Body)
			}
		})
	}
}

func TestPreparingWithoutAPlace(t *testing.T) {
	v := visit(t)
	for _, path := range []string{basketPath, "/queue/x/basket"} {
		if w := v.get(path); w.Code != 404 {
			t.Errorf("GET %s: %d", path, w.Code)
		}
		if w := v.post(path, url.Values{"email": {"a@example.com"}}); w.Code != 404 || len(w.Result().Cookies()) > 0 {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
}

// The page says what it asks for, sends it under one key, and says in words what was wrong.
func TestASaleThatAsksForACodeIsJoinedWithoutJavaScript(t *testing.T) {
	for name, c := range map[string]struct {
		shown, kind string
		answer      canned
		status      int
		says        string
	}{
		"a good code":      {" 7K2M-9QXA-1234-ABCD ", "presale_code", canned{status: 201, body: `{"token":"` + placeToken + `"}`}, 303, ""},
		"an invitation":    {"eyJh.eyJz.c2ln", "invitation", canned{status: 201, body: `{"token":"` + placeToken + `"}`}, 303, ""},
		"nothing":          {"", "", canned{status: 403, body: `{"code":"entitlement_required"}`}, 403, "This sale asks for a presale code"},
		"a wrong code":     {"AAAA-AAAA-AAAA", "presale_code", canned{status: 403, body: `{"code":"entitlement_refused"}`}, 403, "check it letter by letter"},
		"one used before":  {"AAAA-AAAA-AAAA", "presale_code", canned{status: 409, body: `{"code":"entitlement_spent"}`}, 409, "This code or invitation was used already"},
		"one that ran out": {"eyJh.eyJz.c2ln", "invitation", canned{status: 403, body: `{"code":"entitlement_expired"}`}, 403, "This invitation has run out"},
		"no answer":        {"AAAA-AAAA-AAAA", "presale_code", canned{status: 503, body: `{"code":"unknown"}`}, 503, "press the button again"},
	} {
		t.Run(name, func(t *testing.T) {
			v := visit(t)
			v.sales[0].Entitlement = domain.EntitlementRule{PresaleCodes: true, InvitationKey: make([]byte, 32)}
			page := v.get("/sales/concert")
			wantShown(t, page, 200, "Your presale code or invitation", `name="entitlement"`)
			key := formKey.FindStringSubmatch(page.Body.String())
			if key == nil {
				t.Fatal("the form has no key")
			}
			v.answer(joinQueue, c.answer)
			w := v.post("/sales/concert/queue", url.Values{"entitlement": {c.shown}, "key": {key[1]}})
			if w.Code != c.status {
				t.Fatalf("%d, want %d\n%s", w.Code, c.status, w.Body)
			}
			q, _ := v.question(joinQueue)
			var body struct{ Entitlement map[string]string }
			if err := json.Unmarshal([]byte(q.body), &body); err != nil || body.Entitlement[c.kind] != strings.TrimSpace(c.shown) {
				t.Errorf("asked with %s", q.body)
			}
			if sent := q.header.Get("Idempotency-Key"); c.shown != "" && sent != `"`+key[1]+`"` {
				t.Errorf("asked with key %s, want the form's, %s", sent, key[1])
			}
			if c.status != 303 { // the input is still there, and the key stays, because a lost answer may belong to it
				wantShown(t, w, c.status, c.says, `value="`+strings.TrimSpace(c.shown)+`"`, `name="key" value="`+key[1]+`"`)
			}
		})
	}
}

func TestASaleThatAsksForNothingHasNoFieldForIt(t *testing.T) {
	v := visit(t)
	if w := v.get("/sales/concert"); strings.Contains(w.Body.String(), `name="entitlement"`) {
		t.Errorf("%s", w.Body)
	}
	v.answer(joinQueue, canned{status: 201, body: `{"token":"` + placeToken + `"}`})
	v.post("/sales/concert/queue", url.Values{"entitlement": {"AAAA-AAAA-AAAA"}})
	if q, _ := v.question(joinQueue); q.body != "{}" || q.header.Get("Idempotency-Key") != "" {
		t.Errorf("asked with %s", q.body)
	}
}

// The pages say how the queue works and what a group should do, before joining and after.
func TestThePagesSayHowTheQueueWorks(t *testing.T) {
	v := visit(t)
	v.answer(readPlace, placeThat("waiting"))
	for _, path := range []string{"/sales/concert", placePath} {
		wantShown(t, v.get(path), 200, "How does the queue work?", "A place is a turn, not a ticket.", "you have 15 minutes", "held for you for 10 minutes",
			"you lose time and not your place", "gain nothing", "Coming as a group?", "Whoever’s turn comes first buys for all", "up to 6 tickets a person")
	}
}

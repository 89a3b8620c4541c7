package mockpay

import (
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

func TestPayByAPI(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	first := b.pay(link, mockpay.OutcomeSucceeded)
	if first.Code != 200 {
		t.Fatalf("first.Code is %v, want 200", first.Code)
	}
	if got := first.Header().Get("Content-Type"); got != "application/json" {
		t.Fatalf(`first.Header().Get("Content-Type") is %q, want "application/json"`, got)
	}
	again := b.ask("POST", "/v1/sessions/"+link.Session()+"/pay", `{"outcome":"succeeded"}`)
	if again.Code != 200 {
		t.Fatalf("again.Code is %v, want 200", again.Code)
	}
	if got, want := again.Body.String(), first.Body.String(); got != want {
		t.Fatalf("again.Body.String() is %q, want %q: the same outcome gives the same answer", got, want)
	}
	s := decode[mockpay.Session](t, first)
	if s.Status != mockpay.SessionCaptured {
		t.Fatalf("s.Status is %q, want %q", s.Status, mockpay.SessionCaptured)
	}
	if s.Capture.AmountMinor != int64(6500) {
		t.Fatalf("s.Capture.AmountMinor is %v, want int64(6500)", s.Capture.AmountMinor)
	}
}

func TestPayTakesTheLinkInEveryForm(t *testing.T) {
	b := setup(t)
	for n, form := range []func(string) string{
		func(path string) string { return "http://127.0.0.1:8090" + path },
		func(path string) string { return path },
		func(path string) string { _, query, _ := strings.Cut(path, "?"); return query },
		func(path string) string { _, query, _ := strings.Cut(path, "?"); return "?" + query },
	} {
		link := b.link(n)
		body := fmt.Sprintf(`{"outcome":"canceled","link":%q}`, form(b.payURL(link)))
		w := b.ask("POST", "/v1/sessions/"+link.Session()+"/pay", body)
		if w.Code != 200 {
			t.Fatalf("w.Code is %v, want 200: form %d: %s", w.Code, n, w.Body)
		}
	}
}

func TestAVisitOfThePageIsEnoughToPayByAPI(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	if got := b.ask("GET", b.payURL(link), "").Code; got != 200 {
		t.Fatalf(`b.ask("GET", b.payURL(link), "").Code is %v, want 200`, got)
	}
	w := b.ask("POST", "/v1/sessions/"+link.Session()+"/pay", `{"outcome":"succeeded"}`)
	if w.Code != 200 {
		t.Fatalf("w.Code is %v, want 200: %v", w.Code, w.Body)
	}
}

func TestExpireByAPI(t *testing.T) {
	b := setup(t)
	w := b.ask("POST", "/v1/sessions/"+mockpay.SessionID(orderNumber(1))+"/expire", "")
	if w.Code != 200 {
		t.Fatalf("w.Code is %v, want 200", w.Code)
	}
	if got := strings.TrimSpace(w.Body.String()); got != `{"status":"expired"}` {
		t.Fatalf("the body is %s", got)
	}
	if got := b.pay(b.link(2), mockpay.OutcomeSucceeded).Code; got != 200 {
		t.Fatalf("b.pay(b.link(2), mockpay.OutcomeSucceeded).Code is %v, want 200", got)
	}
	e := decode[mockpay.Expiry](t, b.ask("POST", "/v1/sessions/"+mockpay.SessionID(orderNumber(2))+"/expire", ""))
	if e.Status != mockpay.SessionCaptured {
		t.Fatalf("e.Status is %q, want %q", e.Status, mockpay.SessionCaptured)
	}
	if want := b.captures()[0]; !reflect.DeepEqual(*e.Capture, want) {
		t.Fatalf("*e.Capture is %+v, want %+v", *e.Capture, want)
	}
	requireProblem(t, b.pay(b.link(1), mockpay.OutcomeSucceeded), 409, "session_closed")
}

func TestAPIRefusals(t *testing.T) {
	b := setup(t)
	paid, other := b.link(1), b.link(2)
	if got := b.pay(paid, mockpay.OutcomeSucceeded).Code; got != 200 {
		t.Fatalf("b.pay(paid, mockpay.OutcomeSucceeded).Code is %v, want 200", got)
	}
	session := "/v1/sessions/" + other.Session()
	forged := strings.Replace(b.payURL(other), "amount=6500", "amount=1", 1)
	for _, row := range []struct {
		name, method, target, body string
		status                     int
		code                       string
	}{
		{"unknown session", "GET", session, "", 404, "not_found"},
		{"an invalid session", "GET", "/v1/sessions/x", "", 404, "not_found"},
		{"pay without a visit", "POST", session + "/pay", `{"outcome":"succeeded"}`, 404, "not_found"},
		{"pay an invalid session", "POST", "/v1/sessions/ps_1/pay", `{"outcome":"succeeded"}`, 404, "not_found"},
		{"expire an invalid session", "POST", "/v1/sessions/ps_1/expire", "", 404, "not_found"},
		{"no outcome", "POST", session + "/pay", "{}", 422, "invalid"},
		{"unknown outcome", "POST", session + "/pay", `{"outcome":"stolen"}`, 422, "invalid"},
		{"no body", "POST", session + "/pay", "", 422, "invalid"},
		{"half a body", "POST", session + "/pay", `{"outcome":`, 422, "invalid"},
		{"two bodies", "POST", session + "/pay", `{"outcome":"failed"}{"outcome":"succeeded"}`, 422, "invalid"},
		{"a body too large", "POST", session + "/pay", `{"link":"` + strings.Repeat("x", requestBodyMax) + `"}`, 413, "too_large"},
		{"a forged link", "POST", session + "/pay", fmt.Sprintf(`{"outcome":"succeeded","link":%q}`, forged), 403, "forged"},
		{"the link of another session", "POST", session + "/pay", fmt.Sprintf(`{"outcome":"succeeded","link":%q}`, b.payURL(paid)), 403, "forged"},
		{"an invalid link", "POST", session + "/pay", `{"outcome":"succeeded","link":"x"}`, 422, "invalid"},
		{"another outcome", "POST", "/v1/sessions/" + paid.Session() + "/pay", `{"outcome":"failed"}`, 409, "session_closed"},
		{"refund of an unknown payment", "POST", "/v1/refunds", `{"payment":"pay_1","amount":1,"currency":"EUR"}`, 404, "not_found"},
		{"refund beyond the capture", "POST", "/v1/refunds", fmt.Sprintf(`{"payment":%q,"amount":6501,"currency":"EUR"}`, paid.Session()), 409, "refund_differs"},
		{"refund with a fraction", "POST", "/v1/refunds", fmt.Sprintf(`{"payment":%q,"amount":65.5,"currency":"EUR"}`, paid.Session()), 422, "invalid"},
		{"an invalid cursor", "GET", "/v1/captures?after=-1", "", 422, "invalid"},
		{"a cursor beyond any", "GET", "/v1/captures?after=18446744073709551615", "", 422, "invalid"},
		{"no limit", "GET", "/v1/captures?limit=0", "", 422, "invalid"},
		{"a limit too large", "GET", "/v1/captures?limit=1001", "", 422, "invalid"},
		{"unknown state", "GET", "/v1/deliveries?state=eaten", "", 422, "invalid"},
		{"unknown address", "GET", "/v2", "", 404, "not_found"},
		{"wrong method", "DELETE", "/v1/captures", "", 405, "method_not_allowed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			requireProblem(t, b.ask(row.method, row.target, row.body), row.status, row.code)
		})
	}
	if got := b.captures(); len(got) != 1 {
		t.Fatalf("%d in b.captures(), want 1: %+v: nothing of this took money", len(got), got)
	}
	if got := b.pending(); len(got) != 1 {
		t.Fatalf("%d in b.pending(), want 1: %+v", len(got), got)
	}
}

func TestListsArePaged(t *testing.T) {
	b := setup(t)
	for n := range 5 {
		if got := b.pay(b.link(n), mockpay.OutcomeSucceeded).Code; got != 200 {
			t.Fatalf("b.pay(b.link(n), mockpay.OutcomeSucceeded).Code is %v, want 200", got)
		}
	}
	var read []domain.Capture
	target, pages := "/v1/captures?limit=2", 0
	for {
		pages++
		page := decode[mockpay.Page[domain.Capture]](t, b.ask("GET", target, ""))
		read = append(read, page.Items...)
		if page.Next == "" {
			break
		}
		target = "/v1/captures?limit=2&after=" + page.Next
	}
	if pages != 3 {
		t.Fatalf("pages is %v, want 3", pages)
	}
	if want := b.captures(); !reflect.DeepEqual(read, want) {
		t.Fatalf("read is %+v, want %+v", read, want)
	}
	for _, list := range []string{"/v1/refunds", "/v1/deliveries"} {
		if got := strings.TrimSpace(b.ask("GET", list, "").Body.String()); got != `{"items":[]}` {
			t.Fatalf("%s is %s, want nothing", list, got)
		}
	}
	if got := decode[mockpay.Page[mockpay.Delivery]](t, b.ask("GET", "/v1/deliveries?state=pending", "")).Items; len(got) != 5 {
		t.Fatalf("%d, want 5: %+v", len(got), got)
	}
}

func TestAPageOfAnotherSiteCannotPay(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	r := httptest.NewRequest("POST", b.payURL(link), strings.NewReader("outcome=succeeded"))
	r.Host = testHost
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	requireProblem(t, w, 403, "cross_origin")
	if got := b.captures(); len(got) != 0 {
		t.Fatalf("b.captures() is %+v, want nothing", got)
	}
}

// A site whose name is made to resolve to this machine (DNS rebinding) is of our origin to
// the browser.
func TestAPageThatWasReboundReachesNothing(t *testing.T) {
	b := setup(t)
	for host, isOurs := range map[string]bool{
		"127.0.0.1:8090": true, "127.0.0.1": true, "127.0.0.2:1": true, "localhost:8090": true, "LocalHost": true, "[::1]:8090": true,
		"evil.example:8090": false, "evil.example": false, "127.0.0.1.evil.example:8090": false, "localhost.evil.example": false,
		"203.0.113.7:8090": false, "0.0.0.0:8090": false, "127.1": false, "": false,
	} {
		for _, path := range []string{"/healthz", "/v1/captures", b.payURL(b.link(1)), stylePath} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			b.handler.ServeHTTP(w, r)
			if isOurs {
				if w.Code != 200 {
					t.Fatalf("w.Code is %v, want 200: %s at %s", w.Code, path, host)
				}
			} else {
				requireProblem(t, w, 421, "wrong_host")
			}
		}
	}
	link := b.link(2)
	r := httptest.NewRequest("POST", b.payURL(link), strings.NewReader("outcome=succeeded"))
	r.Host = "evil.example:8090"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://evil.example:8090")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	requireProblem(t, w, 421, "wrong_host")
	if got := b.captures(); len(got) != 0 {
		t.Fatalf("b.captures() is %+v, want nothing", got)
	}
}

func TestThePageShowsWhatIsToBePaid(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	w := b.ask("GET", b.payURL(link), "")
	if w.Code != 200 {
		t.Fatalf("w.Code is %v, want 200", w.Code)
	}
	page := w.Body.String()
	if !strings.Contains(page, "65.00 EUR") {
		t.Fatalf("no %q in %s", "65.00 EUR", page)
	}
	if !strings.Contains(page, "1 × A &lt;b&gt;") {
		t.Fatalf("no %q in %s: escaped", "1 × A &lt;b&gt;", page)
	}
	if !strings.Contains(page, "03:14:05 UTC") {
		t.Fatalf("no %q in %s", "03:14:05 UTC", page)
	}
	if want := link.Order.String(); !strings.Contains(page, want) {
		t.Fatalf("no %q in %s", want, page)
	}
	if !strings.Contains(page, `http-equiv="refresh" content="601"`) {
		t.Fatalf("no %q in %s", `http-equiv="refresh" content="601"`, page)
	}
	for _, outcome := range []string{"succeeded", "declined", "failed"} {
		if want := fmt.Sprintf(`name="outcome" value=%q`, outcome); !strings.Contains(page, want) {
			t.Fatalf("no %q in %s", want, page)
		}
	}
	if strings.Contains(page, "<script") {
		t.Fatalf("%q is in %s", "<script", page)
	}
	if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "form-action 'self' http://127.0.0.1:8080") {
		t.Fatalf("no %q in %s", "form-action 'self' http://127.0.0.1:8080", got)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Fatalf(`w.Header().Get("Cache-Control") is %q, want "no-store"`, got)
	}
	if got := b.ask("GET", stylePath, "").Code; got != 200 {
		t.Fatalf(`b.ask("GET", stylePath, "").Code is %v, want 200`, got)
	}
}

func TestThePageSendsTheBuyerBack(t *testing.T) {
	for outcome, status := range map[string]mockpay.SessionStatus{
		"succeeded": mockpay.SessionCaptured, "failed": mockpay.SessionFailed, "canceled": mockpay.SessionCanceled,
	} {
		t.Run(outcome, func(t *testing.T) {
			b := setup(t)
			link := b.link(1)
			for range 2 { // a double click is one payment
				w := b.ask("POST", b.payURL(link), "outcome="+outcome)
				if w.Code != 303 {
					t.Fatalf("w.Code is %v, want 303", w.Code)
				}
				if got := w.Header().Get("Location"); got != link.ReturnURL {
					t.Fatalf(`w.Header().Get("Location") is %q, want %q`, got, link.ReturnURL)
				}
			}
			s := decode[mockpay.Session](t, b.ask("GET", "/v1/sessions/"+link.Session(), ""))
			if s.Status != status {
				t.Fatalf("s.Status is %q, want %q", s.Status, status)
			}
			if got := b.pending(); len(got) != 1 {
				t.Fatalf("%d in b.pending(), want 1: %+v", len(got), got)
			}
		})
	}
}

// A declined buyer stays at the page, which says so, and may try again. Cancel leads back to
// the order and decides nothing.
func TestThePageAfterADecline(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	for range 2 { // a double click is one attempt
		w := b.ask("POST", b.payURL(link), "outcome=declined&attempt=1")
		if got := w.Header().Get("Location"); w.Code != 303 || got != b.payURL(link) {
			t.Fatalf("%d to %q, want 303 to the page itself", w.Code, got)
		}
	}
	page := b.ask("GET", b.payURL(link), "").Body.String()
	for _, want := range []string{"The payment was declined", "attempt 2 of 10", `name="attempt" value="2"`, `value="succeeded"`, `<a class="button" href="http://127.0.0.1:8080/orders/`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	if got := len(b.pending()); got != 1 {
		t.Errorf("%d webhooks, want 1", got)
	}
	if w := b.ask("POST", b.payURL(link), "outcome=succeeded&attempt=2"); w.Code != 303 || w.Header().Get("Location") != link.ReturnURL {
		t.Errorf("%d to %q, want 303 to the order", w.Code, w.Header().Get("Location"))
	}
	if got := len(b.captures()); got != 1 {
		t.Errorf("%d captures, want 1", got)
	}
}

func TestThePageWhenNothingCanBePaid(t *testing.T) {
	for _, row := range []struct {
		name    string
		before  func(b *bundle, link mockpay.PayLink)
		request func(b *bundle, link mockpay.PayLink) *httptest.ResponseRecorder
		status  int
		text    string
		back    bool
	}{
		{"expired by the box office", expireIt, visitIt, 200, "Too late to pay", true},
		{"expired, and paid from an open page", expireIt, submitIt, 409, "Too late to pay", true},
		{"the time is over", letItPass, visitIt, 200, "Too late to pay", true},
		{"the time is over on an open page", letItPass, submitIt, 409, "Too late to pay", true},
		{"paid before", payIt, visitIt, 200, "This payment was made", true},
		{"paid, then canceled in another tab", payIt, func(b *bundle, l mockpay.PayLink) *httptest.ResponseRecorder {
			return b.ask("POST", b.payURL(l), "outcome=canceled")
		}, 409, "This payment was made", true},
		{"no button was pressed", nothing, func(b *bundle, l mockpay.PayLink) *httptest.ResponseRecorder {
			return b.ask("POST", b.payURL(l), "")
		}, 422, "This payment cannot be made", true},
		{"a forged link", nothing, func(b *bundle, l mockpay.PayLink) *httptest.ResponseRecorder {
			return b.ask("GET", strings.Replace(b.payURL(l), "6500", "1", 1), "")
		}, 403, "signature is not valid", false},
		{"a forged return address", nothing, func(b *bundle, l mockpay.PayLink) *httptest.ResponseRecorder {
			return b.ask("POST", strings.Replace(b.payURL(l), "127.0.0.1", "evil.example", 1), "outcome=failed")
		}, 403, "signature is not valid", false},
		{"no link", nothing, func(b *bundle, l mockpay.PayLink) *httptest.ResponseRecorder {
			return b.ask("GET", mockpay.PayPath+l.Session(), "")
		}, 422, "exactly once", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setup(t)
			link := b.link(1)
			row.before(b, link)
			w := row.request(b, link)
			if w.Code != row.status {
				t.Fatalf("w.Code is %v, want %v", w.Code, row.status)
			}
			page := w.Body.String()
			if !strings.Contains(page, row.text) {
				t.Fatalf("no %q in %s", row.text, page)
			}
			if strings.Contains(page, "<form") {
				t.Fatalf("%q is in %s", "<form", page)
			}
			if got := strings.Contains(page, `href="http://127.0.0.1:8080/orders/`); got != row.back {
				t.Fatalf("got %v, want %v: %v", got, row.back, page)
			}
		})
	}
}

func nothing(*bundle, mockpay.PayLink)         {}
func letItPass(b *bundle, _ mockpay.PayLink)   { b.pass(time.Hour) }
func expireIt(b *bundle, link mockpay.PayLink) { b.step(link, "expire") }
func payIt(b *bundle, link mockpay.PayLink)    { b.step(link, "succeeded") }
func visitIt(b *bundle, link mockpay.PayLink) *httptest.ResponseRecorder {
	return b.ask("GET", b.payURL(link), "")
}
func submitIt(b *bundle, link mockpay.PayLink) *httptest.ResponseRecorder {
	return b.ask("POST", b.payURL(link), "outcome=succeeded")
}

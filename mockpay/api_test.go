package mockpay

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

func TestPayByAPI(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	first := b.pay(link, mockpay.OutcomeSucceeded)
	require.Equal(t, 200, first.Code)
	require.Equal(t, "application/json", first.Header().Get("Content-Type"))
	again := b.ask("POST", "/v1/sessions/"+link.Session()+"/pay", `{"outcome":"succeeded"}`)
	require.Equal(t, 200, again.Code)
	require.Equal(t, first.Body.String(), again.Body.String(), "the same outcome gives the same answer")
	s := decode[mockpay.Session](t, first)
	require.Equal(t, mockpay.SessionCaptured, s.Status)
	require.Equal(t, int64(6500), s.Capture.AmountMinor)
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
		require.Equal(t, 200, w.Code, "form %d: %s", n, w.Body)
	}
}

func TestAVisitOfThePageIsEnoughToPayByAPI(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	require.Equal(t, 200, b.ask("GET", b.payURL(link), "").Code)
	w := b.ask("POST", "/v1/sessions/"+link.Session()+"/pay", `{"outcome":"succeeded"}`)
	require.Equal(t, 200, w.Code, w.Body)
}

func TestExpireByAPI(t *testing.T) {
	b := setup(t)
	w := b.ask("POST", "/v1/sessions/"+mockpay.SessionID(orderNumber(1))+"/expire", "")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"status":"expired"}`, w.Body.String())
	require.Equal(t, 200, b.pay(b.link(2), mockpay.OutcomeSucceeded).Code)
	e := decode[mockpay.Expiry](t, b.ask("POST", "/v1/sessions/"+mockpay.SessionID(orderNumber(2))+"/expire", ""))
	require.Equal(t, mockpay.SessionCaptured, e.Status)
	require.Equal(t, b.captures()[0], *e.Capture)
	requireProblem(t, b.pay(b.link(1), mockpay.OutcomeSucceeded), 409, "session_closed")
}

func TestAPIRefusals(t *testing.T) {
	b := setup(t)
	paid, other := b.link(1), b.link(2)
	require.Equal(t, 200, b.pay(paid, mockpay.OutcomeSucceeded).Code)
	session := "/v1/sessions/" + other.Session()
	forged := strings.Replace(b.payURL(other), "amount=6500", "amount=1", 1)
	for _, row := range []struct {
		name, method, target, body string
		status                     int
		code                       string
	}{
		{"unknown session", "GET", session, "", 404, "not_found"},
		{"a session that is none", "GET", "/v1/sessions/x", "", 404, "not_found"},
		{"pay without a visit", "POST", session + "/pay", `{"outcome":"succeeded"}`, 404, "not_found"},
		{"pay a session that is none", "POST", "/v1/sessions/ps_1/pay", `{"outcome":"succeeded"}`, 404, "not_found"},
		{"expire a session that is none", "POST", "/v1/sessions/ps_1/expire", "", 404, "not_found"},
		{"no outcome", "POST", session + "/pay", "{}", 422, "invalid"},
		{"unknown outcome", "POST", session + "/pay", `{"outcome":"stolen"}`, 422, "invalid"},
		{"no body", "POST", session + "/pay", "", 422, "invalid"},
		{"half a body", "POST", session + "/pay", `{"outcome":`, 422, "invalid"},
		{"two bodies", "POST", session + "/pay", `{"outcome":"failed"}{"outcome":"succeeded"}`, 422, "invalid"},
		{"a body too large", "POST", session + "/pay", `{"link":"` + strings.Repeat("x", requestBodyMax) + `"}`, 413, "too_large"},
		{"a forged link", "POST", session + "/pay", fmt.Sprintf(`{"outcome":"succeeded","link":%q}`, forged), 403, "forged"},
		{"the link of another session", "POST", session + "/pay", fmt.Sprintf(`{"outcome":"succeeded","link":%q}`, b.payURL(paid)), 403, "forged"},
		{"a link that is none", "POST", session + "/pay", `{"outcome":"succeeded","link":"x"}`, 422, "invalid"},
		{"another outcome", "POST", "/v1/sessions/" + paid.Session() + "/pay", `{"outcome":"failed"}`, 409, "session_closed"},
		{"refund of an unknown payment", "POST", "/v1/refunds", `{"payment":"pay_1","amount":1,"currency":"EUR"}`, 404, "not_found"},
		{"refund beyond the capture", "POST", "/v1/refunds", fmt.Sprintf(`{"payment":%q,"amount":6501,"currency":"EUR"}`, paid.Session()), 409, "refund_differs"},
		{"refund with a fraction", "POST", "/v1/refunds", fmt.Sprintf(`{"payment":%q,"amount":65.5,"currency":"EUR"}`, paid.Session()), 422, "invalid"},
		{"a cursor that is none", "GET", "/v1/captures?after=-1", "", 422, "invalid"},
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
	require.Len(t, b.captures(), 1, "nothing of this took money")
	require.Len(t, b.pending(), 1)
}

func TestListsArePaged(t *testing.T) {
	b := setup(t)
	for n := range 5 {
		require.Equal(t, 200, b.pay(b.link(n), mockpay.OutcomeSucceeded).Code)
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
	require.Equal(t, 3, pages)
	require.Equal(t, b.captures(), read)
	require.JSONEq(t, `{"items":[]}`, b.ask("GET", "/v1/refunds", "").Body.String())
	require.JSONEq(t, `{"items":[]}`, b.ask("GET", "/v1/deliveries", "").Body.String())
	require.Len(t, decode[mockpay.Page[mockpay.Delivery]](t, b.ask("GET", "/v1/deliveries?state=pending", "")).Items, 5)
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
	require.Empty(t, b.captures())
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
				require.Equal(t, 200, w.Code, "%s at %s", path, host)
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
	require.Empty(t, b.captures())
}

func TestThePageShowsWhatIsToBePaid(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	w := b.ask("GET", b.payURL(link), "")
	require.Equal(t, 200, w.Code)
	page := w.Body.String()
	require.Contains(t, page, "65.00 EUR")
	require.Contains(t, page, "1 × A &lt;b&gt;", "escaped")
	require.Contains(t, page, "03:14:05 UTC")
	require.Contains(t, page, link.Order.String())
	require.Contains(t, page, `http-equiv="refresh" content="601"`)
	for _, outcome := range []string{"succeeded", "failed", "canceled"} {
		require.Contains(t, page, fmt.Sprintf(`name="outcome" value=%q`, outcome))
	}
	require.NotContains(t, page, "<script")
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "form-action 'self' http://127.0.0.1:8080")
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, 200, b.ask("GET", stylePath, "").Code)
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
				require.Equal(t, 303, w.Code)
				require.Equal(t, link.ReturnURL, w.Header().Get("Location"))
			}
			s := decode[mockpay.Session](t, b.ask("GET", "/v1/sessions/"+link.Session(), ""))
			require.Equal(t, status, s.Status)
			require.Len(t, b.pending(), 1)
		})
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
			require.Equal(t, row.status, w.Code)
			page := w.Body.String()
			require.Contains(t, page, row.text)
			require.NotContains(t, page, "<form")
			require.Equal(t, row.back, strings.Contains(page, `href="http://127.0.0.1:8080/orders/`), page)
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

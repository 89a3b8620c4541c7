package api

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"boxoffice/domain"
)

// A buyer's address and the order's token are in no log at any level, in no metric, and
// only in the answers that the contract names.
func TestNoBuyersDataInLogsMetricsAndProblems(t *testing.T) {
	const mark = "marked.buyer.7c1f"
	email := mark + "@example.com"
	body := fmt.Sprintf(`{"items":[{"class":"A","quantity":1}],"buyer":{"email":%q}}`, email)
	b := setup(t)
	w := b.checkout(testKey, body)
	var held CheckoutView
	decode(t, w, &held)
	order := "/v1/orders/" + held.Order.String()
	bodies := w.Body.String()

	json := map[string]string{"Content-Type": "application/json", "Idempotency-Key": testKey}
	with := func(name, value string) map[string]string {
		h := map[string]string{"Content-Type": "application/json", "Idempotency-Key": testKey, "Authorization": "Bearer " + held.Token}
		h[name] = value
		return h
	}
	const checkouts = "/v1/sales/conference/checkouts"
	requests := []request{
		{"POST", checkouts, body, json},                                   // the same again
		{"POST", checkouts, strings.Replace(body, `"A"`, `"B"`, 1), json}, // another body
		{"POST", checkouts, strings.Replace(body, "@", "", 1), json},
		{"POST", checkouts, strings.Replace(body, `"quantity":1`, `"quantity":"`+email+`"`, 1), json},
		{"POST", checkouts, strings.Replace(body, `"A"`, `"`+mark+`"`, 1), json},
		{"POST", checkouts, body[:len(body)-1], json},
		{"POST", checkouts, body + mark, json},
		{"POST", checkouts, body, with("Idempotency-Key", email)},
		{"POST", checkouts, body, with("Idempotency-Key", mark+" "+mark)},
		{"POST", checkouts, body, with("Content-Type", "text/"+mark)},
		{"POST", checkouts, body, with("X-Request-Id", email)},
		{"POST", "/v1/sales/" + mark + "/checkouts", body, json},
		{"GET", "/v1/sales/" + mark, "", nil},
		{"GET", "/" + mark + "?email=" + email, "", nil},
		{mark, "/v1/sales", "", nil},
		{"GET", order, "", with("X", "")},
		{"GET", order, "", with("Authorization", "Bearer "+email)},
		{"GET", order + "?token=" + held.Token, "", nil},
		{"GET", "/v1/orders/" + mark, "", bearerOf(held.Token)},
		{"GET", order + "/tickets/" + mark + "/qr", "", bearerOf(held.Token)},
		{"POST", "/v1/webhooks/mockpay", body, map[string]string{"Webhook-Id": email, "Webhook-Signature": email}},
		{"POST", "/v1/webhooks/mockpay", body, map[string]string{"Webhook-Id": "evt_1", "Webhook-Signature": "good"}},
		{"GET", "/v1/sales/conference/orders?after=" + email, "", bearerOf(testAdminToken)},
		{"GET", "/v1/sales/conference/orders?limit=" + email, "", bearerOf(testAdminToken)},
		{"POST", "/v1/sales", `{"id":"` + email + `","name":1}`, bearerOf(email)},
		{"POST", order + "/cancel", "", bearerOf(held.Token)},
	}
	for _, r := range requests {
		answer := b.do(r)
		if answer.Code != 201 && strings.Contains(answer.Body.String(), held.Token) {
			t.Errorf("%s %s repeats the token: %s", r.method, r.path, answer.Body)
		}
		bodies += answer.Body.String()
	}
	for name, err := range map[string]error{
		"unknown": &domain.UnknownError{Op: "hold", ID: held.Order.String()}, "a bug": fmt.Errorf("no such thing"),
	} {
		b.world.StartErr = err
		answer := b.checkout(testKey+"-3", body)
		if answer.Code < 500 {
			t.Errorf("%s: %d", name, answer.Code)
		}
		bodies += answer.Body.String()
	}

	scrape := httptest.NewRecorder()
	ask := httptest.NewRequest("GET", "/metrics", nil)
	ask.Header.Set("Authorization", "Bearer "+testAdminToken)
	b.api.Admin().ServeHTTP(scrape, ask)
	for where, text := range map[string]string{"log": b.log.String(), "metrics": scrape.Body.String(), "answers": bodies} {
		if len(text) == 0 {
			t.Errorf("the %s are empty: nothing was proved", where)
		}
		for name, secret := range map[string]string{"address": mark, "order's token": held.Token, "organiser's token": testAdminToken} {
			if where == "answers" && name == "order's token" {
				continue // its own checkout answers it
			}
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("the %s is in the %s: …%s…", name, where, text[max(0, at-200):min(len(text), at+100)])
			}
		}
	}
}

// If the organiser's routes have their own listener, they are on no other, not even with
// the right token.
func TestThePublicListenerHasNoOrganisersRoutes(t *testing.T) {
	b := setup(t, func(o *Options) { o.SeparateAdmin = true })
	id, _ := b.held(testKey)
	tried := 0
	for path, item := range b.api.document.Paths {
		for _, op := range operationsOf(item) {
			isAdmin := len(op.Security) > 0 && op.Security[0]["admin"] != nil
			if !isAdmin {
				continue
			}
			tried++
			path := strings.NewReplacer("{sale}", "conference", "{order}", id.String()).Replace(path)
			header := bearerOf(testAdminToken)
			header["Content-Type"] = "application/json"
			w := b.do(request{op.Method, path, "{}", header})
			if w.Code != 404 && w.Code != 405 {
				t.Errorf("%s %s on the public listener: %d %s", op.Method, path, w.Code, w.Body)
			}
			w = httptest.NewRecorder()
			b.api.Admin().ServeHTTP(w, httptest.NewRequest(op.Method, path, nil))
			if w.Code != 401 {
				t.Errorf("%s %s on its own listener, without the token: %d", op.Method, path, w.Code)
			}
		}
	}
	if tried < 4 {
		t.Errorf("only %d routes of the organiser were tried", tried)
	}
	if w := b.do(request{method: "GET", path: "/metrics"}); w.Code != 404 {
		t.Errorf("/metrics on the public listener: %d", w.Code)
	}
	// And the buyers' routes are not on the organiser's listener.
	w := httptest.NewRecorder()
	b.api.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/v1/sales", nil))
	if w.Code != 404 && w.Code != 405 {
		t.Errorf("a buyers' route on the organiser's listener: %d", w.Code)
	}
}

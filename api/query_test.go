package api

import (
	"net/url"
	"strings"
	"testing"

	"boxoffice/domain"
)

// A route refuses query parameters that it does not know, and does not repeat them.
func TestUnknownParametersAreRefused(t *testing.T) {
	b, _ := roomSetup(t)
	id, token := b.held(testKey)
	organiser := bearerOf(testAdminToken)
	for path, header := range map[string]map[string]string{
		"/v1/sales": nil, "/v1/sales/conference": nil, "/v1/sales/conference/events": nil, "/v1/sales/rush/queue": nil,
		"/v1/queue/" + b.joined(): nil, "/v1/orders/" + id.String(): bearerOf(token),
		"/v1/sales/conference/orders": organiser, "/v1/sales/conference/audit": organiser, "/v1/audit": organiser,
	} {
		p := wantProblem(t, b.do(request{"GET", path + "?e-mail=grace@example.com", "", header}), 422, domain.CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Field != "query" || strings.Contains(p.Errors[0].Message, "e-mail") {
			t.Errorf("%s: %+v", path, p.Errors)
		}
	}
	wantProblem(t, b.do(request{"GET", "/v1/sales/conference/orders?limit=1&limit=2", "", organiser}), 422, domain.CodeInvalid)
	wantProblem(t, b.do(request{"GET", "/v1/sales/conference/orders?email=", "", organiser}), 422, domain.CodeInvalid)
	wantProblem(t, b.do(request{"GET", "/v1/sales/conference/orders?limit=%zz", "", organiser}), 422, domain.CodeInvalid)
	wantProblem(t, b.do(request{"GET", "/v1/sales/conference/orders?e-mail=x", "", nil}), 401, domain.CodeUnauthorized)
	if w := b.do(request{"GET", "/v1/sales/conference/orders?limit=1", "", organiser}); w.Code != 200 {
		t.Errorf("a known parameter: %d %s", w.Code, w.Body)
	}
}

// The short way must not answer what the ordinary way would refuse.
func TestACheckoutHasNoQuery(t *testing.T) {
	b := setup(t)
	for _, l := range b.world.Levels {
		l.Sold, l.Available = l.Capacity, 0
	}
	for range 2 { // without its query, the second would take the short way
		r := checkoutRequest(testKey, wish("A", 1))
		wantProblem(t, b.do(r), 409, domain.CodeSoldOut)
		r.path += "?utm=1"
		wantProblem(t, b.do(r), 422, domain.CodeInvalid)
	}
}

// The provider may add what it likes to its URL.
func TestAWebhookMayHaveAQuery(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	r := webhookOf("good", id.String())
	r.path += "?" + url.Values{"tenant": {"a"}}.Encode()
	if w := b.do(r); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

package api

import (
	"net/http"
	"testing"
)

// Pages of other sites may read what is public, without credentials, and nothing else.
func TestPagesOfOtherSitesMayReadWhatIsPublic(t *testing.T) {
	b, _ := roomSetup(t)
	id, token := b.held(testKey)
	other := map[string]string{"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
	with := func(more map[string]string) map[string]string {
		header := map[string]string{}
		for _, m := range []map[string]string{other, more} {
			for name, value := range m {
				header[name] = value
			}
		}
		return header
	}
	for _, path := range []string{"/v1/sales", "/v1/sales/conference", "/v1/sales/none", "/v1/sales/rush/queue", "/openapi.json", "/problems/sold_out", "/v1/sales?limit=0"} {
		w := b.do(request{"GET", path, "", other})
		if w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Access-Control-Allow-Credentials") != "" || w.Header().Get("Access-Control-Expose-Headers") == "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	asked := with(map[string]string{"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-request-id"})
	if w := b.do(request{"OPTIONS", "/v1/sales/conference", "", asked}); w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Methods") != "GET, HEAD" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	for _, r := range []request{
		{"GET", "/v1/orders/" + id.String(), "", with(bearerOf(token))},
		{"GET", "/v1/queue/" + b.joined(), "", other},
		{"GET", "/v1/sales/conference/orders", "", with(bearerOf(testAdminToken))},
		{"GET", "/v1/audit", "", with(bearerOf(testAdminToken))},
		{"GET", "/healthz", "", other}, {"GET", "/metrics", "", with(bearerOf(testAdminToken))},
		{"OPTIONS", "/v1/sales/conference/checkouts", "", other}, {"OPTIONS", "/v1/orders/" + id.String(), "", other},
	} {
		if w := b.do(r); w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: %d %v", r.method, r.path, w.Code, w.Header())
		}
	}
	wantProblem(t, b.do(request{"POST", "/v1/sales", `{}`, with(bearerOf(testAdminToken))}), 403, codeCrossSite)
	w := b.do(request{"POST", "/v1/sales/conference/checkouts", wish("A", 1), with(map[string]string{"Idempotency-Key": testKey})})
	wantProblem(t, w, 403, codeCrossSite)
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a checkout: %v", w.Header())
	}
}

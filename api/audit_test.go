package api

import "testing"

func TestAuditOfWhatBelongsToNoSale(t *testing.T) {
	b := setup(t)
	wantProblem(t, b.do(request{method: "GET", path: "/v1/audit"}), 401, "unauthorized")
	if w := b.do(request{method: "GET", path: "/v1/audit", header: bearerOf(testAdminToken)}); w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

package api

import (
	"strings"
	"testing"
)

func TestAuditOfWhatBelongsToNoSale(t *testing.T) {
	b := setup(t)
	wantProblem(t, b.do(request{method: "GET", path: "/v1/audit"}), 401, "unauthorized")
	if w := b.do(request{method: "GET", path: "/v1/audit", header: bearerOf(testAdminToken)}); w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// Restoring writes only if it is asked to.
func TestRestoreOrders(t *testing.T) {
	b := setup(t)
	for _, tt := range []struct{ path, body, want string }{
		{"/v1/sales/conference/restore-orders", `{}`, `{"sale":"conference","applied":false,"counts":{},"items":[]}`},
		{"/v1/sales/conference/restore-orders", `{"apply":true}`, `{"sale":"conference","applied":true,"counts":{},"items":[]}`},
		{"/v1/restore-orders", `{"apply":true}`, `{"applied":true,"counts":{},"items":[]}`},
	} {
		wantProblem(t, b.do(request{method: "POST", path: tt.path, body: tt.body}), 401, "unauthorized")
		w := b.do(request{method: "POST", path: tt.path, body: tt.body, header: bearerOf(testAdminToken)})
		if w.Code != 200 || strings.TrimSpace(w.Body.String()) != tt.want {
			t.Errorf("%s %s: %d %s, want %s", tt.path, tt.body, w.Code, w.Body, tt.want)
		}
	}
	wantProblem(t, b.do(request{method: "POST", path: "/v1/sales/none/restore-orders", body: `{}`, header: bearerOf(testAdminToken)}), 404, "not_found")
}

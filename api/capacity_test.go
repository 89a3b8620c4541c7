package api

import (
	"net/http/httptest"
	"testing"

	"boxoffice/domain"
)

func (b *bundle) capacity(class, key, body string) *httptest.ResponseRecorder {
	b.t.Helper()
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "application/json"
	if key != "" {
		header["Idempotency-Key"] = key
	}
	return b.do(request{"PUT", "/v1/sales/conference/classes/" + class + "/capacity", body, header})
}

// New tickets are on sale at once, and the page shows the new number.
func TestAClassGetsMoreTickets(t *testing.T) {
	b := setup(t)
	b.do(request{method: "GET", path: "/v1/sales/conference"}) // it is in the catalog's memory
	var change CapacityView
	w := b.capacity("A", testKey, `{"capacity":9}`)
	if decode(t, w, &change); w.Code != 200 || change.Before != 5 || change.Capacity != 9 || change.Class != "A" || change.ChangedAt.IsZero() {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var v SaleView
	if decode(t, b.do(request{method: "GET", path: "/v1/sales/conference"}), &v); v.Classes[0].Capacity != 9 || v.Classes[0].Available != 9 {
		t.Errorf("the sale is shown as %+v", v.Classes[0])
	}
	if w := b.checkout(testKey, wish("A", 8)); w.Code != 201 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWhatACapacityMayNotBe(t *testing.T) {
	b := setup(t)
	b.held(testKey) // 2 of class A
	wantProblem(t, b.capacity("A", testKey, `{"capacity":1}`), 409, domain.CodeCapacityInUse)
	wantProblem(t, b.capacity("A", testKey, `{"capacity":0}`), 422, domain.CodeInvalid)
	wantProblem(t, b.capacity("A", testKey, `{"capacity":100000001}`), 422, domain.CodeInvalid)
	wantProblem(t, b.capacity("A", testKey, `{}`), 422, domain.CodeInvalid)
	wantProblem(t, b.capacity("A", "", `{"capacity":9}`), 400, domain.CodeKeyMissing)
	wantProblem(t, b.capacity("Z", testKey, `{"capacity":9}`), 404, domain.CodeNotFound)
	wantProblem(t, b.do(request{"PUT", "/v1/sales/nope/classes/A/capacity", `{"capacity":9}`, map[string]string{
		"Authorization": "Bearer " + testAdminToken, "Content-Type": "application/json", "Idempotency-Key": testKey,
	}}), 404, domain.CodeNotFound)
	wantProblem(t, b.do(request{"PUT", "/v1/sales/conference/classes/A/capacity", `{"capacity":9}`, map[string]string{
		"Content-Type": "application/json", "Idempotency-Key": testKey,
	}}), 401, domain.CodeUnauthorized)
}

package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// A buyer says who the tickets are for, as long as the sale takes names; the order, and the organiser's list, have them.
func TestHoldersOfTickets(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	put := func(token, body string) *httptest.ResponseRecorder {
		header := bearerOf(token)
		header["Content-Type"] = "application/json"
		return b.do(request{"PUT", "/v1/orders/" + id.String() + "/holders", body, header})
	}
	order := func() (view OrderView) {
		t.Helper()
		b.api.orderViews.changed(id)
		decode(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)}), &view)
		return view
	}
	const minjun = `{"holders":[{"number":1,"name":" 김민준 "}]}`
	wantProblem(t, put(token, minjun), 404, domain.CodeNotFound) // not paid yet
	b.world.pay(b.world.States[id])
	if view := order(); view.HoldersOpen {
		t.Error("names are asked for, and the sale does not")
	}
	wantProblem(t, put(token, minjun), 409, domain.CodeHoldersFixed)

	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	facts := func(until time.Time) string {
		return `{"facts":{"holder_names":{"asked":true,"until":"` + until.Format(time.RFC3339) + `"}}}`
	}
	if w := b.do(b.change(facts(until), `*`)); w.Code != 200 || !strings.Contains(w.Body.String(), `"holder_names":{"asked":true`) {
		t.Fatal(w.Code, w.Body)
	}
	if view := order(); !view.HoldersOpen || view.HoldersUntil == nil || !view.HoldersUntil.Equal(until) {
		t.Errorf("open %t until %v, want %v", view.HoldersOpen, view.HoldersUntil, until)
	}
	w := put(token, minjun)
	var changed OrderView
	decode(t, w, &changed)
	if w.Code != 200 || changed.Tickets[0].Holder != "김민준" || !changed.HoldersOpen {
		t.Fatalf("%d %+v", w.Code, changed)
	}
	if view := order(); view.Tickets[0].Holder != "김민준" {
		t.Errorf("%+v", view.Tickets)
	}
	list := b.do(request{"GET", "/v1/sales/conference/orders", "", bearerOf(testAdminToken)})
	if !strings.Contains(list.Body.String(), `"holder":"김민준"`) {
		t.Errorf("the organiser reads %s", list.Body)
	}
	wantProblem(t, put("x"+token, minjun), 404, domain.CodeNotFound)

	for body, field := range map[string]string{
		`{"holders":[]}`: "holders",
		`{"holders":[{"number":0,"name":"Secret"}]}`:              "holders[0].number",
		`{"holders":[{"number":1,"name":"Secret\u0000"}]}`:        "holders[0].name",
		`{"holders":[{"number":1,"name":["Secret"]}]}`:            "holders[0].name",
		`{"holders":[{"number":1,"name":"Secret","x":"Secret"}]}`: "holders[0]",
	} {
		w := put(token, body)
		var p Problem
		if wantProblem(t, w, 422, domain.CodeInvalid); json.Unmarshal(w.Body.Bytes(), &p) != nil || len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Field, field) {
			t.Errorf("%s: %s", body, w.Body)
		}
		if strings.Contains(w.Body.String(), "Secret") {
			t.Errorf("the name comes back: %s", w.Body)
		}
	}
	if log := b.log.String(); strings.Contains(log, "김민준") || strings.Contains(log, "Secret") {
		t.Errorf("a name is logged: %s", log)
	}

	if w := b.do(b.change(facts(time.Now().Add(-time.Hour)), `*`)); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	wantProblem(t, put(token, minjun), 409, domain.CodeHoldersFixed)
	if view := order(); view.HoldersOpen || view.Tickets[0].Holder != "김민준" {
		t.Errorf("after the deadline: %+v", view)
	}
}

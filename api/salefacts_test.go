package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	ics "github.com/arran4/golang-ical"

	"boxoffice/domain"
)

func (b *bundle) change(body, ifMatch string) request {
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "application/json"
	if ifMatch != "" {
		header["If-Match"] = ifMatch
	}
	return request{"PATCH", "/v1/sales/conference", body, header}
}

func (b *bundle) saleView(t *testing.T) (view SaleView, etag string) {
	t.Helper()
	w := b.do(request{method: "GET", path: "/v1/sales/conference"})
	decode(t, w, &view)
	return view, w.Header().Get("ETag")
}

// A sale says what the organiser says of it, while it sells.
func TestASaleIsChangedWhileItSells(t *testing.T) {
	b := setup(t)
	before, etag := b.saleView(t)
	if before.Facts != nil || before.Version != 1 || etag != `"1"` {
		t.Fatalf("%+v %s", before, etag)
	}
	id, token := b.held("change-while-it-sells")
	w := b.do(b.change(`{"name":"Über <b>uns</b>","classes":[{"class":"A","label":" Parkett "}],"facts":{
		"venue":{"name":"Tempodrom"},"starts_at":"2027-05-01T20:00:00+02:00","time_zone":"Europe/Berlin","description":"a\r\nb","terms":"c"}}`, etag))
	var changed SaleView
	decode(t, w, &changed)
	if w.Code != 200 || w.Header().Get("ETag") != `"2"` {
		t.Fatalf("%d %s %s", w.Code, w.Header().Get("ETag"), w.Body)
	}
	after, etag := b.saleView(t)
	if etag != `"2"` || after.Name != "Über <b>uns</b>" || after.Classes[0].Label != "Parkett" || after.Facts.Description != "a\nb" ||
		after.Facts.Venue.Name != "Tempodrom" || after.Facts.StartsAt.Format("15:04 MST") != "18:00 UTC" {
		t.Fatalf("%s %+v %+v", etag, after, after.Facts)
	}
	var order OrderView
	decode(t, b.do(request{"GET", "/v1/orders/" + id.String(), "", bearerOf(token)}), &order)
	if order.SaleName != after.Name || order.Items[0].Label != "Parkett" || order.Facts.Venue.Name != "Tempodrom" || order.Facts.Terms != "c" || order.Facts.Description != "" {
		t.Errorf("%+v %+v", order, order.Facts)
	}
	var list SalesView
	decode(t, b.do(request{method: "GET", path: "/v1/sales"}), &list)
	for _, sale := range list.Sales {
		if sale.ID == "conference" && (sale.Facts.Venue.Name != "Tempodrom" || sale.Facts.Description != "" || sale.Facts.Terms != "") {
			t.Errorf("in the list: %+v", sale.Facts)
		}
	}

	// Facts are replaced as a whole, and what is not named stays.
	w = b.do(b.change(`{"facts":{}}`, etag))
	var bare SaleView
	decode(t, w, &bare)
	if w.Code != 200 || bare.Facts != nil || bare.Name != after.Name || bare.Classes[0].Label != "Parkett" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAChangeNamesTheVersionThatItChanges(t *testing.T) {
	for name, tt := range map[string]struct {
		ifMatch string
		status  int
		code    domain.Code
	}{
		"the version":          {`"2"`, 200, ""},
		"among others":         {`"7", "2"`, 200, ""},
		"any":                  {`*`, 200, ""},
		"none":                 {``, 428, codeVersionMissing},
		"an older one":         {`"1"`, 412, domain.CodeChanged},
		"a later one":          {`"3"`, 412, domain.CodeChanged},
		"a weak one":           {`W/"2"`, 412, domain.CodeChanged},
		"not a tag":            {`2`, 412, domain.CodeChanged},
		"somebody else's tag":  {`"d41d8cd98f00b204"`, 412, domain.CodeChanged},
		"a tag without an end": {`"`, 412, domain.CodeChanged},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			if w := b.do(b.change(`{"name":"Second"}`, `"1"`)); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			w := b.do(b.change(`{"name":"Third"}`, tt.ifMatch))
			view, _ := b.saleView(t)
			if tt.status == 200 {
				if w.Code != 200 || view.Name != "Third" || view.Version != 3 {
					t.Errorf("%d %s, then %+v", w.Code, w.Body, view)
				}
				return
			}
			wantProblem(t, w, tt.status, tt.code)
			if view.Name != "Second" || view.Version != 2 {
				t.Errorf("it was changed: %+v", view)
			}
		})
	}
}

// Two organisers who read the same version do not undo each other's change. Whoever repeats a change gets its answer.
func TestTwoOrganisersChangeASale(t *testing.T) {
	b := setup(t)
	first := b.change(`{"facts":{"venue":{"name":"Here"}}}`, `"1"`)
	if w := b.do(first); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	wantProblem(t, b.do(b.change(`{"facts":{"venue":{"name":"There"}}}`, `"1"`)), 412, domain.CodeChanged)
	if w := b.do(first); w.Code != 200 || w.Header().Get("ETag") != `"2"` {
		t.Errorf("repeated: %d %s %s", w.Code, w.Header().Get("ETag"), w.Body)
	}
}

func TestBadFactsAreRefusedWithTheirField(t *testing.T) {
	for name, tt := range map[string]struct{ facts, field string }{
		"ends before it begins": {`{"starts_at":"2027-05-01T20:00:00Z","ends_at":"2027-05-01T19:00:00Z","time_zone":"UTC"}`, "facts.ends_at"},
		"an unknown zone":       {`{"time_zone":"Mars/Olympus"}`, "facts.time_zone"},
		"a long venue":          {`{"venue":{"name":"` + strings.Repeat("x", 10_000) + `"}}`, "facts.venue.name"},
		"a control character":   {`{"description":"a\u0000b"}`, "facts.description"},
		"not https":             {`{"terms_url":"http://example.com"}`, "facts.terms_url"},
		"no time":               {`{"starts_at":"tomorrow"}`, "facts.starts_at"},
		"a member too many":     {`{"image":"https://example.com/x.svg"}`, "facts"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			create := b.change(`{"id":"new","name":"New","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}],"facts":`+tt.facts+`}`, "")
			create.method, create.path = "POST", "/v1/sales"
			for _, r := range []request{b.change(`{"name":"Changed","facts":`+tt.facts+`}`, `"1"`), create} {
				w := b.do(r)
				wantProblem(t, w, 422, domain.CodeInvalid)
				var p Problem
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Errors) == 0 || p.Errors[0].Field != tt.field {
					t.Errorf("%s: %s, want %s named", r.method, w.Body, tt.field)
				}
			}
			if view, _ := b.saleView(t); view.Version != 1 || view.Name == "Changed" || b.world.SalesByID["new"] != nil {
				t.Errorf("something was changed: %+v", view)
			}
		})
	}
	b := setup(t)
	w := b.do(b.change(`{"classes":[{"class":"A","label":"a"},{"class":"Z","label":"z"}]}`, `"1"`))
	wantProblem(t, w, 422, domain.CodeInvalid)
	if view, _ := b.saleView(t); !strings.Contains(w.Body.String(), "classes[1].class") || view.Classes[0].Label != "" {
		t.Errorf("%s, then %+v", w.Body, view)
	}
	unknown := b.change(`{"name":"x"}`, `"1"`)
	unknown.path = "/v1/sales/nothing"
	wantProblem(t, b.do(unknown), 404, domain.CodeNotFound)
	stranger := b.change(`{"name":"x"}`, `"1"`)
	stranger.header = maps.Clone(stranger.header)
	delete(stranger.header, "Authorization")
	wantProblem(t, b.do(stranger), 401, domain.CodeUnauthorized)
}

func TestTheCalendarOfAnOrder(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	get := func(token string) *httptest.ResponseRecorder {
		return b.do(request{"GET", "/v1/orders/" + id.String() + "/calendar", "", bearerOf(token)})
	}
	facts := `{"facts":{"venue":{"name":"Tempodrom; Saal, 1"},"starts_at":"2024-05-01T20:00:00+02:00","time_zone":"Europe/Berlin"}}`
	if w := b.do(b.change(facts, `*`)); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	wantProblem(t, get(token), 404, domain.CodeNotFound) // not paid yet
	b.world.pay(b.world.States[id])
	w := get(token)
	parsed, err := ics.ParseCalendar(w.Body)
	if err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "text/calendar; charset=utf-8" ||
		w.Header().Get("Content-Disposition") != `attachment; filename="event.ics"` {
		t.Fatal(w.Code, w.Header(), err)
	}
	event := parsed.Events()[0]
	if event.Id() != id.String()+"@boxoffice" || event.GetProperty(ics.ComponentPropertyLocation).Value != "Tempodrom; Saal, 1" ||
		event.GetProperty(ics.ComponentPropertyDtStart).Value != "20240501T200000" || event.GetProperty(ics.ComponentPropertySequence).Value != "1" {
		t.Errorf("%s", event.Serialize(&ics.SerializationConfiguration{MaxLength: 75, PropertyMaxLength: 75, NewLine: "\n"}))
	}
	wantProblem(t, get("x"+token), 404, domain.CodeNotFound)
	if w := b.do(b.change(`{"facts":{}}`, `*`)); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	wantProblem(t, get(token), 404, domain.CodeNotFound) // nobody knows when
	b.do(b.change(facts, `*`))
	b.world.sold[id].Status = domain.OrderRefunded
	wantProblem(t, get(token), 404, domain.CodeNotFound)
}

// Windows and maxima are changed like the facts. What is not named stays, and an empty window goes.
func TestTheTermsOfASaleAreChanged(t *testing.T) {
	b := setup(t)
	closes := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	at := func(t time.Time) string { return `"` + t.Format(time.RFC3339) + `"` }
	w := b.do(b.change(`{"window":{"closes_at":`+at(closes)+`},"classes":[
		{"class":"B","max_per_order":2,"window":{"opens_at":`+at(closes.Add(-time.Hour))+`}}]}`, `"1"`))
	view, _ := b.saleView(t)
	if w.Code != 200 || view.Version != 2 || view.ClosesAt == nil || !view.ClosesAt.Equal(closes) || view.Classes[1].MaxPerOrder != 2 || view.Classes[1].Open || !view.Classes[0].Open {
		t.Fatalf("%d %s %+v", w.Code, w.Body, view)
	}
	wantProblem(t, b.checkout("before-the-class-opens", wish("B", 1)), 409, domain.CodeClassNotOpen)
	if w := b.do(b.change(`{"classes":[{"class":"B","window":{}}]}`, `"2"`)); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	wantProblem(t, b.checkout("too-many-of-a-class", wish("B", 3)), 422, domain.CodeMaxPerOrder)
	if w := b.do(b.change(`{"classes":[{"class":"B","max_per_order":0}]}`, `"3"`)); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	if w := b.checkout("as-many-as-a-buyer-may", wish("B", 3)); w.Code != 201 {
		t.Error(w.Code, w.Body)
	}
	view, _ = b.saleView(t)
	if view.ClosesAt == nil || view.Classes[1].OpensAt != nil || view.Version != 4 {
		t.Errorf("%+v", view)
	}
	if w := b.do(b.change(`{"window":{}}`, `"4"`)); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	if view, _ = b.saleView(t); view.ClosesAt != nil {
		t.Errorf("%+v", view)
	}
}

// One order may not have so many tickets that the sale's provider could not take their price.
func TestMaxPerOrderIsWithinWhatTheProviderTakes(t *testing.T) {
	for name, tt := range map[string]struct {
		classes string
		field   string // empty: it is changed
	}{
		"as many as it takes":           {`[{"class":"dear","max_per_order":3}]`, ""},
		"one more":                      {`[{"class":"dear","max_per_order":4}]`, "classes[0].max_per_order"},
		"as many as a buyer may have":   {`[{"class":"cheap","max_per_order":0},{"class":"dear","max_per_order":0}]`, "classes[1].max_per_order"},
		"of a class that is cheap":      {`[{"class":"cheap","max_per_order":0}]`, ""},
		"another label is nobody's sum": {`[{"class":"dear","label":"Stalls"}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			body := `{"id":"dear","name":"Dear","currency":"EUR","buyer_limit":10,"provider":"other","classes":[` +
				`{"class":"cheap","price":100,"capacity":9,"max_per_order":2},{"class":"dear","price":30000,"capacity":9,"max_per_order":2}]}`
			if w := b.do(request{"POST", "/v1/sales", body, bearerOf(testAdminToken)}); w.Code != 201 {
				t.Fatal(w.Code, w.Body)
			}
			before := b.world.SalesByID["dear"].Version
			change := b.change(`{"classes":`+tt.classes+`}`, fmt.Sprintf(`"%d"`, before))
			change.path = "/v1/sales/dear"
			w := b.do(change)
			if tt.field == "" {
				if w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				return
			}
			p := wantProblem(t, w, 422, domain.CodeInvalid)
			if len(p.Errors) != 1 || p.Errors[0].Field != tt.field || b.world.SalesByID["dear"].Version != before {
				t.Errorf("%s", w.Body)
			}
		})
	}
}

func TestBadTermsAreRefusedWithTheirField(t *testing.T) {
	for name, tt := range map[string]struct{ body, field string }{
		"closes before it opens":       {`{"window":{"opens_at":"2027-05-01T20:00:00Z","closes_at":"2027-05-01T19:00:00Z"}}`, "window"},
		"a window in the year 10000":   {`{"window":{"closes_at":"9999-12-31T23:59:59-02:00"}}`, "window.closes_at"},
		"a class closes before":        {`{"classes":[{"class":"B","window":{"opens_at":"2027-05-01T20:00:00Z","closes_at":"2027-05-01T20:00:00Z"}}]}`, "classes[0].window.closes_at"},
		"more than a buyer may have":   {`{"classes":[{"class":"B","max_per_order":11}]}`, "classes[0].max_per_order"},
		"more than anybody may have":   {`{"classes":[{"class":"B","max_per_order":101}]}`, "classes[0].max_per_order"},
		"less than none":               {`{"classes":[{"class":"B","max_per_order":-1}]}`, "classes[0].max_per_order"},
		"a long label":                 {`{"classes":[{"class":"B","label":"` + strings.Repeat("x", 10_000) + `"}]}`, "classes[0].label"},
		"no time":                      {`{"window":{"closes_at":"tomorrow"}}`, "window.closes_at"},
		"another opening, once opened": {`{"window":{"opens_at":"2999-05-01T20:00:00Z"}}`, "window.opens_at"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			w := b.do(b.change(`{"name":"Changed",`+tt.body[1:], `"1"`))
			p := wantProblem(t, w, 422, domain.CodeInvalid)
			if len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Field, tt.field) {
				t.Errorf("%s, want %s named", w.Body, tt.field)
			}
			if view, _ := b.saleView(t); view.Version != 1 || view.Name == "Changed" {
				t.Errorf("something was changed: %+v", view)
			}
		})
	}
}

package api

import (
	"maps"
	"slices"
	"testing"

	"boxoffice/domain"
)

func patchOf(sale, body string) request {
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "application/json"
	return request{"PATCH", "/v1/sales/" + sale + "/queue", body, header}
}

// Settings that a PATCH does not name stay as they are.
func TestConfigureQueue(t *testing.T) {
	b, r := roomSetup(t)
	for changes, step := range []struct { // the first changes nothing
		body string
		want domain.QueueSettings
	}{
		{`{}`, domain.QueueSettings{RateFloor: 1, RateCeiling: 200}},
		{`{"paused":true}`, domain.QueueSettings{RateFloor: 1, RateCeiling: 200, Paused: true}},
		{`{"rate_floor":2.5}`, domain.QueueSettings{RateFloor: 2.5, RateCeiling: 200, Paused: true}},
		{`{"rate_ceiling":3,"paused":false}`, domain.QueueSettings{RateFloor: 2.5, RateCeiling: 3}},
	} {
		w := b.do(patchOf("rush", step.body))
		var view ConfiguredView
		decode(t, w, &view)
		if w.Code != 200 || r.settings != step.want || view.Paused != step.want.Paused || view.RateFloor != step.want.RateFloor || view.RateCeiling != step.want.RateCeiling {
			t.Errorf("%s: %d %s, set %+v, want %+v", step.body, w.Code, w.Body, r.settings, step.want)
		}
		if r.configured != changes {
			t.Errorf("%s: set %d times, want %d: a read must not undo another's change", step.body, r.configured, changes)
		}
	}
}

func TestConfigureQueueRefusals(t *testing.T) {
	b, r := roomSetup(t)
	before := r.settings
	for name, test := range map[string]struct {
		request request
		status  int
		code    domain.Code
	}{
		"without the token":         {request{"PATCH", "/v1/sales/rush/queue", `{"paused":true}`, map[string]string{"Content-Type": "application/json"}}, 401, domain.CodeUnauthorized},
		"no such sale":              {patchOf("nothing", `{"paused":true}`), 404, domain.CodeNotFound},
		"no waiting room":           {patchOf("conference", `{"paused":true}`), 404, domain.CodeNotFound},
		"a rate of nothing":         {patchOf("rush", `{"rate_floor":0}`), 422, domain.CodeInvalid},
		"a rate below nothing":      {patchOf("rush", `{"rate_ceiling":-1}`), 422, domain.CodeInvalid},
		"a floor above the ceiling": {patchOf("rush", `{"rate_floor":201}`), 422, domain.CodeInvalid},
		"paused as a word":          {patchOf("rush", `{"paused":"yes"}`), 422, domain.CodeInvalid},
		"something else":            {patchOf("rush", `{"open":true}`), 422, domain.CodeInvalid},
		"not a number":              {patchOf("rush", `{"rate_floor":1e999}`), 422, domain.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, b.do(test.request), test.status, test.code) })
	}
	if r.settings != before {
		t.Errorf("%+v was set", r.settings)
	}
}

func TestCreateSaleWithAQueue(t *testing.T) {
	create := func(more string) request {
		header := bearerOf(testAdminToken)
		header["Content-Type"] = "application/json"
		return request{"POST", "/v1/sales", `{"id":"new","name":"New","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}]` + more + `}`, header}
	}
	defaults := newRooms().settings
	for name, test := range map[string]struct {
		more   string
		status int
		want   domain.QueueSettings
	}{
		"no waiting room":             {``, 201, defaults},
		"as it is":                    {`,"waiting_room":true`, 201, defaults},
		"empty":                       {`,"waiting_room":true,"queue":{}`, 201, defaults},
		"a floor":                     {`,"waiting_room":true,"queue":{"rate_floor":5}`, 201, domain.QueueSettings{RateFloor: 5, RateCeiling: 200}},
		"a floor above the usual":     {`,"waiting_room":true,"queue":{"rate_floor":500}`, 201, domain.QueueSettings{RateFloor: 500, RateCeiling: 500}},
		"a rate out of bounds":        {`,"waiting_room":true,"queue":{"rate_ceiling":10001}`, 422, defaults},
		"both":                        {`,"waiting_room":true,"queue":{"rate_floor":5,"rate_ceiling":6}`, 201, domain.QueueSettings{RateFloor: 5, RateCeiling: 6}},
		"a queue without a room":      {`,"queue":{"rate_floor":5}`, 422, defaults},
		"a floor above the ceiling":   {`,"waiting_room":true,"queue":{"rate_floor":7,"rate_ceiling":6}`, 422, defaults},
		"paused from the outset":      {`,"waiting_room":true,"queue":{"paused":true}`, 422, defaults},
		"a rate that is not a number": {`,"waiting_room":true,"queue":{"rate_floor":"5"}`, 422, defaults},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := roomSetup(t)
			w := b.do(create(test.more))
			if w.Code != test.status || r.settings != test.want {
				t.Errorf("%d %s, set %+v, want %d %+v", w.Code, w.Body, r.settings, test.status, test.want)
			}
			if stored := slices.Contains(slices.Collect(maps.Keys(b.world.SalesByID)), "new"); stored != (test.status == 201) {
				t.Errorf("stored: %t", stored)
			}
		})
	}
}

// A node without waiting rooms stores no sale that needs one.
func TestCreateSaleWithAQueueOnANodeWithoutRooms(t *testing.T) {
	b := setup(t)
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "application/json"
	wantProblem(t, b.do(request{"POST", "/v1/sales",
		`{"id":"new","name":"New","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}],"waiting_room":true,"queue":{}}`, header}), 503, domain.CodeOverloaded)
	if b.world.SalesByID["new"] != nil {
		t.Error("stored")
	}
}

// Repeating it changes nothing, not even settings made since.
func TestCreatingASaleAgainKeepsItsQueue(t *testing.T) {
	b, r := roomSetup(t)
	body := `{"id":"new","name":"New","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}],"waiting_room":true,"queue":{"rate_floor":5}}`
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "application/json"
	create := request{"POST", "/v1/sales", body, header}
	for _, step := range []request{create, patchOf("new", `{"rate_floor":9}`), create} {
		if w := b.do(step); w.Code >= 300 {
			t.Fatalf("%s: %d %s", step.method, w.Code, w.Body)
		}
	}
	if r.settings.RateFloor != 9 || r.configured != 2 {
		t.Errorf("%+v after %d changes", r.settings, r.configured)
	}
}

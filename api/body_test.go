package api

import (
	"slices"
	"strings"
	"testing"

	"boxoffice/domain"
)

// A body that the published schema refuses is refused, and so is one with two readings. The
// answer names the field as the schema does.
func TestBodiesHaveOneReading(t *testing.T) {
	const checkouts, buyer = "/v1/sales/conference/checkouts", `"buyer":{"email":"ann@example.com"}`
	items := func(item string) string { return `{"items":[{"class":"A","quantity":1},` + item + `],` + buyer + `}` }
	sale := func(members string) string {
		return `{"id":"new","name":"New","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}],` + members + `}`
	}
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		field                    string
	}{
		{"Latin-1", "POST", checkouts, "{\"items\":[{\"class\":\"A\",\"quantity\":1}],\"buyer\":{\"email\":\"m\xfcller@example.com\"}}", 400, ""},
		{"half an UTF-8 sequence", "POST", checkouts, `{"items":[{"class":"A","quantity":1}],"buyer":{"email":"m` + "\xc3" + `@example.com"}}`, 400, ""},
		{"surrogates in UTF-8", "POST", checkouts, `{"items":[{"class":"A","quantity":1}],"buyer":{"email":"m` + "\xed\xa0\x80" + `@example.com"}}`, 400, ""},
		{"half a surrogate pair", "POST", checkouts, `{"items":[{"class":"A","quantity":1}],"buyer":{"email":"m\ud800@example.com"}}`, 422, "buyer.email"},
		{"the other half", "POST", checkouts, `{"items":[{"class":"A","quantity":1}],"buyer":{"email":"m\udc00@example.com"}}`, 422, "buyer.email"},
		{"half a pair in a name", "POST", "/v1/sales", sale(`"perk":{"name":"\ud83d","capacity":1}`), 422, "perk.name"},

		{"another case beside the right one", "POST", checkouts, items(`{"class":"A","quantity":1,"Quantity":9}`), 422, "items[1].quantity"},
		{"another case", "POST", checkouts, items(`{"class":"A","QUANTITY":9}`), 422, "items[1]"},
		{"a letter that folds", "POST", checkouts, items(`{"cla\u017fs":"A","class":"A","quantity":9}`), 422, "items[1].class"},
		{"another case above", "POST", checkouts, `{"Items":[],"items":[{"class":"A","quantity":1}],` + buyer + `}`, 422, "items"},
		{"another case of the organiser's", "POST", "/v1/sales", sale(`"Buyer_Limit":9`), 422, "buyer_limit"},
		{"another case of a proof's", "POST", "/v1/sales/rush/queue", `{"Proof":{"challenge":"","solution":""}}`, 422, "proof"},
		{"another case of a queue's", "PATCH", "/v1/sales/rush/queue", `{"Paused":true}`, 422, "paused"},

		{"twice", "POST", checkouts, items(`{"class":"A","quantity":1,"quantity":9}`), 422, "items[1].quantity"},
		{"twice, one escaped", "POST", checkouts, items(`{"class":"A","quantity":1,"quantit\u0079":9}`), 422, "items[1].quantity"},
		{"twice above", "POST", checkouts, `{"items":[{"class":"A","quantity":1}],` + buyer + `,` + buyer + `}`, 422, "buyer"},
		{"an unknown member twice", "POST", checkouts, items(`{"class":"A","quantity":1,"x":1,"x":2}`), 422, "items[1]"},
		{"twice of the organiser's", "POST", "/v1/sales", sale(`"name":"Other"`), 422, "name"},

		{"not known", "POST", checkouts, items(`{"class":"A","quantity":1,"price":1}`), 422, "items[1]"},
		{"not known above", "POST", checkouts, `{"items":[{"class":"A","quantity":1}],` + buyer + `,"x":1}`, 422, "body"},
		{"a fraction of zero", "POST", checkouts, items(`{"class":"A","quantity":1.0}`), 422, "items[1].quantity"},
		{"an exponent", "POST", checkouts, items(`{"class":"A","quantity":1e0}`), 422, "items[1].quantity"},
		{"beyond any number", "POST", checkouts, items(`{"class":"A","quantity":1e999}`), 422, "items[1].quantity"},
		{"a fraction of the organiser's", "POST", "/v1/sales", sale(`"buyer_limit":2.0`), 422, "buyer_limit"},
		{"a price with a fraction", "POST", "/v1/sales", `{"id":"new","name":"New","currency":"EUR","classes":[{"class":"A","price":1.00,"capacity":1}]}`, 422, "classes[0].price"},
		{"cut off", "POST", checkouts, `{"items":[{"class":"A","quantity":1}],"buyer":{"email":"ann@exam`, 422, "buyer.email"},
		{"more behind", "POST", checkouts, items(`{"class":"A","quantity":1}`) + `{}`, 422, "body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, _ := roomSetup(t)
			p := wantProblem(t, b.do(request{tt.method, tt.path, tt.body, map[string]string{
				"Content-Type": "application/json", "Idempotency-Key": testKey, "Authorization": "Bearer " + testAdminToken,
			}}), tt.status, map[int]domain.Code{400: codeMalformed, 422: domain.CodeInvalid}[tt.status])
			if tt.field != "" && !slices.ContainsFunc(p.Errors, func(e FieldError) bool { return e.Field == tt.field }) {
				t.Errorf("errors %+v, want field %q", p.Errors, tt.field)
			}
			if b.world.Starts != 0 {
				t.Error("a checkout was started")
			}
		})
	}
}

// Members that a client invents may be an address, so no answer repeats them.
func TestProblemsRepeatNothingThatWasSent(t *testing.T) {
	const mark = "marked.buyer.7c1f@example.com"
	b := setup(t)
	for _, body := range []string{
		`{"` + mark + `":1}`,
		`{"` + mark + `":1,"` + mark + `":2}`,
		`{"items":[{"class":"A","quantity":1,"` + mark + `":1}],"buyer":{"email":"ann@example.com"}}`,
		`{"items":[{"class":"A","quantity":1}],"buyer":{"` + mark + `":"ann@example.com"}}`,
		`{"items":[{"class":"A","quantity":1}],"buyer":{"email.` + mark + `":1,"email[` + mark + `":1,"email":"ann@example.com"}}`,
		`{"items":[{"class":"A","quantity":1}],"buyer":{"x":{"` + mark + `":1,"` + mark + `":1}}}`,
		`{"items":[{"class":"A","quantity":1}],"buyer":{"` + mark + `":"\ud800"}}`,
		`{"items":[{"class":"A","quantity":1}],"buyer":{"` + mark + `\n":"\ud800"}}`,
		`{"items":[{"class":"A","quantity":1}],"buyer":{"` + mark,
		`{"items":{"` + mark + `":1},"buyer":["` + mark + `"]}`,
		`"` + mark + `"`, mark, `{"items":[{"class":"A","quantity":"` + mark + `"}],"buyer":{"email":"ann@example.com"}}`,
		`{"items":[{"class":"` + mark + `","quantity":1}],"buyer":{"email":"ann@example.com"}}`,
	} {
		for _, path := range []string{"/v1/sales/conference/checkouts", "/v1/sales"} {
			w := b.do(request{"POST", path, body, map[string]string{
				"Content-Type": "application/json", "Idempotency-Key": testKey, "Authorization": "Bearer " + testAdminToken,
			}})
			if w.Code != 422 || strings.Contains(w.Body.String(), "marked") || strings.Contains(w.Body.String(), "7c1f") {
				t.Errorf("%s %s\n%d %s", path, body, w.Code, w.Body)
			}
		}
	}
	if log := b.log.String(); strings.Contains(log, "marked") {
		t.Errorf("the log has it: %s", log)
	}
}

// FuzzBody: the answer to a refused body repeats only names from the schema.
func FuzzBody(f *testing.F) {
	b := setup(f)
	for _, body := range refusedWishes {
		f.Add(body)
	}
	f.Add(`{"items":[{"class":"A","quantity":1,"zqxj":1,"zqxj":2}],"buyer":{"email":"\ud800"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		const mark = "zqxj"
		w := b.checkout(testKey, strings.ReplaceAll(body, "x", mark))
		if w.Code >= 500 || w.Code >= 400 && strings.Contains(w.Body.String(), mark) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		b.forget()
	})
}

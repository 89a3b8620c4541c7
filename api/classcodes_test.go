package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/ratelimit"
)

const hiddenCode = "FANS-FANS-2027"

// codesSetup has a sale with class A for everybody, V and W hidden, and a code that opens V.
func codesSetup(t testing.TB, change ...func(*Options)) (b *bundle, code domain.ClassCodeID) {
	t.Helper()
	b = setup(t, change...)
	sale := b.world.AddSale(&domain.Sale{
		ID: "backstage", Name: "Backstage", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute, CodeLedger: 4711,
		Classes: []domain.Class{
			{Name: "A", PriceMinor: 100, Capacity: 5}, {Name: "Velvet", PriceMinor: 900, Capacity: 3, Hidden: true}, {Name: "Walnut", PriceMinor: 1, Capacity: 3, Hidden: true},
		}, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	b.world.Opened["backstage"] = true
	normal, _ := domain.NormalSecretCode(hiddenCode)
	code = b.world.Keys.ClassCodeID("backstage", normal)
	b.world.Codes = map[domain.ClassCodeID]domain.ClassCode{code: {ID: code, Only: sale.Classes[1].Ledger, Left: 1}}
	return b, code
}

func codeWish(class, code string) string {
	return fmt.Sprintf(`{"items":[{"class":%q,"quantity":1}],"buyer":{"email":"buyer-7@example.org"},"code":%q}`, class, code)
}

func (b *bundle) checkoutOf(sale, key, body string) *httptest.ResponseRecorder {
	r := checkoutRequest(key, body)
	r.path = "/v1/sales/" + sale + "/checkouts"
	return b.do(r)
}

func openClasses(sale, code string) request {
	return request{"POST", "/v1/sales/" + sale + "/code", fmt.Sprintf(`{"code":%q}`, code), map[string]string{"Content-Type": "application/json"}}
}

func TestWhoHasNoCodeSeesNoHiddenClass(t *testing.T) {
	b, _ := codesSetup(t)
	for _, path := range []string{"/v1/sales/backstage", "/v1/sales"} {
		w := b.do(request{method: "GET", path: path})
		if body := w.Body.String(); w.Code != 200 || strings.Contains(body, "Velvet") || strings.Contains(body, "Walnut") || !strings.Contains(body, "Backstage") {
			t.Errorf("%s: %d %s", path, w.Code, body)
		}
	}
	mailbox, leave, err := b.api.hub.subscribe(b.world.SalesByID["backstage"])
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if event := string(<-mailbox); strings.Contains(event, "Velvet") || !strings.Contains(event, `"A"`) {
		t.Errorf("the stream says %s", event)
	}
	// The answer to a guessed class is that to one that is not there.
	guessed := wantProblem(t, b.checkoutOf("backstage", testKey, wish("Velvet", 1)), 422, domain.CodeInvalid)
	missing := wantProblem(t, b.checkoutOf("backstage", testKey, wish("Vinyl", 1)), 422, domain.CodeInvalid)
	if guessed.Detail != missing.Detail || len(guessed.Errors) != 1 || guessed.Errors[0] != missing.Errors[0] {
		t.Errorf("%+v and %+v differ", guessed, missing)
	}
	w := b.do(request{"GET", "/v1/sales/backstage/definition", "", bearerOf(testAdminToken)})
	var all SaleView
	decode(t, w, &all)
	if w.Code != 200 || len(all.Classes) != 3 || !all.Classes[1].Hidden || all.Classes[0].Hidden || w.Header().Get("ETag") != `"1"` {
		t.Errorf("the organiser sees %d %s", w.Code, w.Body)
	}
	wantProblem(t, b.do(request{method: "GET", path: "/v1/sales/backstage/definition"}), 401, domain.CodeUnauthorized)
}

func TestACodeShowsWhatItOpens(t *testing.T) {
	b, _ := codesSetup(t)
	w := b.do(openClasses("backstage", " fans fans 2o27 "))
	var view OpenClassesView
	decode(t, w, &view)
	if w.Code != 200 || len(view.Classes) != 1 || view.Classes[0].Class != "Velvet" || view.Classes[0].Available != 3 || view.Left != 1 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for name, tt := range map[string]struct {
		sale, code string
		status     int
		problem    domain.Code
	}{
		"another code":                  {"backstage", "FANS-FANS-2028", 403, domain.CodeClassCodeRefused},
		"no code at all":                {"backstage", "hello!", 403, domain.CodeClassCodeRefused},
		"empty":                         {"backstage", "", 422, domain.CodeInvalid},
		"very long":                     {"backstage", strings.Repeat("A", 81), 422, domain.CodeInvalid},
		"a sale without hidden classes": {"conference", hiddenCode, 403, domain.CodeClassCodeRefused},
		"a sale that is not there":      {"nope", hiddenCode, 404, domain.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, b.do(openClasses(tt.sale, tt.code)), tt.status, tt.problem) })
	}
	b.world.CodeErr = &domain.UnknownError{Op: "look up"}
	wantProblem(t, b.do(openClasses("backstage", hiddenCode)), 503, domain.CodeOverloaded)
}

func TestACheckoutWithACode(t *testing.T) {
	b, id := codesSetup(t)
	for name, tt := range map[string]struct {
		sale, body string
		status     int
		problem    domain.Code
		field      string
	}{
		"another code":            {"backstage", codeWish("Velvet", "FANS-FANS-2028"), 403, domain.CodeClassCodeRefused, ""},
		"of a class it opens not": {"backstage", codeWish("Walnut", hiddenCode), 422, domain.CodeInvalid, "items[0].class"},
		"of no hidden class":      {"backstage", codeWish("A", hiddenCode), 422, domain.CodeInvalid, "code"},
		"of a sale without any":   {"conference", codeWish("A", hiddenCode), 403, domain.CodeClassCodeRefused, ""},
		"very long":               {"backstage", codeWish("Velvet", strings.Repeat("A", 81)), 422, domain.CodeInvalid, "code"},
	} {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, b.checkoutOf(tt.sale, testKey, tt.body), tt.status, tt.problem)
			if tt.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tt.field) {
				t.Errorf("%+v, want field %s", p.Errors, tt.field)
			}
			if b.world.Starts != 0 {
				t.Error("a checkout was started")
			}
		})
	}
	var first, again CheckoutView
	decode(t, b.checkoutOf("backstage", testKey, codeWish("Velvet", hiddenCode)), &first)
	b.world.Codes[id] = domain.ClassCode{ID: id, Only: b.world.Codes[id].Only, Held: 1}
	w := b.checkoutOf("backstage", testKey, codeWish("Velvet", hiddenCode))
	decode(t, w, &again)
	if w.Code != 201 || first.Order.IsZero() || first.Order != again.Order || first.Amount != 900 {
		t.Errorf("first %+v, again %d %s: want the same order, although its code is in use", first, w.Code, w.Body)
	}
	starts := b.world.Starts
	w = b.checkoutOf("backstage", testKey+"-2", codeWish("Velvet", hiddenCode))
	wantProblem(t, w, 409, domain.CodeClassCodeSpent)
	if w.Header().Get("Retry-After") == "" || b.world.Starts != starts {
		t.Errorf("Retry-After %q and %d checkouts started, want one hint and none", w.Header().Get("Retry-After"), b.world.Starts-starts)
	}
	// Two who were let through at once: the ledger says no to one of them.
	b.world.Codes[id] = domain.ClassCode{ID: id, Only: b.world.Codes[id].Only, Left: 1}
	b.world.LimitReached, b.world.CodeUsed = true, true
	wantProblem(t, b.checkoutOf("backstage", testKey+"-3", codeWish("Velvet", hiddenCode)), 409, domain.CodeClassCodeSpent)
}

// A client that guesses is slowed down, wherever it shows its codes. A right one costs nothing.
func TestWrongCodesForClassesAreBounded(t *testing.T) {
	const burst = 4
	b, _ := codesSetup(t, func(o *Options) { o.Rates = Rates{Guesses: ratelimit.Rate{PerSecond: 0.001, Burst: burst}} })
	tries := 0
	ask := func(from, path, body string) int {
		tries++
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d", testKey, tries))
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		b.api.Public().ServeHTTP(w, r)
		return w.Code
	}
	show := func(from, code string) int { return ask(from, "/v1/sales/backstage/code", `{"code":"`+code+`"}`) }
	order := func(from, code string) int {
		return ask(from, "/v1/sales/backstage/checkouts", codeWish("Velvet", code))
	}
	for range 2 * burst {
		if got := show("203.0.113.9:1", hiddenCode); got != 200 {
			t.Errorf("a good code: %d", got)
		}
	}
	for range burst / 2 {
		if got := [2]int{show("203.0.113.9:1", "WRONG-WRONG-WRONG"), order("203.0.113.9:1", "WRONG-WRONG-WRONG")}; got != [2]int{403, 403} {
			t.Errorf("a wrong code: %v", got)
		}
	}
	if got := [2]int{show("203.0.113.9:1", hiddenCode), order("203.0.113.9:1", hiddenCode)}; got != [2]int{429, 429} {
		t.Errorf("after %d wrong codes: %v", burst, got)
	}
	if got := ask("203.0.113.9:1", "/v1/sales/backstage/checkouts", wish("A", 1)); got != 201 {
		t.Errorf("without a code: %d", got)
	}
	if got := show("203.0.113.10:1", hiddenCode); got != 200 {
		t.Errorf("another address: %d", got)
	}
}

// A revoked code is none, in whatever way it is shown. Whoever has used it keeps the order.
func TestTheOrganiserRevokesACode(t *testing.T) {
	b, id := codesSetup(t)
	revoke := func(sale, body string) *httptest.ResponseRecorder {
		header := bearerOf(testAdminToken)
		header["Content-Type"] = "application/json"
		return b.do(request{"POST", "/v1/sales/" + sale + "/class-codes/revoke", body, header})
	}
	for name, tt := range map[string]struct {
		sale, body string
		status     int
		problem    domain.Code
		field      string
	}{
		"none":            {"backstage", `{"codes":[]}`, 422, domain.CodeInvalid, "codes"},
		"a short one":     {"backstage", `{"codes":["` + hiddenCode + `","FANS2027"]}`, 422, domain.CodeInvalid, "codes[1]"},
		"of another sale": {"conference", `{"codes":["` + hiddenCode + `"]}`, 404, domain.CodeNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, revoke(tt.sale, tt.body), tt.status, tt.problem)
			if tt.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tt.field) {
				t.Errorf("%+v, want field %s", p.Errors, tt.field)
			}
			if b.world.Codes[id].Revoked || len(b.world.revoked) > 0 {
				t.Error("a code was revoked")
			}
		})
	}
	wantProblem(t, b.do(request{"POST", "/v1/sales/backstage/class-codes/revoke", `{"codes":["` + hiddenCode + `"]}`, map[string]string{"Content-Type": "application/json"}}), 401, domain.CodeUnauthorized)

	var before, again CheckoutView
	decode(t, b.checkoutOf("backstage", testKey, codeWish("Velvet", hiddenCode)), &before)
	for _, want := range []int64{1, 0} {
		var view RevokedView
		if w := revoke("backstage", `{"codes":["fans fans 2027","NOBODY-HAS-THIS"]}`); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		} else if decode(t, w, &view); view.Revoked != want {
			t.Errorf("%d revoked, want %d", view.Revoked, want)
		}
	}
	if len(b.world.revoked) != 4 || b.world.revoked[0] != id {
		t.Errorf("noted %v", b.world.revoked)
	}
	wantProblem(t, b.do(openClasses("backstage", hiddenCode)), 403, domain.CodeClassCodeRefused)
	starts := b.world.Starts
	wantProblem(t, b.checkoutOf("backstage", testKey+"-2", codeWish("Velvet", hiddenCode)), 403, domain.CodeClassCodeRefused)
	if b.world.Starts != starts {
		t.Error("a checkout was started")
	}
	if decode(t, b.checkoutOf("backstage", testKey, codeWish("Velvet", hiddenCode)), &again); before.Order.IsZero() || again.Order != before.Order {
		t.Errorf("before %+v, again %+v: want the same order", before, again)
	}
	if log := strings.ToUpper(b.log.String()); strings.Contains(log, hiddenCode) {
		t.Errorf("a code is in the log: %s", log)
	}
}

func TestTheOrganiserMakesCodes(t *testing.T) {
	b, _ := codesSetup(t)
	do := func(sale, body string) *httptest.ResponseRecorder {
		header := bearerOf(testAdminToken)
		header["Content-Type"] = "application/json"
		return b.do(request{"POST", "/v1/sales/" + sale + "/class-codes", body, header})
	}
	for name, tt := range map[string]struct {
		sale, body string
		status     int
		problem    domain.Code
		field      string
	}{
		"nothing":           {"backstage", `{}`, 422, domain.CodeInvalid, "count"},
		"both":              {"backstage", `{"count":1,"codes":["ABCDEFGHJKMN"]}`, 422, domain.CodeInvalid, "count"},
		"too many":          {"backstage", `{"count":1001}`, 422, domain.CodeInvalid, "count"},
		"a short one":       {"backstage", `{"codes":["ABCDEFGHJKMN","FANS2027"]}`, 422, domain.CodeInvalid, "codes[1]"},
		"too often":         {"backstage", `{"count":1,"uses":10001}`, 422, domain.CodeInvalid, "uses"},
		"of a public class": {"backstage", `{"count":1,"class":"A"}`, 422, domain.CodeInvalid, "class"},
		"of no class":       {"backstage", `{"count":1,"class":"B"}`, 422, domain.CodeInvalid, "class"},
		"of another sale":   {"conference", `{"count":1}`, 404, domain.CodeNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(b.world.Codes)
			p := wantProblem(t, do(tt.sale, tt.body), tt.status, tt.problem)
			if tt.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tt.field) {
				t.Errorf("%+v, want field %s", p.Errors, tt.field)
			}
			if len(b.world.Codes) != before {
				t.Error("codes were made")
			}
		})
	}
	wantProblem(t, b.do(request{"POST", "/v1/sales/backstage/class-codes", `{"count":1}`, map[string]string{"Content-Type": "application/json"}}), 401, domain.CodeUnauthorized)

	var made ClassCodesView
	decode(t, do("backstage", `{"count":3,"class":"Walnut","uses":2}`), &made)
	if made.Made != 3 || len(made.Codes) != 3 || made.Uses != 2 || made.Codes[0] == made.Codes[1] {
		t.Fatalf("%+v", made)
	}
	if w := b.do(openClasses("backstage", made.Codes[2])); w.Code != 200 || !strings.Contains(w.Body.String(), "Walnut") || strings.Contains(w.Body.String(), "Velvet") {
		t.Errorf("a made code opens %d %s", w.Code, w.Body)
	}
	if w := b.checkoutOf("backstage", testKey, codeWish("Walnut", made.Codes[0])); w.Code != 201 {
		t.Errorf("a made code: %d %s", w.Code, w.Body)
	}
	own := `{"codes":["abcd-efgh-jkmn","ABCDEFGHJKMN"]}`
	for _, want := range []int{1, 0} {
		var brought ClassCodesView
		decode(t, do("backstage", own), &brought)
		if brought.Made != want || brought.Uses != 1 || brought.Codes != nil {
			t.Errorf("%+v, want %d new and none repeated", brought, want)
		}
	}
	wantProblem(t, do("backstage", `{"codes":["abcd-efgh-jkmn"],"uses":2}`), 409, domain.CodeExists)
	var uses ClassCodeUsesView
	decode(t, b.do(request{"GET", "/v1/sales/backstage/class-codes", "", bearerOf(testAdminToken)}), &uses)
	if uses != (ClassCodeUsesView{Codes: 5, Uses: 8}) || len(b.world.noted) < 4 {
		t.Errorf("%+v, %d noted", uses, len(b.world.noted))
	}
	if log := b.log.String(); strings.Contains(log, made.Codes[0]) || strings.Contains(strings.ToUpper(log), "ABCD-EFGH-JKMN") {
		t.Errorf("a code is in the log: %s", log)
	}
}

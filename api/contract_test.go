package api

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"boxoffice/domain"
)

// codesOfDomain reads the codes from the source, so that no new code is forgotten here.
func codesOfDomain(t *testing.T) []domain.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../domain/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []domain.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true // the list of all codes
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, domain.Code(value))
		return true
	})
	if len(codes) < 15 {
		t.Fatalf("found only %v", codes)
	}
	return codes
}

func TestEveryCodeHasItsProblem(t *testing.T) {
	codes := append(codesOfDomain(t), codeMethodNotAllowed, codeMediaType, codeTimeout, codeMalformed, codeCrossSite, codeEventsDropped, codeEventsRestored, codeVersionMissing)
	for _, code := range codes {
		k, ok := kinds[code]
		if !ok {
			t.Errorf("code %s is not mapped", code)
			continue
		}
		if k.status < 400 || k.status > 599 || k.title == "" || http.StatusText(k.status) == "" {
			t.Errorf("code %s: %+v", code, k)
		}
		if (k.status == http.StatusInternalServerError) != (code == domain.CodeInternal) {
			t.Errorf("code %s answers %d", code, k.status)
		}
		if k.status == http.StatusServiceUnavailable && k.retryAfter == 0 {
			t.Errorf("code %s says to try later, but not when", code)
		}
	}
	for code := range kinds {
		if !slices.Contains(codes, code) {
			t.Errorf("code %s is mapped, but does not exist", code)
		}
	}
}

func TestStatusesOfTheContract(t *testing.T) {
	for code, want := range map[domain.Code]int{
		domain.CodeSoldOut: 409, domain.CodeSaleCanceled: 409, domain.CodeInFlight: 409, domain.CodeQueueRequired: 403, domain.CodeProofRequired: 403, domain.CodeLimitReached: 429,
		domain.CodeRateLimited: 429, domain.CodeKeyMissing: 400, domain.CodeInvalid: 422, domain.CodeKeyReused: 422,
		domain.CodeUnknown: 503, domain.CodeOverloaded: 503, domain.CodeClocksDiffer: 503, domain.CodeAlreadyPaid: 409, domain.CodeForged: 401, domain.CodeNotFound: 404, codeEventsDropped: 410, codeEventsRestored: 410,
		domain.CodeChanged: 412, codeVersionMissing: 428,
	} {
		if got := kinds[code].status; got != want {
			t.Errorf("%s answers %d, want %d", code, got, want)
		}
	}
}

func TestOpenAPI(t *testing.T) {
	b := setup(t)
	w := b.do(request{method: "GET", path: "/openapi.json"})
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]json.RawMessage }
	}
	decode(t, w, &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%s %s", doc.OpenAPI, w.Header())
	}
	wantCodes := map[string][]domain.Code{
		"POST /v1/sales/{sale}/checkouts":       checkoutCodes,
		"GET /v1/orders/{order}":                {domain.CodeNotFound},
		"POST /v1/orders/{order}/cancel":        {domain.CodeNotFound, domain.CodeAlreadyPaid},
		"GET /v1/orders/{order}/tickets/{n}/qr": {domain.CodeNotFound},
		"POST /v1/webhooks/mockpay":             {domain.CodeForged, domain.CodeInvalid, domain.CodeNotFound},
		"GET /v1/sales":                         {domain.CodeOverloaded},
		"GET /v1/sales/{sale}":                  {domain.CodeNotFound},
		"GET /v1/sales/{sale}/events":           {domain.CodeNotFound, domain.CodeOverloaded},
		"POST /v1/sales":                        {domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeExists},
		"PATCH /v1/sales/{sale}":                {domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeChanged, codeVersionMissing},
		"GET /v1/events":                        {domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeOverloaded, codeEventsDropped, codeEventsRestored},
		"GET /v1/sales/{sale}/figures":          {domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound},
		"GET /v1/sales/{sale}/orders":           {domain.CodeUnauthorized},
		"GET /v1/orders":                        {domain.CodeUnauthorized, domain.CodeInvalid},
		"POST /v1/orders/{order}/refund":        {domain.CodeUnauthorized, domain.CodeNotPaid},
		"GET /v1/sales/{sale}/audit":            {domain.CodeUnauthorized},
		"POST /v1/sales/{sale}/restore-orders":  {domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound},
		"POST /v1/erasures":                     {domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotSettled},
		"POST /v1/restore-orders":               {domain.CodeUnauthorized, domain.CodeInvalid},
		"POST /v1/sales/{sale}/cancel":          {domain.CodeUnauthorized, domain.CodeNotFound},
		"GET /v1/sales/{sale}/cancel":           {domain.CodeUnauthorized, domain.CodeNotFound},
		"POST /v1/sales/{sale}/end":             {domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeSaleCanceled},
		"POST /v1/sales/{sale}/reopen":          {domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeSaleCanceled},
		"POST /v1/sales/{sale}/queue":           joinCodes,
		"GET /v1/sales/{sale}/queue":            {domain.CodeNotFound, domain.CodeOverloaded},
		"PATCH /v1/sales/{sale}/queue":          {domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound},
		"GET /v1/sales/{sale}/queue/challenge":  {domain.CodeNotFound},
		"GET /v1/queue/{token}":                 {domain.CodeNotFound, domain.CodeOverloaded},
		"GET /v1/queue/{token}/events":          {domain.CodeNotFound, domain.CodeOverloaded},

		"PUT /v1/sales/{sale}/classes/{class}/capacity": {domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeKeyMissing, domain.CodeCapacityInUse},

		"POST /v1/sales/{sale}/orders/{order}/cancel": {domain.CodeUnauthorized, domain.CodeNotFound},
	}
	documented := map[string]bool{}
	for path, operations := range doc.Paths {
		for method, raw := range operations {
			route := strings.ToUpper(method) + " " + path
			documented[route] = true
			want := slices.Clone(wantCodes[route])
			if path != webhookRoute { // all webhooks come from one address
				want = append(want, domain.CodeRateLimited)
			}
			checkOperation(t, route, raw, want)
		}
	}
	for _, route := range b.api.public.Routes() {
		if route.Method == "HEAD" || route.Method == "OPTIONS" {
			continue // TestHeadIsGetWithoutItsBody, TestPagesOfOtherSitesMayReadWhatIsPublic
		}
		name := route.Method + " " + openAPIPath(route.Path)
		if strings.HasPrefix(route.Path, "/v1/") && !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
	for route := range wantCodes {
		if !documented[route] {
			t.Errorf("%s is missing", route)
		}
	}
	for _, ref := range refs(w.Body.String()) {
		if _, ok := doc.Components.Schemas[ref]; !ok {
			t.Errorf("schema %s is referred to but not defined", ref)
		}
	}
}

func checkOperation(t *testing.T, route string, raw json.RawMessage, want []domain.Code) {
	t.Helper()
	var op struct {
		OperationID, Summary string
		Responses            map[string]struct {
			Description string
			Content     map[string]any
		}
	}
	if err := json.Unmarshal(raw, &op); err != nil {
		t.Fatal(err)
	}
	if op.OperationID == "" || op.Summary == "" {
		t.Errorf("%s has no id or summary", route)
	}
	for _, code := range append(want, domain.CodeInternal) {
		response := op.Responses[strconv.Itoa(kinds[code].status)]
		if _, ok := response.Content[problemType]; !ok || !strings.Contains(response.Description, "`"+string(code)+"`") {
			t.Errorf("%s does not document %s", route, code)
		}
	}
}

// openAPIPath is gin's :name in OpenAPI's braces.
func openAPIPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

func refs(doc string) []string {
	var names []string
	for _, piece := range strings.Split(doc, `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(piece, `"`)
		names = append(names, name)
	}
	return names
}

func TestParseKey(t *testing.T) {
	long := strings.Repeat("k", KeyLenMax)
	tests := []struct {
		name   string
		values []string
		want   string // empty: refused
	}{
		{"bare", []string{"0123456789abcdef"}, "0123456789abcdef"},
		{"quoted", []string{`"0123456789abcdef"`}, "0123456789abcdef"},
		{"quoted with escapes", []string{`"0123456789\"\\abcdef"`}, `0123456789"\abcdef`},
		{"longest", []string{long}, long},
		{"longest, quoted", []string{`"` + long + `"`}, long},
		{"the first and the last visible character", []string{"!0123456789abcde~"}, "!0123456789abcde~"},
		{"none", nil, ""},
		{"empty", []string{""}, ""},
		{"two", []string{"0123456789abcdef", "0123456789abcdef"}, ""},
		{"15 characters", []string{"0123456789abcde"}, ""},
		{"15 characters, quoted", []string{`"0123456789abcde"`}, ""},
		{"256 characters", []string{long + "k"}, ""},
		{"only opened", []string{`"0123456789abcdef`}, ""},
		{"one quote", []string{`"`}, ""},
		{"with parameters", []string{`"0123456789abcdef";a=1`}, ""},
		{"an invalid escape", []string{`"0123456789\abcdef"`}, ""},
		{"a space", []string{"01234567 89abcdef"}, ""},
		{"a control character", []string{"01234567\x0189abcdef"}, ""},
		{"not ASCII", []string{"0123456789abcdefü"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseKey(test.values)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
			if err != nil && domain.CodeOf(err) != domain.CodeKeyMissing {
				t.Errorf("error %v", err)
			}
		})
	}
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"0123456789abcdef", `"0123456789abcdef"`, `"\"`, `"\\\"aaaaaaaaaaaaaaaaa"`, "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		key, err := parseKey([]string{value})
		if err != nil {
			return
		}
		if len(key) < KeyLenMin || len(key) > KeyLenMax || !visible(key) {
			t.Fatalf("%q was read as %q", value, key)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
		if again, err := parseKey([]string{quoted}); err != nil || again != key {
			t.Fatalf("%q quoted is %q, %v", key, again, err)
		}
	})
}

// FuzzCheckout: the answer to any request is 201 or a problem below 500, and nothing is held without a 201.
func FuzzCheckout(f *testing.F) {
	for _, seed := range []string{
		wish("A", 1), `{}`, `[`, `null`, `{"items":[{"class":"A","quantity":1e1}],"buyer":{"email":"a@b.c"}}`,
		`{"items":[{"class":"A","quantity":9223372036854775807},{"class":"A","quantity":1}],"buyer":{"email":"a@b.c"}}`,
	} {
		f.Add(testKey, seed)
	}
	b := setup(f) // shared, because building the routes takes longer than a request
	held := func() int64 {
		b.world.Mu.Lock()
		defer b.world.Mu.Unlock()
		return b.world.Levels[b.sale.Classes[0].Ledger].Held + b.world.Levels[b.sale.Classes[1].Ledger].Held
	}
	f.Fuzz(func(t *testing.T, key, body string) {
		before := held()
		w := b.checkout(key, body)
		switch {
		case w.Code == http.StatusCreated:
		case w.Code >= 500 || w.Code < 400 || w.Header().Get("Content-Type") != problemType:
			t.Fatalf("%d %s", w.Code, w.Body)
		case held() != before:
			t.Fatalf("%d %s, but something is held", w.Code, w.Body)
		}
	})
}

// notOfACheckout are the codes that no checkout is answered with, and which routes they belong to. Codes of every route are in
// neither list.
var notOfACheckout = map[domain.Code]string{
	domain.CodeTooLarge: "every route's", domain.CodeRateLimited: "every route's", domain.CodeUnknown: "every route's", domain.CodeInternal: "every route's",
	domain.CodeQueueFull: "joining's", domain.CodeProofRequired: "joining's", domain.CodeNotEntitled: "joining's", domain.CodeBadEntitlement: "joining's",
	domain.CodeEntitlementExpired: "joining's", domain.CodeEntitlementSpent: "joining's",
	domain.CodeAlreadyPaid: "canceling's", domain.CodePaymentProcessing: "canceling's", domain.CodeHoldersFixed: "naming holders'", domain.CodeForged: "webhooks'",
	domain.CodeNotPaid: "the organiser's", domain.CodeNotSettled: "the organiser's", domain.CodeCapacityInUse: "the organiser's", domain.CodeExists: "the organiser's",
	domain.CodeChanged: "the organiser's", domain.CodeUnauthorized: "the organiser's",
}

// A new code is documented for checkouts, or listed as one that checkouts never get.
func TestEveryCodeIsACheckoutsOrNot(t *testing.T) {
	for _, code := range domain.Codes {
		isListed, whose := slices.Contains(checkoutCodes, code), notOfACheckout[code]
		if isListed == (whose != "") {
			t.Errorf("%s: put it into checkoutCodes in api/checkout.go if a checkout can get it, else into notOfACheckout with its route (listed %t, route %q)",
				code, isListed, whose)
		}
	}
}

package api

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/ratelimit"
	"boxoffice/waitingroom"
)

// entitlements is a fake Desk: the code GOOD-… gives one place per key.
type entitlements struct {
	Entitlements
	rooms *rooms
	asked []string
}

const goodCode = "GOOD-GOOD-GOOD"

func (e *entitlements) Join(ctx context.Context, sale *domain.Sale, shown domain.ShownEntitlement, key string) (string, waitingroom.Place, error) {
	e.asked = append(e.asked, fmt.Sprintf("%s %s %s", shown.Kind, shown.Value, key))
	switch shown.Value {
	case goodCode, "good.good.good":
		return e.rooms.Join(ctx, sale)
	case "UNKNOWN-UNKNOWN":
		return "", waitingroom.Place{}, &domain.UnknownError{Op: "take a place"}
	case "SPENT-SPENT-SPENT":
		return "", waitingroom.Place{}, &domain.Error{Code: domain.CodeEntitlementSpent}
	default:
		return "", waitingroom.Place{}, &domain.Error{Code: domain.CodeBadEntitlement}
	}
}

func (e *entitlements) MakeCodes(_ context.Context, _ *domain.Sale, count, places int, batch string) ([]string, error) {
	e.asked = append(e.asked, fmt.Sprintf("make %d %d %s", count, places, batch))
	return make([]string, count), nil
}

func (e *entitlements) AddCodes(_ context.Context, _ *domain.Sale, codes []string, places int, batch string) (int, error) {
	e.asked = append(e.asked, fmt.Sprintf("add %d %d %s", len(codes), places, batch))
	return len(codes), nil
}

func (e *entitlements) RevokeCodes(_ context.Context, _ *domain.Sale, codes []string) (int64, error) {
	e.asked = append(e.asked, fmt.Sprintf("revoke %v", codes))
	return int64(len(codes)), nil
}

func (e *entitlements) RevokeInvitations(_ context.Context, _ *domain.Sale, invitees []string) (int64, error) {
	e.asked = append(e.asked, fmt.Sprintf("revoke invitees %v", invitees))
	return int64(len(invitees)), nil
}

func (e *entitlements) RevokeBatch(_ context.Context, _ *domain.Sale, batch string) (int64, error) {
	e.asked = append(e.asked, "revoke batch "+batch)
	return 7, nil
}

func (e *entitlements) Batches(context.Context, *domain.Sale) ([]domain.EntitlementBatch, error) {
	return []domain.EntitlementBatch{{Kind: domain.PresaleCode, Batch: "fans", Made: 10, Revoked: 1, Places: 20, Taken: 5}}, nil
}

func entitledSetup(t testing.TB, change ...func(*Options)) (*bundle, *entitlements) {
	t.Helper()
	e := &entitlements{}
	b, r := roomSetup(t, append([]func(*Options){func(o *Options) { o.Entitlements = e }}, change...)...)
	e.rooms = r
	b.world.AddSale(&domain.Sale{
		ID: "presale", Name: "Presale", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute, WaitingRoom: true,
		Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 5}}, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
		Entitlement: domain.EntitlementRule{PresaleCodes: true},
	})
	b.world.Opened["presale"] = true
	return b, e
}

func withKey(r request, key string) request {
	if key != "" {
		r.header["Idempotency-Key"] = key
	}
	return r
}

func TestAPlaceNeedsWhatTheSaleAsksFor(t *testing.T) {
	code := func(code string) string { return fmt.Sprintf(`{"entitlement":{"presale_code":%q}}`, code) }
	for name, c := range map[string]struct {
		body, key string
		status    int
		code      domain.Code
		asked     string // of the Desk
	}{
		"nothing":                      {"", testKey, 403, domain.CodeNotEntitled, ""},
		"nothing in it":                {`{"entitlement":{}}`, testKey, 403, domain.CodeNotEntitled, ""},
		"both":                         {`{"entitlement":{"presale_code":"A","invitation":"B"}}`, testKey, 422, domain.CodeInvalid, ""},
		"something else":               {`{"entitlement":{"passport":"A"}}`, testKey, 422, domain.CodeInvalid, ""},
		"very long":                    {code(strings.Repeat("A", 81)), testKey, 422, domain.CodeInvalid, ""},
		"no key":                       {code(goodCode), "", 400, domain.CodeKeyMissing, ""},
		"a short key":                  {code(goodCode), "short", 400, domain.CodeKeyMissing, ""},
		"a code":                       {code(goodCode), testKey, 201, "", "presale_code " + goodCode + " " + testKey},
		"a key in quotes":              {code(goodCode), `"` + testKey + `"`, 201, "", "presale_code " + goodCode + " " + testKey},
		"an invitation":                {`{"entitlement":{"invitation":"good.good.good"}}`, testKey, 201, "", "invitation good.good.good " + testKey},
		"a wrong code":                 {code("WRONG-WRONG-WRONG"), testKey, 403, domain.CodeBadEntitlement, "presale_code WRONG-WRONG-WRONG " + testKey},
		"a code that was used":         {code("SPENT-SPENT-SPENT"), testKey, 409, domain.CodeEntitlementSpent, "presale_code SPENT-SPENT-SPENT " + testKey},
		"while the outcome is unknown": {code("UNKNOWN-UNKNOWN"), testKey, 503, domain.CodeUnknown, "presale_code UNKNOWN-UNKNOWN " + testKey},
	} {
		t.Run(name, func(t *testing.T) {
			b, e := entitledSetup(t)
			w := b.do(withKey(joinOf("presale", c.body), c.key))
			if c.code != "" {
				wantProblem(t, w, c.status, c.code)
			} else if w.Code != c.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if got := strings.Join(e.asked, "; "); got != c.asked {
				t.Errorf("asked %q, want %q", got, c.asked)
			}
		})
	}
}

// A sale that asks for nothing ignores the key and the entitlement.
func TestAPlaceNeedsNothingIfTheSaleAsksForNothing(t *testing.T) {
	b, e := entitledSetup(t)
	for _, key := range []string{"", "short", testKey} {
		if w := b.do(withKey(joinOf("rush", `{"entitlement":{"presale_code":"A"}}`), key)); w.Code != http.StatusCreated {
			t.Errorf("key %q: %d %s", key, w.Code, w.Body)
		}
	}
	if len(e.asked) > 0 {
		t.Errorf("asked %q", e.asked)
	}
}

func TestWithoutADeskNobodyJoinsASaleThatAsks(t *testing.T) {
	b, _ := entitledSetup(t, func(o *Options) { o.Entitlements = nil })
	wantProblem(t, b.do(withKey(joinOf("presale", `{"entitlement":{"presale_code":"`+goodCode+`"}}`), testKey)), 503, domain.CodeOverloaded)
}

// A client that guesses is slowed down, even if it then sends a good code. Others are not.
func TestWrongCodesOfAnAddressAreBounded(t *testing.T) {
	const burst = 3
	b, _ := entitledSetup(t, func(o *Options) { o.Rates = Rates{Guesses: ratelimit.Rate{PerSecond: 0.001, Burst: burst}} })
	join := func(from, code string) int {
		r := httptest.NewRequest(http.MethodPost, "/v1/sales/presale/queue", strings.NewReader(`{"entitlement":{"presale_code":"`+code+`"}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", testKey)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		b.api.Public().ServeHTTP(w, r)
		return w.Code
	}
	for range burst { // a right code costs nothing
		if code := join("203.0.113.9:1", goodCode); code != http.StatusCreated {
			t.Errorf("a good code: %d", code)
		}
	}
	for range burst {
		if code := join("203.0.113.9:1", "WRONG-WRONG-WRONG"); code != http.StatusForbidden {
			t.Errorf("a wrong code: %d", code)
		}
	}
	for _, code := range []string{"WRONG-WRONG-WRONG", goodCode} {
		if got := join("203.0.113.9:1", code); got != http.StatusTooManyRequests {
			t.Errorf("one more try: %d", got)
		}
	}
	if code := join("203.0.113.10:1", goodCode); code != http.StatusCreated {
		t.Errorf("another address: %d", code)
	}
	for range burst + 1 { // behind an unnamed proxy, everybody looks the same
		if code := join("10.1.2.3:1", "WRONG-WRONG-WRONG"); code != http.StatusForbidden {
			t.Errorf("a private network: %d", code)
		}
	}
}

func TestWhatANewSaleAsksFor(t *testing.T) {
	key := base64.RawURLEncoding.EncodeToString(ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	b, _ := entitledSetup(t)
	for i, c := range []struct {
		body   string
		want   *EntitlementRuleBody
		status int
	}{
		{`"waiting_room":true`, nil, 201},
		{`"waiting_room":true,"entitlement":{"presale_codes":true}`, &EntitlementRuleBody{PresaleCodes: true}, 201},
		{`"waiting_room":true,"entitlement":{"invitation_key":"` + key + `"}`, &EntitlementRuleBody{InvitationKey: key}, 201},
		{`"waiting_room":true,"entitlement":{"presale_codes":true,"invitation_key":"` + key + `"}`, &EntitlementRuleBody{true, key}, 201},
		{`"entitlement":{"presale_codes":true}`, nil, 422},
		{`"waiting_room":true,"entitlement":{}`, nil, 422},
		{`"waiting_room":true,"entitlement":{"invitation_key":"` + key + `="}`, nil, 422},
		{`"waiting_room":true,"entitlement":{"invitation_key":"AAAA"}`, nil, 422},
	} {
		header := bearerOf(testAdminToken)
		header["Content-Type"] = "application/json"
		w := b.do(request{"POST", "/v1/sales", fmt.Sprintf(`{"id":"gala-%d","name":"Gala","currency":"EUR","classes":[{"class":"A","price":100,"capacity":7}],%s}`, i, c.body), header})
		var v SaleView
		decode(t, w, &v)
		if w.Code != c.status || !reflect.DeepEqual(v.Entitlement, c.want) {
			t.Errorf("%s: %d %s", c.body, w.Code, w.Body)
		}
	}
}

func TestTheOrganisersSideOfEntitlements(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		asked, answer      string
	}{
		"make":               {"POST", "presale-codes", `{"count":3,"places":2,"batch":"fans"}`, 201, "make 3 2 fans", `"made":3`},
		"make one place":     {"POST", "presale-codes", `{"count":3,"batch":"fans"}`, 201, "make 3 1 fans", `"places":1`},
		"make too many":      {"POST", "presale-codes", `{"count":10001}`, 422, "", ""},
		"bring":              {"POST", "presale-codes", `{"codes":["A","B"],"batch":"fans"}`, 201, "add 2 1 fans", `"made":2`},
		"make and bring":     {"POST", "presale-codes", `{"count":1,"codes":["A"]}`, 422, "", ""},
		"neither":            {"POST", "presale-codes", `{}`, 422, "", ""},
		"revoke codes":       {"POST", "entitlements/revoke", `{"codes":["A","B"]}`, 200, "revoke [A B]", `"revoked":2`},
		"revoke invitations": {"POST", "entitlements/revoke", `{"invitees":["grace"]}`, 200, "revoke invitees [grace]", `"revoked":1`},
		"revoke a batch":     {"POST", "entitlements/revoke", `{"batch":"fans"}`, 200, "revoke batch fans", `"revoked":7`},
		"revoke two things":  {"POST", "entitlements/revoke", `{"batch":"fans","codes":["A"]}`, 422, "", ""},
		"revoke nothing":     {"POST", "entitlements/revoke", `{}`, 422, "", ""},
		"count":              {"GET", "entitlements", ``, 200, "", `{"batches":[{"kind":"presale_code","batch":"fans","made":10,"revoked":1,"places":20,"taken":5}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			b, e := entitledSetup(t)
			ask := func(sale, token string) *httptest.ResponseRecorder {
				header := bearerOf(token)
				header["Content-Type"] = "application/json"
				return b.do(request{c.method, "/v1/sales/" + sale + "/" + c.path, c.body, header})
			}
			wantProblem(t, ask("presale", "a-wrong-token-of-tests"), 401, domain.CodeUnauthorized)
			if w := ask("presale", testAdminToken); w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) {
				t.Errorf("%d %s, want %d with %s", w.Code, w.Body, c.status, c.answer)
			}
			if got := strings.Join(e.asked, "; "); got != c.asked {
				t.Errorf("asked %q, want %q", got, c.asked)
			}
			if c.status/100 == 2 {
				wantProblem(t, ask("rush", testAdminToken), 404, domain.CodeNotFound)
			}
		})
	}
}

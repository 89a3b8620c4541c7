package entitlement

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"
)

var testKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func testSale() *domain.Sale {
	return &domain.Sale{ID: "presale", Entitlement: domain.EntitlementRule{PresaleCodes: true, InvitationKey: testKey.Public().(ed25519.PublicKey)}}
}

func testVerifier(t testing.TB) invitations {
	t.Helper()
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	return invitations{keys}
}

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func signed(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnInvitationIsWorthAPlace(t *testing.T) {
	v := testVerifier(t)
	token, err := SignInvitation(testKey, "presale", "grace", noon)
	if err != nil {
		t.Fatal(err)
	}
	e, err := v.Verify(testSale(), " "+token+"\n")
	want := domain.Entitlement{Kind: domain.Invitation, ID: v.id("presale", "grace"), Places: 1, ExpiresAt: noon}
	if e.ExpiresAt = e.ExpiresAt.UTC(); err != nil || e != want {
		t.Errorf("%+v, %v, want %+v", e, err, want)
	}
}

func TestForgedInvitationsAreRefused(t *testing.T) {
	v := testVerifier(t)
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", ed25519.SeedSize)))
	claims := func(change map[string]any) jwt.MapClaims {
		c := jwt.MapClaims{"aud": "presale", "sub": "grace", "exp": noon.Unix()}
		for name, value := range change {
			c[name] = value
		}
		return c
	}
	public := testKey.Public().(ed25519.PublicKey)
	good := signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(nil))
	if _, err := v.Verify(testSale(), good); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"nothing":                         "",
		"no token":                        "ABCD-EFGH-JKMN-PQRS",
		"by another key":                  signed(t, jwt.SigningMethodEdDSA, other, nil, claims(nil)),
		"by the public key, as a secret":  signed(t, jwt.SigningMethodHS256, []byte(public), nil, claims(nil)),
		"not signed":                      signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims(nil)),
		"without its signature":           parts[0] + "." + parts[1] + ".",
		"of another sale":                 signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"aud": "gala"})),
		"of two sales":                    signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"aud": []string{"presale", "gala"}})),
		"of no sale":                      signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"aud": nil})),
		"for nobody":                      signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"sub": ""})),
		"for somebody with a long name":   signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"sub": strings.Repeat("g", InviteeLenMax+1)})),
		"for ever":                        signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"exp": nil})),
		"until a word":                    signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"exp": "tomorrow"})),
		"not valid yet":                   signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})),
		"with members that are critical":  signed(t, jwt.SigningMethodEdDSA, testKey, map[string]any{"crit": []string{"x"}, "x": 1}, claims(nil)),
		"too long":                        signed(t, jwt.SigningMethodEdDSA, testKey, nil, claims(map[string]any{"x": strings.Repeat("x", InvitationLenMax)})),
		"with another invitee written in": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"presale","sub":"eve","exp":1893499200}`)) + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			e, err := v.Verify(testSale(), token)
			if domain.CodeOf(err) != domain.CodeBadEntitlement || e != (domain.Entitlement{}) {
				t.Errorf("%+v, %v", e, err)
			}
			if err != nil && (strings.Contains(err.Error(), "grace") || strings.Contains(err.Error(), "eve")) {
				t.Errorf("the refusal repeats who it is for: %v", err)
			}
		})
	}
}

// A key that a sale does not have signs nothing.
func TestASaleWithoutAKeyTakesNoInvitation(t *testing.T) {
	sale := testSale()
	sale.Entitlement.InvitationKey = nil
	token, err := SignInvitation(testKey, "presale", "grace", noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testVerifier(t).Verify(sale, token); domain.CodeOf(err) != domain.CodeBadEntitlement {
		t.Errorf("error %v", err)
	}
}

// Whatever bytes come, they are refused or were signed by the organiser, for somebody, until some time.
func FuzzInvitation(f *testing.F) {
	v, sale := testVerifier(f), testSale()
	good, err := SignInvitation(testKey, "presale", "grace", noon)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, good[:len(good)-1], good + "=", strings.Replace(good, ".", "..", 1), "a.b.c", "", "é.é.é", good + "." + good} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, shown string) {
		e, err := v.Verify(sale, shown)
		if err != nil {
			if domain.CodeOf(err) != domain.CodeBadEntitlement {
				t.Fatalf("%q: %v", shown, err)
			}
			return
		}
		parts := strings.Split(strings.TrimSpace(shown), ".")
		if len(parts) != 3 {
			t.Fatalf("%q has %d parts", shown, len(parts))
		}
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		if !ed25519.Verify(testKey.Public().(ed25519.PublicKey), []byte(parts[0]+"."+parts[1]), signature) {
			t.Fatalf("%q is not signed", shown)
		}
		var claims struct{ Sub string }
		body, _ := base64.RawURLEncoding.DecodeString(parts[1])
		if err := json.Unmarshal(body, &claims); err != nil || e.ID != v.id("presale", claims.Sub) || e.ExpiresAt.IsZero() || e.Places != 1 {
			t.Fatalf("%q is worth %+v", shown, e)
		}
	})
}

func TestACodeIsReadAsPeopleTypeIt(t *testing.T) {
	for shown, want := range map[string]string{
		"ABCD-EFGH-JKMN-PQRS":   "ABCDEFGHJKMNPQRS",
		" abcd efgh jkmn pqrs ": "ABCDEFGHJKMNPQRS",
		"O0oI-l1iL-2345":        "000111112345",
		"ABCD–EFGH‑JKMN":        "ABCDEFGHJKMN",
	} {
		if got, ok := domain.NormalSecretCode(shown); !ok || got != want {
			t.Errorf("%q is %q, %t, want %q", shown, got, ok, want)
		}
	}
	for _, shown := range []string{"", "SUMMER24", "----------------", "ABCD-EFGH-JKM", "ABCDEFGHJKMN!", "ÄBCDEFGHJKMNP", strings.Repeat("A", domain.SecretCodeLenMax+1)} {
		if got, ok := domain.NormalSecretCode(shown); ok {
			t.Errorf("%q is the code %q", shown, got)
		}
	}
}

func TestMadeCodesAreDifferentAndReadBack(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		made := domain.NewSecretCode()
		code, ok := domain.NormalSecretCode(made)
		if !ok || len(code) != 16 || seen[code] {
			t.Fatalf("%q is %q, %t, seen before: %t", made, code, ok, seen[code])
		}
		seen[code] = true
	}
	rapid.Check(t, func(t *rapid.T) { // what counts is the code, however it is written
		code := rapid.StringMatching(`[0-9A-HJKMNP-TV-Z]{12,40}`).Draw(t, "code")
		var written strings.Builder
		for _, letter := range code {
			s := string(letter)
			if rapid.Bool().Draw(t, "lower") {
				s = strings.ToLower(s)
			}
			written.WriteString(s + rapid.SampledFrom([]string{"", "", "-", " "}).Draw(t, "between"))
		}
		if got, ok := domain.NormalSecretCode(written.String()); !ok || got != code {
			t.Fatalf("%q is %q, want %q", written.String(), got, code)
		}
	})
}

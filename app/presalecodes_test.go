package app

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/entitlement"
)

// organiserRoutes answers as the API does, and with an error from the given request on.
func organiserRoutes(t *testing.T, failFrom int) (config, *[]string) {
	t.Helper()
	var asked []string
	made := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Count  int
			Codes  []string
			Batch  string
			Places int
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Authorization") != "Bearer an-admin-token-of-tests" {
			t.Errorf("%s: %v", r.URL, err)
		}
		asked = append(asked, fmt.Sprintf("%s %d %d %d %s", r.URL.Path, body.Count, len(body.Codes), body.Places, body.Batch))
		if failFrom > 0 && len(asked) >= failFrom {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		codes := []string{}
		for range body.Count {
			made++
			codes = append(codes, fmt.Sprintf("CODE-%04d", made))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"codes": codes, "made": len(body.Codes), "revoked": len(body.Codes)})
	}))
	t.Cleanup(server.Close)
	return config{AdminURL: server.URL, AdminToken: "an-admin-token-of-tests"}, &asked
}

func wantAsked(t *testing.T, asked *[]string, want ...string) {
	t.Helper()
	if fmt.Sprint(*asked) != fmt.Sprint(want) {
		t.Errorf("asked %q, want %q", *asked, want)
	}
}

func TestPresaleCodesAreMadeInPartsAndPrinted(t *testing.T) {
	c, asked := organiserRoutes(t, 0)
	var out, progress bytes.Buffer
	o := codesOf{config: c, sale: "rush", batch: "fans", places: 2, out: &out, progress: &progress}
	if err := o.make(t.Context(), 2500); err != nil {
		t.Fatal(err)
	}
	wantAsked(t, asked, "/v1/sales/rush/presale-codes 1000 0 2 fans", "/v1/sales/rush/presale-codes 1000 0 2 fans", "/v1/sales/rush/presale-codes 500 0 2 fans")
	if lines := strings.Fields(out.String()); len(lines) != 2500 || lines[2499] != "CODE-2500" {
		t.Errorf("%d lines", len(lines))
	}
}

// The codes that were created are printed, and what to do for the rest.
func TestPresaleCodesThatStopHalfWaySaySo(t *testing.T) {
	c, _ := organiserRoutes(t, 2)
	var out, progress bytes.Buffer
	o := codesOf{config: c, sale: "rush", batch: "fans", places: 1, out: &out, progress: &progress}
	err := o.make(t.Context(), 2500)
	if err == nil || !strings.Contains(err.Error(), "-count 1500 -batch fans") || len(strings.Fields(out.String())) != 1000 {
		t.Errorf("%d lines, %v", len(strings.Fields(out.String())), err)
	}
}

func TestPresaleCodesAreImportedAndRevoked(t *testing.T) {
	c, asked := organiserRoutes(t, 0)
	var progress bytes.Buffer
	o := codesOf{config: c, sale: "rush", batch: "fans", places: 1, progress: &progress}
	lines := strings.Repeat("fanclub-0001\n\n", 1001)
	if err := o.add(t.Context(), strings.NewReader(lines)); err != nil {
		t.Fatal(err)
	}
	if err := o.revoke(t.Context(), strings.NewReader("fanclub-0001")); err != nil {
		t.Fatal(err)
	}
	if err := o.revokeBatch(t.Context(), "fans"); err != nil {
		t.Fatal(err)
	}
	wantAsked(t, asked, "/v1/sales/rush/presale-codes 0 1000 1 fans", "/v1/sales/rush/presale-codes 0 1 1 fans",
		"/v1/sales/rush/entitlements/revoke 0 1 0 ", "/v1/sales/rush/entitlements/revoke 0 0 0 fans")
	if want := "batch fans: 1001 codes, of which 1001 are new\n1 codes revoked\n0 codes revoked\n"; progress.String() != want {
		t.Errorf("said %q, want %q", progress.String(), want)
	}
}

// The box office accepts what the command signs.
func TestInvitationsOfTheCommandAreGood(t *testing.T) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := readSigningKey(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := signInvitations(key, "rush", time.Now().Add(time.Hour), strings.NewReader("member 17\n\nmember 18\n"), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	sale := &domain.Sale{ID: "rush", Entitlement: domain.EntitlementRule{InvitationKey: private.Public().(ed25519.PublicKey)}}
	for i, line := range lines {
		invitee, token, _ := strings.Cut(line, "\t")
		if want := fmt.Sprintf("member %d", 17+i); invitee != want {
			t.Errorf("line %d is for %q, want %q", i, invitee, want)
		}
		keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entitlement.Read(keys, sale, domain.ShownEntitlement{Kind: domain.Invitation, Value: token}); err != nil {
			t.Errorf("line %d: %v", i, err)
		}
	}
	if err := signInvitations(key, "rush", time.Now(), strings.NewReader(strings.Repeat("x", 200)), &out); err == nil {
		t.Error("an invitee with a very long name was invited")
	}
}

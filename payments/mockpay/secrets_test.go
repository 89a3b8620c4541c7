package mockpay_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"boxoffice/payments/mockpay"
)

func whsec(bytesLen int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, bytesLen))
}

func TestParseSecrets(t *testing.T) {
	for _, row := range []struct {
		name, text, problem string // an empty problem: accepted
	}{
		{"one", whsec(24), ""},
		{"the longest", whsec(64), ""},
		{"two, by a space", whsec(32) + " " + whsec(33), ""},
		{"two, by comma and newline", whsec(32) + ",\n" + whsec(33) + "\n", ""},
		{"none", "", "got 0 secrets"},
		{"separators only", " , ,", "got 0 secrets"},
		{"too many", strings.Repeat(whsec(24)+" ", 5), "got 5 secrets"},
		{"no prefix", strings.TrimPrefix(whsec(24), "whsec_"), "secret 1 of 1: must begin with whsec_"},
		{"a private key's prefix", "whsk_AAAA", "must begin with whsec_"},
		{"not base64", "whsec_!!!", "must be base64"},
		{"too short", whsec(23), "has 23 bytes"},
		{"too long", whsec(65), "has 65 bytes"},
		{"the prefix alone", "whsec_", "has 0 bytes"},
		{"the second is bad", whsec(24) + " whsec_AAAA", "secret 2 of 2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := mockpay.ParseSecrets(row.text)
			if row.problem == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				if err == nil || !strings.Contains(err.Error(), row.problem) {
					t.Fatalf("the error is %v, want %q in it", err, row.problem)
				}
			}
		})
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	s := secrets(t, fixtureSecret)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secrets", s)
	for _, printed := range []string{
		fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%d", s), fmt.Sprintf("%x", s),
		fmt.Sprintf("%v", struct{ S mockpay.Secrets }{s}), log.String(),
	} {
		if !strings.Contains(printed, "[redacted]") {
			t.Fatalf("no %q in %s", "[redacted]", printed)
		}
	}
}

func TestNothingWorksWithoutASecret(t *testing.T) {
	_, errVerifier := mockpay.NewVerifier(mockpay.Secrets{}, time.Now)
	_, errSigner := mockpay.NewSigner(mockpay.Secrets{})
	_, errLinks := mockpay.NewPayLinks("http://127.0.0.1:8090", mockpay.Secrets{})
	if errVerifier == nil {
		t.Fatal("no error, want one")
	}
	if errSigner == nil {
		t.Fatal("no error, want one")
	}
	if errLinks == nil {
		t.Fatal("no error, want one")
	}
}

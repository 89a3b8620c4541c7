package mockpay_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// No message of a secret that is not one repeats it.
func FuzzParseSecrets(f *testing.F) {
	f.Add(fixtureSecret)
	f.Add(fixtureSecret + " " + otherSecret)
	f.Add("whsec_,whsec_=,whsec_AAAA")
	f.Add("whsec_" + strings.Repeat("A", 100))
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := mockpay.ParseSecrets(text)
		if err == nil {
			if got := fmt.Sprint(parsed); got != "[redacted]" {
				t.Fatalf(`fmt.Sprint(parsed) is %q, want "[redacted]"`, got)
			}
			return
		}
		if encoded := strings.TrimPrefix(text, "whsec_"); len(encoded) > 16 {
			if got := err.Error(); strings.Contains(got, encoded) {
				t.Fatalf("%q is in %s", encoded, got)
			}
		}
	})
}

// Whatever the provider, or who took its place, answers: a definite failure only
// where its own problem document says so, and a capture only of the session that
// was asked for.
func FuzzProvidersAnswer(f *testing.F) {
	session := "ps_" + fixtureOrder
	f.Add(200, "application/json", `{"session":"`+session+`","order":"`+fixtureOrder+`","status":"open"}`)
	f.Add(200, "application/json", `{"session":"`+session+`","order":"`+fixtureOrder+`","status":"captured","capture":{"session":"`+session+`","order":"`+fixtureOrder+`","payment":"pay_1","amount":6500,"currency":"EUR"}}`)
	f.Add(200, "text/html", `<html>`)
	f.Add(404, "application/problem+json", `{"code":"not_found"}`)
	f.Add(404, "text/plain", `not here`)
	f.Add(503, "application/problem+json; x", `{"code":"overloaded"}`)
	f.Add(301, "", ``)
	var status int
	var contentType, body string
	client, err := mockpay.NewClient("http://provider.example", &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.WriteString(body)
		return w.Result(), nil
	})})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code int, kind, content string) {
		if code < 200 || code > 999 {
			t.Skip() // net/http has no such answer
		}
		status, contentType, body = code, kind, content
		capture, captured, err := client.Capture(t.Context(), session)
		switch {
		case err == nil && captured:
			if capture.Session != session {
				t.Fatalf("capture.Session is %q, want %q", capture.Session, session)
			}
			if got := mockpay.SessionID(capture.Order); got != session {
				t.Fatalf("mockpay.SessionID(capture.Order) is %q, want %q", got, session)
			}
			if capture.AmountMinor < int64(0) {
				t.Fatalf("capture.AmountMinor is %v, want at least %v", capture.AmountMinor, int64(0))
			}
		case err == nil: // an open session, or the provider's own 404
			if !(code/100 == 2 || code == 404 && strings.Contains(kind, "problem+json")) {
				t.Fatalf(`want true: code/100 == 2 || code == 404 && strings.Contains(kind, "problem+json"): %d %s`, code, kind)
			}
		case !domain.IsUnknown(err):
			if !(code/100 == 4 && strings.Contains(kind, "problem+json")) {
				t.Fatalf(`want true: code/100 == 4 && strings.Contains(kind, "problem+json"): %d %s: %v`, code, kind, err)
			}
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

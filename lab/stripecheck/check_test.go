package stripecheck

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"

	"boxoffice/payments/paymentstest"
	"boxoffice/payments/stripe"
	"boxoffice/payments/stripe/stripetest"
)

// stripeMock checks requests. Its answers are fixtures, which nobody uses.
func stripeMock(t *testing.T) func(*http.Request, []byte) error {
	t.Helper()
	spec, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		t.Fatal(err)
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		t.Fatal(err)
	}
	stub, err := server.NewStubServer(fixtures, spec, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request, body []byte) error {
		copied := httptest.NewRequest(r.Method, r.URL.String(), bytes.NewReader(body))
		copied.Header = r.Header.Clone()
		recorder := httptest.NewRecorder()
		stub.HandleRequest(recorder, copied)
		if recorder.Code >= http.StatusBadRequest {
			return fmt.Errorf("%s %s: stripe-mock answers %d: %s", r.Method, r.URL, recorder.Code, recorder.Body)
		}
		return nil
	}
}

func TestStripesDescriptionKnowsEveryRequest(t *testing.T) {
	check := stripeMock(t)
	var requests atomic.Int64
	paymentstest.Run(t, func(t *testing.T) *paymentstest.Subject {
		double := stripetest.New()
		double.Check = func(r *http.Request, body []byte) error {
			requests.Add(1)
			return check(r, body)
		}
		t.Cleanup(func() {
			double.Close()
			for _, err := range double.CheckErrors() {
				t.Error(err)
			}
		})
		network := &paymentstest.Network{RoundTripper: double.Client().Transport}
		provider, err := stripe.New(stripe.Options{
			Key: stripetest.Key, WebhookSecrets: []string{stripetest.WebhookSecret}, Shop: "tickets.example", URL: double.URL,
			HTTP: &http.Client{Transport: network}, DelayedMethods: []string{"us_bank_account", "sepa_debit", "bacs_debit", "au_becs_debit", "multibanco", "boleto", "konbini", "oxxo"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return double.Subject(provider.Since(time.Now().Add(-time.Hour)), network) // lists that have a beginning are described too
	})
	if requests.Load() == 0 {
		t.Error("stripe-mock saw no request")
	}
}

// The check itself must be able to fail.
func TestStripeMockRefusesWhatStripeDoesNotKnow(t *testing.T) {
	check := stripeMock(t)
	for name, body := range map[string]string{
		"an unknown parameter": "mode=payment&success_url=https://tickets.example&colour=red",
		"an unknown mode":      "mode=gift&success_url=https://tickets.example",
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/checkout/sessions", nil)
		r.Header.Set("Authorization", "Bearer "+stripetest.Key)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if err := check(r, []byte(body)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

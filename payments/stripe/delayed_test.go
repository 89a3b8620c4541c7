package stripe_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/stripe"
)

// Delayed methods are offered only where somebody keeps the seats, and a voucher can be paid with only so long.
func TestDelayedMethodsAreOfferedWhereTheSeatsAreKept(t *testing.T) {
	const day = 24 * time.Hour
	double := newDouble(t)
	var form url.Values
	p := open(t, double, func(o *stripe.Options) {
		o.DelayedMethods = []string{"sepa_debit", "boleto", "oxxo"}
		o.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			form, _ = url.ParseQuery(string(body))
			r.Body = io.NopCloser(bytes.NewReader(body))
			return double.Client().Transport.RoundTrip(r)
		})}
	})
	for name, tt := range map[string]struct {
		kept    time.Duration
		offered []string
		boleto  string
		oxxo    string
	}{
		"the seats are not kept":       {0, []string{"card"}, "", ""},
		"for a moment":                 {time.Hour, []string{"card", "sepa_debit", "boleto", "oxxo"}, "1", "1"},
		"for three days and some more": {3*day + time.Hour, []string{"card", "sepa_debit", "boleto", "oxxo"}, "3", "3"},
		"longer than a voucher lasts":  {30 * day, []string{"card", "sepa_debit", "boleto", "oxxo"}, "30", "7"},
	} {
		t.Run(name, func(t *testing.T) {
			o := opening(byte(len(name)))
			o.Processing = tt.kept
			mustOpen(t, p, o)
			offered := slices.Concat(form["payment_method_types[0]"], form["payment_method_types[1]"], form["payment_method_types[2]"], form["payment_method_types[3]"])
			boleto, oxxo := form.Get("payment_method_options[boleto][expires_after_days]"), form.Get("payment_method_options[oxxo][expires_after_days]")
			if !slices.Equal(offered, tt.offered) || boleto != tt.boleto || oxxo != tt.oxxo {
				t.Errorf("offered %v, a boleto for %q days, an OXXO for %q; want %v, %q, %q", offered, boleto, oxxo, tt.offered, tt.boleto, tt.oxxo)
			}
		})
	}
	o := opening(99)
	o.Processing, o.Authorize = day, true
	if _, err := p.Open(t.Context(), o); domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("a session that authorises first and is delayed: %v", err)
	}
	var delayer payments.Delayer = open(t, double, nil)
	if delayer.Delays() || !p.Delays() {
		t.Errorf("without delayed methods it delays: %t; with some: %t", delayer.Delays(), p.Delays())
	}
}

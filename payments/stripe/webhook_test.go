package stripe_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v84"

	"boxoffice/domain"
	adapter "boxoffice/payments/stripe"
	"boxoffice/payments/stripe/stripetest"
)

const order = "0197a3b4000000000000000000000f00"

// paidEvent is a webhook's body, with parts that tests replace.
func paidEvent(replace ...string) []byte {
	body := fmt.Sprintf(`{"id":"evt_1","object":"event","type":"checkout.session.completed","api_version":%q,"livemode":false,
		"data":{"object":{"id":"cs_test_1","object":"checkout.session","status":"complete","payment_status":"paid","currency":"eur","amount_total":6500,
		"payment_intent":"pi_1","metadata":{"boxoffice.shop":"tickets.example","boxoffice.order":%q}}}}`, stripe.APIVersion, order)
	return []byte(strings.NewReplacer(replace...).Replace(body))
}

// failedEvent is the webhook of an attempt that failed.
func failedEvent(replace ...string) []byte {
	body := fmt.Sprintf(`{"id":"evt_1","object":"event","type":"payment_intent.payment_failed","api_version":%q,"livemode":false,
		"data":{"object":{"id":"pi_1","object":"payment_intent","status":"requires_payment_method","currency":"eur","amount":6500,
		"metadata":{"boxoffice.shop":"tickets.example","boxoffice.order":%q}}}}`, stripe.APIVersion, order)
	return []byte(strings.NewReplacer(replace...).Replace(body))
}

// reversedEvent is the webhook of a dispute or a refund.
func reversedEvent(kind, id string) []byte {
	return fmt.Appendf(nil, `{"id":"evt_1","object":"event","type":%q,"api_version":%q,"livemode":false,"data":{"object":{"id":%q,"metadata":{}}}}`,
		kind, stripe.APIVersion, id)
}

// codeOf is empty without an error.
func codeOf(err error) domain.Code {
	if err == nil {
		return ""
	}
	return domain.CodeOf(err)
}

func TestEvents(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	for name, tt := range map[string]struct {
		body []byte
		want string // the event's type, or the error's code
	}{
		"paid":                              {paidEvent(), "payment.succeeded"},
		"paid by a method that took days":   {paidEvent("session.completed", "session.async_payment_succeeded"), "payment.succeeded"},
		"a transfer that bounced":           {paidEvent("session.completed", "session.async_payment_failed", `"paid"`, `"unpaid"`), "payment.failed"},
		"complete, and not yet paid":        {paidEvent(`"paid"`, `"unpaid"`), "checkout.session.completed"},
		"expired":                           {paidEvent("session.completed", "session.expired"), "checkout.session.expired"},
		"a dispute that Stripe has not":     {reversedEvent("charge.dispute.created", "du_1"), "unknown"},
		"a refund that Stripe has not":      {reversedEvent("refund.created", "re_1"), "unknown"},
		"a dispute without an id":           {reversedEvent("charge.dispute.closed", ""), "invalid"},
		"a dispute's funds":                 {reversedEvent("charge.dispute.funds_withdrawn", "du_1"), "charge.dispute.funds_withdrawn"},
		"a refund that changed":             {reversedEvent("refund.updated", "re_1"), "refund.updated"},
		"declined, of no session":           {failedEvent(), "unknown"},
		"declined, of another shop":         {failedEvent("tickets.example", "other.example"), "other_shop"},
		"declined, of an impossible order":  {failedEvent(order, "42"), "invalid"},
		"declined, with no payment":         {failedEvent(`"pi_1"`, `""`), "invalid"},
		"declined, with a list":             {failedEvent(`"object":{"id":"pi_1"`, `"object":[],"x":{"id":"pi_1"`), "invalid"},
		"of another type":                   {paidEvent("checkout.session.completed", "charge.updated"), "charge.updated"},
		"of another shop":                   {paidEvent("tickets.example", "other.example"), "other_shop"},
		"of another program in the account": {paidEvent(`"boxoffice.shop":"tickets.example",`, ""), "other_shop"},
		"of a connected account":            {paidEvent(`"object":"event"`, `"object":"event","account":"acct_1"`), "checkout.session.completed"},
		"live, with a test key":             {paidEvent(`"livemode":false`, `"livemode":true`), "invalid"},
		"of an older API":                   {paidEvent(stripe.APIVersion, "2020-08-27"), "invalid"},
		"of a later month of the release":   {paidEvent(stripe.APIVersion, "2027-01-01."+stripe.APIMajorVersion), "payment.succeeded"},
		"of an order that cannot be":        {paidEvent(order, "42"), "invalid"},
		"without a payment":                 {paidEvent(`"pi_1"`, "null"), "invalid"},
		"with a session that is a list":     {paidEvent(`"object":{"id":"cs_test_1"`, `"object":[],"x":{"id":"cs_test_1"`), "invalid"},
		"without data":                      {[]byte(`{"id":"evt_1","type":"checkout.session.completed"}`), "invalid"},
		"not JSON":                          {[]byte(`id=evt_1`), "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			hook := double.Signed(tt.body)
			event, err := p.Event(t.Context(), hook.Header, hook.Body)
			if got := string(event.Type) + string(codeOf(err)); got != tt.want {
				t.Fatalf("it reads %+v, %v; want %s", event, err, tt.want)
			}
			if event.Type == domain.PaymentSucceeded && (event.Payment != "pi_1" || event.AmountMinor != 6500 || event.Currency != "EUR" || event.Order.String() != order) {
				t.Errorf("it reads %+v", event)
			}
		})
	}
}

func TestSignatures(t *testing.T) {
	double := newDouble(t)
	now := time.Now().Truncate(time.Second)
	for name, tt := range map[string]struct {
		signedAt time.Time
		secrets  []string
		want     domain.Code
	}{
		"now":                                 {now, []string{stripetest.WebhookSecret}, ""},
		"just in time":                        {now.Add(-5 * time.Minute), []string{stripetest.WebhookSecret}, ""},
		"too old":                             {now.Add(-5*time.Minute - time.Second), []string{stripetest.WebhookSecret}, domain.CodeForged},
		"from the future":                     {now.Add(5*time.Minute + time.Second), []string{stripetest.WebhookSecret}, domain.CodeForged},
		"a secret that comes, and this":       {now, []string{"whsec_theNextOne00000000", stripetest.WebhookSecret}, ""},
		"this, and one that went":             {now, []string{stripetest.WebhookSecret, "whsec_theLastOne00000000"}, ""},
		"another secret":                      {now, []string{"whsec_theNextOne00000000"}, domain.CodeForged},
		"too old, with one that went as well": {now.Add(-time.Hour), []string{"whsec_theLastOne00000000", stripetest.WebhookSecret}, domain.CodeForged},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, double, func(o *adapter.Options) { o.WebhookSecrets, o.Now = tt.secrets, func() time.Time { return now } })
			hook := double.SignedAt(tt.signedAt, paidEvent())
			if _, err := p.Event(t.Context(), hook.Header, hook.Body); codeOf(err) != tt.want {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// Whatever comes, the adapter answers, and nothing without a signature is believed.
func FuzzEvent(f *testing.F) {
	double := stripetest.New()
	f.Cleanup(double.Close)
	p, err := adapter.New(adapter.Options{
		Key: stripetest.Key, WebhookSecrets: []string{stripetest.WebhookSecret}, Shop: "tickets.example", URL: double.URL,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(paidEvent(), "t=1,v1=00")
	f.Add(failedEvent(), "t=1,v1=00")
	f.Add([]byte(`{"type":"checkout.session.completed","data":{"object":{}}}`), "")
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		header := http.Header{"Stripe-Signature": {signature}}
		if _, err := p.Event(context.Background(), header, body); domain.CodeOf(err) != domain.CodeForged && domain.CodeOf(err) != domain.CodeTooLarge {
			t.Fatalf("signature %q was taken: %v", signature, err)
		}
		hook := double.Signed(body)
		event, err := p.Event(context.Background(), hook.Header, hook.Body)
		event.Session, event.Payment = domain.QualifiedID(adapter.Name, event.Session), domain.QualifiedID(adapter.Name, event.Payment)
		if err == nil && event.Type.Known() && !event.Usable() {
			t.Fatalf("%q reads %+v", body, event)
		}
	})
}

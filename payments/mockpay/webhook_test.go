package mockpay_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// The fixture: one valid webhook. Its signature was made with openssl, so that
// the test does not believe the code that it tests.
const (
	fixtureSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret      = "whsec_bm90IHRoZSBvbmUgdGhhdCB3ZSBzaGFyZSBoZXJl"
	fixtureID        = "evt_1"
	fixtureTime      = 1760000000
	fixtureTimestamp = "1760000000"
	fixtureSignature = "v1,M8fLKQMSL5bC70rOwE9oYbxNaJgZaR4pwDaTnVGb1D4="
	fixtureOrder     = "0197a3b4c5d6aabbccddeeff00112200"
	fixtureBody      = `{"type":"payment.succeeded","data":{"session":"ps_0197a3b4c5d6aabbccddeeff00112200","order":"0197a3b4c5d6aabbccddeeff00112200","amount":6500,"currency":"EUR","payment":"pay_1"}}`
)

func secrets(t testing.TB, text string) mockpay.Secrets {
	t.Helper()
	s, err := mockpay.ParseSecrets(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func order(t testing.TB) domain.OrderID {
	t.Helper()
	id, err := domain.ParseOrderID(fixtureOrder)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func verifier(t testing.TB, secretsText string, now time.Time) *mockpay.Verifier {
	t.Helper()
	v, err := mockpay.NewVerifier(secrets(t, secretsText), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func fixtureHeader() http.Header {
	return http.Header{
		"Webhook-Id":        {fixtureID},
		"Webhook-Timestamp": {fixtureTimestamp},
		"Webhook-Signature": {fixtureSignature},
	}
}

func TestVerifyReadsTheFixture(t *testing.T) {
	event, err := verifier(t, fixtureSecret, time.Unix(fixtureTime, 0)).Verify(fixtureHeader(), []byte(fixtureBody))
	if err != nil {
		t.Fatal(err)
	}
	if want := (domain.PaymentEvent{
		ID: "evt_1", Type: domain.PaymentSucceeded, Session: "ps_" + fixtureOrder, Order: order(t),
		Payment: "pay_1", AmountMinor: 6500, Currency: "EUR",
	}); event != want {
		t.Fatalf("event is %+v, want %+v", event, want)
	}
}

func TestVerifyRefusesEveryMutationOfTheFixture(t *testing.T) {
	for _, row := range []struct {
		name   string
		mutate func(h http.Header, body *string)
	}{
		{"no id", func(h http.Header, _ *string) { h.Del("webhook-id") }},
		{"no timestamp", func(h http.Header, _ *string) { h.Del("webhook-timestamp") }},
		{"no signature", func(h http.Header, _ *string) { h.Del("webhook-signature") }},
		{"empty signature", func(h http.Header, _ *string) { h.Set("webhook-signature", "") }},
		{"two ids", func(h http.Header, _ *string) { h.Add("webhook-id", "evt_2") }},
		{"two timestamps", func(h http.Header, _ *string) { h.Add("webhook-timestamp", fixtureTimestamp) }},
		{"another id", func(h http.Header, _ *string) { h.Set("webhook-id", "evt_2") }},
		{"another timestamp", func(h http.Header, _ *string) { h.Set("webhook-timestamp", "1760000001") }},
		{"a timestamp with a plus", func(h http.Header, _ *string) { h.Set("webhook-timestamp", "+1760000000") }},
		{"a timestamp with a zero", func(h http.Header, _ *string) { h.Set("webhook-timestamp", "01760000000") }},
		{"a timestamp with a space", func(h http.Header, _ *string) { h.Set("webhook-timestamp", " 1760000000") }},
		{"a timestamp that is no number", func(h http.Header, _ *string) { h.Set("webhook-timestamp", "yesterday") }},
		{"the smallest timestamp", func(h http.Header, _ *string) { h.Set("webhook-timestamp", "-9223372036854775808") }},
		{"the largest timestamp", func(h http.Header, _ *string) { h.Set("webhook-timestamp", "9223372036854775807") }},
		{"a flipped bit in the signature", func(h http.Header, _ *string) { h.Set("webhook-signature", flipLetter(fixtureSignature, 10)) }},
		{"half a signature", func(h http.Header, _ *string) { h.Set("webhook-signature", fixtureSignature[:20]) }},
		{"the signature of another version", func(h http.Header, _ *string) {
			h.Set("webhook-signature", strings.Replace(fixtureSignature, "v1,", "v1a,", 1))
		}},
		{"the signature without a version", func(h http.Header, _ *string) {
			h.Set("webhook-signature", strings.TrimPrefix(fixtureSignature, "v1,"))
		}},
		{"an endless list of signatures", func(h http.Header, _ *string) {
			h.Set("webhook-signature", strings.Repeat("v1,x ", 1000)+fixtureSignature)
		}},
		{"another amount", func(_ http.Header, b *string) { *b = strings.Replace(*b, "6500", "1", 1) }},
		{"another order", func(_ http.Header, b *string) { *b = strings.ReplaceAll(*b, "0197", "0198") }},
		{"a space more in the body", func(_ http.Header, b *string) { *b += " " }},
		{"a body cut short", func(_ http.Header, b *string) { *b = (*b)[:len(*b)-1] }},
		{"no body", func(_ http.Header, b *string) { *b = "" }},
		{"id and body shifted across the full stop", func(h http.Header, b *string) {
			h.Set("webhook-id", "evt_1.1760000000")
			*b = strings.TrimPrefix(*b, "{")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			header, body := fixtureHeader(), fixtureBody
			row.mutate(header, &body)
			_, err := verifier(t, fixtureSecret, time.Unix(fixtureTime, 0)).Verify(header, []byte(body))
			if got := domain.CodeOf(err); got != domain.CodeForged {
				t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, domain.CodeForged, err)
			}
		})
	}
}

func flipLetter(s string, at int) string {
	b := []byte(s)
	b[at] ^= 1
	return string(b)
}

func TestVerifyToleratesFiveMinutesInBothDirections(t *testing.T) {
	for _, row := range []struct {
		name     string
		now      int64 // our clock, seconds after the webhook's
		accepted bool
	}{
		{"in time", 0, true},
		{"five minutes late", 300, true},
		{"a second later", 301, false},
		{"five minutes early", -300, true},
		{"a second earlier", -301, false},
		{"years late", 1e9, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := verifier(t, fixtureSecret, time.Unix(fixtureTime+row.now, 0)).Verify(fixtureHeader(), []byte(fixtureBody))
			if row.accepted {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				if got := domain.CodeOf(err); got != domain.CodeForged {
					t.Fatalf("domain.CodeOf(err) is %q, want %q", got, domain.CodeForged)
				}
			}
		})
	}
}

func TestVerifyDuringARotation(t *testing.T) {
	for _, row := range []struct {
		name, signed, accepted string
		ok                     bool
	}{
		{"the same secret", fixtureSecret, fixtureSecret, true},
		{"the receiver has rotated, the sender has not", fixtureSecret, otherSecret + " " + fixtureSecret, true},
		{"the sender has rotated, the receiver has not", otherSecret + "," + fixtureSecret, fixtureSecret, true},
		{"both are done", otherSecret, otherSecret, true},
		{"no secret in common", fixtureSecret, otherSecret, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			signer, err := mockpay.NewSigner(secrets(t, row.signed))
			if err != nil {
				t.Fatal(err)
			}
			header, err := signer.Headers(fixtureID, time.Unix(fixtureTime, 0), []byte(fixtureBody))
			if err != nil {
				t.Fatal(err)
			}
			_, err = verifier(t, row.accepted, time.Unix(fixtureTime, 0)).Verify(header, []byte(fixtureBody))
			if row.ok {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				if got := domain.CodeOf(err); got != domain.CodeForged {
					t.Fatalf("domain.CodeOf(err) is %q, want %q", got, domain.CodeForged)
				}
			}
		})
	}
}

func TestSignerMakesTheFixture(t *testing.T) {
	signer, err := mockpay.NewSigner(secrets(t, fixtureSecret))
	if err != nil {
		t.Fatal(err)
	}
	header, err := signer.Headers(fixtureID, time.Unix(fixtureTime, 0), []byte(fixtureBody))
	if err != nil {
		t.Fatal(err)
	}
	if want := fixtureHeader(); !reflect.DeepEqual(header, want) {
		t.Fatalf("header is %v, want %v", header, want)
	}
}

// sign makes a correctly signed webhook of any content.
func sign(t testing.TB, id string, body []byte) http.Header {
	t.Helper()
	signer, err := mockpay.NewSigner(secrets(t, fixtureSecret))
	if err != nil {
		t.Fatal(err)
	}
	header, err := signer.Headers(id, time.Unix(fixtureTime, 0), body)
	if err != nil {
		t.Fatal(err)
	}
	return header
}

func TestVerifyRefusesSignedNonsense(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(fixtureBody, old) {
			t.Fatalf("no %q in %s", old, fixtureBody)
		}
		return strings.ReplaceAll(fixtureBody, old, new)
	}
	for _, row := range []struct {
		name, id, body string
		code           domain.Code
		field          string
	}{
		{"not JSON", fixtureID, "payment.succeeded", domain.CodeInvalid, "body"},
		{"two values", fixtureID, fixtureBody + fixtureBody, domain.CodeInvalid, "body"},
		{"a list", fixtureID, "[]", domain.CodeInvalid, "body"},
		{"a member twice", fixtureID, replace(`"amount":6500`, `"amount":1,"amount":6500`), domain.CodeInvalid, "body"},
		{"a member of another case", fixtureID, replace(`"amount"`, `"Amount"`), domain.CodeInvalid, "data.amount"},
		{"a member that only folds", fixtureID, replace(`"session"`, `"\u017fession"`), domain.CodeInvalid, "data.session"},
		{"not UTF-8", fixtureID, replace("pay_1", "pay_\xff"), domain.CodeInvalid, "body"},
		{"half a surrogate pair", fixtureID, replace("pay_1", `pay_\ud800`), domain.CodeInvalid, "body"},
		{"null", fixtureID, "null", domain.CodeInvalid, "type"},
		{"no data", fixtureID, `{"type":"payment.succeeded"}`, domain.CodeInvalid, "data.order"},
		{"no type", fixtureID, replace("payment.succeeded", ""), domain.CodeInvalid, "type"},
		{"session of another order", fixtureID, replace("ps_0197", "ps_0198"), domain.CodeInvalid, "data.session"},
		{"no session", fixtureID, replace("ps_"+fixtureOrder, ""), domain.CodeInvalid, "data.session"},
		{"no order", fixtureID, replace(`"order":"`+fixtureOrder+`",`, ""), domain.CodeInvalid, "data.order"},
		{"endless order", fixtureID, replace(`"order":"`, `"order":"`+strings.Repeat("0", 99)), domain.CodeInvalid, "data.order"},
		{"an order id that nobody made", fixtureID, replace(fixtureOrder, "0197a3b4c5d6aabbccddeeff00112233"), domain.CodeNotFound, ""},
		{"an invalid order id", fixtureID, replace(fixtureOrder, "order-1"), domain.CodeNotFound, ""},
		{"negative amount", fixtureID, replace("6500", "-1"), domain.CodeInvalid, "data.amount"},
		{"no amount", fixtureID, replace(`"amount":6500,`, ""), domain.CodeInvalid, "data.amount"},
		{"amount with a fraction", fixtureID, replace("6500", "65.00"), domain.CodeInvalid, "body"},
		{"amount as text", fixtureID, replace("6500", `"6500"`), domain.CodeInvalid, "body"},
		{"amount beyond any", fixtureID, replace("6500", "1000000000000001"), domain.CodeInvalid, "data.amount"},
		{"amount beyond 64 bits", fixtureID, replace("6500", "9223372036854775808"), domain.CodeInvalid, "body"},
		{"no currency", fixtureID, replace(`"EUR"`, `""`), domain.CodeInvalid, "data.currency"},
		{"lower-case currency", fixtureID, replace(`"EUR"`, `"eur"`), domain.CodeInvalid, "data.currency"},
		{"payment with a slash", fixtureID, replace("pay_1", "pay/1"), domain.CodeInvalid, "data.payment"},
		{"payment too long", fixtureID, replace("pay_1", strings.Repeat("p", 129)), domain.CodeInvalid, "data.payment"},
		{"id too long", strings.Repeat("e", 129), fixtureBody, domain.CodeInvalid, "webhook-id"},
		{"id with a full stop", "evt.1", fixtureBody, domain.CodeInvalid, "webhook-id"},
		{"body too large", fixtureID, fixtureBody + strings.Repeat(" ", mockpay.WebhookBodyMaxBytes), domain.CodeTooLarge, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := verifier(t, fixtureSecret, time.Unix(fixtureTime, 0)).Verify(sign(t, row.id, []byte(row.body)), []byte(row.body))
			var definite *domain.Error
			if !errors.As(err, &definite) {
				t.Fatalf("the error is a %T, want a %T: %v", err, definite, err)
			}
			if definite.Code != row.code {
				t.Fatalf("definite.Code is %q, want %q: %v", definite.Code, row.code, err)
			}
			if definite.Field != row.field {
				t.Fatalf("definite.Field is %q, want %q: %v", definite.Field, row.field, err)
			}
		})
	}
}

// What a type that is not ours has for data is not ours to judge.
func TestVerifyKnowsAGenuineEventOfAnotherType(t *testing.T) {
	for _, body := range []string{
		`{"type":"ping"}`, `{"type":"payment.disputed","data":{"amount":"65.00","order":7}}`, `{"type":"ping","data":[1]}`, `{"type":"Payment.Succeeded","data":null}`,
	} {
		for _, id := range []string{fixtureID, "evt.1", strings.Repeat("e", 129)} { // nor is how the provider names it
			event, err := verifier(t, fixtureSecret, time.Unix(fixtureTime, 0)).Verify(sign(t, id, []byte(body)), []byte(body))
			if err != nil {
				t.Fatalf("%v: %v", body, err)
			}
			if event.Type.Known() {
				t.Fatalf("want false: event.Type.Known(): %v", body)
			}
			if want := (domain.PaymentEvent{ID: id, Type: event.Type}); event != want {
				t.Fatalf("event is %+v, want %+v: %v", event, want, body)
			}
		}
	}
}

func TestVerifyTakesTheSessionForAnAbsentPayment(t *testing.T) {
	body := strings.Replace(fixtureBody, `,"payment":"pay_1"`, "", 1)
	event, err := verifier(t, fixtureSecret, time.Unix(fixtureTime, 0)).Verify(sign(t, fixtureID, []byte(body)), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if event.Payment != ("ps_" + fixtureOrder) {
		t.Fatalf("event.Payment is %q, want %q", event.Payment, "ps_"+fixtureOrder)
	}
}

func TestVerifyIgnoresFieldsThatTheProviderMayAdd(t *testing.T) {
	body := strings.Replace(fixtureBody, `{"type"`, `{"timestamp":"2026-01-01T00:00:00Z","api_version":2,"type"`, 1)
	_, err := verifier(t, fixtureSecret, time.Unix(fixtureTime, 0)).Verify(sign(t, fixtureID, []byte(body)), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
}

func TestEncodeEventIsWhatVerifyReads(t *testing.T) {
	for _, kind := range []domain.PaymentEventType{domain.PaymentSucceeded, domain.PaymentFailed, domain.PaymentCanceled} {
		want := domain.PaymentEvent{
			ID: fixtureID, Type: kind, Session: "ps_" + fixtureOrder, Order: order(t),
			Payment: "pay_1", AmountMinor: 0, Currency: "EUR",
		}
		body, err := mockpay.EncodeEvent(want, time.Unix(fixtureTime, 0))
		if err != nil {
			t.Fatal(err)
		}
		got, err := verifier(t, fixtureSecret, time.Unix(fixtureTime, 0)).Verify(sign(t, fixtureID, body), body)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func FuzzVerifyUnsigned(f *testing.F) {
	f.Add(fixtureID, fixtureTimestamp, "v1,AAAA", []byte(fixtureBody))
	f.Add("", "-1", fixtureSignature+" v1,", []byte("{}"))
	v := verifier(f, fixtureSecret, time.Unix(fixtureTime, 0))
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		if id == fixtureID && timestamp == fixtureTimestamp && string(body) == fixtureBody {
			t.Skip("the fixture itself")
		}
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		if _, err := v.Verify(header, body); err == nil {
			t.Fatalf("accepted id %q, timestamp %q, signature %q, body %q", id, timestamp, signature, body)
		}
	})
}

func FuzzVerifySigned(f *testing.F) {
	f.Add(fixtureID, []byte(fixtureBody))
	f.Add("evt-2", []byte(`{"type":"payment.failed","data":{}}`))
	f.Add("", []byte(`{"data":null}`))
	f.Add("evt.3", []byte(`{"type":"ping"}`))
	signer, err := mockpay.NewSigner(secrets(f, fixtureSecret))
	if err != nil {
		f.Fatal(err)
	}
	v := verifier(f, fixtureSecret, time.Unix(fixtureTime, 0))
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		header, err := signer.Headers(id, time.Unix(fixtureTime, 0), body)
		if err != nil {
			t.Fatal(err)
		}
		event, err := v.Verify(header, body)
		if err != nil {
			if got := domain.CodeOf(err); got == domain.CodeInternal {
				t.Fatalf("domain.CodeOf(err) is %q", got)
			}
			return
		}
		if !event.Type.Known() {
			if want := (domain.PaymentEvent{ID: id, Type: event.Type}); event != want {
				t.Fatalf("event is %+v, want %+v", event, want)
			}
			return
		}
		// An accepted event is within bounds and survives encoding.
		if want := mockpay.SessionID(event.Order); event.Session != want {
			t.Fatalf("event.Session is %q, want %q", event.Session, want)
		}
		if !(event.AmountMinor >= 0 && event.AmountMinor <= mockpay.AmountMinorMax) {
			t.Fatal("want true: event.AmountMinor >= 0 && event.AmountMinor <= mockpay.AmountMinorMax")
		}
		if len(event.Payment) < 1 || len(event.Payment) > domain.PaymentIDMaxLen {
			t.Fatalf("a payment's id of %d bytes", len(event.Payment))
		}
		if !(len(event.ID) >= 1 && len(event.ID) <= domain.EventIDMaxLen) {
			t.Fatal("want true: len(event.ID) >= 1 && len(event.ID) <= domain.EventIDMaxLen")
		}
		if !event.Usable() {
			t.Fatal("want true: event.Usable(): what the HTTP contract accepts, a checkout can use")
		}
		again, err := mockpay.EncodeEvent(event, time.Unix(fixtureTime, 0))
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(again) {
			t.Fatal("want true: json.Valid(again)")
		}
		header, err = signer.Headers(id, time.Unix(fixtureTime, 0), again)
		if err != nil {
			t.Fatal(err)
		}
		read, err := v.Verify(header, again)
		if err != nil {
			t.Fatal(err)
		}
		if read != event {
			t.Fatalf("read is %+v, want %+v", read, event)
		}
	})
}

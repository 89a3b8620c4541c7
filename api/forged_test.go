package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/mockpay"
)

// realWebhooks puts the real verifier in front of the fakes.
func realWebhooks(t testing.TB) (*bundle, *mockpay.Signer) {
	t.Helper()
	secret := func(fill string) mockpay.Secrets {
		s, err := mockpay.ParseSecrets("whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, 32))))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	provider, err := mockpay.New(mockpay.Options{URL: "http://127.0.0.1:8090", Secrets: secret("a")})
	if err != nil {
		t.Fatal(err)
	}
	providers, err := payments.NewSet(provider)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := mockpay.NewSigner(secret("a"))
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(o *Options) { o.Providers = providers })
	// The fake records whatever reaches the Desk.
	b.world.payErr = errors.New("a forged event reached the Desk")
	return b, signer
}

func eventOf(t testing.TB, id domain.OrderID) []byte {
	body, err := mockpay.EncodeEvent(domain.PaymentEvent{
		Type: domain.PaymentSucceeded, Order: id, Session: "ps_" + id.String(), AmountMinor: 13000, Currency: "EUR",
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func sendWebhook(b *bundle, header http.Header, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/v1/webhooks/mockpay", strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	b.api.Public().ServeHTTP(w, r)
	return w
}

// A flood of forged webhooks costs a MAC each: it reaches neither the Desk
// (Temporal, the database) nor the ledger, and does not fill the log.
func TestAFloodOfForgedWebhooks(t *testing.T) {
	b, signer := realWebhooks(t)
	id, _ := b.held(testKey)
	body := eventOf(t, id)
	good, err := signer.Headers("evt_1", time.Now(), body)
	if err != nil {
		t.Fatal(err)
	}
	b.log.Reset()
	began := time.Now()
	reads := b.world.SaleReads + b.world.StockReads
	forge := []func(http.Header) (http.Header, string){
		func(h http.Header) (http.Header, string) { h.Del("Webhook-Signature"); return h, string(body) },
		func(h http.Header) (http.Header, string) {
			h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
			return h, string(body)
		},
		func(h http.Header) (http.Header, string) { h.Set("Webhook-Id", "evt_2"); return h, string(body) },
		func(h http.Header) (http.Header, string) {
			h.Set("Webhook-Timestamp", strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10))
			return h, string(body)
		},
		func(h http.Header) (http.Header, string) { return h, strings.Replace(string(body), "13000", "1", 1) },
		func(h http.Header) (http.Header, string) { return h, strings.Repeat("a", WebhookBodyBytesMax) },
	}
	const flood, senders = 3000, 8
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for n := range flood / senders {
				header, forged := forge[(n+sender)%len(forge)](good.Clone())
				if w := sendWebhook(b, header, forged); w.Code != http.StatusUnauthorized {
					t.Errorf("forged webhook %d: %d %s", n, w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
	if got := b.world.SaleReads + b.world.StockReads; got != reads {
		t.Errorf("%d reads for forged webhooks", got-reads)
	}
	seconds := int(time.Since(began)/time.Second) + 2 //nolint:forbidigo // what the bound allows in the time that it took; begun ones count
	if lines := strings.Count(b.log.String(), `"code":"forged"`); lines > seconds*logLinesMax {
		t.Errorf("%d log lines in %d seconds for %d forged webhooks", lines, seconds, flood)
	}
	if strings.Contains(b.log.String(), "reached the Desk") {
		t.Error("a forged event reached the Desk")
	}
	b.world.payErr = nil
	if w := sendWebhook(b, good, string(body)); w.Code != http.StatusOK {
		t.Errorf("the genuine one: %d %s", w.Code, w.Body)
	}
}

// BenchmarkForgedWebhook is what a forged webhook costs, routing and answer
// included.
func BenchmarkForgedWebhook(bench *testing.B) {
	b, signer := realWebhooks(bench)
	id, _ := b.held(testKey)
	body := eventOf(bench, id)
	header, err := signer.Headers("evt_1", time.Now(), body)
	if err != nil {
		bench.Fatal(err)
	}
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	for _, size := range []int{len(body), WebhookBodyBytesMax} {
		forged := string(body) + strings.Repeat(" ", size-len(body))
		bench.Run(fmt.Sprintf("%d bytes", size), func(bench *testing.B) {
			bench.ReportAllocs()
			for bench.Loop() {
				if w := sendWebhook(b, header, forged); w.Code != http.StatusUnauthorized {
					bench.Fatal(w.Code)
				}
			}
		})
	}
}

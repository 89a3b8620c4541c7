package mockpay

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/payments/mockpay"
)

// scrape reads what the handler shows to a Prometheus, which may know it by any name.
func scrape(t *testing.T, handler http.Handler) map[string]float64 {
	t.Helper()
	r := httptest.NewRequest("GET", "http://boxoffice:8090/metrics", nil)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics answers %d: %s", w.Code, w.Body)
	}
	shown := map[string]float64{}
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series, text, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if text == "" {
			series, text, _ = strings.Cut(series, " ")
		} else {
			series += "}"
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		shown[series] = value
	}
	return shown
}

func requireShown(t *testing.T, shown, want map[string]float64) {
	t.Helper()
	for series, value := range want {
		if got, ok := shown[series]; !ok || got != value {
			t.Errorf("%s is %v (shown: %t), want %v", series, got, ok, value)
		}
	}
}

// What happens to money is counted by what became of it.
func TestMetricsOfMoney(t *testing.T) {
	const problems, requests = "mockpay_http_problems_total", "mockpay_http_requests_total"
	refund := func(b *bundle, n int, amount string) {
		b.ask("POST", mockpay.RefundsPath, `{"payment":"`+b.link(n).Session()+`","amount":`+amount+`,"currency":"EUR","reason":"late"}`)
	}
	for name, test := range map[string]struct {
		act  func(*bundle)
		want map[string]float64
	}{
		"nothing yet": {func(*bundle) {}, map[string]float64{
			"mockpay_captures_total": 0, "mockpay_authorizations_total": 0, "mockpay_refunds_total": 0, "mockpay_disputes_total": 0,
			"mockpay_declines_total": 0, "mockpay_webhooks_undelivered": 0, "mockpay_webhooks_undelivered_oldest_seconds": 0,
			"mockpay_webhooks_wrongly_accepted_total":               0,
			`mockpay_webhook_attempts_total{result="acknowledged"}`: 0, `mockpay_webhook_attempts_total{result="refused"}`: 0,
			`mockpay_webhook_attempts_total{result="unanswered"}`: 0, `mockpay_webhooks_total{state="acknowledged"}`: 0,
			`mockpay_webhooks_total{state="abandoned"}`: 0, `mockpay_webhooks_total{state="lost"}`: 0,
		}},
		"paid": {func(b *bundle) { b.pay(b.link(1), mockpay.OutcomeSucceeded) }, map[string]float64{
			"mockpay_captures_total": 1, "mockpay_declines_total": 0, "mockpay_webhooks_undelivered": 1,
			requests + `{method="POST",route="/v1/sessions/{session}/pay",status="200"}`:                    1,
			`mockpay_http_request_duration_seconds_count{method="POST",route="/v1/sessions/{session}/pay"}`: 1,
		}},
		"declined twice": {func(b *bundle) {
			b.pay(b.link(1), mockpay.OutcomeDeclined)
			b.pay(b.link(1), mockpay.OutcomeDeclined)
		}, map[string]float64{"mockpay_captures_total": 0, "mockpay_declines_total": 2, "mockpay_webhooks_undelivered": 2}},
		"failed": {func(b *bundle) { b.pay(b.link(1), mockpay.OutcomeFailed) }, map[string]float64{
			"mockpay_captures_total": 0, "mockpay_declines_total": 0, "mockpay_webhooks_undelivered": 1,
		}},
		"authorised": {func(b *bundle) {
			link := b.link(1)
			link.Authorize = true
			b.pay(link, mockpay.OutcomeSucceeded)
		}, map[string]float64{"mockpay_captures_total": 0, "mockpay_authorizations_total": 1}},
		"refunded twice, once": {func(b *bundle) {
			b.pay(b.link(1), mockpay.OutcomeSucceeded)
			refund(b, 1, "6500")
			refund(b, 1, "6500")
		}, map[string]float64{
			"mockpay_captures_total": 1, "mockpay_refunds_total": 1,
			requests + `{method="POST",route="/v1/refunds",status="200"}`: 2,
		}},
		"refunds refused": {func(b *bundle) {
			b.pay(b.link(1), mockpay.OutcomeSucceeded)
			refund(b, 1, "6501")
			refund(b, 2, "6500")
		}, map[string]float64{
			"mockpay_refunds_total": 0,
			problems + `{code="refund_differs",method="POST",route="/v1/refunds"}`: 1,
			problems + `{code="not_found",method="POST",route="/v1/refunds"}`:      1,
			requests + `{method="POST",route="/v1/refunds",status="409"}`:          1,
		}},
		"disputed": {func(b *bundle) {
			b.pay(b.link(1), mockpay.OutcomeSucceeded)
			b.ask("POST", "/v1/sessions/"+b.link(1).Session()+"/dispute", `{"state":"open","reason":"fraudulent"}`)
		}, map[string]float64{"mockpay_disputes_total": 1}},
		"lost on purpose": {func(b *bundle) {
			b.misbehave(1, always(TrickLose))
			b.pay(b.link(1), mockpay.OutcomeSucceeded)
		}, map[string]float64{`mockpay_webhooks_total{state="lost"}`: 1, `mockpay_tricks_total{trick="lose"}`: 1, "mockpay_webhooks_undelivered": 0}},
		"the oldest waits for two minutes": {func(b *bundle) {
			b.pay(b.link(1), mockpay.OutcomeSucceeded)
			b.pass(time.Minute)
			b.pay(b.link(2), mockpay.OutcomeSucceeded)
			b.pass(time.Minute)
		}, map[string]float64{"mockpay_webhooks_undelivered": 2, "mockpay_webhooks_undelivered_oldest_seconds": 120}},
		"money after the next start": {func(b *bundle) {
			b.pay(b.link(1), mockpay.OutcomeSucceeded)
			refund(b, 1, "6500")
			b.reopen()
		}, map[string]float64{"mockpay_captures_total": 1, "mockpay_refunds_total": 1, "mockpay_webhooks_undelivered": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			test.act(b)
			requireShown(t, scrape(t, b.handler), test.want)
		})
	}
}

// What strangers put into a request is no label: it would grow without bound.
func TestMetricsHaveNothingOfAPath(t *testing.T) {
	b := setup(t)
	b.ask("GET", "/v1/sessions/ps_secret", "")
	b.ask("GET", "/secret", "")
	b.ask("SECRET", "/v1/refunds", "")
	b.ask("POST", "/metrics", "")
	stranger := httptest.NewRequest("GET", "http://secret.example/v1/captures", nil)
	b.handler.ServeHTTP(httptest.NewRecorder(), stranger)
	shown := scrape(t, b.handler)
	for series := range shown {
		if strings.Contains(strings.ToLower(series), "secret") {
			t.Errorf("%s", series)
		}
	}
	requireShown(t, shown, map[string]float64{
		`mockpay_http_requests_total{method="none",route="none",status="404"}`:                  2,
		`mockpay_http_requests_total{method="none",route="none",status="405"}`:                  1,
		`mockpay_http_requests_total{method="none",route="none",status="421"}`:                  1,
		`mockpay_http_requests_total{method="GET",route="/v1/sessions/{session}",status="404"}`: 1,
	})
}

// Attempts are counted by how they ended, and a webhook by what became of it.
func TestMetricsOfWebhooks(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(attempt int) Answer
		wait   time.Duration
		want   map[string]float64
	}{
		"acknowledged at once": {func(int) Answer { return Answer{HTTPStatus: 202} }, 0, map[string]float64{
			`mockpay_webhook_attempts_total{result="acknowledged"}`: 1, `mockpay_webhooks_total{state="acknowledged"}`: 1, "mockpay_webhooks_undelivered": 0,
			"mockpay_webhooks_undelivered_oldest_seconds": 0,
		}},
		"refused, no answer, broken off, then acknowledged": {func(attempt int) Answer {
			return []Answer{{HTTPStatus: 503}, {Err: errors.New("refused")}, {HTTPStatus: 200, Err: io.ErrUnexpectedEOF}, {HTTPStatus: 200}}[min(attempt, 4)-1]
		}, time.Minute, map[string]float64{
			`mockpay_webhook_attempts_total{result="refused"}`: 1, `mockpay_webhook_attempts_total{result="unanswered"}`: 2,
			`mockpay_webhook_attempts_total{result="acknowledged"}`: 1, `mockpay_webhooks_total{state="acknowledged"}`: 1,
		}},
		"abandoned": {func(int) Answer { return Answer{HTTPStatus: 500} }, 2 * deliveryWindow, map[string]float64{
			`mockpay_webhooks_total{state="abandoned"}`: 1, "mockpay_webhooks_undelivered": 0, `mockpay_webhook_attempts_total{result="acknowledged"}`: 0,
		}},
		"still tried after ten hours": {func(int) Answer { return Answer{HTTPStatus: 500} }, 10 * time.Hour, map[string]float64{
			"mockpay_webhooks_undelivered": 1, "mockpay_webhooks_undelivered_oldest_seconds": (10 * time.Hour).Seconds(),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startRound(t, t.TempDir(), func(m Message) Answer { return test.answer(m.Attempt) })
				defer r.stop()
				r.pay(1, mockpay.OutcomeSucceeded)
				time.Sleep(test.wait)
				synctest.Wait()
				handler := metricsHandler(r.bank)
				requireShown(t, scrape(t, handler), test.want)
			})
		})
	}
}

// A store that cannot be read is no store without webhooks.
func TestMetricsOfAStoreThatIsGone(t *testing.T) {
	b := setup(t)
	if err := b.bank.store.close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("/metrics answers %d, want 500", w.Code)
	}
}

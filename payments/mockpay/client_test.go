package mockpay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

const session = "ps_" + fixtureOrder

func captureJSON(payment string) string {
	return fmt.Sprintf(`{"payment":%q,"session":%q,"order":%q,"amount":6500,"currency":"EUR","captured_at":"2026-01-02T03:04:05Z"}`, payment, session, fixtureOrder)
}

func captured(t *testing.T) domain.Capture {
	return domain.Capture{
		Payment: "pay_1", Session: session, Order: order(t), AmountMinor: 6500, Currency: "EUR",
		CapturedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// provider answers every request in one way and remembers the last one.
type provider struct {
	client *mockpay.Client
	method string
	path   string
	body   string
}

func answering(t *testing.T, status int, contentType, body string) *provider {
	t.Helper()
	p := &provider{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		p.method, p.path, p.body = r.Method, r.URL.RequestURI(), string(raw)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	p.client = client(t, server.URL)
	return p
}

func client(t *testing.T, baseURL string) *mockpay.Client {
	t.Helper()
	c, err := mockpay.NewClient(baseURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func problemBody(status int, code string) string {
	return fmt.Sprintf(`{"type":"about:blank","title":"x","status":%d,"code":%q,"detail":"why"}`, status, code)
}

func TestClientExpire(t *testing.T) {
	t.Run("expired", func(t *testing.T) {
		p := answering(t, 200, "application/json", `{"status":"expired"}`)
		outcome, err := p.client.Expire(t.Context(), order(t))
		if err != nil {
			t.Fatal(err)
		}
		if want := (domain.ExpireOutcome{}); !reflect.DeepEqual(outcome, want) {
			t.Fatalf("outcome is %+v, want %+v", outcome, want)
		}
		if (p.method + " " + p.path) != ("POST /v1/sessions/" + session + "/expire") {
			t.Fatalf(`p.method+" "+p.path is %q, want %q`, p.method+" "+p.path, "POST /v1/sessions/"+session+"/expire")
		}
	})
	t.Run("captured", func(t *testing.T) {
		p := answering(t, 200, "application/json", `{"status":"captured","capture":`+captureJSON("pay_1")+`}`)
		outcome, err := p.client.Expire(t.Context(), order(t))
		if err != nil {
			t.Fatal(err)
		}
		if want := (domain.ExpireOutcome{Captured: true, Capture: captured(t)}); !reflect.DeepEqual(outcome, want) {
			t.Fatalf("outcome is %+v, want %+v", outcome, want)
		}
	})
}

func TestClientNeverBelievesNonsense(t *testing.T) {
	other := strings.ReplaceAll(captureJSON("pay_1"), "0197", "0198")
	for _, row := range []struct{ name, body string }{
		{"not JSON", "<html>"},
		{"empty", ""},
		{"no status", "{}"},
		{"an open session", `{"status":"open"}`},
		{"captured without the capture", `{"status":"captured"}`},
		{"the capture of another session", `{"status":"captured","capture":` + other + `}`},
		{"a capture without a payment", `{"status":"captured","capture":` + captureJSON("") + `}`},
		{"a negative capture", `{"status":"captured","capture":` + strings.Replace(captureJSON("p"), "6500", "-1", 1) + `}`},
		{"an endless answer", `{"status":"expired","x":"` + strings.Repeat("x", 5<<20) + `"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := answering(t, 200, "application/json", row.body)
			_, err := p.client.Expire(t.Context(), order(t))
			if !domain.IsUnknown(err) {
				t.Fatalf("want true: domain.IsUnknown(err): %v", err)
			}
		})
	}
}

func TestClientTellsDefiniteFromUnknown(t *testing.T) {
	for _, row := range []struct {
		name        string
		status      int
		contentType string
		body        string
		code        domain.Code
	}{
		{"not found", 404, mockpay.ProblemContentType, problemBody(404, "not_found"), domain.CodeNotFound},
		{"conflict", 409, mockpay.ProblemContentType, problemBody(409, "refund_differs"), domain.CodeInvalid},
		{"unprocessable", 422, mockpay.ProblemContentType + "; charset=utf-8", problemBody(422, "invalid"), domain.CodeInvalid},
		{"unauthorized", 401, mockpay.ProblemContentType, problemBody(401, "unauthorized"), domain.CodeUnauthorized},
		{"timed out", 408, mockpay.ProblemContentType, problemBody(408, "timeout"), domain.CodeUnknown},
		{"too many", 429, mockpay.ProblemContentType, problemBody(429, "rate_limited"), domain.CodeUnknown},
		{"internal", 500, mockpay.ProblemContentType, problemBody(500, "internal"), domain.CodeUnknown},
		{"overloaded", 503, mockpay.ProblemContentType, problemBody(503, "overloaded"), domain.CodeUnknown},
		{"a redirect", 302, "text/html", "", domain.CodeUnknown},
		{"a 404 of somebody else", 404, "text/plain", "404 page not found", domain.CodeUnknown},
		{"a 404 in plain JSON", 404, "application/json", problemBody(404, "not_found"), domain.CodeUnknown},
		{"a problem without a code", 404, mockpay.ProblemContentType, `{"status":404}`, domain.CodeUnknown},
		{"an endless problem", 404, mockpay.ProblemContentType, problemBody(404, strings.Repeat("x", 20<<10)), domain.CodeUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := answering(t, row.status, row.contentType, row.body)
			err := p.client.Refund(t.Context(), domain.Refund{Capture: captured(t), Reason: domain.RefundNoneLeft})
			if got := domain.CodeOf(err); got != row.code {
				t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, row.code, err)
			}
		})
	}
}

func TestClientUnknownWithoutAnAnswer(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		_, err := client(t, server.URL).Expire(t.Context(), order(t))
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %v", err)
		}
	})
	t.Run("the caller gives up", func(t *testing.T) {
		release := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		t.Cleanup(server.Close)
		t.Cleanup(func() { close(release) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := client(t, server.URL).Expire(ctx, order(t))
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %v", err)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the error is %v, want %v", err, context.DeadlineExceeded)
		}
	})
	t.Run("the connection breaks in the answer", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"status":`)
		}))
		t.Cleanup(server.Close)
		_, err := client(t, server.URL).Expire(t.Context(), order(t))
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %v", err)
		}
	})
}

func TestClientSessionAndCapture(t *testing.T) {
	open := `{"session":"` + session + `","order":"` + fixtureOrder + `","status":"open","amount":6500,"currency":"EUR"}`
	paid := `{"session":"` + session + `","order":"` + fixtureOrder + `","status":"captured","amount":6500,"currency":"EUR","capture":` + captureJSON("pay_1") + `}`
	t.Run("open", func(t *testing.T) {
		p := answering(t, 200, "application/json", open)
		s, err := p.client.Session(t.Context(), session)
		if err != nil {
			t.Fatal(err)
		}
		if want := (mockpay.Session{Session: session, Order: order(t), Status: mockpay.SessionOpen, AmountMinor: 6500, Currency: "EUR"}); !reflect.DeepEqual(s, want) {
			t.Fatalf("s is %+v, want %+v", s, want)
		}
		_, ok, err := p.client.Capture(t.Context(), session)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			t.Fatal("want false: ok")
		}
	})
	t.Run("captured", func(t *testing.T) {
		p := answering(t, 200, "application/json", paid)
		c, ok, err := p.client.Capture(t.Context(), session)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			t.Fatal("want true: ok")
		}
		if want := captured(t); !reflect.DeepEqual(c, want) {
			t.Fatalf("c is %+v, want %+v", c, want)
		}
	})
	t.Run("unknown to the provider", func(t *testing.T) {
		p := answering(t, 404, mockpay.ProblemContentType, problemBody(404, "not_found"))
		_, err := p.client.Session(t.Context(), session)
		if got := domain.CodeOf(err); got != domain.CodeNotFound {
			t.Fatalf("domain.CodeOf(err) is %q, want %q", got, domain.CodeNotFound)
		}
		_, ok, err := p.client.Capture(t.Context(), session)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			t.Fatal("want false: ok")
		}
	})
	t.Run("captured without a capture", func(t *testing.T) {
		p := answering(t, 200, "application/json", strings.Replace(open, "open", "captured", 1))
		_, _, err := p.client.Capture(t.Context(), session)
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %v", err)
		}
	})
	t.Run("the answer is for another session", func(t *testing.T) {
		p := answering(t, 200, "application/json", strings.ReplaceAll(open, "0197", "0198"))
		_, err := p.client.Session(t.Context(), session)
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %v", err)
		}
	})
}

func TestClientRefund(t *testing.T) {
	p := answering(t, 200, "application/json", `{"payment":"pay_1","amount":6500,"currency":"EUR"}`)
	if err := p.client.Refund(t.Context(), domain.Refund{Capture: captured(t), Reason: domain.RefundNoneLeft}); err != nil {
		t.Fatal(err)
	}
	if (p.method + " " + p.path) != "POST /v1/refunds" {
		t.Fatalf(`p.method+" "+p.path is %q, want "POST /v1/refunds"`, p.method+" "+p.path)
	}
	if want := `{"payment":"pay_1","amount":6500,"currency":"EUR","reason":"none_left"}`; !sameJSON(t, p.body, want) {
		t.Fatalf("asked with %s, want %s", p.body, want)
	}
}

func TestClientReadsListsToTheirEnd(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after := r.URL.Query().Get("after")
		asked = append(asked, r.URL.Path+"?"+after)
		page := mockpay.Page[json.RawMessage]{Items: []json.RawMessage{json.RawMessage(captureJSON("pay_" + after))}}
		if after == "" {
			page.Next = "7"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(page)
	}))
	t.Cleanup(server.Close)
	captures, err := collect(client(t, server.URL).Captures(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if len(captures) != 2 {
		t.Fatalf("%d in captures, want 2: %+v", len(captures), captures)
	}
	if captures[1].Payment != "pay_7" {
		t.Fatalf(`captures[1].Payment is %q, want "pay_7"`, captures[1].Payment)
	}
	if want := []string{"/v1/captures?", "/v1/captures?7"}; !reflect.DeepEqual(asked, want) {
		t.Fatalf("asked is %q, want %q", asked, want)
	}
}

func TestClientEndsListsThatDoNotAdvance(t *testing.T) {
	p := answering(t, 200, "application/json", `{"items":[{"payment":"pay_1"}],"next":"7"}`)
	refunds, err := collect(p.client.Refunds(t.Context()))
	if !domain.IsUnknown(err) {
		t.Fatalf("want true: domain.IsUnknown(err): %v", err)
	}
	if len(refunds) != 2 {
		t.Fatalf("%d in refunds, want 2: %+v", len(refunds), refunds)
	}
}

func TestClientListsDeliveriesOfAState(t *testing.T) {
	p := answering(t, 200, "application/json", `{"items":[]}`)
	deliveries, err := collect(p.client.Deliveries(t.Context(), mockpay.DeliveryAbandoned))
	if err != nil {
		t.Fatal(err)
	}
	if len(deliveries) != 0 {
		t.Fatalf("deliveries is %+v, want nothing", deliveries)
	}
	if !strings.Contains(p.path, "state=abandoned") {
		t.Fatalf("no %q in %s", "state=abandoned", p.path)
	}
}

// collect reads a list up to its error.
func collect[T any](list iter.Seq2[T, error]) (items []T, err error) {
	for item, err := range list {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatalf("%v: %s, %s", err, a, b)
	}
	return reflect.DeepEqual(x, y)
}

package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"boxoffice/domain"
)

// Whatever an endpoint does, an attempt ends in time and says what was wrong.
func TestBadEndpoints(t *testing.T) {
	answers := func(status int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	breakOff := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			conn.Close()
		}
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		isTLS   bool
		status  int
		error   string
		answer  string
		state   domain.WebhookState
		pause   time.Duration // at least
		disable string
	}{
		{name: "takes it", handler: answers(204, "", ""), status: 204, state: domain.WebhookDelivered},
		{name: "accepts it, then breaks off", handler: breakOff("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"), status: 200, state: domain.WebhookDelivered},
		{name: "slow", handler: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client leaves
			<-r.Context().Done()
		}, error: "no answer within", state: domain.WebhookPending},
		{name: "huge", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			for range 1 << 14 { // 64 MB, unless the client leaves
				if _, err := w.Write(make([]byte, 4<<10)); err != nil {
					return
				}
			}
		}, status: 500, error: "500 Internal Server Error", state: domain.WebhookPending},
		{name: "a huge header", handler: answers(200, "X: "+strings.Repeat("x", 64<<10), ""), error: "exceeded", state: domain.WebhookPending},
		{name: "HTML", handler: answers(404, "Content-Type: text/html", "<html>\n<script>alert(1)</script>\x00\x1b[31m"), status: 404, error: "404 Not Found",
			answer: "<html> <script>alert(1)</script> [31m", state: domain.WebhookPending},
		{name: "redirects to the metadata service", handler: answers(302, "Location: http://169.254.169.254/latest/meta-data/", ""), status: 302,
			error: "redirects are not followed", state: domain.WebhookPending},
		{name: "closes at once", handler: breakOff(""), error: "EOF", state: domain.WebhookPending},
		{name: "closes in the header", handler: breakOff("HTTP/1.1 200 OK\r\nContent-"), error: "transport connection broken", state: domain.WebhookPending},
		{name: "is no HTTP", handler: breakOff("220 mail.example ESMTP\r\n"), error: "malformed HTTP", state: domain.WebhookPending},
		{name: "an unknown certificate", handler: answers(200, "", ""), isTLS: true, error: "certificate", state: domain.WebhookPending},
		{name: "gone", handler: answers(410, "", "bye"), status: 410, error: "410 Gone", answer: "bye", state: domain.WebhookGivenUp, disable: whyGone},
		{name: "too many", handler: answers(429, "Retry-After: 3600", ""), status: 429, error: "429 Too Many Requests", state: domain.WebhookPending, pause: time.Hour},
		{name: "too many, for ever", handler: answers(429, "Retry-After: 99999999", ""), status: 429, error: "429", state: domain.WebhookPending, pause: 24 * time.Hour},
		{name: "too many, no number", handler: answers(429, "Retry-After: soon", ""), status: 429, error: "429", state: domain.WebhookPending},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(tt.handler)
			server.Config.ErrorLog = nil
			if tt.isTLS {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			store := newMemory(server.URL+"/hook?key=secret", time.Now, 1)
			d := newTestDeliverer(t, store, time.Now)
			d.client.Timeout = 2 * time.Second // "slow" must not hold up the test
			_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
			kept := store.kept()
			if len(kept) != 1 {
				t.Fatalf("%d attempts, want one", len(kept))
			}
			r := kept[0]
			if r.State != tt.state || r.Attempt.Status != tt.status || !strings.Contains(r.Attempt.Error, tt.error) || (tt.error == "") != (r.Attempt.Error == "") {
				t.Errorf("%s, %+v; want %s, %d %q", r.State, r.Attempt, tt.state, tt.status, tt.error)
			}
			if r.Attempt.Answer != tt.answer && tt.name != "huge" {
				t.Errorf("answer %q, want %q", r.Attempt.Answer, tt.answer)
			}
			if len(r.Attempt.Answer) > 4*excerptRunesMax || strings.Contains(r.Attempt.Error, "key=secret") {
				t.Errorf("kept too much: %q, %q", r.Attempt.Error, r.Attempt.Answer)
			}
			if r.PauseFor < tt.pause || tt.pause == 0 && r.PauseFor > 0 || r.Disable != tt.disable {
				t.Errorf("paused for %v, disabled %q; want %v, %q", r.PauseFor, r.Disable, tt.pause, tt.disable)
			}
			if tt.state == domain.WebhookPending && r.RetryIn <= 0 {
				t.Errorf("tried again in %v", r.RetryIn)
			}
		})
	}
}

// received is an endpoint that records its requests.
type received struct {
	mu       sync.Mutex
	headers  []http.Header
	bodies   [][]byte
	statuses []int // its answers, then 200
}

func (r *received) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers, r.bodies = append(r.headers, request.Header), append(r.bodies, body)
	if n := len(r.bodies); n <= len(r.statuses) {
		w.WriteHeader(r.statuses[n-1])
	}
}

func (r *received) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

func TestAWebhookIsSignedAsStandardWebhooksSays(t *testing.T) {
	var got received
	server := httptest.NewServer(&got)
	defer server.Close()
	store := newMemory(server.URL, time.Now, 1)
	d := newTestDeliverer(t, store, time.Now)
	_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	event := store.rows[0].Event
	if id := got.headers[0].Get(headerID); id != event.ID.String() {
		t.Errorf("webhook-id %q, want %q", id, event.ID)
	}
	if err := must(standardwebhooks.NewWebhook(secretA)).Verify(got.bodies[0], got.headers[0]); err != nil {
		t.Error(err)
	}
	if err := must(standardwebhooks.NewWebhook(secretB)).Verify(got.bodies[0], got.headers[0]); err == nil {
		t.Error("another secret verifies it too")
	}
	var envelope struct {
		ID, Type, Sale, Order string
		Schema                int
		Data                  struct{ N int }
	}
	if err := json.Unmarshal(got.bodies[0], &envelope); err != nil {
		t.Fatal(err)
	}
	if envelope.ID != event.ID.String() || envelope.Type != "order.paid" || envelope.Schema != 1 || envelope.Order != event.Order.String() || envelope.Data.N != 1 {
		t.Errorf("%s", got.bodies[0])
	}
}

// While a secret is rotated, either one verifies. Afterwards only the new one does.
func TestBothSecretsSignWhileOneIsRotated(t *testing.T) {
	var got received
	server := httptest.NewServer(&got)
	defer server.Close()
	store := newMemory(server.URL, time.Now, 1)
	store.endpoint.Secret, store.endpoint.PreviousSecret, store.endpoint.PreviousSigns = []byte(secretB), []byte(secretA), true
	d := newTestDeliverer(t, store, time.Now)
	_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	store.endpoint.PreviousSigns = false
	store.add(domain.OrderID{0: 8}, 8)
	_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	for i, want := range []map[string]bool{{secretA: true, secretB: true}, {secretA: false, secretB: true}} {
		for secret, verifies := range want {
			err := must(standardwebhooks.NewWebhook(secret)).Verify(got.bodies[i], got.headers[i])
			if (err == nil) != verifies {
				t.Errorf("delivery %d, %s: %v, want it to verify: %t", i, secret, err, verifies)
			}
		}
	}
}

// A later event of an order waits until the one before it is done. Events of other orders pass.
func TestEventsOfAnOrderComeInTheirOrder(t *testing.T) {
	got := received{statuses: []int{500}}
	server := httptest.NewServer(&got)
	defer server.Close()
	now := time.Now()
	store := newMemory(server.URL, func() time.Time { return now }, 1)
	store.add(domain.OrderID{0: 1}, 2) // of the same order
	d := newTestDeliverer(t, store, func() time.Time { return now })
	sent := func() (rows []int64) {
		for _, r := range store.kept() {
			rows = append(rows, r.Event.Row())
		}
		return rows
	}
	_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	store.add(domain.OrderID{0: 3}, 3) // of another
	round := must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	if want := []int64{1, 3}; !slices.Equal(sent(), want) || !round.Waits || round.Wait <= 0 {
		t.Fatalf("sent %v, %+v; want %v, and that something waits", sent(), round, want)
	}
	now = now.Add(time.Minute)
	_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	round = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	if want := []int64{1, 3, 1, 2}; !slices.Equal(sent(), want) || round.Waits {
		t.Fatalf("sent %v, %+v; want %v, and nothing left", sent(), round, want)
	}
}

// An endpoint that is down is not tried for every event that waits for it.
func TestAnEndpointThatIsDownIsPaused(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(503)
	}))
	defer server.Close()
	now := time.Now()
	store := newMemory(server.URL, func() time.Time { return now }, 100)
	d := newTestDeliverer(t, store, func() time.Time { return now })
	round := must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	if n := asked.Load(); n < failuresUntilPause || n > failuresUntilPause+atATime {
		t.Errorf("%d requests, want about %d", n, failuresUntilPause)
	}
	if !round.Waits || round.Wait <= 0 {
		t.Errorf("%+v, want a pause", round)
	}
	before := asked.Load()
	_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	if asked.Load() != before {
		t.Error("a request during the pause")
	}
}

// An attempt that we cancel ourselves is not the endpoint's failure.
func TestAWorkerThatStopsBlamesNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client leaves
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	store := newMemory(server.URL, time.Now, 1)
	_, err := newTestDeliverer(t, store, time.Now).DeliverWebhooks(ctx, store.endpoint.ID)
	if err == nil || len(store.kept()) != 0 {
		t.Fatalf("%v, stored %+v; want an error and nothing stored", err, store.kept())
	}
}

func TestANameThatDoesNotResolveSaysSo(t *testing.T) {
	got := reason(&net.DNSError{Err: "no such host", Name: "hooks.internal.example"})
	if got != "its name does not resolve: no such host" {
		t.Error(got)
	}
}

// onlyOpens is a Sealer that opens one secret, as if the key of the others was gone.
type onlyOpens struct {
	clear
	secret string
}

func (s onlyOpens) Open(_ string, sealed []byte) ([]byte, error) {
	if string(sealed) != s.secret {
		return nil, errors.New("no key for it")
	}
	return sealed, nil
}

func TestAPreviousSecretThatCannotBeOpenedStopsNothing(t *testing.T) {
	for _, tt := range []struct {
		name, opens string
		isSent      bool
	}{
		{"the previous one cannot be opened", secretB, true},
		{"the present one cannot be opened", secretA, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got received
			server := httptest.NewServer(&got)
			defer server.Close()
			store := newMemory(server.URL, time.Now, 1)
			store.endpoint.Secret, store.endpoint.PreviousSecret, store.endpoint.PreviousSigns = []byte(secretB), []byte(secretA), true
			d := newTestDeliverer(t, store, time.Now)
			d.sealer = onlyOpens{secret: tt.opens}
			_, err := d.DeliverWebhooks(t.Context(), store.endpoint.ID)
			if (err == nil) != tt.isSent || (got.count() == 1) != tt.isSent {
				t.Fatalf("%v, sent %d; want it sent: %t", err, got.count(), tt.isSent)
			}
			if !tt.isSent {
				return
			}
			if err := must(standardwebhooks.NewWebhook(secretB)).Verify(got.bodies[0], got.headers[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

// If an endpoint changes while an event is in flight, the round ends without an error, and
// the next one sends to the new URL.
func TestARoundEndsWhenItsEndpointChanges(t *testing.T) {
	var got received
	there := httptest.NewServer(&got)
	defer there.Close()
	var store *memory
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		store.mu.Lock()
		defer store.mu.Unlock()
		store.endpoint.URL = there.URL
	}))
	defer server.Close()
	store = newMemory(server.URL, time.Now, 50)
	d := newTestDeliverer(t, store, time.Now)
	round := must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	taken := len(store.kept())
	if !round.Waits || round.Wait != 0 || taken > 3*atATime {
		t.Errorf("%+v after %d attempts, want it to go on at once with the changed endpoint", round, taken)
	}
	_ = must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	if got.count() != 50-taken {
		t.Errorf("%d sent to the new URL, want the other %d", got.count(), 50-taken)
	}
}

// While buyers wait for the engine, a process sends a few events a second, to all endpoints together, and signals seldom.
func TestWebhooksYieldToBuyers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := func(busy bool) time.Duration {
			store := newMemory("http://127.0.0.1/", time.Now, 41)
			d := newTestDeliverer(t, store, time.Now)
			d.client = &http.Client{Transport: takesAll{}}
			d.busy = func() bool { return busy }
			began := time.Now()
			if round, err := d.DeliverWebhooks(t.Context(), "whe_TEST"); err != nil || round.Taken != 41 {
				t.Fatalf("%+v, %v", round, err)
			}
			return time.Since(began).Round(10 * time.Millisecond)
		}
		if quiet, busy := took(false), took(true); quiet != 0 || busy != 40*time.Second/busyPerSecond {
			t.Errorf("41 events took %v in quiet times and %v in a rush, want 0 and %v", quiet, busy, 40*time.Second/busyPerSecond)
		}
		var signals []time.Duration
		source := newMemory("", time.Now, 1)
		r := NewReader(pendingOf{queue{source}, []string{"whe_A"}}, &wakes{}, func() bool { return true })
		for range 3 {
			began := time.Now()
			if err := r.Handle(t.Context(), []domain.Event{source.rows[0].Event}); err != nil {
				t.Fatal(err)
			}
			signals = append(signals, time.Since(began))
		}
		if want := []time.Duration{0, wakeIntervalBusy, wakeIntervalBusy}; !slices.Equal(signals, want) {
			t.Errorf("signals after %v, want after %v", signals, want)
		}
	})
}

// takesAll is an endpoint without a network.
type takesAll struct{}

func (takesAll) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Header: http.Header{}}, nil
}

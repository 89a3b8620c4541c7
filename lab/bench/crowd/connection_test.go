package crowd

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAnswersAreRead(t *testing.T) {
	for name, test := range map[string]struct {
		text       string
		status     int
		body       string
		retryAfter time.Duration
		ends       bool
	}{
		"with a length":         {"HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\nretry-after: 5\r\n\r\nabc", 409, "abc", 5 * time.Second, false},
		"in chunks":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, "abc0123456789", 0, false},
		"without a body":        {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", 0, false},
		"an empty one":          {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 503, "", 0, true},
		"a date to retry after": {"HTTP/1.1 503 X\r\nContent-Length: 0\r\nRetry-After: Sun, 22 Nov 2026 21:00:00 GMT\r\n\r\n", 503, "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := &connection{reader: bufio.NewReader(strings.NewReader(test.text))}
			a, ends, err := c.readAnswer()
			if err != nil || a.status != test.status || string(a.body) != test.body || a.retryAfter != test.retryAfter || ends != test.ends {
				t.Errorf("%+v (%q), ends %t, %v", a, a.body, ends, err)
			}
		})
	}
}

func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":            "",
		"something else":     "SSH-2.0-OpenSSH\r\n\r\n",
		"half a header":      "HTTP/1.1 200 OK\r\nContent-Le",
		"half a body":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"half a chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
		"no length":          "HTTP/1.1 200 OK\r\n\r\nabc",
		"a length below 0":   "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"more than anything": "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
		"a line without end": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			c := &connection{reader: bufio.NewReaderSize(strings.NewReader(text), readerBytes)}
			if a, _, err := c.readAnswer(); err == nil {
				t.Errorf("read as %+v", a)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	a := answer{body: []byte(`{"type":"/problems/sold_out","status":409,"code":"sold_out","detail":"x","held":12}`)}
	if a.code() != "sold_out" || !a.someHeld() {
		t.Errorf("code %q, some held %t", a.code(), a.someHeld())
	}
	for _, body := range []string{`{"code":"sold_out","held":0}`, `{"code":"sold_out"}`, ``, `"held":`} {
		if a := (answer{body: []byte(body)}); a.someHeld() {
			t.Errorf("%s: some are held", body)
		}
	}
}

// What the crowd costs beside net/http's own client, a request, both ends
// included: the server is the same.
func BenchmarkConnection(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"type":"/problems/sold_out","title":"Sold out","status":409,"code":"sold_out","held":12}`)
	}))
	defer server.Close()
	t, err := parseTarget(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	key := strings.Repeat("k", keyLen)
	b.Run("lean", func(b *testing.B) {
		c := newConnection(t, time.Minute, (&net.Dialer{}).DialContext)
		defer c.close()
		template := newTemplate(t, "storm", "A")
		b.ReportAllocs()
		for b.Loop() {
			c.request = template.appendTo(c.request[:0], []byte(key), "")
			if a, err := c.do(context.Background(), c.request); err != nil || a.code() != "sold_out" {
				b.Fatal(a, err)
			}
		}
	})
	b.Run("net-http", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			body := strings.NewReader(`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"` + key + `@bench.example"}}`)
			request, _ := http.NewRequest(http.MethodPost, server.URL+"/v1/sales/storm/checkouts", body)
			request.Header.Set("Idempotency-Key", key)
			request.Header.Set("Content-Type", "application/json")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				b.Fatal(err)
			}
			content, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || !strings.Contains(string(content), "sold_out") {
				b.Fatal(string(content), err)
			}
		}
	})
}

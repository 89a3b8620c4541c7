package storefront

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"boxoffice/domain"
)

// A problem is what the pages read of the API's problems (RFC 9457). Its texts are for
// programmers; refusals.go has what visitors read.
type problem struct {
	Code      string `json:"code"`
	Held      int64  `json:"held"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Field string `json:"field"`
	} `json:"errors"`
	// Own is the order that this browser holds, if that is why it gets no other.
	Own *struct {
		Order domain.OrderID `json:"order"`
		Token string         `json:"token"`
	} `json:"own_order"`
}

// An answer is an answer of the API.
type answer struct {
	status     int
	retryAfter time.Duration // 0: no hint
	body       []byte
	problem    problem // zero for a 2xx
	cookies    []string
}

func (a answer) ok() bool { return a.status/100 == 2 }

// openEnded reports that nothing is decided: the same request may be repeated.
func (a answer) openEnded() bool {
	switch a.problem.Code {
	case "in_flight", "rate_limited", "request_timeout":
		return true
	default:
		return a.status >= http.StatusInternalServerError
	}
}

// A question is a request to the API. Header and Body are optional; Body becomes JSON.
type question struct {
	method, path string
	header       http.Header
	body         any
}

// hopHeaders describe the visitor's own request, not the one made on their behalf.
var hopHeaders = []string{
	"Accept-Encoding", "Authorization", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Expect", "If-Match", "If-Modified-Since",
	"If-None-Match", "Origin", "Range", "Sec-Fetch-Site", "Upgrade",
}

// ask makes the API request that a script would make for the visitor: from the same
// address, under the same request id, within the same limits. It calls the handler and
// does not use the network. into is optional and gets the body of a 2xx.
func (p *pages) ask(r *http.Request, requestID string, q question, into any) (answer, error) {
	request := r.Clone(r.Context())
	request.Method, request.RequestURI = q.method, q.path
	request.URL.Path, request.URL.RawPath, request.URL.RawQuery = q.path, "", ""
	for _, name := range hopHeaders {
		request.Header.Del(name)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Language", wordsOf(r).Tag) // for mails that are asked for
	if requestID != "" {
		request.Header.Set("X-Request-Id", requestID)
	}
	for name, values := range q.header {
		request.Header[name] = values
	}
	request.Body, request.ContentLength, request.Form, request.PostForm = http.NoBody, 0, nil, nil
	if q.body != nil {
		body, err := json.Marshal(q.body)
		if err != nil {
			return answer{}, fmt.Errorf("storefront: cannot encode a request to the API: %w", err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	w := &recorder{header: make(http.Header)}
	p.API.ServeHTTP(w, request)
	return w.answer(into)
}

// A recorder keeps an answer of the API, which limits what it writes.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *recorder) answer(into any) (answer, error) {
	w.WriteHeader(http.StatusOK)
	a := answer{status: w.status, body: w.body.Bytes(), cookies: w.header["Set-Cookie"]}
	if seconds, err := strconv.Atoi(w.header.Get("Retry-After")); err == nil && seconds > 0 {
		a.retryAfter = time.Duration(seconds) * time.Second
	}
	if !a.ok() {
		if json.Unmarshal(a.body, &a.problem) != nil {
			a.problem = problem{}
		}
		return a, nil
	}
	if into == nil || len(a.body) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return a, fmt.Errorf("storefront: cannot read the API's answer (HTTP %d): %w", a.status, err)
	}
	return a, nil
}

// Limits of what the pages ask about the service itself.
const (
	healthMaxAge  = 2 * time.Second
	healthTimeout = 3 * time.Second
)

// health remembers whether the service reports that a part of it is down, so that pages can
// say so. A page never waits for it: it shows what was last known.
type health struct {
	mu      sync.Mutex
	askedAt time.Time
	trouble bool
}

// troubled returns what is known. If that is old, it looks again in the background: one
// look at a time, healthMaxAge apart.
func (p *pages) troubled(r *http.Request) bool {
	h := &p.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.askedAt) < healthMaxAge {
		return h.trouble
	}
	h.askedAt = time.Now().Add(healthTimeout) // until the look has ended
	r = r.Clone(context.WithoutCancel(r.Context()))
	go p.look(r)
	return h.trouble
}

func (p *pages) look(r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	var ready struct {
		Degraded []json.RawMessage `json:"degraded"`
	}
	a, err := p.ask(r.WithContext(ctx), "", question{method: http.MethodGet, path: "/readyz"}, &ready)
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	p.health.trouble = err != nil || !a.ok() || len(ready.Degraded) > 0
	p.health.askedAt = time.Now()
}

// Package client speaks the HTTP contract of a box office. Its types and methods are made of the
// OpenAPI document (generated.go; a test holds them against it); this file is how they are sent.
//
// A method's error is a *Refusal where the box office answered with a problem, anything else where
// there was no answer. Nothing is repeated by itself: a checkout that was not answered is repeated
// with the same Idempotency-Key, see Refusal.IsDefinite.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

//go:generate go test ./internal/generate -update

// answerBytesMax bounds what is read of an answer.
const answerBytesMax = 64 << 20

// A Client asks one box office. Its fields must not change while it is used; it is safe for
// concurrent use.
type Client struct {
	URL        string       // such as https://tickets.example
	AdminURL   string       // where the organiser's routes are; empty: at URL
	AdminToken string       // the organiser's; empty: for buyers only
	HTTP       *http.Client // nil: http.DefaultClient. It has the timeout
}

// A Refusal is an answer other than 2xx.
type Refusal struct {
	Problem
	HTTPStatus int
	RetryAfter time.Duration // 0: it does not say
	request    string
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", r.request, r.HTTPStatus, r.Code, cmp.Or(r.Detail, r.Title))
}

// IsDefinite reports whether the answer says what happened. One that does not is repeated, after
// RetryAfter and with the same Idempotency-Key.
func (r *Refusal) IsDefinite() bool {
	return r.HTTPStatus < http.StatusInternalServerError && r.Code != "in_flight" && r.Code != "rate_limited"
}

// CodeOf is the code of a Refusal, and empty of any other error.
func CodeOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

// A request is one call, as the generated methods make it.
type request struct {
	method, path string
	isOrganiser  bool
	token        string // of the order
	query        url.Values
	header       http.Header
	body         any
}

func (c *Client) call(ctx context.Context, r request, into any) error {
	base, token := c.URL, r.token
	if r.isOrganiser {
		base, token = cmp.Or(c.AdminURL, c.URL), c.AdminToken
	}
	target := strings.TrimRight(base, "/") + r.path
	if query := r.query.Encode(); query != "" {
		target += "?" + query
	}
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(raw)
	}
	sent, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return err
	}
	for name, values := range r.header {
		sent.Header[name] = values
	}
	if body != nil {
		sent.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		sent.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := cmp.Or(c.HTTP, http.DefaultClient).Do(sent)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	case answer.StatusCode/100 != 2:
		return refusal(r.method+" "+r.path, answer, content)
	case into == nil || len(content) == 0:
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return nil
}

func refusal(request string, answer *http.Response, content []byte) *Refusal {
	r := &Refusal{HTTPStatus: answer.StatusCode, request: request}
	_ = json.Unmarshal(content, &r.Problem) // a proxy may answer something else: the status speaks
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		r.RetryAfter = time.Duration(seconds) * time.Second
	}
	return r
}

// set puts a parameter in that is not empty.
func set(values map[string][]string, name, value string) {
	if value != "" {
		values[name] = []string{value}
	}
}

// number is the text of a parameter; 0 leaves it out.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

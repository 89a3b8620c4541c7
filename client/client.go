// Package client calls the HTTP API of a box office. Its types and methods are generated
// from the OpenAPI document (generated.go; a test compares them), and those whose answers
// are not JSON are written by hand (byhand.go). This file sends the requests.
//
// A method's error is a *Refusal if the box office answered with a problem, and anything
// else if there was no answer. Nothing is repeated automatically: repeat a checkout that
// got no answer with the same Idempotency-Key, see Refusal.IsDefinite.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

//go:generate go test ./internal/generate -update

// answerBytesMax limits what is read of an answer.
const answerBytesMax = 64 << 20

// A Client calls one box office. Don't change its fields while it is in use. It is safe
// for concurrent use.
type Client struct {
	URL        string       // such as https://tickets.example
	AdminURL   string       // where the organiser's routes are; empty: at URL
	AdminToken string       // the organiser's; empty: for buyers only
	HTTP       *http.Client // nil: http.DefaultClient. Set timeouts there
}

// A Refusal is an answer other than 2xx.
type Refusal struct {
	Problem
	HTTPStatus int
	RetryAfter time.Duration // 0: the answer does not say
	request    string
}

// Error implements error.
func (r *Refusal) Error() string {
	status := strings.TrimSpace(fmt.Sprint(r.HTTPStatus, " ", r.Code))
	return fmt.Sprintf("%s: %s: %s", r.request, status, cmp.Or(r.Detail, r.Title, http.StatusText(r.HTTPStatus)))
}

// IsDefinite reports whether the answer says what happened. If not, repeat the request
// after RetryAfter, with the same Idempotency-Key.
func (r *Refusal) IsDefinite() bool {
	return r.HTTPStatus < http.StatusInternalServerError && r.Code != "in_flight" && r.Code != "rate_limited"
}

// IsDefinite reports whether a call's error says what happened. nil does; an error
// without any answer does not.
func IsDefinite(err error) bool {
	var r *Refusal
	return err == nil || errors.As(err, &r) && r.IsDefinite()
}

// CodeOf returns the code of a Refusal, or "" for any other error.
func CodeOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

// A Request is one call, as the methods make it. Fill one in to use Do for a route
// without a method.
type Request struct {
	Method, Path string // the path is escaped, and begins with a slash
	Query        url.Values
	Header       http.Header
	Body         any    // sent as JSON; a []byte as it is
	Token        string // an order's token
	IsOrganisers bool   // it goes to AdminURL, with the AdminToken
}

// Do sends a request and reads the answer's JSON into a value. Into a *[]byte it reads
// the raw body; nil reads nothing. Prefer a method if there is one.
func (c *Client) Do(ctx context.Context, r Request, into any) error {
	answer, err := c.send(ctx, c.http(), r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	if into == nil || len(content) == 0 {
		return nil
	}
	if raw, ok := into.(*[]byte); ok {
		*raw = content
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	return nil
}

func (c *Client) http() *http.Client { return cmp.Or(c.HTTP, http.DefaultClient) }

// send returns a good answer, whose body the caller reads and closes. Anything but 2xx is
// a *Refusal.
func (c *Client) send(ctx context.Context, with *http.Client, r Request) (*http.Response, error) {
	answer, err := c.ask(ctx, with, r)
	if err != nil || answer.StatusCode/100 == 2 {
		return answer, err
	}
	return nil, refusal(r, answer)
}

// ask returns any answer.
func (c *Client) ask(ctx context.Context, with *http.Client, r Request) (*http.Response, error) {
	sent, err := c.made(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	answer, err := with.Do(sent)
	if err != nil {
		return nil, err
	}
	if raw, ok := ctx.Value(recording{}).(*Answer); ok {
		if err := raw.record(answer); err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
		}
	}
	return answer, nil
}

func (c *Client) made(ctx context.Context, r Request) (*http.Request, error) {
	base, token := c.URL, r.Token
	if r.IsOrganisers {
		base, token = cmp.Or(c.AdminURL, c.URL), c.AdminToken
	}
	target := strings.TrimRight(base, "/") + r.Path
	if query := r.Query.Encode(); query != "" {
		target += "?" + query
	}
	var body io.Reader
	if raw, ok := r.Body.([]byte); ok {
		body = bytes.NewReader(raw)
	} else if r.Body != nil {
		raw, err := json.Marshal(r.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	sent, err := http.NewRequestWithContext(ctx, r.Method, target, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(sent.Header, r.Header)
	if body != nil && sent.Header.Get("Content-Type") == "" {
		sent.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		sent.Header.Set("Authorization", "Bearer "+token)
	}
	return sent, nil
}

// An Answer is what came back over HTTP, for callers who need more than the methods
// return, such as 200 instead of 202, a header, or the bytes.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

type recording struct{}

// Recording returns a context whose call stores its answer there, even if the call
// returns a *Refusal. Use it for one call at a time, and not for streams.
func Recording(ctx context.Context, into *Answer) context.Context {
	return context.WithValue(ctx, recording{}, into)
}

// record reads an answer, and leaves it readable.
func (a *Answer) record(answer *http.Response) (err error) {
	defer answer.Body.Close()
	if a.Body, err = io.ReadAll(io.LimitReader(answer.Body, answerBytesMax)); err != nil {
		return err
	}
	a.Status, a.Header = answer.StatusCode, answer.Header
	answer.Body = io.NopCloser(bytes.NewReader(a.Body))
	return nil
}

// refusal reads an answer other than 2xx.
func refusal(r Request, answer *http.Response) error {
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	refused := &Refusal{HTTPStatus: answer.StatusCode, request: r.Method + " " + r.Path}
	_ = json.Unmarshal(content, &refused.Problem) // a proxy may answer something else: the status says enough
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		refused.RetryAfter = time.Duration(seconds) * time.Second
	}
	return refused
}

// set adds a parameter if it is not empty.
func set(values map[string][]string, name, value string) {
	if value != "" {
		values[name] = []string{value}
	}
}

// number is the text of a parameter, empty for 0.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

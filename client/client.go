// Package client speaks the HTTP contract of a box office. Its types and methods are made of the
// OpenAPI document (generated.go; a test holds them against it), those whose answers are no JSON by
// hand (byhand.go); this file is how they are sent.
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
	"maps"
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
	status := strings.TrimSpace(fmt.Sprint(r.HTTPStatus, " ", r.Code))
	return fmt.Sprintf("%s: %s: %s", r.request, status, cmp.Or(r.Detail, r.Title, http.StatusText(r.HTTPStatus)))
}

// IsDefinite reports whether the answer says what happened. One that does not is repeated, after
// RetryAfter and with the same Idempotency-Key.
func (r *Refusal) IsDefinite() bool {
	return r.HTTPStatus < http.StatusInternalServerError && r.Code != "in_flight" && r.Code != "rate_limited"
}

// IsDefinite reports whether a call's error says what happened, and so does none. No answer at all does not.
func IsDefinite(err error) bool {
	var r *Refusal
	return err == nil || errors.As(err, &r) && r.IsDefinite()
}

// CodeOf is the code of a Refusal, and empty of any other error.
func CodeOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

// A Request is one call, as the methods make it. Who asks with Do for what has no method fills it in.
type Request struct {
	Method, Path string // the path is escaped, and begins with a slash
	Query        url.Values
	Header       http.Header
	Body         any    // sent as JSON; a []byte as it is
	Token        string // of an order
	IsOrganisers bool   // it goes to AdminURL, with the AdminToken
}

// Do sends a request and reads the answer's JSON into a value; into a *[]byte it reads the body as it is, and nil reads
// nothing. A method of its own is better where there is one.
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

// send is a good answer, whose body is to be read and closed; any but 2xx is a *Refusal.
func (c *Client) send(ctx context.Context, with *http.Client, r Request) (*http.Response, error) {
	answer, err := c.ask(ctx, with, r)
	if err != nil || answer.StatusCode/100 == 2 {
		return answer, err
	}
	return nil, refusal(r, answer)
}

// ask is any answer.
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

// An Answer is what came back over HTTP: for who must know more than the methods say, such as 200 from 202, a header, or
// the bytes.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

type recording struct{}

// Recording is a context whose call leaves its answer there, also where the call gives a *Refusal. It is for one call at a
// time, and not for streams.
func Recording(ctx context.Context, into *Answer) context.Context {
	return context.WithValue(ctx, recording{}, into)
}

// record reads an answer, and leaves it to be read again.
func (a *Answer) record(answer *http.Response) (err error) {
	defer answer.Body.Close()
	if a.Body, err = io.ReadAll(io.LimitReader(answer.Body, answerBytesMax)); err != nil {
		return err
	}
	a.Status, a.Header = answer.StatusCode, answer.Header
	answer.Body = io.NopCloser(bytes.NewReader(a.Body))
	return nil
}

// refusal reads what stands for an answer that is not as it should be.
func refusal(r Request, answer *http.Response) error {
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	refused := &Refusal{HTTPStatus: answer.StatusCode, request: r.Method + " " + r.Path}
	_ = json.Unmarshal(content, &refused.Problem) // a proxy may answer something else: the status speaks
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		refused.RetryAfter = time.Duration(seconds) * time.Second
	}
	return refused
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

package paymentstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// A Network is what an adapter reaches its double through. It can be away.
type Network struct {
	http.RoundTripper
	away    atomic.Bool
	limited atomic.Int64 // seconds of Retry-After; 0: no limit
}

// SetLimited is for Subject.SetLimited.
func (n *Network) SetLimited(retryAfter time.Duration) {
	n.limited.Store(int64(retryAfter / time.Second))
}

// SetAway is for Subject.SetAway.
func (n *Network) SetAway(away bool) { n.away.Store(away) }

// RoundTrip implements http.RoundTripper.
func (n *Network) RoundTrip(r *http.Request) (*http.Response, error) {
	if n.away.Load() {
		return nil, errors.New("the network is away")
	}
	if seconds := n.limited.Load(); seconds > 0 {
		const body = `{"error":{"type":"invalid_request_error","code":"rate_limit","message":"Too many requests."}}`
		return &http.Response{
			StatusCode: http.StatusTooManyRequests, ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Retry-After": {fmt.Sprint(seconds)}, "Content-Type": {"application/json"}},
			Body:   io.NopCloser(strings.NewReader(body)),
		}, nil
	}
	return n.RoundTripper.RoundTrip(r)
}

// Webhooks are those that a double has sent, for Subject.Webhook.
type Webhooks chan Webhook

// Next waits for the next one.
func (w Webhooks) Next(ctx context.Context) (Webhook, error) {
	select {
	case hook := <-w:
		return hook, nil
	case <-ctx.Done():
		return Webhook{}, ctx.Err()
	}
}

package paymentstest

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
)

// A Network is what an adapter reaches its double through. It can be away.
type Network struct {
	http.RoundTripper
	away atomic.Bool
}

// SetAway is for Subject.SetAway.
func (n *Network) SetAway(away bool) { n.away.Store(away) }

// RoundTrip implements http.RoundTripper.
func (n *Network) RoundTrip(r *http.Request) (*http.Response, error) {
	if n.away.Load() {
		return nil, errors.New("the network is away")
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

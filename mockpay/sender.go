package mockpay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// WebhookPath is where the box office takes the provider's webhooks, below its base URL.
const WebhookPath = "/v1/webhooks/mockpay"

const (
	sendTimeout        = 15 * time.Second // the least that Standard Webhooks 1.0.0 recommends
	webhookDialTimeout = 3 * time.Second
	webhookIdleTimeout = 60 * time.Second
	answerDrainMax     = 64 << 10 // bytes read of an answer so that its connection can be used again
)

// A Message is one attempt to report an event.
type Message struct {
	Event   domain.PaymentEvent // Event.ID is the webhook-id, the same in every attempt
	Attempt int                 // 1… since the process started
	Body    []byte
}

// An Answer is the result of an attempt: a status, or an error if there was none.
// RetryAfter, if set, is how long the receiver asks to be left alone.
type Answer struct {
	HTTPStatus int
	RetryAfter time.Duration
	Err        error
}

// Acknowledged reports whether the event need not be sent again: any 2xx. 202 means that
// the box office has stored it.
func (a Answer) Acknowledged() bool {
	return a.Err == nil && a.HTTPStatus >= 200 && a.HTTPStatus <= 299
}

// A Sender makes one attempt. It must return when ctx ends. The list of deliveries shows
// its answer, so only the message itself may count as acknowledged, never something that
// was sent along with it.
type Sender interface {
	Send(ctx context.Context, m Message) Answer
}

// HTTPSender signs messages (Standard Webhooks) and posts them.
type HTTPSender struct {
	url    string
	signer *mockpay.Signer
	client *http.Client
	now    func() time.Time
}

// NewHTTPSender posts to the box office at baseURL, signing with every secret
// and the time of the attempt.
func NewHTTPSender(baseURL string, secrets mockpay.Secrets) (*HTTPSender, error) {
	signer, err := mockpay.NewSigner(secrets)
	if err != nil {
		return nil, err
	}
	return &HTTPSender{
		url:    baseURL + WebhookPath,
		signer: signer,
		now:    time.Now,
		client: &http.Client{
			Timeout: sendTimeout,
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: webhookDialTimeout}).DialContext,
				MaxConnsPerHost:     deliveriesAtOnceMax,
				MaxIdleConnsPerHost: deliveriesAtOnceMax,
				IdleConnTimeout:     webhookIdleTimeout,
			},
			// A redirect is a failure (Standard Webhooks 1.0.0, "Delivery success
			// and failure").
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Send implements Sender.
func (s *HTTPSender) Send(ctx context.Context, m Message) Answer {
	l, err := s.sign(m.Event.ID, s.now(), m.Body)
	if err != nil {
		return Answer{Err: err}
	}
	return s.post(ctx, l)
}

// letter is a signed message.
type letter struct {
	header http.Header
	body   []byte
}

func (s *HTTPSender) sign(eventID string, at time.Time, body []byte) (letter, error) {
	header, err := s.signer.Headers(eventID, at, body)
	return letter{header, body}, err
}

func (s *HTTPSender) post(ctx context.Context, l letter) Answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(l.body))
	if err != nil {
		return Answer{Err: err}
	}
	req.Header = l.header.Clone()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "mockpay/1")
	resp, err := s.client.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, answerDrainMax)); err != nil {
		return Answer{HTTPStatus: resp.StatusCode, Err: fmt.Errorf("status %d: %w", resp.StatusCode, err)}
	}
	return Answer{HTTPStatus: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}
}

// retryAfter reads the header in seconds. If it is a date, the backoff decides.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

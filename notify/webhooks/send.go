package webhooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/domain"
	"boxoffice/tracing"
)

// The headers of Standard Webhooks.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

const userAgent = "boxoffice-webhooks/1 (Standard Webhooks)"

// sign signs with every secret, the present one first, so that a receiver with any of them
// can verify.
func sign(secrets []string, id string, at time.Time, body []byte) (string, error) {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		webhook, err := standardwebhooks.NewWebhook(secret)
		if err == nil {
			signatures[i], err = webhook.Sign(id, at, body)
		}
		if err != nil {
			return "", fmt.Errorf("sign webhook %s: %w", id, err)
		}
	}
	return strings.Join(signatures, " "), nil
}

// An answer is an endpoint's answer to an attempt.
type answer struct {
	domain.WebhookAttempt
	retryAfter time.Duration // that the endpoint asks for
}

// isTaken reports whether the endpoint accepted the event.
func (a *answer) isTaken() bool { return a.Error == "" }

// send sends an event once. An error is our own fault, and nothing was sent.
func (d *Deliverer) send(ctx context.Context, to string, secrets []string, event *domain.Event) (answer, error) {
	body, err := event.MarshalJSON()
	if err != nil {
		return answer{}, fmt.Errorf("write event %s: %w", event.ID, err)
	}
	at := d.now()
	signature, err := sign(secrets, event.ID.String(), at, body)
	if err != nil {
		return answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return answer{}, errors.New("the URL cannot be read") // the URL may hold a key, so no message repeats it
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set(headerID, event.ID.String())
	request.Header.Set(headerTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(headerSignature, signature)
	ctx, span := d.startSpan(ctx, request, event)
	tracing.Inject(ctx, request.Header)
	response, err := d.client.Do(request)
	a := answer{}
	a.At = at.UTC()
	if err == nil {
		a.read(response, at)
	} else {
		a.Error = reason(err)
	}
	a.TookMS = d.now().Sub(at).Milliseconds()
	if a.Status > 0 {
		tracing.EndHTTP(span, a.Status, a.isTaken())
	} else {
		tracing.End(span, err)
	}
	return a, nil
}

// startSpan starts the span of a request to an endpoint, whose path may hold a key.
func (d *Deliverer) startSpan(ctx context.Context, request *http.Request, event *domain.Event) (context.Context, trace.Span) {
	ctx, span := d.Tracer.Start(ctx, event.Order, request.Method, trace.SpanKindClient)
	if span.IsRecording() {
		span.SetAttributes(
			semconv.HTTPRequestMethodKey.String(request.Method), semconv.ServerAddress(request.URL.Hostname()), semconv.URLScheme(request.URL.Scheme),
			semconv.CloudEventsEventID(event.ID.String()), semconv.CloudEventsEventType(string(event.Type)),
		)
	}
	return ctx, span
}

func (a *answer) read(response *http.Response, now time.Time) {
	defer response.Body.Close()
	a.Status = response.StatusCode
	// A connection that breaks after the status changes nothing: the status is the answer.
	beginning, _ := io.ReadAll(io.LimitReader(response.Body, answerBytesMax))
	a.Answer = excerpt(beginning)
	switch {
	case a.Status >= 200 && a.Status < 300:
		a.Answer = "" // we only need it drained
	case a.Status >= 300 && a.Status < 400:
		a.Error = "it redirects: redirects are not followed"
	default:
		a.Error = strings.TrimSpace(fmt.Sprint(a.Status, " ", http.StatusText(a.Status)))
	}
	a.retryAfter = retryAfter(response.Header.Get("Retry-After"), now)
}

const retryAfterMax = 24 * time.Hour

// retryAfter reads the header (RFC 9110, 10.2.3); 0: it says nothing that can be used.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, retryAfterMax)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), retryAfterMax)
	}
	return 0
}

// reason says why there was no answer, without the URL.
func reason(err error) string {
	var refused *refusedError
	var inURL *url.Error
	var network net.Error
	var lookup *net.DNSError
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &lookup):
		return "its name does not resolve: " + lookup.Err
	case errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer within %v", requestTimeout)
	case errors.As(err, &inURL):
		err = inURL.Err
	}
	return excerpt([]byte(err.Error()))
}

// excerpt is the beginning of a text, on one printable line.
func excerpt(text []byte) string {
	var b strings.Builder
	for n := 0; len(text) > 0 && n < excerptRunesMax; n++ {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

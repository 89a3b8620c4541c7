package mockpay

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"boxoffice/domain"
)

// Limits of a webhook; package domain has those of its ids.
const (
	// TimestampTolerance is how far a webhook's timestamp may be from our clock, in both
	// directions (Standard Webhooks 1.0.0, "Verifying signatures").
	TimestampTolerance = 5 * time.Minute
	// WebhookBodyMaxBytes limits the body; ours have about 300 bytes.
	WebhookBodyMaxBytes = 16 << 10
	// AmountMinorMax is far above what an order can cost. We believe a signed amount up
	// to it, so that we give the money back rather than refuse the event.
	AmountMinorMax = 1_000_000_000_000_000

	signatureHeaderMaxLen = 2048
	orderTextMaxLen       = 64
)

// A Verifier recognises the provider's webhooks. It is safe for concurrent use.
type Verifier struct {
	webhooks []*standardwebhooks.Webhook
	now      func() time.Time
}

// NewVerifier accepts webhooks signed with any of the secrets. now is the clock for
// checking their timestamps: time.Now outside tests.
func NewVerifier(secrets Secrets, now func() time.Time) (*Verifier, error) {
	webhooks, err := newWebhooks(secrets)
	if err != nil {
		return nil, err
	}
	return &Verifier{webhooks: webhooks, now: now}, nil
}

// Verify checks the signature over id, timestamp and raw body, and reads the event. An
// event of a type that we do not use (a ping) has only its id and type. Every failure is
// a *domain.Error:
//   - CodeTooLarge: the body exceeds WebhookBodyMaxBytes;
//   - CodeForged: a header is missing or repeated, no signature is ours, or the timestamp
//     is off by more than TimestampTolerance;
//   - CodeInvalid: it is signed, but not an event that we can use;
//   - CodeNotFound: it is signed for an order id that is not one of ours.
func (v *Verifier) Verify(header http.Header, body []byte) (domain.PaymentEvent, error) {
	if len(body) > WebhookBodyMaxBytes {
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeTooLarge, Detail: fmt.Sprintf("A webhook may have at most %d bytes.", WebhookBodyMaxBytes)}
	}
	if err := v.authenticate(header, body); err != nil {
		return domain.PaymentEvent{}, err
	}
	return decodeEvent(header.Get(standardwebhooks.HeaderWebhookID), body)
}

func (v *Verifier) authenticate(header http.Header, body []byte) error {
	for _, name := range []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature} {
		if n := len(header.Values(name)); n != 1 {
			return forged(fmt.Sprintf("The header %s must come exactly once.", name), nil)
		}
	}
	if len(header.Get(standardwebhooks.HeaderWebhookSignature)) > signatureHeaderMaxLen {
		return forged("The header webhook-signature is too long.", nil)
	}
	if err := v.checkTimestamp(header.Get(standardwebhooks.HeaderWebhookTimestamp)); err != nil {
		return err
	}
	// The library compares timestamps with time.Now only, so we skip its check and use
	// our own. MAC and constant-time comparison are the library's.
	var err error
	for _, webhook := range v.webhooks {
		if err = webhook.VerifyIgnoringTimestamp(body, header); err == nil {
			return nil
		}
	}
	return forged("The webhook's signature is not valid.", err)
}

func (v *Verifier) checkTimestamp(text string) error {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != text {
		return forged("The header webhook-timestamp must be whole seconds since 1970.", err)
	}
	// In whole seconds, as in the header: a Duration would overflow.
	now, tolerance := v.now().Unix(), int64(TimestampTolerance/time.Second)
	switch {
	case seconds < now-tolerance:
		return forged("The webhook's timestamp is too old.", nil)
	case seconds > now+tolerance:
		return forged("The webhook's timestamp is in the future.", nil)
	}
	return nil
}

func forged(detail string, err error) *domain.Error {
	return &domain.Error{Code: domain.CodeForged, Detail: detail, Err: err}
}

// webhookBody is the provider's message. Unknown fields are allowed: the provider may add
// some.
type webhookBody struct {
	Type      string      `json:"type"`
	Timestamp time.Time   `json:"timestamp,omitzero"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	Session     string `json:"session"`
	Order       string `json:"order"`
	AmountMinor *int64 `json:"amount"` // a pointer, to tell 0 from absent
	Currency    string `json:"currency"`
	Payment     string `json:"payment,omitempty"`
	// Reversal is that of payment.reversed, without what Data has anyway.
	Reversal *reversalData `json:"reversal,omitempty"`
}

type reversalData struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	State     string    `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`
	RespondBy time.Time `json:"respond_by,omitzero"`
}

func decodeEvent(id string, raw []byte) (domain.PaymentEvent, error) {
	var body struct { // webhookBody without the timestamp: nothing depends on it
		Type string         `json:"type"`
		Data jsontext.Value `json:"data"` // decoded once the type is known
	}
	// The same rules as for the API's own bodies: UTF-8, no member twice, exact case.
	if err := strictjson.Unmarshal(raw, &body); err != nil {
		return domain.PaymentEvent{}, badBody(err)
	}
	event := domain.PaymentEvent{ID: id, Type: domain.PaymentEventType(body.Type)}
	switch {
	case body.Type == "":
		return domain.PaymentEvent{}, domain.Invalid("type", "must say what happened, such as payment.succeeded")
	case !event.Type.Known(): // only the provider knows what its data has to be; we do nothing with it
		return event, nil
	case !domain.ValidEventID(id):
		return domain.PaymentEvent{}, domain.Invalid("webhook-id", fmt.Sprintf("must have 1–%d letters, digits or any of _:=+-", domain.EventIDMaxLen))
	}
	var data webhookData
	if len(body.Data) > 0 {
		if err := strictjson.Unmarshal(body.Data, &data); err != nil {
			return domain.PaymentEvent{}, badBody(err)
		}
	}
	if err := decodeData(&event, &data); err != nil {
		return domain.PaymentEvent{}, err
	}
	return event, nil
}

func badBody(err error) *domain.Error {
	return &domain.Error{Code: domain.CodeInvalid, Field: "body", Detail: "The body must be JSON with type and data, in UTF-8, no member twice.", Err: err}
}

func decodeData(event *domain.PaymentEvent, data *webhookData) error {
	switch {
	case data.Order == "" || len(data.Order) > orderTextMaxLen:
		return domain.Invalid("data.order", "must be an order's id")
	case data.AmountMinor == nil || *data.AmountMinor < 0 || *data.AmountMinor > AmountMinorMax:
		return domain.Invalid("data.amount", fmt.Sprintf("must be 0–%d minor units", int64(AmountMinorMax)))
	case !domain.ValidCurrency(data.Currency):
		return domain.Invalid("data.currency", "must be an ISO 4217 code such as EUR")
	}
	order, err := domain.ParseOrderID(data.Order)
	if err != nil { // no key ring makes such an id, so nobody ever ordered it
		return &domain.Error{Code: domain.CodeNotFound, Detail: "There is no such order.", Err: err}
	}
	if data.Session != SessionID(order) {
		return domain.Invalid("data.session", "must be the session of data.order")
	}
	event.Order, event.Session = order, data.Session
	event.AmountMinor, event.Currency = *data.AmountMinor, data.Currency
	event.Payment = data.Payment
	if event.Payment == "" {
		event.Payment = data.Session
	}
	if !domain.ValidPaymentID(event.Payment) {
		return domain.Invalid("data.payment", fmt.Sprintf("must have 1–%d letters, digits or any of ._:-", domain.PaymentIDMaxLen))
	}
	if event.Type == domain.PaymentReversed {
		return decodeReversal(event, data.Reversal)
	}
	return nil
}

func decodeReversal(event *domain.PaymentEvent, data *reversalData) error {
	if data == nil {
		return domain.Invalid("data.reversal", "must say what happened to the payment")
	}
	event.Reversal = domain.Reversal{
		ID: data.ID, Kind: domain.ReversalKind(data.Kind), Payment: event.Payment, AmountMinor: event.AmountMinor, Currency: event.Currency,
		State: domain.ReversalState(data.State), Reason: data.Reason, At: data.At.UTC(), RespondBy: data.RespondBy.UTC(),
	}
	if err := event.Reversal.Check(); err != nil {
		return &domain.Error{Code: domain.CodeInvalid, Field: "data.reversal", Detail: "The reversal cannot be used.", Err: err}
	}
	return nil
}

// EncodeEvent is the body of the webhook that reports an event. occurredAt is when the
// payment ended, not when the webhook is sent.
func EncodeEvent(event domain.PaymentEvent, occurredAt time.Time) ([]byte, error) {
	return json.Marshal(webhookBody{
		Type:      string(event.Type),
		Timestamp: occurredAt.UTC(),
		Data: webhookData{
			Session:     event.Session,
			Order:       event.Order.String(),
			AmountMinor: &event.AmountMinor,
			Currency:    event.Currency,
			Payment:     event.Payment,
			Reversal:    encodeReversal(&event),
		},
	})
}

func encodeReversal(event *domain.PaymentEvent) *reversalData {
	r := &event.Reversal
	if event.Type != domain.PaymentReversed {
		return nil
	}
	return &reversalData{
		ID: r.ID, Kind: string(r.Kind), State: string(r.State), Reason: r.Reason, At: r.At.UTC(), RespondBy: r.RespondBy.UTC(),
	}
}

// A Signer signs webhooks as a Verifier expects them. It is safe for concurrent use.
type Signer struct {
	webhooks []*standardwebhooks.Webhook
}

// NewSigner signs with every secret, so that a receiver that has only some of them,
// during a rotation, still accepts.
func NewSigner(secrets Secrets) (*Signer, error) {
	webhooks, err := newWebhooks(secrets)
	if err != nil {
		return nil, err
	}
	return &Signer{webhooks: webhooks}, nil
}

// Headers returns webhook-id, webhook-timestamp and webhook-signature for a body sent at
// the given time. The id stays the same in all attempts, the time does not.
func (s *Signer) Headers(id string, sentAt time.Time, body []byte) (http.Header, error) {
	signatures := make([]byte, 0, 64)
	for i, webhook := range s.webhooks {
		signature, err := webhook.Sign(id, sentAt, body)
		if err != nil {
			return nil, fmt.Errorf("sign webhook %s: %w", id, err)
		}
		if i > 0 {
			signatures = append(signatures, ' ')
		}
		signatures = append(signatures, signature...)
	}
	header := make(http.Header, 3)
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(sentAt.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, string(signatures))
	return header, nil
}

func newWebhooks(secrets Secrets) ([]*standardwebhooks.Webhook, error) {
	if len(secrets.keys) == 0 {
		return nil, errors.New("no webhook secret is set")
	}
	webhooks := make([]*standardwebhooks.Webhook, len(secrets.keys))
	for i, key := range secrets.keys {
		webhook, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("webhook secret %d: %w", i+1, err)
		}
		webhooks[i] = webhook
	}
	return webhooks, nil
}

package mockpay

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
)

// Name is MockPay's name.
const Name = domain.DefaultProvider

// Options of the adapter.
type Options struct {
	URL     string // of MockPay
	Secrets Secrets
	HTTP    *http.Client     // nil: one with this package's limits
	Now     func() time.Time // the clock for checking webhooks' timestamps; nil: time.Now
}

// New makes the adapter.
func New(o Options) (*Provider, error) {
	client, err := NewClient(o.URL, o.HTTP)
	if err != nil {
		return nil, err
	}
	links, err := NewPayLinks(o.URL, o.Secrets)
	if err != nil {
		return nil, err
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	verifier, err := NewVerifier(o.Secrets, now)
	if err != nil {
		return nil, err
	}
	return &Provider{client: client, links: links, verifier: verifier}, nil
}

// A Provider is MockPay as a payments.Provider. It derives a session from its order and
// signs the page's address, so opening one costs no call. An order has one session:
// MockPay takes as many attempts in it as the buyer likes.
type Provider struct {
	client   *Client
	links    *PayLinks
	verifier *Verifier
}

var (
	_ payments.Local      = (*Provider)(nil)
	_ payments.Courier    = (*Provider)(nil)
	_ payments.Authorizer = (*Provider)(nil)
	_ payments.Delayer    = (*Provider)(nil)
)

// Name implements payments.Provider.
func (p *Provider) Name() string { return Name }

// SessionOf implements payments.Local.
func (p *Provider) SessionOf(order domain.OrderID) string { return SessionID(order) }

// Page implements payments.Local.
func (p *Provider) Page(o payments.Opening) (domain.PayPage, error) {
	url, err := p.links.URL(PayLink{
		Order: o.Order, AmountMinor: o.AmountMinor, Currency: o.Currency, ExpiresAt: o.ExpiresAt.Truncate(time.Millisecond),
		ReturnURL: o.ReturnURL, Description: o.Description, Authorize: o.Authorize,
		Delayed: o.Processing > 0,
	})
	return domain.PayPage{Session: SessionID(o.Order), URL: url}, err
}

// Open implements payments.Provider.
func (p *Provider) Open(_ context.Context, o payments.Opening) (domain.PayPage, error) {
	return p.Page(o)
}

// Expire implements payments.Provider. It also expires a session that nobody has visited.
func (p *Provider) Expire(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	order, err := OrderOfSession(session)
	if err != nil {
		return domain.ExpireOutcome{}, &domain.Error{Code: domain.CodeNotFound, Detail: "MockPay has no such session.", Err: err}
	}
	return p.client.Expire(ctx, order)
}

// Session implements payments.Provider.
func (p *Provider) Session(ctx context.Context, session string) (payments.Session, error) {
	s, err := p.client.Session(ctx, session)
	if err != nil {
		return payments.Session{}, err
	}
	capture := s.Capture
	if s.Status == SessionAuthorized {
		capture = s.Authorized
	}
	return payments.Session{
		Session: s.Session, Order: s.Order, Status: payments.SessionStatus(s.Status), Visited: s.Opened(), Capture: capture,
	}, nil
}

// Authorizes implements payments.Authorizer.
func (p *Provider) Authorizes() bool { return true }

// Delays implements payments.Delayer.
func (p *Provider) Delays() bool { return true }

// CaptureAuthorized implements payments.Authorizer.
func (p *Provider) CaptureAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return p.client.CaptureAuthorized(ctx, session)
}

// ReleaseAuthorized implements payments.Authorizer.
func (p *Provider) ReleaseAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return p.client.ReleaseAuthorized(ctx, session)
}

// Authorizations implements payments.Authorizer.
func (p *Provider) Authorizations(ctx context.Context) iter.Seq2[domain.Capture, error] {
	return p.client.Authorizations(ctx)
}

// Refund implements payments.Provider.
func (p *Provider) Refund(ctx context.Context, r payments.Refund) error {
	return p.client.refund(ctx, RefundRequest{
		Payment: r.Payment, Key: ownKey(r), AmountMinor: r.AmountMinor, Currency: r.Currency, Reason: r.Reason,
	})
}

// ownKey is empty for the refund whose key is the payment, because that is MockPay's key
// too.
func ownKey(r payments.Refund) string {
	if r.Key == r.Payment {
		return ""
	}
	return r.Key
}

// Event implements payments.Provider.
func (p *Provider) Event(_ context.Context, header http.Header, body []byte) (domain.PaymentEvent, error) {
	return p.verifier.Verify(header, body)
}

// Captures implements payments.Provider.
func (p *Provider) Captures(ctx context.Context) iter.Seq2[domain.Capture, error] {
	return p.client.Captures(ctx)
}

// Refunds implements payments.Provider.
func (p *Provider) Refunds(ctx context.Context) iter.Seq2[payments.Refunded, error] {
	return each(p.client.Refunds(ctx), func(r Refund) payments.Refunded {
		return payments.Refunded{
			ID: cmp.Or(r.ID, r.Payment), Payment: r.Payment, AmountMinor: r.AmountMinor, Currency: r.Currency, Reason: r.Reason, At: r.RefundedAt,
			Elsewhere: r.Elsewhere,
		}
	})
}

// Disputes implements payments.Provider.
func (p *Provider) Disputes(ctx context.Context) iter.Seq2[domain.Reversal, error] {
	return p.client.Disputes(ctx)
}

// Acknowledged implements payments.Courier.
func (p *Provider) Acknowledged(ctx context.Context) iter.Seq2[domain.PaymentEvent, error] {
	return each(p.client.Deliveries(ctx, DeliveryAcknowledged), func(d Delivery) domain.PaymentEvent {
		e := d.Event
		e.Session = cmp.Or(e.Session, SessionID(e.Order))
		return e
	})
}

// Ping implements payments.Provider.
func (p *Provider) Ping(ctx context.Context) error { return p.client.Ping(ctx) }

// each translates a stream.
func each[From, To any](stream iter.Seq2[From, error], translate func(From) To) iter.Seq2[To, error] {
	return func(yield func(To, error) bool) {
		for value, err := range stream {
			if err != nil {
				var none To
				yield(none, err)
				return
			}
			if !yield(translate(value), nil) {
				return
			}
		}
	}
}

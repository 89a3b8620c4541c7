package payments

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

	"boxoffice/domain"
)

// A Provider takes money for orders and gives it back. It is safe for concurrent use.
//
// What every method promises:
//   - It may be repeated as it is, after whatever failure, and by another process: the
//     same arguments have one effect and get the same answer. The callers retry; a
//     Provider does not.
//   - A *domain.Error is definite: the provider said no, or was not asked because the
//     request can never succeed. A *domain.UnknownError says that nobody knows: the call
//     may have had its effect. There is no third kind. Whatever an adapter does not
//     understand is unknown; a proxy's 404, a rate limit and a broken answer are too.
//   - It heeds its context, and ends by itself within CallTimeout.
//   - What it reads is bounded, and so is what it keeps.
//   - Ids are the provider's own. Orders are the box office's: a session, a capture and
//     an event each name the order that they are about, and never another one.
//   - Amounts are in minor units of the currency, as the order has them.
type Provider interface {
	// Name is what configuration, sales, routes and ids call the provider. It never
	// changes. domain.ValidProvider tells its form.
	Name() string

	// Open opens a session in which an attempt to pay an order takes place, or finds
	// the one that was opened before: order and attempt are its key, whatever the rest
	// of the opening says. Nobody but who has the page's address can pay, and nobody
	// from ExpiresAt on where the provider can see to that; Expire is what counts.
	Open(ctx context.Context, opening Opening) (domain.PayPage, error)

	// Expire forbids paying in a session from now on. It is atomic with paying: it
	// answers that a payment was captured, or that none ever will be, and which of the
	// two it is never changes. While a payment is being processed neither is known: the
	// error is a *domain.UnknownError that wraps ErrProcessing. A session that the
	// provider does not know, and could not be paid in, is CodeNotFound.
	Expire(ctx context.Context, session string) (domain.ExpireOutcome, error)

	// Session reads a session. It is a report and no promise: only Expire settles an
	// open one. The error is a *domain.Error with CodeNotFound where nobody ever opened
	// or expired it.
	Session(ctx context.Context, session string) (Session, error)

	// Refund gives back a part of a captured payment, or all of it. The refund's key
	// makes it happen once. Errors: *domain.Error with CodeNotFound where the provider
	// never took that payment, with CodeInvalid where the refunds of a payment would
	// exceed it, or the key came before with another amount.
	Refund(ctx context.Context, refund Refund) error

	// Event reads a webhook and makes sure that it is the provider's. An event that is
	// none of ours (domain.PaymentEventType.Known says no) has its type and nothing
	// else: it is acknowledged and ignored. Errors: *domain.Error with CodeForged,
	// CodeTooLarge, CodeInvalid (it is the provider's and cannot be used, such as one
	// of a version that the adapter does not read) or CodeNotFound (an order of nobody
	// here). A provider whose events only name what changed is asked here:
	// *domain.UnknownError, and it delivers the event again.
	Event(ctx context.Context, header http.Header, body []byte) (domain.PaymentEvent, error)

	// Captures lists every payment that was captured, oldest first, and Refunds every
	// refund. They are what the audit holds the books against, so they are the
	// provider's own record. An error ends a list.
	Captures(ctx context.Context) iter.Seq2[domain.Capture, error]
	Refunds(ctx context.Context) iter.Seq2[Refunded, error]

	// Ping reports whether the provider answers: a *domain.UnknownError where it
	// does not.
	Ping(ctx context.Context) error
}

// Local is a Provider that opens sessions without a call: it derives their ids, and
// whatever it has to know stands in the page's address. Its sessions are known from an
// order's beginning, and cost a checkout nothing.
type Local interface {
	Provider
	// SessionOf is the id of the session of an order's first attempt.
	SessionOf(order domain.OrderID) string
	// Page is what Open answers.
	Page(opening Opening) (domain.PayPage, error)
}

// A Courier is a Provider that tells which of its webhooks were acknowledged. The audit
// makes sure that nothing was acknowledged and forgotten.
type Courier interface {
	Provider
	Acknowledged(ctx context.Context) iter.Seq2[domain.PaymentEvent, error]
}

// EventBytesMax bounds a webhook's body, in bytes. An adapter may have less.
const EventBytesMax = 256 << 10

// CallTimeout bounds one call of a Provider. Lists have it for each of their pages.
const CallTimeout = 10 * time.Second

// ErrProcessing says that a payment is under way and may be captured yet, or not: a bank
// transfer, say. It is wrapped by a *domain.UnknownError; asking again tells.
var ErrProcessing = errors.New("a payment is being processed")

// An Opening is what a provider is told of an order to be paid.
type Opening struct {
	Order       domain.OrderID `json:"order"`
	Attempt     int            `json:"attempt"` // 1…
	SaleID      string         `json:"sale"`
	AmountMinor int64          `json:"amount"`
	Currency    string         `json:"currency"`
	ExpiresAt   time.Time      `json:"expires_at"`
	// ReturnURL is where the buyer goes afterwards, whatever came of it: absolute, http
	// or https. It leads to the order, so it is nothing for logs.
	ReturnURL string `json:"return_url"`
	// Description is one line for the buyer, DescriptionMaxLen bytes at most.
	Description string `json:"description"`
}

// DescriptionMaxLen bounds an Opening's description, in bytes.
const DescriptionMaxLen = 256

// SessionStatus is where a session stands.
type SessionStatus string

// The states of a session. Open and processing are left again, the others never.
const (
	SessionOpen       SessionStatus = "open"
	SessionProcessing SessionStatus = "processing" // a payment is under way: it cannot be stopped any more
	SessionCaptured   SessionStatus = "captured"
	SessionFailed     SessionStatus = "failed"
	SessionCanceled   SessionStatus = "canceled"
	SessionExpired    SessionStatus = "expired"
)

// A Session is what a provider knows of an attempt to pay.
type Session struct {
	Session string
	Order   domain.OrderID
	Status  SessionStatus
	// Visited: the provider knows the session by more than that it was expired.
	Visited bool
	Capture *domain.Capture // exactly where the status is captured
}

// A Refund gives money of one payment back.
type Refund struct {
	// Key makes the refund happen once: the same one again has no second effect.
	Key         string
	Payment     string
	Order       domain.OrderID
	AmountMinor int64
	Currency    string
	Reason      domain.RefundReason
}

// Refunded is a refund as the provider has it.
type Refunded struct {
	Payment     string
	AmountMinor int64
	Currency    string
	Reason      domain.RefundReason // as it was asked for; empty where the provider does not say
	At          time.Time
}

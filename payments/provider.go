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
// Every method promises:
//   - It may be repeated as it is, after any failure, and by another process. The same
//     arguments have one effect and get the same answer. The callers retry; a Provider
//     does not.
//   - A *domain.Error is definite: the provider said no, or was not asked because the
//     request can never succeed. A *domain.UnknownError says that nobody knows: the call
//     may have taken effect. There is no third kind. Whatever an adapter does not
//     understand is unknown, including a proxy's 404 and a broken answer. So is the
//     provider's rate limit (429); the error then wraps a *RateLimitedError.
//   - It obeys its context, and ends by itself within CallTimeout.
//   - It limits what it reads and what it keeps.
//   - Ids are the provider's own. Orders are the box office's: a session, a capture and
//     an event each name their order, and never another one.
//   - Amounts are in minor units of the currency, as in the order.
type Provider interface {
	// Name is what configuration, sales, routes and ids call the provider. It never
	// changes. See domain.ValidProvider for its form.
	Name() string

	// Open opens a session for an attempt to pay an order, or finds the one opened
	// before. Order and attempt are its key, whatever else the opening says. Only someone
	// with the page's address can pay, and, if the provider can ensure that, not after
	// ExpiresAt; only Expire settles it. An attempt that the provider declines ends nothing:
	// the session stays open, on the same page. The page's address passes CheckPageURL.
	Open(ctx context.Context, opening Opening) (domain.PayPage, error)

	// Expire forbids paying in a session from now on. It is atomic with paying: it
	// answers that a payment was captured, or that none ever will be, and that answer
	// never changes; or, at an Authorizer, that one is authorised, until it is captured or
	// released. While a payment is being processed neither is known: the error is
	// then a *domain.UnknownError that wraps ErrProcessing. A session that the provider
	// does not know, and that could not be paid in, is CodeNotFound.
	Expire(ctx context.Context, session string) (domain.ExpireOutcome, error)

	// Session reads a session. It is a report, not a promise: only Expire settles an open
	// one. It returns a *domain.Error with CodeNotFound if nobody ever opened or expired
	// it.
	Session(ctx context.Context, session string) (Session, error)

	// Refund gives back part of a captured payment, or all of it. The refund's key makes
	// it happen once. Errors: *domain.Error with CodeNotFound if the provider never took
	// that payment; with CodeInvalid if the refunds would exceed the payment, or the key
	// came before with another amount.
	//
	// A refund whose key is the payment sees to it that AmountMinor has gone back in all.
	// What was given back before, by whomever, and what a dispute has taken count: the
	// refund is of the rest, and there is none if nothing is left. Asked again after a
	// dispute was won, it gives back what the dispute had taken. While a dispute keeps
	// the provider from giving back the rest, the error is unknown.
	Refund(ctx context.Context, refund Refund) error

	// Event reads a webhook and checks that it is the provider's. An event that we do not
	// use (domain.PaymentEventType.Known says no) has its type and nothing else: we
	// acknowledge and ignore it. Errors: *domain.Error with CodeForged, CodeTooLarge,
	// CodeInvalid (it is the provider's but cannot be used, such as a version that the
	// adapter does not read) or CodeNotFound (an order that is not ours). If a provider's
	// events only name what changed, Event asks the provider; that may fail with a
	// *domain.UnknownError, and the provider delivers the event again.
	//
	// A dispute, each change of its state, and a refund that did not come from Refund are
	// domain.PaymentReversed, with order, payment and Reversal. A refund that did is no
	// news.
	Event(ctx context.Context, header http.Header, body []byte) (domain.PaymentEvent, error)

	// Captures lists every captured payment, Refunds every refund, whoever made it, and
	// Disputes every dispute as it is now, in any order. The audit compares the books with
	// them, so they must be the provider's own record. A list ends at the first error.
	Captures(ctx context.Context) iter.Seq2[domain.Capture, error]
	Refunds(ctx context.Context) iter.Seq2[Refunded, error]
	Disputes(ctx context.Context) iter.Seq2[domain.Reversal, error]

	// Ping reports whether the provider answers. It returns a *domain.UnknownError if it
	// does not.
	Ping(ctx context.Context) error
}

// Local is a Provider that opens sessions without a call: it derives their ids, and the
// page's address carries what it has to know. Its sessions are known from an order's
// start, and cost a checkout nothing.
type Local interface {
	Provider
	// SessionOf returns the id of the session of an order's first attempt.
	SessionOf(order domain.OrderID) string
	// Page returns what Open would.
	Page(opening Opening) (domain.PayPage, error)
}

// An Authorizer is a Provider that can take a payment in two steps: the buyer's payment
// authorises it (Opening.Authorize), and it is captured or released afterwards. Both are
// atomic with each other and with paying, so whichever comes first decides, for good.
type Authorizer interface {
	Provider
	// Authorizes reports whether it can, as it is configured.
	Authorizes() bool
	// CaptureAuthorized takes the money that is authorised in a session. It answers that
	// it was captured, now or before, or that none ever will be: it was released, the
	// bank refused it, or nothing was authorised, and then the session is expired.
	// Errors: as Expire.
	CaptureAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error)
	// ReleaseAuthorized gives an authorisation up. It answers that the money had been
	// captured before, or that none ever will be. Errors: as Expire.
	ReleaseAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error)
	// Authorizations lists every payment that is authorised and was neither captured nor
	// released, in any order. The list ends at the first error.
	Authorizations(ctx context.Context) iter.Seq2[domain.Capture, error]
}

// A Delayer is a Provider that can offer delayed methods: bank debits, vouchers and the
// like, whose payment is processed for days after the buyer has done their part.
type Delayer interface {
	Provider
	// Delays reports whether it can, as it is configured.
	Delays() bool
}

// A Pricer is a Provider that does not take every amount. A sale with a price that it
// cannot take is refused when it is created, not when its first buyer wants to pay.
type Pricer interface {
	Provider
	// CheckAmount returns a *domain.Error with CodeInvalid, whose detail says why, for an
	// amount that no session can be opened for.
	CheckAmount(minor int64, currency string) error
}

// A Dated is a Provider whose lists can begin at a moment. The audit of a sale asks for no
// more than what can be the sale's, however much there is from before.
type Dated interface {
	Provider
	// Since returns the same provider with lists that leave out, if it can tell, what is
	// older: sessions opened, refunds made and disputes begun before. It is an Authorizer if
	// the provider is one.
	Since(time.Time) Provider
}

// A Courier is a Provider that says which of its webhooks were acknowledged. The audit
// checks that nothing was acknowledged and forgotten.
type Courier interface {
	Provider
	Acknowledged(ctx context.Context) iter.Seq2[domain.PaymentEvent, error]
}

// EventBytesMax limits a webhook's body, in bytes. An adapter may allow less.
const EventBytesMax = 256 << 10

// CallTimeout limits one call of a Provider. For a list it limits each page.
const CallTimeout = 10 * time.Second

// ErrProcessing says that a payment is under way and may still be captured, or not: a
// bank transfer, say. A *domain.UnknownError wraps it; ask again later.
var ErrProcessing = errors.New("a payment is being processed")

// An Opening tells the provider about an order to be paid.
type Opening struct {
	Order       domain.OrderID `json:"order"`
	Attempt     int            `json:"attempt"` // 1…
	SaleID      string         `json:"sale"`
	AmountMinor int64          `json:"amount"`
	Currency    string         `json:"currency"`
	ExpiresAt   time.Time      `json:"expires_at"`
	// ReturnURL is where the buyer goes afterwards, whatever happened: absolute, http or
	// https. Don't log it: it leads to the order.
	ReturnURL string `json:"return_url"`
	// Description is one line for the buyer, DescriptionMaxLen bytes at most.
	Description string `json:"description"`
	// Authorize: the buyer's payment only authorises the money, see Authorizer. An attempt
	// always has the same.
	Authorize bool `json:"authorize,omitempty"`
	// Processing is how long after ExpiresAt the seats are kept for a payment that is being
	// processed. A Delayer offers its delayed methods only where this is not 0; never with
	// Authorize. An attempt always has the same.
	Processing time.Duration `json:"processing,omitempty"`
}

// DescriptionMaxLen limits an Opening's description, in bytes.
const DescriptionMaxLen = 256

// SessionStatus is the state of a session.
type SessionStatus string

// The states of a session. A session may leave open, processing and authorized, never the
// others.
const (
	SessionOpen       SessionStatus = "open"
	SessionProcessing SessionStatus = "processing" // a payment is under way: it cannot be stopped any more
	SessionAuthorized SessionStatus = "authorized" // paid, and the money waits to be captured or released
	SessionCaptured   SessionStatus = "captured"
	SessionFailed     SessionStatus = "failed" // at an Authorizer also: released, or refused by the bank
	SessionCanceled   SessionStatus = "canceled"
	SessionExpired    SessionStatus = "expired"
)

// A Session is what a provider knows about an attempt to pay.
type Session struct {
	Session string
	Order   domain.OrderID
	Status  SessionStatus
	// Visited: the provider knows more about the session than that it was expired.
	Visited bool
	Capture *domain.Capture // exactly where the status is captured or authorized
}

// A Refund gives money of one payment back.
type Refund struct {
	// Key makes the refund happen once: the same key again has no second effect.
	Key         string
	Payment     string
	Order       domain.OrderID
	AmountMinor int64
	Currency    string
	Reason      domain.RefundReason
}

// Refunded is a refund as the provider has it.
type Refunded struct {
	ID          string // its own
	Payment     string
	AmountMinor int64
	Currency    string
	Reason      domain.RefundReason // as it was asked for; empty if the provider does not say
	At          time.Time
	// Elsewhere: the box office did not ask for it.
	Elsewhere bool
}

// Reversal is what a refund that was made elsewhere is to the box office.
func (r *Refunded) Reversal() domain.Reversal {
	return domain.Reversal{
		ID: r.ID, Kind: domain.ReversalRefund, Payment: r.Payment, AmountMinor: r.AmountMinor, Currency: r.Currency,
		State: domain.RefundMade, Reason: string(r.Reason), At: r.At,
	}
}

package mockpay

import (
	"time"

	"boxoffice/domain"
)

// The provider's API, below its base URL. Every list takes the parameters
// `after` (a Page's Next) and `limit` (1–ListLimitMax).
const (
	SessionsPath = "/v1/sessions/" // GET {session}; POST {session}/pay, {session}/expire, {session}/authorization/capture, …/release
	RefundsPath  = "/v1/refunds"   // GET, POST
	DisputesPath = "/v1/disputes"  // GET; see also DisputeRequest
	CapturesPath = "/v1/captures"
	// AuthorizationsPath lists what was neither captured nor released.
	AuthorizationsPath = "/v1/authorizations"
	DeliveriesPath     = "/v1/deliveries" // ?state=acknowledged (default), pending or abandoned
)

// ListLimitMax is how many entries a Page has at most.
const ListLimitMax = 1000

// SessionStatus is the state of a payment session.
type SessionStatus string

// The states of a session. A session leaves only open, processing and authorized; what it
// becomes is decided once. An authorisation that is released, or refused by the bank, has failed.
const (
	SessionOpen       SessionStatus = "open"
	SessionProcessing SessionStatus = "processing"
	SessionAuthorized SessionStatus = "authorized"

	SessionCaptured SessionStatus = "captured"
	SessionFailed   SessionStatus = "failed"
	SessionCanceled SessionStatus = "canceled"
	SessionExpired  SessionStatus = "expired"
)

// A Session is what the provider knows about an order's payment.
type Session struct {
	Session string         `json:"session"`
	Order   domain.OrderID `json:"order"`
	Status  SessionStatus  `json:"status"`
	// AmountMinor, Currency and ExpiresAt come from the pay link. They are empty if the
	// session was expired before anybody opened it.
	AmountMinor int64           `json:"amount"`
	Currency    string          `json:"currency,omitempty"`
	ExpiresAt   time.Time       `json:"expires_at,omitzero"`
	EndedAt     time.Time       `json:"ended_at,omitzero"`  // zero while open
	Declines    int             `json:"declines,omitempty"` // attempts that were declined; domain.DeclinesMax of them fail the session
	Capture     *domain.Capture `json:"capture,omitempty"`  // when captured
	// Authorize, of the pay link: the buyer's payment only authorises. Authorized is what
	// it authorised, whatever became of it.
	Authorize  bool            `json:"authorize,omitempty"`
	Authorized *domain.Capture `json:"authorized,omitempty"`
	// Delayed, of the pay link: the payment may be processed for a while.
	Delayed bool `json:"delayed,omitempty"`
}

// Opened reports whether anybody ever opened the session's pay page. The provider knows a
// session that was expired unseen by its id alone.
func (s Session) Opened() bool { return s.Currency != "" }

// Outcome is what a buyer, or a test, does on the pay page.
type Outcome string

// The outcomes of a payment.
const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
	OutcomeCanceled  Outcome = "canceled"
	OutcomeDeclined  Outcome = "declined" // ends the attempt, not the session
	// OutcomeProcessing begins a payment that is decided later: by OutcomeSucceeded or
	// OutcomeFailed. Only a session whose pay link says so takes it.
	OutcomeProcessing Outcome = "processing"
)

// A PayRequest pays a session, or fails or cancels it, or is declined. Link is the address of
// the pay page, or its query. It opens the session if nobody visited the page yet; after
// that it may be left out.
type PayRequest struct {
	Outcome Outcome `json:"outcome"`
	Link    string  `json:"link,omitempty"`
	// Attempt is the number of this attempt, 1…: a repetition of one that was declined is
	// no other attempt. 0: the next.
	Attempt int `json:"attempt,omitempty"`
}

// An Expiry answers expire, and what captures or releases an authorisation. Status is
// SessionExpired or SessionCaptured, and never changes; expire also answers
// SessionAuthorized or SessionProcessing, until that is decided.
type Expiry struct {
	Status  SessionStatus   `json:"status"`
	Capture *domain.Capture `json:"capture,omitempty"` // when captured or authorized
}

// A RefundRequest gives back a captured payment, or part of it.
type RefundRequest struct {
	Payment string `json:"payment"`
	// Key distinguishes the refunds of one payment; empty is a key too.
	Key         string              `json:"key,omitempty"`
	AmountMinor int64               `json:"amount"`
	Currency    string              `json:"currency"`
	Reason      domain.RefundReason `json:"reason"`
}

// A Refund is a refund that the provider has made.
type Refund struct {
	RefundRequest
	Session    string         `json:"session"`
	Order      domain.OrderID `json:"order"`
	RefundedAt time.Time      `json:"refunded_at"`
	// ID is its own. Empty in those that a MockPay from before there were ids has stored.
	ID string `json:"id,omitempty"`
	// Elsewhere: not the box office has asked for it, see RefundElsewhereRequest.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

// A DisputeRequest is what the buyer's bank does: POST {session}/dispute. The first one
// opens the dispute of the session's payment; a session has one.
type DisputeRequest struct {
	State       domain.ReversalState `json:"state"`            // inquiry or open, then open, won, lost or dropped
	AmountMinor int64                `json:"amount,omitempty"` // 0: the whole payment; fixed when it is opened
	Reason      string               `json:"reason,omitempty"`
}

// A RefundElsewhereRequest is what a person does at the provider, without the box office:
// POST {session}/refund. Key makes it happen once.
type RefundElsewhereRequest struct {
	Key         string `json:"key"`
	AmountMinor int64  `json:"amount"`
}

// DeliveryState is the state of a webhook's delivery.
type DeliveryState string

// The states of a webhook's delivery.
const (
	DeliveryPending      DeliveryState = "pending"      // still being tried
	DeliveryAcknowledged DeliveryState = "acknowledged" // the box office answered 2xx
	DeliveryAbandoned    DeliveryState = "abandoned"    // nobody acknowledged it within a day
)

// A Delivery is a webhook as the provider knows it.
type Delivery struct {
	Event      domain.PaymentEvent `json:"event"`
	State      DeliveryState       `json:"state"`
	OccurredAt time.Time           `json:"occurred_at"`
	// EndedAt is when it was acknowledged or abandoned; zero while pending.
	EndedAt time.Time `json:"ended_at,omitzero"`
	// HTTPStatus is the last answer's status, 0 if there was none.
	HTTPStatus int `json:"http_status,omitempty"`
}

// A Page is part of a list, oldest first.
type Page[T any] struct {
	Items []T `json:"items"`
	// Next continues the list. It is empty at its end for now.
	Next string `json:"next,omitempty"`
}

// A Problem is the provider's error (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"`
}

// ProblemContentType is the media type of a Problem.
const ProblemContentType = "application/problem+json"

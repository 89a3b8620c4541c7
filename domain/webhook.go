package domain

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Bounds of webhooks to other systems.
const (
	WebhookEndpointsMax      = 100 // per installation: each event is checked against all of them
	WebhookURLLenMax         = 2000
	WebhookDescriptionLenMax = 200
	WebhookAttemptsKept      = 20     // per delivery, the last ones
	WebhookRedeliverMax      = 10_000 // events that one request queues again
	WebhookOverlapMax        = 7 * 24 * time.Hour
	WebhookOverlapDefault    = 24 * time.Hour
)

// A WebhookEndpoint is a URL of another system that we send events to.
type WebhookEndpoint struct {
	ID          string
	URL         string
	Description string
	SaleID      string      // empty: of all sales
	Types       []EventType // none: all, including types of later releases
	CreatedAt   time.Time

	// Secret signs. So does PreviousSecret until PreviousUntil. Both are sealed.
	Secret, PreviousSecret []byte
	PreviousUntil          time.Time
	PreviousSigns          bool // by the database's clock

	DisabledAt   time.Time // zero: it is enabled
	DisabledWhy  string
	Failures     int       // failed attempts in a row
	FailingSince time.Time // zero: the last attempt did not fail
	PausedUntil  time.Time // nothing is sent until then
	Pending      int64     // deliveries that are not done; not always filled
}

// CheckWebhookDescription checks a description that comes from outside.
func CheckWebhookDescription(text string) error {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > WebhookDescriptionLenMax {
		return Invalid("description", fmt.Sprintf("must have at most %d characters", WebhookDescriptionLenMax))
	}
	for _, r := range text {
		if r < ' ' {
			return Invalid("description", "must have no control characters")
		}
	}
	return nil
}

// A WebhookChange changes an endpoint. Fields that are nil stay as they are.
type WebhookChange struct {
	URL, Description *string
	Types            *[]EventType
	Enabled          *bool
}

// WebhookState is where a delivery stands.
type WebhookState string

// The states of a delivery.
const (
	WebhookPending   WebhookState = "pending"
	WebhookDelivered WebhookState = "delivered"
	WebhookGivenUp   WebhookState = "given_up" // it is sent again only on request
)

// WebhookStates lists them.
var WebhookStates = []WebhookState{WebhookPending, WebhookDelivered, WebhookGivenUp}

// A WebhookDelivery is one event for one endpoint.
type WebhookDelivery struct {
	Event      EventID
	Type       EventType
	Subject    string
	State      WebhookState
	Attempts   int       // since it was last queued
	DueAt      time.Time // time of the next attempt while it is pending
	QueuedAt   time.Time
	FinishedAt time.Time
	Log        []WebhookAttempt // the last attempts
}

// A WebhookAttempt is the result of sending an event once.
type WebhookAttempt struct {
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	Status int       `json:"status,omitempty"` // 0: there was no answer
	Error  string    `json:"error,omitempty"`  // empty: the endpoint accepted it
	Answer string    `json:"answer,omitempty"` // the beginning of its answer
}

// A WebhookRedelivery says what to send again: one event, or all since a time.
type WebhookRedelivery struct {
	Event EventID
	Since time.Time
}

// WebhookCounts count endpoints and deliveries.
type WebhookCounts struct {
	Enabled, Failing, Disabled int64 // endpoints; the failing ones are still enabled
	Pending                    int64
	GivenUp                    int64         // in the last day
	Lag                        time.Duration // when the oldest pending delivery was queued
}

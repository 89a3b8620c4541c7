package domain

import (
	"encoding/json"
	"time"
)

// A BuyersRecord is all that is kept of one order of a buyer, or of one checkout that ended
// without a sale.
type BuyersRecord struct {
	ID      OrderID
	Sold    *SoldOrder       // nil: it was never sold
	Placed  *RememberedOrder // what Temporal still knows of it; nil: nothing
	Refunds []Refund         // of all its payments
	Mails   []MailRow        // about it
	// Answers are the attempts to deliver its events to webhook endpoints: an answer may repeat
	// what was the endpoint's own.
	Answers []json.RawMessage
	// SetAside are the errors of readers of the event log about it.
	SetAside []string
}

// An AskedMail is a mail that somebody asked for by the buyer's address.
type AskedMail struct {
	State    MailState
	QueuedAt time.Time
}

package domain

import (
	"time"

	"golang.org/x/text/language"
)

// MailKind is what a mail tells its buyer. It stands in the database.
type MailKind string

// The mails to buyers.
const (
	MailTickets     MailKind = "tickets"      // the order is paid: its tickets
	MailRefundBegun MailKind = "refund_begun" // the tickets are void, the money is on its way back
	MailRefunded    MailKind = "refunded"     // the money went back
	MailOrders      MailKind = "orders"       // the orders that somebody asked for by their address
)

// A Mail is one mail to a buyer, from the moment that it is due. What it says and, but for
// MailOrders, whom it goes to is read from the order when it is sent.
type Mail struct {
	// ID is what the mail is about and who made it due, the same however often it is: no mail
	// is sent twice under one id. It is part of the Message-ID.
	ID        string
	Kind      MailKind
	Order     OrderID // zero: of MailOrders
	Address   string  // of MailOrders alone, until the mail is settled
	Languages string  // of whoever asked, as KnownLanguages; empty: as the order has it
	QueuedAt  time.Time
	Attempts  int // with this one; attempts that the relay failed are not counted
}

// MailState is how far a mail has come.
type MailState string

// The states of a mail.
const (
	MailDue      MailState = "due"
	MailSent     MailState = "sent"      // a relay took it
	MailNeedless MailState = "needless"  // what it had to tell is not so any more, or nobody is to be told
	MailSetAside MailState = "set_aside" // no relay takes it: an operator looks at it
)

// A MailOutcome is what became of an attempt at a mail. Reason has no buyer's address.
type MailOutcome struct {
	ID     string
	State  MailState
	Again  time.Duration // of MailDue: when it is tried again
	Failed bool          // of MailDue: whether it is the mail that failed, not the relay
	Reason string
}

// A SetAsideMail is one for an operator.
type SetAsideMail struct {
	ID         string
	Kind       MailKind
	Order      OrderID
	Reason     string
	Attempts   int
	QueuedAt   time.Time
	SetAsideAt time.Time
}

// MailCounts are how mails stand.
type MailCounts struct {
	Due      int64
	Oldest   time.Time // when the oldest of them was queued; zero without any
	SetAside int64
}

// LanguageKey is where an order's metadata says what its buyer reads.
const LanguageKey = "language"

// Languages are those that an order's buyer reads, as Accept-Language has them, such as de-AT;
// empty: nobody said.
func (m Metadata) Languages() string { return KnownLanguages(m[LanguageKey]) }

// languagesMaxLen is longer than what browsers send.
const languagesMaxLen = 200

// KnownLanguages is what can be read of an Accept-Language header: all of it or nothing.
func KnownLanguages(header string) string {
	if len(header) > languagesMaxLen {
		return ""
	}
	if tags, _, err := language.ParseAcceptLanguage(header); err != nil || len(tags) == 0 {
		return ""
	}
	return header
}

package domain

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/text/language"
)

// MailKind says what a mail is for. The database stores it.
type MailKind string

// The mails to buyers.
const (
	MailTickets     MailKind = "tickets"      // the order is paid: here are the tickets
	MailRefundBegun MailKind = "refund_begun" // the tickets are void, the refund is under way
	MailRefunded    MailKind = "refunded"     // the refund is done
	MailOrders      MailKind = "orders"       // the orders of an address, because somebody asked for them
)

// mailOf maps an event to the mail that it calls for. A canceled sale has no mail of its own: each of its orders is refunded, and
// the refund's mail says why. A payment that bought no tickets has none either: its order was never stored, so there is no
// address.
var mailOf = map[EventType]MailKind{
	EventOrderPaid:        MailTickets,
	EventOrderRefundBegun: MailRefundBegun,
	EventOrderRefunded:    MailRefunded,
}

// MailKinds maps each event that calls for a mail to the kind of mail.
func MailKinds() map[EventType]MailKind { return maps.Clone(mailOf) }

// AllMailKinds lists every kind: those of events, and MailOrders.
func AllMailKinds() []MailKind {
	all := append(slices.Collect(maps.Values(mailOf)), MailOrders)
	slices.Sort(all)
	return slices.Compact(all)
}

// A Mail is one mail to a buyer, queued to be sent. Its content is read from the order when it is sent. So is its address, except
// for MailOrders.
type Mail struct {
	// ID derives from what the mail is about and who queued it, so queuing it again changes nothing: no mail is sent twice under one
	// id. It is part of the Message-ID.
	ID        string
	Kind      MailKind
	Order     OrderID // zero for MailOrders
	Address   string  // only for MailOrders, until the mail is settled
	Languages string  // the languages of whoever asked, see KnownLanguages; empty: the order says
	QueuedAt  time.Time
	Attempts  int // including this one; attempts that failed because of the relay do not count
}

// MailState says how far a mail has come.
type MailState string

// The states of a mail.
const (
	MailDue      MailState = "due"
	MailSent     MailState = "sent"      // a relay accepted it
	MailNeedless MailState = "needless"  // what it would say is no longer true, or it has no recipient
	MailSetAside MailState = "set_aside" // no relay accepts it: an operator has to look at it
)

// A MailOutcome is the result of one attempt to send a mail. Reason never has a buyer's address.
type MailOutcome struct {
	ID     string
	State  MailState
	Again  time.Duration // for MailDue: when to try again
	Failed bool          // for MailDue: the mail failed, not the relay
	Reason string
}

// A MailRow is a mail as operators see it. Reason never has a buyer's address.
type MailRow struct {
	ID        string
	Kind      MailKind
	Order     OrderID // zero for MailOrders
	State     MailState
	Reason    string
	Attempts  int // that failed because of the mail, or that are under way
	QueuedAt  time.Time
	DueAt     time.Time // for MailDue: when it is tried next, or again if its process dies now
	SettledAt time.Time // zero for MailDue
}

// A SetAsideMail is a mail that an operator has to look at.
type SetAsideMail struct {
	ID         string
	Kind       MailKind
	Order      OrderID
	Reason     string
	Attempts   int
	QueuedAt   time.Time
	SetAsideAt time.Time
}

// MailCounts count mails by state.
type MailCounts struct {
	Due      int64
	Oldest   time.Time // when the oldest of them was queued; zero if there is none
	SetAside int64
}

// LanguageKey is the key of an order's metadata that names the buyer's languages.
const LanguageKey = "language"

// Languages are the buyer's languages in the form of Accept-Language, such as de-AT; empty: not known.
func (m Metadata) Languages() string { return KnownLanguages(m[LanguageKey]) }

// languagesMaxLen is more than browsers send.
const languagesMaxLen = 200

// KnownLanguages returns an Accept-Language header if all of it can be parsed, else nothing.
func KnownLanguages(header string) string {
	if len(header) > languagesMaxLen {
		return ""
	}
	if tags, _, err := language.ParseAcceptLanguage(header); err != nil || len(tags) == 0 {
		return ""
	}
	return header
}

package mail

import (
	"context"

	"boxoffice/domain"
	"boxoffice/notify"
)

// readerName is what this reader is called in the log of events, and part of the Message-IDs:
// it never changes.
const readerName = "mail"

// eventsMax is how many events make their mails due in one statement.
const eventsMax = 200

// kindOf is the mail that an event makes due. A sale that is canceled has none of its own: each
// of its orders is refunded, and the mails of that say why. Money that bought no tickets has
// none either: its order was never stored, and nobody knows an address.
var kindOf = map[domain.EventType]domain.MailKind{
	domain.EventOrderPaid:        domain.MailTickets,
	domain.EventOrderRefundBegun: domain.MailRefundBegun,
	domain.EventOrderRefunded:    domain.MailRefunded,
}

// NewReader makes mails due of the events that come, each under its event's id: heard of again,
// it is the same mail. Where mail is new, what happened before stays unmailed.
func NewReader(store Store) notify.Reader {
	r := notify.Reader{Name: readerName, FromNow: true, BatchMax: eventsMax}
	for event := range kindOf {
		r.Types = append(r.Types, event)
	}
	r.Handle = func(ctx context.Context, events []domain.Event) error {
		var mails []domain.Mail
		for _, event := range events {
			if kind, is := kindOf[event.Type]; is {
				mails = append(mails, domain.Mail{ID: event.ID.String(), Kind: kind, Order: event.Order})
			}
		}
		return store.QueueMails(ctx, mails)
	}
	return r
}

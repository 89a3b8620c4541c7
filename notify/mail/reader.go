package mail

import (
	"context"

	"boxoffice/domain"
	"boxoffice/notify"
)

// readerName names this reader's cursors and is part of the Message-IDs, so it never changes.
const readerName = "mail"

// eventsMax is the number of events whose mails are queued in one statement.
const eventsMax = 200

// kindOf maps an event to the mail that it calls for. A canceled sale has no mail of its own: each of its orders is refunded, and
// the refund's mail says why. A payment that bought no tickets has none either: its order was never stored, so there is no
// address.
var kindOf = map[domain.EventType]domain.MailKind{
	domain.EventOrderPaid:        domain.MailTickets,
	domain.EventOrderRefundBegun: domain.MailRefundBegun,
	domain.EventOrderRefunded:    domain.MailRefunded,
}

// NewReader queues a mail for each event, under the event's id, so an event that is read twice is one mail. When mail is first
// turned on, earlier events get none.
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
